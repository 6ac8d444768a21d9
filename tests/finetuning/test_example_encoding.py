"""Texts of a task as token ids."""

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertJapaneseTokenizer, BertTokenizer, PreTrainedTokenizerBase, RobertaTokenizer

from electra_hf.errors import UsageError
from electra_hf.finetuning.encoding import encode_split, pair_lengths

LETTERS = {letter: number for number, letter in enumerate("abcdefgh", start=5)}
CLS, SEP, UNK = 2, 3, 1


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    specials = {"[PAD]": 0, "[UNK]": UNK, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": 4}
    return BertTokenizer(vocab={**specials, **LETTERS})


def ids(text: str) -> list[int]:
    return [LETTERS[letter] for letter in text.split()]


def popped(first: int, second: int, room: int) -> tuple[int, int]:
    """The reference's own words: take one from the longer, from the second when they are equal."""
    while first + second > room:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 60))
def test_pairs_are_cut_as_the_reference_cuts_them(first: int, second: int, room: int):
    assert pair_lengths(first, second, room) == popped(first, second, room)


def test_a_single_text(tokenizer: PreTrainedTokenizerBase):
    split = Dataset.from_dict({"text": ["a b c", "", "d ? a b c d e f g h"], "label": [1, 0, 1]})
    encoded = encode_split(split, tokenizer, 6)
    assert [encoded[index]["input_ids"] for index in range(3)] == [
        [CLS, *ids("a b c"), SEP],
        [CLS, SEP],
        [CLS, *ids("d"), UNK, *ids("a b"), SEP],
    ]
    assert [encoded[index]["label"] for index in range(3)] == [1, 0, 1]
    assert list(encoded.lengths) == [5, 2, 6]
    counts = encoded.counts
    assert (counts.rows, counts.tokens, counts.cut, counts.unknown) == (3, 13, 1, 1)


def test_a_pair_has_two_types_and_is_cut_to_the_length(tokenizer: PreTrainedTokenizerBase):
    split = Dataset.from_dict({"text": ["a a a a a a"], "text_pair": ["b b b b"]})
    item = encode_split(split, tokenizer, 10)[0]
    assert item == {
        "input_ids": [CLS, *ids("a a a a"), SEP, *ids("b b b"), SEP],
        "token_type_ids": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
    }


def test_both_orders_of_a_pair_have_the_same_label(tokenizer: PreTrainedTokenizerBase):
    split = Dataset.from_dict({"text": ["a", "c"], "text_pair": ["b b", "d"], "label": [2.5, 5.0]})
    encoded = encode_split(split, tokenizer, 16, score_scale=5.0, both_orders=True)
    assert [item["input_ids"][1:-1] for item in map(encoded.__getitem__, range(4))] == [
        [*ids("a"), SEP, *ids("b b")],
        [*ids("c"), SEP, *ids("d")],
        [*ids("b b"), SEP, *ids("a")],
        [*ids("d"), SEP, *ids("c")],
    ]
    assert encoded.labels == [0.5, 1.0, 0.5, 1.0]
    assert encoded.counts.rows == 2, "the notes speak of the rows of the data"


def test_labels_in_the_order_of_the_model(tokenizer: PreTrainedTokenizerBase):
    names = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 2]})
    assert encode_split(names, tokenizer, 8, label_ids=[2, 0, 1]).labels == [2, 0, 1]
    several = Dataset.from_dict({"text": ["a"], "label": [[1.0, 0.0, 0.0]]})
    assert encode_split(several, tokenizer, 8, label_ids=[2, 0, 1]).labels == [[0.0, 0.0, 1.0]]


def test_a_model_without_token_types_gets_none():
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 6}
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=[])
    split = Dataset.from_dict({"text": ["aa"], "text_pair": ["bb"]})
    assert encode_split(split, tokenizer, 16)[0] == {"input_ids": [0, 5, 5, 2, 2, 6, 6, 2]}


def test_a_tokenizer_written_in_python_gives_what_the_fast_one_gives(tokenizer: PreTrainedTokenizerBase, tmp_path):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    slow = BertJapaneseTokenizer(str(tmp_path / "vocab.txt"), word_tokenizer_type="basic")
    slow.model_input_names = tokenizer.model_input_names
    single = Dataset.from_dict({"text": ["a b c", "", "d ? a b c d e f g h"]})
    pairs = Dataset.from_dict({"text": ["a a a a a a", "c"], "text_pair": ["b b b b", "[SEP] ?"]})
    for split, length in ((single, 6), (pairs, 10)):
        for both_orders in (False, True):
            expected = encode_split(split, tokenizer, length, both_orders=both_orders)
            found = encode_split(split, slow, length, both_orders=both_orders)
            assert list(found) == list(expected) and found.counts == expected.counts  # type: ignore[call-overload]


def test_the_tokenizers_own_settings_change_nothing(tokenizer: PreTrainedTokenizerBase):
    split = Dataset.from_dict({"text": ["a b c d"]})
    expected = encode_split(split, tokenizer, 16)[0]
    tokenizer(["a b", "c"], padding="max_length", truncation=True, max_length=5)
    assert encode_split(split, tokenizer, 16)[0] == expected


def test_a_length_without_room_is_refused(tokenizer: PreTrainedTokenizerBase):
    split = Dataset.from_dict({"text": ["a"], "text_pair": ["b"]})
    with pytest.raises(UsageError, match="--max_seq_length 4 leaves no room"):
        encode_split(split, tokenizer, 4)
