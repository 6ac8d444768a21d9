"""Prepared folders that are damaged or of another kind, through run_pretraining.py and `electra-hf prepare`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from malformed import Cases, Kit, Maker, check, options


def prepared(change: Callable[[Path], object], part: str = "train") -> Maker:
    """A prepared folder of which one thing was changed: `--prepared_dir`."""

    def make(folder: Path, kit: Kit):
        shutil.copytree(kit.prepared, folder / "blocks")
        change(folder / "blocks" / part)
        return ("--prepared_dir", folder / "blocks")

    return make


def content(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def manifest(*path: str | int, value: object) -> Callable[[Path], object]:
    """Another value at a place of manifest.json."""

    def change(folder: Path) -> None:
        file = folder / "manifest.json"
        tree = json.loads(file.read_text())
        place = tree
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        file.write_text(json.dumps(tree))

    return change


def cut(pattern: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (file,) = folder.glob(pattern)
        file.write_bytes(file.read_bytes()[:-10])

    return change


def flip(pattern: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (file,) = folder.glob(pattern)
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data)

    return change


def remove(pattern: str) -> Callable[[Path], object]:
    return lambda folder: [file.unlink() for file in folder.glob(pattern)]


def pickled(folder: Path) -> None:
    """An array of objects, which numpy would unpickle."""
    (file,) = folder.glob("blocks-*.npy")
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def nothing(_: Path) -> None:
    """The folder as it is."""


BROKEN: Cases = {
    "no manifest": (prepared(remove("manifest.json")), 1, ("manifest.json", "same command goes on")),
    "an empty manifest": (prepared(content("manifest.json", b"")), 1, ("given/blocks",)),
    "a cut manifest": (prepared(cut("manifest.json")), 1, ("given/blocks",)),
    "a list of a manifest": (prepared(content("manifest.json", b"[]")), 1, ("manifest.json",)),
    "a number of a manifest": (prepared(content("manifest.json", b"7")), 1, ("manifest.json",)),
    "an object of a manifest": (prepared(content("manifest.json", b"{}")), 1, ("manifest.json",)),
    "a binary manifest": (prepared(content("manifest.json", bytes(range(256)))), 1, ("given/blocks",)),
    "a manifest of a newer version": (prepared(manifest("settings", "schema_version", value=99)), 1, ("layout 99",)),
    "a manifest without settings": (prepared(manifest("settings", value=None)), 1, ("manifest.json",)),
    "a manifest without shards": (prepared(manifest("shards", value=[])), 1, ("given/blocks",)),
    "a manifest of words": (prepared(manifest("shards", value="many")), 1, ("manifest.json",)),
    "shards outside": (
        prepared(manifest("shards", 0, "files", value={"../../secret.npy": {"bytes": 1, "sha256": ""}})),
        1,
        ("given/blocks",),
    ),
    "no blocks": (prepared(remove("blocks-*.npy")), 1, ("blocks-", "damaged", "anew")),
    "cut blocks": (prepared(cut("blocks-*.npy")), 1, ("blocks-", "damaged", "anew")),
    "cut lengths": (prepared(cut("lengths-*.npy")), 1, ("lengths-", "damaged", "anew")),
    "a flipped bit": (prepared(flip("blocks-*.npy")), 1, ("blocks-", "SHA-256", "anew")),
    "pickled blocks": (prepared(pickled), 1, ("blocks-", "damaged")),
    "no tokenizer": (prepared(remove("tokenizer*.json"), "."), 1, ("given/blocks", "tokenizer")),
    "a cut tokenizer": (prepared(cut("tokenizer.json"), "."), 1, ("given/blocks", "tokenizer")),
}
RUN: Cases = {
    "nowhere": (options("--prepared_dir", "./nowhere"), 1, ("nowhere", "electra-hf prepare")),
    "a file": (lambda _, kit: ("--prepared_dir", kit.tokenizer / "tokenizer.json"), 1, ("tokenizer.json",)),
    "something else": (lambda _, kit: ("--prepared_dir", kit.tokenizer), 1, ("tokenizer", "electra-hf prepare")),
    "another length": (prepared(nothing, "."), 1, ("give --max_seq_length 16", "8 is asked for")),
    "no validation": (
        lambda folder, kit: (*prepared(shutil.rmtree, "validation")(folder, kit), "--do_eval", "--max_seq_length", 16),
        2,
        ("no blocks for evaluation",),
    ),
    "a stream of blocks": (lambda _, kit: ("--prepared_dir", kit.prepared, "--streaming"), 2, ("--streaming",)),
    "new tokens": (lambda _, kit: ("--prepared_dir", kit.prepared, "--train_tokenizer"), 2, ("--train_tokenizer",)),
}


@pytest.fixture
def sound(sound_pretraining):
    """A run without a text of its own and without a tokenizer: the folder has both."""
    place = sound_pretraining.index("--train_file")
    kept = sound_pretraining[:place] + sound_pretraining[place + 2 :]
    return kept[2:]


SIZES = (
    "--config_overrides",
    "embedding_size=16,hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=32,"
    "max_position_embeddings=16",
    *("--generator_width", 0.5),
)


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_folder_is_not_trained_on(name: str, sound, kit: Kit, tmp_path: Path):
    check("run_pretraining", (*sound, *SIZES), BROKEN[name], kit, tmp_path)


@pytest.mark.parametrize("name", RUN)
def test_a_folder_that_does_not_fit_is_explained(name: str, sound, kit: Kit, tmp_path: Path):
    more = ("--max_seq_length", 8) if name == "another length" else ()
    check("run_pretraining", (*sound, *SIZES, *more), RUN[name], kit, tmp_path)
