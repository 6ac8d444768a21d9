import json

import pytest
from transformers import AutoTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import load_tokenizer, tokenizer_fingerprint


def test_round_trip_gives_the_same_ids(tokenizer, documents, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
        assert loaded(documents[:5])["input_ids"] == tokenizer(documents[:5])["input_ids"]
        assert loaded.model_max_length == 512
        assert tokenizer_fingerprint(loaded) == tokenizer_fingerprint(tokenizer)


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


def test_bare_vocabulary_with_or_without_final_line_end_and_with_crlf(tokenizer, tmp_path):
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    path = tmp_path / "vocab.txt"
    for content in ("\n".join(tokens), "\n".join(tokens) + "\n", "\r\n".join(tokens) + "\r\n"):
        path.write_bytes(content.encode())
        assert load_tokenizer(path, lowercase=True).get_vocab() == tokenizer.get_vocab()


def test_accents_and_length_of_a_bare_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "evora", "évora"]))
    assert load_tokenizer(path, lowercase=True).tokenize("Évora") == ["evora"]
    kept = load_tokenizer(path, lowercase=True, strip_accents=False, max_length=128)
    assert kept.tokenize("Évora") == ["évora"]
    assert kept.model_max_length == 128


def test_sentencepiece_model_or_a_folder_of_one(make_model, tmp_path):
    (tmp_path / "sp.model").write_bytes(make_model().SerializeToString())
    from_file, from_folder = load_tokenizer(tmp_path / "sp.model"), load_tokenizer(tmp_path, max_length=64)
    assert tokenizer_fingerprint(from_file) == tokenizer_fingerprint(from_folder)
    assert from_folder.model_max_length == 64
    (tmp_path / "other.model").write_bytes(b"")
    with pytest.raises(TokenizerError, match=r"several SentencePiece models \(other.model, sp.model\)"):
        load_tokenizer(tmp_path)


def test_rules_can_be_chosen_for_a_bare_vocabulary_only(tokenizer, make_model, tmp_path):
    (tmp_path / "sp.model").write_bytes(make_model().SerializeToString())
    tokenizer.save_pretrained(tmp_path / "saved")
    for place in (tmp_path / "sp.model", tmp_path / "saved"):
        with pytest.raises(TokenizerError, match="brings its own"):
            load_tokenizer(place, lowercase=True)
        with pytest.raises(TokenizerError, match="brings its own"):
            load_tokenizer(place, strip_accents=False)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"must be a WordPiece vocab.txt or a SentencePiece .model"):
        load_tokenizer(tmp_path / "vocab.json", lowercase=True)


def test_a_generic_tokenizer_is_saved_under_a_name_that_transformers_4_knows(make_model, tmp_path):
    (tmp_path / "sp.model").write_bytes(make_model().SerializeToString())
    load_tokenizer(tmp_path).save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    again = load_tokenizer(tmp_path / "saved")
    again.save_pretrained(tmp_path / "again")
    for folder in ("saved", "again"):
        config = json.loads((tmp_path / folder / "tokenizer_config.json").read_text())
        assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
