"""Worker processes: order, bounds, and what becomes of them when something ends."""

import os
import signal
from collections.abc import Iterator

import pytest

from electra_hf.corpora.workers import worker_processes
from electra_hf.errors import CorpusError


def square(number: int) -> int:
    return number * number


def end_suddenly(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def complain(number: int) -> int:
    raise ValueError(f"no {number}")


def test_results_come_in_order_and_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(12):
            taken.append(number)
            yield number

    with worker_processes(2, CorpusError("died")) as ordered_map:
        results = ordered_map(square, items())
        assert next(results) == 0
        assert len(taken) <= 2 + 2 + 1, "what is on its way is bounded"
        assert [0, *results] == [number**2 for number in range(12)]


def test_a_worker_that_dies_is_explained() -> None:
    with (
        pytest.raises(CorpusError, match="ask for fewer"),
        worker_processes(1, CorpusError("died: ask for fewer")) as ordered_map,
    ):
        list(ordered_map(end_suddenly, [1]))


def test_an_error_in_a_worker_comes_through() -> None:
    with pytest.raises(ValueError, match="no 3"), worker_processes(1, CorpusError("died")) as ordered_map:
        list(ordered_map(complain, [3]))
