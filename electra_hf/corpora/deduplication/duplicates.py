"""The second pass: signatures -> the records of every part that are dropped, and a report.

Records are numbered through all parts. `root` names for each record one that it is a duplicate of, and never a later
one: at the end it is the first of its group, which is kept. Equal numbers are found by sorting one column of the
signatures at a time, and of it one range of values at a time, so that the memory in use is 14 bytes a record, about
60 bytes for each copy of the single text that has most of them, and 0.3 GB whatever the corpus.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from electra_hf.corpora.deduplication.folder import (
    FORMAT,
    REPORT,
    SETTINGS,
    dropped_name,
    local_folder,
    read_json,
    signatures_name,
    writing,
)
from electra_hf.corpora.deduplication.signatures import BANDS, CHARACTERS, DIGEST, PREVIEW, preview
from electra_hf.corpora.parts import Part
from electra_hf.corpora.storage import fingerprint, publish, published, to_json
from electra_hf.errors import CorpusError

SORTED_RECORDS = 2**22  # about as many are sorted at a time
_SHOWN_GROUPS = 10
_SHOWN_RECORDS = 3  # of each group, besides the one that is kept

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Signatures:
    """The signatures of all parts.

    Attributes:
        files: One for each part, arrays of (numbers, records).
        firsts: The number of the first record of each part, and at the end the number of all records.
        numbers: How many numbers a signature has.
    """

    files: list[Path]
    firsts: list[int]
    numbers: int

    @property
    def records(self) -> int:
        return self.firsts[-1]

    def column(self, *numbers: int) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """Blocks of some numbers of all records, (numbers, records), and the number of their first record."""
        for path, first in zip(self.files, self.firsts, strict=False):
            view = np.load(path, mmap_mode="r")
            for start in range(0, view.shape[1], SORTED_RECORDS):
                yield first + start, np.stack([view[number, start : start + SORTED_RECORDS] for number in numbers])

    def preview(self, record: int) -> str:
        """The beginning of the text of a record."""
        part = bisect_right(self.firsts, record) - 1
        return preview(np.load(self.files[part], mmap_mode="r")[PREVIEW, record - self.firsts[part]])


def find_duplicates(name: str, parts: Sequence[Part], folder: str | Path, *, progress: bool = True) -> dict[str, Any]:
    """Find the records to drop in a folder that holds the signatures of all parts, and remove those.

    Args:
        name: What messages call the corpus.
        parts: All parts of the corpus (`parts_of`).
        folder: Gets a sorted array of the dropped records for each part, and the report.
        progress: Show a progress bar.

    Returns:
        The report.

    Raises:
        CorpusError: Signatures are missing or broken, or the folder cannot be written.
    """
    folder = local_folder(folder)
    with writing(folder):
        signatures = _open(folder, parts)
        root = np.arange(signatures.records)
        alive = np.ones(signatures.records, bool)
        columns: list[tuple[int, ...]] = [DIGEST, *((band,) for band in range(BANDS, signatures.numbers))]
        exact = 0
        for column in tqdm(columns, f"Comparing {name}", unit="column", disable=not progress):
            for left, right in _equal(signatures, column, alive):
                join(root, left, right)
            if column == DIGEST:
                # Of equal texts one goes on: the others have the same band keys.
                alive = ~_repeats(root)
                exact = len(root) - int(alive.sum())
        repeats = _repeats(root)
        counts = {"exact_duplicates": exact, "near_duplicates": int(repeats.sum()) - exact}
        report = _report(folder, parts, signatures, root, repeats, counts)
        publish(folder / REPORT, to_json(report))
        for path in signatures.files:
            path.unlink(missing_ok=True)
    return report


def _open(folder: Path, parts: Sequence[Part]) -> Signatures:
    files = [folder / signatures_name(index) for index in range(len(parts))]
    shapes: list[tuple[int, ...]] = []
    for path, part in zip(files, parts, strict=True):
        try:
            shapes.append(np.load(path, mmap_mode="r").shape)
        except FileNotFoundError as error:
            raise CorpusError(
                f"{folder}: the signatures of {part.name} are missing: run the same command again to go on"
            ) from error
        except (ValueError, EOFError) as error:
            raise CorpusError(f"{path}: is broken ({error}): remove it, and run the same command again") from error
    if len({shape[0] for shape in shapes}) != 1:
        raise CorpusError(f"{folder}: the signatures of its parts have different lengths: overwrite what it holds")
    return Signatures(files, list(accumulate((shape[1] for shape in shapes), initial=0)), shapes[0][0])


def _equal(signatures: Signatures, column: tuple[int, ...], alive: NDArray[np.bool_]) -> Iterator[tuple[Numbers, ...]]:
    """Pairs of records with the same numbers in a column, as two arrays, the earlier ones first.

    The numbers are hashes, so equal ranges of values hold about as many records each.
    """
    ranges = max(1, -(-signatures.records // SORTED_RECORDS))
    bounds = [2**64 * index // ranges for index in range(ranges + 1)]
    for low, high in zip(bounds, bounds[1:], strict=False):
        found, records = [], []
        for first, keys in signatures.column(*column):
            chosen = (keys[0] >= max(low, 1)) & (keys[0] <= high - 1) & alive[first : first + keys.shape[1]]
            found.append(keys[:, chosen])
            records.append(np.flatnonzero(chosen) + first)
        keys, record = np.concatenate(found, axis=1), np.concatenate(records)
        order = np.lexsort(keys[::-1])  # keeps the order of equal ones
        keys, record = keys[:, order], record[order]
        same = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
        yield record[:-1][same], record[1:][same]


def join(root: Numbers, left: Numbers, right: Numbers) -> None:
    """Unite the groups of each pair; `root[i] <= i` holds before and after.

    >>> root = np.arange(5)
    >>> join(root, np.array([3, 1]), np.array([4, 3]))
    >>> root.tolist()
    [0, 1, 2, 1, 1]
    """
    while len(left):
        left, right = _heads(root, left), _heads(root, right)
        apart = left != right
        left, right = left[apart], right[apart]
        # A head that is in several pairs is hung below the first; the next round sees to the others.
        np.minimum.at(root, np.maximum(left, right), np.minimum(left, right))


def _heads(root: Numbers, records: Numbers) -> Numbers:
    """The head of each record's group. Halves the paths on its way, so that chains of any length are short work."""
    while True:
        above = root[records]
        further = root[above]
        if np.array_equal(above, further):
            return above
        root[records] = further


def _repeats(root: Numbers) -> NDArray[np.bool_]:
    """Let every record name the first one of its group, and tell which records are not the first themselves."""
    repeats = np.empty(len(root), bool)
    for start in range(0, len(root), SORTED_RECORDS):
        block = root[start : start + SORTED_RECORDS]
        while not np.array_equal(above := root[block], block):
            block[:] = above
        repeats[start : start + len(block)] = block != np.arange(start, start + len(block))
    return repeats


def _report(
    folder: Path,
    parts: Sequence[Part],
    signatures: Signatures,
    root: Numbers,
    repeats: NDArray[np.bool_],
    counts: dict[str, int],
) -> dict[str, Any]:
    """Publish the dropped records of each part; the report."""
    listed = []
    digest = hashlib.sha256()
    size = np.zeros(len(root), np.uint32)
    for index, part in enumerate(parts):
        first, last = signatures.firsts[index : index + 2]
        dropped = np.flatnonzero(repeats[first:last]).astype("<i8")
        np.add.at(size, root[first:last][dropped], np.uint32(1))
        with published(folder / dropped_name(index)) as temporary, temporary.open("wb") as file:
            np.save(file, dropped)
        digest.update(dropped_digest(dropped).encode())
        listed.append({"name": part.name, "records": last - first, "dropped": len(dropped)})
    characters = repeated = empty = 0
    for first, (held,) in signatures.column(CHARACTERS):
        characters += int(held.sum())
        repeated += int(held[repeats[first : first + len(held)]].sum())
        empty += int((held == 0).sum())
    settings = read_json(folder / SETTINGS) or {}
    return {
        "format": FORMAT,
        "fingerprint": fingerprint(settings),
        "settings": settings,
        "records": len(root),
        "records_without_text": empty,
        **counts,
        "characters": characters,
        "dropped_characters": repeated,
        "parts": listed,
        "largest_groups": _largest_groups(signatures, root, size),
        "sha256": digest.hexdigest(),
    }


def dropped_digest(dropped: NDArray[np.int64]) -> str:
    """SHA-256 of the dropped records of one part."""
    return hashlib.sha256(dropped.astype("<i8").tobytes()).hexdigest()


def _largest_groups(signatures: Signatures, root: Numbers, size: NDArray[np.uint32]) -> list[dict[str, Any]]:
    heads = np.flatnonzero(size)
    heads = heads[np.argsort(-size[heads].astype(np.int64), kind="stable")][:_SHOWN_GROUPS]
    members: dict[int, list[int]] = {int(head): [] for head in heads}
    for start in range(0, len(root), SORTED_RECORDS):
        block = root[start : start + SORTED_RECORDS]
        for head, found in members.items():
            missing = _SHOWN_RECORDS - len(found)
            candidates = np.flatnonzero(block == head)[: missing + 1] + start
            found += [int(record) for record in candidates if record != head][:missing]
    return [
        {
            "records": int(size[head]) + 1,
            "kept": signatures.preview(head),
            "dropped": [signatures.preview(record) for record in found],
        }
        for head, found in members.items()
    ]
