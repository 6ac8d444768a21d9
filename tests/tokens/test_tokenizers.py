import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import (
    check_tokenizer,
    load_tokenizer,
    tokenizer_fingerprint,
    train_wordpiece,
)


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


def test_round_trip_gives_the_same_ids(tokenizer, documents, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
        assert loaded(documents[:5])["input_ids"] == tokenizer(documents[:5])["input_ids"]
        assert loaded.model_max_length == 512
        assert tokenizer_fingerprint(loaded) == tokenizer_fingerprint(tokenizer)


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


def test_bare_vocabulary_file(tokenizer, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)) + "\n")
    for place in (path, tmp_path):
        loaded = load_tokenizer(place, lowercase=True)
        assert len(loaded) == len(tokenizer)
        assert loaded("Quiet Morning")["input_ids"] == tokenizer("Quiet Morning")["input_ids"]
    assert load_tokenizer(path, lowercase=False).tokenize("River") != ["river"]
    with pytest.raises(TokenizerError, match="do_lower_case"):
        load_tokenizer(path)
    path.write_text(path.read_text() + "river\n")
    with pytest.raises(TokenizerError, match="on more than one line"):
        load_tokenizer(path, lowercase=True)
    path.write_text("one\ntwo\n")
    with pytest.raises(TokenizerError, match=r"\[MASK\]"):
        load_tokenizer(path, lowercase=True)


def test_vocabulary_that_was_not_read(tokenizer, tmp_path):
    # transformers answers a folder like this with a tokenizer of five tokens.
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (tmp_path / "vocabulary.txt").write_text("\n".join(tokenizer.get_vocab()))
    with pytest.raises(TokenizerError):
        load_tokenizer(tmp_path)


def test_tokenizer_out_of_reach(tmp_path):
    with pytest.raises(TokenizerError, match="no tokenizer could be loaded"):
        load_tokenizer(tmp_path / "nothing")
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(TokenizerError):
        load_tokenizer(tmp_path)


def test_missing_special_tokens_are_named(tokenizer):
    assert check_tokenizer(tokenizer) is None
    broken = BertTokenizer(vocab=tokenizer.get_vocab())
    broken.mask_token = None
    broken.sep_token = None
    with pytest.raises(TokenizerError, match="mask_token, sep_token"):
        check_tokenizer(broken)


def test_fingerprint_ignores_truncation_and_padding_only(tokenizer):
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "the river"], truncation=True, max_length=4, padding="max_length")
    assert tokenizer.backend_tokenizer.truncation is not None
    assert tokenizer_fingerprint(tokenizer) == before
    assert tokenizer_fingerprint(BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)) != before


def test_modules_of_a_worker_do_not_load_torch():
    code = "import sys, electra_hf.tokens.shards; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0
