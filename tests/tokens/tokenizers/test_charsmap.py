"""The character rules against SentencePiece's own normaliser."""

import random
import unicodedata

import pytest
import sentencepiece
from tokenizers.normalizers import Precompiled, Sequence

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers.charsmap import _as_classes, charsmap_normalizers, read_charsmap

NAMES = ["nmt_nfkc", "nfkc_cf"]
DECOMPOSED = ["각", "가각", "が", "パ", "ế", "ᾷ", "Å", "क़", "שּׁ", "Ǖ"]
SINGLE = [
    "ﬁ",
    "½",
    "Ⅳ",
    "①",
    "ｶ",
    "ﾞ",
    "ﾊ",
    "ﾟ",
    "ª",
    "\u00a0",
    "\u3000",
    "㎏",
    "ㄱ",
    "ㅏ",
    "ㄳ",
    "A",
    "a",
    "ß",
    "İ",
    "é",
]
MARKS = [
    "\u0301",
    "\u0302",
    "\u0323",
    "\u0345",
    "\u3099",
    "\u064b",
    "\u0651",
    "\u200d",
    "\ufe0f",
    "\u1161",
    "\u11a8",
    "🏻",
]


@pytest.fixture(scope="module")
def blobs(make_model):
    return {name: make_model(normalization_rule_name=name).normalizer_spec.precompiled_charsmap for name in NAMES}


def reference(name):
    plain = {"add_dummy_prefix": False, "escape_whitespaces": False, "remove_extra_whitespaces": False}
    return sentencepiece.SentencePieceNormalizer(rule_name=name, **plain).normalize


@pytest.mark.parametrize("name", NAMES)
def test_texts_come_out_as_from_sentencepiece(blobs, name):
    ours = Sequence(list(charsmap_normalizers(blobs[name]))).normalize_str
    theirs = reference(name)
    pool = [unicodedata.normalize("NFD", text) for text in DECOMPOSED] + SINGLE + MARKS + [" ", "\r\n", "x"]
    rng = random.Random(0)
    for text in pool + ["".join(rng.choices(pool, k=rng.randint(2, 6))) for _ in range(800)]:
        assert ours(text) == theirs(text), ascii(text)


def test_the_plain_normalizer_would_lose_accents_and_leave_jamo(blobs):
    plain = Precompiled(blobs["nmt_nfkc"]).normalize_str
    exact = Sequence(list(charsmap_normalizers(blobs["nmt_nfkc"]))).normalize_str
    for decomposed, result in (
        ("½\u0301", "1⁄2\u0301"),
        ("e\u0302\u0301", "ế"),
        ("\u1100\u1161\u11a8", "각"),
        ("ｶﾞ", "ガ"),
    ):
        assert exact(decomposed) == result != plain(decomposed)


def test_marks_in_another_order_than_unicodes_stay_as_they_are(blobs):
    exact = Sequence(list(charsmap_normalizers(blobs["nmt_nfkc"]))).normalize_str
    vocalised = "\u0628\u0651\u064e"  # Arabic, as it is typed
    assert exact(vocalised) == vocalised != unicodedata.normalize("NFC", vocalised)


def test_rules_are_read(blobs):
    rules = read_charsmap(blobs["nfkc_cf"])
    assert (rules["A"], rules["ﬁ"], rules["e\u0301"], rules["ｶﾞ"]) == ("a", "fi", "é", "ガ")
    assert "a" not in rules and len(rules) > 200_000


def test_no_rules_and_damaged_rules(blobs):
    assert charsmap_normalizers(b"") == ()
    for damaged in (b"\x01", blobs["nfkc_cf"][:1000]):
        with pytest.raises(TokenizerError, match="damaged"):
            charsmap_normalizers(damaged)


def test_rules_that_are_no_compositions_are_refused(blobs, monkeypatch):
    rules = {f"{a}{b}": "x" for a in "abcdefghi" for b in "abcdefghi"}
    monkeypatch.setattr("electra_hf.tokens.tokenizers.charsmap.read_charsmap", lambda blob: rules)
    with pytest.raises(TokenizerError, match=r"81 rules .* 'aa' -> 'x', are no Unicode"):
        charsmap_normalizers.__wrapped__(b"rules of its own")


def test_texts_are_grouped_without_adding_any():
    texts = {"ax", "bx", "ay", "by", "cx", "axz", "bxz"}
    found = {"".join(text) for pattern in _as_classes(texts) for text in product(pattern)}
    assert found == texts


def product(pattern):
    if not pattern:
        return [""]
    return [first + rest for first in pattern[0] for rest in product(pattern[1:])]
