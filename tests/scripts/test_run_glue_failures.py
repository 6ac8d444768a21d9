"""What run_glue.py says to input that cannot work: what was found, where, and what to do."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from safetensors.torch import load_file, save_file
from tiny_glue import RECIPE, make_encoder, run_glue, sentences, write_csv, write_files
from tiny_script import Finished, assert_explained


@pytest.fixture
def run(glue: ModuleType, encoder: Path, tmp_path: Path):
    """Run the script on these files; the validation file is sound unless it is given."""

    def start(
        train: list[tuple], *options: str | Path, validation: list[tuple] | None = None, **names: Path
    ) -> Finished:
        files = write_files(tmp_path / "files")
        path = write_csv(tmp_path / "given_train.csv", ("text", "label"), train)
        dev = files[3] if validation is None else write_csv(tmp_path / "dev.csv", ("text", "label"), validation)
        model = names.get("model", encoder)
        data = ("--train_file", path, "--validation_file", dev)
        return run_glue(glue, "--model_name_or_path", model, *data, *RECIPE, "--output_dir", tmp_path / "o", *options)

    return start


SOUND = sentences(32, seed=5)


def test_a_column_that_is_not_there(run):
    assert_explained(run(SOUND, "--text_column_name", "txt"), 1, ["given_train.csv", "'txt'", "text"])


def test_a_label_that_training_does_not_know(run):
    done = run(SOUND, validation=[("the film", "good"), ("a plot", "ugly")])
    assert_explained(done, 1, ["dev.csv", "ugly", "'bad', 'good'"])


def test_scores_for_a_classification(run):
    rows = [(text, f"{number / 7:.3f}") for number, (text, _) in enumerate(SOUND)]
    assert_explained(run(rows, "--task_kind", "classification", validation=rows), 1, ["given_train.csv", "regression"])


def test_names_for_a_regression(run):
    assert_explained(run(SOUND, "--task_kind", "regression"), 1, ["given_train.csv", "classification"])


def test_empty_texts_are_kept_counted_and_told(run, tmp_path: Path):
    done = run([*SOUND, ("", "good"), ("", "bad")])
    assert done.code == 0, done.stderr
    notes = json.loads((tmp_path / "o" / "eval_results.json").read_text(encoding="utf-8"))["notes"]
    assert any("2" in note and "empty" in note for note in notes), notes


def test_a_task_with_a_typo(glue: ModuleType, encoder: Path, tmp_path: Path):
    done = run_glue(glue, "--model_name_or_path", encoder, "--task_name", "sts2", "--output_dir", tmp_path / "o")
    assert_explained(done, 2, ["'sts2'", "sst2"])


def test_a_model_without_a_tokenizer(run, tmp_path: Path):
    bare = make_encoder(tmp_path / "bare", with_tokenizer=False)
    assert_explained(run(SOUND, model=bare), 1, [str(bare), "--tokenizer_name"])


def test_weights_that_are_missing(run, tmp_path: Path):
    damaged = make_encoder(tmp_path / "damaged")
    weights = load_file(damaged / "model.safetensors")
    name = next(key for key in weights if "layer.0.output.dense.weight" in key)
    del weights[name]
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    assert_explained(run(SOUND, model=damaged), 1, [str(damaged), "layer.0.output.dense.weight"])


def test_a_model_that_is_not_there(run, tmp_path: Path):
    assert_explained(run(SOUND, model=tmp_path / "nowhere"), 1, ["nowhere"])


def test_no_data_at_all(glue: ModuleType, encoder: Path, tmp_path: Path):
    done = run_glue(glue, "--model_name_or_path", encoder, "--output_dir", tmp_path / "o")
    assert_explained(done, 2, ["--task_name", "--train_file"])


def test_an_example_longer_than_the_model_reads(run):
    assert_explained(run(SOUND, "--max_seq_length", "64"), 2, ["--max_seq_length 64", "32"])


def test_the_training_split_alone_cannot_be_evaluated_without_training(run, tmp_path: Path):
    done = run(SOUND, "--no_do_train")
    assert_explained(done, 1, ["no classification head"])
