"""Which tokens of a text carry a tag."""

from transformers import BertTokenizer

from electra_hf.models.tagged_tokens import first_tokens


def test_first_tokens_are_those_that_begin_a_word():
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "b"])}
    tokenizer = BertTokenizer(vocab=vocabulary)
    encoded = tokenizer([["ab", "b"], ["b", "b"]], is_split_into_words=True, padding=True)
    assert first_tokens(encoded).int().tolist() == [[0, 1, 0, 1, 0], [0, 1, 1, 0, 0]]
