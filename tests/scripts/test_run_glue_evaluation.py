"""run_glue.py --no_do_train, and what becomes of the head of a model that has one."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_glue import RECIPE, make_encoder, run_glue, scores, sentences, write_csv
from tiny_script import assert_explained


@pytest.fixture(scope="module")
def model(glue: ModuleType, files: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tuned to tell `bad` from `good`."""
    folder = tmp_path_factory.mktemp("models")
    encoder = make_encoder(folder / "encoder")
    options = ("--model_name_or_path", encoder, *files[:4], *RECIPE, "--output_dir", folder / "model")
    done = run_glue(glue, *options)
    assert done.code == 0, done.stderr
    return folder / "model"


@pytest.fixture
def judge(glue: ModuleType, model: Path, tmp_path: Path):
    """Run the script on the fine-tuned model."""
    fixed = ("--model_name_or_path", model, *RECIPE, "--output_dir", tmp_path / "out")
    return lambda *options: run_glue(glue, *fixed, *options)


def test_examples_that_lack_a_label_of_the_model(judge, tmp_path: Path):
    rows = [(text, label) for text, label in sentences(40, seed=3) if label == "good"]
    file = write_csv(tmp_path / "good.csv", ("text", "label"), rows)
    done = judge("--no_do_train", "--validation_file", file)
    assert done.code == 0, done.stderr
    with np.load(tmp_path / "out" / "seed-42" / "outputs.npz") as arrays:
        logits = arrays["validation"]
    assert logits.shape == (len(rows), 2)
    accuracy = float((logits[:, 1] > logits[:, 0]).mean())
    assert scores(tmp_path / "out")["eval_accuracy"]["values"] == [pytest.approx(accuracy)]
    assert accuracy > 0.9


def test_a_label_that_the_model_does_not_have(judge, tmp_path: Path):
    file = write_csv(tmp_path / "odd.csv", ("text", "label"), [("the film", "good"), ("a plot", "ugly")])
    assert_explained(judge("--no_do_train", "--validation_file", file), 1, ["bad, good", "good, ugly"])


def test_nothing_to_evaluate(judge, files: tuple[str, ...], tmp_path: Path):
    done = judge("--no_do_train", "--test_file", files[5])
    assert_explained(done, 2, ["nothing to evaluate", "test", "--do_predict"])
    done = judge("--no_do_train", "--no_do_eval", "--validation_file", files[3])
    assert_explained(done, 2, ["nothing to evaluate", "--no_do_eval"])
    assert not (tmp_path / "out").exists()


def test_seeds_without_training(judge, files: tuple[str, ...]):
    done = judge("--no_do_train", "--validation_file", files[3], "--num_seeds", "5")
    assert_explained(done, 2, ["--num_seeds", "--no_do_train"])


def test_a_head_that_is_trained_further_is_told(judge, files: tuple[str, ...], tmp_path: Path):
    done = judge(*files[:4], "--num_train_epochs", "1")
    assert done.code == 0, done.stderr
    assert any("its head is kept and trained further" in note for note in scores(tmp_path / "out")["notes"])


def test_checkpoints_are_selected_by_the_metric_that_judges(judge, files: tuple[str, ...], tmp_path: Path):
    selection = ("--save_strategy", "epoch", "--eval_strategy", "epoch", "--load_best_model_at_end")
    done = judge(*files[:4], *selection)
    assert done.code == 0, done.stderr
    states = list((tmp_path / "out" / "seed-42").glob("checkpoint-*/trainer_state.json"))
    assert states
    state = scores(states[0].parent, states[0].name)
    evaluations = [row["eval_accuracy"] for row in state["log_history"] if "eval_accuracy" in row]
    assert state["best_metric"] == max(evaluations)


def test_without_an_evaluation_no_metric_is_said_to_judge(judge, files: tuple[str, ...]):
    done = judge(*files[:4], "--no_do_eval", "--num_train_epochs", "1")
    assert done.code == 0, done.stderr
    assert "judged by" not in done.stdout and "best on validation" not in done.stdout
