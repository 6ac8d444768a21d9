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

from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.errors import PreparationError, explain_os_error
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.shards import MANIFEST
from electra_hf.tokens.tokenizers import tokenizer_fingerprint

SPLITS = ("train", "validation")


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Put the tokenizer beside its blocks; the folder can be a URL of fsspec.

    Raises:
        PreparationError: The folder cannot be written.
    """
    folder = as_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not is_remote(folder):
            tokenizer.save_pretrained(folder)
            return
        with tempfile.TemporaryDirectory() as local:
            tokenizer.save_pretrained(local)
            for path in sorted(Path(local).iterdir()):
                (folder / path.name).write_bytes(path.read_bytes())
    except OSError as error:
        raise PreparationError(explain_os_error(error, error.filename or folder)) from error


def is_prepared(folder: str | Path, split: str) -> bool:
    """Whether a folder holds the finished blocks of a split."""
    return (as_path(folder) / split / MANIFEST).is_file()


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
