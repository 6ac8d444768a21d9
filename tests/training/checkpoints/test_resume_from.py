"""Where a run may write, and where it goes on from."""

import os

import pytest

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training.checkpoints import claim_output_dir, resolve_resume
from electra_hf.training.checkpoints.resume import set_newer_aside


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_resume_finds_the_newest_checkpoint(tmp_path, make_checkpoint):
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)
    for wish in ("auto", "true", "True"):
        assert resolve_resume(wish, tmp_path) == newest
    assert resolve_resume(None, tmp_path) is None
    assert resolve_resume("false", tmp_path) is None
    assert resolve_resume(str(tmp_path / "checkpoint-9"), tmp_path) == tmp_path / "checkpoint-9"
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-9"]


def test_damaged_checkpoints_are_named_and_kept_aside(tmp_path, make_checkpoint, caplog):
    whole = make_checkpoint(tmp_path, 8)
    (make_checkpoint(tmp_path, 9) / "generator/config.json").write_text('{"step": 0}')
    (make_checkpoint(tmp_path, 10) / "manifest.json").unlink()
    (tmp_path / "_damaged-checkpoint-10").mkdir()
    assert resolve_resume("auto", tmp_path) == whole
    assert names(tmp_path) == [
        "_damaged-checkpoint-10",
        "_damaged-checkpoint-10-2",
        "_damaged-checkpoint-9",
        "checkpoint-8",
    ]
    assert "checkpoint-9 is damaged: generator/config.json was changed" in caplog.text
    assert "checkpoint-10 has no manifest.json: it was not finished, or another version" in caplog.text
    assert "kept as _damaged-checkpoint-10-2, and checkpoint-8 is used" in caplog.text


@pytest.mark.parametrize("wish", ["auto", "true"])
def test_a_run_whose_checkpoints_are_all_damaged_is_not_started_afresh(tmp_path, make_checkpoint, wish):
    (make_checkpoint(tmp_path, 9) / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"none can be used: .*checkpoint-9 is damaged: config.json: No such"):
        resolve_resume(wish, tmp_path)
    assert names(tmp_path) == ["checkpoint-9"]


def test_a_damaged_checkpoint_that_was_named_stops_the_run(tmp_path, make_checkpoint):
    make_checkpoint(tmp_path, 9)
    damaged = make_checkpoint(tmp_path, 10)
    (damaged / "config.json").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoint-10 cannot be used: .*config.json has 0 bytes instead of"):
        resolve_resume(str(damaged), tmp_path)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-9"]


@pytest.mark.parametrize("wish", ["auto", "checkpoint-9"])
def test_weights_alone_are_nothing_to_resume_from(tmp_path, make_checkpoint, wish):
    make_checkpoint(tmp_path, 9, save_only_model=True)
    with pytest.raises(CheckpointError, match=r"checkpoint-9 holds the weights only \(--save_only_model\)"):
        resolve_resume(wish if wish == "auto" else str(tmp_path / wish), tmp_path)


def test_auto_starts_afresh_where_true_refuses(tmp_path):
    assert resolve_resume("auto", tmp_path / "new") is None
    with pytest.raises(CheckpointError, match="holds no checkpoint to resume from"):
        resolve_resume("true", tmp_path / "new")


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be used: .* has no manifest.json"):
        resolve_resume(str(tmp_path), tmp_path)
    with pytest.raises(CheckpointError, match=r"nowhere: there is no such folder"):
        resolve_resume(str(tmp_path / "nowhere"), tmp_path)


def test_newer_checkpoints_of_a_branch_that_is_left_are_set_aside(tmp_path, make_checkpoint):
    for step in (8, 9, 10):
        make_checkpoint(tmp_path / "run", step)
    set_newer_aside(make_checkpoint(tmp_path / "other", 1), tmp_path / "run")
    assert len(names(tmp_path / "run")) == 3, "a checkpoint of another run leaves this one alone"
    set_newer_aside(tmp_path / "run" / "checkpoint-8", tmp_path / "run")
    assert names(tmp_path / "run") == ["_superseded-checkpoint-10", "_superseded-checkpoint-9", "checkpoint-8"]


def test_leftovers_of_a_killed_run_are_cleaned_up(tmp_path, make_checkpoint):
    make_checkpoint(tmp_path, 9)
    (tmp_path / "_tmp-checkpoint-10").mkdir()
    (tmp_path / "_tmp-removed-checkpoint-8").mkdir()
    # Killed between the two renames of a save that replaces one of the same step.
    make_checkpoint(tmp_path, 11).rename(tmp_path / "_tmp-replaced-checkpoint-11")
    # ... and after both of them.
    (tmp_path / "_tmp-replaced-checkpoint-9").mkdir()
    (tmp_path / "tmp-notes").mkdir()
    assert resolve_resume("auto", tmp_path) == tmp_path / "checkpoint-11"
    assert names(tmp_path) == ["checkpoint-11", "checkpoint-9", "tmp-notes"]


def test_used_folder_is_refused_unless_resuming(tmp_path, make_checkpoint):
    claim_output_dir(tmp_path / "new", resume=False)
    make_checkpoint(tmp_path / "used", 5)
    with pytest.raises(UsageError, match=r"already holds a run \(checkpoint-5\).*--resume_from_checkpoint auto"):
        claim_output_dir(tmp_path / "used", resume=False)
    claim_output_dir(tmp_path / "used", resume=True)
    assert names(tmp_path / "used") == ["checkpoint-5"]


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


def test_a_replaced_checkpoint_does_not_come_back(tmp_path, make_checkpoint):
    """A run was killed when it had written step 9 once more, and is left for step 8."""
    chosen, newer = make_checkpoint(tmp_path, 8), make_checkpoint(tmp_path, 9)
    newer.rename(tmp_path / "_tmp-replaced-checkpoint-9")
    (tmp_path / "checkpoint-9").mkdir()
    set_newer_aside(chosen, tmp_path)
    assert resolve_resume("auto", tmp_path) == chosen
