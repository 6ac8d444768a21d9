"""Which head is exported of which model, and what is refused."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertForPreTraining, ElectraForQuestionAnswering, ElectraModel

from electra_hf.cli import run
from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import ElectricConfig, ElectricForPreTraining
from electra_hf.models.backbones import BACKBONES
from electra_hf.models.token_classification import TokenClassificationWithCRF
from electra_hf.sharing.export.checks import in_pytorch
from electra_hf.sharing.export.folder import check_output, import_extra, published
from electra_hf.sharing.export.graph import make_inputs
from electra_hf.sharing.export.loading import DETECTION, FEATURES, FILL_MASK, TASKS, TEXTS, TOKENS, load_exportable


@pytest.mark.parametrize("family", BACKBONES)
def test_a_run_of_every_family_has_its_detector_and_its_generator(family, make_run, make_config, tmp_path):
    folder = make_run(family, tmp_path / "run")
    source = load_exportable(str(folder))
    assert (source.task, source.output_name) == (DETECTION, "logits")
    segments = make_config(family).to_dict().get("type_vocab_size", 0) > 1
    assert source.input_names == ["input_ids", "attention_mask", *["token_type_ids"] * segments]
    assert source.max_length == 24  # RoBERTa has 25 positions, and begins behind the padding id
    assert in_pytorch(source)(make_inputs(source, 2, 7, padded=True)).shape == (2, 7)
    generator = load_exportable(str(folder), subfolder="generator")
    assert generator.task == FILL_MASK and generator.public_name == "run/generator"
    assert in_pytorch(generator)(make_inputs(generator, 2, 7)).shape == (2, 7, 64)
    encoder = load_exportable(str(folder), task=FEATURES)
    assert in_pytorch(encoder)(make_inputs(encoder, 2, 7)).shape == (2, 7, 16)
    assert encoder.config.architectures == [BACKBONES[family].encoder_class.__name__]
    assert encoder.parameters < source.parameters


def test_padded_rows_are_padded_as_tokenizers_do_it(make_run, tmp_path):
    source = load_exportable(str(make_run("electra", tmp_path / "run")))
    inputs = make_inputs(source, 3, 9, padded=True)
    assert inputs["attention_mask"].sum(1).tolist() == [9, 4, 1]
    padding = inputs["attention_mask"] == 0
    assert torch.all((inputs["input_ids"] == 0) == padding)
    assert torch.all(inputs["token_type_ids"][padding] == 0) and inputs["token_type_ids"].max() == 1


def test_a_tagger_with_a_crf_has_its_tables(make_tagger, tmp_path):
    folder = make_tagger("electra", tmp_path / "tagger")
    source = load_exportable(str(folder))
    crf = TokenClassificationWithCRF.from_pretrained(folder).crf
    assert source.task == TOKENS and source.crf is not None
    assert source.crf["untagged_token_ids"].tolist() == [0, 2, 3]
    forbidden = np.isneginf(source.crf["transitions"])
    assert forbidden.tolist() == crf.forbidden_transitions.tolist() and forbidden.any()
    np.testing.assert_array_equal(source.crf["transitions"][~forbidden], crf.transitions.detach().numpy()[~forbidden])
    assert np.isneginf(source.crf["start"]).tolist() == [False, False, True, False, True]
    assert not np.isneginf(source.crf["end"]).any()


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"num_labels": 3}, None),
        ({"num_labels": 1, "problem_type": "regression"}, "regression"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "sigmoid"),
    ],
)
def test_what_the_logits_of_texts_mean_is_said(fields, note, make_classifier, tmp_path):
    source = load_exportable(str(make_classifier(tmp_path / "texts", **fields)))
    assert source.task == TEXTS
    assert in_pytorch(source)(make_inputs(source, 2, 5)).shape == (2, fields["num_labels"])
    assert [note in each for each in source.notes] == ([True] if note else [])


def test_the_heads_of_a_bert_with_sentence_pairs_predict_tokens(save, make_config, tmp_path):
    assert load_exportable(str(save(BertForPreTraining(make_config("bert")), tmp_path / "bert"))).task == FILL_MASK


def test_a_head_that_is_not_there_is_not_drawn(make_run, save, make_config, tmp_path):
    rtd = make_run("electra", tmp_path / "rtd")
    for task in (FILL_MASK, TEXTS, TOKENS):
        with pytest.raises(CheckpointError, match="no weights for"):
            load_exportable(str(rtd), task=task)
    with pytest.raises(CheckpointError, match="at the root: leave --subfolder out"):
        load_exportable(str(rtd), task=DETECTION, subfolder="generator")
    mlm = save(AutoModelForMaskedLM.from_config(make_config("bert")), tmp_path / "mlm")
    (mlm / "objective.json").write_text(json.dumps({"objective": "mlm"}))
    assert load_exportable(str(mlm)).task == FILL_MASK
    with pytest.raises(CheckpointError, match="--objective mlm"):
        load_exportable(str(mlm), task=DETECTION)
    encoder = save(ElectraModel(make_config("electra")), tmp_path / "encoder")
    assert load_exportable(str(encoder)).task == FEATURES


def test_energies_are_no_suspicions(save, make_config, tmp_path):
    configs = {name: make_config("electra") for name in ("generator_config", "discriminator_config")}
    folder = save(ElectricForPreTraining(ElectricConfig(**configs)), tmp_path / "electric")
    with pytest.raises(CheckpointError, match="electra-hf score"):
        load_exportable(str(folder))
    assert load_exportable(str(folder), task=FEATURES).task == FEATURES


def test_an_unknown_class_needs_a_task(save, make_config, tmp_path):
    folder = save(ElectraForQuestionAnswering(make_config("electra")), tmp_path / "qa")
    with pytest.raises(UsageError, match="ElectraForQuestionAnswering.*give --task"):
        load_exportable(str(folder))


def test_models_with_code_of_their_own_are_refused(save, make_config, tmp_path):
    folder = save(ElectraModel(make_config("electra")), tmp_path / "remote")
    config = json.loads((folder / "config.json").read_text())
    for model_type in ("electra", "unheard-of"):
        changed = {**config, "model_type": model_type, "auto_map": {"AutoConfig": "code.Config"}}
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(CheckpointError, match="never done here"):
            load_exportable(str(folder))


def test_what_is_not_there_is_named(make_run, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: neither a model folder"):
        load_exportable(str(tmp_path / "nowhere"))
    folder = make_run("electra", tmp_path / "run")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        load_exportable(str(folder), task=FEATURES)


def test_a_missing_package_names_the_extra():
    with pytest.raises(UsageError, match=r"needs no_such_package.*electra_hf\[export\]"):
        import_extra("json", "no_such_package")


def test_only_an_export_is_replaced(tmp_path):
    model, other, export = tmp_path / "model", tmp_path / "other", tmp_path / "export"
    for folder, file in {model: "config.json", other: "thesis.txt", export: "export.json"}.items():
        folder.mkdir()
        (folder / file).touch()
    check_output(tmp_path / "new", str(model), overwrite=False)
    check_output(export, str(model), overwrite=True)
    refused = [
        (export, str(model), False, "replace it with"),
        (other, str(model), True, "no export"),
        (model, str(model), True, "holds the model itself"),
        (tmp_path, str(model), True, "holds the model itself"),
        (other / "thesis.txt", str(model), True, "is a file"),
    ]
    for folder, source, overwrite, message in refused:
        with pytest.raises(UsageError, match=message):
            check_output(folder, source, overwrite=overwrite)


def test_a_folder_is_whole_or_not_there(tmp_path):
    target = tmp_path / "target"
    with pytest.raises(KeyError), published(target) as folder:
        (folder / "half").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    for name in ("first", "second"):
        with published(target) as folder:
            (folder / name).touch()
    assert [path.name for path in target.iterdir()] == ["second"]
    with pytest.raises(KeyError), published(target) as folder:
        raise KeyError
    assert [path.name for path in target.iterdir()] == ["second"] and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--normalize"], "--normalize is no option of --format onnx"),
        (["--format", "sentence-transformers", "--quantize", "int8"], "--quantize is no option"),
        (["--num_threads", "0"], "give 1 or more"),
        (["--latency_calls", "-1"], "give 0 or more"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        run(["export", "nowhere", "--output_dir", str(tmp_path / "out"), *options])


def test_the_command_knows_all_tasks():
    from electra_hf.cli import export

    assert export.TASKS == TASKS
