"""A corpus -> a prepared folder of block shards with a manifest (docs/design.md, decision 8).

The folder's *settings* are the tokenizer's fingerprint, the packing, the corpus's own description and the shard
size; the SHA-256 of them is its fingerprint. Preparing again with the same fingerprint does nothing; an interrupted
preparation goes on where it stopped; any other settings are refused by name, so that no run trains on blocks that
it did not ask for.
"""

import contextlib
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from huggingface_hub import constants
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import PreparationError, explain_os_error
from electra_hf.tokens import shards
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.packing import SpecialIds
from electra_hf.tokens.shards import Packer, PackingSettings, ShardCounts, ShardText
from electra_hf.tokens.tokenizers import backend_json, check_tokenizer, tokenizer_fingerprint

SHARD_CHARACTERS = 2**24
ABANDONED_AFTER = 3600.0  # seconds; a temporary file of a running preparation lives for a moment
_OURS = re.compile(r"(blocks|lengths|first_lengths)-\d{5,}\.npy|shard-\d{5,}\.json|manifest\.json|\..*\.tmp")


class Corpus(Protocol):
    """What preparation asks of a corpus (`electra_hf.corpora`)."""

    @property
    def name(self) -> str:
        """How messages call it."""
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


def settings_fingerprint(settings: dict[str, Any]) -> str:
    """SHA-256 of `preparation_settings`."""
    return hashlib.sha256(json.dumps(settings, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def default_prepared_folder(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, settings: PackingSettings) -> Path:
    """Where a corpus is prepared if nobody says otherwise: a folder of its own in the Hugging Face cache."""
    fingerprint = settings_fingerprint(preparation_settings(corpus, tokenizer, settings))
    return Path(constants.HF_HOME) / "electra_hf" / "prepared" / fingerprint


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
    """Tokenise and pack a corpus into a folder, or open the folder if that was done before.

    The bytes do not depend on `num_workers`. At most two shards per worker are in memory.

    Args:
        corpus: the text.
        tokenizer: a fast tokenizer with [CLS], [SEP], [PAD] and [MASK].
        folder: made if it is not there.
        settings: how documents become blocks.
        num_workers: processes; with 1, the work is done in this one, by the tokenizer's own threads. Scripts that ask
            for more need the usual `if __name__ == "__main__"`.
        overwrite: replace what the folder holds if it was made with other settings, and make it again if not.
        shard_characters: a shard is the documents up to this many characters.
        progress: show a progress bar.

    Raises:
        PreparationError: the folder holds something else or cannot be written, a worker died, or there is no text.
        TokenizerError: the tokenizer lacks a special token, or a `tokenizers` backend.
    """
    folder = Path(folder)
    asked = preparation_settings(corpus, tokenizer, settings, shard_characters=shard_characters)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign_files(folder)
        if overwrite:
            _remove(folder, shards.MANIFEST)  # first: a folder without it is unfinished, never wrong
            _remove(folder, "*")
        _refuse_other_settings(folder, asked)
        if (folder / shards.MANIFEST).exists():
            return BlockDataset(folder)
        _remove_abandoned(folder)
        packer = make_packer(tokenizer, settings)
        total = _make_shards(corpus, packer, folder, asked, num_workers, shard_characters, progress)
        if total.blocks == 0:
            _remove(folder, "*")
            raise PreparationError(
                f"corpus {corpus.name}: no block can be made from its {total.documents} documents, "
                f"{total.characters} characters and {total.tokens} tokens: check that it holds text"
            )
        _write_manifest(folder, asked, total)
    except OSError as error:
        raise PreparationError(explain_os_error(error, error.filename or folder)) from error
    return BlockDataset(folder)


def _refuse_foreign_files(folder: Path) -> None:
    foreign = sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))
    manifest = folder / shards.MANIFEST
    if not foreign and manifest.exists():
        content = shards.read_json(manifest)
        if content is not None and content.get("format") != shards.FORMAT:
            foreign = [manifest.name]
    if foreign:
        raise PreparationError(
            f"{folder}: holds files that are no prepared corpus ({', '.join(foreign[:3])}): give an empty or a new "
            "folder"
        )


def _refuse_other_settings(folder: Path, asked: dict[str, Any]) -> None:
    """Compare with the manifest, or with the first sidecar of an unfinished preparation."""
    for path in (folder / shards.MANIFEST, *sorted(folder.glob("shard-*.json"))[:1]):
        found = shards.read_json(path)
        if found is None and path.name == shards.MANIFEST and path.exists():
            raise PreparationError(f"{path}: is broken: give another folder, or --overwrite_cache to make it again")
        if found is None or found.get("settings") == asked:
            continue
        old, new = _flat(found.get("settings")), _flat(asked)
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


def _is_finished(folder: Path, text: ShardText, settings: dict[str, Any]) -> bool:
    """Whether the shard was made from this text, and its files are what its sidecar says."""
    sidecar = shards.read_json(folder / shards.sidecar_name(text.index))
    if sidecar is None or sidecar.get("settings") != settings or sidecar.get("source") != text.source():
        return False
    return all(
        (folder / name).is_file() and shards.sha256_of(folder / name) == file["sha256"]
        for name, file in sidecar["files"].items()
    )


def _make_shards(
    corpus: Corpus,
    packer: Packer,
    folder: Path,
    settings: dict[str, Any],
    num_workers: int,
    shard_characters: int,
    progress: bool,
) -> ShardCounts:
    total = ShardCounts()
    count = 0
    texts = shards.shard_texts(corpus.documents(), shard_characters)
    with tqdm(desc=f"Preparing {corpus.name}", unit="char", unit_scale=True, disable=not progress) as bar:
        for index in _finished_shards(texts, packer, folder, settings, num_workers):
            content = shards.read_json(folder / shards.sidecar_name(index))
            assert content is not None
            counts = ShardCounts(**content["counts"])
            total += counts
            count += 1
            bar.set_postfix(documents=total.documents, tokens=total.tokens, refresh=False)
            bar.update(counts.characters)
    for path in folder.glob("*-*.*"):  # of a longer corpus that was interrupted here, with the same description
        if int(path.stem.rsplit("-", 1)[1]) >= count and _OURS.fullmatch(path.name):
            path.unlink()
    return total


def _finished_shards(
    texts: Iterator[ShardText], packer: Packer, folder: Path, settings: dict[str, Any], num_workers: int
) -> Iterator[int]:
    """Make the shards that are missing; yields the index of every shard, in order."""
    if num_workers <= 1:
        backend = packer.backend()
        for text in texts:
            if not _is_finished(folder, text, settings):
                shards.make_shard(packer, backend, text, folder, settings)
            yield text.index
        return
    # spawn: the tokenizer's threads, and those of torch, do not survive a fork.
    pool = ProcessPoolExecutor(num_workers, get_context("spawn"), shards.start_worker, (packer,))
    waiting: deque[tuple[int, Future[None] | None]] = deque()
    try:
        for text in texts:
            missing = not _is_finished(folder, text, settings)
            future = pool.submit(shards.work, text, folder, settings) if missing else None
            waiting.append((text.index, future))
            if len(waiting) >= 2 * num_workers:
                yield _await(*waiting.popleft())
        while waiting:
            yield _await(*waiting.popleft())
    except BrokenProcessPool as error:
        raise PreparationError(
            f"{folder}: a worker process died, often because memory ran out: ask for fewer workers "
            "(--preprocessing_num_workers). Finished shards are kept: run the same command again to go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _await(index: int, future: Future[None] | None) -> int:
    if future is not None:
        future.result()
    return index


def _write_manifest(folder: Path, settings: dict[str, Any], total: ShardCounts) -> None:
    listed = []
    for path in sorted(folder.glob("shard-*.json"), key=lambda path: int(path.stem.rsplit("-", 1)[1])):
        sidecar = shards.read_json(path)
        assert sidecar is not None
        listed.append({"blocks": sidecar["counts"]["blocks"], "source": sidecar["source"], "files": sidecar["files"]})
    manifest = {
        "format": shards.FORMAT,
        "fingerprint": settings_fingerprint(settings),
        "settings": settings,
        "counts": asdict(total),
        "shards": listed,
    }
    shards.publish(folder / shards.MANIFEST, shards.to_json(manifest))
