"""A corpus -> a prepared folder of block shards with a manifest (docs/design.md, decision 8).

The folder's *settings* are the tokenizer's fingerprint, the packing, the corpus's own description and the shard
size; the SHA-256 of them is its fingerprint. Preparing again with the same fingerprint does nothing; an interrupted
preparation goes on where it stopped; any other settings are refused by name, so that no run trains on blocks that
it did not ask for.

The work is divided in *shares*: `prepare_share` makes some of the shards, anywhere and in any order, and `finish`
writes the manifest when all are there. `prepare` is the only share, in this process or with a pool of workers; the
tasks of a cluster are many (`electra_hf.tokens.executors`).
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from electra_hf.tokens.folders import remove_others, start
from electra_hf.tokens.packing import SpecialIds
from electra_hf.tokens.remote import cache_folder
from electra_hf.tokens.shards import Packer, PackingSettings, ShardCounts
from electra_hf.tokens.shares import ShardTask, prepare_share
from electra_hf.tokens.statistics import merge_statistics
from electra_hf.tokens.tokenizers import backend_json, check_tokenizer, tokenizer_fingerprint

SHARD_CHARACTERS = 2**23
logger = logging.getLogger(__name__)


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


class NothingPreparedError(PreparationError):
    """All text was read, and gave no block."""


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
    **options: Any,
) -> BlockDataset:
    """`prepare_folder`, and open the folder; one at a URL is copied to the Hugging Face cache to be read.

    Args:
        corpus: the text.
        tokenizer: a fast tokenizer with [CLS], [SEP], [PAD] and [MASK].
        folder: made if it is not there; a path, or a URL of fsspec such as s3://bucket/folder.
        settings: how documents become blocks.
        options: the named arguments of `prepare_folder`.

    Raises:
        PreparationError: as `prepare_folder`, or a finished folder is damaged.
    """
    prepare_folder(corpus, tokenizer, folder, settings, **options)
    return BlockDataset(folder)


def prepare_folder(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    settings: PackingSettings,
    *,
    num_workers: int = 1,
    overwrite: bool = False,
    verify: bool = False,
    shard_characters: int = SHARD_CHARACTERS,
    progress: bool = True,
) -> None:
    """Convert, tokenise and pack a corpus into a folder, unless that was done before.

    The bytes do not depend on `num_workers`. The text of at most `num_workers` + 2 shards is in memory.

    Args:
        corpus: the text.
        tokenizer: a fast tokenizer with [CLS], [SEP], [PAD] and [MASK].
        folder: made if it is not there; a path, or a URL of fsspec such as s3://bucket/folder.
        settings: how documents become blocks.
        num_workers: processes; with 1, the work is done in this one, by the tokenizer's own threads. Scripts that ask
            for more need the usual `if __name__ == "__main__"`.
        overwrite: replace what the folder holds if it was made with other settings, and make it again if not.
        verify: read every shard of a finished folder, and make those anew that are damaged.
        shard_characters: a shard is the records up to this many characters.
        progress: show a progress bar.

    Raises:
        PreparationError: the folder holds something else or cannot be written, a worker died, or there is no text.
        TokenizerError: the tokenizer lacks a special token, or a `tokenizers` backend.
        CorpusError: the text cannot be read, or there is none.
    """
    folder = as_path(folder)
    asked = preparation_settings(corpus, tokenizer, settings, shard_characters=shard_characters)
    task = shard_task(tokenizer, folder, settings, asked)
    if not start(folder, asked, overwrite=overwrite):
        if not verify or _all_whole(task):
            logger.info("%s is prepared already: nothing to do", folder)
            return
        storage.remove(folder, shards.MANIFEST)
    parts = corpus.parts()
    prepare_share(corpus.name, parts, task, num_workers=num_workers, progress=progress)
    try:
        finish(corpus.name, parts, folder, asked)
    except NothingPreparedError:
        next(corpus.documents(), None)  # which may know better why there is nothing
        raise


def _all_whole(task: ShardTask) -> bool:
    """Whether the files of all shards in the manifest are what their sidecars say; logs those that are not."""
    manifest = storage.read_json(task.folder / shards.MANIFEST) or {"shards": []}
    damaged = [entry["name"] for entry in manifest["shards"] if task.counts_if_whole(entry["name"]) is None]
    if damaged:
        logger.warning("%s: damaged, and made anew: shards %s", task.folder, ", ".join(damaged[:5]))
    return not damaged


def shard_task(
    tokenizer: PreTrainedTokenizerBase, folder: Path, settings: PackingSettings, asked: dict[str, Any]
) -> ShardTask:
    """What the shares of a folder need; `asked` are its `preparation_settings`."""
    packer = make_packer(tokenizer, settings)
    return ShardTask(packer, folder, storage.fingerprint(asked), int(asked["shard_characters"]))


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
        listed, statistics, skipped, pairs = [], [], [], Counter()
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
                pairs.update(sidecar.get("pairs", {}))
                listed.append(
                    {"name": chunk, "blocks": sidecar["counts"]["blocks"]} | _pick(sidecar, "source", "files")
                )
        _report_skipped(name, total, skipped)
        if total.blocks == 0:
            storage.remove(folder, "*")
            raise NothingPreparedError(
                f"corpus {name}: no block can be made from its {total.documents} documents, "
                f"{total.characters} characters and {total.tokens} tokens: check that it holds text, and the options "
                "that select it"
            )
        if pairs:
            _check_pairs(name, folder, pairs)
        manifest = {
            "format": shards.FORMAT,
            "fingerprint": fingerprint,
            "settings": asked,
            "counts": asdict(total),
            "statistics": merge_statistics(statistics),
            "shards": listed,
        }
        if pairs:
            manifest["pairs"] = dict(pairs)
        remove_others(folder, manifest)
        storage.publish(folder / shards.MANIFEST, storage.to_json(manifest))
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error


def _check_pairs(name: str, folder: Path, pairs: Mapping[str, int]) -> None:
    """Say how many rows have no label, and refuse a corpus in which none has one."""
    if not pairs["label_0"] + pairs["label_1"]:
        storage.remove(folder, "*")
        raise PreparationError(
            f"corpus {name}: no pair of sentences can be made: next sentences need two documents in a shard, and each "
            "has a single one. Give shorter documents (--document_separator says where those of .txt files end), or "
            "use --packing sop"
        )
    if pairs["without"]:
        logger.info(
            "%s: %d of %d blocks have no label for their pair: shards of a single document, or single tokens",
            name,
            pairs["without"],
            sum(pairs.values()),
        )


def _pick(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: content[name] for name in names}


def _report_skipped(name: str, total: ShardCounts, messages: list[str]) -> None:
    for message in messages[: shards.NAMED_SKIPPED_RECORDS]:
        logger.warning("Left out: %s", message)
    if total.skipped_records > shards.NAMED_SKIPPED_RECORDS:
        logger.warning("%s: %d records were left out; the first ones are named above", name, total.skipped_records)


def _chunks_of_finished_part(folder: Path, index: int, part: Part, fingerprint: str) -> list[str]:
    path = folder / shards.part_name(index)
    content = storage.read_json(path)
    if content is None or content.get("fingerprint") != fingerprint:
        raise PreparationError(
            f"{folder}: {part.name} is not prepared to its end: run the same command again to go on"
        )
    return [shards.chunk_name(index, chunk) for chunk in range(content["shards"])]
