"""Which checkpoints stay: the newest, the best one, milestones, and as many others as were asked for."""

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from electra_hf.errors import CheckpointError, UsageError, explain_os_error
from electra_hf.training.checkpoints.manifest import MANIFEST_NAME, read_manifest
from electra_hf.training.checkpoints.publishing import remove

logger = logging.getLogger(__name__)

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def checkpoints_in(run_dir: Path) -> list[Path]:
    """The `checkpoint-N` folders of a run, complete or not, in the order of their steps."""
    return sorted((path for path in run_dir.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The N of `checkpoint-N`; -1 for another name.

    >>> step_of(Path("run/checkpoint-250"))
    250
    """
    match = _CHECKPOINT.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def parse_milestones(text: str) -> tuple[float, ...]:
    """Shares of a run, in per cent, from a list with commas.

    Raises:
        UsageError: If one is no number above 0 and at most 100.

    >>> parse_milestones("6.25, 12.5,100")
    (6.25, 12.5, 100.0)
    """
    shares = []
    for part in text.split(","):
        try:
            share = float(part)
        except ValueError:
            share = -1.0
        if not 0 < share <= 100:
            raise UsageError(
                f"--keep_milestones {text}: {part.strip() or 'nothing'!r} is no share of the run; give per cents "
                "above 0, at most 100, such as 6.25,12.5,25,50,100"
            )
        shares.append(share)
    return tuple(sorted(set(shares)))


def milestone_of(step: int, max_steps: int, milestones: Sequence[float]) -> float | None:
    """The per cent of all steps that a step marks, the largest of several; None if it marks none.

    >>> milestone_of(6, 12, (25.0, 50.0)), milestone_of(5, 12, (25.0, 50.0))
    (50.0, None)
    """
    marked = [share for share in milestones if max(1, round(share / 100 * max_steps)) == step]
    return max(marked, default=None)


class MilestoneCallback(TrainerCallback):
    """Saves at the milestones, whatever --save_steps says.

    Args:
        milestones: Per cents of all steps.
    """

    def __init__(self, milestones: Sequence[float]):
        self.milestones = milestones

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if milestone_of(state.global_step, state.max_steps, self.milestones) is not None:
            control.should_save = True


class SaveAfterEpochCallback(TrainerCallback):
    """Saves the last step of an epoch, or of the run, after what is logged and evaluated at the end of the epoch.

    A run that goes on from there begins with the next epoch, and would never do that. To be the last callback.
    """

    def __init__(self) -> None:
        self._waiting = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        ends = float(state.epoch or 0).is_integer() or state.global_step >= state.max_steps
        more = IntervalStrategy.EPOCH in (args.logging_strategy, args.eval_strategy)
        self._waiting = control.should_save and ends and more
        if self._waiting:
            control.should_save = False

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self._waiting:
            self._waiting, control.should_save = False, True


def rotate(run_dir: Path, limit: int | None, kept: Collection[str]) -> None:
    """Remove the oldest checkpoints of a run; what cannot be removed is left with a warning.

    Args:
        run_dir: The run's folder.
        limit: How many stay besides milestones; None or 0 keeps all.
        kept: Names that stay whatever the limit is: of the newest one and of the best one.
    """
    if not limit or limit < 0:
        return
    ordinary = [folder for folder in checkpoints_in(run_dir) if not _is_milestone(folder)]
    removable = [folder for folder in ordinary if folder.name not in kept]
    excess = min(len(ordinary) - limit, len(removable))
    for folder in removable[: max(0, excess)]:
        try:
            remove(folder)
        except OSError as error:
            logger.warning("cannot remove %s", explain_os_error(error, folder))


def _is_milestone(folder: Path) -> bool:
    """Whether its manifest says so; one whose manifest is damaged may be, and is kept."""
    if not (folder / MANIFEST_NAME).exists():
        return False
    try:
        return read_manifest(folder).milestone is not None
    except CheckpointError:
        return True
