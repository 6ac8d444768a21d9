"""Vocabularies with morpheme boundaries; MeCab's place is taken by a rule, so that no dictionary is needed."""

import pytest

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import load_tokenizer, morphemes, train_tokenizer
from electra_hf.tokens.tokenizers.morphemes import mark_boundaries, open_pre_tokenizer

STEMS, ENDINGS = ["rosa", "luna", "vita", "terra"], ["rum", "bus", "que"]
DOCUMENTS = [f"{stem}{ending} {other}{ending}, {stem}" for stem in STEMS for ending in ENDINGS for other in STEMS]


def before_endings(line):
    return (at for at in range(len(line)) if line.startswith(tuple(ENDINGS), at))


@pytest.fixture
def endings(monkeypatch):
    monkeypatch.setattr("electra_hf.tokens.tokenizers.training.open_pre_tokenizer", lambda name: before_endings)


def train(kind, pre_tokenizer="mecab-ja", **options):
    return train_tokenizer(
        DOCUMENTS, kind, 256, pre_tokenizer=pre_tokenizer, show_progress=False, max_length=64, **options
    )


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_no_token_crosses_a_boundary(endings, kind):
    tokenizer = train(kind)
    plain = {token.removeprefix("##").removeprefix("▁") for token in tokenizer.get_vocab()}
    crossing = {stem[-1] + ending[0] for stem in STEMS for ending in ENDINGS}
    assert not [token for token in plain if any(pair in token for pair in crossing)]
    assert "\ue000" not in "".join(plain)
    cut = "".join(tokenizer.tokenize("lunabus")).replace("##", "").replace("▁", "")
    assert cut == "lunabus"
    without = train_tokenizer(DOCUMENTS, kind, 256, show_progress=False)
    assert len(without.tokenize("lunabus")) == 1 < len(tokenizer.tokenize("lunabus"))


def test_wordpieces_of_a_script_without_spaces(endings, tmp_path):
    tokenizer = train("wordpiece")
    assert tokenizer.tokenize("lunaque terrabus,") == ["luna", "##que", "terra", "##bus", ","]
    assert "##," not in tokenizer.get_vocab() and "," in tokenizer.get_vocab()
    long = "luna" * 200
    assert tokenizer.unk_token_id not in tokenizer(long)["input_ids"]
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path)(long)["input_ids"] == tokenizer(long)["input_ids"]


def test_chinese_characters_are_cut_for_korean_only(endings):
    documents = ["水火木 水火木 水火"] * 5
    joined = train_tokenizer(documents, "wordpiece", 64, pre_tokenizer="mecab-ja", show_progress=False)
    apart = train_tokenizer(documents, "wordpiece", 64, pre_tokenizer="mecab-ko", show_progress=False)
    assert joined.tokenize("水火") == ["水火"] and apart.tokenize("水火") == ["水", "火"]


def test_alphabet_needs_room_and_can_be_limited(endings):
    with pytest.raises(TokenizerError, match=r"vocabulary of 23 .* or lower --limit_alphabet"):
        train_tokenizer(
            DOCUMENTS, "wordpiece", 23, pre_tokenizer="mecab-ja", pad_to_multiple_of=1, show_progress=False
        )
    limited = train("wordpiece", limit_alphabet=3)
    assert sum(len(token) == 1 for token in limited.get_vocab()) == 3


def test_boundaries_are_marked_inside_words_only():
    marked = mark_boundaries(["rosarum lunabus", "bus|rum", "x\0rum"], before_endings, "|")
    assert list(marked) == ["rosa|rum luna|bus", "bus|rum", "x rum"]


@pytest.mark.parametrize(
    ("name", "packages"),
    [("mecab-ja", "pip install fugashi unidic-lite"), ("mecab-ko", "pip install python-mecab-ko")],
)
def test_missing_packages_are_named(monkeypatch, name, packages):
    def missing(package):
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(morphemes, "import_module", missing)
    with pytest.raises(TokenizerError, match=packages):
        open_pre_tokenizer(name)


def test_japanese_morphemes():
    pytest.importorskip("fugashi")
    pytest.importorskip("unidic_lite")
    find = open_pre_tokenizer("mecab-ja")
    assert list(mark_boundaries(["私は 学校へ行く。"], find, "|")) == ["私|は 学校|へ|行く|。"]


def test_korean_morphemes():
    pytest.importorskip("mecab")
    find = open_pre_tokenizer("mecab-ko")
    assert list(mark_boundaries(["나는 학교에 갔다."], find, "|")) == ["나|는 학교|에 갔|다|."]
