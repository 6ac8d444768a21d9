"""run_pretraining.py in this process, on sixty short documents and a model of a few thousand weights."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_glue import SCRIPT as GLUE_SCRIPT
from tiny_glue import make_encoder, write_files
from tiny_ner import SCRIPT as NER_SCRIPT
from tiny_ner import write_files as write_tagged_files
from tiny_script import SCRIPT, TINY, make_documents, run_module


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """run_pretraining.py as a module."""
    return load_script(SCRIPT)


@pytest.fixture(scope="session")
def glue() -> ModuleType:
    """run_glue.py as a module."""
    return load_script(GLUE_SCRIPT)


@pytest.fixture(scope="session")
def ner() -> ModuleType:
    """run_ner.py as a module."""
    return load_script(NER_SCRIPT)


@pytest.fixture(scope="session")
def ner_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options that name files for run_ner.py; not to be changed."""
    return write_tagged_files(tmp_path_factory.mktemp("tagged"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A discriminator that can be fine-tuned; not to be changed."""
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options that name files for run_glue.py; not to be changed."""
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session", autouse=True)
def cache(hf_cache: Path) -> Path:
    """Every program here uses it."""
    return hf_cache


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sixty documents in two .txt files."""
    folder = tmp_path_factory.mktemp("corpus")
    documents = make_documents(60, seed=0)
    for name, part in (("a.txt", documents[:30]), ("b.txt", documents[30:])):
        (folder / name).write_text("\n\n".join(part), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, script: ModuleType, corpus: Path) -> Path:
    """The output folder of the run that the others continue, repeat or collide with."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = run_module(script, *TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", folder)
    assert done.code == 0, done.stderr
    return folder


@pytest.fixture
def run(script: ModuleType):
    """Run the script with these options."""
    return lambda *options: run_module(script, *options)


@pytest.fixture
def launch(cache: Path):
    """Run the script with a launcher in processes of their own; judged by what it writes.

    torch 2.13 with gloo aborts at interpreter exit in about a fifth of runs, after all is written.
    """

    def start(launcher: list[str], *options: str | Path) -> str:
        environment = {**os.environ, "HF_HOME": str(cache), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, *launcher, str(SCRIPT), *map(str, options)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        return done.stderr

    return start
