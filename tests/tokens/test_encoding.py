import pytest

from electra_hf.tokens import encoding
from electra_hf.tokens.encoding import cut_line, encode_documents
from electra_hf.tokens.packing import SpecialIds
from electra_hf.tokens.shards import Packer, PackingSettings
from electra_hf.tokens.tokenizers import backend_json


@pytest.fixture
def backend(tokenizer):
    return Packer(backend_json(tokenizer), SpecialIds(2, 3, 0), 1, len(tokenizer), PackingSettings()).backend()


def test_special_tokens_in_a_text_are_text(backend, tokenizer):
    assert tokenizer.mask_token_id in tokenizer("river [MASK]")["input_ids"]
    [[ids]] = list(encode_documents(backend, ["river [MASK] [SEP] [CLS] [PAD] stone"]))
    assert not set(ids) & {
        tokenizer.mask_token_id,
        tokenizer.sep_token_id,
        tokenizer.cls_token_id,
        tokenizer.pad_token_id,
    }
    assert ids[0] == tokenizer.convert_tokens_to_ids("river")


def test_lines_and_empty_documents(backend, tokenizer, monkeypatch):
    texts = ["river\n\n  \nstone", "", "\n\n", "quiet\r\nmorning\u2028walks"]
    expected = [
        [tokenizer(line, add_special_tokens=False)["input_ids"] for line in lines]
        for lines in (["river", "stone"], [""], [""], ["quiet", "morning walks"])
    ]
    assert list(encode_documents(backend, texts)) == expected
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)  # a batch border within every document
    assert list(encode_documents(backend, texts)) == expected


def test_cut_lines_stay_one_line(backend, tokenizer, monkeypatch):
    monkeypatch.setattr(encoding.cut_line, "__defaults__", (12,))
    line = "river stone winter lantern harbour"
    [document] = list(encode_documents(backend, [line]))
    assert document == [tokenizer(line, add_special_tokens=False)["input_ids"]]


def test_cut_line():
    assert list(cut_line("abc def ghi", 5)) == ["abc", " def", " ghi"]
    assert list(cut_line("abcdefgh", 3)) == ["abc", "def", "gh"]
    assert list(cut_line("abc", 3)) == ["abc"]
    text = "x" * 250_000 + " y"
    assert "".join(cut_line(text)) == text and max(map(len, cut_line(text))) <= 100_000
