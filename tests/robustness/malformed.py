"""One malformed input: which program gets it, and what it must say.

The programs run in this process as their last line runs them, so that a case takes milliseconds.
"""

import contextlib
import importlib.util
import io
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from electra_hf.cli import main as electra_hf
from electra_hf.errors import run_script

ROOT = Path(__file__).parents[2]
UNFORESEEN = "this is a bug, or an input that was not foreseen"


@dataclass(frozen=True)
class Kit:
    """Sound inputs that the malformed ones are made from; not to be changed.

    Attributes:
        corpus: A folder with two text files.
        tokenizer: A folder with a tokenizer of sixty words.
        model: A folder with a joint model and that tokenizer; its discriminator can be fine-tuned.
        run: The folder of a finished pre-training with the checkpoints 1 and 2.
        prepared: What `electra-hf prepare` writes.
        texts: A folder with train.csv and validation.csv of labelled texts.
        tags: A folder with train.txt and validation.txt of tagged words.
    """

    corpus: Path
    tokenizer: Path
    model: Path
    run: Path
    prepared: Path
    texts: Path
    tags: Path


# (folder to write into, sound inputs) to the options that are added to those of a sound run.
Options = Sequence[Any]
Maker = Callable[[Path, Kit], Options]
# name: (options, exit code, what the message must name: the thing and the way out)
Cases = dict[str, tuple[Maker, int, tuple[str, ...]]]


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, and what it wrote to stderr."""

    code: int
    stderr: str

    @property
    def message(self) -> str:
        """What follows `error: `; there must be one such line."""
        lines = self.stderr.splitlines()
        begun = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        assert len(begun) == 1, self.stderr
        return "\n".join(lines[begun[0] :])


@cache
def script(name: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(program: str, *options: object) -> Ended:
    """Run `electra-hf` or a script, such as `run_glue`, with these options."""
    words = [str(option) for option in options]
    stderr = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setenv("HF_TOKEN", "")  # --hub_token sets it
        patch.setattr(sys, "argv", [program, *words])
        try:
            electra_hf(words) if program == "electra-hf" else run_script(script(program).main)
        finally:
            logging.getLogger().handlers[:] = handlers
    return Ended(int(ended.value.code or 0), stderr.getvalue())


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and what it holds; links are not followed."""
    return {
        str(path.relative_to(folder)): b"" if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def check(program: str, sound: Options, case: tuple[Maker, int, tuple[str, ...]], kit: Kit, folder: Path) -> None:
    """Run a case, and see what it says and that it wrote nothing but below `--output_dir`."""
    make, code, words = case
    given = folder / "given"
    given.mkdir()
    options = make(given, kit)
    before = files_of(given)
    ended = run(program, *sound, *options)
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    assert UNFORESEEN not in ended.stderr, ended.stderr
    missing = [word for word in words if word not in ended.message]
    assert not missing, ended.message
    assert files_of(given) == before
    assert {path.name for path in folder.iterdir()} <= {"given", "out"}


def write(name: str, content: str | bytes, *options: str) -> Maker:
    """A case that names one file, with this content, after these options."""

    def make(folder: Path, _: Kit) -> Options:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return (*options, path)

    return make


def options(*given: object) -> Maker:
    """A case of nothing but options."""
    return lambda *_: given
