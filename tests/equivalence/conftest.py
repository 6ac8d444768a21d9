"""A tiny training run that can be repeated with other batch sizes, processes and interruptions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("tiny_run.py")


class TinyRun:
    """What one run left behind.

    Attributes:
        folder: its output folder.
        text: losses, metrics and norms of the final weights, as `tiny_run.py` wrote them; unlike `result`, equal
            where both hold NaN.
        result: the same, read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.text = (folder / "result.json").read_text()
        self.result = json.loads(self.text)

    def rows(self) -> dict[int, list[str]]:
        """Checksums of the rows of each step, of all processes."""
        steps: dict[int, list[str]] = {}
        for path in sorted(self.folder.glob("rows-*.txt")):
            for line in path.read_text().splitlines():
                step, *rows = line.split()
                steps.setdefault(int(step), []).extend(rows)
        return {step: sorted(rows) for step, rows in steps.items()}


@pytest.fixture(scope="module")
def train_tiny(tmp_path_factory):
    """Run `tiny_run.py` in a process of its own, or in several; judged by what it wrote.

    torch 2.13 with gloo aborts at interpreter exit in about a fifth of runs, after all is written.
    """

    home = tmp_path_factory.mktemp("runs")

    def train(
        name: str, *options: str, processes: int = 1, interrupted: bool = False, stopped: bool = False
    ) -> TinyRun | str | None:
        folder = home / name
        command = [sys.executable, str(WORKER), "--output_dir", str(folder), *options]
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
            command[1:1] = launcher
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        if interrupted:
            # The launcher of several processes has a code of its own.
            assert done.returncode == (-9 if processes == 1 else 1), done.stderr[-3000:]
            assert not (folder / "result.json").exists()
            return None
        if stopped:
            return done.stderr
        assert (folder / "result.json").is_file(), done.stderr[-3000:]
        return TinyRun(folder)

    return train
