import pytest

from electra_hf.errors import PreparationError
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.prepared import load_prepared_tokenizer, open_prepared, prepared_splits, save_tokenizer
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tokenizers import tokenizer_fingerprint, train_wordpiece


@pytest.fixture
def prepared(corpus, tokenizer, folder):
    prepare(corpus, tokenizer, folder / "train", PackingSettings(max_seq_length=32), progress=False)
    save_tokenizer(tokenizer, folder)
    return folder


def test_round_trip(prepared):
    assert set(prepared_splits(prepared)) == {"train"}
    tokenizer = load_prepared_tokenizer(prepared)
    assert len(open_prepared(prepared, "train", tokenizer, {"max_seq_length": 32, "packing": "electra"})) > 1


def test_another_packing_is_refused_by_name(prepared, tokenizer):
    with pytest.raises(PreparationError, match="prepared with --max_seq_length 32, and 128 is asked for"):
        open_prepared(prepared, "train", tokenizer, {"max_seq_length": 128})


def test_another_tokenizer_is_refused(prepared, documents):
    with pytest.raises(PreparationError, match="another tokenizer.*leave out --tokenizer_name"):
        open_prepared(prepared, "train", train_wordpiece(documents, 60, show_progress=False), {})


def test_a_split_that_is_not_there(prepared, tokenizer):
    with pytest.raises(PreparationError, match="validation.*no finished prepared corpus"):
        open_prepared(prepared, "validation", tokenizer, {})


def test_a_folder_that_is_a_url(corpus, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    folder = "memory://test_prepared/corpus"
    prepare(corpus, tokenizer, folder + "/train", PackingSettings(max_seq_length=32), progress=False)
    save_tokenizer(tokenizer, folder)
    assert set(prepared_splits(folder)) == {"train"}
    loaded = load_prepared_tokenizer(folder)
    assert tokenizer_fingerprint(loaded) == tokenizer_fingerprint(tokenizer)
    assert len(open_prepared(folder, "train", loaded, {})) > 1


def test_a_folder_without_blocks(tmp_path):
    with pytest.raises(PreparationError, match="no finished prepared corpus: `electra-hf prepare`"):
        prepared_splits(tmp_path)
