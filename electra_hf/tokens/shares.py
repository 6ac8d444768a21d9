"""Shares of a preparation: which shards a process or a task of a cluster makes, and with how many workers."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from electra_hf.corpora import storage
from electra_hf.corpora.parts import Part
from electra_hf.corpora.remote import explain_failure, network_errors
from electra_hf.corpora.workers import worker_processes
from electra_hf.errors import PreparationError
from electra_hf.tokens import shards
from electra_hf.tokens.shards import Chunk, Packer, ShardCounts


@dataclass(frozen=True)
class ShardTask:
    """What all shards of a folder have in common.

    Attributes:
        packer: the settings of the work.
        folder: where the shards are made; `folders.start` was called for it.
        fingerprint: of the folder's settings.
        shard_characters: a shard is the records up to this many characters.
    """

    packer: Packer
    folder: Path
    fingerprint: str
    shard_characters: int

    def counts_if_whole(self, chunk: str, source: dict[str, Any] | None = None) -> ShardCounts | None:
        """The counts of a shard if its files are what its sidecar says, and made from this source."""
        sidecar = storage.read_json(self.folder / shards.sidecar_name(chunk))
        if sidecar is None or sidecar.get("fingerprint") != self.fingerprint:
            return None
        if source is not None and sidecar.get("source") != source:
            return None
        for name, file in sidecar["files"].items():
            path = self.folder / name
            if not path.is_file() or storage.sha256_of(path) != file["sha256"]:
                return None
        return ShardCounts(**sidecar["counts"])


def prepare_share(
    name: str,
    parts: Sequence[Part],
    task: ShardTask,
    *,
    share: int = 0,
    shares: int = 1,
    num_workers: int = 1,
    progress: bool = True,
) -> None:
    """Make the shards of one share of the work in a folder that was started; those which are there already are kept.

    Parts go to the shares in turn. Where there are more shares than parts, several read the same part, and each makes
    every so-manieth shard of it.

    Args:
        name: what the progress bar calls the corpus.
        parts: all parts of the corpus.
        task: what the shards are made of, and where.
        share: which share this is, from 0.
        shares: how many there are.
        num_workers: processes for this share; with 1, the work is done in this one.
        progress: show a progress bar.

    Raises:
        PreparationError: the folder cannot be written, or a worker died.
        CorpusError: the text cannot be read.
    """
    mine = [(index, part) for index, part in enumerate(parts) if index % shares == share % len(parts)]
    slices = len(range(share % len(parts), shares, len(parts)))  # shares that read the same parts
    try:
        with _Bar(name, len(mine), progress) as bar, _pool(task, num_workers) as make:
            for index, part in mine:
                count = _make_part(task, make, index, part, share // len(parts), slices, bar)
                if count is not None and share < len(parts):
                    finished = {"fingerprint": task.fingerprint, "name": part.name, "shards": count}
                    storage.publish(task.folder / shards.part_name(index), storage.to_json(finished))
                bar.end_part()
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, task.folder)) from error


class _Bar:
    """A progress bar over the text in bytes of UTF-8, with what came of it."""

    def __init__(self, name: str, parts: int, shown: bool) -> None:
        self.total = ShardCounts()
        self.parts = parts
        self.done = 0
        self.bar = tqdm(desc=f"Preparing {name}", unit="B", unit_scale=True, disable=not shown)

    def add(self, counts: ShardCounts) -> None:
        self.total += counts
        found: dict[str, object] = {"documents": self.total.documents, "tokens": self.total.tokens}
        if self.parts > 1:
            found["parts"] = f"{self.done}/{self.parts}"
        self.bar.set_postfix(found, refresh=False)
        self.bar.update(counts.bytes)

    def end_part(self) -> None:
        self.done += 1

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


Make = Callable[[Iterator[Chunk]], Iterator[ShardCounts]]


def _make_part(task: ShardTask, make: Make, index: int, part: Part, slice_: int, slices: int, bar: _Bar) -> int | None:
    """Make the missing shards of a part, or of a slice of it; the number of all its shards, None if that is known."""
    finished = storage.read_json(task.folder / shards.part_name(index))
    if finished is not None and finished.get("fingerprint") == task.fingerprint:
        names = [shards.chunk_name(index, chunk) for chunk in range(finished["shards"])][slice_::slices]
        found = [task.counts_if_whole(name) for name in names]
        if all(counts is not None for counts in found):
            for counts in found:
                bar.add(cast(ShardCounts, counts))
            return None
    count = 0

    def missing() -> Iterator[Chunk]:
        nonlocal count
        for chunk in shards.chunks(index, part, task.shard_characters):
            count += 1
            if chunk.index % slices != slice_:
                continue
            sidecar = task.folder / shards.sidecar_name(chunk.name)
            counts = task.counts_if_whole(chunk.name, chunk.source()) if sidecar.exists() else None
            if counts is None:
                yield chunk
            else:
                bar.add(counts)

    for counts in make(missing()):
        bar.add(counts)
    return count


@contextlib.contextmanager
def _pool(task: ShardTask, num_workers: int) -> Iterator[Make]:
    """A function that makes shards, in this process or in others."""
    if num_workers <= 1:
        encoder = task.packer.encoder()
        yield lambda missing: (
            shards.make_shard(task.packer, encoder, chunk, task.folder, task.fingerprint) for chunk in missing
        )
        return
    died = PreparationError(
        f"{task.folder}: a worker process died, often because memory ran out: ask for fewer workers "
        "(--num_workers, --preprocessing_num_workers). Finished shards are kept: run the same command again to go on"
    )
    work = partial(shards.work, folder=task.folder, fingerprint=task.fingerprint)
    with worker_processes(num_workers, died, shards.start_worker, task.packer) as ordered_map:
        yield partial(ordered_map, work)
