"""Texts with entities as spans of characters."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.entities import entities_of
from electra_hf.finetuning.tagging.loading import load_tagging
from electra_hf.finetuning.tagging.units import split_words


def load(folder: Path, train: list[dict], validation: list[dict] | None = None, **options: object) -> TaggingData:
    paths = {}
    for split, rows in (("train", train), ("validation", validation or train)):
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths[f"{split}_file"] = str(path)
    return load_tagging(None, TaggingArguments(**paths, **options))  # type: ignore[arg-type]


def spans(data: TaggingData, split: str = "train") -> list[list[tuple[str, int, int]]]:
    """Entities of each text as type, start and end in characters, out of the tags."""
    found = []
    for row in data.splits[split].to_list():
        tags = [data.labels[tag] for tag in row["tags"]]
        found.append(
            [(name, row["starts"][start], row["ends"][end - 1]) for name, start, end in entities_of([tags])[0]]
        )
    return found


TEXT = "Ada Lovelace met Charles Babbage."


@pytest.mark.parametrize(
    "entities",
    [
        [{"start": 0, "end": 12, "label": "PER"}, {"start": 17, "end": 32, "label": "PER"}],
        [
            {"start_offset": 17, "end_offset": 32, "label": "PER"},
            {"start_offset": 0, "end_offset": 12, "label": "PER"},
        ],
        [{"span": [0, 12], "type": "PER", "name": "Ada Lovelace"}, {"span": [17, 32], "type": "PER"}],
        [[0, 12, "PER"], [17, 32, "PER"]],
    ],
)
@pytest.mark.parametrize("column", ["entities", "label", "spans"])
def test_common_forms(tmp_path: Path, entities: list, column: str):
    data = load(tmp_path, [{"id": 7, "text": TEXT, column: entities}])
    assert data.unit == "word" and data.splits["train"][0]["text"] == TEXT
    assert spans(data) == [[("PER", 0, 12), ("PER", 17, 32)]]
    assert data.splits["train"]["idx"][:] == ["7"]
    assert data.notes == ("Words are tagged: all entities of train begin and end at the border of one.",)


def test_characters_are_tagged_where_words_cannot_be(tmp_path: Path):
    rows = [{"text": "東京都に行く", "entities": [[0, 2, "LOC"], [2, 3, "ORG"]]}, {"text": "行く", "entities": []}]
    data = load(tmp_path, rows)
    assert data.unit == "character" and spans(data) == [[("LOC", 0, 2), ("ORG", 2, 3)], []]
    assert data.splits["train"][0]["starts"] == [0, 1, 2, 3, 4, 5]
    assert "1 of the 2 texts of train" in data.notes[0] and "line 1" in data.notes[0]
    words = load(tmp_path, rows, label_unit="word")
    assert words.unit == "word" and spans(words) == [[("LOC", 0, 3)], []]
    assert "train: 2 entities begin or end inside a word" in "".join(words.notes)
    assert "train: 1 entities are then in a word of the entity before them" in "".join(words.notes)


def test_only_training_decides_and_the_rest_is_widened(tmp_path: Path):
    data = load(
        tmp_path,
        [{"text": "in Paris", "entities": [[3, 8, "LOC"]]}],
        [{"text": "Parisian", "entities": [[0, 5, "LOC"]]}],
    )
    assert data.unit == "word" and spans(data, "validation") == [[("LOC", 0, 8)]]
    assert "validation: 1 entities begin or end inside a word, and were widened" in data.notes[1]


def test_white_space_and_overlaps_are_counted(tmp_path: Path):
    entities = [[4, 9, "LOC"], [0, 12, "ORG"], [12, 16, "X"]]
    data = load(tmp_path, [{"text": "New York Cty met", "entities": entities}, {"text": " ", "entities": []}])
    assert spans(data) == [[("ORG", 0, 12), ("X", 13, 16)]]
    notes = "".join(data.notes)
    assert "train: 2 entities had white space at their borders" in notes
    assert "train: 1 entities overlap longer ones" in notes
    assert "train: 1 text is empty" in notes


def test_white_space_between_words_stays(tmp_path: Path):
    text = " a\u3000b\t c "
    data = load(tmp_path, [{"text": text, "entities": [[1, 4, "X"]]}])
    example = data.splits["train"][0]
    assert example["text"] == text.rstrip() and spans(data) == [[("X", 1, 4)]]
    assert [text[s:e] for s, e in zip(example["starts"], example["ends"], strict=True)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ([0, 99, "X"], "line 2, entity 2: characters 0 to 99 of a text of 5 characters"),
        ([3, 3, "X"], "characters 3 to 3"),
        ([-1, 3, "X"], "characters -1 to 3"),
        ([0, 1], "is no entity: write start, end and label"),
        ({"start": 0, "end": 1}, "is no entity"),
        ({"start": 0.0, "end": 1, "label": "X"}, "is no entity"),
        ({"span": [0, 1], "name": "b", "type": "X"}, "'b' is at characters 0 to 1, where the text has 'a'"),
        ([2, 3, "X"], "covers white space only"),
    ],
)
def test_wrong_spans(tmp_path: Path, entity: object, message: str):
    rows = [{"text": "b", "entities": []}, {"text": "ab cd", "entities": [[0, 1, "X"], entity]}]
    with pytest.raises(CorpusError, match=message):
        load(tmp_path, rows)


def test_texts_and_tokens_do_not_mix(tmp_path: Path):
    with pytest.raises(UsageError, match="all splits in one of the two forms"):
        load(tmp_path, [{"text": "a", "entities": [[0, 1, "X"]]}], [{"tokens": ["a"], "tags": ["B-X"]}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic!", ["Don", "'", "t", "panic", "!"]),
        ("東京タワーへ", ["東京", "タワー", "へ"]),
        ("ｱｰﾄ人々", ["ｱｰﾄ", "人々"]),
        ("서울2024년 Seoul", ["서울", "2024", "년", "Seoul"]),
        ("cafe\u0301 👍🏽", ["cafe\u0301", "👍", "🏽"]),
        ("\u0301a", ["\u0301", "a"]),
        ("a\u00a0b\u2028c", ["a", "b", "c"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]):
    assert [text[start:end] for start, end in split_words(text)] == words


@given(st.text())
@settings(deadline=None)
def test_words_cover_all_that_is_visible(text: str):
    words = split_words(text)
    assert all(start < end for start, end in words)
    assert all(end <= start for (_, end), (start, _) in zip(words, words[1:], strict=False))
    covered = {place for start, end in words for place in range(start, end)}
    assert all((place in covered) != character.isspace() for place, character in enumerate(text))
