"""Shingles and signatures: numbers that are equal where the words of texts are."""

import random
import re
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_hf.corpora.deduplication import DeduplicationSettings, make_signatures, sign, signing
from electra_hf.corpora.deduplication.shingles import BATCH_CHARACTERS, shingles
from electra_hf.corpora.deduplication.signatures import BANDS, CHARACTERS, DIGEST, PREVIEW, preview
from electra_hf.corpora.parts import Part

MINHASH = DeduplicationSettings("minhash")
JAPANESE = "日本語"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected_shingles(written: str) -> list[tuple[str, ...]]:
    """One shingle after the other, with loops."""
    pattern = f"[{JAPANESE}]|[^\\W_{JAPANESE}]+"
    words = re.findall(pattern, written.lower())
    found = []
    for first in range(len(words)):
        weight, last = 0, first
        while weight < 40 and last < len(words):
            weight += 5 if words[last] in JAPANESE else 8
            last += 1
        if weight >= 40 or first == 0:
            found.append(tuple(words[first:last]))
    return found


class TestShingles:
    @given(st.lists(st.text(alphabet="aA\u00c9\u00e91가日本 .,", max_size=40), max_size=6))
    def test_equal_where_the_words_are(self, texts: list[str]) -> None:
        texts = [unicodedata.normalize("NFC", each) for each in texts]
        expected = [(number, shingle) for number, each in enumerate(texts) for shingle in expected_shingles(each)]
        found = shingles(texts, 5)
        assert found.texts.tolist() == [number for number, _ in expected]
        named = dict(zip((shingle for _, shingle in expected), found.hashes.tolist(), strict=True))
        assert [named[shingle] for _, shingle in expected] == found.hashes.tolist()
        assert len(set(named.values())) == len(named)

    def test_length_is_a_setting(self) -> None:
        assert [len(shingles(["a b c d e f"], words).hashes) for words in (1, 2, 6, 7)] == [6, 5, 1, 1]


class TestSignatures:
    @pytest.mark.parametrize("settings", [DeduplicationSettings(), MINHASH])
    def test_each_depends_on_its_own_text(self, settings: DeduplicationSettings) -> None:
        texts = ["a", "", "x " * BATCH_CHARACTERS, JAPANESE * 50, "!", "the last of these texts"]
        together = sign(texts, settings)
        assert together.shape == (settings.numbers, len(texts)) and together.dtype == np.uint64
        assert np.array_equal(together, np.hstack([sign([each], settings) for each in texts]))
        assert not together[:, 1].any() and together[CHARACTERS].tolist()[2] == 2 * BATCH_CHARACTERS - 1
        assert together[DIGEST, :].all(axis=0).tolist() == [True, False, True, True, True, True]

    def test_they_are_the_same_on_every_machine(self) -> None:
        found = sign(["Some words, 한국어 and 日本語."], DeduplicationSettings("minhash", bands=2))
        assert [f"{number:016x}" for number in found[[*DIGEST, BANDS, BANDS + 1], 0].tolist()] == [
            "dcb5243c6777ace9",
            "2fe779856db1d457",
            "c0be1764e94d86df",
            "8a45b236b766561c",
        ]

    def test_workers_and_shares_do_not_change_a_byte(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(signing, "CHUNK_RECORDS", 3)
        parts = [Part("a", partial(iter, [f"text {n}" for n in range(10)])), Part("b", partial(iter, ["x", "y"]))]
        for name, shares, workers in (("one", 1, 1), ("shares", 3, 1), ("workers", 1, 2)):
            (tmp_path / name).mkdir()
            for share in range(shares):
                options: Any = {"share": share, "shares": shares, "num_workers": workers, "progress": False}
                make_signatures("c", parts, tmp_path / name, MINHASH, **options)
        whole = contents(tmp_path / "one")
        assert set(whole) == {"signatures-00000.npy", "signatures-00001.npy"}
        assert contents(tmp_path / "shares") == contents(tmp_path / "workers") == whole
        assert np.array_equal(np.load(tmp_path / "one" / "signatures-00001.npy"), sign(["x", "y"], MINHASH))

    def test_beginning_of_the_text_is_kept_with_them(self) -> None:
        found = sign(["Title\n\nText", "가" * 99, "", "\ud800x"], DeduplicationSettings())
        assert [preview(column) for column in found[PREVIEW].T] == ["Title Text", "가" * 26, "", "x"]


class TestMinHash:
    @pytest.mark.parametrize("every", [5, 20, 60])
    def test_bands_agree_as_often_as_the_jaccard_similarity_says(self, every: int) -> None:
        chance = random.Random(every)
        original = [f"w{chance.randrange(10_000)}" for _ in range(500)]
        edited = ["other" if index % every == 0 else word for index, word in enumerate(original)]
        pair = [" ".join(original), " ".join(edited)]
        sets = [{tuple(words[index : index + 5]) for index in range(len(words) - 4)} for words in map(str.split, pair)]
        keys = sign(pair, DeduplicationSettings("minhash", bands=1000, rows=1))[BANDS:]
        similarity = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        assert (keys[:, 0] == keys[:, 1]).mean() == pytest.approx(similarity, abs=0.06)  # four standard deviations
