"""Held-out sentences kept beside a model, to look at what it detects."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

SAMPLES_NAME = "held_out_samples.txt"
_SHORTEST, _LONGEST = 80, 300


def write_samples(documents: Iterable[str], folder: str | Path, count: int = 16) -> Path:
    """Write one readable line from each of the first documents that has one.

    Args:
        documents: Texts whose lines are sentences or paragraphs.
        folder: The model folder.
        count: Lines to write; fewer if the documents hold fewer.

    Returns:
        The file, one sample a line.
    """
    lines = (_readable_line(document) for document in documents)
    path = Path(folder) / SAMPLES_NAME
    path.write_text("".join(line + "\n" for line in islice(filter(None, lines), count)), encoding="utf-8")
    return path


def _readable_line(document: str) -> str | None:
    for line in document.split("\n"):
        sentence = " ".join(line.split())
        if len(sentence) > _LONGEST:
            end = sentence.rfind(". ", _SHORTEST, _LONGEST)
            sentence = sentence[: end + 1]
        if len(sentence) >= _SHORTEST:
            return sentence
    return None
