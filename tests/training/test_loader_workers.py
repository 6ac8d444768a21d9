"""What signals do to the workers of a loader."""

import os
import signal
import time
from functools import partial

import pytest
from torch.utils.data import DataLoader

from electra_hf.training.workers import start_worker

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def batches():
    """A loader whose worker has made its first batches, and its iterator."""
    loader = DataLoader(
        range(40), batch_size=1, num_workers=1, prefetch_factor=1, collate_fn=lambda rows: (rows[0], os.getpid()),
        worker_init_fn=partial(start_worker, num_workers=1, rank=0),
    )  # fmt: skip
    return iter(loader)


def test_workers_outlive_what_stops_the_run(batches):
    first, worker = next(batches)
    assert first == 0 and worker != os.getpid()
    # As a scheduler does: from a process that is not the worker's own.
    kill = f"kill -INT {worker}; kill -USR1 {worker}; kill -TERM {worker}"
    assert os.system(kill) == 0
    assert [row for row, _ in batches] == list(range(1, 40))


def test_workers_leave_when_their_process_says_so(batches):
    next(batches)
    process = batches._workers[0]
    process.terminate()
    process.join(timeout=60)
    assert process.exitcode == 0


def test_workers_leave_whoever_has_started_them():
    """With `forkserver`, Python's own choice from 3.14 on, the system's parent of a worker is a server."""
    loader = DataLoader(
        range(40), batch_size=1, num_workers=1, prefetch_factor=1, multiprocessing_context="forkserver",
        worker_init_fn=partial(start_worker, num_workers=1, rank=0),
    )  # fmt: skip
    batches = iter(loader)
    next(batches)
    process = batches._workers[0]
    process.terminate()
    process.join(timeout=60)
    try:
        # A thread that a library started at its import, before ours, may take the signal as usual.
        assert process.exitcode in (0, -signal.SIGTERM)
    finally:
        process.kill()


@pytest.fixture
def standard_error(tmp_path):
    """A file that standard error goes to, also that of processes started meanwhile."""
    path, kept = tmp_path / "stderr", os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    yield path
    os.dup2(kept, 2)
    os.close(kept)


def test_workers_show_their_stack(standard_error, batches):
    _, worker = next(batches)
    os.kill(worker, signal.SIGUSR2)
    deadline = time.monotonic() + 60
    while "_worker_loop" not in standard_error.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "_worker_loop" in standard_error.read_text()
    assert len(list(batches)) == 39
