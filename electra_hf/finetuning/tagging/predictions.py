r"""Predicted tags as files in CoNLL form.

A line for each unit: its text, the gold tag if it is known, the predicted tag, with tabs between them; an empty line
after each sentence. Evaluation scripts that take the last two columns, as conlleval with `-d '\t'`, read them so.

A unit can be a space, as in KLUE-NER, so the lines must not be stripped. Tabs, line breaks and backslashes in a unit
are written `\t`, `\n`, `\r` and `\\`: every line has the same number of columns, and the units come back exactly.
"""

from collections.abc import Sequence
from pathlib import Path

from electra_hf.corpora.storage import publish
from electra_hf.finetuning.tagging.counts import Tags, check_same_shape

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def predictions_file(split: str) -> str:
    """The name of a split's file: that of transformers' `run_ner.py` for the test split.

    >>> predictions_file("test"), predictions_file("validation")
    ('predictions.txt', 'predictions_validation.txt')
    """
    return "predictions.txt" if split == "test" else f"predictions_{split}.txt"


def write_tag_predictions(
    folder: Path, split: str, units: Sequence[Sequence[str]], predicted: Tags, gold: Tags | None = None
) -> Path:
    """Write the tags of a split, whole or not at all.

    Args:
        folder: Where the file goes; it is created if need be.
        split: Decides the name, see `predictions_file`.
        units: The text of each unit of each sentence.
        predicted: Its tag.
        gold: Its tag in the data, if that is known.

    Returns:
        The file, UTF-8.

    Raises:
        ValueError: If the lengths differ.
    """
    columns = [units, predicted] if gold is None else [units, gold, predicted]
    for tags in columns[1:]:
        check_same_shape(units, tags)
    lines = []
    for sentence in zip(*columns, strict=True):
        lines += ["\t".join((unit.translate(_ESCAPES), *tags)) for unit, *tags in zip(*sentence, strict=True)]
        lines.append("")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / predictions_file(split)
    publish(path, "".join(f"{line}\n" for line in lines).encode())
    return path
