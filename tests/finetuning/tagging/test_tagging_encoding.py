"""Windows as the Trainer gets them, what is counted, and what is refused."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from transformers import BertTokenizer, PreTrainedTokenizerBase

from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.data import TaggingData, TaggingTask
from electra_hf.finetuning.tagging.encoding import TaggedWindows, encode_tagging
from electra_hf.finetuning.tagging.tag_numbers import TagNumbers
from electra_hf.finetuning.tagging.whitespace import without_outer_whitespace

CLS, SEP, UNK = 2, 3, 1
LABELS = ("O", "B-A", "I-A", "B-B", "I-B")


@pytest.fixture(scope="module")
def letters() -> PreTrainedTokenizerBase:
    """Each of a to h is a token, ab and ##cd are pieces of words."""
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefgh",
        "ab",
        *(f"##{letter}" for letter in "abcdefgh"),
        "##cd",
    ]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def split(text: str, tags: list[str], *, characters: bool = False, labels: tuple[str, ...] = LABELS) -> Dataset:
    parts = list(text) if characters else text.split(" ")
    ends = np.cumsum([len(part) + (not characters) for part in parts]) - (not characters)
    starts = [int(end) - len(part) for part, end in zip(parts, ends, strict=True)]
    numbers = [labels.index(tag) for tag in tags]
    return Dataset.from_dict({"text": [text], "starts": [starts], "ends": [ends.tolist()], "tags": [numbers]})


def encode(rows: Dataset, tokenizer: PreTrainedTokenizerBase, length: int = 64, **options: Any) -> TaggedWindows:
    options = {"labels": LABELS, "scheme": "IOB2", "unit": "word", "doc_stride": 0, **options}
    return encode_tagging(rows, tokenizer, length, **options)


def test_windows_and_who_has_the_label(letters: PreTrainedTokenizerBase):
    windows = encode(split("a b c d e f", ["O", "B-A", "I-A", "B-B", "O", "B-A"]), letters, 6, doc_stride=2)
    ids = {letter: letters.convert_tokens_to_ids(letter) for letter in "abcdef"}
    assert [item["input_ids"] for item in map(windows.__getitem__, range(2))] == [
        [CLS, *(ids[letter] for letter in "abcd"), SEP],
        [CLS, *(ids[letter] for letter in "cdef"), SEP],
    ]
    # c has one token behind it in the first window and none before it in the second one; for d it is the other way.
    assert windows[0]["labels"] == [-100, 0, 1, 2, -100, -100]
    assert windows[1]["labels"] == [-100, -100, 3, 0, 1, -100]
    assert (windows.texts.tolist(), windows.lengths.tolist()) == ([0, 0], [6, 6])


def test_outputs_are_taken_from_where_the_label_was(letters: PreTrainedTokenizerBase):
    windows = encode(split("a b c d e f", ["O"] * 6), letters, 6, doc_stride=2)
    # Each output says which window and which place it is from; padded by one.
    outputs = np.array([[[window * 10 + place] for place in range(7)] for window in range(2)], dtype=np.float16)
    (rows,) = windows.stitch(outputs)
    assert rows[:, 0].tolist() == [1, 2, 3, 12, 13, 14]
    assert rows.dtype == np.float32


def test_outputs_that_are_not_those_of_the_windows(letters: PreTrainedTokenizerBase):
    windows = encode(split("a b c d e f", ["O"] * 6), letters, 6)
    with pytest.raises(ValueError, match="outputs for 2 windows of up to 6 tokens"):
        windows.stitch(np.zeros((1, 6, 5)))
    with pytest.raises(ValueError, match="outputs for 2 windows"):
        windows.stitch(np.zeros((2, 5, 5)))
    with pytest.raises(ValueError, match="tags for 5 rows of 1 texts"):
        windows.tags_of_units([np.zeros(5, int)])


def test_labels_in_the_numbers_of_the_model(letters: PreTrainedTokenizerBase):
    windows = encode(split("a b c", ["O", "B-B", "I-B"]), letters, label_ids=[4, 3, 2, 1, 0])
    assert windows[0]["labels"] == [-100, 4, 1, 0, -100]
    assert windows.row_tags is not None and windows.row_tags[0].tolist() == [0, 3, 4], "those of the data"


def test_whole_tokens_have_the_tag_of_their_first_unit(letters: PreTrainedTokenizerBase):
    rows = split("abcd ab", ["B-A", "I-A", "O", "B-B", "O", "B-A", "I-A"], characters=True)
    windows = encode(rows, letters, unit="character", tokenization="text")
    assert windows[0]["labels"] == [-100, 1, 0, 1, -100]
    assert windows.tags_of_units([np.array([1, 0, 1])])[0].tolist() == [1, 2, 0, 0, 0, 1, 2]
    counts = windows.counts
    assert (counts.entities, counts.unreachable, counts.f1_bound) == (3, 1, 2 * 2 / (3 + 2))
    assert windows.notes("dev") == [
        "dev: 1 of 3 entities begin or end inside a token or at white space, where no tag can be given: F1 is 0.8000 "
        "at most"
    ]


def test_whole_tokens_in_bioes(letters: PreTrainedTokenizerBase):
    """The tag of a token says whether the entity ends in it."""
    labels = ("O", "B-A", "I-A", "E-A", "S-A")
    tags = ["B-A", "I-A", "I-A", "E-A", "O", "B-A", "E-A", "O", "S-A"]
    rows = split("abcd ab a", tags, characters=True, labels=labels)
    windows = encode(rows, letters, unit="character", tokenization="text", labels=labels, scheme="BIOES")
    assert windows.row_tags is not None
    assert [labels[tag] for tag in windows.row_tags[0]] == ["B-A", "E-A", "S-A", "S-A"]
    assert [labels[tag] for tag in windows.tags_of_units(windows.row_tags)[0]] == tags


def test_white_space_follows_its_neighbours(letters: PreTrainedTokenizerBase):
    windows = encode(split(" a b c ", ["O"] * 7, characters=True), letters, unit="character")
    for rows, expected in [
        ([1, 2, 2], [0, 1, 2, 2, 2, 2, 0]),
        ([1, 1, 2], [0, 1, 0, 1, 2, 2, 0]),
        ([1, 4, 0], [0, 1, 0, 4, 0, 0, 0]),  # another type does not go on
        ([0, 2, 2], [0, 0, 0, 2, 2, 2, 0]),
    ]:
        assert windows.tags_of_units([np.array(rows)])[0].tolist() == expected


def test_plain_tags_go_over_white_space(letters: PreTrainedTokenizerBase):
    rows = split(" a b", ["X", "X", "X", "Y"], characters=True, labels=("X", "Y"))
    windows = encode(rows, letters, unit="character", labels=("X", "Y"), scheme="plain")
    assert windows.tags_of_units([np.array([1, 0])])[0].tolist() == [1, 1, 1, 0]
    assert windows.counts.entities == 0


def test_what_is_counted(letters: PreTrainedTokenizerBase):
    rows = split("ab \u200b ?? ab" + "c" * 12, ["O"] * 4)
    windows = encode(rows, letters, 8)
    counts = windows.counts
    assert (counts.texts, counts.units, counts.windows, counts.long_texts) == (1, 4, 2, 1)
    # ab, the one that was dropped, two question marks, and ab with twelve times ##c
    assert (counts.tokens, counts.unknown, counts.given_unknown, counts.cut_units) == (1 + 1 + 2 + 13, 3, 1, 1)
    assert windows.notes("test") == [
        "test: 1 of 1 texts are longer than the model's input and were read in overlapping windows (2 windows in "
        "all); no unit was left out",
        "test: the tokenizer drops 1 of 4 units; each was read as an unknown token in its place",
        "test: 1 units have more tokens than a window; their rest was not read",
    ]


def test_a_text_of_white_space_has_no_window(letters: PreTrainedTokenizerBase):
    windows = encode(split("  ", ["O", "O"], characters=True), letters, unit="character")
    assert (len(windows), windows.counts.spaces) == (0, 2)
    (rows,) = windows.stitch(np.zeros((0, 0, 5)))
    assert rows.shape == (0, 5)
    assert windows.tags_of_units([np.zeros(0, int)])[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("length", "options", "message"),
    [
        (2, {}, "--max_seq_length 2 leaves no room for text"),
        (
            8,
            {"doc_stride": 6},
            "--doc_stride 6: windows of --max_seq_length 8 hold 6 tokens of text and can share 0 to 5",
        ),
        (8, {"doc_stride": -1}, "--doc_stride -1"),
        (8, {"tokenization": "words"}, "--tokenization is 'words': choose unit or text"),
    ],
)
def test_options_that_cannot_be(length: int, options: dict[str, Any], message: str, letters: PreTrainedTokenizerBase):
    with pytest.raises(UsageError, match=message):
        encode(split("a", ["O"]), letters, length, **options)


def test_tags_in_another_order_mean_the_same():
    """As those of a model that somebody else has trained."""
    numbers = TagNumbers(("I-A", "O", "B-A"), "IOB2")
    starts, ends = numbers.spans(np.array([2, 0, 1, 2, 2]), np.array([0, 4, 5]))
    assert (starts.tolist(), ends.tolist()) == ([0, 3, 4], [2, 4, 5])


def test_entities_lose_the_white_space_at_their_borders():
    rows = split("a b c", ["O", "B-A", "I-A", "I-A", "O"], characters=True)
    data = TaggingData(TaggingTask("ner"), LABELS, "IOB2", "character", {"train": rows, "validation": rows.select([])})
    trimmed = without_outer_whitespace(data)
    assert [LABELS[tag] for tag in trimmed.splits["train"]["tags"][0]] == ["O", "O", "B-A", "O", "O"]
    assert trimmed.notes == (
        "train: 1 entities begin or end with white space, which has no tag of its own; they now begin and end with "
        "the characters beside it",
    )
    words = TaggingData(TaggingTask("ner"), LABELS, "IOB2", "word", {"train": rows})
    assert without_outer_whitespace(words) is words
    alone = split("a b", ["O", "B-A", "O"], characters=True)
    gone = without_outer_whitespace(TaggingData(TaggingTask("ner"), LABELS, "IOB2", "character", {"dev": alone}))
    assert gone.splits["dev"]["tags"][0] == [0, 0, 0]
    assert gone.notes[0].endswith(", and 1 of nothing else are gone")
