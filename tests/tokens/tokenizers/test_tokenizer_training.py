import random

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from electra_hf.errors import TokenizerError, UsageError
from electra_hf.tokens.tokenizers import SPECIAL_TOKENS, backend_json, tokenizer_fingerprint, train_tokenizer

KINDS = ["wordpiece", "unigram", "bpe"]
VARIANTS = [
    {"kind": "wordpiece"},
    {"kind": "unigram"},
    {"kind": "bpe"},
    {"kind": "unigram", "byte_fallback": True, "normalization": "identity", "vocab_size": 500},
    {"kind": "bpe", "lowercase": True, "strip_accents": True, "normalization": "nfkc"},
]


def train(documents, **options):
    return train_tokenizer(documents, **({"vocab_size": 256, "show_progress": False} | options))


def encoder(tokenizer):
    backend = Tokenizer.from_str(backend_json(tokenizer))
    backend.encode_special_tokens = True
    return lambda text: backend.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_kind(documents, tmp_path, options):
    tokenizer = train(documents, **options)
    assert tokenizer.convert_ids_to_tokens(range(5)) == SPECIAL_TOKENS
    assert sorted(tokenizer.all_special_ids) == [0, 1, 2, 3, 4]
    assert len(tokenizer) % 64 == 0
    pair = tokenizer("quiet river", "old stone")
    assert pair["input_ids"][0] == 2 and pair["input_ids"].count(3) == 2 and pair["input_ids"][-1] == 3
    assert pair["token_type_ids"] == sorted(pair["token_type_ids"]) and set(pair["token_type_ids"]) == {0, 1}
    shuffled = random.Random(0).sample(documents, len(documents))
    assert tokenizer_fingerprint(train(iter(shuffled), **options)) == tokenizer_fingerprint(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    assert again.model_max_length == 512
    assert again(documents[:5])["input_ids"] == tokenizer(documents[:5])["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_literal_special_and_unused_tokens_stay_text(documents, kind, caplog):
    tokenizer = train([*documents, "[ ] S E P M A K u n s e d 3 [SEP] [MASK] [unused3]"], kind=kind, vocab_size=640)
    assert "[unused] ones fill the vocabulary up" in caplog.text
    unused = [number for token, number in tokenizer.get_vocab().items() if token.startswith("[unused")]
    assert len(tokenizer) == 640 and len(unused) > 100
    encode = encoder(tokenizer)
    for text in ("[SEP]", "a [MASK] b", "[unused3]", "river[unused3][CLS]", "[PAD] [UNK]"):
        assert not set(encode(text).ids) & {0, 2, 3, 4, *unused}


@pytest.mark.parametrize("kind", KINDS)
def test_vocabulary_has_the_size_that_was_asked_for(documents, kind):
    rng = random.Random(0)
    rich = ["".join(rng.choices(["ba", "ku", "ti", "ro", "mel", "san", " "], k=200)) for _ in range(40)]
    learnt = train(rich, kind=kind, vocab_size=128)
    assert len(learnt) == 128 and not any(token.startswith("[unused") for token in learnt.get_vocab())
    assert len(train(documents, kind=kind, vocab_size=65)) == 128
    assert len(train(documents, kind=kind, vocab_size=65, pad_to_multiple_of=1)) == 65


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_case_accents_and_characters_are_what_the_options_say(kind):
    documents = ["Évora ﬁn ÉVORA évora fin Über"] * 5

    def tokens(text, **options):
        tokenizer = train(documents, kind=kind, **options)
        return tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"])

    assert tokens("Évora ﬁn") == "Évora fin"
    assert tokens("Évora ﬁn", normalization="identity") == "Évora ﬁn"
    assert tokens("ÉVORA", normalization="nfkc_cf") == tokens("ÉVORA", lowercase=True, normalization="nfkc") == "évora"
    assert tokens("ÉVORA", lowercase=True, normalization="identity") == "évora"
    assert tokens("Évora", strip_accents=True, normalization="nfkc_cf") == "evora"


def test_only_a_sample_is_learnt(documents):
    whole = train(documents, kind="bpe", sample_characters=0)
    assert tokenizer_fingerprint(train(documents, kind="bpe")) == tokenizer_fingerprint(whole)
    part = train(documents, kind="bpe", sample_characters=2000)
    assert tokenizer_fingerprint(part) != tokenizer_fingerprint(whole)
    assert tokenizer_fingerprint(part) != tokenizer_fingerprint(
        train(documents, kind="bpe", sample_characters=2000, seed=1)
    )


def test_long_lines_are_learnt_from(documents):
    endless = " ".join(documents).replace("\n", " ") * 3 + "x" * 5000
    assert train([endless], kind="bpe").tokenize("quiet river") == ["▁quiet", "▁river"]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_the_text(documents, kind):
    for empty in ([], [" \n "]):
        with pytest.raises(TokenizerError, match="no text to learn"):
            train(empty, kind=kind)
    with pytest.raises(TokenizerError, match=r"ask for at least \d+ tokens with --vocab_size"):
        train(documents, kind=kind, vocab_size=12, pad_to_multiple_of=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "words"}, "--kind 'words' is unknown: choose wordpiece, unigram, bpe"),
        ({"normalization": "nfd"}, "--normalization 'nfd' is unknown"),
        ({"vocab_size": 0}, "must be at least 1"),
        ({"pad_to_multiple_of": 0}, "must be at least 1"),
        ({"character_coverage": 1.5}, "no share of the text"),
        ({"byte_fallback": True}, "WordPiece knows no bytes"),
        ({"pre_tokenizer": "spaces"}, "choose none, mecab-ja, mecab-ko"),
    ],
)
def test_errors_of_the_options(documents, options, message):
    with pytest.raises(UsageError, match=message):
        train(documents, **options)


def test_sentencepiece_errors_are_passed_on(documents):
    with pytest.raises(TokenizerError, match="SentencePiece cannot learn a vocabulary of 2 tokens"):
        train(documents, kind="bpe", vocab_size=2, pad_to_multiple_of=1)
