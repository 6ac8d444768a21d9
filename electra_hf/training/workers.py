"""How the worker processes of a data loader begin, and what signals do to them."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

from transformers import TrainingArguments
from transformers.trainer_utils import seed_worker

_SECONDS_AFTER_SIGTERM = 300


def worker_start(args: TrainingArguments) -> Callable[[int], None]:
    """`start_worker` for the loaders of a run."""
    return partial(start_worker, num_workers=args.dataloader_num_workers, rank=args.process_index)


def start_worker(worker_id: int, num_workers: int, rank: int) -> None:
    """Seed a worker as transformers does, and let it outlive the signals that stop a run.

    A terminal, a scheduler or a launcher sends its signal to all processes of a run. The main process then finishes
    its step and saves, and for that it needs the batches of its workers: they ignore SIGINT and SIGUSR1, and after
    SIGTERM they work on, for 5 minutes at most. SIGUSR2 writes the stack of every thread to standard error.

    Args:
        worker_id: Number of the worker in its loader.
        num_workers: Of the loader.
        rank: Of the main process.
    """
    seed_worker(worker_id, num_workers, rank)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR2, file=sys.__stderr__ or 2, all_threads=True)
    if sys.platform == "linux":  # elsewhere a signal does not tell its sender, and SIGTERM ends a worker
        # Blocked here and in the threads to come, so that the one below gets it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_take_sigterm, name="sigterm", daemon=True).start()


def _take_sigterm() -> None:
    """Leave if the main process asks for it, else a little later.

    The main process ends its workers with SIGTERM when a loader that is no longer needed hangs, or when Python exits
    with a loader still there, and waits for them. It also lives on when others send the signal to all, and a worker
    whose main process died leaves by itself, as torch has it; the alarm is for one that cannot.
    """
    process = multiprocessing.parent_process()  # not always the system's: that may be a server that starts workers
    parent = process.pid if process is not None else os.getppid()
    while True:
        if signal.sigwaitinfo([signal.SIGTERM]).si_pid == parent:
            os._exit(0)
        signal.alarm(_SECONDS_AFTER_SIGTERM)
