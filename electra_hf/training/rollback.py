"""When a loss has jumped: back to the last checkpoint, and past the data that came before the jump.

What PaLM did (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1): start again from a checkpoint before the spike,
and skip the batches around it. All that is decided here follows from the logged losses in the Trainer's state, which
checkpoints keep: a run that is killed before the next checkpoint meets the same spike again, and does the same again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_WINDOW = 10
_FEWEST = 5
EVENT = "rollback_from"


@dataclass
class Spike:
    """A logged loss that is far above those before it.

    Attributes:
        step: The global step of the logging event.
        loss: As logged.
        usual: Median of those before.
        checkpoint: To go back to.
        rollbacks: The run's rollbacks so far, rows of the log history.
    """

    step: int
    loss: float
    usual: float
    checkpoint: Path
    rollbacks: list[dict[str, Any]] = field(default_factory=list)


class RollBack(Exception):
    """Leaves the training loop; never seen outside of the Trainer."""

    def __init__(self, spike: Spike):
        super().__init__(f"the loss is {spike.loss} at step {spike.step}")
        self.spike = spike


def usual_loss(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Median of the last ten logged losses that are finite; None if fewer than five are known.

    >>> usual_loss([{"loss": 3.0}, {"eval_loss": 9.0}, {"loss": 2.0}, {"loss": 4.0}, {"loss": 5.0}, {"loss": 1.0}])
    3.0
    """
    losses = [row["loss"] for row in history if math.isfinite(row.get("loss", math.nan))][-_WINDOW:]
    return median(losses) if len(losses) >= _FEWEST else None


def past_rollbacks(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the log history that tell of rollbacks."""
    return [dict(row) for row in history if EVENT in row]


def record_rollback(history: list[dict[str, Any]], step: int, spike: Spike) -> int:
    """Write a rollback into the log history, together with those that came after its checkpoint was written.

    Args:
        history: Of the checkpoint, changed in place.
        step: Of the checkpoint.
        spike: What happened.

    Returns:
        Steps of data to leave out from `step` on: all that was used since, and all that was left out.

    >>> history = []
    >>> first = Spike(step=30, loss=9.0, usual=3.0, checkpoint=Path("checkpoint-20"))
    >>> record_rollback(history, 20, first)
    10
    >>> again = Spike(step=25, loss=9.0, usual=3.0, checkpoint=Path("checkpoint-20"), rollbacks=history)
    >>> history = []
    >>> record_rollback(history, 20, again), [row["rollback_from"] for row in history]
    (15, [30, 25])
    """
    lost = [row for row in spike.rollbacks if row not in history]
    event = {
        "step": step,
        EVENT: spike.step,
        "skipped_data_steps": spike.step - step,
        "spike_loss": spike.loss,
        "usual_loss": spike.usual,
    }
    history += [*lost, event]
    return sum(row["skipped_data_steps"] for row in [*lost, event])
