"""Times the steps of a probe, and ends it."""

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl

from electra_hf.planning.durations import Duration, now
from electra_hf.planning.probe import MIN_STEPS, WARMUP_STEPS
from electra_hf.planning.sizes import Shape


class StepTimes(TrainerCallback):
    """Notes how long each step takes; ends the run when the time is over.

    Args:
        seconds: Of the steps that count.
        trainer: The run's.
        length: Of a block.

    Attributes:
        shapes: Of the batches of each step.
        durations: Of each step, waiting for data and the device included.
    """

    def __init__(self, seconds: float, trainer: Any, length: int):
        self.limit = seconds
        self.trainer = trainer
        self.length = length
        self.shapes: list[Shape] = []
        self.durations: list[Duration] = []
        self._full_steps, self._spent = 0, 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._mark = now()

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        if args.device.type != "cpu":
            torch.accelerator.synchronize()
        plan = self.trainer.order.plan
        pieces = plan.pieces(state.global_step - 1)
        self.shapes.append(Shape(plan.rows(state.global_step - 1) * pieces, self.length // pieces))
        self.durations.append(now() - self._mark)
        if self.shapes[-1] == Shape(plan.batch_size, self.length):
            self._full_steps += 1
            self._spent += self.durations[-1].wall if self._full_steps > WARMUP_STEPS else 0.0
        if self._full_steps >= WARMUP_STEPS + MIN_STEPS and self._spent >= self.limit:
            control.should_training_stop = control.should_log = True
        self._mark = now()

    def device_bytes(self) -> int | None:
        """The largest amount that was reserved on a GPU."""
        if self.trainer.args.device.type != "cuda":
            return None
        return torch.cuda.max_memory_reserved()
