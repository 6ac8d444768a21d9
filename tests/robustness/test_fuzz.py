"""A few inputs of benchmarks/fuzz.py for every reader: broken bytes are read, or refused in a sentence."""

import importlib.util
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
NAMES = (
    *(
        "configuration",
        "options",
        "text",
        "gzip",
        "bzip2",
        "xz",
        "zstandard",
        "JSON Lines",
        "JSON array",
        "CSV",
        "TSV",
    ),
    *("Parquet", "dump", "WikiExtractor", "Aozora", "CSV table", "TSV table", "JSON Lines table", "JSON table"),
    *("Parquet table", "CoNLL", "CoNLL-U", "KLUE", "Naver", "SentencePiece", "vocabulary", "tokenizer", "manifest"),
    *("trainer state", "objective", "weights", "scores"),
)


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz"]


@pytest.fixture(scope="module")
def targets(fuzz, tmp_path_factory):
    return fuzz.targets(tmp_path_factory.mktemp("fuzz"))


def test_every_reader_has_its_turn(targets):
    assert set(targets) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sound_bytes_are_read(name: str, fuzz, targets):
    """Otherwise nothing that is refused would mean anything."""
    if name != "scores":  # of which there is no sound sample that is short
        for sample in targets[name].samples:
            assert fuzz.attempt(targets[name], sample) == "read"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_changed_bytes_are_read_or_refused(name: str, rng: Random, fuzz, targets):
    fuzz.attempt(targets[name], fuzz.mutate(rng, targets[name].samples))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(name: str, data: bytes, fuzz, targets):
    fuzz.attempt(targets[name], data)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_usage_error(text: str, fuzz, targets):
    fuzz.attempt(targets["configuration"], text.encode("utf-8", "surrogatepass"))


def test_a_reader_that_fails_is_found(fuzz):
    def fail(path: Path) -> None:
        raise KeyError("a bug")

    def hang(path: Path) -> None:
        while True:
            pass

    with pytest.raises(KeyError):
        fuzz.attempt(fuzz.Target("t.txt", (b"",), fail), b"")
    with pytest.raises(fuzz.TooSlow):
        fuzz.attempt(fuzz.Target("t.txt", (b"",), hang), b"", seconds=0.2)
