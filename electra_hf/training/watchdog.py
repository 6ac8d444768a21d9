"""Says what a run hangs in: a loader that waits for a file system, a process that waits for another one.

A thread looks for signs of life: a step, a batch of an evaluation, a checkpoint. If there has been none for too long,
it writes to stderr what the process has been doing since when, and the stacks of all threads; loader workers write
theirs when they get SIGUSR2, if they have registered faulthandler for it. The run goes on, and may recover.

A sign of life costs the assignment of a tuple. A hang that keeps Python's interpreter lock stops the thread as well;
for that one the C timer of faulthandler is set anew each time that the thread looks around. A process has only one
such timer, so `faulthandler.dump_traceback_later` is not for others while a run is watched.
"""

import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.training.progress import format_seconds

_STDERR = 2
_MAX_INTERVAL = 10.0


class Watchdog(TrainerCallback):
    """Reports a process without a sign of life, at first after `seconds`, then after twice as long, and so on.

    Args:
        seconds: Without a sign of life; 0 turns the watch off.
        process: Index of this process.
        processes: How many there are.
    """

    def __init__(self, seconds: float, process: int = 0, processes: int = 1):
        self.seconds = seconds
        self._who = f"process {process} of {processes}: " if processes > 1 else ""
        # What is being done, since when by the clock that runs evenly, and after which step.
        self._last: tuple[str, float, int] = ("", time.monotonic(), 0)
        self._over: threading.Event | None = None

    @contextmanager
    def watch(self, activity: str) -> Iterator[None]:
        """Watch what is done until this is left, which may be part of something that is watched already.

        Args:
            activity: For the report, as in "no sign of life in evaluation".
        """
        before, outermost = self._last, self._over is None
        self._sign(activity, before[2])
        thread = self._start() if outermost and self.seconds > 0 else None
        try:
            yield
        finally:
            if thread is not None and self._over is not None:
                self._over.set()
                thread.join()
                self._over = None
            self._sign(before[0], self._last[2])

    def _sign(self, activity: str, step: int) -> None:
        self._last = (activity, time.monotonic(), step)

    # Signs of life

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._sign("a training step", state.global_step)

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._sign("a training step", state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._sign("waiting for data", state.global_step)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._sign("waiting for data", state.global_step)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._sign(self._last[0], state.global_step)

    # The thread

    def _start(self) -> threading.Thread:
        self._over = threading.Event()
        thread = threading.Thread(target=self._look, args=(self._over,), name="watchdog", daemon=True)
        thread.start()
        return thread

    def _look(self, over: threading.Event) -> None:
        interval = min(self.seconds / 10, _MAX_INTERVAL)
        seen, limit = self._last, self.seconds
        while not over.wait(interval):
            faulthandler.dump_traceback_later(self.seconds + 2 * interval, file=_STDERR)
            if self._last is not seen:
                seen, limit = self._last, self.seconds
            if time.monotonic() - seen[1] >= limit:
                limit *= 2
                self._report(*seen)
        faulthandler.cancel_dump_traceback_later()

    def _report(self, activity: str, since: float, step: int) -> None:
        silent = time.monotonic() - since
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - silent))
        text = (
            f"\n{self._who}no sign of life for {format_seconds(silent)}: {activity} after step {step}, since {clock}. "
            "The run is not ended; the stacks of its threads and loader workers follow.\n"
        )
        os.write(_STDERR, text.encode())
        faulthandler.dump_traceback(file=_STDERR)
        for worker in multiprocessing.active_children():
            if worker.pid is not None and _handles(worker.pid, signal.SIGUSR2):
                os.kill(worker.pid, signal.SIGUSR2)


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal that would end it otherwise; False where /proc does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # no such system, or no such process any more
        return False
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return bool(caught >> (number - 1) & 1)
