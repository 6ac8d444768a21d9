"""run_glue.py --hpo optuna: which settings every file names, and what cannot be searched."""

import csv
import json
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tiny_glue import RECIPE, make_encoder, run_glue, scores, sentences, write_csv, write_files
from tiny_script import Finished, assert_explained

pytest.importorskip("optuna")

SEARCH = ("--hpo", "optuna", "--hpo_space", '{"learning_rate": {"choices": [1e-6, 1e-2]}}')


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    folder = tmp_path_factory.mktemp("search")
    files = write_files(folder / "files")[:4]
    return "--model_name_or_path", make_encoder(folder / "encoder"), *files, *RECIPE, "--learning_rate", "1e-6"


@pytest.fixture
def go(glue: ModuleType, options: tuple[str | Path, ...], tmp_path: Path):
    """Run the script with `tmp_path / "run"` as its output folder."""

    def start(*more: str | Path) -> Finished:
        return run_glue(glue, *options, "--seed", "7", "--output_dir", tmp_path / "run", *more)

    return start


def space(content: dict) -> tuple[str, ...]:
    return "--hpo", "optuna", "--hpo_space", json.dumps(content)


def test_every_file_names_what_the_search_found(go, glue: ModuleType, tmp_path: Path):
    done = go(*SEARCH)
    assert done.code == 0, done.stderr
    results = scores(tmp_path / "run", "all_results.json")
    assert results["settings"]["learning_rate"] == 0.01
    assert results["settings"]["layerwise_lr_decay"] == 1.0 and results["settings"]["examples_per_step"] == 16
    assert any("best of 2 trials with seed 7, judged on validation" in note for note in results["notes"])
    for name in ("finetuning_config.yaml", "best_parameters.yaml"):
        config = yaml.safe_load((tmp_path / "run" / name).read_text(encoding="utf-8"))
        assert config["learning_rate"] == 0.01 and config["seed"] == 7 and "hpo" not in config
        again = tmp_path / f"again-{name}"
        done = run_glue(glue, "--config", tmp_path / "run" / name, "--use_cpu", "--output_dir", again)
        assert done.code == 0, done.stderr
        assert scores(again)["eval_loss"]["values"] == results["eval_loss"]["values"]


def test_a_search_that_finds_better_values_later_trains_the_seeds_anew(go, tmp_path: Path):
    worse = space({"learning_rate": {"choices": [1e-6, 1e-2]}})
    done = go(*worse, "--hpo_trials", "1")
    assert done.code == 0, done.stderr
    first = scores(tmp_path / "run")["eval_loss"]["values"]
    done = go(*worse, "--hpo_trials", "2", "--resume_from_checkpoint", "auto")
    assert done.code == 0, done.stderr
    assert scores(tmp_path / "run")["eval_loss"]["values"] < first
    other = go(*worse, "--hpo_trials", "2", "--resume_from_checkpoint", "auto", "--weight_decay", "0.1")
    assert_explained(other, 2, ["another weight_decay"])


def test_a_search_on_other_examples_or_seeds_is_another_search(go, tmp_path: Path):
    storage = ("--hpo_storage", tmp_path / "all.db")
    assert go(*SEARCH, *storage).code == 0
    other_seed = go(*SEARCH, *storage, "--seed", "8", "--output_dir", tmp_path / "other")
    assert_explained(other_seed, 2, ["another seed"])
    other = write_csv(tmp_path / "validation.csv", ("text", "label"), sentences(40, seed=9))
    done = go(*SEARCH, *storage, "--validation_file", other, "--output_dir", tmp_path / "other")
    assert_explained(done, 2, ["validation data"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"loss_reduction": {"choices": ["sum", "avg"]}}, ["loss_reduction", "'avg'", "mean"]),
        ({"layerwise_lr_decay_mode": {"choices": ["papr"]}}, ["layerwise_lr_decay_mode", "'papr'"]),
        ({"double_unordered": {"choices": [True, False]}}, ["single texts", "double_unordered"]),
        ({"do_predict": {"choices": [True, False]}}, ["do_predict cannot be searched"]),
        ({"logging_steps": {"choices": [1, 2]}}, ["logging_steps cannot be searched"]),
        ({"metric": {"choices": ["f1"]}}, ["metric cannot be searched"]),
        ({"learning_rate": {"low": -1, "high": 1}}, ["--learning_rate is -1"]),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_trial(go, tmp_path: Path, content: dict, said: list[str]):
    assert_explained(go(*space(content)), 2, said)
    assert not (tmp_path / "run" / "hpo").exists()


def test_both_orders_of_pairs_can_be_searched(glue: ModuleType, tmp_path: Path):
    texts = ["was fine", "was dull"]
    rows = [json.dumps({"a": "the film", "b": texts[row % 2], "label": "yn"[row % 2]}) for row in range(20)]
    for name in ("train", "validation"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    files = ("--train_file", tmp_path / "train.jsonl", "--validation_file", tmp_path / "validation.jsonl")
    columns = ("--text_column_name", "a", "--text_pair_column_name", "b")
    run = ("--model_name_or_path", make_encoder(tmp_path / "encoder"), *files, *columns, *RECIPE)
    search = space({"double_unordered": {"choices": [False, True]}})
    done = run_glue(glue, *run, *search, "--output_dir", tmp_path / "run", "--hpo_metric", "loss")
    assert done.code == 0, done.stderr
    with (tmp_path / "run" / "hpo_trials.csv").open(encoding="utf-8") as file:
        once, twice = sorted(csv.DictReader(file), key=lambda row: row["double_unordered"])
    assert (once["double_unordered"], twice["double_unordered"]) == ("False", "True")
    assert once["loss"] != twice["loss"]


def test_a_search_needs_an_evaluation(go):
    assert_explained(go(*SEARCH, "--no_do_eval"), 2, ["--hpo", "--no_do_eval"])
