"""Options of a run that takes a second, the script in this process, and what a run left behind."""

import contextlib
import io
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from electra_hf.errors import run_script

SCRIPT = Path(__file__).parents[2] / "run_pretraining.py"
SIZES = (
    "embedding_size=16,hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32,"
    "max_position_embeddings=16"
)
VOCABULARY = 180
TOKENIZER = ("--train_tokenizer", "--vocab_size", str(VOCABULARY))
MODEL = ("--config_overrides", SIZES, "--generator_width", "0.5")
RUN = (
    *("--max_seq_length", "16", "--max_steps", "4", "--per_device_train_batch_size", "8", "--logging_steps", "1"),
    *("--save_steps", "2", "--validation_split_percentage", "20", "--seed", "3"),
    *("--use_cpu", "--disable_tqdm", "true"),
)
TINY = (*TOKENIZER, *MODEL, *RUN)


@dataclass
class Finished:
    """How the script left.

    Attributes:
        code: Exit code.
        stdout: What it printed.
        stderr: What it complained about.
    """

    code: int
    stdout: str
    stderr: str


def run_module(module: ModuleType, *options: str | Path) -> Finished:
    """Run a script's `main` as its last line does; an exception that is no user error comes through."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", [str(SCRIPT), *map(str, options)])
        patch.setenv("HF_TOKEN", "")  # --hub_token sets it
        run_script(module.main)
    return Finished(int(ended.value.code or 0), stdout.getvalue(), stderr.getvalue())


def make_documents(count: int, seed: int) -> list[str]:
    """Documents of three sentences of about a hundred letters, from sixty words."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("aeioulmnrst", k=rng.randint(2, 7))) for _ in range(60)]
    return ["\n".join(" ".join(rng.choices(words, k=20)) + "." for _ in range(3)) for _ in range(count)]


def prepared_files(cache: Path) -> dict[str, int]:
    """Every file of the prepared corpora, and when it was written."""
    folder = cache / "electra_hf" / "prepared"
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def logged(folder: Path) -> list[dict[str, float]]:
    """What a run logged, without what depends on the clock."""
    timing = ("runtime", "per_second", "remaining_seconds", "teraflops", "preparation_time")
    history = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [{name: value for name, value in row.items() if not name.endswith(timing)} for row in history]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def train_rows(folder: Path) -> list[dict[str, float]]:
    return [row for row in logged(folder) if "loss" in row]


def assert_explained(done, code: int, texts: list[str]) -> None:
    assert done.code == code, done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    missing = [text for text in texts if text not in message]
    assert not missing, message
