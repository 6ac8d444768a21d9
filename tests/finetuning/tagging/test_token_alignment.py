"""Which token stands for which unit."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer, PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError
from electra_hf.finetuning.tagging.alignment import AlignedText, Aligner

# Letters of three languages, upper case that grows in lower case, ligatures, half and full width, jamo, emoji, marks,
# what normalizers drop, what no vocabulary has, and the signs that tokenizers use themselves.
PARTS = [
    *"riverstoneRİß.,-'",
    *"강은서울김철수노래한다",
    *"日本語の文章は東京都ガ",
    *"ﬁ㍿½①ⅣＡ１ｶﾟ",
    *"ᄒ\u1161각",
    *("😀", "👍🏽", "👨\u200d👩\u200d👧", "❤\ufe0f", "🇰🇷"),
    *("\u0301", "\u3099", "\u0323", "\u20e3"),
    *("\u200b", "\u200d", "\ufeff", "\u00ad", "\x00", "\x07"),
    *("궭", "龘", "𠮷", "\ufdd0"),
    *("▁", "Ġ", "##", "[UNK]", "[SEP]", "stones"),
]
anything = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
words = st.lists(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join), min_size=1, max_size=8)


def align(tokenizer: PreTrainedTokenizerBase, units: list[str], separator: str, mode: str = "unit") -> AlignedText:
    starts, ends, place = [], [], 0
    for unit in units:
        starts.append(place)
        ends.append(place + len(unit))
        place = ends[-1] + len(separator)
    aligner = Aligner(tokenizer, by_unit=mode == "unit", white_space=separator != "")
    (aligned,) = aligner.align([separator.join(units)], [starts], [ends])
    return aligned


def tokens_of_units(tokenizer: PreTrainedTokenizerBase, aligned: AlignedText) -> list[list[str]]:
    """The tokens of each unit, without those that stand for a space; nothing for white space."""
    found: list[list[str]] = [[] for _ in aligned.rows]
    unit = -1
    for number, first, space in zip(aligned.ids.tolist(), aligned.units, aligned.spaces, strict=True):
        unit = first if first >= 0 else unit
        if not space:
            found[unit].append(cast(str, tokenizer.convert_ids_to_tokens(number)))
    return found


@given(units=words)
@anything
def test_a_word_in_a_text_has_the_tokens_that_it_has_alone(tokenizer: PreTrainedTokenizerBase, units: list[str]):
    """Whatever stands before it and is dropped, composed or taken apart: nothing is shifted."""
    aligned = align(tokenizer, units, " ")
    backend = Aligner(tokenizer, by_unit=True, white_space=True).backend
    for place, (unit, found) in enumerate(zip(units, tokens_of_units(tokenizer, aligned), strict=True)):
        # Byte-level BPE has the space in the token of the word, and none at the start.
        spaced = " " + unit if place and "Ġ" in tokenizer.get_vocab() else unit
        # By their numbers: Unigram calls an unknown token by its text.
        numbers = backend.encode(spaced, add_special_tokens=False).ids
        alone = [token for token in tokenizer.convert_ids_to_tokens(numbers) if token not in ("▁", "Ġ")]
        if unit in ("▁", "Ġ"):
            assert found, "a sign that means a space elsewhere is a word like any other"
        else:
            assert [token for token in found if token not in ("▁", "Ġ")] == (alone or ["[UNK]"])


@given(units=words)
@anything
def test_every_character_has_one_row_and_no_token_has_two(tokenizer: PreTrainedTokenizerBase, units: list[str]):
    text = list(" ".join(units))
    aligned = align(tokenizer, text, "")
    rows = aligned.rows.tolist()
    assert [row >= 0 for row in rows] == [not character.isspace() for character in text]
    kept = [row for row in rows if row >= 0]
    assert kept == sorted(set(kept))
    assert [rows.index(row) for row in kept] == aligned.units[aligned.units >= 0].tolist()


CHARACTERS = {
    # Inside a word as pre-training has seen it there.
    "wordpiece": [["은"], ["##행"], ["##에"], ["##서"], [], ["강"]],
    "unigram": [["은"], ["행"], ["에"], ["서"], [], ["▁강"]],
}


@pytest.mark.parametrize("kind", CHARACTERS)
def test_a_token_over_several_characters_is_taken_apart_in_its_place(kind: str, tokenizers: dict[str, Any]):
    tokenizer = tokenizers[kind]
    tokens = tokens_of_units(tokenizer, align(tokenizer, list("은행에서 강"), ""))
    vocabulary = tokenizer.get_vocab()
    for found, expected in zip(tokens, CHARACTERS[kind], strict=True):
        if not expected:
            assert not found
        elif expected[0] in vocabulary:
            assert found == expected
        else:
            assert found in ([expected[0].removeprefix("▁")], ["[UNK]"])


def test_characters_of_a_small_vocabulary():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "은행", "은", "##은", "##행", "##에서", "##서"]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=False)
    aligned = align(tokenizer, list("은행에서 행은"), "")
    # There is no ##에, and 행 does not begin a word.
    assert tokens_of_units(tokenizer, aligned) == [["은"], ["##행"], ["[UNK]"], ["##서"], [], ["[UNK]"], ["##은"]]
    assert aligned.given_unknown == 0, "the tokenizer dropped nothing"
    whole = align(tokenizer, list("은행에서 행은"), "", mode="text")
    assert tokens_of_units(tokenizer, whole) == [["은행"], [], ["##에서"], [], [], ["[UNK]"], []]
    assert whole.rows.tolist() == [0, 0, 1, 1, -1, 2, 2]


def test_words_without_spaces_between_them_get_tokens_of_their_own():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", "##cd", "##ef", "a", "##bc", "##d", "##b", "##c"]
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})
    aligner = Aligner(tokenizer, by_unit=True, white_space=True)
    (aligned,) = aligner.align(["abcdef ab"], [[0, 1, 3, 7]], [[1, 3, 6, 9]])
    # Both tokens that lie across a border are gone; the last word is as it was.
    assert tokens_of_units(tokenizer, aligned) == [["a"], ["##bc"], ["##d", "##ef"], ["ab"]]


def test_what_a_tokenizer_drops_keeps_its_place(tokenizers: dict[str, Any]):
    aligned = align(tokenizers["wordpiece"], ["the", "\u200b\x07", "river", "\u200b"], " ")
    tokens = tokens_of_units(tokenizers["wordpiece"], aligned)
    assert (tokens[1], tokens[3], aligned.given_unknown) == (["[UNK]"], ["[UNK]"], 2)
    # e and a mark: one letter in the text as the tokenizer sees it.
    characters = tokens_of_units(tokenizers["stripping"], align(tokenizers["stripping"], list("e\u0301s"), ""))
    assert characters == [["e"], ["[UNK]"], ["##s"]]


@pytest.mark.parametrize("kind", ["unigram", "unigram_bytes", "bpe_bytes"])
@pytest.mark.parametrize("start", ["\x07", "\x00\x01", " \x07", "\u200b", "\ufeff"])
def test_a_text_that_begins_with_what_is_dropped_is_not_shifted(kind: str, start: str, tokenizers: dict[str, Any]):
    """The offsets of `Precompiled` are, where it takes characters from the start."""
    tokenizer = tokenizers[kind]
    tokens = tokens_of_units(tokenizer, align(tokenizer, list(start + "강 은"), ""))
    assert ["".join(found).strip("▁") for found in tokens[len(start) :]] == ["강", "", "은"]


def test_normalizers_that_change_lengths_shift_nothing(tokenizers: dict[str, Any]):
    tokens = tokens_of_units(tokenizers["unigram"], align(tokenizers["unigram"], list("㍿의 ｶﾞ강"), ""))
    assert "".join(tokens[0]).strip("▁") == "株式会社"
    assert (tokens[3], tokens[4], tokens[5]) == (["ガ"], ["[UNK]"], ["강"])
    words = tokens_of_units(tokenizers["wordpiece"], align(tokenizers["wordpiece"], ["İİİ", "the", "İ", "river"], " "))
    assert ["".join(words[place]).replace("##", "") for place in (1, 3)] == ["the", "river"]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe_bytes", "byte_level"])
def test_special_tokens_that_are_spelt_out_are_text(kind: str, tokenizers: dict[str, Any]):
    tokenizer = tokenizers[kind]
    aligned = align(tokenizer, ["the", "[SEP]", "river"], " ")
    assert tokenizer.sep_token_id not in aligned.ids


def test_what_a_tokenizer_must_have(tokenizers: dict[str, Any]):
    python = cast(Any, SimpleNamespace(name_or_path="folder"))
    with pytest.raises(TokenizerError, match="folder: its SimpleNamespace runs in Python"):
        Aligner(python, by_unit=True, white_space=True)
    backend = tokenizers["byte_level"].backend_tokenizer
    without = cast(Any, SimpleNamespace(name_or_path="folder", backend_tokenizer=backend, unk_token_id=None))
    with pytest.raises(TokenizerError, match="folder has no unknown token"):
        Aligner(without, by_unit=True, white_space=True)
