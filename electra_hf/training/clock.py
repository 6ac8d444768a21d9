"""The time of a run: how long it has trained, how long its steps and pauses take, and a run that ends by the clock."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import DefaultFlowCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_STAT = Path("/proc/self/stat")
# Field 22 of proc(5), counted from the one after the name of the program, which may hold blanks.
_START_TIME = 22 - 3


def _age() -> float:
    if not _STAT.is_file():
        return 0.0
    ticks = int(_STAT.read_text().rpartition(")")[2].split()[_START_TIME])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


_IMPORTED, _AGE_WHEN_IMPORTED = time.monotonic(), _age()


def process_age() -> float:
    """Seconds since this process was started, the import of libraries included.

    Where the system has no /proc, since this module was imported.
    """
    return _AGE_WHEN_IMPORTED + time.monotonic() - _IMPORTED


class TrainingClock:
    """Measures training, waiting for data included, and apart from it the pauses in which the run does other things.

    Attributes:
        seconds: of training until the last step, also in the runs that this one goes on from.
        agreed_seconds: those of the first process, as all processes know them: of the last step or the one before.
        step_seconds: of the last step; 0 in the first one of a process, which may have compiled the model.
        longest_pause: seconds of the longest pause so far, by what it was.
    """

    def __init__(self) -> None:
        self.longest_pause: dict[str, float] = {}
        self._pauses = 0
        self.reset()

    def reset(self) -> None:
        """A run begins, or is about to go on from what `load_state_dict` gets."""
        self.seconds = self.agreed_seconds = self.step_seconds = 0.0
        self.start()

    def start(self) -> None:
        """Training begins or goes on."""
        self._steps = 0
        self._mark = time.perf_counter()

    def step(self) -> None:
        """A step has ended."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        self.seconds += seconds
        self.step_seconds = seconds if self._steps else 0.0
        self._steps += 1

    @contextmanager
    def pause(self, what: str) -> Iterator[None]:
        """Until this is left, which may be part of a longer pause, no training takes place."""
        start = time.perf_counter()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            seconds = time.perf_counter() - start
            if not self._pauses:
                self._mark += seconds
            self.longest_pause[what] = max(seconds, self.longest_pause.get(what, 0.0))

    @property
    def reserve(self) -> float:
        """Seconds that two more steps, an evaluation and a checkpoint need, as far as that is known by now."""
        return 2 * self.step_seconds + sum(self.longest_pause.values())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds, "agreed_seconds": self.agreed_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; what was agreed stays so, since processes decide by it before they agree anew."""
        self.seconds, self.agreed_seconds = float(state["seconds"]), float(state["agreed_seconds"])


class EndByTheClock(TrainerCallback):
    """Ends a run, finished, when its time of training is used up: what happens at the last step happens then.

    Args:
        clock: Whose agreed time counts, so that all processes end at the same step.
        seconds: Of training.
    """

    def __init__(self, clock: TrainingClock, seconds: float):
        self.clock = clock
        self.seconds = seconds

    @property
    def progress(self) -> float:
        """Share of the time that is used, from 0 to 1."""
        return min(1.0, self.clock.agreed_seconds / self.seconds)

    @property
    def remaining_seconds(self) -> float:
        """Of training."""
        return max(0.0, self.seconds - self.clock.agreed_seconds)

    @property
    def is_over(self) -> bool:
        """Whether nothing remains."""
        return self.remaining_seconds == 0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl | None:
        if not self.is_over:
            return None
        state.max_steps = state.global_step
        return DefaultFlowCallback().on_step_end(args, state, control, **kwargs)
