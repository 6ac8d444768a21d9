"""A small world in which documented commands run for real: texts, links to the clone, sizes of seconds."""

import contextlib
import importlib
import io
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Sizes of every encoder that a command makes.
SIZES = "hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=64,max_position_embeddings=512"
# Appended to what a page says: they win over what stands before.
PRETRAINING = (
    *("--max_steps", "2", "--warmup_steps", "0", "--per_device_train_batch_size", "4", "--logging_steps", "1"),
    *("--gradient_accumulation_steps", "1", "--per_device_eval_batch_size", "4", "--max_eval_samples", "8"),
    *("--save_steps", "2", "--eval_steps", "2", "--bf16", "false", "--use_cpu", "--disable_tqdm", "true"),
    *("--dataloader_num_workers", "0", "--preprocessing_num_workers", "1", "--validation_split_percentage", "20"),
)


def write_texts(folder: Path, documents: int = 60) -> None:
    """`texts/a.txt` and `b.txt`: documents of three sentences, a blank line between them."""
    rng = random.Random(0)
    words = ["".join(rng.choices("aeioulmnrst", k=rng.randint(2, 7))) for _ in range(300)]
    texts = ["\n".join(" ".join(rng.choices(words, k=20)) + "." for _ in range(3)) for _ in range(documents)]
    (folder / "texts").mkdir(parents=True)
    (folder / "texts" / "a.txt").write_text("\n\n".join(texts[::2]), encoding="utf-8")
    (folder / "texts" / "b.txt").write_text("\n\n".join(texts[1::2]), encoding="utf-8")


def link_repository(folder: Path) -> None:
    """What commands name relative to the clone."""
    for name in ("configs", "benchmarks", "constraints.txt", "setup.cfg", *_SCRIPTS):
        (folder / name).symlink_to(ROOT / name)


_SCRIPTS = ("run_pretraining.py", "run_glue.py", "run_ner.py")


def run_here(words: Sequence[str]) -> str:
    """Run a script or a command of ours in this process.

    Returns:
        What it printed.

    Raises:
        AssertionError: If it does not end with 0.
    """
    from electra_hf.errors import run_script

    output = io.StringIO()
    program, rest = words[0], list(words[1:])
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", [program, *rest])
        patch.syspath_prepend(str(ROOT))
        if program == "electra-hf":
            importlib.import_module("electra_hf.cli").main(rest)
        else:
            run_script(importlib.import_module(program.removesuffix(".py")).main)
    assert not ended.value.code, f"{' '.join(words)}\n{output.getvalue()[-4000:]}"
    return output.getvalue()
