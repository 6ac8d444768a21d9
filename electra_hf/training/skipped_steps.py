"""Steps whose loss or gradient is not finite: counted, reported, and their batches kept in files.

`guarded_trainer` leaves their updates out. Whether it does is decided on the device; the host learns of it later, so
that on a GPU it never waits for the step that it has just started.
"""

import json
import logging
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from electra_hf.corpora.storage import publish
from electra_hf.errors import TrainingError

logger = logging.getLogger(__name__)

FOLDER = "_skipped-steps"
MAX_FILES = 20
_FACTS = "step"  # the key of the facts in the header of a file


@dataclass
class _Step:
    """A finished step that the host has not looked at.

    Attributes:
        number: The step, counted from 1.
        values: (2 + batches,) fp64 or fp32 on the host or on its way there: 1 if it was skipped, the norm of the
            gradient, the loss of each batch.
        copied: Happens when `values` has arrived; None if it is there.
        learning_rate: Of the step.
        batches: What the model was given, one for each accumulation step.
    """

    number: int
    values: Tensor
    copied: torch.cuda.Event | None
    learning_rate: float
    batches: list[Mapping[str, Tensor]]


class SkippedSteps:
    """Counts the skipped steps of a run and writes their batches to `OUTPUT_DIR/_skipped-steps/`.

    Args:
        output_dir: The run's folder.
        limit: Skipped steps in a row that are borne.
        process: Rank of this process.
        processes: Their number.
        precision: `no`, `bf16` or `fp16`, for the files.
        delay: Steps between the end of a step and the moment that the host looks at it: 1 lets a GPU work on.

    Attributes:
        steps: Skipped steps of the run, counted from 1, in rising order.
        in_a_row: How many came after the last step that was not skipped.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        limit: int,
        process: int = 0,
        processes: int = 1,
        precision: str = "no",
        delay: int = 0,
    ):
        self.folder = Path(output_dir) / FOLDER
        self.limit = limit
        self.process = process
        self.processes = processes
        self.precision = precision
        self.delay = delay
        self.reset()

    def reset(self) -> None:
        """Begin a run."""
        self.steps: list[int] = []
        self.in_a_row = 0
        self._batches: list[Mapping[str, Tensor]] = []
        self._losses: list[Tensor] = []
        self._unread: deque[_Step] = deque()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; waits for the device."""
        self.read()
        return {"steps": list(self.steps), "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps, self.in_a_row = list(state["steps"]), state["in_a_row"]

    @property
    def total(self) -> int:
        """Skipped steps of the run."""
        return len(self.steps)

    def after(self, step: int) -> int:
        """Skipped steps after that one."""
        return len(self.steps) - bisect_right(self.steps, step)

    @property
    def losses(self) -> list[Tensor]:
        """() losses of the batches that were added since the last `finish`."""
        return self._losses

    def add(self, batch: Mapping[str, Tensor], loss: Tensor) -> None:
        """One accumulation step: what the model was given, and its () loss."""
        self._batches.append(batch)
        self._losses.append(loss)

    def finish(self, number: int, skipped: Tensor, gradient_norm: Tensor, learning_rate: float) -> None:
        """The end of a step, counted from 1; looks at the steps that are old enough.

        Args:
            number: The step.
            skipped: () bool, the same in all processes.
            gradient_norm: () over all parameters.
            learning_rate: Of the step.
        """
        values = torch.stack([skipped.float(), gradient_norm.float(), *(loss.float() for loss in self._losses)])
        copied = None
        if values.is_cuda:
            on_device = values
            values = torch.empty(on_device.shape, pin_memory=True).copy_(on_device, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        self._unread.append(_Step(number, values, copied, learning_rate, self._batches))
        self._batches, self._losses = [], []
        self.read(self.delay)

    def read(self, delay: int = 0) -> None:
        """Look at all finished steps but the last `delay` ones."""
        while len(self._unread) > delay:
            step = self._unread.popleft()
            if step.copied is not None:
                step.copied.synchronize()
            skipped, *values = step.values.tolist()
            if skipped:
                self._count(step, *values)
            else:
                self.in_a_row = 0

    def _count(self, step: _Step, gradient_norm: float, *losses: float) -> None:
        self.steps.append(step.number)
        self.in_a_row += 1
        file = self._keep(step, gradient_norm, losses)
        # Each of the first ones, then at the powers of two.
        if self.process == 0 and (self.total <= 4 or self.total.bit_count() == 1):
            logger.warning(
                "Step %d was skipped, since its loss (%s) or gradient (norm %g) is not finite: %d skipped so far, "
                "%d in a row.%s",
                step.number,
                ", ".join(f"{loss:g}" for loss in losses),
                gradient_norm,
                self.total,
                self.in_a_row,
                f" Its batch is in {file}." if file else "",
            )

    def _keep(self, step: _Step, gradient_norm: float, losses: tuple[float, ...]) -> Path | None:
        """Write the batches of a step; None if there are enough of them, or they cannot be written."""
        name = f"step-{step.number}" + (f"-rank-{self.process}" if self.processes > 1 else "")
        file = self.folder / f"{name}.safetensors"
        # The processes of lower ranks write theirs now; one with a loss that is not finite has more to show.
        others = self.process if all(map(math.isfinite, losses)) else 0
        facts = {
            "step": step.number,
            "losses": losses,
            "gradient_norm": gradient_norm,
            "learning_rate": step.learning_rate,
            "precision": self.precision,
            "process": self.process,
            "processes": self.processes,
        }
        tensors = {
            f"{number}.{field}": tensor.detach().cpu().contiguous()
            for number, batch in enumerate(step.batches)
            for field, tensor in batch.items()
        }
        try:
            if len(list(self.folder.glob("*.safetensors"))) + others >= MAX_FILES:
                return None
            self.folder.mkdir(parents=True, exist_ok=True)
            publish(file, save(tensors, {_FACTS: json.dumps(facts)}))
        except OSError as error:
            logger.warning("The batch of step %d could not be written to %s: %s", step.number, file, error)
            return None
        return file

    def check(self, last_checkpoint: Path | None) -> None:
        """Stop a run in which nothing but skipped steps comes.

        Raises:
            TrainingError: After more skipped steps in a row than the limit.
        """
        if self.in_a_row <= self.limit:
            return
        way_out = "Resume with" if last_checkpoint is not None else "Start again with"
        raise TrainingError(
            f"{self.in_a_row} steps in a row had a loss or gradient that is not finite (--max_skipped_steps "
            f"{self.limit}), so training stopped; their updates were left out. Batches are in {self.folder}, the last "
            f"good checkpoint is {last_checkpoint or 'none: nothing was saved yet'}. {way_out} a lower "
            "--learning_rate, a longer --warmup_steps or --bf16 instead of --fp16, or look at the batches"
        )


def load_skipped_step(file: str | Path) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
    """Read a file of `_skipped-steps/`.

    To see where the numbers end, give the batches to the model of a checkpoint:

        batches, facts = load_skipped_step("run/_skipped-steps/step-1200.safetensors")
        with torch.autograd.detect_anomaly():
            model(**batches[0]).loss.backward()

    Args:
        file: `step-N.safetensors`, or `step-N-rank-R.safetensors` of a run of several processes.

    Returns:
        What the model was given, one batch for each accumulation step; and step, losses (one for each batch),
        gradient_norm, learning_rate, precision, process and processes.
    """
    batches: dict[int, dict[str, Tensor]] = {}
    with safe_open(file, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118, no dictionary
            number, _, field = name.partition(".")
            batches.setdefault(int(number), {})[field] = tensors.get_tensor(name)
        facts = json.loads(tensors.metadata()[_FACTS])
    return [batches[number] for number in sorted(batches)], facts
