"""Runs that end well when they are told to: by a signal, or by the time limit of the job they are part of.

    signal, or time limit ──> the step is finished ──> checkpoint ──> Interrupted (exit code 75)

* SIGTERM, SIGINT and SIGUSR1 only leave a note, which is read between two steps. A second signal, at least a second
  later, does at once what it would do to any process. Launchers and terminals often deliver one request twice.
* An evaluation or a checkpoint that has begun is finished, and the run ends at the same step: what is resumed is, bit
  for bit and log line for log line, the run that was not stopped.
* Several processes have to agree on the step. After each step they begin to exchange what they know, on the CPU and
  in the background, and the result is read after the next one: nobody waits for the slowest, and no device is
  synchronised. After evaluations and checkpoints, where all wait for each other anyway, they read it at once.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState

from electra_hf.training.clock import TrainingClock, process_age
from electra_hf.training.training_arguments import ElectraTrainingArguments

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# Signals so close to each other are one request: a launcher passes on what the processes have got already.
_SAME_REQUEST_SECONDS = 1.0
# In the exchanged numbers; less than any of the signals.
_TIME_LIMIT = 1


class StopSignals:
    """Notes the first signal that asks this process to stop; the second one ends it as it would any process.

    Loader workers that are forked off ignore what this process notes.

    Attributes:
        received: Number of the signal; 0 if there was none since the last run that was stopped.
    """

    def __init__(self) -> None:
        self.received = 0
        self._since = 0.0
        self._former: dict[int, Any] = {}
        self._pid = 0
        self._speaks = True

    def install(self, speaks: bool) -> None:
        """Handle the signals from here on; in another thread than the main one nothing can be handled.

        Args:
            speaks: Say on stderr what was received.
        """
        if self._former or threading.current_thread() is not threading.main_thread():
            return
        self._pid, self._speaks = os.getpid(), speaks
        for number in SIGNALS:
            # A shell's background jobs are told to ignore Ctrl-C.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if os.getpid() != self._pid or (self.received and now - self._since < _SAME_REQUEST_SECONDS):
            return
        name = signal.Signals(number).name
        if not self.received:
            self.received, self._since = number, now
            self._say(f"{name}: the run stops after this step and saves; a second signal stops it at once")
            return
        self._say(f"{name} again: the run stops at once, without saving")
        signal.signal(number, signal.SIG_DFL)
        os.kill(self._pid, number)

    def _say(self, text: str) -> None:
        # Not through sys.stderr, in whose lock the signal may have arrived.
        if self._speaks:
            # Who reads it may be gone, and an exception would come out of whatever the run is doing.
            with suppress(OSError):
                os.write(2, f"\n{text}\n".encode())


# Signals are sent to a process: what one run in it was too late to act on, the next one does.
stop_signals = StopSignals()


@cache
def _cpu_group(seconds: float) -> Any:
    """A group that exchanges tensors on the CPU; None for the default group, if it does."""
    if dist.get_backend() == "gloo":
        return None
    return dist.new_group(backend="gloo", timeout=timedelta(seconds=seconds))


class Agreement:
    """Numbers of which all processes get the largest ones, without waiting for each other.

    Args:
        args: How many processes there are.
    """

    def __init__(self, args: ElectraTrainingArguments):
        self._alone = args.world_size == 1
        self._group = None if self._alone else _cpu_group(float(args.ddp_timeout))
        self._begun: tuple[torch.Tensor, dist.Work] | None = None

    def later(self, values: Sequence[float]) -> list[float] | None:
        """Begin to exchange `values`.

        Returns:
            What the last exchange gave, None in the first; `values` themselves if this process is alone.
        """
        if self._alone:
            return list(values)
        found = self.finish()
        tensor = torch.tensor(values, dtype=torch.float64)
        work = dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=self._group, async_op=True)
        assert work is not None
        self._begun = (tensor, work)
        return found

    def now(self, values: Sequence[float]) -> list[float]:
        """Exchange `values` and wait for the result."""
        found = self.later(values)
        if not self._alone:
            found = self.finish()
        assert found is not None
        return found

    def finish(self) -> list[float] | None:
        """Wait for the exchange that has begun, if any."""
        if self._begun is None:
            return None
        tensor, work = self._begun
        self._begun = None
        work.wait()
        return tensor.tolist()


class StopCallback(TrainerCallback):
    """Ends a run between two steps when it was told to, at the same step in all processes.

    Args:
        clock: Of the run; it learns what the first process's clock says.

    Attributes:
        reason: Why the run ends before its end, such as `SIGTERM`; None if it does not.
        saved: A checkpoint was written after everything that was logged and evaluated at this step.
    """

    def __init__(self, clock: TrainingClock):
        self.clock = clock
        self.reason: str | None = None
        self.saved = False
        self._agreement: Agreement | None = None
        self._first_step = True

    def on_train_begin(self, args: ElectraTrainingArguments, *_: Any, **__: Any) -> None:
        self.reason, self.saved, self._first_step = None, False, True
        self._agreement = Agreement(args)
        self.clock.start()
        stop_signals.install(speaks=args.process_index == 0)

    def on_step_begin(
        self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.saved = False
        if self._first_step:
            # Clocks that come from a checkpoint: a schedule in time needs the same in all processes.
            self._first_step = False
            assert self._agreement is not None
            self.clock.agreed_seconds = self._agreement.now(self._known(args))[1]

    def on_step_end(
        self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.clock.step()
        assert self._agreement is not None
        found = self._agreement.later(self._known(args))
        if found is not None:
            self._decide(found, args, state, control)

    def on_evaluate(
        self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.saved = False
        self._decide_now(args, state, control)

    def on_save(self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved = True
        self._decide_now(args, state, control)

    def on_log(self, *_: Any, **__: Any) -> None:
        self.saved = False

    def on_epoch_end(
        self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.reason is not None and not float(state.epoch or 0).is_integer():
            # The Trainer takes the end of the loop for that of the epoch, where the resumed run will not be.
            control.should_log = control.should_evaluate = control.should_save = False

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._agreement is not None:
            self._agreement.finish()
        self._agreement = None

    def close(self) -> None:
        """Training has ended, however it did."""
        self._agreement = None
        stop_signals.restore()

    def _known(self, args: ElectraTrainingArguments) -> tuple[float, float]:
        """What this process contributes: the request to stop, and the seconds of training."""
        if args.process_index != 0:
            return stop_signals.received, 0.0
        limit = args.max_train_minutes
        up = limit is not None and process_age() + self.clock.reserve >= 60 * limit
        return stop_signals.received or (_TIME_LIMIT if up else 0), self.clock.seconds

    def _decide_now(self, args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        if self._agreement is not None and self.reason is None:  # there are evaluations outside of training
            self._decide(self._agreement.now(self._known(args)), args, state, control)

    def _decide(
        self, found: Sequence[float], args: ElectraTrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        request, self.clock.agreed_seconds = int(found[0]), found[1]
        if not request or self.reason is not None or control.should_training_stop:
            return  # nobody has asked, or the run is at its end
        if state.global_step >= state.max_steps:
            return
        limit = f"--max_train_minutes {args.max_train_minutes:g}" if args.max_train_minutes is not None else ""
        self.reason = limit if request == _TIME_LIMIT else signal.Signals(request).name
        control.should_training_stop = True
