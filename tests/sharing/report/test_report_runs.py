"""Folders become runs: which ones, under which names, and how they stand."""

import json
import math
import os
import time
from pathlib import Path

import pytest
from tiny_report import INFO, log_rows, write_lines

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.sharing.report.facts import facts_of
from electra_hf.sharing.report.runs import Run, find_runs, read_run, signature


def test_what_a_run_wrote_down_is_told(make_run):
    facts = facts_of(read_run(make_run()))
    assert facts["Objective"] == "rtd"
    assert facts["Parameters"] == "1.23 M, generator 123,456"
    assert facts["Tokens"] == "122,880 (2,048 a step)"
    assert facts["Steps"] == "60 of 100"
    assert (facts["Corpus"], facts["Hardware"]) == ("python-docs", "2 CPU threads")
    assert facts["Started"] == "2026-01-02 03:04 UTC"


def test_an_older_run_has_fewer_facts_and_the_bands_of_its_settings(tmp_path: Path):
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log_rows(range(3))}), encoding="utf-8")
    (tmp_path / "pretraining_config.yaml").write_text("discriminator_weight: 5.0\nmax_steps: 2\n", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"vocab_size": 8192, "hidden_size": 128}', encoding="utf-8")
    run = read_run(tmp_path)
    assert run.tokens_per_step is None and "Tokens" not in facts_of(run)
    assert run.bands["loss"].low is None  # published for a weight of 50
    assert run.bands["generator_loss"].chance == pytest.approx(9.01, abs=0.01)
    assert run.status().state == "finished"


def test_private_folders_are_told_by_their_ends_only():
    run = Run("run", Path("run"), settings={"train_file": ["/home/me/secret/text.txt"]})
    assert facts_of(run)["Corpus"] == "text.txt"


def test_a_run_waits_runs_falls_silent_and_ends(make_run, tmp_path: Path):
    waiting = read_run(tmp_path / "nowhere").status()
    assert waiting.state == "waiting" and "no such folder yet" in waiting.words
    folder = make_run()
    now = time.time()
    status = read_run(folder).status(now + 10)
    assert (status.state, status.progress) == ("running", 0.6)
    assert "step 60 of 100" in status.words and "about 30 s left" in status.words
    assert "last wrote 10 s ago" in status.words
    silent = read_run(folder).status(now + 3600)
    assert silent.state == "silent" and "Seems stuck" in silent.words
    write_lines(folder / "training_log.jsonl", [*log_rows(range(0, 101, 10)), {"step": 100, "train_runtime": 150.0}])
    assert read_run(folder).status().state == "running"  # its last evaluation is still to come
    (folder / "trainer_state.json").write_text("{}", encoding="utf-8")
    finished = read_run(folder).status(now + 3600)
    assert (finished.state, finished.words) == ("finished", "Finished: step 100 of 100 in 2 min 30 s.")


def test_a_run_that_has_shown_its_texts_and_not_yet_logged_is_running(make_run):
    status = read_run(make_run(rows=[])).status()
    assert (status.state, status.progress) == ("running", 0.0)


def test_a_run_that_was_taken_up_again_is_not_finished_by_its_earlier_end(make_run):
    folder = make_run()
    state = folder / "trainer_state.json"
    state.write_text("{}", encoding="utf-8")
    earlier = (folder / "run_info.json").stat().st_mtime - 100
    os.utime(state, (earlier, earlier))
    assert read_run(folder).status().state == "running"


def test_a_slow_run_may_be_silent_for_longer(make_run):
    rows = [{"step": step, "loss": 1.0, "remaining_seconds": 40_000.0} for step in (10, 20, 60)]
    folder = make_run(rows=rows)
    # 1,000 s a step, 40 steps between the last two rows.
    assert read_run(folder).status(time.time() + 100_000).state == "running"
    assert read_run(folder).status(time.time() + 300_000).state == "silent"


def test_the_signature_changes_with_what_is_written(make_run):
    folder = make_run()
    before = signature([folder])
    assert signature([folder]) == before
    with (folder / "training_log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 61}\n')
    assert signature([folder]) != before


def test_runs_are_named_by_what_tells_them_apart(make_run):
    folders = [make_run("small/seed-1"), make_run("base/seed-1")]
    assert [run.name for run in find_runs(folders)] == ["small/seed-1", "base/seed-1"]
    assert [run.name for run in find_runs(folders, ["A", "B"])] == ["A", "B"]


@pytest.mark.parametrize(("names", "message"), [(["A"], "1 given for 2 runs"), (["A", "A"], "two are the same")])
def test_names_must_fit_the_runs(names: list[str], message: str, make_run):
    with pytest.raises(UsageError, match=message):
        find_runs([make_run("a"), make_run("b")], names)


def test_folders_without_a_run_are_refused(make_run, tmp_path: Path):
    with pytest.raises(UsageError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(CheckpointError, match="neither a log"):
        find_runs([tmp_path])
    folder = make_run()
    with pytest.raises(UsageError, match="given twice"):
        find_runs([folder, folder / ".." / folder.name])


def test_a_study_stands_for_its_runs(make_run, tmp_path: Path, fine_tuned: Path):
    for name in ("mlm", "rtd"):
        make_run(f"study/pretraining/{name}")
    (tmp_path / "study" / "finetuning").mkdir()
    fine_tuned.rename(tmp_path / "study" / "finetuning" / "rtd-sst2")
    assert [run.name for run in find_runs([tmp_path / "study"])] == ["mlm", "rtd", "rtd-sst2"]


def test_scores_of_tasks_in_subfolders_are_found(fine_tuned: Path):
    run = read_run(fine_tuned.parent)
    assert [content["task_name"] for content in run.scores] == ["sst2"]
    assert facts_of(run)["Fine-tuned from"] == "outputs/demo"


@pytest.mark.parametrize("spread", [{"values": [0.5]}, {"values": ["a"]}, {"values": 0.5}])
def test_damaged_scores_are_named(spread: dict, tmp_path: Path):
    content = {"task_name": "sst2", "eval_accuracy": spread}
    (tmp_path / "eval_results.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"eval_results\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("file", ["run_info.json", "config.json", "pretraining_config.yaml", "all_results.json"])
def test_a_damaged_file_is_named(file: str, make_run):
    folder = make_run()
    (folder / file).write_text("{[", encoding="utf-8")
    with pytest.raises(CheckpointError, match=file):
        read_run(folder)


@pytest.mark.parametrize("value", [None, "many", [], -1, True, float("nan")])
def test_odd_values_of_the_information_are_taken_as_unknown(value, make_run):
    info = {**INFO, "max_steps": value, "tokens_per_step": value, "vocab_size": value, "parameters": value}
    run = read_run(make_run(info=info))
    assert run.tokens_per_step is None and run.max_steps is None
    assert "Parameters" not in facts_of(run) or value == -1
    assert run.bands["rtd_loss"].chance == pytest.approx(math.log(2)) and run.status().state == "running"
