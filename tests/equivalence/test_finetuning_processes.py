"""Fine-tuning in two processes with accumulation is fine-tuning in one: summed and mean losses, and a CRF."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WORKER = Path(__file__).with_name("tiny_finetuning.py")
OPTIONS = (
    "--learning_rate", "1e-3", "--layerwise_lr_decay", "0.8", "--num_train_epochs", "1", "--logging_steps", "1",
    "--use_cpu", "--disable_tqdm", "true", "--per_device_eval_batch_size", "4",
)  # fmt: skip


def finetune(folder: Path, *options: str, processes: int = 1) -> dict:
    """Judged by what it wrote: torch 2.13 with gloo aborts at exit in about a fifth of runs, after all is written."""
    command = [sys.executable, str(WORKER), "--output_dir", str(folder), *OPTIONS, *options]
    if processes > 1:
        command[1:1] = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (folder / "result.json").is_file(), done.stderr[-3000:]
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize(
    "options", [("--loss_reduction", "sum"), ("--loss_reduction", "mean"), ("--use_crf",)], ids=["sum", "mean", "crf"]
)
def test_two_processes_equal_one(tmp_path, options):
    whole = finetune(tmp_path / "one", *options, "--per_device_train_batch_size", "32")
    divided = finetune(
        tmp_path / "two", *options, "--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2",
        processes=2,
    )  # fmt: skip
    assert len(whole["history"]) == len(divided["history"]) == 4
    for row, expected in zip(divided["history"], whole["history"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    assert divided["weights"] == pytest.approx(whole["weights"], rel=1e-6, abs=1e-6)
    assert len(divided["predictions"]) == 13
    assert np.array(divided["predictions"]) == pytest.approx(np.array(whole["predictions"]), rel=1e-4, abs=1e-5)
    assert divided["eval_loss"] == pytest.approx(whole["eval_loss"], rel=1e-4)
    noise = [json.loads((tmp_path / "two" / f"noise-{rank}.json").read_text()) for rank in (0, 1)]
    assert noise[0] != noise[1], "every process draws its own dropout"
