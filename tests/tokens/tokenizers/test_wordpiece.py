from functools import partial

import pytest

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import tokenizer_fingerprint, train_wordpiece


def test_special_tokens_come_first_and_pairs_are_wrapped(tokenizer):
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pair = tokenizer("river", "stone")
    tokens = tokenizer.convert_ids_to_tokens(pair["input_ids"])
    assert tokens[0] == "[CLS]" and tokens.count("[SEP]") == 2 and tokens[-1] == "[SEP]"
    assert pair["token_type_ids"] == sorted(pair["token_type_ids"]) and set(pair["token_type_ids"]) == {0, 1}
    assert tokenizer.model_max_length == 512


def test_every_run_learns_the_same_ids():
    # All pairs tie, so any order of a hash map shows: the bare trainer gives another vocabulary nearly every time.
    documents = [f"{a}{b}{c} {c}{a}" for a in "bdfgh" for b in "aeiou" for c in "klmnr"]
    learn = partial(train_wordpiece, vocab_size=90, min_frequency=1, show_progress=False)
    sources = [documents, documents, documents, iter(documents)]  # an iterator goes through a temporary file
    assert len({tokenizer_fingerprint(learn(source)) for source in sources}) == 1


def test_accents_and_case():
    documents = ["Évora がく ÉVORA がく"] * 3
    kept = train_wordpiece(documents, 60, show_progress=False)
    assert "".join(kept.tokenize("がく")).replace("##", "") == "がく"
    assert kept.tokenize("ÉVORA") == kept.tokenize("évora") != kept.tokenize("evora")
    cased = train_wordpiece(documents, 60, lowercase=False, show_progress=False)
    assert cased.tokenize("Évora") != cased.tokenize("évora")


def test_alphabet_is_limited_to_the_most_frequent_characters():
    tokenizer = train_wordpiece(["aaa bbb cc d e"] * 2, 30, limit_alphabet=3, show_progress=False)
    assert tokenizer.tokenize("a b c d e") == ["a", "b", "c", "[UNK]", "[UNK]"]


def test_vocabulary_without_room_for_the_alphabet(documents):
    with pytest.raises(TokenizerError, match=r"vocabulary of 20 .* ask for at least \d+"):
        train_wordpiece(documents, 20, show_progress=False)
    with pytest.raises(TokenizerError, match="empty"):
        train_wordpiece([], 100, show_progress=False)


def test_small_corpus_is_logged(caplog):
    tokenizer = train_wordpiece(["tiny text"] * 2, 5000, show_progress=False)
    assert len(tokenizer) < 100 and "5000 were asked for" in caplog.text
