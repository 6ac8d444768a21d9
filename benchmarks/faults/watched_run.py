"""run_pretraining.py as it is, and a few bytes in a file that say at any time what it is doing.

    python benchmarks/faults/watched_run.py PHASE_FILE OPTIONS...

`interruptions.py` starts it and kills it. The bytes lie in shared memory, so that they outlive a SIGKILL: how many
steps were done, and whether it was in a step, in an evaluation, or in which part of saving a checkpoint.
"""

import mmap
import os
import runpy
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from electra_hf.training import PretrainingTrainer

# The name of the phase, and the optimiser steps that are done.
LAYOUT = struct.Struct("32sq")
SCRIPT = Path(__file__).parents[2] / "run_pretraining.py"


class Phases:
    """The phase that this process is in; phases lie within each other."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)
        self._stack: list[str] = []
        self._trainer: Trainer | None = None
        self._show("starting")

    def _show(self, name: str) -> None:
        step = -1 if self._trainer is None else self._trainer.state.global_step
        self._memory[:] = LAYOUT.pack(name.encode(), step)

    def watch(self, owner: Any, function: str, phase: str, within: str | None = None) -> None:
        """Show `phase` while `owner.function` runs; with `within`, only in that other phase."""
        original: Callable[..., Any] = getattr(owner, function)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if within is not None and within not in self._stack:
                return original(*args, **kwargs)
            if isinstance(args[0], Trainer):
                self._trainer = args[0]
            self._stack.append(phase)
            self._show(phase)
            try:
                return original(*args, **kwargs)
            finally:
                self._stack.pop()
                self._show(self._stack[-1] if self._stack else "other")

        setattr(owner, function, watched)


def read_phase(path: Path) -> tuple[str, int]:
    """What a process was doing, and the steps it had done (-1: it was not yet training)."""
    content = path.read_bytes() if path.is_file() else b""
    if len(content) < LAYOUT.size:
        return "starting", -1
    name, step = LAYOUT.unpack(content)
    return name.rstrip(b"\0").decode(), step


def main() -> None:
    phases = Phases(Path(f"{sys.argv[1]}-{os.environ.get('RANK', '0')}"))
    trainer = PretrainingTrainer
    phases.watch(trainer, "training_step", "step: forward, backward")
    phases.watch(Trainer, "get_batch_samples", "step: batches")
    phases.watch(trainer, "evaluate", "evaluation")
    phases.watch(trainer, "_save_checkpoint", "saving")
    phases.watch(trainer, "save_model", "saving: model", within="saving")
    phases.watch(torch, "save", "saving: optimizer, RNG ...", within="saving")
    phases.watch(os, "fsync", "saving: fsync", within="saving")
    for function in ("rename", "replace"):
        phases.watch(os, function, "saving: rename", within="saving")
    for function in ("rmdir", "unlink"):
        phases.watch(os, function, "saving: removal of old ones", within="saving")
    sys.argv = [str(SCRIPT), *sys.argv[2:]]
    sys.path.insert(0, str(SCRIPT.parent))
    runpy.run_path(str(SCRIPT), run_name="__main__")


if __name__ == "__main__":
    main()
