"""What is sent to the Hub, and what is said when that fails; the Hub itself is replaced at its client."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from electra_hf.errors import CheckpointError
from electra_hf.sharing import upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


class Client:
    """Records what the Hub is asked for."""

    calls: list[tuple[str, dict]]

    def __init__(self, token: str | None = None):
        self.token = token

    def whoami(self) -> dict[str, str]:
        if self.token == "wrong":
            raise OSError("Invalid user token")
        return {"name": "someone"}

    def create_repo(self, repo_id: str, **options: object) -> SimpleNamespace:
        self.calls.append(("create_repo", {"repo_id": repo_id, "token": self.token, **options}))
        return SimpleNamespace(repo_id=f"someone/{repo_id}")

    def create_branch(self, repo_id: str, **options: object) -> None:
        self.calls.append(("create_branch", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: object) -> str:
        self.calls.append(("upload_folder", options))
        return "https://hub/commit/1"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    Client.calls = []
    monkeypatch.setattr(upload, "HfApi", Client)
    return Client.calls


def test_a_model_is_uploaded_without_what_belongs_to_the_run(folder: Path, calls: list[tuple[str, dict]]):
    assert upload.upload_model(folder, "sst2", private=True, token="abc") == "https://hub/commit/1"
    (_, made), (_, sent) = calls
    assert made == {"repo_id": "sst2", "private": True, "exist_ok": True, "token": "abc"}
    assert sent["repo_id"] == "someone/sst2" and sent["folder_path"] == folder
    assert {"seed-*/**", "checkpoint-*/**", "hpo*", "*.db"} <= set(sent["ignore_patterns"])


def test_a_branch_is_made_for_the_revision(folder: Path, calls: list[tuple[str, dict]]):
    upload.upload_model(folder, "sst2", revision="small")
    assert [name for name, _ in calls] == ["create_repo", "create_branch", "upload_folder"]
    assert calls[1][1]["branch"] == calls[2][1]["revision"] == "small"


def test_the_hub_is_asked_who_we_are(calls: list[tuple[str, dict]]):
    assert upload.check_hub("sst2") == "someone/sst2"
    assert upload.check_hub("group/sst2") == "group/sst2"
    with pytest.raises(CheckpointError, match="--push_to_hub.*Invalid user token.*hf auth login.*--hub_token"):
        upload.check_hub("sst2", token="wrong")


def test_the_command_leaves_out_what_the_upload_leaves_out():
    command = shlex.split(upload.upload_command("out puts/sst2", "a/b"))
    assert command[:5] == ["hf", "upload", "a/b", "out puts/sst2", "."]
    assert tuple(command[6::2]) == upload.RUN_ONLY and set(command[5::2]) == {"--exclude"}


def test_a_failed_upload_says_that_nothing_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Unreachable(Client):
        def create_repo(self, *_: object, **__: object) -> SimpleNamespace:
            raise OSError("no network")

    monkeypatch.setattr(upload, "HfApi", Unreachable)
    with pytest.raises(
        CheckpointError, match="is complete, but could not be uploaded to a/b: no network.*hf upload a/b.*--exclude"
    ):
        upload.upload_model(folder, "a/b")
