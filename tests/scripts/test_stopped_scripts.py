"""The scripts when they are told to stop: what they say, and that the same command goes on from there."""

import csv
import os
import signal

import pytest
from tiny_glue import RECIPE, run_glue, scores
from tiny_script import TINY, logged, train_rows

from electra_hf.training.base_trainer import ElectraTrainer


@pytest.fixture
def stop_at(monkeypatch):
    """Let this process get SIGTERM in its n-th training step, counted over all runs in it."""
    step = ElectraTrainer.training_step

    def ask(number: int) -> None:
        left = iter(range(number - 1, -1, -1))

        def training_step(self, *args, **kwargs):
            if next(left, None) == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, *args, **kwargs)

        monkeypatch.setattr(ElectraTrainer, "training_step", training_step)

    return ask


def test_pretraining_is_stopped_and_goes_on(run, stop_at, first_run, corpus, tmp_path):
    options = (*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    stop_at(3)
    stopped = run(*options)
    assert stopped.code == 75
    place = tmp_path / "checkpoint-3"
    assert stopped.stderr.splitlines()[-1] == (
        f"stopped by SIGTERM after step 3 of 4, saved in {place}: go on with the same command and "
        "--resume_from_checkpoint auto"
    )
    assert not (tmp_path / "model.safetensors").exists(), "the run is not finished"
    resumed = run(*options, "--resume_from_checkpoint", "auto")
    assert resumed.code == 0, resumed.stderr
    assert train_rows(tmp_path) == train_rows(first_run)
    assert logged(tmp_path)[-1]["eval_loss"] == logged(first_run)[-1]["eval_loss"]


def test_finished_seeds_are_kept(glue, encoder, files, stop_at, tmp_path):
    options = ("--model_name_or_path", encoder, *files, *RECIPE, "--num_seeds", "2", "--seed", "7")
    whole = run_glue(glue, *options, "--output_dir", tmp_path / "whole")
    assert whole.code == 0, whole.stderr
    expected = scores(tmp_path / "whole")["eval_loss"]["values"]
    steps = 60  # 4 epochs of 240 examples in batches of 16
    stop_at(steps + 2)
    stopped = run_glue(glue, *options, "--output_dir", tmp_path / "run")
    assert stopped.code == 75
    place = tmp_path / "run" / "seed-8" / "checkpoint-2"
    assert f"stopped by SIGTERM after step 2 of {steps}, saved in {place}" in stopped.stderr
    first = (tmp_path / "run" / "seed-7" / "results.json").read_bytes()
    # A limit and the watch change nothing of a seed.
    more = ("--resume_from_checkpoint", "auto", "--max_train_minutes", "1e6", "--hang_timeout", "0")
    resumed = run_glue(glue, *options, "--output_dir", tmp_path / "run", *more)
    assert resumed.code == 0, resumed.stderr
    assert (tmp_path / "run" / "seed-7" / "results.json").read_bytes() == first
    assert scores(tmp_path / "run")["eval_loss"]["values"] == expected


def test_a_search_repeats_the_trial(run, stop_at, corpus, tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "space.yaml").write_text("learning_rate: {choices: [1.0e-3, 1.0e-6]}\n")
    options = (
        *(*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path / "search"),
        *("--hpo", "optuna", "--hpo_space", tmp_path / "space.yaml", "--hpo_trials", "2"),
    )
    stop_at(6)
    stopped = run(*options)
    assert stopped.code == 75
    assert "stopped by SIGTERM after step 2 of 4 of a trial, which begins anew" in stopped.stderr
    assert not list((tmp_path / "search").rglob("checkpoint-*"))
    done = run(*options)
    assert done.code == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "search" / "hpo_trials.csv").open(encoding="utf-8")))
    assert [row["state"] for row in rows] == ["complete", "complete"]
