"""What is sent to the Hub, and what is said when that fails; the Hub itself is replaced at its client."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from electra_hf.errors import CheckpointError
from electra_hf.sharing import upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_model_is_uploaded_without_what_belongs_to_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    class Client:
        def create_repo(self, repo_id: str, **options: object) -> SimpleNamespace:
            calls.append((repo_id, options))
            return SimpleNamespace(repo_id=f"someone/{repo_id}")

        def upload_folder(self, **options: object) -> str:
            calls.append(options)
            return "https://hub/commit/1"

    monkeypatch.setattr(upload, "HfApi", Client)
    assert upload.upload_model(folder, "sst2", private=True) == "https://hub/commit/1"
    (_, made), sent = calls
    assert made == {"private": True, "exist_ok": True}
    assert sent["repo_id"] == "someone/sst2" and sent["folder_path"] == folder
    assert "seed-*/**" in sent["ignore_patterns"] and "checkpoint-*/**" in sent["ignore_patterns"]


def test_a_failed_upload_says_that_nothing_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Client:
        def create_repo(self, *_: object, **__: object) -> None:
            raise OSError("no network")

    monkeypatch.setattr(upload, "HfApi", Client)
    with pytest.raises(
        CheckpointError, match="is complete, but could not be uploaded to a/b: no network.*hf upload a/b"
    ):
        upload.upload_model(folder, "a/b")
