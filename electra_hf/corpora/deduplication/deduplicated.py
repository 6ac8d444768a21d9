"""A corpus without the records that a search for duplicates dropped."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from electra_hf.corpora.corpus import Corpus, Interleaved
from electra_hf.corpora.deduplication.duplicates import dropped_digest, find_duplicates
from electra_hf.corpora.deduplication.folder import (
    FORMAT,
    REPORT,
    deduplication_settings,
    dropped_name,
    local_folder,
    read_json,
    start,
)
from electra_hf.corpora.deduplication.signatures import DeduplicationSettings
from electra_hf.corpora.deduplication.signing import make_signatures
from electra_hf.corpora.parts import Part
from electra_hf.errors import CorpusError

logger = logging.getLogger(__name__)


class Deduplicated(Corpus):
    """A corpus whose parts leave out the dropped records.

    Args:
        corpus: The records, as they were when duplicates were looked for.
        folder: Where that was done (`deduplicate`).
        first_part: Which part of the folder the corpus begins with, if it is one of several that were looked at
            together.

    Raises:
        CorpusError: The search is not finished, or its files are broken.
    """

    def __init__(self, corpus: Corpus, folder: str | Path, first_part: int = 0) -> None:
        self.corpus = corpus
        self.folder = local_folder(folder)
        self.first_part = first_part
        self.name = corpus.name
        self.report = _read_report(self.folder)

    def describe(self) -> dict[str, Any]:
        """The description of the whole, the method with its settings, and the SHA-256 of what was dropped."""
        settings = {name: value for name, value in self.report["settings"].items() if name != "corpus"}
        return {
            "kind": "deduplicated",
            "corpus": self.corpus.describe(),
            "settings": settings,
            "first_part": self.first_part,
            "sha256": self.report["sha256"],
        }

    def parts(self) -> list[Part]:
        """The parts of the whole, each without its dropped records.

        Raises:
            CorpusError: The corpus has other parts than when duplicates were looked for.
        """
        parts = self.corpus.parts()
        known = self.report["parts"][self.first_part : self.first_part + len(parts)]
        if [part.name for part in parts] != [part["name"] for part in known]:
            raise CorpusError(
                f"{self.name}: {self.folder} is about other parts ({', '.join(part['name'] for part in known[:3])}): "
                "the corpus has changed since; look for duplicates again, in a new folder"
            )
        return [
            replace(part, records=partial(_kept, part, self.folder / dropped_name(index), self.folder))
            for index, part in enumerate(parts, self.first_part)
        ]

    def explain_nothing_found(self) -> str:
        return (
            f"{self.name}: every record repeats one of a corpus before it, or holds no text: leave the corpus out, or "
            "check that it is not given twice"
        )


def _kept(part: Part, path: Path, folder: Path) -> Iterator[str]:
    dropped = iter(np.load(path, mmap_mode="r"))
    following = int(next(dropped, -1))
    for number, record in enumerate(part.records()):
        if number == following:
            following = int(next(dropped, -1))
        else:
            yield record
    if following >= 0:
        raise CorpusError(
            f"{part.name}: has fewer records than when duplicates were looked for in {folder}: look for them again, "
            "in a new folder"
        )


def deduplicate(
    corpus: Corpus,
    folder: str | Path,
    settings: DeduplicationSettings | None = None,
    *,
    num_workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> Corpus:
    """Look for duplicates in a corpus, or read the result if that was done before; the corpus without them.

    The result does not depend on `num_workers`. Corpora that are interleaved are looked at together and stay
    interleaved: what an earlier one holds is dropped from the later ones.

    Args:
        corpus: The text.
        folder: Made if it is not there. While it is worked on, it takes 104 bytes a record, and for each band of
            "minhash" 8 more, together 216; later, 8 bytes a dropped record.
        settings: Which records are duplicates; equal ones when None.
        num_workers: Processes; with 1, the work is done in this one. Scripts that ask for more need the usual
            `if __name__ == "__main__"`.
        overwrite: Replace what the folder holds if it was made with other settings, and make it again if not.
        progress: Show progress bars.

    Raises:
        CorpusError: The folder holds something else or cannot be written, a worker died, or the text cannot be read.
        UsageError: The folder is a URL.
    """
    settings = settings or DeduplicationSettings()
    if start(folder, deduplication_settings(corpus, settings), overwrite=overwrite):
        parts = parts_of(corpus)
        make_signatures(corpus.name, parts, folder, settings, num_workers=num_workers, progress=progress)
        report = find_duplicates(corpus.name, parts, folder, progress=progress)
        logger.info(
            "%s: of %d records, %d repeat an earlier one and %d nearly do: left out, with %d of %d characters",
            corpus.name,
            *(report[name] for name in ("records", "exact_duplicates", "near_duplicates")),
            *(report[name] for name in ("dropped_characters", "characters")),
        )
    return open_deduplicated(corpus, folder)


def open_deduplicated(corpus: Corpus, folder: str | Path) -> Corpus:
    """The corpus without the duplicates that were found in it before; interleaved corpora stay interleaved.

    Raises:
        CorpusError: The search is not finished, is about another corpus, or its files are broken.
    """
    folder = local_folder(folder)
    if _read_report(folder)["settings"]["corpus"] != deduplication_settings(corpus, DeduplicationSettings())["corpus"]:
        raise CorpusError(f"{folder}: is about another corpus than {corpus.name}, or its files have changed since")
    return _without_duplicates(corpus, folder, 0)


def parts_of(corpus: Corpus) -> list[Part]:
    """The parts in which duplicates are looked for: those of every corpus that is interleaved, one after the other."""
    if isinstance(corpus, Interleaved):
        return [part for mixed in corpus.corpora for part in parts_of(mixed)]
    return corpus.parts()


def _without_duplicates(corpus: Corpus, folder: Path, first_part: int) -> Corpus:
    if not isinstance(corpus, Interleaved):
        return Deduplicated(corpus, folder, first_part)
    mixed = []
    for member in corpus.corpora:
        mixed.append(_without_duplicates(member, folder, first_part))
        first_part += len(parts_of(member))
    return corpus.with_corpora(mixed)


def _read_report(folder: Path) -> dict[str, Any]:
    """The report of a finished search, after a check of the files that it is about."""
    report = read_json(folder / REPORT)
    if report is None:
        raise CorpusError(f"{folder}: duplicates were not looked for in it to the end: run the same command again")
    if report.get("format") != FORMAT:
        raise CorpusError(f"{folder / REPORT}: is not about duplicates: give another folder")
    digest = hashlib.sha256()
    for index in range(len(report["parts"])):
        path = folder / dropped_name(index)
        try:
            digest.update(dropped_digest(np.load(path)).encode())
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(
                f"{path}: cannot be read ({error}): look for duplicates again, in a new folder"
            ) from error
    if digest.hexdigest() != report["sha256"]:
        raise CorpusError(f"{folder}: is not as it was written: look for duplicates again, in a new folder")
    return report
