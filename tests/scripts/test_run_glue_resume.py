"""run_glue.py taken up again: what is kept, what is trained again, and what is refused."""

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiny_glue import RECIPE, make_encoder, run_glue, scores, sentences, write_csv, write_files
from tiny_script import Finished, assert_explained
from transformers import pipeline

FILES = tuple(item for split in ("train", "validation", "test") for item in (f"--{split}_file", f"files/{split}.csv"))
OPTIONS = ("--model_name_or_path", "encoder", *FILES, *RECIPE, "--seed", "7", "--output_dir", "run")
AUTO = ("--resume_from_checkpoint", "auto")
RESULTS = "run/seed-7/results.json"


@pytest.fixture(scope="module")
def finished(glue: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, files, and a run of seed 7."""
    folder = tmp_path_factory.mktemp("finished")
    make_encoder(folder / "encoder")
    write_files(folder / "files")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = run_glue(glue, *OPTIONS)
    assert done.code == 0, done.stderr
    return folder


@pytest.fixture
def go_on(glue: ModuleType, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the script again, in a copy of the folder."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")

    def start(*options: str) -> Finished:
        return run_glue(glue, *OPTIONS, *options)

    return start


def written(name: str = RESULTS) -> int:
    return Path(name).stat().st_mtime_ns


def holder() -> int:
    """The seed whose outputs the model in the folder gives."""
    classifier: Any = pipeline("text-classification", model="run", top_k=None, function_to_apply="none")
    rows = [
        {each["label"]: each["score"] for each in row} for row in classifier([t for t, _ in sentences(40, seed=1)])
    ]
    found = np.array([[row["bad"], row["good"]] for row in rows])
    seeds = []
    for path in Path("run").glob("seed-*/outputs.npz"):
        with np.load(path) as arrays:
            if np.allclose(arrays["validation"], found, atol=1e-4):
                seeds.append(int(path.parent.name.removeprefix("seed-")))
    (seed,) = seeds
    return seed


def test_changed_examples_are_refused(go_on):
    write_csv(Path("files/train.csv"), ("text", "label"), sentences(240, seed=9))
    assert_explained(go_on(*AUTO), 2, ["seed-7", "train data", "240 rows", "another --output_dir"])


def test_a_changed_model_folder_is_refused(go_on):
    config = json.loads(Path("encoder/config.json").read_text())
    Path("encoder/config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    assert_explained(go_on(*AUTO), 2, ["seed-7", "model files"])


def test_another_task_is_refused(go_on):
    content = json.loads(Path(RESULTS).read_text())
    assert content["settings"]["task_name"] == "custom"
    content["settings"]["task_name"] = "rte"
    Path(RESULTS).write_text(json.dumps(content))
    assert_explained(go_on(*AUTO), 2, ["task_name was 'rte' and is 'custom'"])


def test_another_batch_is_refused(go_on):
    done = go_on(*AUTO, "--gradient_accumulation_steps", "2")
    assert_explained(done, 2, ["examples_per_step was 16 and is 32"])


def test_a_half_finished_seed_goes_on_only_with_its_own_settings(go_on):
    saving = ("--output_dir", "saved", "--save_strategy", "epoch")
    assert go_on(*saving).code == 0
    whole = scores(Path("saved"))["eval_loss"]["values"]
    Path("saved/seed-7/results.json").unlink()
    shutil.rmtree("saved/seed-7/checkpoint-60")
    other = go_on(*saving, *AUTO, "--learning_rate", "1e-3")
    assert_explained(other, 2, ["saved/seed-7: begun with other settings", "learning_rate was 0.01 and is 0.001"])
    done = go_on(*saving, *AUTO)
    assert done.code == 0, done.stderr
    assert scores(Path("saved"))["eval_loss"]["values"] == whole
    assert json.loads(Path("saved/seed-7/results.json").read_text())["train"]["steps"] == 60
    Path("saved/seed-7/results.json").unlink()
    Path("saved/seed-7/settings.json").unlink()
    assert_explained(go_on(*saving, *AUTO), 2, ["settings.json is missing"])


def test_predictions_can_be_asked_for_later(go_on):
    trained = json.loads(Path(RESULTS).read_text())["train"]
    done = go_on(*AUTO, "--do_predict")
    assert done.code == 0, done.stderr
    assert len(scores(Path("run"), "test_results.json")["test_accuracy"]["values"]) == 1
    assert len(Path("run/predict_results_custom.txt").read_text().splitlines()) == 21
    assert json.loads(Path(RESULTS).read_text())["train"] == trained, "it was not trained again"
    whole = go_on("--do_predict", "--output_dir", "whole")
    assert whole.code == 0, whole.stderr
    later, at_once = np.load("run/seed-7/outputs.npz"), np.load("whole/seed-7/outputs.npz")
    assert set(later) == set(at_once) == {"validation", "test"}
    assert all(np.allclose(later[split], at_once[split], atol=1e-5) for split in later)
    assert go_on(*AUTO).code == 0
    assert not Path("run/test_results.json").exists(), "nobody asked for it this time"


def test_how_it_reports_may_change(go_on):
    before = written()
    reporting = ("--logging_steps", "5", "--dataloader_num_workers", "0", "--per_device_eval_batch_size", "8")
    done = go_on(*AUTO, *reporting, "--hub_token", "hf_x")
    assert done.code == 0, done.stderr
    assert written() == before


def test_the_weights_are_those_of_the_best_seed(go_on):
    assert go_on(*AUTO, "--num_seeds", "3").code == 0
    values = scores(Path("run"))["eval_accuracy"]["values"]
    # As if seed 9 had been the best.
    content = json.loads(Path("run/seed-9/results.json").read_text())
    for name in ("seed-7", "seed-8"):
        other = json.loads(Path("run", name, "results.json").read_text())
        other["metrics"]["validation"]["accuracy"] = 0.0
        Path("run", name, "results.json").write_text(json.dumps(other))
    done = go_on(*AUTO, "--num_seeds", "3")
    assert done.code == 0, done.stderr
    assert "weights of seed 9" in done.stdout and holder() == 9
    assert content["metrics"]["validation"]["accuracy"] == values[2]
    done = go_on(*AUTO, "--num_seeds", "1")
    assert done.code == 0, done.stderr
    assert "seed 7 is the best and is trained again" in done.stdout
    assert "weights of seed 7" in done.stdout and holder() == 7


def test_weights_that_were_written_last_by_a_killed_run_are_not_taken_for_the_best(go_on):
    Path("run/weights_seed.json").unlink()
    done = go_on(*AUTO)
    assert done.code == 0, done.stderr
    assert "trained again" in done.stdout and holder() == 7


def test_notes_are_kept(go_on):
    cut = ("--output_dir", "cut", "--max_seq_length", "6")
    assert go_on(*cut).code == 0
    notes = scores(Path("cut"))["notes"]
    assert any("were cut" in note for note in notes)
    assert go_on(*cut, *AUTO).code == 0
    assert scores(Path("cut"))["notes"] == notes


@pytest.mark.parametrize(
    ("wish", "code", "said"),
    [
        ("false", 2, ["already holds results (seed-7)"]),
        ("/nowhere/x", 2, ["--resume_from_checkpoint", "/nowhere/x", "auto, true"]),
    ],
)
def test_what_to_go_on_from_is_taken_literally(go_on, wish: str, code: int, said: list[str]):
    assert_explained(go_on("--resume_from_checkpoint", wish), code, said)


def test_true_needs_something_to_go_on_from(go_on):
    done = go_on("--resume_from_checkpoint", "true", "--output_dir", "new")
    assert_explained(done, 1, ["new holds no seed", "auto"])
    before = written()
    assert go_on("--resume_from_checkpoint", "true").code == 0
    assert written() == before


def test_the_model_itself_is_no_place_for_results(go_on):
    done = go_on("--model_name_or_path", "run", "--no_do_train")
    assert_explained(done, 2, ["--output_dir run is the folder of the model itself"])


def test_no_secret_is_written(go_on):
    token, password = "hf_verysecret", "sesame"
    done = go_on("--output_dir", "other", "--hub_token", token, "--hpo_storage", f"postgresql://me:{password}@db/x")
    assert done.code == 0, done.stderr
    found = [path for path in Path("other").rglob("*") if path.is_file()]
    assert {"all_results.json", "finetuning_config.yaml", "training_args.bin"} <= {path.name for path in found}
    for path in found:
        content = path.read_bytes()
        assert token.encode() not in content and password.encode() not in content, path
