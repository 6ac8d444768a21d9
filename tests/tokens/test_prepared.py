import pytest

from electra_hf.corpora.corpus import Corpus, hold_out
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


@pytest.fixture
def split(make_corpus, documents, tokenizer, tmp_path):
    """Prepare both sides of a split into a folder."""

    def prepare_split(folder, percentage=20.0, sides=("train", "validation")):
        corpora = dict(zip(("train", "validation"), hold_out(Documents(documents), percentage), strict=True))
        for side in sides:
            settings = PackingSettings(max_seq_length=32)
            prepare(corpora[side], tokenizer, folder / side, settings, overwrite=True, progress=False)

    return prepare_split


class Documents(Corpus):
    name = "documents"

    def __init__(self, texts):
        self.texts = texts

    def describe(self):
        return {"documents": len(self.texts)}

    def _texts(self):
        return iter(self.texts)


def test_validation_blocks_must_be_held_out_of_the_training_text(split, tokenizer, tmp_path):
    split(tmp_path / "good")
    open_prepared(tmp_path / "good", "validation", tokenizer, {})
    split(tmp_path / "good", 50.0, ["train"])  # and the old validation blocks left where they are
    open_prepared(tmp_path / "good", "train", tokenizer, {})
    with pytest.raises(PreparationError, match="was not held out of the text of its train/"):
        open_prepared(tmp_path / "good", "validation", tokenizer, {})


def test_validation_text_of_its_own_is_taken_as_it_is(split, make_corpus, tokenizer, tmp_path):
    split(tmp_path, sides=["train"])
    other = make_corpus(["the old river"])
    prepare(other, tokenizer, tmp_path / "validation", PackingSettings(max_seq_length=32), progress=False)
    assert len(open_prepared(tmp_path, "validation", tokenizer, {})) == 1
