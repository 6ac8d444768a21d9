"""Processes that work through a stream in its order, in bounded memory."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


def available_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # where a scheduler can give a process fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def worker_processes(
    num_workers: int, died: Exception, initializer: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[Map]:
    """Processes as a function like `map`: results come in the order of the items.

    Args:
        num_workers: how many processes; at most two items more than that are on their way.
        died: raised when one of them ends before its work is done.
        initializer: called once in each, with `arguments`.
        arguments: for `initializer`.
    """
    # spawn: threads of other libraries, such as the tokenizer's and torch's, do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _start, (initializer, arguments))

    def ordered_map(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            del item  # it is on its way
            while len(waiting) >= num_workers + 2 or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield ordered_map
    except BrokenProcessPool as error:
        raise died from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to answer, and reaches all of a terminal
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    """A pool whose owner was killed would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
