import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import sample_documents

DOCUMENTS = [f"document {number} " + "word " * (number % 7) for number in range(300)]


def test_the_order_of_the_documents_does_not_matter():
    expected = sample_documents(DOCUMENTS, 2000)
    for seed in range(5):
        shuffled = random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))
        assert sample_documents(iter(shuffled), 2000) == expected


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1), st.integers(8, 40), st.randoms())
def test_any_order_of_any_texts(texts, limit, rng):
    shuffled = rng.sample(texts, len(texts))
    try:
        expected = sample_documents(texts, limit)
    except TokenizerError:
        expected = None
    try:
        found = sample_documents(shuffled, limit)
    except TokenizerError:
        found = None
    assert found == expected
    assert sum(map(len, found or [])) <= limit


def test_the_sample_is_bounded_and_nearly_full():
    for limit in (3000, 5000):
        kept = sample_documents(DOCUMENTS, limit)
        assert limit - 100 < sum(map(len, kept)) <= limit
        assert set(kept) < set(DOCUMENTS)


def test_everything_is_kept_where_it_fits_and_another_seed_draws_others():
    assert sorted(sample_documents(DOCUMENTS, 10**6)) == sorted(DOCUMENTS)
    assert set(sample_documents(DOCUMENTS, 5000, seed=1)) != set(sample_documents(DOCUMENTS, 5000, seed=2))


def test_a_larger_sample_holds_the_smaller_one():
    assert set(sample_documents(DOCUMENTS, 4000)) < set(sample_documents(DOCUMENTS, 8000))


def test_a_giant_document_is_sampled_by_lines():
    giant = "\n".join(f"line {number}" for number in range(1000))
    kept = sample_documents([giant, "short"], 2000)
    assert len(kept) > 100 and all("\n" not in text for text in kept)


def test_limits_that_hold_nothing():
    assert sample_documents([], 100) == []
    with pytest.raises(TokenizerError, match="give at least 1"):
        sample_documents(DOCUMENTS, 0)
    with pytest.raises(TokenizerError, match="raise --sample_characters"):
        sample_documents(DOCUMENTS, 5)
