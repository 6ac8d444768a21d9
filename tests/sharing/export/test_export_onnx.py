"""ONNX files against the models they come from, by onnxruntime and transformers alone."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    ElectraForPreTraining,
)

from electra_hf.cli import run
from electra_hf.errors import ExportError, UsageError
from electra_hf.models import ElectraForReplacedTokenDetection
from electra_hf.models.token_classification import TokenClassificationWithCRF
from electra_hf.sharing.export.checks import check_shapes
from electra_hf.sharing.export.graph import Session
from electra_hf.sharing.export.loading import load_exportable
from electra_hf.sharing.export.onnx_folder import OnnxOptions, export_onnx


def onnx_logits(folder: Path, encoded, file: str = "model.onnx") -> np.ndarray:
    session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
    output: Any = session.run(None, {each.name: encoded[each.name] for each in session.get_inputs()})[0]
    return output


@pytest.fixture(scope="module")
def tagger_export(make_tagger, tmp_path_factory):
    """A ConvBERT tagger with a CRF, and its export."""
    root = tmp_path_factory.mktemp("tagger")
    tagger, folder = make_tagger("convbert", root / "tagger"), root / "outputs" / "ner-onnx"
    return tagger, folder, export_onnx(str(tagger), folder, OnnxOptions(latency_calls=0))


@pytest.mark.parametrize("texts", [["w1"], ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9"], ["w1 " * 22, "w2 w3"]])
def test_the_file_computes_what_transformers_computes(detector_export, texts):
    tokenizer = AutoTokenizer.from_pretrained(detector_export.folder)
    model = ElectraForPreTraining.from_pretrained(detector_export.run).eval()
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**encoded).logits.numpy()
    found = onnx_logits(detector_export.folder, {name: value.numpy() for name, value in encoded.items()})
    real = encoded["attention_mask"].numpy().astype(bool)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


def test_the_folder_has_the_layout_of_optimum(detector_export):
    folder = detector_export.folder
    graph = onnx.load(folder / "model.onnx")
    axes = {each.name: [axis.dim_param for axis in each.type.tensor_type.shape.dim] for each in graph.graph.input}
    assert axes == dict.fromkeys(["input_ids", "attention_mask", "token_type_ids"], ["batch_size", "sequence_length"])
    assert [each.version for each in graph.opset_import if each.domain == ""] == [18]
    assert AutoConfig.from_pretrained(folder).architectures == ["ElectraForPreTraining"]
    assert not list(folder.parent.glob("_tmp-*"))


def test_the_report_says_what_was_measured(detector_export):
    report = json.loads((detector_export.folder / "export.json").read_text())
    assert (report["format"], report["task"], report["opset"]) == ("onnx", "replaced-token-detection", 18)
    assert report["source"] == "run"  # without the path to it
    model = ElectraForPreTraining.from_pretrained(detector_export.run)
    assert report["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    full, quantized = report["files"]
    shapes = [(each["batch_size"], each["sequence_length"], each["padded"]) for each in full["shapes"]]
    assert shapes == [(1, 5, False), (3, 5, True), (1, 24, False), (3, 24, True)]
    assert full["max_abs_difference"] <= full["tolerance"] * 10
    assert full["agreement"]["same_decisions"] == 1 and full["agreement"]["texts"]
    assert quantized["tolerance"] is None and quantized["max_abs_difference"] > full["max_abs_difference"]
    for file in report["files"]:
        assert file["bytes"] == (detector_export.folder / file["name"]).stat().st_size
        assert 0 < file["latency"]["p50_ms"] <= file["latency"]["p95_ms"]


def test_int8_is_near_and_its_difference_is_not_hidden(detector_export):
    encoded = AutoTokenizer.from_pretrained(detector_export.folder)(["w1 w2 w3 w4 w5"], return_tensors="np")
    full, quantized = (
        onnx_logits(detector_export.folder, encoded, file) for file in ("model.onnx", "model_quantized.onnx")
    )
    reported = json.loads((detector_export.folder / "export.json").read_text())["files"][1]
    assert 0 < np.abs(full - quantized).max() < 5 * reported["max_abs_difference"]
    assert f"{reported['max_abs_difference']:.1e}" in detector_export.printed


def test_the_console_has_the_table_and_no_chatter(detector_export):
    for text in ("model.onnx", "model_quantized.onnx", "PyTorch", "int8", "1 thread of", "commonest one"):
        assert text in detector_export.printed
    assert detector_export.errors == "" and detector_export.warned == []


def test_another_model_is_found_out(detector_export):
    source = load_exportable(str(detector_export.run))
    session = Session(detector_export.folder / "model.onnx", 1)
    assert check_shapes(source, session, 1e-4)
    with torch.no_grad():
        source.model.discriminator_predictions.dense_prediction.bias.add_(0.01)
    with pytest.raises(ExportError, match="differ by up to 1.0e-02"):
        check_shapes(source, session, 1e-4)
    assert check_shapes(source, session, None)[0].max_abs_difference == pytest.approx(0.01, rel=1e-2)


def test_an_export_is_not_replaced_unasked(detector_export):
    with pytest.raises(UsageError, match="--overwrite_output_dir"):
        run(["export", str(detector_export.run), "--output_dir", str(detector_export.folder)])


def test_padding_has_no_part_in_a_convbert(tagger_export):
    tagger, folder, result = tagger_export
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text, longer = "w1 w2 w3 w4", "w5 " * 20
    alone = onnx_logits(folder, tokenizer([text], return_tensors="np"))[0]
    beside = tokenizer([text, longer], padding=True, return_tensors="np")
    np.testing.assert_allclose(onnx_logits(folder, beside)[0, : len(alone)], alone, atol=1e-5)
    # Which is what this is about: the class of transformers does not keep it out.
    plain = AutoModelForTokenClassification.from_pretrained(tagger).eval()
    with torch.no_grad():
        theirs = plain(**{name: torch.from_numpy(value) for name, value in beside.items()}).logits[0, : len(alone)]
    assert np.abs(theirs.numpy() - alone).max() > 1e-3
    assert any("padding" in note for note in result.notes)


def test_the_documented_viterbi_finds_the_tags_of_our_crf(tagger_export, python_block, monkeypatch, capsys):
    tagger, folder, _ = tagger_export
    monkeypatch.chdir(folder.parents[1])
    text = "w3 w14 w15 w9 w26 w5 w35 w8 w9 w7 w9 w32"
    names: dict = {}
    exec(re.sub(r"words = \[.*?\]", f"words = {text.split()}", python_block("def viterbi")), names)
    encoded = AutoTokenizer.from_pretrained(tagger)(text.split(), is_split_into_words=True, return_tensors="pt")
    mask = torch.tensor([[place is not None for place in encoded.word_ids(0)]])
    model = TokenClassificationWithCRF.from_pretrained(tagger).eval()
    [expected] = model.decode(**encoded, tag_mask=mask).tolist()
    assert names["tags"] == [tag for tag in expected if tag >= 0]
    assert len(set(names["tags"])) > 1
    # Its transitions matter: the best tag of each place would be others.
    assert names["tags"] != names["emissions"][names["first"]].argmax(-1).tolist()
    assert "w3" in capsys.readouterr().out


def test_the_documented_example_scores_texts(detector_export, python_block, monkeypatch):
    monkeypatch.chdir(detector_export.folder.parent)
    names: dict = {}
    exec(python_block("padding=True").replace("outputs/mine-onnx", detector_export.folder.name), names)
    assert names["logits"].shape == names["encoded"]["input_ids"].shape


def test_other_families_detect_with_the_head_beside_the_encoder(make_run, tmp_path):
    folder = make_run("bert", tmp_path / "run")
    export_onnx(str(folder), tmp_path / "onnx", OnnxOptions(dtype="fp16", latency_calls=0))
    joint = ElectraForReplacedTokenDetection.from_pretrained(folder).eval()
    encoded = AutoTokenizer.from_pretrained(tmp_path / "onnx")("w1 w2 w3 w4", return_tensors="pt")
    with torch.no_grad():
        expected = joint.discriminator(encoded["input_ids"]).logits.numpy()
    found = onnx_logits(tmp_path / "onnx", {name: value.numpy() for name, value in encoded.items()})
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_texts_with_several_labels_in_int8(make_classifier, tmp_path):
    folder = make_classifier(tmp_path / "labels", num_labels=3, problem_type="multi_label_classification")
    result = export_onnx(str(folder), tmp_path / "onnx", OnnxOptions(quantize="int8", latency_calls=0))
    encoded = AutoTokenizer.from_pretrained(tmp_path / "onnx")(["w1 w2 w3", "w4"], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = AutoModelForSequenceClassification.from_pretrained(folder).eval()(**encoded).logits.numpy()
    arrays = {name: value.numpy() for name, value in encoded.items()}
    np.testing.assert_allclose(onnx_logits(tmp_path / "onnx", arrays), expected, atol=1e-4)
    quantized = onnx_logits(tmp_path / "onnx", arrays, "model_quantized.onnx")
    assert np.corrcoef(quantized.ravel(), expected.ravel())[0, 1] > 0.95
    assert not result.files[0].agreement.texts


def test_int8_starts_from_fp32(tmp_path):
    options = dataclasses.replace(OnnxOptions(), dtype="fp16", quantize="int8")
    with pytest.raises(UsageError, match="leave --dtype out"):
        export_onnx("nowhere", tmp_path / "out", options)
