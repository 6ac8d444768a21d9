"""run_glue.py from files to scores."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_glue import RECIPE, run_glue, scores, sentences, write_csv
from transformers import AutoModelForSequenceClassification, pipeline


@pytest.fixture(scope="module")
def two_seeds(glue: ModuleType, encoder: Path, files: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory):
    """The folder of a run of seeds 7 and 8, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    options = ("--model_name_or_path", encoder, *files, *RECIPE, "--do_predict", "--num_seeds", "2", "--seed", "7")
    done = run_glue(glue, *options, "--output_dir", folder)
    assert done.code == 0, done.stderr
    return folder, done.stdout


def logits(folder: Path, seed: int, split: str = "validation") -> np.ndarray:
    with np.load(folder / f"seed-{seed}" / "outputs.npz") as arrays:
        return arrays[split]


def test_it_learns_and_the_numbers_of_all_seeds_are_there(two_seeds: tuple[Path, str]):
    folder, _ = two_seeds
    results = scores(folder)
    accuracy = results["eval_accuracy"]
    assert results["seeds"] == [7, 8] and len(accuracy["values"]) == 2
    assert min(accuracy["values"]) > 0.9
    assert accuracy["median"] == pytest.approx(np.median(accuracy["values"]))
    assert accuracy["std"] == pytest.approx(np.std(accuracy["values"], ddof=1))
    assert "test_accuracy" not in results, "the test split belongs to other files, and selects nothing"
    assert len(scores(folder, "test_results.json")["test_accuracy"]["values"]) == 2
    everything = scores(folder, "all_results.json")
    assert {"eval_accuracy", "test_accuracy", "train_runtime"} <= set(everything)
    assert everything["eval_samples"] == 40


def test_a_person_is_told_what_happened_and_how_to_go_on(two_seeds: tuple[Path, str]):
    folder, printed = two_seeds
    for text in [
        "train 240, validation 40, test 20",
        "seed 7:",
        "seed 8:",
        "accuracy",
        "electra-hf push",
        str(folder),
    ]:
        assert text in printed
    for name in ["results.md", "results.png", "README.md", "finetuning_config.yaml", "config.json"]:
        assert (folder / name).stat().st_size > 0


def test_the_saved_model_works_without_us_and_is_the_best_seed(two_seeds: tuple[Path, str], files: tuple[str, ...]):
    folder, _ = two_seeds
    values = scores(folder)["eval_accuracy"]["values"]
    best = [7, 8][int(np.argmax(values))]
    classifier = pipeline("text-classification", model=str(folder), top_k=None, function_to_apply="none")
    rows = sentences(40, seed=1)  # the validation file
    outputs = [{item["label"]: item["score"] for item in found} for found in classifier([text for text, _ in rows])]
    found = np.array([[output["bad"], output["good"]] for output in outputs])
    assert np.allclose(found, logits(folder, best), atol=1e-4)


def test_seeds_in_one_process_equal_separate_runs(
    two_seeds: tuple[Path, str], glue: ModuleType, encoder: Path, files: tuple[str, ...], tmp_path: Path
):
    folder, _ = two_seeds
    for seed in (8, 7):
        alone = tmp_path / str(seed)
        options = ("--model_name_or_path", encoder, *files, *RECIPE, "--seed", str(seed), "--output_dir", alone)
        assert run_glue(glue, *options).code == 0
        assert np.array_equal(logits(alone, seed), logits(folder, seed))
        assert scores(alone)["eval_accuracy"]["values"][0] in scores(folder)["eval_accuracy"]["values"]


def test_evaluating_the_saved_model_gives_its_scores_again(
    two_seeds: tuple[Path, str], glue: ModuleType, files: tuple[str, ...], tmp_path: Path
):
    folder, _ = two_seeds
    options = ("--model_name_or_path", folder, *files[2:], *RECIPE, "--no_do_train", "--output_dir", tmp_path / "out")
    done = run_glue(glue, *options)
    assert done.code == 0, done.stderr
    assert scores(tmp_path / "out")["eval_accuracy"]["values"] == [max(scores(folder)["eval_accuracy"]["values"])]


def test_the_sampler_of_training_does_not_reach_the_evaluation(
    two_seeds: tuple[Path, str], glue: ModuleType, files: tuple[str, ...], tmp_path: Path
):
    folder, _ = two_seeds
    best = [7, 8][int(np.argmax(scores(folder)["eval_accuracy"]["values"]))]
    sampling = ("--train_sampling_strategy", "group_by_length", "--dataloader_drop_last", "true")
    options = ("--model_name_or_path", folder, *files[2:], *RECIPE, *sampling, "--no_do_train", "--do_predict")
    done = run_glue(glue, *options, "--per_device_eval_batch_size", "16", "--output_dir", tmp_path, "--seed", "7")
    assert done.code == 0, done.stderr
    for split in ("validation", "test"):
        assert np.allclose(logits(tmp_path, 7, split), logits(folder, best, split), atol=1e-4)


def test_finished_seeds_are_kept_and_a_killed_one_is_run_again(
    glue: ModuleType, encoder: Path, files: tuple[str, ...], tmp_path: Path
):
    folder = tmp_path / "run"
    options = ("--model_name_or_path", encoder, *files, *RECIPE, "--seed", "7", "--output_dir", folder)
    assert run_glue(glue, *options).code == 0
    first = (folder / "seed-7" / "results.json").stat().st_mtime_ns
    refused = run_glue(glue, *options, "--num_seeds", "2")
    assert refused.code == 2 and "--resume_from_checkpoint auto" in refused.stderr
    done = run_glue(glue, *options, "--num_seeds", "2", "--resume_from_checkpoint", "auto")
    assert done.code == 0, done.stderr
    assert (folder / "seed-7" / "results.json").stat().st_mtime_ns == first
    assert scores(folder)["seeds"] == [7, 8]
    other = run_glue(glue, *options, "--learning_rate", "1e-3", "--resume_from_checkpoint", "auto")
    assert other.code != 0 and "learning_rate" in other.stderr


def test_a_score_for_a_number(glue: ModuleType, encoder: Path, tmp_path: Path):
    def rows(count: int, seed: int) -> list[tuple]:
        return [(text, 4.5 if label == "good" else 1.5) for text, label in sentences(count, seed)]

    train = write_csv(tmp_path / "train.csv", ("text", "label"), rows(240, 0))
    validation = write_csv(tmp_path / "validation.csv", ("text", "label"), rows(40, 1))
    options = ("--model_name_or_path", encoder, "--train_file", train, "--validation_file", validation, *RECIPE)
    done = run_glue(glue, *options, "--task_kind", "regression", "--output_dir", tmp_path / "out")
    assert done.code == 0, done.stderr
    assert scores(tmp_path / "out")["eval_pearson"]["median"] > 0.5
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").config
    assert config.num_labels == 1 and config.problem_type == "regression"


def test_a_seed_that_diverges_is_told_in_words(
    glue: ModuleType, encoder: Path, files: tuple[str, ...], tmp_path: Path
):
    options = ("--model_name_or_path", encoder, *files, *RECIPE, "--learning_rate", "1e30", "--max_grad_norm", "0")
    done = run_glue(glue, *options, "--output_dir", tmp_path / "out")
    assert done.code == 1
    assert "no seed could be trained" in done.stderr and "--learning_rate" in done.stderr


def test_a_search_on_validation_data_then_all_seeds_with_the_best(
    glue: ModuleType, encoder: Path, files: tuple[str, ...], tmp_path: Path
):
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: {choices: [1.0e-6, 1.0e-2]}\n", encoding="utf-8")
    folder = tmp_path / "run"
    options = ("--model_name_or_path", encoder, *files, *RECIPE, "--seed", "7", "--output_dir", folder)
    search = ("--hpo", "optuna", "--hpo_space", space)
    done = run_glue(glue, *options, *search)
    assert done.code == 0, done.stderr
    assert "learning_rate: 0.01" in (folder / "best_parameters.yaml").read_text(encoding="utf-8")
    assert (folder / "hpo_trials.md").is_file() and (folder / "hpo_trials.png").is_file()
    assert scores(folder)["eval_accuracy"]["values"][0] > 0.9
    again = run_glue(glue, *options, *search, "--resume_from_checkpoint", "auto")
    assert again.code == 0, again.stderr
    assert len(list((folder / "hpo").iterdir())) == 2, "both values had been tried"
