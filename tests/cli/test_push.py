"""`electra-hf push` as a person meets it."""

import os
from pathlib import Path

import pytest
import torch
from hub_server import TOKEN, HubServer
from transformers import ElectraConfig, ElectraForPreTraining

from electra_hf.cli import main


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ElectraForPreTraining(ElectraConfig(vocab_size=20, embedding_size=16, **sizes)).save_pretrained(tmp_path / "run")
    (tmp_path / "run" / "training_args.bin").touch()
    return tmp_path / "run"


def push(*options: object) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setenv("HF_TOKEN", os.environ["HF_TOKEN"])  # --hub_token sets it
        patch.setenv("COLUMNS", "200")
        main(["push", *map(str, options)])
    return int(ended.value.code or 0)


def test_it_says_what_was_sent_what_was_there_and_what_stays(hub: HubServer, run_folder: Path, capsys):
    options = (run_folder, "--hub_model_id", "tiny", "--hub_private_repo", "--revision", "first")
    assert push(*options) == 0
    first = capsys.readouterr().out
    assert f"Uploaded  {hub.url}/someone/tiny/tree/first (2 files, " in first and " MB)" in first
    assert "Stay here training_args.bin" in first
    assert hub.repos["model/someone/tiny"]["private"]
    assert push(*options) == 0
    assert "(nothing to send: 2 were there already)" in capsys.readouterr().out


def test_the_token_may_be_given_and_is_not_shown(hub: HubServer, run_folder: Path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "nowhere")
    assert push(run_folder, "--hub_model_id", "someone/tiny") == 1
    assert "hf auth login" in capsys.readouterr().err
    assert push(run_folder, "--hub_model_id", "someone/tiny", "--hub_token", TOKEN) == 0
    assert push(run_folder, "--hub_model_id", "stranger/tiny", "--hub_token", TOKEN) == 1
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err and "rights to create" in shown.err


def test_an_edited_card_is_told_of(hub: HubServer, run_folder: Path, capsys):
    from electra_hf.sharing.card_files import write_model_card

    path = write_model_card(run_folder, {"name": "run"})
    path.write_text("---\nlicense: mit\n---\n\nMy own card.\n")
    assert push(run_folder, "--hub_model_id", "someone/tiny") == 0
    assert "edited by hand" in capsys.readouterr().out
    assert hub.files("someone/tiny")["README.md"] == path.read_bytes()


def test_a_card_whose_metadata_the_hub_refuses_is_explained(hub: HubServer, run_folder: Path, capsys):
    (run_folder / "README.md").write_text("---\nlicense: [mit\n---\n\nBroken.\n")
    assert push(run_folder, "--hub_model_id", "someone/tiny") == 1
    assert "Invalid metadata in README.md" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "code", "words"), [
    (("nowhere", "--hub_model_id", "a/b"), 1, "nowhere: there is no such folder"),
    ((".", "--hub_model_id", "a/b"), 1, "no model to upload"),
    ((".",), 2, "--hub_model_id"),
])  # fmt: skip
def test_wrong_usage(options, code: int, words: str, hub: HubServer, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert push(*options) == code
    assert words in capsys.readouterr().err and not hub.requests
