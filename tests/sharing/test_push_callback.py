"""Checkpoints on their way to the Hub while a training goes on, and when the Hub is in trouble."""

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hub_server import DROP, TOKEN, HubServer
from transformers import TrainerControl

from electra_hf.sharing.push_callback import ALL_CHECKPOINTS, EVERY_SAVE, PushCallback
from electra_hf.sharing.upload import HubTarget


@pytest.fixture
def save(run_folder: Path, tmp_path: Path):
    """Save a checkpoint as a Trainer does, and tell a callback."""
    output_dir = tmp_path / "training"

    def save(callback: PushCallback, step: int, *, fails: bool = False) -> Path:
        checkpoint = output_dir / f"checkpoint-{step}"
        if not fails:
            for path in sorted(run_folder.rglob("*")):
                if path.is_file():
                    (checkpoint / path.relative_to(run_folder)).parent.mkdir(parents=True, exist_ok=True)
                    content = path.read_bytes() + bytes([step]) * path.name.endswith("safetensors")
                    (checkpoint / path.relative_to(run_folder)).write_bytes(content)
            (checkpoint / "optimizer.pt").write_bytes(b"momentum")
            (output_dir / "pretraining_config.yaml").write_text("seed: 1\n")
        args, state = SimpleNamespace(output_dir=str(output_dir)), SimpleNamespace()
        state.global_step, state.is_world_process_zero = step, True
        callback.on_save(args, state, TrainerControl())  # type: ignore[arg-type]
        return checkpoint

    return save


@pytest.fixture
def make(hub: HubServer):
    """A callback for a repository that is there."""
    hub.create("model", "someone/tiny", private=False)

    def make(strategy: str, **options: Any) -> PushCallback:
        target = HubTarget("someone/tiny")

        def describe(checkpoint: Path) -> dict[str, Any]:
            return target.describe({"steps": int(checkpoint.name.split("-")[1]), "max_steps": 9})

        return PushCallback(target, strategy, describe=describe, **options)

    return make


def held(hub: HubServer, revision: str = "main") -> int:
    """The step that a revision holds."""
    return hub.files("someone/tiny", revision)["model.safetensors"][-1]


def test_every_save_brings_the_main_revision_up_to_date(hub: HubServer, make, save, tmp_path: Path):
    callback = make(EVERY_SAVE)
    for step in (1, 2):
        save(callback, step)
        callback.finish()
        assert held(hub) == step
        assert f"after step {step} of 9" in hub.files("someone/tiny")["README.md"].decode()
    assert hub.repos["model/someone/tiny"]["branches"].keys() == {"main"}
    assert {"pretraining_config.yaml", "generator/config.json"} <= hub.files("someone/tiny").keys()
    assert b"momentum" not in b"".join(hub.files("someone/tiny").values())
    assert {path.name for path in (tmp_path / "training").iterdir()} == {
        "checkpoint-1",
        "checkpoint-2",
        "pretraining_config.yaml",
    }


def test_all_checkpoints_stay_as_revisions_also_when_they_are_removed_here(hub: HubServer, make, save):
    callback = make(ALL_CHECKPOINTS)
    with hub.lock:  # the Hub is slow
        for step in (1, 2, 3):
            checkpoint = save(callback, step)
            for path in sorted(checkpoint.rglob("*"), reverse=True):  # as --save_total_limit does
                path.unlink() if path.is_file() else path.rmdir()
    callback.finish()
    assert [held(hub, f"step-{step}") for step in (1, 2, 3)] == [1, 2, 3] and held(hub) == 3


@pytest.mark.parametrize("always", [False, True])
def test_a_save_during_an_upload_waits_only_if_asked_to(always: bool, hub: HubServer, make, save):
    callback = make(EVERY_SAVE, always=always)
    with hub.lock:
        save(callback, 1)
        save(callback, 2)
    callback.finish()
    assert held(hub) == (2 if always else 1)


@pytest.mark.parametrize("status", [500, 403, DROP])
def test_a_failure_is_told_and_the_next_upload_succeeds(
    status: int | str, hub: HubServer, make, save, caplog: pytest.LogCaptureFixture
):
    callback = make(EVERY_SAVE)
    hub.fail("POST", "/commit/", status)
    with caplog.at_level(logging.INFO, "electra_hf"):
        save(callback, 1)
        callback.finish()
        assert callback.failures == 1 and "model.safetensors" not in hub.files("someone/tiny")
        (error,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert "Step 1 was NOT uploaded" in error and "training goes on" in error
        assert "electra-hf push" in error and "--hub_model_id someone/tiny" in error and TOKEN not in error
        save(callback, 2)
        callback.finish()
    assert held(hub) == 2 and callback.failures == 1


def test_a_checkpoint_that_could_not_be_saved_is_not_uploaded(hub: HubServer, make, save):
    callback = make(EVERY_SAVE)
    save(callback, 1, fails=True)
    callback.finish()
    assert not hub.sent("POST", "/commit/") and callback.failures == 0


def test_what_an_ended_run_left_is_removed_and_uploads_do_not_keep_a_process(make, save, hub: HubServer, tmp_path):
    stale = tmp_path / "_tmp-push-checkpoint-1"
    stale.mkdir()
    callback = make(EVERY_SAVE)
    args, state = SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(is_world_process_zero=True)
    callback.on_train_begin(args, state, TrainerControl())
    assert not stale.exists()
    with hub.lock:
        save(callback, 1)
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "push to the Hub"] == [True]
    callback.finish()
