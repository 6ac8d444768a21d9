"""Pairs of segments: what is in them, what their label says, and that no text is lost."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.tokens.packing import PackedBlocks, SpecialIds
from electra_hf.tokens.sentence_pairs import NO_PAIR, kept_lengths, pack_pairs

CLS, SEP, PAD = 2, 3, 0
SPECIAL = SpecialIds(cls=CLS, sep=SEP, pad=PAD)


def numbered(shape: list[list[int]]) -> list[list[list[int]]]:
    """Documents whose lines have these lengths; every token occurs once, in rising order."""
    tokens = iter(range(10, 2**32))
    return [[[next(tokens) for _ in range(length)] for length in document] for document in shape]


def random_shape(documents: int, lines: int, longest: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randint(1, longest) for _ in range(rng.randint(1, lines))] for _ in range(documents)]


shapes = st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=5)
options = st.fixed_dictionaries(
    {
        "truncation": st.sampled_from(["longest_first", "second_first"]),
        "short_probability": st.sampled_from([0.0, 0.5, 1.0]),
    }
)


def segments(blocks: PackedBlocks) -> list[tuple[list[int], list[int], int]]:
    """The tokens of both segments and the label of each row, whose layout is checked on the way."""
    found = []
    assert blocks.pair_labels is not None and blocks.pair_labels.dtype == np.int8
    for row, length, first, label in zip(
        blocks.ids.tolist(), blocks.lengths.tolist(), blocks.first_lengths.tolist(), blocks.pair_labels, strict=True
    ):
        assert row[0] == CLS and row[first - 1] == row[length - 1] == SEP and set(row[length:]) <= {PAD}
        a, b = row[1 : first - 1], row[first : length - 1]
        assert a and (b or label == NO_PAIR) and {CLS, SEP, PAD}.isdisjoint(a + b)
        found.append((a, b, int(label)))
    return found


def is_run(tokens: list[int]) -> bool:
    return tokens == list(range(tokens[0], tokens[-1] + 1))


@given(shapes, st.integers(5, 24), st.integers(0, 9), options)
@settings(max_examples=200, deadline=None)
def test_next_sentences_follow_or_are_of_another_document_and_nothing_is_lost(shape, length, seed, choices):
    documents = numbered(shape)
    blocks = pack_pairs(documents, length, random.Random(seed), SPECIAL, packing="nsp", vocab_size=2**17, **choices)
    owner = {token: index for index, document in enumerate(documents) for line in document for token in line}
    own_text = []
    for a, b, label in segments(blocks):
        assert is_run(a) and (not b or is_run(b))
        own_text += a if label == 1 else a + b
        assert len({owner[token] for token in a}) == 1
        assert len({owner[token] for token in b}) <= 1
        if b:
            assert (owner[b[0]] != owner[a[0]]) == (label == 1)
        if label == NO_PAIR:
            assert len(a + b) == 1 or len(set(owner.values())) == 1
    assert own_text == list(owner)  # each token once and in order, what was borrowed aside


@given(shapes, st.integers(5, 24), st.integers(0, 9), options)
@settings(max_examples=200, deadline=None)
def test_sentence_order_is_kept_or_exchanged_and_nothing_is_lost(shape, length, seed, choices):
    documents = numbered(shape)
    blocks = pack_pairs(documents, length, random.Random(seed), SPECIAL, packing="sop", vocab_size=2**17, **choices)
    owner = {token: index for index, document in enumerate(documents) for line in document for token in line}
    in_order = []
    for a, b, label in segments(blocks):
        in_order += b + a if label == 1 else a + b
        assert len({owner[token] for token in a + b}) == 1
        assert label != NO_PAIR or len(a + b) == 1
    assert in_order == list(owner)


@pytest.mark.parametrize("packing", ["nsp", "sop"])
@pytest.mark.parametrize("overflow", ["carry", "drop"])
@pytest.mark.parametrize("lines, longest", [(20, 12), (1, 12), (3, 300)])
def test_half_of_the_labels(packing, overflow, lines, longest):
    documents = numbered(random_shape(600, lines, longest))
    blocks = pack_pairs(documents, 32, random.Random(1), SPECIAL, packing=packing, overflow=overflow, vocab_size=2**20)
    assert blocks.pair_labels is not None
    labelled = blocks.pair_labels[blocks.pair_labels != NO_PAIR]
    assert len(labelled) > 500 and len(labelled) > 0.7 * len(blocks)
    assert abs(labelled.mean() - 0.5) < 4 * 0.5 / len(labelled) ** 0.5


def bert_rules(documents, length, rng, truncation):
    """create_pretraining_data.py on plain lists, for lines that fit a block; a line alone is divided first."""
    rows = []
    for index, document in enumerate(documents):
        rng.random()  # whether the target is short
        target = length - 3
        waiting = list(document)
        while waiting:
            chunk = [waiting.pop(0)]
            while waiting and sum(map(len, chunk)) < target:
                chunk.append(waiting.pop(0))
            alone = len(chunk) == 1
            if alone and len(chunk[0]) == 1:
                rows.append((chunk[0], [], NO_PAIR))
                continue
            if alone:
                cut = 1 + int(rng.random() * (len(chunk[0]) - 1))
                chunk = [chunk[0][:cut], chunk[0][cut:]]
            end_of_a = 1 if alone else 1 + int(rng.random() * (len(chunk) - 1))
            a, b = sum(chunk[:end_of_a], []), sum(chunk[end_of_a:], [])
            label = int(rng.random() < 0.5)
            if label:
                waiting = chunk[end_of_a:] + waiting
                other = int(rng.random() * (len(documents) - 1))
                other = documents[other + (other >= index)]
                at = int(rng.random() * len(other))
                begins = 1 + int(rng.random() * (len(other[at]) - 1)) if alone and len(other[at]) > 1 else 0
                b = other[at][begins:]
                while len(b) < target - len(a) and at + 1 < len(other):
                    at += 1
                    b = b + other[at]
            cut_a = cut_b = 0
            while len(a) + len(b) - cut_a - cut_b > target:
                of_b = len(b) - cut_b > 1 if truncation == "second_first" else len(b) - cut_b >= len(a) - cut_a
                cut_a, cut_b = cut_a + (not of_b), cut_b + of_b
            rows.append((trimmed(a, cut_a, rng), trimmed(b, cut_b, rng), label))
    return rows


def trimmed(tokens, count, rng):
    for _ in range(count):
        tokens = tokens[1:] if rng.random() < 0.5 else tokens[:-1]
    return tokens


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=8), min_size=2, max_size=5),
    st.integers(15, 40),
    st.integers(0, 9),
    st.sampled_from(["longest_first", "second_first"]),
)
@settings(max_examples=200, deadline=None)
def test_drop_is_the_reference(shape, length, seed, truncation):
    documents = numbered(shape)
    blocks = pack_pairs(
        documents, length, random.Random(seed), SPECIAL, packing="nsp", overflow="drop", truncation=truncation,
        short_probability=0.0,
    )  # fmt: skip
    assert segments(blocks) == bert_rules(documents, length, random.Random(seed), truncation)


@pytest.mark.parametrize("lines, longest", [(30, 12), (3, 400)])
def test_where_segments_begin_does_not_tell_the_label(lines, longest):
    documents = numbered(random_shape(900, lines, longest))
    beginnings = {line[0] for document in documents for line in document}
    found = segments(
        pack_pairs(documents, 32, random.Random(1), SPECIAL, packing="nsp", vocab_size=2**20, short_probability=0.0)
    )
    for segment in (0, 1):
        shares = [np.mean([row[segment][0] in beginnings for row in found if row[2] == label]) for label in (0, 1)]
        assert abs(shares[0] - shares[1]) < 0.06


@pytest.mark.parametrize("packing", ["nsp", "sop"])
def test_short_targets_are_asked_for_by_document(packing):
    documents = numbered([[4] * 100] * 200)
    always, never = (
        pack_pairs(documents, 64, random.Random(0), SPECIAL, packing=packing, short_probability=share)
        for share in (1.0, 0.0)
    )
    assert always.lengths.mean() < 45 < 58 < never.lengths.mean()


def test_the_longer_or_the_second_segment_is_cut():
    documents = [[[11, 12, 13, 14, 15, 16], [17] * 20]]
    longest, second = (
        segments(pack_pairs(documents, 11, random.Random(0), SPECIAL, packing="sop", truncation=truncation,
                            short_probability=0.0))[0]
        for truncation in ("longest_first", "second_first")
    )  # fmt: skip
    assert sorted(map(len, longest[:2])) == [4, 4] and sorted(map(len, second[:2])) == [2, 6]


def test_a_line_that_does_not_fit_opens_the_next_pair_of_sentence_order():
    blocks = pack_pairs(
        [[[10] * 5, [11] * 5, [12] * 5, [13] * 5]], 16, random.Random(0), SPECIAL, packing="sop", short_probability=0.0
    )
    assert blocks.lengths.tolist() == [13, 13]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 20))
def test_longest_first_is_token_by_token(first, second, room):
    a, b = first, second
    while a + b > room:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    assert kept_lengths(first, second, room, "longest_first") == (a, b)


def test_same_seed_same_bytes():
    documents = numbered(random_shape(20, 9, 12))
    first, again, other = (
        pack_pairs(documents, 32, random.Random(seed), SPECIAL, packing="nsp") for seed in (0, 0, 1)
    )
    assert first.ids.tobytes() == again.ids.tobytes() and segments(first) != segments(other)


def test_nothing_and_impossible_lengths():
    assert len(pack_pairs([[], [[]]], 8, random.Random(0), SPECIAL, packing="nsp")) == 0
    with pytest.raises(ValueError, match="cannot be packed"):
        pack_pairs([], 4, random.Random(0), SPECIAL, packing="nsp")
