"""A prepared corpus as one folder to train from: blocks of both splits, their tokenizer, and readable samples.

    FOLDER/train/       blocks to train on (electra_hf.tokens.preparation)
    FOLDER/validation/  blocks held out, if any
    FOLDER/             the tokenizer, which load_tokenizer(FOLDER) opens

`electra-hf prepare` writes it and `run_pretraining.py --prepared_dir FOLDER` reads it.
"""

import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from electra_hf.corpora import storage
from electra_hf.corpora.remote import as_path, explain_failure, is_remote, network_errors
from electra_hf.errors import PreparationError
from electra_hf.tokens.blocks import BlockDataset, check_manifest
from electra_hf.tokens.remote import file_names, make_folder
from electra_hf.tokens.shards import MANIFEST
from electra_hf.tokens.tokenizers import load_tokenizer, tokenizer_fingerprint

SPLITS = ("train", "validation")


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Put the tokenizer beside its blocks; the folder can be a URL of fsspec.

    Raises:
        PreparationError: The folder cannot be written.
    """
    folder = as_path(folder)
    try:
        make_folder(folder)
        if not is_remote(folder):
            tokenizer.save_pretrained(folder)
            return
        with tempfile.TemporaryDirectory() as local:
            tokenizer.save_pretrained(local)
            for path in sorted(Path(local).iterdir()):
                (folder / path.name).write_bytes(path.read_bytes())
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error


def load_prepared_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer that lies beside the blocks.

    Raises:
        PreparationError: The folder holds no finished prepared corpus, or cannot be read.
        TokenizerError: There is no tokenizer.
    """
    folder = as_path(folder)
    prepared_splits(folder)  # a wrong folder is reported as such, and not looked for on the Hub
    if not is_remote(folder):
        return load_tokenizer(folder)
    with tempfile.TemporaryDirectory() as local:
        try:
            for name in file_names(folder):
                if name.endswith((".json", ".txt")):
                    (Path(local) / name).write_bytes((folder / name).read_bytes())
        except (OSError, *network_errors()) as error:
            raise PreparationError(explain_failure(error, folder)) from error
        return load_tokenizer(local)


def prepared_splits(folder: str | Path) -> dict[str, dict[str, Any]]:
    """The manifests of the finished splits of a folder; no block is read.

    Raises:
        PreparationError: The folder cannot be read, or there is nothing to train on in it.
    """
    folder = as_path(folder)
    try:
        found = {split: storage.read_json(folder / split / MANIFEST) for split in SPLITS}
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error
    if found[SPLITS[0]] is None:
        raise PreparationError(
            f"{folder}: no finished prepared corpus: `electra-hf prepare` makes one; a split that is missing "
            f"{MANIFEST} is unfinished, and the same command goes on with it"
        )
    there = {split: manifest for split, manifest in found.items() if manifest is not None}
    for split, manifest in there.items():
        check_manifest(manifest, folder / split / MANIFEST)
    return there


def open_prepared(
    folder: str | Path, split: str, tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any]
) -> BlockDataset:
    """Open one split of a prepared corpus for a run.

    Args:
        folder: The folder of the whole corpus.
        split: `train` or `validation`.
        tokenizer: The tokenizer of the run.
        settings: What the run asks of the packing, by the names of `PackingSettings`.

    Raises:
        PreparationError: The split is not there, or was made with another tokenizer or packing.
    """
    described = {name: manifest["settings"]["corpus"] for name, manifest in prepared_splits(folder).items()}
    held = described.get("validation")
    # A corpus without a split in it is its own other side: text of its own, which is the user's to keep apart.
    if split == "validation" and _other_side(held) not in (held, described["train"]):
        raise PreparationError(
            f"{folder}: its validation/ was not held out of the text of its train/, so some of it may be trained on: "
            "remove validation/, or prepare the corpus again"
        )
    blocks = BlockDataset(as_path(folder) / split)
    prepared = blocks.manifest["settings"]
    if prepared["tokenizer"] != tokenizer_fingerprint(tokenizer):
        raise PreparationError(
            f"{folder}: its blocks were made with another tokenizer than {tokenizer.name_or_path or 'the one given'}: "
            "leave out --tokenizer_name to use the one in the folder, or prepare the corpus again"
        )
    for name, asked in settings.items():
        found = prepared["packing"].get(name, asked)
        if found != asked:
            raise PreparationError(
                f"{folder}: was prepared with --{name} {found}, and {asked} is asked for: give --{name} {found}, or "
                "prepare the corpus again"
            )
    return blocks


def _other_side(description: Any) -> Any:
    """The description of a corpus with the sides of its splits exchanged."""
    if isinstance(description, dict):
        exchanged = {name: _other_side(value) for name, value in description.items()}
        if description.get("kind") == "held_out":
            exchanged["validation"] = not description["validation"]
        return exchanged
    return [_other_side(item) for item in description] if isinstance(description, list) else description
