import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from electra_hf.tokens import encoding
from electra_hf.tokens.encoding import LineEncoder, cut_line, encode_documents
from electra_hf.tokens.tokenizers import backend_json, train_wordpiece


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return LineEncoder(backend_json(tokenizer))


@pytest.mark.parametrize("lowercase", [True, False])
@given(
    lines=st.lists(
        st.text(st.sampled_from("aBcé漢 \t\x00\x1f\x7f.,![]#_~\u0301ÄßｶK'") | st.characters(max_codepoint=127))
    )
)
def test_printable_ascii_takes_a_shorter_way_to_the_same_ids(lowercase, lines):
    letters = [chr(code) for code in range(33, 127)] + ["é", "漢"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, do_lower_case=lowercase)
    encoder = LineEncoder(backend_json(tokenizer))
    assert encoder._ascii_twin is not None
    encodings = encoder.backend.encode_batch(lines, add_special_tokens=False)
    assert encoder.encode(lines) == [encoding.ids for encoding in encodings]


def test_a_tokenizer_with_tokens_of_its_own_takes_the_long_way(documents):
    tokenizer = train_wordpiece(documents, 60, show_progress=False)
    tokenizer.add_tokens(["Rivers"])
    assert LineEncoder(backend_json(tokenizer))._ascii_twin is None


def test_special_tokens_in_a_text_are_text(encoder, tokenizer):
    assert tokenizer.mask_token_id in tokenizer("river [MASK]")["input_ids"]
    [[ids]] = list(encode_documents(encoder, ["river [MASK] [SEP] [CLS] [PAD] stone"]))
    assert not set(ids) & {
        tokenizer.mask_token_id,
        tokenizer.sep_token_id,
        tokenizer.cls_token_id,
        tokenizer.pad_token_id,
    }
    assert ids[0] == tokenizer.convert_tokens_to_ids("river")


def test_lines_and_empty_documents(encoder, tokenizer, monkeypatch):
    texts = ["river\n\n  \nstone", "", "\n\n", "quiet\r\nmorning\u2028walks"]
    expected = [
        [tokenizer(line, add_special_tokens=False)["input_ids"] for line in lines]
        for lines in (["river", "stone"], [""], [""], ["quiet", "morning walks"])
    ]
    assert list(encode_documents(encoder, texts)) == expected
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)  # a batch border within every document
    assert list(encode_documents(encoder, texts)) == expected


def test_cut_lines_stay_one_line(encoder, tokenizer, monkeypatch):
    monkeypatch.setattr(encoding.cut_line, "__defaults__", (12,))
    line = "river stone winter lantern harbour"
    [document] = list(encode_documents(encoder, [line]))
    assert document == [tokenizer(line, add_special_tokens=False)["input_ids"]]


def test_cut_line():
    assert list(cut_line("abc def ghi", 5)) == ["abc", " def", " ghi"]
    assert list(cut_line("abcdefgh", 3)) == ["abc", "def", "gh"]
    assert list(cut_line("abc", 3)) == ["abc"]
    text = "x" * 250_000 + " y"
    assert "".join(cut_line(text)) == text and max(map(len, cut_line(text))) <= 100_000
