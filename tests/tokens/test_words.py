"""Where words begin, in every kind of vocabulary: groups of tokens against a regular expression on the text."""

import io
import random
import re

import numpy as np
import pytest
import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import BertTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import train_tokenizer
from electra_hf.tokens.tokenizers.sentencepiece_models import convert_model, parse_model
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS, wrap
from electra_hf.tokens.word_masking import find_words
from electra_hf.tokens.words import word_flags

TEXT = "old stones, and the lanterns (quiet ones) of winter: 1234 rivers"
KOREAN = "조용한 강은 작은 돌 위에서 노래한다. 강은 오래된 강이다"
JAPANESE = ["日本", "の", "川", "は", "静か", "だ", "古い", "石", "が", "ある", "水", "を", "見る"]
LETTERS = "".join(sorted({*TEXT, *KOREAN} - {" "}))


@pytest.fixture(scope="module")
def lines():
    rng = random.Random(0)
    words = re.findall(r"\w+|[^\w\s]", f"{TEXT} {KOREAN}")
    return [TEXT, KOREAN, *LETTERS] * 3 + [" ".join(rng.choices(words, k=8)) for _ in range(60)]


@pytest.fixture(scope="module")
def japanese():
    rng = random.Random(1)
    return [rng.choices(JAPANESE, k=40) for _ in range(40)]


def groups(tokenizer, text):
    """The tokens of a text, word by word."""
    ids = np.array([tokenizer(text, add_special_tokens=False)["input_ids"]])
    words = find_words(ids, np.ones(ids.shape, dtype=bool), word_flags(tokenizer))
    tokens = tokenizer.convert_ids_to_tokens(ids[0].tolist())
    return [tokens[first : first + size] for first, size in zip(words.firsts, words.sizes, strict=True)]


def decoded(tokenizer, text):
    """The words as text."""
    backend = tokenizer.backend_tokenizer
    ids = [[backend.token_to_id(token) for token in group] for group in groups(tokenizer, text)]
    return [backend.decode(group).strip().replace("##", "") for group in ids]


def sentencepiece_model(lines, **options):
    content = io.BytesIO()
    settings = {"vocab_size": 160, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2} | options
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=content, **settings)
    return convert_model(parse_model(content.getvalue(), "model"), max_length=64)


def backend_tokenizer(model, trainer, lines, pre_tokenizer, decoder):
    backend = Tokenizer(model)
    backend.pre_tokenizer, backend.decoder = pre_tokenizer, decoder
    backend.train_from_iterator(lines, trainer)
    return wrap(backend, SPECIAL_TOKENS, 64)


def make(kind, lines):
    options = {"vocab_size": 190, "show_progress": False, "special_tokens": SPECIAL_TOKENS}
    match kind:
        case "mark_behind":
            return sentencepiece_model(lines, treat_whitespace_as_suffix=True)
        case "byte_fallback":
            return train_tokenizer(lines, "bpe", 500, byte_fallback=True, character_coverage=0.98)
        case "byte_level":
            options |= {"vocab_size": 500, "initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
            parts = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
            return backend_tokenizer(models.BPE(), trainers.BpeTrainer(**options), lines, *parts)
        case "metaspace":
            split = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace()])
            trainer = trainers.UnigramTrainer(**options, unk_token="[UNK]")
            return backend_tokenizer(models.Unigram(), trainer, lines, split, decoders.Metaspace())
        case "suffix":
            parts = pre_tokenizers.BertPreTokenizer(), decoders.BPEDecoder(suffix="</w>")
            trainer = trainers.BpeTrainer(**options, end_of_word_suffix="</w>")
            return backend_tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"), trainer, lines, *parts)
        case "word_level":
            parts = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
            trainer = trainers.WordLevelTrainer(show_progress=False, special_tokens=SPECIAL_TOKENS)
            return backend_tokenizer(models.WordLevel(unk_token="[UNK]"), trainer, lines, *parts)
    return train_tokenizer(lines, kind, 190, pad_to_multiple_of=1, show_progress=False)


KINDS = ["wordpiece", "unigram", "bpe", "mark_behind", "byte_fallback", "byte_level", "metaspace", "suffix"]


@pytest.mark.parametrize("text", [f"{TEXT} netsorl", f"{KOREAN} 강용래서다."], ids=["english", "korean"])
@pytest.mark.parametrize("kind", KINDS)
def test_words_are_those_of_the_text(lines, kind, text):
    tokenizer = make(kind, lines)
    assert decoded(tokenizer, text) == re.findall(r"\w+|[^\w\s]", text)
    assert max(map(len, groups(tokenizer, text))) > 1


def test_vocabulary_of_words(lines):
    assert groups(make("word_level", lines), TEXT) == [[word] for word in re.findall(r"\w+|[^\w\s]", TEXT)]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_japanese_without_spaces_is_cut_into_tokens(japanese, kind):
    tokenizer = train_tokenizer(map("".join, japanese), kind, 60, pad_to_multiple_of=1, show_progress=False)
    for words in japanese[:20]:
        found = groups(tokenizer, "".join(words))
        assert len(found) > 2
        # A token that is nothing but the mark of a space belongs to the one behind it.
        assert all(len([piece for piece in group if piece != "▁"]) == 1 for group in found)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_separated_japanese_keeps_its_words(japanese, kind):
    tokenizer = train_tokenizer(map(" ".join, japanese), kind, 45, pad_to_multiple_of=1, show_progress=False)
    for words in japanese[:20]:
        assert decoded(tokenizer, " ".join(words)) == words


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (
            ["日本", "静か", "見る", "##だった", "##語", "の"],
            "日本語 の 静かだった",
            [["日本", "##語"], ["の"], ["静か", "##だった"]],
        ),
        (
            ["日本", "##静か", "##見る", "##だった", "##語", "の"],
            "日本語だった の",
            [["日本"], ["##語"], ["##だった"], ["の"]],
        ),
    ],
    ids=["separated", "without spaces"],
)
def test_japanese_in_wordpiece(tokens, text, expected):
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *tokens])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    backend.decoder = decoders.WordPiece()  # pyright: ignore[reportAttributeAccessIssue]
    assert groups(wrap(backend, SPECIAL_TOKENS, 64), text) == expected


def test_latin_words_in_japanese(japanese):
    lines = ["".join(words) + " abc bca" for words in japanese]
    tokenizer = train_tokenizer(lines, "bpe", 40, pad_to_multiple_of=1)
    assert decoded(tokenizer, "日本cacbの石cab")[-4:] == ["cacb", "の", "石", "cab"]


def test_unknown_added_and_special_tokens(lines):
    wordpiece = BertTokenizer(vocab={token: n for n, token in enumerate([*SPECIAL_TOKENS, "old", "##er", "<br>"])})
    wordpiece.add_tokens(["<br>"])
    assert groups(wordpiece, "older zzz older<br>old") == [
        ["old", "##er"], ["[UNK]"], ["old", "##er"], ["<br>"], ["old"]
    ]  # fmt: skip
    unigram = train_tokenizer(lines, "unigram", 190, pad_to_multiple_of=1)
    inside = next(group for group in groups(unigram, "old win☃ter") if "[UNK]" in group)
    assert "".join(inside) == "▁win[UNK]ter"


def test_long_runs_are_no_words(lines):
    found = groups(make("wordpiece", lines), f"old {'xqz' * 4} {'tqt' * 3} stones")
    assert ["old"] in found and ["stones"] in found
    rows = np.array([[1] * 11, [1] * 10 + [0]])
    words = find_words(rows, rows > 0, np.zeros(5, dtype=np.uint8))
    assert words.sizes.tolist() == [1] * 11 + [10]


def test_no_mark_of_words():
    backend = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate([*SPECIAL_TOKENS, "a", "b"])}, merges=[]))
    with pytest.raises(TokenizerError, match="where words begin"):
        word_flags(wrap(backend, SPECIAL_TOKENS, 64))
