"""The whole path: tags of units, tokens, windows, outputs, and tags of units again."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from electra_hf.finetuning.tagging.data import TaggingData, TaggingTask
from electra_hf.finetuning.tagging.encoding import TaggedWindows, encode_tagging
from electra_hf.finetuning.tagging.entities import Entity, entities_of
from electra_hf.finetuning.tagging.schemes import labels_of, write_tags
from electra_hf.finetuning.tagging.whitespace import without_outer_whitespace

WORDS = [
    *("the", "rivers", "New", "York,", "don't", "İstanbul", "ﬁsh", "cafe\u0301", "[SEP]", "x" * 30),
    *("조용한", "은행에서", "궭은", "강남구에서", "\u1100\u1161"),
    *("東京都に", "田中さんは", "ｶﾞｷﾞ", "㍿", "Ａ１"),
    *("😀👍🏽", "👨\u200d👩\u200d👧", "❤\ufe0f", "\u200b", "\x07", "\u0301", "\u00a0"),
]
WINDOWS = [(512, 32), (3, 0), (5, 2), (12, 4), (20, 0)]


@st.composite
def sentences(draw: st.DrawFn, unit: str) -> dict[str, Any]:
    """A text, its units, and entities."""
    parts = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
    separator = draw(st.sampled_from([" ", " ", "" if unit == "word" else "  "]))
    units = parts if unit == "word" else list(separator.join(parts))
    gap = len(separator) if unit == "word" else 0
    ends = (np.cumsum([len(part) + gap for part in units]) - gap).tolist()
    starts = [end - len(part) for part, end in zip(units, ends, strict=True)]
    found, place = [], 0
    while place < len(units):
        length = draw(st.integers(-3, 5))
        if length > 0:
            found.append(Entity(draw(st.sampled_from("AB")), place, min(place + length, len(units))))
        place += max(abs(length), 1)
    return {"text": separator.join(parts), "starts": starts, "ends": ends, "entities": found}


def task(rows: Sequence[dict[str, Any]], unit: Any, scheme: Any) -> TaggingData:
    labels = labels_of("AB", scheme)
    columns = {name: [row[name] for row in rows] for name in ("text", "starts", "ends")}
    columns["tags"] = [
        [labels.index(tag) for tag in write_tags(row["entities"], len(row["starts"]), scheme)] for row in rows
    ]
    return without_outer_whitespace(
        TaggingData(TaggingTask("ner"), labels, scheme, unit, {"train": Dataset.from_dict(columns)})
    )


def encode(data: TaggingData, tokenizer: PreTrainedTokenizerBase, length: int = 512, **options: Any) -> TaggedWindows:
    options = {"doc_stride": 0, **options}
    return encode_tagging(
        data.splits["train"], tokenizer, length, labels=data.labels, scheme=data.scheme, unit=data.unit, **options
    )


def perfect_outputs(windows: TaggedWindows, tags: int) -> np.ndarray:
    """A model that gives each labelled token its label, and nothing to others."""
    outputs = np.zeros((len(windows), max(windows.lengths, default=0), tags), dtype=np.float16)
    for number in range(len(windows)):
        for place, label in enumerate(windows[number]["labels"]):
            if label >= 0:
                outputs[number, place, label] = 1
    return outputs


def through(windows: TaggedWindows, data: TaggingData) -> list[list[str]]:
    rows = windows.stitch(perfect_outputs(windows, len(data.labels)))
    # Each row has exactly one label, and so did one window only.
    assert all((row.sum(-1) == 1).all() for row in rows)
    labelled = sum(label >= 0 for number in range(len(windows)) for label in windows[number]["labels"])
    assert labelled == sum(map(len, rows))
    return names(windows.tags_of_units([row.argmax(-1) for row in rows]), data)


def names(tags: Any, data: TaggingData) -> list[list[str]]:
    return [[data.labels[tag] for tag in text] for text in tags]


quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(drawn=st.data())
@quick
@pytest.mark.parametrize("unit", ["word", "character"])
def test_spans_survive(tokenizer: PreTrainedTokenizerBase, unit: str, drawn: st.DataObject):
    rows = drawn.draw(st.lists(sentences(unit), min_size=1, max_size=4))
    length, overlap = drawn.draw(st.sampled_from(WINDOWS))
    data = task(rows, unit, drawn.draw(st.sampled_from(["IOB2", "BIOES"])))
    windows = encode(data, tokenizer, length, doc_stride=overlap)
    assert (windows.lengths <= length).all()
    assert through(windows, data) == names(data.splits["train"]["tags"][:], data)
    assert windows.counts.unreachable == 0
    solid = [
        len(row["starts"]) if unit == "word" else sum(not character.isspace() for character in row["text"])
        for row in rows
    ]
    assert windows.row_tags is not None and [len(tags) for tags in windows.row_tags] == solid


@given(drawn=st.data())
@quick
@pytest.mark.parametrize("unit", ["word", "character"])
def test_what_whole_tokens_can_reach(tokenizer: PreTrainedTokenizerBase, unit: str, drawn: st.DataObject):
    """With the text's own tokens, those entities are lost that are counted as lost, and no others."""
    data = task(
        drawn.draw(st.lists(sentences(unit), min_size=1, max_size=4)),
        unit,
        drawn.draw(st.sampled_from(["IOB2", "BIOES"])),
    )
    length, overlap = drawn.draw(st.sampled_from(WINDOWS))
    windows = encode(data, tokenizer, length, doc_stride=overlap, tokenization="text")
    gold = entities_of(names(data.splits["train"]["tags"][:], data))
    found = entities_of(through(windows, data))
    hits = sum(len(set(one) & set(other)) for one, other in zip(gold, found, strict=True))
    counts = windows.counts
    assert (counts.entities, counts.entities - counts.unreachable) == (sum(map(len, gold)), hits)


def test_items_are_what_the_collator_takes(tokenizers: dict[str, Any]):
    tokenizer = tokenizers["wordpiece"]
    data = task(
        [{"text": "the river", "starts": [0, 4], "ends": [3, 9], "entities": [Entity("A", 1, 2)]}], "word", "IOB2"
    )
    item = encode(data, tokenizer)[0]
    size = len(item["input_ids"])
    assert item["input_ids"] == tokenizer("the river")["input_ids"]
    assert (item["attention_mask"], item["token_type_ids"]) == ([1] * size, [0] * size)
    assert item["labels"][:3] == [-100, 0, 1] and set(item["labels"][3:]) == {-100}
    unlabelled = dataclasses.replace(data, splits={"train": data.splits["train"].remove_columns("tags")})
    windows = encode(unlabelled, tokenizers["byte_level"])
    assert set(windows[0]) >= {"input_ids", "attention_mask"} and "labels" not in windows[0]
    assert windows.row_tags is None
    assert [len(row) for row in windows.stitch(np.zeros((1, 40, 3)))] == [2]


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("IOB2", ["B-A", "I-A", "I-A", "I-A"]), ("BIOES", ["B-A", "I-A", "E-A", None])],
)
def test_label_all_tokens(scheme: str, expected: list[str | None], tokenizers: dict[str, Any]):
    """The further tokens of a unit go on with its tag, where the scheme has a tag that may follow."""
    tokenizer = tokenizers["byte_level"]
    rows = [{"text": "yx yx", "starts": [0, 3], "ends": [2, 5], "entities": [Entity("A", 0, 2)]}]
    data = task(rows, "word", scheme)
    item = encode(data, tokenizer, label_all_tokens=True)[0]
    tokens = tokenizer.convert_ids_to_tokens(item["input_ids"])
    letters = [place for place, token in enumerate(tokens) if token.strip("Ġ") in ("x", "y")]
    found = [item["labels"][place] for place in letters]
    assert [None if label < 0 else data.labels[label] for label in found] == expected
    assert sum(label >= 0 for label in item["labels"]) == sum(tag is not None for tag in expected)
    first_only = encode(data, tokenizer)[0]["labels"]
    assert [place for place, label in enumerate(first_only) if label >= 0] == [letters[0], letters[2]]
