"""What stops a run that would not go on as before: other settings, missing or foreign files."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training.checkpoints import publishing, read_manifest
from electra_hf.training.checkpoints.process_state import start_noise_anew


class Counter:
    """Something that is kept for each process."""

    def __init__(self, count: int):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@pytest.fixture
def run_dir(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path / "run", rows=64)
    trainer.stateful["counter"] = Counter(7)
    trainer.train()
    return tmp_path / "run"


def publish_again(checkpoint: Path) -> None:
    """As if these files had been saved: what is wrong with them is not that they were changed."""
    manifest = read_manifest(checkpoint)
    (checkpoint / "manifest.json").unlink()
    checkpoint.rename(publishing.staging_folder(checkpoint))
    publishing.publish(checkpoint, manifest)


def test_going_on(run_dir, make_trainer):
    trainer = make_trainer(run_dir, max_steps=6)
    trainer.stateful["counter"] = Counter(0)
    trainer.train(resume_from_checkpoint=True)
    assert trainer.trained_steps == 2 and trainer.stateful["counter"].count == 7
    assert trainer.last_checkpoint == run_dir / "checkpoint-6"


class Killed(Exception):
    pass


class KillInEvaluation(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_prediction_step(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


def events(trainer) -> list[tuple]:
    return [(row["step"], row.get("loss"), row.get("eval_loss")) for row in trainer.state.log_history]


@pytest.mark.parametrize("step", [4, 6])  # the ends of the first epoch and of the run
def test_what_an_epoch_ends_with_is_not_lost_with_the_run(tmp_path, make_trainer, step):
    options = {
        "rows": 16, "max_steps": 6, "save_steps": 2, "logging_strategy": "epoch", "eval_strategy": "epoch",
    }  # fmt: skip
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    with pytest.raises(Killed):
        make_trainer(tmp_path / "run", callbacks=[KillInEvaluation(step)], **options).train()
    resumed = make_trainer(tmp_path / "run", **options)
    resumed.train(resume_from_checkpoint=True)
    assert events(resumed) == events(whole)
    assert (tmp_path / "whole" / "checkpoint-4").is_dir() and (tmp_path / "whole" / "checkpoint-6").is_dir()


def test_a_resumed_run_does_not_start_a_second_time(tmp_path, make_trainer):
    options = {"eval_strategy": "steps", "eval_steps": 4, "eval_on_start": True}
    whole = make_trainer(tmp_path, **options)
    whole.train()
    resumed = make_trainer(tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert events(whole)[0][0] == 0 and events(resumed) == events(whole)


def test_last_checkpoint_is_known_from_the_start(run_dir, make_trainer):
    trainer = make_trainer(run_dir, save_strategy="no", max_steps=5)
    trainer.train(resume_from_checkpoint=str(run_dir / "checkpoint-4"))
    assert trainer.last_checkpoint == run_dir / "checkpoint-4"


def test_an_older_checkpoint_begins_a_new_branch(run_dir, make_trainer, caplog):
    make_trainer(run_dir).train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))
    names = sorted(path.name for path in run_dir.iterdir() if path.is_dir())
    assert names == ["_superseded-checkpoint-4", "checkpoint-2", "checkpoint-4"]
    assert "kept as _superseded-checkpoint-4" in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"per_device_train_batch_size": 2},
            r"rows per step 4 there and 2 \(2 x 1 accumulation steps x 1 proc",
        ),
        ({"seed": 2}, "--seed 1 there and 2 here"),
        ({"data_seed": 2}, "--data_seed 1 there and 2 here"),
        ({"rows": 32}, "rows of training data 64 there and 32 here"),
        ({"masks": {"mlm_probability": 0.25}}, "--mlm_probability 0.15 there and 0.25 here"),
        ({"masks": {"masking": "span"}}, "--masking token there and span here"),
    ],
)
def test_settings_that_would_silently_change_what_follows(run_dir, make_trainer, options, said):
    trainer = make_trainer(run_dir, **options)
    with pytest.raises(UsageError, match=f"checkpoint-2 is of a run with other settings: .*{said}"):
        trainer.train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))
    assert (run_dir / "checkpoint-4").is_dir(), "nothing was renamed"


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "process_state.pt"])
def test_what_was_never_saved_is_missed(run_dir, make_trainer, name):
    (run_dir / "checkpoint-2" / name).unlink()
    publish_again(run_dir / "checkpoint-2")
    with pytest.raises(CheckpointError, match=f"checkpoint-2/{name} is missing"):
        make_trainer(run_dir).train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))


class Payload:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("container", ["torch", "pickle"])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "process_state.pt"])
def test_code_in_a_checkpoint_is_not_run(run_dir, make_trainer, tmp_path, name, container):
    path = run_dir / "checkpoint-2" / name
    if container == "torch":
        torch.save(Payload(tmp_path / "executed"), path)
        publish_again(run_dir / "checkpoint-2")
    else:
        path.write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    with pytest.raises(CheckpointError, match=rf"{name}.* (holds something else than tensors|has \d+ bytes instead)"):
        make_trainer(run_dir).train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))
    assert not (tmp_path / "executed").exists()


def test_a_model_of_another_size(run_dir, make_trainer, discriminator_config):
    discriminator_config.intermediate_size = 32
    with pytest.raises(CheckpointError, match="does not fit the model"):
        make_trainer(run_dir).train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))


def test_another_optimizer(run_dir, make_trainer):
    trainer = make_trainer(run_dir, optim="muon")
    with pytest.raises(CheckpointError, match="optimizer.pt or scheduler.pt cannot be read or does not fit this run"):
        trainer.train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))


def test_a_checkpoint_of_fp16_without_fp16(run_dir, make_trainer):
    torch.save({"scale": 1.0}, run_dir / "checkpoint-2" / "scaler.pt")
    publish_again(run_dir / "checkpoint-2")
    with pytest.raises(UsageError, match="made with --fp16, and this run is without"):
        make_trainer(run_dir).train(resume_from_checkpoint=str(run_dir / "checkpoint-2"))


def test_weights_alone(tmp_path, make_trainer):
    make_trainer(tmp_path, save_only_model=True).train()
    assert "optimizer.pt" not in read_manifest(tmp_path / "checkpoint-4").files
    with pytest.raises(CheckpointError, match=r"holds the weights only \(--save_only_model\)"):
        make_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_a_run_that_was_moved_keeps_its_best(tmp_path, make_trainer):
    best = {
        "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "greater_is_better": False,
        "metric_for_best_model": "runtime",
    }  # fmt: skip
    make_trainer(tmp_path / "before", **best).train()
    state = json.loads((tmp_path / "before" / "checkpoint-4" / "trainer_state.json").read_text())
    shutil.move(tmp_path / "before", tmp_path / "after")
    trainer = make_trainer(tmp_path / "after", **best)
    trainer.train(resume_from_checkpoint=True)
    expected = Path(state["best_model_checkpoint"]).name
    assert trainer.state.best_model_checkpoint == str(tmp_path / "after" / expected)


def test_new_noise_is_a_function_of_seed_step_and_process():
    draws = []
    for arguments in [(1, 10, 0), (1, 10, 1), (1, 20, 0), (2, 10, 0), (1, 10, 0)]:
        start_noise_anew(*arguments)
        draws.append(torch.rand(2).tolist())
    assert draws[0] == draws[4] and len({tuple(draw) for draw in draws}) == 4


def test_every_evaluation_of_a_run_has_the_same_noise(tmp_path, make_trainer):
    """Also that in which workers that live on are started: it is another one after a resume."""
    trainer = make_trainer(tmp_path, dataloader_num_workers=1, dataloader_persistent_workers=True)
    first, later = trainer.evaluate(), trainer.evaluate()
    compared = ("eval_loss", "eval_replaced_fraction", "eval_rtd_auc")
    assert [first[name] for name in compared] == [later[name] for name in compared]
