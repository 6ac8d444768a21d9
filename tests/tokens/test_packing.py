import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.tokens.packing import PackedBlocks, SpecialIds, pack_electra, pack_full

PAD, CLS, SEP = 0, 2, 3
SPECIAL = SpecialIds(cls=CLS, sep=SEP, pad=PAD)


def rows_of(blocks: PackedBlocks) -> list[list[int]]:
    return [row[:length].tolist() for row, length in zip(blocks.ids, blocks.lengths, strict=True)]


def texts_of(row: list[int]) -> list[int]:
    return [token for token in row if token not in (CLS, SEP)]


def numbered(sizes: list[list[int]]) -> list[list[list[int]]]:
    """Documents of lines of these sizes; every token is another number."""
    token = 10
    documents = []
    for lines in sizes:
        document = []
        for size in lines:
            document.append(list(range(token, token + size)))
            token += size
        documents.append(document)
    return documents


corpora = st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8).map(numbered)
lengths = st.integers(5, 40)
seeds = st.integers(0, 1000)


def test_full_by_hand():
    documents = [[[11, 12], [13]], [[14]], [], [[15, 16, 17, 18]], [[19, 20, 21]]]
    blocks = pack_full(documents, 6, SPECIAL)
    assert blocks.ids.tolist() == [
        [CLS, 11, 12, 13, SEP, SEP],  # the boundary fills the last slot: doubled
        [CLS, 14, SEP, 15, 16, SEP],
        [CLS, 17, 18, SEP, 19, SEP],
        [CLS, 20, 21, SEP, PAD, PAD],
    ]
    assert blocks.lengths.tolist() == [6, 6, 6, 4]
    assert blocks.first_lengths.tolist() == blocks.lengths.tolist()
    exact = pack_full([[[11, 12, 13, 14]], [[15]]], 6, SPECIAL)
    assert exact.ids.tolist() == [[CLS, 11, 12, 13, 14, SEP], [CLS, 15, SEP, PAD, PAD, PAD]]


@given(corpora, lengths)
@settings(max_examples=100, deadline=None)
def test_full_loses_nothing_and_marks_every_boundary(documents, length):
    blocks = pack_full(documents, length, SPECIAL)
    rows = rows_of(blocks)
    flat = [[token for line in document for token in line] for document in documents]
    assert [token for row in rows for token in texts_of(row)] == [token for text in flat for token in text]
    for row in rows:
        assert row[0] == CLS and row.count(CLS) == 1 and row[-1] == SEP and row[1] != SEP
    assert all(len(row) == length for row in rows[:-1])
    stream = [token for row in rows for token in row if token != CLS]
    last_tokens = {text[-1] for text in flat if text}
    ends_of_rows = {texts_of(row)[-1] for row in rows}
    for here, following in zip(stream, stream[1:], strict=False):
        if here in last_tokens:
            assert following == SEP
        elif here != SEP and here not in ends_of_rows:
            assert following != SEP
    for row in blocks.ids.tolist():
        assert PAD not in row or set(row[row.index(PAD) :]) == {PAD}


@given(corpora, lengths, seeds)
@settings(max_examples=150, deadline=None)
def test_electra_carry_loses_nothing_and_keeps_order(documents, length, seed):
    blocks = pack_electra(documents, length, random.Random(seed), SPECIAL, short_probability=0.3)
    rows = rows_of(blocks)
    owner = {token: index for index, document in enumerate(documents) for line in document for token in line}
    assert [token for row in rows for token in texts_of(row)] == list(owner)
    for row, first in zip(rows, blocks.first_lengths.tolist(), strict=True):
        assert row[0] == CLS and row.count(CLS) == 1 and row[-1] == SEP
        assert len({owner[token] for token in texts_of(row)}) == 1
        assert row[first - 1] == SEP and SEP not in row[: first - 1]
        assert first == len(row) or row.count(SEP) == 2
        assert len(row) <= length
        assert row[1] not in (CLS, SEP)
    for row, real in zip(blocks.ids, blocks.lengths, strict=True):
        assert (row[real:] == PAD).all()


def reference_rules(documents, length, rng, single=0.1, short=0.05):
    """The rules of build_pretraining_dataset.py, one by one, on plain lists; overflow is thrown away."""
    rows, firsts = [], []
    target = length
    for document in documents:
        gathered = []
        lines = [line for line in document if line]
        while lines:
            while lines and sum(map(len, gathered)) < target:
                gathered.append(lines.pop(0))
            wanted = 100_000 if rng.random() < single else (target - 3) // 2
            a, b = [], []
            for line in gathered:
                to_a = not a or len(a) + len(line) < wanted
                if not to_a and not b and len(a) < wanted:
                    to_a = rng.random() < 0.5
                (a if to_a else b).extend(line)
            a = a[: length - 2]
            b = b[: max(0, length - len(a) - 3)]
            rows.append([CLS, *a, SEP] + ([*b, SEP] if b else []))
            firsts.append(len(a) + 2)
            gathered = []
            target = 5 + int(rng.random() * (length - 4)) if rng.random() < short else length
    return rows, firsts


@given(corpora, lengths, seeds)
@settings(max_examples=150, deadline=None)
def test_electra_drop_is_the_reference(documents, length, seed):
    expected, firsts = reference_rules(documents, length, random.Random(seed))
    blocks = pack_electra(documents, length, random.Random(seed), SPECIAL, overflow="drop")
    assert rows_of(blocks) == expected
    assert blocks.first_lengths.tolist() == firsts


def test_electra_shares():
    rng = random.Random(1)
    documents = numbered([[rng.randint(3, 12) for _ in range(200)] for _ in range(120)])
    documents = [[[token % 1000 + 10 for token in line] for line in document] for document in documents]
    blocks = pack_electra(documents, 64, random.Random(0), SPECIAL)
    single = (blocks.first_lengths == blocks.lengths).mean()
    short = (blocks.lengths < 40).mean()
    assert len(blocks) > 2000
    assert 0.08 < single < 0.14  # 10 %, and some short ones that had room for one line only
    assert 0.015 < short < 0.06
    halves = blocks.first_lengths[blocks.first_lengths < blocks.lengths]
    assert 20 < halves.mean() < 40
    never = pack_electra(documents, 64, random.Random(0), SPECIAL, single_segment_probability=1.0)
    assert (never.first_lengths == never.lengths).all()


def test_long_line_is_carried_or_dropped():
    document = [[list(range(10, 510))]]
    carried = pack_electra(document, 64, random.Random(0), SPECIAL)
    dropped = pack_electra(document, 64, random.Random(0), SPECIAL, overflow="drop")
    assert len(carried) == 9 and len(dropped) == 1


def test_smallest_integer_type():
    documents = [[[65_535]]]
    assert pack_full(documents, 8, SPECIAL, vocab_size=65_536).ids.dtype == np.uint16
    wide = pack_electra([[[65_536]]], 8, random.Random(0), SPECIAL, vocab_size=65_537)
    assert wide.ids.dtype == np.uint32 and wide.ids[0, 1] == 65_536
    assert wide.lengths.dtype == wide.first_lengths.dtype == np.uint16


def test_nothing_gives_no_blocks():
    assert pack_full([[], [[]]], 8, SPECIAL).ids.shape == (0, 8)
    assert pack_electra([[], [[]]], 8, random.Random(0), SPECIAL).ids.shape == (0, 8)


@pytest.mark.parametrize("length", [4, 65_536])
def test_impossible_length(length):
    with pytest.raises(ValueError, match="cannot be packed"):
        pack_full([], length, SPECIAL)
