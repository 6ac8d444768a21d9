"""The seeds of a task, without training any."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from electra_hf.finetuning.results import record_start
from electra_hf.finetuning.seeds import run_seeds
from electra_hf.training.checkpoints import publishing
from electra_hf.training.checkpoints.manifest import Manifest


class Killed(BaseException):
    pass


def seed_run(train) -> Any:
    args = SimpleNamespace(
        seeds=[7], resume_from_checkpoint="auto", save_only_model=False, should_save=True, do_train=True
    )
    return SimpleNamespace(args=args, run_seed=train)


def make_checkpoint(place):
    checkpoint = place / "checkpoint-2"
    publishing.prepare(checkpoint, bytes_needed=0)
    for name in ("a.json", "b.json"):
        (publishing.staging_folder(checkpoint) / name).write_text("{}")
    publishing.publish(checkpoint, Manifest(step=2, world_size=1, global_batch_size=8, seed=7))


def test_a_run_killed_among_its_old_checkpoints_goes_on(tmp_path, monkeypatch):
    """A search has found other settings, and what a seed left under the former ones is removed."""
    place = tmp_path / "seed-7"
    record_start(place, {"learning_rate": 1.0})
    make_checkpoint(place)
    begun = []

    def train(seed, folder, checkpoint):
        begun.append((seed, checkpoint))
        raise Killed

    def once(path, *args, original=os.unlink, **kwargs):
        monkeypatch.setattr("os.unlink", original)
        original(path, *args, **kwargs)
        raise Killed

    monkeypatch.setattr("os.unlink", once)
    for _ in range(2):
        with pytest.raises(Killed):
            run_seeds(seed_run(train), tmp_path, {"learning_rate": 2.0}, ["learning_rate"], Console(quiet=True))
    assert begun == [(7, None)] and not list(place.glob("*checkpoint-*"))
