"""Files of predicted tags are read back, with whatever a unit may hold."""

from pathlib import Path

import pytest

from electra_hf.finetuning.tagging.predictions import write_tag_predictions

UNITS = [["김", " ", "구"], ["a\tb", "c\\t", "line\nbreak\r", "\u2028", "\\"], [" "], ["#", "-DOCSTART-", "\u00a0"]]
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


def unescaped(text: str) -> str:
    found, rest = "", iter(text)
    for character in rest:
        found += ESCAPES[next(rest)] if character == "\\" else character
    return found


def read(path: Path) -> list[list[list[str]]]:
    blocks = path.read_bytes().decode("utf-8").split("\n\n")
    assert blocks.pop() == ""
    return [[line.split("\t") for line in block.split("\n")] for block in blocks]


def test_units_and_tags_come_back(tmp_path: Path):
    gold = [["O" for _ in sentence] for sentence in UNITS]
    predicted = [[f"B-{place}" for place, _ in enumerate(sentence)] for sentence in UNITS]
    path = write_tag_predictions(tmp_path / "run", "test", UNITS, predicted, gold)
    assert path == tmp_path / "run" / "predictions.txt"
    sentences = read(path)
    assert [[unescaped(row[0]) for row in rows] for rows in sentences] == UNITS
    assert [[row[1] for row in rows] for rows in sentences] == gold
    assert [[row[2] for row in rows] for rows in sentences] == predicted
    assert sentences[0] == [["김", "O", "B-0"], [" ", "O", "B-1"], ["구", "O", "B-2"]]


def test_unlabelled_splits_have_two_columns_and_a_file_of_their_own(tmp_path: Path):
    path = write_tag_predictions(tmp_path, "validation", [["a", "b"]], [["O", "B-X"]])
    assert path.name == "predictions_validation.txt"
    assert path.read_text() == "a\tO\nb\tB-X\n\n"


def test_other_lengths_are_refused_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match="sentence 0"):
        write_tag_predictions(tmp_path, "test", [["a", "b"]], [["O"]])
    assert not list(tmp_path.iterdir())
