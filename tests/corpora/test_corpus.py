"""Mixing, splitting and shortening of corpora."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_hf.corpora import Corpus, Interleaved, Limited, hold_out
from electra_hf.corpora.corpus import converted, join_lines
from electra_hf.corpora.parts import pieces
from electra_hf.errors import CorpusError, UsageError


class Listed(Corpus):
    def __init__(self, name: str, texts: list[str]) -> None:
        self.name = name
        self.texts = texts

    def describe(self) -> dict[str, Any]:
        return {"texts": self.texts}

    def _texts(self) -> Iterator[str]:
        return iter(self.texts)


def numbered(name: str, size: int) -> Listed:
    return Listed(name, [f"{name}{index}" for index in range(size)])


def read(corpus: Corpus) -> list[str]:
    return list(corpus.documents())


class TestCorpus:
    def test_empty_and_blank_texts_are_no_documents(self) -> None:
        assert read(Listed("c", ["a", "", " \n\t\u3000", "\nb\r\nc\n"])) == ["a", "b\nc"]

    def test_every_pass_is_the_same(self) -> None:
        corpus = numbered("c", 5)
        assert read(corpus) == read(corpus)

    def test_corpus_of_empty_documents_is_an_error_at_the_end_of_the_pass(self) -> None:
        with pytest.raises(CorpusError, match="^c: .*every document is empty"):
            read(Listed("c", ["", " ", "\n"]))

    def test_long_text_comes_in_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("electra_hf.corpora.parts.pieces", lambda text: pieces(text, limit=8))
        assert read(Listed("c", ["one\ntwo\nthree four"])) == ["one\ntwo", "three", " four"]


class TestPieces:
    @given(st.text(alphabet="ab \n\u3000", max_size=60), st.integers(1, 20))
    def test_bounded_and_nothing_but_line_feeds_lost(self, text: str, limit: int) -> None:
        found = list(pieces(text, limit))
        assert all(len(piece) <= limit for piece in found)
        assert "".join(found).replace("\n", "") == text.replace("\n", "")

    def test_cut_at_line_end_then_space_then_anywhere(self) -> None:
        assert list(pieces("ab cd\nef gh", 7)) == ["ab cd", "ef gh"]
        assert list(pieces("a\nbcd\nef", 5)) == ["a\nbcd", "ef"]
        assert list(pieces("ab cd efgh", 7)) == ["ab cd", " efgh"]
        assert list(pieces("abcdefghij", 4)) == ["abcd", "efgh", "ij"]

    @given(st.lists(st.text(alphabet="ab ", max_size=9), max_size=20), st.integers(10, 30))
    def test_join_lines_keeps_every_line(self, lines: list[str], limit: int) -> None:
        texts = list(join_lines(lines, limit))
        assert all(len(text) <= limit for text in texts)
        assert "\n".join(texts) == "\n".join(line for line in lines if line.strip())


class TestInterleaved:
    @given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(0, 2**32), st.data())
    def test_without_replacement_yields_each_document_once_in_the_order_of_its_corpus(
        self, sizes: list[int], seed: int, data: st.DataObject
    ) -> None:
        corpora = [numbered("abcd"[index], size) for index, size in enumerate(sizes)]
        weight = st.one_of(st.none(), st.lists(st.floats(1e-6, 1e6), min_size=len(sizes), max_size=len(sizes)))
        found = read(Interleaved(corpora, data.draw(weight), seed=seed))
        for corpus in corpora:
            assert [document for document in found if document[0] == corpus.name] == corpus.texts
        assert len(found) == sum(sizes)

    def test_first_exhausted_stops_with_the_last_document_of_a_corpus(self) -> None:
        found = read(Interleaved([numbered("a", 3), numbered("b", 1000)], stopping_strategy="first_exhausted"))
        assert found[-1] == "a2"
        assert len(found) < 1000

    def test_all_exhausted_repeats_small_corpora_until_the_large_one_ends(self) -> None:
        found = Counter(read(Interleaved([numbered("a", 3), numbered("b", 60)], stopping_strategy="all_exhausted")))
        assert all(found[f"b{index}"] == 1 for index in range(60))
        assert min(found[f"a{index}"] for index in range(3)) > 5

    def test_weights_decide_the_shares(self) -> None:
        mixed = Interleaved([numbered("a", 5000), numbered("b", 5000)], [3, 1], "first_exhausted")
        first = Counter(document[0] for document in read(mixed)[:4000])
        assert 2850 < first["a"] < 3150  # six standard deviations

    def test_order_depends_on_the_seed_only(self) -> None:
        def order(seed: int) -> list[str]:
            return read(Interleaved([numbered("a", 20), numbered("b", 20)], seed=seed))

        assert order(1) == order(1)
        assert order(1) != order(2)

    @pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")], [float("inf"), 1]])
    def test_weights_must_be_positive(self, weights: list[float]) -> None:
        with pytest.raises(UsageError, match="not all positive"):
            Interleaved([numbered("a", 1), numbered("b", 1)], weights)

    def test_wrong_use_is_explained(self) -> None:
        with pytest.raises(UsageError, match="3 weights for 2 corpora.* a, b$"):
            Interleaved([numbered("a", 1), numbered("b", 1)], [1, 2, 3])
        with pytest.raises(UsageError, match="first_exhausted, all_exhausted, all_exhausted_without_replacement"):
            Interleaved([numbered("a", 1)], stopping_strategy="never")
        with pytest.raises(UsageError, match="at least one corpus"):
            Interleaved([])

    def test_corpus_without_text_is_not_hidden_by_the_others(self) -> None:
        with pytest.raises(CorpusError, match="^b: "):
            read(Interleaved([numbered("a", 3), Listed("b", [""])]))

    def test_a_small_corpus_may_have_nothing_on_one_side_of_the_split(self) -> None:
        mixed = Interleaved([numbered("a", 200), numbered("b", 1)])
        train, validation = hold_out(mixed, 20)
        assert sorted(read(train) + read(validation)) == sorted([*numbered("a", 200).texts, "b0"])

    def test_conversion_keeps_the_mixture(self) -> None:
        mixed = Interleaved([numbered("a", 100), numbered("b", 100)])
        upper = converted(mixed, shout, {"case": "upper"})
        assert read(upper) == [text.upper() for text in read(mixed)] != sorted(read(upper))


def shout(text: str) -> list[str]:
    return [text.upper()]


class TestHoldOut:
    @given(st.integers(100, 200), st.floats(20, 80), st.integers(-(2**70), 2**70))
    def test_sides_are_complementary_and_in_order(self, size: int, percentage: float, seed: int) -> None:
        corpus = numbered("a", size)
        train, validation = hold_out(corpus, percentage, seed)
        sides = [read(train), read(validation)]
        assert sorted(sides[0] + sides[1]) == sorted(corpus.texts)
        for side in sides:
            assert side == [document for document in corpus.texts if document in set(side)]

    def test_share_is_the_percentage(self) -> None:
        _, validation = hold_out(numbered("a", 20_000), 5, seed=3)
        assert 815 < len(read(validation)) < 1185  # six standard deviations

    def test_another_seed_holds_out_other_documents(self) -> None:
        corpus = numbered("a", 200)
        assert read(hold_out(corpus, 50, 1)[1]) != read(hold_out(corpus, 50, 2)[1])

    def test_equal_documents_are_on_the_same_side(self) -> None:
        train, validation = hold_out(Listed("a", [f"text {index % 50}" for index in range(500)]), 30)
        assert not set(read(train)) & set(read(validation))

    def test_nothing_held_out_is_an_error(self) -> None:
        train, validation = hold_out(numbered("a", 2), 0.001)
        assert read(train) == ["a0", "a1"]
        with pytest.raises(CorpusError, match="leaves no document for validation"):
            read(validation)

    def test_an_empty_corpus_is_not_blamed_on_the_split(self) -> None:
        with pytest.raises(CorpusError, match="^a: .*every document is empty"):
            read(hold_out(Listed("a", ["", " "]), 20)[0])

    @pytest.mark.parametrize("percentage", [0, 100, -1, float("nan")])
    def test_percentage_is_checked(self, percentage: float) -> None:
        with pytest.raises(UsageError, match="above 0 and below 100"):
            hold_out(numbered("a", 2), percentage)


class TestLimited:
    def test_takes_the_first_documents_and_reads_no_further(self) -> None:
        class Endless(Listed):
            def _texts(self) -> Iterator[str]:
                yield from ["a", "b"]
                raise AssertionError("read too far")

        assert read(Limited(Endless("a", []), 2)) == ["a", "b"]

    def test_limit_is_checked(self) -> None:
        with pytest.raises(UsageError, match="at least 1"):
            Limited(numbered("a", 2), 0)


def test_descriptions_are_json_and_tell_what_changes_the_text() -> None:
    a, b = numbered("a", 3), numbered("b", 3)
    train, validation = hold_out(a, 10, 1)
    different = [
        Interleaved([a, b]),
        Interleaved([b, a]),
        Interleaved([a, b], [1, 2]),
        Interleaved([a, b], seed=1),
        Interleaved([a, b], stopping_strategy="all_exhausted"),
        train,
        validation,
        hold_out(a, 10, 2)[0],
        hold_out(a, 11, 1)[0],
        Limited(a, 1),
        Limited(a, 2),
    ]
    described = [json.dumps(corpus.describe(), sort_keys=True) for corpus in different]
    assert len(set(described)) == len(described)
    assert described[0] == json.dumps(Interleaved([numbered("a", 3), numbered("b", 3)]).describe(), sort_keys=True)
