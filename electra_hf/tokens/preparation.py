"""A corpus -> a prepared folder of block shards with a manifest (docs/design.md, decision 8).

The folder's *settings* are the tokenizer's fingerprint, the packing, the corpus's own description and the shard
size; the SHA-256 of them is its fingerprint. Preparing again with the same fingerprint does nothing; an interrupted
preparation goes on where it stopped; any other settings are refused by name, so that no run trains on blocks that
it did not ask for.

The work is divided in *shares*: `prepare_share` makes some of the shards, anywhere and in any order, and `finish`
writes the manifest when all are there. `prepare` is the only share, in this process or with a pool of workers; the
tasks of a cluster are many (`electra_hf.tokens.executors`).
"""

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from electra_hf.corpora import storage
from electra_hf.corpora.parts import Part
from electra_hf.corpora.remote import as_path, explain_failure, network_errors
from electra_hf.errors import PreparationError
from electra_hf.tokens import shards
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.packing import SpecialIds
from electra_hf.tokens.remote import cache_folder, file_names, make_folder
from electra_hf.tokens.shards import Packer, PackingSettings, ShardCounts
from electra_hf.tokens.shares import ShardTask, prepare_share
from electra_hf.tokens.statistics import merge_statistics
from electra_hf.tokens.tokenizers import backend_json, check_tokenizer, tokenizer_fingerprint

SHARD_CHARACTERS = 2**23
ABANDONED_AFTER = 3600.0  # seconds; a temporary file of a running preparation lives for a moment
logger = logging.getLogger(__name__)

_OURS = re.compile(
    r"(blocks|lengths|first_lengths)-\d{5,}-\d{5,}\.npy|shard-\d{5,}-\d{5,}\.json|part-\d{5,}\.json"
    r"|settings\.json|manifest\.json|\..*\.tmp"
)


class Corpus(Protocol):
    """What preparation asks of a corpus (`electra_hf.corpora`)."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    def parts(self) -> list[Part]:
        """The parts that it consists of, the same every time."""
        ...

    def documents(self) -> Iterator[str]:
        """A fresh pass over the documents, the same every time; their lines are their sentences or paragraphs."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the corpus is, as JSON values: another description is another corpus."""
        ...


def make_packer(tokenizer: PreTrainedTokenizerBase, settings: PackingSettings) -> Packer:
    """What a worker needs of the tokenizer, as plain values.

    Raises:
        TokenizerError: the tokenizer lacks a special token, or a `tokenizers` backend.
    """
    check_tokenizer(tokenizer)
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "pad", "unk")}
    return Packer(
        tokenizer=backend_json(tokenizer),
        special_ids=SpecialIds(ids["cls"], ids["sep"], ids["pad"]),
        unknown_id=-1 if ids["unk"] is None else ids["unk"],
        vocab_size=max(tokenizer.get_vocab().values()) + 1,  # some vocabularies have holes
        settings=settings,
    )


def preparation_settings(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    settings: PackingSettings,
    *,
    shard_characters: int = SHARD_CHARACTERS,
) -> dict[str, Any]:
    """Everything that decides the bytes of a prepared folder, as JSON values."""
    packer = make_packer(tokenizer, settings)
    content = {
        "schema_version": shards.SCHEMA_VERSION,
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "vocab_size": packer.vocab_size,
        "special_ids": asdict(packer.special_ids),
        "packing": settings.identity(),
        "corpus": corpus.describe(),
        "shard_characters": shard_characters,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as they will read from the manifest


def default_prepared_folder(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, settings: PackingSettings) -> Path:
    """Where a corpus is prepared if nobody says otherwise: a folder of its own in the Hugging Face cache."""
    return cache_folder(storage.fingerprint(preparation_settings(corpus, tokenizer, settings)))


def prepare(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    settings: PackingSettings,
    *,
    num_workers: int = 1,
    overwrite: bool = False,
    shard_characters: int = SHARD_CHARACTERS,
    progress: bool = True,
) -> BlockDataset:
    """Convert, tokenise and pack a corpus into a folder, or open the folder if that was done before.

    The bytes do not depend on `num_workers`. The text of at most `num_workers` + 2 shards is in memory.

    Args:
        corpus: the text.
        tokenizer: a fast tokenizer with [CLS], [SEP], [PAD] and [MASK].
        folder: made if it is not there; a path, or a URL of fsspec such as s3://bucket/folder, which is then copied
            to the Hugging Face cache to be read.
        settings: how documents become blocks.
        num_workers: processes; with 1, the work is done in this one, by the tokenizer's own threads. Scripts that ask
            for more need the usual `if __name__ == "__main__"`.
        overwrite: replace what the folder holds if it was made with other settings, and make it again if not.
        shard_characters: a shard is the records up to this many characters.
        progress: show a progress bar.

    Raises:
        PreparationError: the folder holds something else or cannot be written, a worker died, or there is no text.
        TokenizerError: the tokenizer lacks a special token, or a `tokenizers` backend.
    """
    folder = as_path(folder)
    asked = preparation_settings(corpus, tokenizer, settings, shard_characters=shard_characters)
    if not start(folder, asked, overwrite=overwrite):
        logger.info("%s is prepared already: nothing to do", folder)
        return BlockDataset(folder)
    task = shard_task(tokenizer, folder, settings, asked)
    parts = corpus.parts()
    prepare_share(corpus.name, parts, task, num_workers=num_workers, progress=progress)
    finish(corpus.name, parts, folder, asked)
    return BlockDataset(folder)


def shard_task(
    tokenizer: PreTrainedTokenizerBase, folder: Path, settings: PackingSettings, asked: dict[str, Any]
) -> ShardTask:
    """What the shares of a folder need; `asked` are its `preparation_settings`."""
    packer = make_packer(tokenizer, settings)
    return ShardTask(packer, folder, storage.fingerprint(asked), int(asked["shard_characters"]))


def start(folder: Path, asked: dict[str, Any], *, overwrite: bool = False) -> bool:
    """Make a folder ready for its shares; False if it is prepared already.

    Args:
        folder: made if it is not there.
        asked: `preparation_settings`.
        overwrite: remove what was prepared in it before.

    Raises:
        PreparationError: the folder holds something else, was made with other settings, or cannot be written.
        UsageError: it is a URL that shards cannot be written to.
    """
    try:
        make_folder(folder)
        _refuse_foreign_files(folder)
        if overwrite:
            _remove(folder, shards.MANIFEST)  # first: a folder without it is unfinished, never wrong
            _remove(folder, "*")
        _refuse_other_settings(folder, asked)
        if (folder / shards.MANIFEST).exists():
            return False
        _remove_abandoned(folder)
        storage.publish(folder / shards.SETTINGS, storage.to_json(asked))
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error
    return True


def finish(name: str, parts: Sequence[Part], folder: Path, asked: dict[str, Any]) -> None:
    """Write the manifest of a folder in which all shares are done.

    Args:
        name: what messages call the corpus.
        parts: all its parts, those that the shares were made of.
        folder: where the shards are.
        asked: `preparation_settings`.

    Raises:
        PreparationError: a share is missing, or no block was made.
    """
    try:
        fingerprint = storage.fingerprint(asked)
        total = ShardCounts()
        listed, statistics, skipped = [], [], []
        for index, part in enumerate(parts):
            for chunk in _chunks_of_finished_part(folder, index, part, fingerprint):
                sidecar = storage.read_json(folder / shards.sidecar_name(chunk))
                if sidecar is None or sidecar.get("fingerprint") != fingerprint:
                    raise PreparationError(
                        f"{folder}: shard {chunk} of {part.name} is missing: run the same command again to go on"
                    )
                total += ShardCounts(**sidecar["counts"])
                statistics.append(sidecar["statistics"])
                skipped += sidecar["skipped"]
                listed.append(
                    {"name": chunk, "blocks": sidecar["counts"]["blocks"]} | _pick(sidecar, "source", "files")
                )
        _report_skipped(name, total, skipped)
        if total.blocks == 0:
            _remove(folder, "*")
            raise PreparationError(
                f"corpus {name}: no block can be made from its {total.documents} documents, "
                f"{total.characters} characters and {total.tokens} tokens: check that it holds text, and the options "
                "that select it"
            )
        manifest = {
            "format": shards.FORMAT,
            "fingerprint": fingerprint,
            "settings": asked,
            "counts": asdict(total),
            "statistics": merge_statistics(statistics),
            "shards": listed,
        }
        _remove_others(folder, manifest)
        storage.publish(folder / shards.MANIFEST, storage.to_json(manifest))
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error


def _pick(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: content[name] for name in names}


def _report_skipped(name: str, total: ShardCounts, messages: list[str]) -> None:
    for message in messages[: shards.NAMED_SKIPPED_RECORDS]:
        logger.warning("Left out: %s", message)
    if total.skipped_records > shards.NAMED_SKIPPED_RECORDS:
        logger.warning("%s: %d records were left out; the first ones are named above", name, total.skipped_records)


def _refuse_foreign_files(folder: Path) -> None:
    foreign = [name for name in file_names(folder) if not _OURS.fullmatch(name)]
    manifest = folder / shards.MANIFEST
    if not foreign and manifest.exists():
        content = storage.read_json(manifest)
        if content is not None and content.get("format") != shards.FORMAT:
            foreign = [manifest.name]
    if foreign:
        raise PreparationError(
            f"{folder}: holds files that are no prepared corpus ({', '.join(foreign[:3])}): give an empty or a new "
            "folder"
        )


def _refuse_other_settings(folder: Path, asked: dict[str, Any]) -> None:
    for name in (shards.MANIFEST, shards.SETTINGS):
        path = folder / name
        if not path.exists():
            continue
        content = storage.read_json(path)
        found = content.get("settings", content) if content is not None else None
        if found is None:
            raise PreparationError(f"{path}: is broken: give another folder, or --overwrite_cache to make it again")
        if found == asked:
            continue
        old, new = _flat(found), _flat(asked)
        name = next((name for name in sorted(old | new) if old.get(name) != new.get(name)), "settings")
        raise PreparationError(
            f"{folder}: was prepared with {name} = {old.get(name)!r}, and {new.get(name)!r} is asked for: give "
            "another folder, or --overwrite_cache to replace what it holds"
        )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """{"packing": {"seed": 1}} -> {"packing.seed": 1}"""
    if not isinstance(content, dict):
        return {prefix: content}
    items: dict[str, Any] = {}
    for name, value in content.items():
        items |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return items


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Temporary files of a preparation that was killed; those of one that runs beside us are young."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink()


def _remove_others(folder: Path, manifest: dict[str, Any]) -> None:
    """Remove shards of a longer text that was interrupted here, with the same description."""
    listed = {name for entry in manifest["shards"] for name in (*entry["files"], shards.sidecar_name(entry["name"]))}
    for path in folder.glob("*-*-*.*"):
        if path.name not in listed and _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _chunks_of_finished_part(folder: Path, index: int, part: Part, fingerprint: str) -> list[str]:
    path = folder / shards.part_name(index)
    content = storage.read_json(path)
    if content is None or content.get("fingerprint") != fingerprint:
        raise PreparationError(
            f"{folder}: {part.name} is not prepared to its end: run the same command again to go on"
        )
    return [shards.chunk_name(index, chunk) for chunk in range(content["shards"])]
