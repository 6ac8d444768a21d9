"""The access token of the Hub and the passwords of URLs are nowhere in what a run writes or says."""

import pickle
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import get_token
from malformed import Kit, files_of, run

from electra_hf.errors import run_script, without_secrets
from electra_hf.training import PretrainingArguments

TOKEN = "hf_SesameOpenSesameOpen"
PASSWORD = "rosebud77"
SECRETS = (TOKEN.encode(), PASSWORD.encode())


def leaks(folder: Path) -> list[str]:
    return [name for name, content in files_of(folder).items() if any(secret in content for secret in SECRETS)]


@pytest.mark.parametrize("given", ["command line", "file"])
def test_a_run_keeps_the_token_to_itself(given: str, kit: Kit, sound_pretraining, cache: Path, tmp_path: Path):
    options = ["--hub_token", TOKEN]
    if given == "file":
        (tmp_path / "recipe").mkdir()
        (tmp_path / "recipe" / "r.yaml").write_text(f"hub_token: {TOKEN}\n")
        options = ["--config", tmp_path / "recipe" / "r.yaml"]
    saving = ("--save_strategy", "steps", "--save_steps", 1, "--report_to", "tensorboard", "--log_level", "debug")
    ended = run("run_pretraining", *sound_pretraining, *saving, "--do_eval", *options)
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "out" / "checkpoint-1" / "training_args.bin").is_file()
    assert leaks(tmp_path / "out") == leaks(cache) == []
    assert TOKEN not in ended.stderr


@pytest.mark.parametrize("program", ["run_glue", "run_ner"])
def test_fine_tuning_keeps_the_token_to_itself(program: str, kit: Kit, sound_glue, sound_ner, tmp_path: Path):
    sound = sound_glue if program == "run_glue" else sound_ner
    ended = run(program, *sound, "--hub_token", TOKEN)
    assert ended.code == 0, ended.stderr
    assert files_of(tmp_path / "out") and leaks(tmp_path / "out") == []
    assert TOKEN not in ended.stderr


def test_a_search_keeps_token_and_password_to_itself(kit: Kit, sound_pretraining, tmp_path: Path):
    pytest.importorskip("optuna")
    storage = f"postgresql://me:{PASSWORD}@nowhere/studies"
    (tmp_path / "space.yaml").write_text("learning_rate: {low: 1.0e-4, high: 1.0e-3}\n")
    more = ("--hpo", "optuna", "--hpo_trials", 1, "--do_eval", "--hub_token", TOKEN)
    refused = run("run_pretraining", *sound_pretraining, *more, "--hpo_storage", storage)
    assert refused.code in (1, 2) and PASSWORD not in refused.stderr and TOKEN not in refused.stderr
    shown = run("run_pretraining", *sound_pretraining, *more, "--resume_from_checkpoint", "auto")
    assert shown.code == 0, shown.stderr
    assert (tmp_path / "out" / "hpo.db").is_file()
    assert leaks(tmp_path / "out") == []


def test_the_library_finds_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "")
    args = PretrainingArguments(output_dir=str(tmp_path), hub_token=TOKEN, use_cpu=True)
    assert args.hub_token is None and get_token() == TOKEN
    torch.save(args, tmp_path / "training_args.bin")
    assert leaks(tmp_path) == [] and TOKEN.encode() not in pickle.dumps(args)
    assert TOKEN not in f"{args} {args.to_dict()} {args.to_json_string()}"


def test_a_run_is_uploaded_with_the_token_and_without_writing_it(
    kit: Kit, sound_pretraining, hub: HubServer, tmp_path: Path
):
    hub.tokens = {TOKEN: "me"}
    saving = ("--save_strategy", "steps", "--save_steps", 1, "--push_to_hub", "--hub_strategy", "all_checkpoints")
    ended = run("run_pretraining", *sound_pretraining, *saving, "--hub_model_id", "tiny", "--hub_token", TOKEN)
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "out" / "training_args.bin").is_file() and leaks(tmp_path / "out") == []
    assert TOKEN not in ended.stderr
    revisions = ["main", *(branch for branch in hub.repos["model/me/tiny"]["branches"] if branch != "main")]
    assert len(revisions) > 1
    for revision in revisions:
        files = hub.files("me/tiny", revision)
        assert "model.safetensors" in files and not [name for name in files if name.endswith((".bin", ".pt", ".pth"))]
        assert not any(secret in content for content in files.values() for secret in SECRETS)


@pytest.mark.parametrize("status", [401, 500])
def test_a_push_that_fails_keeps_the_token_to_itself(
    status: int, kit: Kit, sound_pretraining, hub: HubServer, tmp_path: Path
):
    hub.tokens = {TOKEN: "me"}
    hub.fail("POST", "/commit/", status, times=100)
    push = ("--push_to_hub", "--hub_model_id", "tiny", "--hub_token", TOKEN)
    ended = run("run_pretraining", *sound_pretraining, *push)
    assert ended.code == 1 and "electra-hf push" in ended.message and TOKEN not in ended.stderr
    assert leaks(tmp_path / "out") == []


def test_no_error_shows_a_secret(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        raise KeyError(f"no answer from https://me:{PASSWORD}@host with {TOKEN}")

    with pytest.raises(SystemExit):
        run_script(fail, debug=True)
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "***" in shown
    assert TOKEN not in shown and PASSWORD not in shown
    assert list(tmp_path.glob("electra-hf-traceback-*")) and leaks(tmp_path) == []
    assert without_secrets(f"s3://me:{PASSWORD}@host/{TOKEN}") == "s3://me:***@host/***"
