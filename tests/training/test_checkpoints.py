"""Where a run may write, and where it goes on from."""

import os

import pytest

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training.checkpoints import claim_output_dir, resolve_resume


def make_checkpoint(folder, step):
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    for name in ("trainer_state.json", "config.json"):
        (checkpoint / name).write_text("{}")
    return checkpoint


def test_resume_finds_the_newest_checkpoint(tmp_path):
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)
    for wish in ("auto", "true", "True"):
        assert resolve_resume(wish, tmp_path) == newest
    assert resolve_resume(None, tmp_path) is None
    assert resolve_resume("false", tmp_path) is None
    assert resolve_resume(str(tmp_path / "checkpoint-9"), tmp_path) == tmp_path / "checkpoint-9"


def test_a_checkpoint_that_was_not_finished_is_passed_over(tmp_path, caplog):
    whole = make_checkpoint(tmp_path, 9)
    (make_checkpoint(tmp_path, 10) / "trainer_state.json").unlink()
    assert resolve_resume("auto", tmp_path) == whole
    assert "checkpoint-10 is incomplete (no trainer_state.json)" in caplog.text


def test_auto_starts_afresh_where_true_refuses(tmp_path):
    assert resolve_resume("auto", tmp_path / "new") is None
    with pytest.raises(CheckpointError, match="holds no checkpoint to resume from"):
        resolve_resume("true", tmp_path / "new")


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"is no checkpoint: no trainer_state.json, no config.json in it"):
        resolve_resume(str(tmp_path), tmp_path)


def test_used_folder_is_refused_unless_resuming(tmp_path):
    claim_output_dir(tmp_path / "new", resume=False)
    make_checkpoint(tmp_path / "used", 5)
    with pytest.raises(UsageError, match=r"already holds a run \(checkpoint-5\).*--resume_from_checkpoint auto"):
        claim_output_dir(tmp_path / "used", resume=False)
    claim_output_dir(tmp_path / "used", resume=True)
    assert sorted(path.name for path in (tmp_path / "used").iterdir()) == ["checkpoint-5"]


def test_other_files_do_not_make_a_folder_used(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    claim_output_dir(tmp_path, resume=False)


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(CheckpointError, match="permission denied"):
        claim_output_dir(tmp_path, resume=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="permission denied"):
        claim_output_dir(tmp_path / "run", resume=False)
