"""From a script to the Hub and back: the scripts in this process, a stand-in for the Hub, real requests."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import ModelCard
from tiny_glue import RECIPE as GLUE_RECIPE
from tiny_ner import RECIPE as NER_RECIPE
from tiny_script import TINY, assert_explained, run_module

from electra_hf.cli import main as electra_hf

PUSH = ("--push_to_hub", "--hub_model_id", "tiny", "--hub_token", TOKEN)
# In a process that cannot import electra_hf, with nothing but what is on the Hub.
READER = """
import sys
class Blocker:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "electra_hf":
            raise ImportError("not here")
sys.meta_path.insert(0, Blocker())
exec(open(sys.argv[1]).read())
assert suspicion.shape == hidden_states.shape[:2] and generator.config.model_type == "electra"
from transformers import AutoModel, pipeline
first = AutoModel.from_pretrained("someone/tiny", revision="step-2")
assert any((a != b).any() for a, b in zip(first.parameters(), encoder.parameters()))
assert "B-PER" in pipeline("token-classification", model="someone/tagger").model.config.label2id
print("read")
"""


@pytest.fixture
def options(corpus: Path, tmp_path: Path) -> tuple[object, ...]:
    return (*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path / "out")


def test_all_scripts_push_and_others_read(
    run: Callable, options, ner: ModuleType, encoder: Path, ner_files, hub: HubServer, tmp_path: Path
):
    strategy = ("--hub_strategy", "all_checkpoints", "--hub_language", "et", "--hub_license", "mit")
    hub.fail("POST", "/commit/", 500)  # at the first checkpoint
    done = run(*options, *PUSH, *strategy, "--save_total_limit", "1", "--keep_milestones", "50")
    assert done.code == 0, done.stderr
    assert hub.repos["model/someone/tiny"]["branches"].keys() == {"main", "step-2", "step-4"}
    assert f"Uploaded  {hub.url}/someone/tiny/tree/step-2" in done.stdout and "training_args.bin" in done.stdout
    files = hub.files("someone/tiny")
    for name in ("model.safetensors", "generator/model.safetensors", "tokenizer.json", "training_curves.png",
                 "objective.json", "pretraining_config.yaml", "eval_results.json"):  # fmt: skip
        assert files[name] == (tmp_path / "out" / name).read_bytes(), name
    assert hub.files("someone/tiny", "step-4")["model.safetensors"] == files["model.safetensors"]
    card = ModelCard(files["README.md"].decode())
    assert card.data.language == ["et"] and card.data.license == "mit"
    assert {result.metric_type for result in card.data.eval_results} >= {"rtd_auc", "generator_accuracy"}
    assert re.search(r"\*\*Trained for\*\*: 4 steps, [45]\d\d tokens .*, 0.\d+ epochs, \d.\d+e\+\d+ FLOPs", card.text)
    assert "1 layer, hidden size 16, 2 heads" in card.text and "a.txt" not in card.text and "60 doc" not in card.text

    tags = ("--model_name_or_path", encoder, *ner_files, *NER_RECIPE, "--num_train_epochs", "1")
    push = ("--push_to_hub", "--hub_model_id", "someone/tagger", "--hub_token", TOKEN, "--hub_private_repo", "true")
    done = run_module(ner, *tags, *push, "--output_dir", tmp_path / "ner")
    assert done.code == 0, done.stderr
    assert hub.repos["model/someone/tagger"]["private"]
    assert {"model.safetensors", "results.md", "finetuning_config.yaml"} <= hub.files("someone/tagger").keys()

    (tmp_path / "example.py").write_text(card.text.split("```python")[1].split("```")[0])
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "PYTHONPATH")},
        **{"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"},
    }
    command = [sys.executable, "-c", READER, str(tmp_path / "example.py")]
    read = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert read.stdout.endswith("read\n"), read.stderr


def test_a_push_that_fails_at_the_end_leaves_a_whole_run_and_the_command(
    run: Callable, options, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    hub.fail("POST", "/commit/", 500, times=100)
    generator = ("--hub_generator_model_id", "group/generator", "--hub_strategy", "every_save")
    done = run(*options, *PUSH, *generator)
    assert_explained(done, 1, ["is complete, but could not be uploaded", "electra-hf push", "500"])
    assert TOKEN not in done.stderr + done.stdout + caplog.text and "Step 2 was NOT uploaded" in caplog.text
    for name in ("model.safetensors", "README.md", "training_curves.png", "eval_results.json", "checkpoint-4"):
        assert (tmp_path / "out" / name).exists(), name
    command = shlex.split(done.stderr.rpartition("`electra-hf ")[2].split("`")[0])
    hub.faults.clear()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(SystemExit) as ended:
        electra_hf(command)
    assert not ended.value.code
    assert "model.safetensors" in hub.files("someone/tiny")
    assert not [name for name in hub.files("someone/tiny") if name.startswith("generator/")]
    generator_file = (tmp_path / "out" / "generator" / "model.safetensors").read_bytes()
    assert hub.files("group/generator")["model.safetensors"] == generator_file


def test_a_login_that_does_not_work_is_told_before_the_training(run: Callable, options, hub: HubServer, tmp_path):
    done = run(*options, "--push_to_hub", "--hub_model_id", "tiny", "--hub_token", "hf_wrong")
    assert_explained(done, 1, ["could not be uploaded to tiny", "Invalid user token", "hf auth login"])
    assert not (tmp_path / "out").exists() and "hf_wrong" not in done.stderr


REFUSED = {
    "nothing trained": (("--push_to_hub", "--no_do_train"), ["--push_to_hub", "--no_do_train", "electra-hf push"]),
    "trials only": (("--push_to_hub", "--hpo", "optuna"), ["--push_to_hub", "--hpo"]),
    "states": (("--push_to_hub", "--hub_strategy", "checkpoint"), ["--hub_strategy checkpoint", "all_checkpoints"]),
    "no push": (("--hub_generator_model_id", "a/b"), ["--hub_generator_model_id", "--push_to_hub"]),
}


def test_a_generator_that_is_no_model_gets_no_repository(run: Callable, options, hub: HubServer):
    done = run(*options, *PUSH, "--objective", "electric", "--hub_generator_model_id", "someone/towers")
    assert_explained(done, 2, ["--hub_generator_model_id", "electric"])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_uploaded_is_refused_by_name(case: str, run: Callable, options, hub: HubServer, tmp_path: Path):
    given, words = REFUSED[case]
    assert_explained(run(*options, *given), 2, words)
    assert not (tmp_path / "out").exists() and not hub.requests


def test_fine_tuning_uploads_at_the_end_only(glue: ModuleType, encoder: Path, files, tmp_path: Path):
    given = ("--model_name_or_path", encoder, *files, *GLUE_RECIPE, "--output_dir", tmp_path / "out")
    done = run_module(glue, *given, "--push_to_hub", "--hub_strategy", "every_save")
    assert_explained(done, 2, ["--hub_strategy every_save", "best of all seeds", "use end"])
