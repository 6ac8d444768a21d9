"""gdes, gumbel_softmax, frozen generators and decoupled optimisation: two processes are one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("generator_variants_run.py")


def test_two_processes_equal_one(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    for processes, start in ((1, []), (2, launcher)):
        command = [sys.executable, *start, str(WORKER), str(tmp_path), str(processes)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        # Judged by what was written: with gloo, torch 2.13 may abort when all is done.
        assert (tmp_path / f"{processes}.json").is_file(), done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{processes}.json").read_text()) for processes in (1, 2))
    assert one.keys() == two.keys() == {"gdes", "gumbel_softmax", "frozen", "decoupled"}
    for name, expected in one.items():
        found = two[name]
        assert found["weights"] == pytest.approx(expected["weights"], rel=1e-5, abs=1e-5), name
        for row, other in zip(expected["history"], found["history"], strict=True):
            assert other == pytest.approx(row, rel=1e-4, nan_ok=True), name
    assert "gumbel_temperature" in one["gumbel_softmax"]["history"][0]
    assert "generator_grad_norm" in one["decoupled"]["history"][0]
