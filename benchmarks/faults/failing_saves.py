"""Every operation of a save fails in turn, and every file of a checkpoint is damaged in turn: is anything lost?

    python benchmarks/faults/failing_saves.py --json failing_saves.json

One process trains a tiny model and saves after every step, under a shim in front of the C library (`shim.c`). The
operations of a save below the output folder are counted; then each of them fails once with each errno (and once with
all that follow it, like a disk that stays full), in a save of its own. After each: the former checkpoint passes its
check or the new one does and can be read, training goes on, and the next save succeeds and passes. Then `damage.py`.
The exit code is 1 if anything was lost.
"""

import argparse
import errno
import json
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from damage import damage_everything
from safetensors.torch import load_file
from shim import Shim, restart_under_shim
from tiny_trainer import tiny_trainer
from transformers import TrainerCallback
from transformers.trainer_pt_utils import safe_globals

from electra_hf.errors import CheckpointError
from electra_hf.training.checkpoints import checkpoints_in, verify

ONWARDS = "ENOSPC from there on"


class FailEachOperation(TrainerCallback):
    """Lets one operation fail in every second save, until each has failed with each error.

    Args:
        shim: Of this process.
        errors: Names of errno, and `ONWARDS`.
        every: Only every so-many-th operation, for a quick look.
    """

    def __init__(self, shim: Shim, errors: list[str], every: int):
        self.shim, self.errors, self.every = shim, errors, every
        self.trainer: Any = None
        self.cases: list[tuple[int, str]] | None = None
        self.case: tuple[int, str] | None = None
        self.failed_before = 0
        self.former: Path | None = None
        self.operations: Counter[str] = Counter()
        self.bytes_written = self.checkpoint_bytes = 0
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.lost: list[str] = []

    def on_step_end(self, args, state, control, **_) -> None:
        self.former, self.failed_before, self.case = self.trainer.last_checkpoint, self.trainer.failed_saves, None
        if state.global_step == 4:
            self.shim.arm()  # the fourth save is like all that follow: an old checkpoint is removed
        elif self.cases and state.global_step % 2:
            self.case = number, error = self.cases.pop()
            code = getattr(errno, error.split()[0])
            self.shim.arm(number, code, onwards=error == ONWARDS)

    def on_save(self, args, state, control, **_) -> None:
        self.shim.disarm()
        new = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if state.global_step == 4:
            self._count(new)
        elif self.case is not None:
            self._judge(new)
        elif self.trainer.last_checkpoint != new or not readable(new):
            self.lost.append(f"step {state.global_step}: the save after a failed one did not succeed")
        if self.cases == [] and self.case is None:
            control.should_training_stop = True

    def _count(self, new: Path) -> None:
        self.operations, self.bytes_written = self.shim.operations, self.shim.bytes_written
        self.checkpoint_bytes = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        numbers = range(1, self.operations.total() + 1, self.every)
        self.cases = [(number, error) for error in self.errors for number in numbers]

    def _judge(self, new: Path) -> None:
        number, error = self.case or (0, "")
        failed = self.shim.failed
        if failed is None:
            self.lost.append(f"operation {number} ({error}) was not reached")
            return
        kind, path = failed
        if self.trainer.failed_saves > self.failed_before:
            outcome = "save reported as failed, the former one is whole"
            good = self.former is not None and readable(self.former) and self.trainer.last_checkpoint == self.former
            good = good and not new.exists()
        else:
            outcome = "saved all the same, whole"
            good = readable(new) and self.trainer.last_checkpoint == new
        if not good:
            outcome = "LOST"
            self.lost.append(f"{kind} of {path} ({error}): {sorted(path.name for path in new.parent.iterdir())}")
        self.outcomes[kind, error, outcome] += 1


def readable(checkpoint: Path) -> bool:
    """Whether a checkpoint passes its check, and the readers of its files are content with them."""
    try:
        manifest = verify(checkpoint)
    except CheckpointError as error:
        print(error)
        return False
    for name in manifest.files:
        if name.endswith((".pt", ".pth")):
            with safe_globals():
                torch.load(checkpoint / name, weights_only=True)
        elif name.endswith(".safetensors"):
            load_file(checkpoint / name)
        elif name.endswith(".json"):
            json.loads((checkpoint / name).read_bytes())
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errors", nargs="+", default=["ENOSPC", "EIO", "EACCES", ONWARDS])
    parser.add_argument("--every", type=int, default=1, help="Only every so-many-th operation.")
    parser.add_argument("--json", type=Path, help="Where the figures go.")
    options = parser.parse_args()
    restart_under_shim()
    with tempfile.TemporaryDirectory() as home:
        logging.getLogger("electra_hf").setLevel(logging.CRITICAL)  # every failure is reported loudly
        folder = Path(home, "run")
        faults = FailEachOperation(Shim(folder), options.errors, options.every)
        trainer = tiny_trainer(
            folder, faults, save_steps=1, save_total_limit=2, logging_strategy="no", max_steps=1_000_000, seed=1
        )
        faults.trainer = trainer
        trainer.train()
        former, newest = checkpoints_in(folder)[-2:]
        noticed, missed = damage_everything(newest, former)
    lost = faults.lost + missed
    report(faults, noticed, lost, trainer.state.global_step)
    if options.json:
        content = {
            "operations": faults.operations,
            "bytes_written": faults.bytes_written,
            "checkpoint_bytes": faults.checkpoint_bytes,
            "steps": trainer.state.global_step,
            "failed_saves": trainer.failed_saves,
            "faults": [
                {"operation": kind, "error": error, "outcome": outcome, "times": times}
                for (kind, error, outcome), times in sorted(faults.outcomes.items())
            ],
            "damages_noticed": noticed,
            "lost": lost,
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if lost else 0


def report(faults: FailEachOperation, noticed: Counter[str], lost: list[str], steps: int) -> None:
    counted = ", ".join(f"{number} {kind}" for kind, number in faults.operations.most_common())
    print(f"operations of a save: {faults.operations.total()} ({counted})")
    print(f"bytes seen by the shim: {faults.bytes_written:,} of a checkpoint of {faults.checkpoint_bytes:,}")
    print(f"faults injected: {faults.outcomes.total()} in {steps} steps of one run")
    print(f"{'operation':10} {'error':22} {'times':>5}  outcome")
    for (kind, error, outcome), times in sorted(faults.outcomes.items()):
        print(f"{kind:10} {error:22} {times:5}  {outcome}")
    for kind, times in noticed.most_common():
        print(f"file {kind:17} {times:10}  noticed, the former checkpoint is used")
    print(f"lost: {len(lost)}")
    for line in lost:
        print("  " + line)


if __name__ == "__main__":
    sys.exit(main())
