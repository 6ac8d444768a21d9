"""A search finds the best values, goes on where it ended, and survives what goes wrong."""

import json
import math
import multiprocessing
import os
import signal
import sqlite3
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml
from filelock import FileLock

from electra_hf.errors import TrainingError, UsageError
from electra_hf.parser import ConfigArgumentParser
from electra_hf.training.search import ReportToTrial, SearchArguments, score_of, search
from electra_hf.training.search.space import read_space

optuna = pytest.importorskip("optuna")

OPTIONS = ("x", "width", "kind")
RANGE = read_space({"x": {"low": -3.0, "high": 3.0}}, OPTIONS)
GRID = read_space({"width": {"choices": [1, 2, 3]}, "kind": {"choices": ["a", "b"]}}, OPTIONS)


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """The search collects after each trial, for the memory of a device; here that is most of the time."""
    monkeypatch.setattr("electra_hf.training.search.run.gc", SimpleNamespace(collect=lambda: None))


def parabola(values, trial) -> float:
    return -((values["x"] - 1.0) ** 2)


def run(folder, objective=parabola, space=RANGE, metric="eval_accuracy", trials=6, **more):
    options = {name: more.pop(name) for name in list(more) if name.startswith("hpo_")}
    arguments = SearchArguments(hpo="optuna", hpo_trials=trials, **options)
    return search(objective, space, arguments, folder, metric=metric, **more)


def tried(result) -> list:
    return [(trial.values, trial.score) for trial in result.trials]


def test_the_best_trial_is_found_and_can_be_repeated(tmp_path):
    result = run(tmp_path, trials=16, fixed={"weight_decay": 0.0, "hpo_trials": 16, "output_dir": "here"})
    scores = [trial.score for trial in result.trials]
    assert len(scores) == 16 and result.best.score == max(scores) > -0.25
    assert all(-3 <= trial.values["x"] <= 3 and trial.state == "complete" for trial in result.trials)
    best = tmp_path / "best_parameters.yaml"
    assert yaml.safe_load(best.read_text()) == {"x": result.best.values["x"], "weight_decay": 0.0}
    assert f"Trial {result.best.number}" in best.read_text()


@pytest.mark.parametrize(
    ("metric", "more", "best"),
    [("eval_loss", {}, min), ("eval_accuracy", {}, max), ("eval_accuracy", {"hpo_direction": "minimize"}, min)],
)
def test_direction_follows_the_metric_unless_given(metric, more, best, tmp_path):
    result = run(tmp_path, metric=metric, trials=3, **more)
    assert result.best.score == best(trial.score for trial in result.trials)


def test_the_same_seed_tries_the_same_values(tmp_path):
    first, second = run(tmp_path / "a", trials=4), run(tmp_path / "b", trials=4)
    assert tried(first) == tried(second)
    assert tried(run(tmp_path / "c", trials=4, hpo_seed=1)) != tried(first)


def test_a_search_goes_on_to_the_total(tmp_path):
    """And to the trials that it would have had without a pause, beyond the sampler's random beginning too."""
    whole = run(tmp_path / "whole", trials=12)
    calls = []
    for total in (4, 11, 12, 12):
        part = run(tmp_path / "parts", lambda values, trial: calls.append(1) or parabola(values, trial), trials=total)
        assert len(part.trials) == total
    assert len(calls) == 12
    assert tried(part) == tried(whole)


def test_the_recipe_itself_is_tried_first(tmp_path):
    result = run(tmp_path / "inside", trials=2, start={"x": 1.0, "other": 3})
    assert result.trials[0].values == {"x": 1.0} and result.best.number == 0
    assert run(tmp_path / "outside", trials=1, start={"x": 5.0}).trials[0].values != {"x": 5.0}


def test_few_combinations_are_all_tried_once(tmp_path):
    def score(values, trial):
        return values["width"] * (2 if values["kind"] == "b" else 1)

    result = run(tmp_path, score, GRID, trials=20, start={"width": 2, "kind": "a"})
    combinations = [tuple(trial.values.values()) for trial in result.trials]
    assert sorted(combinations) == sorted((w, k) for w in (1, 2, 3) for k in "ab")
    assert combinations[0] == (2, "a")
    assert result.best.values == {"width": 3, "kind": "b"}


def test_values_that_were_tried_are_not_trained_again(tmp_path):
    trained = []

    def score(values, trial):
        trained.append(tuple(values.values()))
        return float(values["width"])

    result = run(tmp_path, score, GRID, trials=5)
    assert len(result.trials) == 5 and len(trained) == len(set(trained))
    repeated = [trial for trial in result.trials if trial.reason]
    assert len(trained) + len(repeated) == 5
    for trial in repeated:
        twin = next(t for t in result.trials if trial.reason == f"as trial {t.number}")
        assert (twin.values, twin.score) == (trial.values, trial.score)


# What goes wrong


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TrainingError("the loss is nan at step 7"), "the loss is nan at step 7"),
        (torch.OutOfMemoryError("CUDA out of memory.\nmore"), "CUDA out of memory."),
        (math.nan, "the score is nan"),
    ],
)
def test_a_trial_that_fails_is_not_the_end(failure, reason, tmp_path):
    def objective(values, trial):
        if trial.number in (0, 2):
            if isinstance(failure, float):
                return failure
            raise failure
        return parabola(values, trial)

    result = run(tmp_path, objective, trials=4)
    assert [trial.state for trial in result.trials] == ["failed", "complete", "failed", "complete"]
    assert result.trials[2].reason == reason and result.trials[2].score is None
    assert result.best.number in (1, 3)


def test_a_search_without_success_says_so(tmp_path):
    def diverge(values, trial):
        raise TrainingError("the loss is nan")

    with pytest.raises(TrainingError, match="none of 3 trials succeeded.*the loss is nan.*smaller learning rates"):
        run(tmp_path, diverge, trials=3)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UsageError("--bf16: not here"), ZeroDivisionError()])
def test_an_interrupted_trial_is_repeated(error, tmp_path):
    whole = run(tmp_path / "whole", trials=4)
    interrupted = []

    def objective(values, trial):
        if len(interrupted) == 0 and trial.number == 2:
            interrupted.append(values)
            raise error
        return parabola(values, trial)

    with pytest.raises(type(error)):
        run(tmp_path / "parts", objective, trials=4)
    result = run(tmp_path / "parts", objective, trials=4)
    assert tried(result) == tried(whole)
    assert result.trials[2].values == interrupted[0] and result.trials[2].number == 3


def kill_itself_in_the_third_trial(folder) -> None:
    def objective(values, trial):
        if trial.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return parabola(values, trial)

    run(folder, objective, trials=4)


def test_a_killed_search_goes_on(tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=kill_itself_in_the_third_trial, args=(tmp_path / "killed",)
    )
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    result = run(tmp_path / "killed", trials=4)
    assert tried(result) == tried(run(tmp_path / "whole", trials=4))
    assert [trial.number for trial in result.trials] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"space": GRID, "objective": lambda values, trial: 1.0}, "another space"),
        ({"metric": "eval_loss"}, "another metric, direction"),
        ({"fixed": {"num_train_epochs": 4}}, "another num_train_epochs"),
    ],
)
def test_another_search_in_the_same_place_is_refused(change, named, tmp_path):
    run(tmp_path, fixed={"num_train_epochs": 3}, trials=1)
    with pytest.raises(UsageError, match=named):
        run(tmp_path, **{"fixed": {"num_train_epochs": 3}, **change})


def test_two_folders_share_one_study(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIES", str(tmp_path / "studies"))
    first = run(tmp_path / "a", trials=3, hpo_storage="$STUDIES/all.db")
    assert (tmp_path / "studies" / "all.db").is_file()
    second = run(tmp_path / "b", trials=5, hpo_storage=f"sqlite:///{tmp_path}/studies/all.db")
    assert tried(second)[:3] == tried(first) and len(second.trials) == 5


def test_searches_with_names_of_their_own_share_a_database(tmp_path):
    where = {"hpo_storage": str(tmp_path / "all.db"), "trials": 2}
    run(tmp_path / "rte", name="rte", fixed={"x": 0}, identity={"rows": 3}, **where)
    other = run(tmp_path / "wnli", name="wnli", identity={"rows": 4}, **where)
    assert len(other.trials) == 2 and all(trial.seconds >= 0 and not trial.reason for trial in other.trials)
    with pytest.raises(UsageError, match="another rows"):
        run(tmp_path / "rte", name="rte", fixed={"x": 0}, identity={"rows": 4}, **where)


def test_a_trial_of_another_process_is_left_alone(tmp_path):
    def objective(values, trial):
        inner = run(tmp_path / "b", trials=2, hpo_storage=str(tmp_path / "all.db"))
        assert [t.state for t in inner.trials] == ["running", "complete"]
        return 0.0

    result = run(tmp_path / "a", objective, trials=2, hpo_storage=str(tmp_path / "all.db"))
    assert [trial.state for trial in result.trials] == ["complete", "complete"]


def test_one_folder_serves_one_process(tmp_path):
    with FileLock(tmp_path / ".hpo.lock"), pytest.raises(UsageError, match="another process searches in"):
        run(tmp_path)


def test_folders_with_odd_names(tmp_path):
    folder = tmp_path / "실험 #1 100%?x=1"
    run(folder, trials=2)
    assert (folder / "hpo.db").is_file()
    assert len(run(folder, trials=3).trials) == 3


def test_a_database_that_is_none(tmp_path):
    (tmp_path / "hpo.db").write_text("these are no tables, but words\n" * 99)
    with pytest.raises(UsageError, match=r"hpo\.db in --output_dir\) cannot be used: .*not a database"):
        run(tmp_path)


def test_a_database_of_another_program(tmp_path):
    with sqlite3.connect(tmp_path / "mine.db") as connection:
        connection.execute("CREATE TABLE studies (a TEXT)")
    with pytest.raises(UsageError, match="--hpo_storage.*cannot be used"):
        run(tmp_path, hpo_storage=str(tmp_path / "mine.db"))


def test_optuna_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r'pip install "electra_hf\[search\]"'):
        run(tmp_path)


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--hpo runs in one process"):
        run(tmp_path)


def test_timeout_starts_no_trial(tmp_path):
    result = run(tmp_path, lambda values, trial: 1.0, trials=50, hpo_timeout=1e-9)
    assert result.trials == () and result.best is None


# The Trainer's side


def test_the_pruner_hears_of_evaluations(tmp_path):
    def objective(values, trial):
        callback = ReportToTrial(trial, "accuracy")
        for step in range(1, 5):
            state = SimpleNamespace(global_step=step, max_steps=4)
            score = 0.1 if trial.number == 7 else 0.5 + trial.number / 100
            callback.on_evaluate(None, state, None, metrics={"eval_accuracy": score})
        return score

    result = run(tmp_path, objective, trials=9, hpo_pruner="median")
    assert [trial.number for trial in result.trials if trial.state == "pruned"] == [7]
    assert "below the median at step 1" in result.trials[7].reason and result.trials[7].score is None
    assert {t.state for t in run(tmp_path / "off", objective, trials=9).trials} == {"complete"}


def test_score_by_name():
    metrics = {"eval_accuracy": 0.5, "epoch": 1.0, "note": "x"}
    assert score_of(metrics, "accuracy") == score_of(metrics, "eval_accuracy") == 0.5
    with pytest.raises(UsageError, match="no such metric; it has epoch, eval_accuracy"):
        score_of(metrics, "f1")
    with pytest.raises(UsageError, match="test data are never used"):
        score_of({"test_accuracy": 0.5}, "test_accuracy")


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--hpo_trials", "0"], "--hpo_trials is 0"), (["--hpo_timeout", "-1"], "--hpo_timeout is -1")],
)
def test_options_that_cannot_be(options, named):
    with pytest.raises(UsageError, match=named):
        ConfigArgumentParser((SearchArguments,)).parse(options)


def test_options_from_a_file(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text("hpo: optuna\nhpo_space:\n  x: {low: 1, high: 2}\n")
    (arguments,) = ConfigArgumentParser((SearchArguments,)).parse(["--config", str(path), "--hpo_pruner", "median"])
    assert json.loads(arguments.hpo_space) == {"x": {"low": 1, "high": 2}} and arguments.hpo_pruner == "median"
