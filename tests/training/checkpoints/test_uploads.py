"""What goes to the Hub from a run's folder."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import filter_repo_objects


@pytest.fixture
def uploaded(monkeypatch):
    """The patterns of each upload of the output folder."""
    patterns = []

    def upload(self, *, ignore_patterns=None, **_):
        patterns.append(ignore_patterns)
        done: Future = Future()
        done.set_result(None)
        return done

    monkeypatch.setattr(HfApi, "upload_folder", upload)
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: SimpleNamespace(repo_id="me/model"))
    return patterns


@pytest.mark.parametrize("strategy", ["every_save", "all_checkpoints"])
def test_what_only_the_run_needs_is_not_uploaded(tmp_path, make_trainer, uploaded, strategy):
    trainer = make_trainer(tmp_path, max_steps=2, push_to_hub=True, hub_strategy=strategy)
    trainer.train()
    trainer.push_to_hub()
    of_folder = [patterns for patterns in uploaded if patterns is not None]
    assert len(of_folder) == 2 and len(uploaded) == 2 + (strategy == "all_checkpoints")
    files = ["model.safetensors", "generator/config.json"]
    own = [
        "tmp-checkpoint-4/model.safetensors",
        "damaged-checkpoint-2/optimizer.pt",
        "skipped-steps/step-1.safetensors",
    ]
    own += ["superseded-checkpoint-2-3/generator/config.json", "checkpoint-2/model.safetensors"]
    for patterns in of_folder:
        assert list(filter_repo_objects(files + own, ignore_patterns=patterns)) == files
