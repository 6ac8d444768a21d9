"""Folders of sentence-transformers: what they load as, and that they can be trained."""

import csv
import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from electra_hf.cli import run
from electra_hf.errors import ExportError, UsageError
from electra_hf.sharing.export import embeddings
from electra_hf.sharing.export.embeddings import export_embeddings

TEXTS = ["w1 w2 w3 w4 w5 w6", "w7", "w8 w9 w10"]


def mean_by_hand(folder, text: str, **config) -> np.ndarray:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, **config).eval()
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()


@pytest.fixture(scope="module")
def electra_run(make_run, tmp_path_factory):
    return make_run("electra", tmp_path_factory.mktemp("runs") / "run")


def test_the_folder_loads_and_means_over_tokens(electra_run, tmp_path, capsys):
    folder = tmp_path / "embeddings"
    options = ["--format", "sentence-transformers", "--max_seq_length", "10", "--output_dir", str(folder)]
    run(["export", str(electra_run), *options])
    printed = capsys.readouterr()
    assert "by hand" in printed.out and printed.err == ""
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == 10
    for text, found in zip(TEXTS, model.encode(TEXTS), strict=True):
        np.testing.assert_allclose(found, mean_by_hand(electra_run, text), atol=1e-5)
    report = json.loads((folder / "export.json").read_text())
    assert (report["format"], report["embedding_dimension"]) == ("sentence-transformers", 16)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "rank pairs of sentences poorly" in readme and str(tmp_path) not in readme


def test_embeddings_of_length_1(electra_run, tmp_path):
    export_embeddings(str(electra_run), tmp_path / "unit", normalize=True)
    found = SentenceTransformer(str(tmp_path / "unit"), device="cpu").encode(TEXTS)
    mean = mean_by_hand(electra_run, TEXTS[0])
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_first_layers_of_a_masked_language_model(save, make_config, tmp_path, caplog):
    config = make_config("bert")
    config.num_hidden_layers = 2
    folder = save(AutoModelForMaskedLM.from_config(config), tmp_path / "mlm")
    result = export_embeddings(str(folder), tmp_path / "first", num_hidden_layers=1)
    assert result.num_hidden_layers == 1
    found = SentenceTransformer(str(tmp_path / "first"), device="cpu").encode(TEXTS[:1])
    np.testing.assert_allclose(found[0], mean_by_hand(folder, TEXTS[0], num_hidden_layers=1), atol=1e-5)
    # A masked language model has no pooler; one that was drawn must not pass for a trained one.
    written = AutoModel.from_pretrained(tmp_path / "first").state_dict()
    assert not any(written[name].any() for name in written if name.startswith("pooler."))


def test_a_wrong_embedding_leaves_no_folder(electra_run, tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "mean_embeddings", lambda *_: np.zeros((3, 16)))
    with pytest.raises(ExportError, match="differ from means"):
        export_embeddings(str(electra_run), tmp_path / "wrong")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_seq_length": 25}, "3 to 24 tokens"),
        ({"max_seq_length": 2}, "3 to 24 tokens"),
        ({"num_hidden_layers": 2}, "the model has 1"),
        ({"num_hidden_layers": 0}, "the model has 1"),
    ],
)
def test_sizes_that_the_model_has_not(electra_run, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        export_embeddings(str(electra_run), tmp_path / "out", **options)


def test_the_documented_training_goes_on_from_the_folder(electra_run, python_block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = export_embeddings(str(electra_run), tmp_path / "outputs" / "embeddings")
    with open("pairs.csv", "w", newline="", encoding="utf-8") as file:
        rows = [
            ("sentence1", "sentence2", "score"),
            *((text, TEXTS[0], place / 2) for place, text in enumerate(TEXTS)),
        ]
        csv.writer(file).writerows(rows)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    exec(python_block("CoSENTLoss(model)"), {})
    tuned = SentenceTransformer("outputs/similarity", device="cpu")
    assert tuned.encode(TEXTS).shape == (3, before.embedding_dimension)
    original = SentenceTransformer("outputs/embeddings", device="cpu")
    assert np.abs(tuned.encode(TEXTS) - original.encode(TEXTS)).max() > 1e-3
