import pytest

from electra_hf.errors import PreparationError
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.prepared import is_prepared, open_prepared, save_tokenizer
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tokenizers import load_tokenizer, train_wordpiece


@pytest.fixture
def prepared(corpus, tokenizer, folder):
    prepare(corpus, tokenizer, folder / "train", PackingSettings(max_seq_length=32), progress=False)
    save_tokenizer(tokenizer, folder)
    return folder


def test_round_trip(prepared):
    assert is_prepared(prepared, "train") and not is_prepared(prepared, "validation")
    tokenizer = load_tokenizer(prepared)
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
