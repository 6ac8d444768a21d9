"""The access token of the Hub and the passwords of URLs are nowhere in what a run writes or says."""

import os
import pickle
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi, get_token
from malformed import Kit, files_of, run
from transformers import Trainer

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


def test_the_trainer_pushes_with_the_token_and_without_writing_it(
    kit: Kit, sound_pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`_push_from_checkpoint` pickles the arguments by itself, into a folder that is uploaded."""
    asked: list[str] = []

    def create(*_: object, **options: object) -> SimpleNamespace:
        asked.append(str(options.get("token") or os.environ["HF_TOKEN"]))
        return SimpleNamespace(repo_id="me/model")

    def upload(*_: object, **options: object) -> Future:
        asked.append(str(options.get("token") or os.environ["HF_TOKEN"]))
        done: Future = Future()
        done.set_result(None)
        return done

    for name, function in (("create_repo", create), ("upload_folder", upload)):
        monkeypatch.setattr(HfApi, name, function)
        monkeypatch.setattr(f"transformers.trainer.{name}", function, raising=False)
    pushed = []
    plain = Trainer._push_from_checkpoint

    def push(self: Trainer, folder: str) -> None:
        plain(self, folder)
        pushed.append(leaks(tmp_path / "out"))

    monkeypatch.setattr(Trainer, "_push_from_checkpoint", push)
    monkeypatch.setattr(Trainer, "push_to_hub", lambda *_, **__: None)
    saving = ("--save_strategy", "steps", "--save_steps", 1, "--push_to_hub", "--hub_strategy", "every_save")
    ended = run("run_pretraining", *sound_pretraining, *saving, "--hub_token", TOKEN)
    assert ended.code == 0, ended.stderr
    assert pushed and not any(pushed)
    assert asked and set(asked) == {TOKEN}


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
