import pytest
from transformers import BertTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import inspect_tokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "stone", "##s", "old", "[", "]"]


@pytest.fixture
def small():
    return BertTokenizer(vocab={token: number for number, token in enumerate(TOKENS)})


def test_counts(small):
    found = inspect_tokenizer(small, ["old river stones\nold 水 river", "é"])
    assert (found.lines, found.characters, found.bytes) == (3, 28, 31)
    assert (found.tokens, found.words, found.whole_words, found.unknown_tokens) == (8, 7, 4, 2)
    assert found.vocab_size == len(TOKENS)
    assert found.tokens_per_word == 8 / 7 and found.tokens_per_character == 8 / 28
    assert found.bytes_per_token == 31 / 8 and found.unknown_rate == 0.25 and found.whole_word_rate == 4 / 7
    assert found.unknown_characters == {"é": 1, "水": 1}
    assert found.segmentations == [
        ("old river stones", ["old", "river", "stone", "##s"]),
        ("old 水 river", ["old", "[UNK]", "river"]),
    ]


def test_the_tokenizer_is_left_as_it_was(small):
    small("old river", truncation=True, max_length=4, padding="max_length")
    before = small.backend_tokenizer.to_str()
    assert inspect_tokenizer(small, ["old river stones old river [SEP]"], examples=0).tokens == 9
    assert small.backend_tokenizer.to_str() == before


def test_text_is_read_up_to_the_limit(small):
    read = []

    def documents():
        for _ in range(100):
            read.append(1)
            yield "old river"

    assert inspect_tokenizer(small, documents(), max_characters=20).lines == len(read) == 3


def test_nothing_to_inspect(small):
    with pytest.raises(TokenizerError, match="no text to try"):
        inspect_tokenizer(small, ["", "  \n"])
    with pytest.raises(TokenizerError, match="only fast tokenizers"):
        inspect_tokenizer(object(), ["text"])
