"""Runs the jobs of a study, some at a time, and ends them well when it is told to stop.

Each job is a process in a session of its own, so Ctrl-C reaches this process only, which passes it on once: the
scripts save and leave with 75. The lock of the folder is inherited by the jobs: while one of them lives, also after
this process was killed, nobody else starts the study again.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import torch

import electra_hf
from electra_hf.corpora.workers import available_cores
from electra_hf.errors import INTERRUPTED_AT_ONCE, CheckpointError, Interrupted, UsageError, explain_os_error
from electra_hf.study.board import Board
from electra_hf.study.jobs import JobFiles
from electra_hf.training.stopping import SIGNALS

DONE, FAILED, STOPPED, LEFT = "done", "failed", "stopped", "left"
_POLL_SECONDS = 0.2
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass
class _Running:
    files: JobFiles
    process: subprocess.Popen
    log: IO[bytes]
    begun: str
    start: float


class StopRequest:
    """Counts the signals that ask this process to stop, while it is entered.

    Attributes:
        count: Of signals so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, *_: Any) -> None:
        self.count += 1


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """The only study in a folder; gives the descriptor that the jobs inherit.

    Raises:
        UsageError: Another study, or a job of one, is still at work there.
        CheckpointError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CheckpointError(f"cannot write to {explain_os_error(error, folder)}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{folder}: a study, or a run that one has left behind, is at work there: wait for it, or end it, "
                "then use the same command"
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    named = os.environ.get(_DEVICES)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


def job_environment(slot: int, at_once: int, gpus: Sequence[str]) -> dict[str, str]:
    """The environment of the job in a slot: its share of the processors and a GPU, and this same package.

    Args:
        slot: From 0 to `at_once` - 1.
        at_once: Jobs that run at the same time.
        gpus: What `visible_gpus` returned.
    """
    package = str(Path(electra_hf.__file__).resolve().parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // at_once)))
    if gpus:
        environment[_DEVICES] = gpus[slot % len(gpus)]
    return environment


class Runner:
    """Runs jobs in the order of what they need.

    Args:
        files: Of all jobs; those that are done already are passed over.
        board: Shows what happens.
        lock: What `locked` gave.
        at_once: Jobs that run at the same time.
        gpus: What `visible_gpus` returned; shared out among the jobs.

    Attributes:
        outcomes: Job key to `done`, `failed`, `stopped` (saved, to be gone on with) or `left` (never started).
    """

    def __init__(self, files: Sequence[JobFiles], board: Board, lock: int, at_once: int, gpus: Sequence[str]):
        self._board, self._lock, self._at_once, self._gpus = board, lock, at_once, gpus
        self._pending: list[JobFiles] = []
        self._running: dict[int, _Running] = {}
        self._stopping = False
        self.outcomes: dict[str, str] = {}
        for one in files:
            if one.is_done():
                self.outcomes[one.job.key] = DONE
                board.kept(one.job)
            else:
                self._pending.append(one)

    def run(self) -> None:
        """Run the jobs, and return when all of them have ended.

        Raises:
            Interrupted: If it was told to stop, or a job was.
        """
        passed_on = 0
        with StopRequest() as stop:
            try:
                while self._pending or self._running:
                    self._collect()
                    if stop.count and not self._stopping:
                        self._stopping = True
                    if self._stopping and passed_on < max(1, stop.count):
                        passed_on = max(1, stop.count)
                        self._ask_to_stop()
                    if not self._stopping:
                        self._start()
                    elif not self._running:
                        break
                    self._board.refresh()
                    time.sleep(_POLL_SECONDS)
            finally:
                self._end_all()
        for one in self._pending:
            self.outcomes[one.job.key] = LEFT
        if self._stopping:
            stopped = [key for key, outcome in self.outcomes.items() if outcome == STOPPED]
            raise Interrupted(
                f"stopped ({', '.join(stopped) or 'between two jobs'}): the same command goes on from there"
            )

    def _start(self) -> None:
        for one in list(self._pending):
            states = [self.outcomes.get(need) for need in one.job.needs]
            if any(state in (FAILED, LEFT) for state in states):
                self._pending.remove(one)
                self.outcomes[one.job.key] = LEFT
            elif all(state == DONE for state in states) and len(self._running) < self._at_once:
                self._pending.remove(one)
                self._start_one(one)

    def _start_one(self, files: JobFiles) -> None:
        slot = next(number for number in range(self._at_once) if number not in self._running)
        command = files.command()
        files.note()
        log = files.log.open("ab")
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=job_environment(slot, self._at_once, self._gpus),
            start_new_session=True,
            pass_fds=(self._lock,),
        )
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        self._running[slot] = _Running(files, process, log, begun, time.monotonic())
        self._board.started(files.job)

    def _collect(self) -> None:
        for slot, one in list(self._running.items()):
            if one.process.poll() is not None:
                del self._running[slot]
                self._finish(one)

    def _finish(self, one: _Running) -> None:
        code, job = one.process.returncode, one.files.job
        one.log.close()
        seconds = time.monotonic() - one.start
        missing = one.files.note({"begun": one.begun, "seconds": round(seconds, 1), "exit_code": code})
        if code == 0 and not missing:
            outcome, text = DONE, "done"
        elif code == Interrupted.exit_code or self._stopping:
            # A command that cannot save leaves with another code; what it has finished is kept all the same.
            self._stopping = True
            outcome, text = STOPPED, "stopped"
        else:
            outcome, text = FAILED, f"FAILED ({_reason(code, missing)}; see {one.files.log})"
        self.outcomes[job.key] = outcome
        self._board.ended(job, text, done=outcome == DONE)

    def _ask_to_stop(self) -> None:
        # SIGTERM, since what a shell starts in the background ignores SIGINT, and so do its children; and to the
        # script alone, which ends its loader workers itself.
        for one in self._running.values():
            one.process.terminate()

    def _end_all(self) -> None:
        """Whatever happened here, no job is left behind."""
        if self._running:
            self._stopping = True
            self._ask_to_stop()
            for one in list(self._running.values()):
                one.process.wait()
            self._collect()


def _reason(code: int, missing: Sequence[str]) -> str:
    if code == 0:
        return f"it has not written {', '.join(missing)}"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if code == INTERRUPTED_AT_ONCE:
        return "interrupted"
    return f"exit code {code}"
