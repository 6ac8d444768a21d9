"""`electra-hf doctor`: what is wrong is said, and nothing that is secret."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from electra_hf import diagnosis
from electra_hf.cli import run
from electra_hf.errors import ElectraHfError


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home" / "somebody"
    (home / "cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://somebody:password@internal.host")
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.chdir(home)
    return home


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_secret_is_printed(secrets, capsys, form):
    run(["doctor", "--offline", *form])
    shown = capsys.readouterr().out
    for secret in ("hf_secret", "somebody", "password", "internal.host", str(secrets)):
        assert secret not in shown
    for expected in ("HF_TOKEN", "~/cache", "OMP_NUM_THREADS", "transformers", "not tried: --offline"):
        assert expected in shown
    if form:
        found = json.loads(shown)
        assert found["environment"]["HF_ENDPOINT"] == "set" and found["hub"]["token"] == "set"
        assert found["processor"]["cores"] >= 1 and found["memory"]["total"] > 0


@pytest.mark.parametrize(
    ("version", "state"), [("2.10.1", "broken"), ("2.11.0", "ok"), ("2.13.5+cu126", "ok"), ("2.14.0.dev1", "warning")]
)
def test_versions_are_judged_by_what_was_tested(version, state):
    found, _, advice = diagnosis._judge_version("torch", version, "2.11", "2.13")
    assert found == state and bool(advice) == (state != "ok")


def test_what_is_broken_is_an_error_with_advice(monkeypatch, capsys):
    monkeypatch.setitem(diagnosis.TESTED, "torch", ("99.0", "99.9"))
    with pytest.raises(ElectraHfError, match=r"torch 99.0 or newer is needed: pip install -U torch"):
        run(["doctor", "--offline"])
    assert "**broken**: torch" in capsys.readouterr().out


def test_a_driver_without_cuda_in_torch_is_noticed(monkeypatch):
    monkeypatch.setattr(diagnosis.shutil, "which", lambda name: f"/bin/{name}")
    answer = subprocess.CompletedProcess([], 0, stdout="NVIDIA H100, 570.1, 81559 MiB\n")
    monkeypatch.setattr(diagnosis.subprocess, "run", lambda *_, **__: answer)
    without_cuda = SimpleNamespace(cuda=None, hip=None)
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False), version=without_cuda)
    checks: list[dict[str, str]] = []
    found = diagnosis._gpus(torch, checks)
    assert found["driver"] == ["NVIDIA H100, 570.1, 81559 MiB"]
    assert [check["state"] for check in checks] == ["warning"] and "without CUDA" in checks[0]["advice"]


def test_a_hub_that_does_not_answer_is_a_warning(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    checks: list[dict[str, str]] = []
    assert diagnosis._hub(False, checks)["reachable"] == "no"
    assert checks[0]["state"] == "warning"


def test_folders_that_cannot_be_written_are_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(diagnosis.os, "access", lambda *_: False)
    checks: list[dict[str, str]] = []
    diagnosis._disks(checks)
    assert [check["state"] for check in checks] == ["broken", "warning"]
