"""A batch divided over two processes is one gradient, for every objective with two encoders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_objectives import NAMES, train_one

WORKER = Path(__file__).with_name("tiny_objectives.py")


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Path:
    """What two processes wrote: one start for all objectives."""
    folder = tmp_path_factory.mktemp("divided")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [sys.executable, *launcher, str(WORKER), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    # torch 2.13 with gloo may abort at interpreter exit, after all is written.
    assert (folder / f"{NAMES[-1]}.json").is_file(), done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(name, divided, tmp_path):
    found = json.loads((divided / f"{name}.json").read_text())
    whole = train_one(name, tmp_path, 1)
    for row, expected in zip(found["rows"], whole["rows"], strict=True):
        assert row.keys() == expected.keys()
        for key, value in row.items():
            tolerance = 1e-3 if key.endswith("auc") else 1e-5
            assert value == pytest.approx(expected[key], rel=tolerance, abs=tolerance, nan_ok=True), key
    assert found["weights"] == pytest.approx(whole["weights"], rel=1e-5, abs=1e-7)
