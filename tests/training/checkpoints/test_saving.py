"""What a save leaves behind, also when it fails."""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from transformers import TrainerCallback, TrainerState

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training.checkpoints import checkpoints_in, milestone_of, read_manifest, verify


def names(run_dir: Path) -> list[str]:
    return sorted(path.name for path in run_dir.iterdir() if path.is_dir())


def fails_at(steps: Mapping[int, Exception]):
    """A `TrainerState.save_to_json` that meets these errors at these steps."""
    original = TrainerState.save_to_json

    def save(state, path):
        if state.global_step in steps:
            raise steps[state.global_step]
        return original(state, path)

    return save


def test_a_checkpoint_describes_its_run(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, gradient_accumulation_steps=2, data_seed=5)
    trainer.train()
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4"]
    assert trainer.last_checkpoint == tmp_path / "checkpoint-4"
    manifest = verify(tmp_path / "checkpoint-2")
    assert (manifest.step, manifest.world_size, manifest.global_batch_size) == (2, 1, 8)
    assert (manifest.seed, manifest.data_seed, manifest.train_rows) == (1, 5, 64)
    files = {path.relative_to(tmp_path / "checkpoint-2").as_posix() for path in (tmp_path / "checkpoint-2").rglob("*")}
    assert files == {*manifest.files, "manifest.json", "generator"}
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "process_state.pt"} < files


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_permissions_of_the_umask(tmp_path, make_trainer, mask):
    before = os.umask(mask)
    try:
        trainer = make_trainer(tmp_path, max_steps=2)
        trainer.train()
        trainer.save_model()
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20 and {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~mask}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_failed_save_leaves_the_run_alive(tmp_path, make_trainer, monkeypatch, caplog, number):
    trainer = make_trainer(tmp_path, max_steps=6)
    error = OSError(number, os.strerror(number))
    monkeypatch.setattr("transformers.TrainerState.save_to_json", fails_at({4: error}))
    seen = []

    class Look(TrainerCallback):
        def on_save(self, args, state, control, **_):
            seen.append((trainer.failed_saves, trainer.last_checkpoint.name, trainer.save_error))

    trainer.add_callback(Look())
    trainer.train()
    assert trainer.state.global_step == 6 and names(tmp_path) == ["checkpoint-2", "checkpoint-6"]
    assert [row[:2] for row in seen] == [(0, "checkpoint-2"), (1, "checkpoint-2"), (1, "checkpoint-6")]
    assert str(tmp_path / "checkpoint-4") in seen[1][2] and seen[2][2] is None
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "Step 4 was not saved" in record.getMessage() and "Training goes on" in record.getMessage()
    assert f"the last good checkpoint is {tmp_path / 'checkpoint-2'}" in record.getMessage()
    for step in (2, 6):
        verify(tmp_path / f"checkpoint-{step}")


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, make_trainer, monkeypatch, caplog):
    trainer = make_trainer(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=2**20 + 100_000))
    trainer.train()
    assert names(tmp_path) == [] and trainer.failed_saves == 2
    # Weights and two moments of each, in fp32.
    weights = sum(weight.numel() for weight in trainer.model.parameters())
    assert 12 * weights > 100_000
    assert "MB, and 1 MB are left on the disk" in caplog.text and "--save_total_limit" in caplog.text


def test_a_bug_is_no_failed_save(tmp_path, make_trainer, monkeypatch):
    monkeypatch.setattr("transformers.TrainerState.save_to_json", fails_at({2: ValueError("a bug")}))
    with pytest.raises(ValueError, match="a bug"):
        make_trainer(tmp_path).train()


def test_a_file_that_came_out_incomplete_is_no_checkpoint(tmp_path, make_trainer, monkeypatch, caplog):
    trainer = make_trainer(tmp_path)
    save = trainer._save_scaler

    def cut(folder):
        path = Path(folder, "optimizer.pt")
        path.write_bytes(path.read_bytes()[:-10])
        save(folder)

    monkeypatch.setattr(trainer, "_save_scaler", cut)
    trainer.train()
    assert names(tmp_path) == [] and "optimizer.pt: the file came out incomplete" in caplog.text


def test_the_last_save_must_succeed(tmp_path, make_trainer, monkeypatch):
    trainer = make_trainer(tmp_path)
    trainer.train()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_, **__):
        raise full

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", fail)
    with pytest.raises(CheckpointError, match="the disk is full.*--resume_from_checkpoint auto"):
        trainer.save_model()


def test_the_same_step_again_replaces_its_checkpoint(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path)
    trainer.train()
    first = (tmp_path / "checkpoint-4" / "manifest.json").read_bytes()
    trainer.state.log_history.append({"note": 1, "step": 4})
    trainer._save_checkpoint(trainer.model, None)
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4"]
    assert (tmp_path / "checkpoint-4" / "manifest.json").read_bytes() != first
    verify(tmp_path / "checkpoint-4")


# Which ones stay


def test_the_newest_and_milestones_stay(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, max_steps=12, save_steps=5, save_total_limit=1, keep_milestones="25, 50")
    trainer.train()
    assert names(tmp_path) == ["checkpoint-12", "checkpoint-3", "checkpoint-6"]
    milestones = [read_manifest(tmp_path / f"checkpoint-{step}").milestone for step in (3, 6, 12)]
    assert milestones == [25.0, 50.0, None]


def test_milestones_are_saved_where_nothing_else_is(tmp_path, make_trainer):
    make_trainer(tmp_path, save_strategy="no", keep_milestones="50").train()
    assert names(tmp_path) == ["checkpoint-2"]


def test_milestones_of_few_steps():
    shares = (6.25, 12.5, 25.0, 50.0, 100.0)
    assert [milestone_of(step, 1000, shares) for step in (62, 125, 250, 500, 1000)] == list(shares)
    assert [milestone_of(step, 4, shares) for step in (1, 2, 3, 4)] == [25.0, 50.0, None, 100.0]


@pytest.mark.parametrize("text", ["0", "101", "5,,10", "a", "nan"])
def test_shares_that_are_none(tmp_path, make_trainer, text):
    with pytest.raises(UsageError, match=f"--keep_milestones {text}.*per cents above 0, at most 100"):
        make_trainer(tmp_path, keep_milestones=text)


def test_best_only_saves_at_no_milestone(tmp_path, make_trainer):
    with pytest.raises(UsageError, match="--keep_milestones and --save_strategy best exclude each other"):
        make_trainer(
            tmp_path, keep_milestones="50", save_strategy="best", eval_strategy="steps", metric_for_best_model="loss"
        )


class Score(TrainerCallback):
    """Judges each evaluation by a list."""

    def __init__(self, scores):
        self.scores = iter(scores)

    def on_evaluate(self, args, state, control, metrics, **_):
        metrics["eval_score"] = next(self.scores)


BEST = {
    "max_steps": 8, "save_steps": 2, "save_total_limit": 1, "eval_strategy": "steps", "eval_steps": 2,
    "load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": True,
}  # fmt: skip


def test_the_best_and_the_newest_stay(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, callbacks=[Score([1, 3, 2, 2])], **BEST)
    trainer.train()
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-8"]
    assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-4")
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(tmp_path / "checkpoint-4")


def test_what_could_not_be_saved_is_not_the_best(tmp_path, make_trainer, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr("transformers.TrainerState.save_to_json", fails_at({4: full}))
    trainer = make_trainer(tmp_path, callbacks=[Score([1, 9, 3, 2])], **BEST)
    trainer.train()
    assert names(tmp_path) == ["checkpoint-6", "checkpoint-8"]
    assert (trainer.state.best_metric, trainer.state.best_global_step) == (3, 6)


def test_the_best_is_checked_before_it_is_loaded(tmp_path, make_trainer):
    class Damage(TrainerCallback):
        def on_save(self, args, state, control, **_):
            if state.global_step == 8:
                path = Path(args.output_dir, "checkpoint-4", "generator", "model.safetensors")
                path.write_bytes(path.read_bytes()[:-1] + b"!")

    trainer = make_trainer(tmp_path, callbacks=[Score([1, 3, 2, 2]), Damage()], **BEST)
    with pytest.raises(CheckpointError, match="checkpoint-4 is damaged: generator/model.safetensors was changed"):
        trainer.train()


def test_a_checkpoint_that_cannot_be_removed_is_no_failed_save(tmp_path, make_trainer, monkeypatch, caplog):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("electra_hf.training.checkpoints.retention.remove", refuse)
    trainer = make_trainer(tmp_path, save_total_limit=1)
    trainer.train()
    assert [path.name for path in checkpoints_in(tmp_path)] == ["checkpoint-2", "checkpoint-4"]
    assert trainer.failed_saves == 0 and "cannot remove" in caplog.text
