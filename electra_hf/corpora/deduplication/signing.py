"""The first pass: every part of a corpus -> the signatures of its records, in one file each.

A file is a pure function of its part and of the settings, whatever the number of workers. One that is there is whole:
an interrupted pass makes only the missing ones. It is an array of (numbers, records), so that the second pass reads
one number of all records as consecutive bytes.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from electra_hf.corpora.deduplication.folder import local_folder, signatures_name, writing
from electra_hf.corpora.deduplication.signatures import DeduplicationSettings, sign
from electra_hf.corpora.parts import Converter, Part, SkippedRecord, documents_of
from electra_hf.corpora.storage import published
from electra_hf.corpora.workers import worker_processes
from electra_hf.errors import CorpusError

CHUNK_CHARACTERS = 2**22  # of records that a worker gets at a time
CHUNK_RECORDS = 2**14
_COPIED_RECORDS = 2**16


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of a part, and how they become documents; travels between processes."""

    records: list[str]
    convert: Converter
    settings: DeduplicationSettings


@dataclass(frozen=True)
class Signed:
    """Signatures of the records of a chunk, (numbers, records), and the size of the documents in UTF-8."""

    signatures: NDArray[np.uint64]
    size: int


Work = Callable[[Iterator[Chunk]], Iterator[Signed]]


def make_signatures(
    name: str,
    parts: Sequence[Part],
    folder: str | Path,
    settings: DeduplicationSettings,
    *,
    share: int = 0,
    shares: int = 1,
    num_workers: int = 1,
    progress: bool = True,
) -> None:
    """Make the signatures of one share of the parts in a folder that was started; files that are there are kept.

    Parts go to the shares in turn. The text of at most `num_workers` + 2 chunks of records is in memory.

    Args:
        name: What the progress bar calls the corpus.
        parts: All parts of the corpus (`parts_of`).
        folder: `start` was called for it.
        settings: Which records are duplicates.
        share: Which share this is, from 0.
        shares: How many there are; those above the number of parts have nothing to do.
        num_workers: Processes for this share; with 1, the work is done in this one. Scripts that ask for more need the
            usual `if __name__ == "__main__"`.
        progress: Show a progress bar.

    Raises:
        CorpusError: The text cannot be read, the folder cannot be written, or a worker died.
    """
    folder = local_folder(folder)
    missing = [
        (index, part)
        for index, part in enumerate(parts)
        if index % shares == share and not (folder / signatures_name(index)).exists()
    ]
    bar = tqdm(desc=f"Signing {name}", unit="B", unit_scale=True, disable=not progress)
    with bar, writing(folder), _pool(num_workers if missing else 1) as work:
        for done, (index, part) in enumerate(missing):
            if len(missing) > 1:
                bar.set_postfix({"parts": f"{done}/{len(missing)}"}, refresh=False)
            with published(folder / signatures_name(index)) as temporary:
                _sign_part(part, settings, work, temporary, bar)


def _sign_part(part: Part, settings: DeduplicationSettings, work: Work, path: Path, bar: tqdm) -> None:
    # Chunks come record by record, the file holds number by number: how long its rows are is known only at the end.
    rows = path.with_name(path.name.replace(".tmp", ".rows.tmp"))
    try:
        records = 0
        with rows.open("wb") as file:
            for signed in work(_chunks(part, settings)):
                records += signed.signatures.shape[1]
                file.write(np.ascontiguousarray(signed.signatures.T).data)
                bar.update(signed.size)
        _transpose(rows, path, records, settings.numbers)
    finally:
        rows.unlink(missing_ok=True)


def _transpose(rows: Path, path: Path, records: int, numbers: int) -> None:
    if records == 0:
        with path.open("wb") as file:
            np.save(file, np.empty((numbers, 0), np.uint64))
        return
    columns = np.lib.format.open_memmap(path, "w+", np.dtype(np.uint64), (numbers, records))
    with rows.open("rb") as file:
        for first in range(0, records, _COPIED_RECORDS):
            copied = np.fromfile(file, np.uint64, min(_COPIED_RECORDS, records - first) * numbers)
            columns[:, first : first + _COPIED_RECORDS] = copied.reshape(-1, numbers).T
    columns.flush()


def _chunks(part: Part, settings: DeduplicationSettings) -> Iterator[Chunk]:
    held = 0
    gathered: list[str] = []
    for record in part.records():
        gathered.append(record)
        held += len(record)
        if held >= CHUNK_CHARACTERS or len(gathered) >= CHUNK_RECORDS:
            yield Chunk(gathered, part.convert, settings)
            held, gathered = 0, []
    if gathered:
        yield Chunk(gathered, part.convert, settings)


def sign_chunk(chunk: Chunk) -> Signed:
    """Convert the records of a chunk and sign their texts; a record that is left out has no text."""
    texts = []
    for record in chunk.records:
        documents: list[str] = []
        # Whoever reads the text for training names the record that is left out.
        with contextlib.suppress(SkippedRecord):
            documents.extend(documents_of(record, chunk.convert))
        texts.append("\n".join(documents))
    size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return Signed(sign(texts, chunk.settings), size)


@contextlib.contextmanager
def _pool(num_workers: int) -> Iterator[Work]:
    """A function that signs chunks, in this process or in others, in order."""
    if num_workers <= 1:
        yield lambda chunks: map(sign_chunk, chunks)
        return
    died = CorpusError(
        "a worker process died while it looked for duplicates, often because memory ran out: ask for fewer workers "
        "(--num_workers). Finished parts are kept: run the same command again to go on"
    )
    with worker_processes(num_workers, died) as ordered_map:
        yield partial(ordered_map, sign_chunk)
