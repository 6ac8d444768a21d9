"""What reaches the Hub, and what is said when it does not: real requests to a stand-in."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import DROP, TOKEN, HubServer

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.sharing.card_files import write_model_card
from electra_hf.sharing.upload import HubTarget, check_hub, push_command, push_run

TARGET = HubTarget("someone/tiny")
MODEL = {"config.json", "model.safetensors", "generator/config.json", "generator/model.safetensors", "tokenizer.json"}
MODEL |= {"tokenizer_config.json", "README.md", "eval_results.json", ".gitattributes"}


@pytest.fixture
def run(run_folder: Path) -> Path:
    """With a card, and all that must stay where it is."""
    write_model_card(run_folder, {"name": "outputs/run", "generator": "electra", "steps": 2, "max_steps": 2})
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "hpo.db", "hpo.png", ".env", "notes.txt"):
        (run_folder / name).write_bytes(b"secret")
    return run_folder


@pytest.fixture
def checkpoints(run: Path) -> Path:
    """The run, with checkpoints of other weights after steps 1 and 2."""
    for step in (1, 2):
        folder = run / f"checkpoint-{step}"
        for name in (*MODEL - {"README.md", "eval_results.json", ".gitattributes"}, "optimizer.pt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            content = (run / name).read_bytes()
            (folder / name).write_bytes(content + bytes([step]) if name.endswith("safetensors") else content)
        history = [{"step": 1, "eval_rtd_auc": 0.625}, {"step": 2, "eval_rtd_auc": 0.875}][:step]
        state = {"global_step": step, "max_steps": 2, "total_flos": 1e6, "epoch": 0.5, "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    (run / "pretraining_config.yaml").write_text("seed: 1\n")
    return run


def commits(hub: HubServer, repo_id: str = "someone/tiny") -> list[str]:
    return [commit["title"] for commit in hub.repos[f"model/{repo_id}"]["commits"].values()]


def test_the_model_reaches_the_hub_and_nothing_else_does(hub: HubServer, run: Path):
    (pushed,) = push_run(run, TARGET)
    files = hub.files("someone/tiny")
    assert files.keys() == MODEL
    for name in MODEL - {"README.md", ".gitattributes"}:
        assert files[name] == (run / name).read_bytes(), name
    assert pushed.address == f"{hub.url}/someone/tiny" and pushed.kept == 0
    assert not any(b"secret" in content for content in files.values())
    assert commits(hub) == ["initial commit", "Upload model"]


def test_the_card_there_loads_the_model_from_there(hub: HubServer, run: Path):
    push_run(run, TARGET)
    there, here = hub.files("someone/tiny")["README.md"].decode(), (run / "README.md").read_text()
    assert 'AutoModel.from_pretrained("someone/tiny")' in there and "outputs/run" not in there
    assert 'AutoModel.from_pretrained("outputs/run")' in here


def test_a_second_push_sends_nothing_and_a_change_only_itself(hub: HubServer, run: Path):
    push_run(run, TARGET)
    hub.requests.clear()
    (again,) = push_run(run, TARGET)
    assert again.sent == () and again.kept == len(MODEL) - 1
    assert not hub.sent("PUT", "") and not hub.sent("POST", "/(commit|preupload)/")
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes() + b"\0")
    (changed,) = push_run(run, TARGET)
    assert changed.sent == ("model.safetensors",)
    assert hub.files("someone/tiny")["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert len(commits(hub)) == 3


def test_a_name_without_owner_is_ones_own(hub: HubServer, run: Path):
    (pushed,) = push_run(run, HubTarget("tiny"))
    assert pushed.repo_id == "someone/tiny"
    assert 'from_pretrained("someone/tiny")' in hub.files("someone/tiny")["README.md"].decode()


def test_a_private_repository_is_private_and_a_public_one_is_not_taken_for_it(hub: HubServer, run: Path):
    push_run(run, HubTarget("someone/hidden", private=True))
    assert hub.repos["model/someone/hidden"]["private"]
    push_run(run, TARGET)
    (run / "model.safetensors").write_bytes(b"confidential")
    with pytest.raises(CheckpointError, match="someone/tiny is there, and public"):
        push_run(run, replace(TARGET, private=True))
    assert hub.files("someone/tiny")["model.safetensors"] != b"confidential"


def test_a_branch_of_ones_own_leaves_the_main_one_alone(hub: HubServer, run: Path):
    (pushed,) = push_run(run, replace(TARGET, revision="second"))
    assert hub.files("someone/tiny").keys() == {".gitattributes"}
    assert hub.files("someone/tiny", "second").keys() == MODEL
    assert pushed.address.endswith("/someone/tiny/tree/second")


def test_the_generator_has_a_repository_of_its_own(hub: HubServer, run: Path):
    target = replace(TARGET, generator_repo_id="group/tiny-generator", license="mit")
    assert [pushed.repo_id for pushed in push_run(run, target)] == ["someone/tiny", "group/tiny-generator"]
    files, own = hub.files("someone/tiny"), hub.files("group/tiny-generator")
    assert not [name for name in files if name.startswith("generator/")]
    assert own["model.safetensors"] == (run / "generator" / "model.safetensors").read_bytes()
    assert {"config.json", "tokenizer.json", "README.md"} <= own.keys()
    assert 'AutoModelForMaskedLM.from_pretrained("group/tiny-generator")' in files["README.md"].decode()
    assert "(https://huggingface.co/someone/tiny)" in own["README.md"].decode()
    assert "license: mit" in own["README.md"].decode() and "license: mit" in files["README.md"].decode()


def test_checkpoints_are_revisions(hub: HubServer, checkpoints: Path):
    push_run(checkpoints, TARGET, with_checkpoints=True)
    for step in (1, 2):
        files = hub.files("someone/tiny", f"step-{step}")
        # Neither the results nor the states of the training.
        assert files.keys() == MODEL - {"eval_results.json"} | {"pretraining_config.yaml"}
        expected = (checkpoints / f"checkpoint-{step}" / "generator" / "model.safetensors").read_bytes()
        assert files["generator/model.safetensors"] == expected
    first, second = (hub.files("someone/tiny", f"step-{step}")["README.md"].decode() for step in (1, 2))
    assert "after step 1 of 2" in first and "0.625" in first and "0.875" in second and "after step" not in second
    hub.requests.clear()
    assert not any(pushed.sent for pushed in push_run(checkpoints, TARGET, with_checkpoints=True))
    assert not hub.sent("POST", "/commit/")


def test_a_checkpoint_alone(hub: HubServer, checkpoints: Path):
    push_run(checkpoints / "checkpoint-1", TARGET)
    card = hub.files("someone/tiny")["README.md"].decode()
    assert "# someone/tiny" in card and "after step 1 of 2" in card


def test_what_the_folder_does_not_have_is_refused(hub: HubServer, run: Path, checkpoints: Path, tmp_path: Path):
    for step in (1, 2):
        (checkpoints / f"checkpoint-{step}").rename(tmp_path / f"kept-{step}")
    with pytest.raises(UsageError, match="--with_checkpoints.*no checkpoint-N"):
        push_run(run, TARGET, with_checkpoints=True)
    (run / "generator").rename(tmp_path / "generator")
    with pytest.raises(UsageError, match="--hub_generator_model_id.*no generator/"):
        push_run(run, replace(TARGET, generator_repo_id="someone/generator"))
    (run / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model.safetensors.*give the folder of a model"):
        push_run(run, TARGET)
    (tmp_path / "kept-2").rename(run / "checkpoint-2")
    with pytest.raises(CheckpointError, match="give one of its checkpoints, such as .*checkpoint-2"):
        push_run(run, TARGET)
    assert not hub.repos


FAULTS = {
    "no such token": ("POST", "/repos/create", 401, "401"),
    "no right to write": ("POST", "/commit/", 403, "403"),
    "server error in mid-upload": ("PUT", "/lfs/", 500, "500"),
    "connection lost in mid-upload": ("PUT", "/lfs/", DROP, "disconnected"),
    "connection lost at the commit": ("POST", "/commit/", DROP, "disconnected"),
    "an answer that is none": ("POST", "/preupload/", 502, "502"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_push_that_fails_loses_nothing_and_is_repeated(hub: HubServer, run: Path, fault: str):
    method, path, status, word = FAULTS[fault]
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    hub.fail(method, path, status, times=100)
    with pytest.raises(CheckpointError) as caught:
        push_run(run, TARGET)
    message = str(caught.value)
    assert "is complete, but could not be uploaded to someone/tiny" in message and word in message
    assert f"`electra-hf push {run} --hub_model_id someone/tiny` sends what is missing" in message
    assert TOKEN not in message and "\n" not in message
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    hub.faults.clear()
    push_run(run, TARGET)
    assert hub.files("someone/tiny").keys() == MODEL
    assert commits(hub) == ["initial commit", "Upload model"]


def test_a_short_trouble_is_not_noticed(hub: HubServer, run: Path):
    hub.fail("PUT", "/lfs/", 503)
    hub.fail("POST", "/preupload/", DROP)
    push_run(run, TARGET)
    assert hub.files("someone/tiny").keys() == MODEL


def test_what_was_sent_before_a_failure_is_not_sent_again(hub: HubServer, run: Path):
    hub.fail("POST", "/commit/", 500, times=100)
    with pytest.raises(CheckpointError):
        push_run(run, TARGET)
    assert len(hub.sent("PUT", "/lfs/")) == 2
    hub.faults.clear()
    push_run(run, TARGET)
    assert len(hub.sent("PUT", "/lfs/")) == 2


def test_the_login_is_checked_and_the_repositories_are_made(hub: HubServer):
    target = check_hub(HubTarget("tiny", "group/generator", private=True))
    assert target.repositories == ("someone/tiny", "group/generator")
    assert all(hub.repos[f"model/{name}"]["private"] for name in target.repositories)


@pytest.fixture(params=["unknown", "none", "read only", "of another", "offline"])
def refusal(request: pytest.FixtureRequest, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    kind = request.param
    words = {
        "unknown": "Invalid user token", "none": "no token found", "read only": "may only read",
        "of another": "rights to create", "offline": "offline mode",
    }  # fmt: skip
    if kind == "unknown":
        monkeypatch.setenv("HF_TOKEN", "hf_other")
    elif kind == "none":
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "nowhere")
    elif kind == "read only":
        hub.read_only = True
    elif kind == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    yield words[kind]


def test_who_may_not_write_is_told_at_once(hub: HubServer, refusal: str):
    name = "stranger/tiny" if refusal == "rights to create" else "someone/tiny"
    with pytest.raises(CheckpointError, match=f"could not be uploaded to {name}.*{refusal}.*hf auth login"):
        check_hub(HubTarget(name))
    assert not hub.repos


def test_the_command_says_all_that_was_asked_for():
    target = HubTarget("a/b", "a/c", private=True, revision="x", language=("ko", "en"), license="mit")
    assert push_command("out puts", target, with_checkpoints=True) == (
        "electra-hf push 'out puts' --hub_model_id a/b --hub_generator_model_id a/c --hub_private_repo --revision x "
        "--hub_language ko en --hub_license mit --with_checkpoints"
    )
