"""Times the steps of a probe, and ends it."""

import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl

from electra_hf.planning.probe import MIN_STEPS, WARMUP_STEPS


class StepTimes(TrainerCallback):
    """Notes how long each step takes; ends the run, with a checkpoint, when the time is over.

    Args:
        seconds: Of the steps that count.
        trainer: The run's.
        length: Of a block.

    Attributes:
        shapes: (rows, length) of a batch, for each step.
        seconds: Of each step, waiting for data and the device included.
        cpu_seconds: Of the processor, for each step.
    """

    def __init__(self, seconds: float, trainer: Any, length: int):
        self.limit = seconds
        self.trainer = trainer
        self.length = length
        self.shapes: list[tuple[int, int]] = []
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self._full_steps, self._spent = 0, 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._mark()

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        if args.device.type != "cpu":
            torch.accelerator.synchronize()
        plan = self.trainer.order.plan
        pieces = plan.pieces(state.global_step - 1)
        self.shapes.append((plan.rows(state.global_step - 1) * pieces, self.length // pieces))
        self.seconds.append(time.perf_counter() - self._wall)
        self.cpu_seconds.append(time.process_time() - self._cpu)
        if self.shapes[-1] == (plan.batch_size, self.length):
            self._full_steps += 1
            self._spent += self.seconds[-1] if self._full_steps > WARMUP_STEPS else 0.0
        if self._full_steps >= WARMUP_STEPS + MIN_STEPS and self._spent >= self.limit:
            control.should_save = control.should_training_stop = control.should_log = True
        self._mark()

    def _mark(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def device_bytes(self) -> int | None:
        """The largest amount that was reserved on a GPU."""
        if not torch.cuda.is_available() or self.trainer.args.device.type != "cuda":
            return None
        return torch.cuda.max_memory_reserved()
