"""run_pretraining.py --hpo optuna: trials on the same blocks, a table, and a file that repeats the best one."""

import csv

import pytest
import yaml
from tiny_script import TINY, assert_explained, prepared_files, read_json

pytest.importorskip("optuna")

SPACE = "learning_rate: {choices: [1.0e-3, 1.0e-6]}\nwarmup_steps: {choices: [0, 2]}\n"


@pytest.fixture
def options(corpus, tmp_path) -> tuple:
    (tmp_path / "space.yaml").write_text(SPACE)
    return (
        *(*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path / "search"),
        *("--hpo", "optuna", "--hpo_space", tmp_path / "space.yaml"),
    )


def test_a_search_goes_on_and_its_best_trial_can_be_repeated(options, run, cache, tmp_path):
    done = run(*options, "--hpo_trials", "2")
    assert done.code == 0, done.stderr
    folder, blocks = tmp_path / "search", prepared_files(cache)
    done = run(*options, "--hpo_trials", "4", "--hpo_timeout", "30")
    assert done.code == 0, done.stderr
    assert prepared_files(cache) == blocks
    rows = list(csv.DictReader((folder / "hpo_trials.csv").open(encoding="utf-8")))
    assert sorted((row["learning_rate"], row["warmup_steps"]) for row in rows) == [
        ("0.001", "0"),
        ("0.001", "2"),
        ("1e-06", "0"),
        ("1e-06", "2"),
    ]
    scores = {row["trial"]: float(row["eval_loss"]) for row in rows}
    best = min(rows, key=lambda row: float(row["eval_loss"]))
    assert "eval_loss" in done.stdout and (folder / "hpo_trials.png").stat().st_size > 1_000
    assert (folder / "trial-0" / "trainer_state.json").is_file()
    assert not list(folder.rglob("*.safetensors")), "weights of trials are not kept"

    settings = yaml.safe_load((folder / "best_parameters.yaml").read_text())
    assert settings["learning_rate"] == float(best["learning_rate"]) and "hpo_trials" not in settings
    repeated = run("--config", folder / "best_parameters.yaml", "--output_dir", tmp_path / "best")
    assert repeated.code == 0, repeated.stderr
    assert read_json(tmp_path / "best" / "eval_results.json")["eval_loss"] == scores[best["trial"]]


def test_what_cannot_be_searched_is_refused(options, run, tmp_path):
    (tmp_path / "space.yaml").write_text("mlm_probability: {choices: [0.15, 0.3]}\n")
    assert_explained(run(*options), 2, ["space.yaml", "unknown option 'mlm_probability'"])


def test_a_search_needs_held_out_text(options, run):
    done = run(*options, "--validation_split_percentage", "0")
    assert_explained(done, 2, ["--do_eval", "--validation_split_percentage above 0"])
