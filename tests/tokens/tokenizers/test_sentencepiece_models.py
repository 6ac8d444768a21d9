"""Converted models against the `sentencepiece` package."""

import random

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import backend_json, check_tokenizer
from electra_hf.tokens.tokenizers.sentencepiece_models import (
    CONTROL,
    UNUSED,
    convert_model,
    parse_model,
    read_model,
    special_names,
)

BYTES = {"byte_fallback": True, "vocab_size": 500}
PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
ODD = [
    "",
    " ",
    "  ",
    "▁",
    "  ▁ ",
    "<s>",
    "<unk>",
    "<0x41>",
    "\0",
    "\ufffd",
    "😀",
    "\u200b",
    "\r\n",
    "\u3000",
    "-",
    "--",
    "12",
    "Ⅳ",
]


def encode(model):
    """Ours and theirs, as functions from a text to ids."""
    backend = Tokenizer.from_str(backend_json(convert_model(model, max_length=64)))
    backend.encode_special_tokens = True
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return lambda text: backend.encode(text, add_special_tokens=False).ids, processor.encode


@pytest.fixture(scope="module")
def probes(lines):
    rng = random.Random(1)
    pool = sorted(set("".join(lines))) + ODD
    return lines + ODD + ["".join(rng.choices(pool, k=rng.randint(1, 15))) for _ in range(400)]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        BYTES,
        BYTES | PLAIN,
        PLAIN | {"allow_whitespace_only_pieces": True},
        {"add_dummy_prefix": False},
        {"normalization_rule_name": "nfkc_cf"},
        {"treat_whitespace_as_suffix": True},
        {"split_by_whitespace": False},
        {"split_digits": True},
    ],
    ids=lambda options: ",".join(options) or "default",
)
def test_ids_are_those_of_sentencepiece(make_model, probes, kind, options):
    ours, theirs = encode(make_model(model_type=kind, **options))
    for text in probes:
        assert ours(text) == theirs(text), ascii(text)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("suffix", [False, True])
def test_user_defined_symbols(make_model, kind, suffix):
    model = make_model(model_type=kind, user_defined_symbols=["[X]", "<br>"], treat_whitespace_as_suffix=suffix)
    ours, theirs = encode(model)
    for text in ("a [X] b", "[X]river", "river[X]", "[X][X] <br>", " [X] river <br> ", "the<br>river", "[x]"):
        assert ours(text) == theirs(text), text


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_bytes_bring_every_text_back(make_model, kind):
    tokenizer = convert_model(make_model(model_type=kind, **BYTES, **PLAIN), max_length=64)
    tokenizer.backend_tokenizer.encode_special_tokens = True

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(st.text())
    def round_trip(text):
        text = text.replace("▁", "")  # which is how a space is written
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text

    round_trip()


def test_normalised_text_comes_back_normalised(make_model):
    model = make_model(**BYTES)
    tokenizer = convert_model(model, max_length=64)
    for text, expected in (("ﬁ  Ⅳ ", "fi IV"), ("ｶﾞ", "ガ"), ("\u1100\u1161\u11a8 😀", "각 😀")):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == expected


def test_special_tokens_are_found_or_added_at_the_end(make_model):
    plain = make_model()
    size = len(plain.pieces)
    assert special_names(plain) == ["[PAD]", "<unk>", "<s>", "</s>", "[MASK]"]
    tokenizer = convert_model(plain, max_length=64)
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id) == (1, 2, 0)
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id, len(tokenizer)) == (size, size + 1, size + 2)
    check_tokenizer(tokenizer)
    named = make_model(
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, pad_piece="<pad>", user_defined_symbols=["[CLS]", "<mask>"]
    )
    assert special_names(named) == ["<pad>", "<unk>", "[CLS]", "</s>", "<mask>"]
    assert len(convert_model(named, max_length=64)) == len(named.pieces)
    headless = make_model(bos_id=-1, eos_id=-1)
    assert special_names(headless) == ["[PAD]", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_special_tokens_that_are_spelt_out_stay_text(make_model, kind):
    model = make_model(model_type=kind, user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"], **BYTES)
    tokenizer = convert_model(model, max_length=64, size=len(model.pieces) + 8)
    backend = Tokenizer.from_str(backend_json(tokenizer))
    backend.encode_special_tokens = True
    symbols = {tokenizer.unk_token_id, *tokenizer.all_special_ids, *range(len(model.pieces), len(tokenizer))}
    symbols.update(number for number, piece in enumerate(model.pieces) if piece.type == CONTROL)
    for text in ("a [SEP] b", "[MASK]", "<s>x</s>", "<unk>", "[unused3] [PAD]", "[CLS][CLS]"):
        ids = backend.encode(text, add_special_tokens=False).ids
        assert not symbols.intersection(ids)
        assert backend.decode(ids) == text


def test_pairs_and_reload(make_model, probes, tmp_path):
    tokenizer = convert_model(make_model(), max_length=48)
    pair = tokenizer("the river", "a stone")
    first = len(tokenizer("the river")["input_ids"])
    assert pair["token_type_ids"] == [0] * first + [1] * (len(pair["input_ids"]) - first)
    assert pair["input_ids"][0] == tokenizer.cls_token_id
    assert [pair["input_ids"][first - 1], pair["input_ids"][-1]] == [tokenizer.sep_token_id] * 2
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert backend_json(again) == backend_json(tokenizer)
    assert (again.model_max_length, again.model_input_names) == (48, ["input_ids", "token_type_ids", "attention_mask"])
    assert again.all_special_ids == tokenizer.all_special_ids
    assert again(probes)["input_ids"] == tokenizer(probes)["input_ids"]


def test_pieces_of_unknown_characters_are_named(make_model, caplog):
    model = make_model(model_type="bpe")
    last = [piece for piece in model.pieces if len(piece.piece) > 1][-1]
    last.piece = "\u4e02\u4e03"
    convert_model(model, max_length=64)
    assert "themselves: 1, such as '\u4e02\u4e03'" in caplog.text


def test_models_that_cannot_be_converted(make_model, tmp_path):
    with pytest.raises(TokenizerError, match="No such file"):
        read_model(tmp_path / "missing.model")
    (tmp_path / "text.model").write_bytes(b"this is a text")
    with pytest.raises(TokenizerError, match=r"text.model: not a SentencePiece model"):
        read_model(tmp_path / "text.model")
    with pytest.raises(TokenizerError, match="has none or several"):
        parse_model(b"", "empty")
    with pytest.raises(TokenizerError, match="words or characters"):
        make_model(model_type="char")
    model = make_model()
    model.pieces[9].type = UNUSED
    with pytest.raises(TokenizerError, match=r"switched off \(UNUSED\)"):
        parse_model(model.SerializeToString(), "restricted")
    model = make_model()
    model.pieces[9].piece = model.pieces[8].piece
    with pytest.raises(TokenizerError, match="is there twice"):
        parse_model(model.SerializeToString(), "double")
    model = make_model()
    model.pieces[1].piece = "$"
    with pytest.raises(TokenizerError, match="control symbol of one character"):
        convert_model(model, max_length=64)
