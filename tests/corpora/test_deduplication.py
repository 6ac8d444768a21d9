"""Records that repeat earlier ones are found, exactly or nearly, and left out."""

import json
import pickle
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_hf.corpora import Corpus, Interleaved, Limited, hold_out
from electra_hf.corpora.deduplication import (
    Deduplicated,
    DeduplicationSettings,
    deduplicate,
    deduplication_settings,
    duplicates,
    find_duplicates,
    make_signatures,
    open_deduplicated,
    signing,
    start,
)
from electra_hf.corpora.deduplication.duplicates import join
from electra_hf.corpora.parts import Converter, Part, SkippedRecord, as_it_is
from electra_hf.errors import CorpusError, UsageError

MINHASH = DeduplicationSettings("minhash")
JAPANESE = "日本語文章単位確認東京大阪京都春夏秋冬朝昼夜山川海空花鳥風月はがをにでとのもしたきくけさすせた"
KOREAN = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허"


class Listed(Corpus):
    """A corpus of the given parts, which counts how often each of them is read."""

    def __init__(self, *parts: list[str], name: str = "c", convert: Converter = as_it_is) -> None:
        self.name = name
        self.texts = parts
        self.convert = convert
        self.read = [0] * len(parts)

    def describe(self) -> dict[str, Any]:
        return {"texts": list(self.texts)}

    def parts(self) -> list[Part]:
        return [
            Part(f"{self.name}{index}", partial(self._records, index), self.convert)
            for index in range(len(self.texts))
        ]

    def _records(self, index: int) -> Iterator[str]:
        self.read[index] += 1
        yield from self.texts[index]


def without_bad(record: str) -> Iterable[str]:
    if record == "bad":
        raise SkippedRecord("a bad record")
    return record.split("|")


def read(corpus: Corpus) -> list[str]:
    return list(corpus.documents())


def quiet(corpus: Corpus, folder: Path, settings: DeduplicationSettings | None = None, **options: Any) -> Corpus:
    return deduplicate(corpus, folder, settings, progress=False, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def text(language: str, words: int, seed: int) -> list[str]:
    """Random words; joined by `write` as the language does."""
    letters = {"en": "abcdefghijklmnop", "ko": KOREAN, "ja": JAPANESE}[language]
    chance = random.Random(f"{language}{seed}")
    return ["".join(chance.choices(letters, k=2 if language == "ja" else 4)) for _ in range(words)]


def write(language: str, words: Sequence[str]) -> str:
    return ("" if language == "ja" else " ").join(words)


def edited(words: list[str], every: int, language: str) -> list[str]:
    """Every so-manieth word replaced."""
    other = text(language, len(words), 99)
    return [other[index] if index % every == 0 else word for index, word in enumerate(words)]


class TestExact:
    def test_first_one_is_kept_in_the_order_of_the_parts(self, tmp_path: Path) -> None:
        corpus = Listed(["one", "two", "one"], [], ["three", "two", "four", "one"])
        assert read(quiet(corpus, tmp_path)) == ["one", "two", "three", "four"]

    def test_white_space_and_composition_do_not_matter_but_case_and_punctuation_do(self, tmp_path: Path) -> None:
        texts = ["caf\u00e9 x", "cafe\u0301\n\u3000x ", "Caf\u00e9 x", "caf\u00e9 x."]
        assert read(quiet(Listed(texts), tmp_path)) == [texts[0], texts[2], texts[3]]

    def test_documents_of_a_record_are_compared_together(self, tmp_path: Path) -> None:
        corpus = Listed(["a|b", "a", "b", "a|b"], convert=without_bad)
        assert read(quiet(corpus, tmp_path)) == ["a", "b", "a", "b"]

    @pytest.mark.parametrize("method", ["exact", "minhash"])
    def test_records_without_text_or_words_are_no_duplicates(self, tmp_path: Path, method: Any) -> None:
        texts = ["", " ", "bad", "bad", "!!!", "???", "\U0001f600", "a", "b", "1.", "2.", "\ud800", "\udfff"]
        corpus = quiet(Listed(texts, convert=without_bad), tmp_path, DeduplicationSettings(method))
        assert isinstance(corpus, Deduplicated)
        assert read(corpus) == texts[4:]
        assert (corpus.report["records"], corpus.report["records_without_text"]) == (13, 4)
        assert corpus.report["exact_duplicates"] == corpus.report["near_duplicates"] == 0


class TestNearDuplicates:
    @pytest.mark.parametrize("language", ["en", "ko", "ja"])
    def test_similar_texts_are_found_and_less_similar_ones_are_not(self, tmp_path: Path, language: str) -> None:
        original, unrelated = text(language, 400, 1), text(language, 400, 2)
        texts = [write(language, words) for words in (original, unrelated, edited(original, 8, language))]
        close = write(language, edited(original, 100, language))
        corpus = quiet(Listed([*texts, close]), tmp_path, MINHASH)
        assert read(corpus) == texts
        assert isinstance(corpus, Deduplicated) and corpus.report["near_duplicates"] == 1
        assert read(quiet(Listed([*texts, close]), tmp_path / "exact")) == [*texts, close]

    def test_case_and_punctuation_do_not_matter(self, tmp_path: Path) -> None:
        texts = ["The same words, twice over again.", "the same (words) twice; over AGAIN!", "The same words, twice."]
        assert read(quiet(Listed(texts), tmp_path, MINHASH)) == [texts[0], texts[2]]

    def test_bands_and_rows_decide_how_similar(self, tmp_path: Path) -> None:
        original = text("en", 400, 1)
        texts = [write("en", original), write("en", edited(original, 16, "en"))]  # similarity about 0.5
        assert read(quiet(Listed(texts), tmp_path / "strict", MINHASH)) == texts
        loose = DeduplicationSettings("minhash", bands=40, rows=3)
        assert read(quiet(Listed(texts), tmp_path / "loose", loose)) == texts[:1]
        assert loose.threshold < 0.5 < MINHASH.threshold

    def test_chain_of_similar_texts_is_one_group(self, tmp_path: Path) -> None:
        words = text("en", 300, 1)
        chain = [write("en", words[start : start + 200]) for start in range(0, 60, 5)]
        random.Random(0).shuffle(chain)
        assert read(quiet(Listed(chain[:6], chain[6:]), tmp_path, MINHASH)) == chain[:1]


class TestGroups:
    @given(st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
    def test_every_record_gets_the_first_of_its_group(self, rounds: list[list[tuple[int, int]]]) -> None:
        root, groups = np.arange(12), [{record} for record in range(12)]
        for pairs in rounds:
            join(root, *np.array(pairs, np.int64).reshape(-1, 2).T)
            for left, right in pairs:
                if groups[left] is not groups[right]:
                    groups[left] |= groups[right]
                    for record in groups[right]:
                        groups[record] = groups[left]
        repeats = duplicates._repeats(root)
        assert root.tolist() == [min(group) for group in groups]
        assert repeats.tolist() == [min(group) != record for record, group in enumerate(groups)]

    def test_one_range_of_values_at_a_time_finds_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corpus = Listed([f"text {number % 7}" for number in range(30)], [f"text {number}" for number in range(20)])
        whole = quiet(corpus, tmp_path / "whole", MINHASH)
        monkeypatch.setattr(duplicates, "SORTED_RECORDS", 4)
        assert contents(tmp_path / "whole") != {} and read(whole) == [f"text {number}" for number in range(20)]
        quiet(corpus, tmp_path / "ranges", MINHASH)
        assert contents(tmp_path / "ranges") == contents(tmp_path / "whole")


class TestFolder:
    def test_report_counts_and_shows_the_largest_groups(self, tmp_path: Path) -> None:
        corpus = quiet(Listed(["Two 글", "One", "One"], ["One", "Two 글", "x" * 99]), tmp_path, MINHASH)
        assert isinstance(corpus, Deduplicated)
        expected = {"records": 6, "exact_duplicates": 3, "near_duplicates": 0, "dropped_characters": 11}
        assert {name: corpus.report[name] for name in expected} == expected
        assert corpus.report["characters"] == 5 + 3 + 3 + 3 + 5 + 99
        assert corpus.report["parts"][1] == {"name": "c1", "records": 3, "dropped": 2}
        assert corpus.report["largest_groups"] == [
            {"records": 3, "kept": "One", "dropped": ["One", "One"]},
            {"records": 2, "kept": "Two 글", "dropped": ["Two 글"]},
        ]
        assert np.load(tmp_path / "dropped-00001.npy").tolist() == [0, 1]

    def test_doing_it_again_reads_nothing(self, tmp_path: Path) -> None:
        corpus = Listed(["a", "a"], ["b"])
        quiet(corpus, tmp_path)
        assert set(contents(tmp_path)) == {"settings.json", "report.json", "dropped-00000.npy", "dropped-00001.npy"}
        quiet(corpus, tmp_path)
        assert corpus.read == [1, 1]
        quiet(corpus, tmp_path, overwrite=True)
        assert corpus.read == [2, 2]

    def test_goes_on_after_the_last_finished_part(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        corpus = Listed(["a", "b"], ["b", "stop"])
        work = signing.sign_chunk

        def interrupted(chunk: signing.Chunk) -> signing.Signed:
            if "stop" in chunk.records:
                raise KeyboardInterrupt
            return work(chunk)

        monkeypatch.setattr(signing, "sign_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quiet(corpus, tmp_path)
        assert set(contents(tmp_path)) == {"settings.json", "signatures-00000.npy"}
        with pytest.raises(CorpusError, match="not looked for in it to the end"):
            open_deduplicated(corpus, tmp_path)
        with pytest.raises(CorpusError, match="signatures of c1 are missing: run the same command again"):
            find_duplicates("c", corpus.parts(), tmp_path, progress=False)
        monkeypatch.setattr(signing, "sign_chunk", work)
        assert read(quiet(corpus, tmp_path)) == ["a", "b", "stop"]
        assert corpus.read == [2, 3]  # the first part: signed once, and read

    def test_other_settings_are_refused_by_name(self, tmp_path: Path) -> None:
        quiet(Listed(["a"]), tmp_path, MINHASH)
        with pytest.raises(CorpusError, match="made with bands = 14, and 20 is asked for"):
            quiet(Listed(["a"]), tmp_path, DeduplicationSettings("minhash", bands=20))
        with pytest.raises(CorpusError, match="another corpus, or with files that were changed"):
            quiet(Listed(["b"]), tmp_path, MINHASH)
        with pytest.raises(CorpusError, match="about another corpus than c"):
            open_deduplicated(Listed(["b"]), tmp_path)
        assert read(quiet(Listed(["b", "b"]), tmp_path, overwrite=True)) == ["b"]

    def test_foreign_and_broken_files_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").touch()
        with pytest.raises(CorpusError, match="not from looking for duplicates .thesis.txt"):
            quiet(Listed(["a"]), tmp_path)
        (tmp_path / "thesis.txt").unlink()
        quiet(Listed(["a", "a"]), tmp_path)
        np.save(tmp_path / "dropped-00000.npy", np.array([0]))
        with pytest.raises(CorpusError, match="not as it was written"):
            quiet(Listed(["a", "a"]), tmp_path)
        (tmp_path / "dropped-00000.npy").write_bytes(b"")
        with pytest.raises(CorpusError, match="dropped-00000.npy: cannot be read"):
            quiet(Listed(["a", "a"]), tmp_path)
        (tmp_path / "settings.json").write_text("{")
        with pytest.raises(CorpusError, match="settings.json: is broken"):
            quiet(Listed(["a", "a"]), tmp_path)

    def test_broken_signatures_are_named(self, tmp_path: Path) -> None:
        corpus = Listed(["a"])
        assert start(tmp_path, deduplication_settings(corpus, MINHASH))
        make_signatures("c", corpus.parts(), tmp_path, MINHASH, progress=False)
        path = tmp_path / "signatures-00000.npy"
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(CorpusError, match="signatures-00000.npy: is broken .*: remove it"):
            find_duplicates("c", corpus.parts(), tmp_path, progress=False)

    def test_wrong_use_is_explained(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="memory://x: .* give a path, not a URL"):
            quiet(Listed(["a"]), "memory://x")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="method: 'fuzzy' is unknown; choose exact or minhash"):
            DeduplicationSettings("fuzzy")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="rows: 0 is out of range"):
            DeduplicationSettings("minhash", rows=0)


class TestDeduplicated:
    def test_a_changed_corpus_is_an_error(self, tmp_path: Path) -> None:
        corpus = Listed(["a", "b", "a"])
        found = quiet(corpus, tmp_path)
        corpus.texts[0].pop()
        with pytest.raises(CorpusError, match="c0: has fewer records"):
            read(found)
        with pytest.raises(CorpusError, match="is about other parts .c0."):
            Deduplicated(Listed(["a"], name="d"), tmp_path).parts()

    def test_parts_can_be_read_in_another_process(self, tmp_path: Path) -> None:
        found = quiet(Listed(["a", "b", "a"], ["b", "c"]), tmp_path)
        copies = pickle.loads(pickle.dumps(found.parts()))
        assert [list(part.records()) for part in copies] == [["a", "b"], ["c"]]

    def test_held_out_records_are_complementary_and_never_on_both_sides(self, tmp_path: Path) -> None:
        # Raw records that differ, so that holding out alone would put equal texts on both sides.
        texts = [f"text {number % 40}" + " " * number for number in range(90)]
        corpus = Listed(texts[:50], texts[50:])
        whole = quiet(corpus, tmp_path / "whole")
        for seed in range(5):
            train, validation = (read(side) for side in hold_out(whole, 40, seed))
            assert len(train) > 5 < len(validation)
            assert sorted(train + validation) == sorted(texts[:40])
        side = quiet(hold_out(corpus, 40, 1)[1], tmp_path / "side")
        assert len({each.strip() for each in read(side)}) == len(read(side))

    def test_corpora_stay_interleaved(self, tmp_path: Path) -> None:
        members = [
            Listed(["a1", "both"], ["a2"], name="a"),
            Interleaved([Listed(["b1", "both", "a2"], name="b"), Listed(["c1", "b1"], name="c")]),
        ]
        mixed = Interleaved(members, [1, 3], seed=5)
        found = quiet(mixed, tmp_path)
        assert isinstance(found, Interleaved) and found.weights == [1.0, 3.0]
        assert [sorted(read(corpus)) for corpus in found.corpora] == [["a1", "a2", "both"], ["b1", "c1"]]
        assert sorted(read(found)) == ["a1", "a2", "b1", "both", "c1"]

    def test_corpus_that_is_given_twice_is_explained(self, tmp_path: Path) -> None:
        found = quiet(Interleaved([Listed(["a"]), Listed(["a"], name="again")]), tmp_path)
        with pytest.raises(CorpusError, match="^again: every record repeats one of a corpus before it"):
            read(found)

    def test_descriptions_tell_what_changes_the_text(self, tmp_path: Path) -> None:
        corpus = Listed(["a", "b", "a"])
        strict = DeduplicationSettings("minhash", rows=9)
        found: list[Corpus] = [
            quiet(corpus, tmp_path / str(number), settings)
            for number, settings in enumerate((DeduplicationSettings(), MINHASH, strict))
        ]
        found += [quiet(Listed(["a", "b", "b"]), tmp_path / "other"), Limited(found[0], 1), corpus]
        described = [json.dumps(each.describe(), sort_keys=True) for each in found]
        assert len(set(described)) == len(described)
        again = open_deduplicated(corpus, tmp_path / "0")
        assert json.dumps(again.describe(), sort_keys=True) == described[0]
