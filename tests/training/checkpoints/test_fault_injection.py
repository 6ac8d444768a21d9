"""Operations of a save fail in turn, in a process whose C library does not know it (benchmarks/faults)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "faults" / "failing_saves.py"


@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("cc"), reason="needs a C compiler")
def test_nothing_is_lost(tmp_path):
    command = [sys.executable, str(SCRIPT), "--errors", "ENOSPC", "--every", "6", "--json", str(tmp_path / "out.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["lost"] == []
    # No writer passes the shim by.
    assert found["bytes_written"] == found["checkpoint_bytes"]
    assert {"open", "mkdir", "write", "fsync", "rename", "chmod"} <= found["operations"].keys()
    assert found["failed_saves"] >= 8
    assert found["damages_noticed"].keys() == {"removed", "emptied", "truncated", "bit flipped"}
