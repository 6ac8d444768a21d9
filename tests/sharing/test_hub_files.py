"""Which files of a folder are a model's, and which stay."""

from pathlib import Path

import pytest

from electra_hf.sharing.hub_files import checkpoints_of, files_for_hub

GOES = [
    "config.json", "model.safetensors", "objective.json", "objective.safetensors", "crf.safetensors", "vocab.txt",
    "spiece.model", "README.md", "results.md", "training_curves.png", "eval_results.json", "finetuning_config.yaml",
    "generator/config.json", "generator/model.safetensors", "generator_forward/config.json",
]  # fmt: skip
STAYS = [
    "training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state_0.pth",
    "process_state.pt", "trainer_state.json", "checkpoint.json", "held_out_samples.txt", "text_samples.jsonl",
    "report.html", "hpo.db", "hpo.png", ".netrc", "id_rsa", "token", "emissions.csv", "model_card.json",
    "generator/training_args.bin", "runs/events.out", "seed-1/model.safetensors", "checkpoint-1/model.safetensors",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*GOES, *STAYS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_named_kinds_of_files_go_and_all_others_stay(folder: Path):
    files = files_for_hub(folder)
    assert sorted(files.model) == sorted(GOES)
    assert all(path.read_text() == name for name, path in files.model.items())
    assert {"training_args.bin", "optimizer.pt", "id_rsa", "seed-1/", "checkpoint-1/", "runs/"} <= set(files.left)


def test_a_model_in_several_files_is_one(folder: Path):
    (folder / "model.safetensors").unlink()
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (folder / name).touch()
    assert {"model-00001-of-00002.safetensors", "model.safetensors.index.json"} <= files_for_hub(folder).model.keys()


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path: Path):
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-100", "checkpoint-x", "_tmp-checkpoint-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    (tmp_path / "checkpoint-11").mkdir()
    assert list(checkpoints_of(tmp_path)) == [9, 10, 100]
