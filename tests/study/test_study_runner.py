"""Jobs as processes: their order, failures, interruptions and records, with Python programs of one line."""

import io
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from electra_hf.errors import Interrupted, UsageError
from electra_hf.study.board import Board
from electra_hf.study.jobs import Job, JobFiles
from electra_hf.study.runner import Runner, job_environment, locked, visible_gpus

WRITE = (
    "import pathlib, sys; pathlib.Path('{folder}').mkdir(parents=True); pathlib.Path('{folder}/done').write_text('x')"
)


def job(folder: Path, name: str, program: str = WRITE, needs: tuple[str, ...] = (), **options) -> JobFiles:
    place = folder / "out" / name
    code = ("-c", program.format(folder=place))
    return JobFiles(folder, Job("test", name, code, {"learning_rate": 1e-3, **options}, place, ("done",), needs))


def run(folder: Path, jobs: list[JobFiles], at_once: int = 2) -> tuple[Runner, str]:
    """The runner when it has ended, or was interrupted, and what was printed."""
    text = io.StringIO()
    board = Board(Console(file=text), jobs, at_once)
    with locked(folder) as lock:
        runner = Runner(jobs, board, lock, at_once, ())
        runner.run()
    return runner, text.getvalue()


def test_jobs_follow_what_they_need_and_are_done_once(tmp_path):
    read = WRITE + "; print(pathlib.Path('{folder}/../one/done').read_text(), *sys.argv[1:])"
    jobs = [job(tmp_path, "two", read, ("test/one",)), job(tmp_path, "one")]
    runner, said = run(tmp_path, jobs)
    assert runner.outcomes == {"test/one": "done", "test/two": "done"}
    assert "[2/2] test/two  done" in said
    assert jobs[0].last_lines(1) == [f"x --config {tmp_path}/jobs/test/two.yaml"]
    assert jobs[0].options.read_text() == "learning_rate: 0.001\n"
    again, said = run(tmp_path, jobs)
    assert again.outcomes == runner.outcomes and "started" not in said
    assert len(jobs[0].attempts()) == 1


def test_a_result_that_was_changed_is_made_again(tmp_path):
    one = job(tmp_path, "one", WRITE.replace("mkdir(parents=True)", "mkdir(parents=True, exist_ok=True)"))
    run(tmp_path, [one])
    (tmp_path / "out" / "one" / "done").write_text("broken")
    assert not one.is_done()
    run(tmp_path, [one])
    assert one.is_done() and len(one.attempts()) == 2


def test_other_options_are_refused_by_name(tmp_path):
    run(tmp_path, [job(tmp_path, "one", logging_steps=10, seed=1)])
    assert job(tmp_path, "one", logging_steps=10, seed="1").is_done()
    # What is only reported otherwise is no other run.
    assert not job(tmp_path, "one", logging_steps=20, seed=1).is_done()
    with pytest.raises(UsageError, match=r"holds test/one with other options \(seed was 1.0 and is 2.0\)"):
        job(tmp_path, "one", logging_steps=10, seed=2).is_done()


def test_a_failure_loses_nothing_else(tmp_path):
    jobs = [
        job(tmp_path, "bad", "import sys; print('first'); sys.exit('the reason')"),
        job(tmp_path, "after", needs=("test/bad",)),
        job(tmp_path, "silent", "pass"),
        job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)"),
        job(tmp_path, "good"),
    ]
    runner, said = run(tmp_path, jobs)
    states = {"bad": "failed", "after": "left", "silent": "failed", "killed": "failed", "good": "done"}
    assert runner.outcomes == {f"test/{name}": state for name, state in states.items()}
    assert jobs[0].last_lines(2) == ["first", "the reason"]
    for text in ("test/bad  FAILED (exit code 1", "has not written done", "ended by SIGKILL"):
        assert text in said
    assert json.loads(jobs[0].record.read_text())["attempts"][0]["exit_code"] == 1


def test_an_interrupted_job_stops_the_others(tmp_path):
    ready = tmp_path / "ready"
    saves = (
        "import pathlib, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        f"pathlib.Path('{ready}').touch()\ntime.sleep(60)"
    )
    stops = (
        f"import pathlib, sys, time\nwhile not pathlib.Path('{ready}').exists():\n    time.sleep(.01)\nsys.exit(75)"
    )
    jobs = [job(tmp_path, "stops", stops), job(tmp_path, "long", saves), job(tmp_path, "later")]
    with pytest.raises(Interrupted, match="test/stops"):
        run(tmp_path, jobs)
    assert [one.attempts()[0]["exit_code"] for one in jobs[:2]] == [75, 75]
    assert not jobs[2].attempts()


def test_a_signal_is_passed_on_once(tmp_path):
    counts = (
        "import pathlib, signal, sys, time\ngot = []\nsignal.signal(signal.SIGTERM, lambda *_: got.append(1))\n"
        "pathlib.Path('{folder}').mkdir(parents=True)\nwhile not got:\n    time.sleep(.01)\n"
        "time.sleep(.5)\nprint('signals', len(got))\nsys.exit(75)"
    )
    jobs = [job(tmp_path, "one", counts), job(tmp_path, "two", counts)]

    def interrupt():
        while not all((tmp_path / "out" / name).is_dir() for name in ("one", "two")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run(tmp_path, jobs)
    assert [one.last_lines(1) for one in jobs] == [["signals 1"]] * 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_folder_has_one_study(tmp_path):
    with locked(tmp_path), pytest.raises(UsageError, match="at work there"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_processors_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setattr("electra_hf.study.runner.available_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-ab")
    gpus = visible_gpus()
    found = [job_environment(slot, 3, gpus) for slot in range(3)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == ["4", "GPU-ab", "4"]
    assert {one["OMP_NUM_THREADS"] for one in found} == {"2"}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert job_environment(0, 3, ())["OMP_NUM_THREADS"] == "5"
