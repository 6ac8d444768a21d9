"""The blocks of a prepared folder as a map-style data set, memory-mapped.

An example says where it comes from (`sample`, `epoch`), so that the collator can draw its mask as a function of
that place and not from a state: the same whatever the batch, the loader worker, the process or the step a run
resumed at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from electra_hf.corpora import storage
from electra_hf.corpora.remote import as_path, explain_failure, is_remote, network_errors
from electra_hf.errors import PreparationError, explain_os_error
from electra_hf.tokens import shards
from electra_hf.tokens.remote import local_copy

Example = dict[str, Any]


class SharedEpoch:
    """An epoch number that loader workers see change, also those which outlive an epoch (`persistent_workers`)."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def get(self) -> int:
        return int(self._value)

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)


@dataclass(frozen=True, eq=False)
class BlockBatch(Sequence[Example]):
    """The examples of a batch as columns, so that the collator has nothing to do for each; also a sequence of them.

    Attributes:
        input_ids: (batch, length) unsigned integers.
        lengths: (batch,) int64, real tokens of each row.
        first_lengths: (batch,) int64, tokens of its first segment.
        samples: (batch,) int64, with `epoch` the key of its mask.
        epoch: the same for all rows.
        pair_labels: (batch,) int64 where the packing makes pairs, -100 for a row without a label; else None.
    """

    input_ids: np.ndarray
    lengths: np.ndarray
    first_lengths: np.ndarray
    samples: np.ndarray
    epoch: int
    pair_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:  # pyright: ignore[reportIncompatibleMethodOverride]
        example = {
            "input_ids": self.input_ids[index],
            "length": int(self.lengths[index]),
            "first_length": int(self.first_lengths[index]),
            "sample": int(self.samples[index]),
            "epoch": self.epoch,
        }
        if self.pair_labels is not None:
            example["pair_label"] = int(self.pair_labels[index])
        return example


class BlockDataset(Dataset[Example]):
    """All blocks of a prepared folder, in the order of the text.

    An example is `{"input_ids": (length,) unsigned array, "length": int, "first_length": int, "sample": int,
    "epoch": int}`: real tokens of the row, tokens of its first segment, and the key of its mask. Where the packing
    makes pairs there is `"pair_label": int` too.

    Attributes:
        folder: where the blocks are; for a remote folder, where its copy is.
        manifest: what the folder was made from, and its counts.
        max_length: length of a block.
        vocab_size: ids are below this.

    Raises:
        PreparationError: the folder is not there, not finished, or a file is damaged.
    """

    def __init__(self, folder: str | Path, *, verify: bool = False) -> None:
        """Open a folder; sizes are checked now, the SHA-256 of a shard when it is first used, or now with `verify`.

        The URL of a folder is copied into the Hugging Face cache first, as far as it is not there yet.
        """
        self.folder = as_path(folder)
        self.manifest = _read_manifest(self.folder)
        if is_remote(self.folder):
            self.folder = local_copy(self.folder, self.manifest)
        self.max_length = int(self.manifest["settings"]["packing"]["max_seq_length"])
        self.vocab_size = int(self.manifest["settings"]["vocab_size"])
        self._kinds = shards.array_kinds(self.manifest["settings"]["packing"])
        for shard in self.manifest["shards"]:
            _check_files(self.folder, shard["files"], verify)
        # Where each shard begins, and where the last one ends.
        self._bounds = np.cumsum([0, *(shard["blocks"] for shard in self.manifest["shards"])], dtype=np.int64)
        self._length = int(self._bounds[-1])
        self._epoch = SharedEpoch()
        self._arrays: dict[int, list[np.ndarray]] = {}
        # A shard is read whole and hashed before its first block is used, as a rule once for all loader workers.
        self._verified = torch.zeros(len(self._bounds) - 1, dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return self._length

    def __getstate__(self) -> dict[str, Any]:
        # A worker maps the files itself: the blocks never travel.
        return self.__dict__ | {"_arrays": {}}

    def __getitem__(self, index: int) -> Example:
        if not -self._length <= index < self._length:
            raise IndexError(f"block {index} of {self._length}")
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> BlockBatch:
        """The examples of a batch; torch's loader calls this with all its indices at once."""
        # Where in the whole folder the examples of this (possibly selected) data set stand.
        blocks = np.asarray(indices, dtype=np.int64) % self._length * self._bounds[-1] // self._length
        shard_numbers = np.searchsorted(self._bounds, blocks, side="right") - 1
        rows = blocks - self._bounds[shard_numbers]
        # Row by row: in a shuffled batch hardly two rows are of one shard.
        found = [(self._shard(shard), row) for shard, row in zip(shard_numbers.tolist(), rows.tolist(), strict=True)]
        ids, lengths, first_lengths, *labels = (
            [arrays[kind][row] for arrays, row in found] for kind in range(len(self._kinds))
        )
        return BlockBatch(
            input_ids=np.concatenate(ids).reshape(len(ids), self.max_length),
            lengths=np.array(lengths, dtype=np.int64),
            first_lengths=np.array(first_lengths, dtype=np.int64),
            samples=blocks,
            epoch=self._epoch.get(),
            pair_labels=np.array(labels[0], dtype=np.int64) if labels else None,
        )

    def set_epoch(self, epoch: int) -> None:
        """Draw other masks from here on; accelerate's loaders call this at the start of each epoch."""
        self._epoch.set(epoch)

    def select(self, count: int) -> "BlockDataset":
        """`count` blocks, evenly spread over the data set, or all if there are fewer; has an epoch of its own.

        They keep their `sample`, and with it their masks. Spread, because a prepared folder holds one corpus after the
        other.
        """
        chosen = BlockDataset.__new__(BlockDataset)
        chosen.__dict__ = self.__getstate__() | {"_epoch": SharedEpoch(), "_length": min(count, self._length)}
        return chosen

    def token_counts(self, max_blocks: int | None = 100_000) -> np.ndarray:
        """How often each id occurs among the real tokens, special tokens included.

        Args:
            max_blocks: count this many blocks, evenly spread over the data set; None counts all.

        Returns:
            (vocabulary,) int64.
        """
        counts = np.zeros(self.vocab_size, dtype=np.int64)
        total = self._length if max_blocks is None else min(max_blocks, self._length)
        chosen = np.arange(total, dtype=np.int64) * self._bounds[-1] // max(total, 1)
        for shard, (start, stop) in enumerate(pairwise(self._bounds.tolist())):
            ids, lengths, *_ = self._shard(shard)
            rows = chosen[(chosen >= start) & (chosen < stop)] - start
            for part in np.array_split(rows, max(1, len(rows) // 10_000)):
                real = np.arange(self.max_length) < lengths[part, None]  # (part, length)
                counts += np.bincount(ids[part][real], minlength=self.vocab_size)
        return counts

    def _shard(self, shard: int) -> list[np.ndarray]:
        """The memory-mapped ids, lengths and first lengths of a shard, and the labels of its pairs if any."""
        if shard not in self._arrays:
            arrays = []
            entry = self.manifest["shards"][shard]
            for kind in self._kinds:
                name = shards.array_name(kind, entry["name"])
                path = self.folder / name
                try:
                    if not self._verified[shard]:
                        _check_hash(path, entry["files"][name])
                    # Seen as a plain array: slicing a np.memmap costs several times more.
                    arrays.append(np.asarray(np.load(path, mmap_mode="r")))
                except OSError as error:
                    raise PreparationError(explain_os_error(error, path)) from error
                except ValueError as error:
                    raise PreparationError(_damaged(path, str(error))) from error
            self._verified[shard] = True
            self._arrays[shard] = arrays
        return self._arrays[shard]


def _damaged(path: Path, found: str) -> str:
    return (
        f"{path}: damaged ({found}): the same `electra-hf prepare` command makes it anew (in a run: --overwrite_cache "
        "makes all anew); if it is the copy of a remote folder, delete the file to have it copied again"
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / shards.MANIFEST
    try:
        manifest = storage.read_json(path)
        there = manifest is not None or path.exists()
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, path)) from error
    if manifest is None:
        state = "is not JSON" if there else "is not there"
        raise PreparationError(f"{path}: {state}: this is no finished prepared corpus; prepare it first")
    check_manifest(manifest, path)
    return manifest


def check_manifest(manifest: dict[str, Any], path: Path) -> None:
    """Make sure that a manifest is whole, before something is taken from it.

    Args:
        manifest: Content of the file.
        path: The file, for messages.

    Raises:
        PreparationError: It is something else, of another version, or damaged.
    """
    if manifest.get("format") != shards.FORMAT:
        raise PreparationError(f"{path}: was not written by electra_hf: give the folder of a prepared corpus")
    try:
        settings = manifest["settings"]
        version = settings["schema_version"]
        if version != shards.SCHEMA_VERSION:
            raise PreparationError(
                f"{path}: has layout {version}, and this version reads {shards.SCHEMA_VERSION}: prepare the corpus "
                "again"
            )
        numbers = [settings["packing"]["max_seq_length"], settings["vocab_size"]]
        names = [settings["tokenizer"]]
        kinds = shards.array_kinds(settings["packing"])
        for shard in manifest["shards"]:
            numbers.append(shard["blocks"])
            names.append(shard["name"])
            lacking = {shards.array_name(kind, shard["name"]) for kind in kinds} - shard["files"].keys()
            if lacking:
                raise ValueError(f"{min(lacking)} is not listed")
            for name, file in shard["files"].items():
                numbers.append(file["bytes"])
                names += [name, file["sha256"]]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("a size is no number")
        if not all(isinstance(name, str) and PurePath(name).name == name for name in names):
            raise ValueError("a name is none of a file in the folder")
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise PreparationError(f"{path}: is damaged ({error}): prepare the corpus again") from error


def _check_files(folder: Path, files: dict[str, Any], verify: bool) -> None:
    for name, expected in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != expected["bytes"]:
                raise PreparationError(_damaged(path, f"{size} bytes instead of {expected['bytes']}"))
            if verify:
                _check_hash(path, expected)
        except FileNotFoundError as error:
            raise PreparationError(_damaged(path, "it is not there")) from error
        except OSError as error:
            raise PreparationError(explain_os_error(error, path)) from error


def _check_hash(path: Path, expected: dict[str, Any]) -> None:
    if storage.sha256_of(path) != expected["sha256"]:
        raise PreparationError(_damaged(path, "its SHA-256 is not the manifest's"))
