"""Checkpoints that TensorFlow wrote, against what TensorFlow computed with them (make_tf_checkpoint.py)."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertTokenizer, ConvBertModel, ElectraForMaskedLM, ElectraForPreTraining

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import ElectraForReplacedTokenDetection
from electra_hf.models.masked_language_modeling import EncoderForMaskedLanguageModeling
from electra_hf.models.tf_checkpoint.bundle import TensorFlowCheckpoint
from electra_hf.models.tf_checkpoint.electra import import_electra
from electra_hf.models.tf_checkpoint.models import save_imported
from electra_hf.training import DataArguments, ModelArguments
from electra_hf.training.model_setup import build_model

HEADS = "num_attention_heads=2"  # google's rule would be one for every 64 hidden units


def inputs(data, expected) -> dict[str, torch.Tensor]:
    stored = np.load(data / "inputs.npz")
    return {
        "input_ids": torch.from_numpy(stored["input_ids"]),
        "token_type_ids": torch.from_numpy(stored["token_type_ids"]),
        "attention_mask": torch.from_numpy(expected["mask"]),
    }


@torch.no_grad()
def assert_same_logits(model, data, expected, *, masked_positions: bool) -> None:
    logits = model.eval()(**inputs(data, expected)).logits
    if masked_positions:
        positions = torch.from_numpy(np.load(data / "inputs.npz")["positions"])
        logits = logits.gather(1, positions[..., None].expand(-1, -1, logits.shape[-1]))
        wanted = torch.from_numpy(expected["generator_logits"])
    else:
        real = torch.from_numpy(expected["mask"]).bool()
        logits, wanted = logits[real], torch.from_numpy(expected["discriminator_logits"])[real]
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["google", "google_untied", "nvidia"])
def test_both_halves_compute_what_tensorflow_computed(data, name):
    expected = np.load(data / name / "expected.npz")
    found = import_electra(data / name, config_overrides=HEADS)
    discriminator = ElectraForPreTraining(found.discriminator.config)
    discriminator.load_state_dict(found.discriminator.weights)
    assert_same_logits(discriminator, data, expected, masked_positions=False)
    generator = ElectraForMaskedLM(found.generator.config)
    generator.load_state_dict(found.generator.weights)
    assert_same_logits(generator, data, expected, masked_positions=True)
    assert found.step == 1234 and found.notes == ()
    assert found.embeddings_shared == (name != "google_untied")


def test_sizes_are_those_of_the_tensors(data):
    found = import_electra(data / "google", config_overrides=HEADS)
    sizes = ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "intermediate_size")
    sizes += ("max_position_embeddings", "type_vocab_size", "num_attention_heads", "pad_token_id")
    assert [getattr(found.discriminator.config, name) for name in sizes] == [40, 8, 16, 2, 24, 12, 2, 2, 0]
    assert [getattr(found.generator.config, name) for name in sizes] == [40, 8, 12, 2, 20, 12, 2, 1, 0]
    assert found.discriminator.config.layer_norm_eps == 1e-12 and found.discriminator.config.hidden_act == "gelu"


def widened_generator(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A ConvBERT whose generator has one head: yitu's code then makes either branch as wide as the hidden size, 12."""
    changed = {}
    for name, array in arrays.items():
        shape = list(array.shape)
        if name.startswith("generator/") and "/attention/self/" in name:
            shape = [12 if size == 6 else size for size in shape]
        if name.startswith("generator/") and name.endswith("attention/output/dense/kernel"):
            shape[0] = 24
        changed[name] = np.resize(array, shape)
    return changed


def read_all(checkpoint: TensorFlowCheckpoint) -> dict[str, np.ndarray]:
    return {name: checkpoint.read(name) for name in checkpoint.entries}


def test_convbert_computes_what_tensorflow_computed(data, tmp_path):
    expected = np.load(data / "convbert" / "expected.npz")
    found = import_electra(data / "convbert")
    fields = ("num_attention_heads", "head_ratio", "conv_kernel_size", "num_groups", "hidden_size", "pad_token_id")
    assert [getattr(found.discriminator.config, name) for name in fields] == [4, 2, 3, 2, 16, 0]
    assert [getattr(found.generator.config, name) for name in fields] == [2, 2, 3, 1, 12, 0]
    save_imported(found, tmp_path / "model")
    joint = ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "model").eval()
    assert_same_logits(joint.generator, data, expected, masked_positions=True)
    assert_convbert_detects(joint, data, expected)
    encoder = AutoModel.from_pretrained(tmp_path / "model")
    assert isinstance(encoder, ConvBertModel)


@torch.no_grad()
def assert_convbert_detects(joint, data, expected) -> None:
    batch = inputs(data, expected)
    hidden = joint.encode(
        joint.discriminator.base_model, batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
    )
    logits = joint.discriminator.discriminator_predictions(hidden)
    torch.testing.assert_close(logits, torch.from_numpy(expected["discriminator_logits"]), rtol=0, atol=1e-5)


def test_a_generator_without_a_class_is_left_out_and_the_discriminator_trains_on(data, write_checkpoint, tmp_path):
    arrays = read_all(TensorFlowCheckpoint(data / "convbert"))
    found = import_electra(write_checkpoint(widened_generator(arrays)))
    assert found.generator is None and "one head" in found.notes[0]
    assert {name.partition("/")[0] for name in found.unused} == {"generator", "generator_predictions"}
    assert len(found.unused) == 30
    save_imported(found, tmp_path / "model")
    model_args = ModelArguments(model_name_or_path=str(tmp_path / "model"), generator_width=0.5)
    tokenizer = BertTokenizer(vocab=dict(zip(read_vocabulary(data), range(40), strict=True)))
    joint = build_model(model_args, DataArguments(max_seq_length=8), tokenizer).eval()
    assert joint.generator.config.hidden_size == 8
    assert_convbert_detects(joint, data, np.load(data / "convbert" / "expected.npz"))


def read_vocabulary(data) -> list[str]:
    return (data / "google" / "vocab.txt").read_text().split()


def test_heads_follow_the_rule_of_google(write_checkpoint, google_arrays):
    wide = {}
    for name, array in google_arrays.items():
        if name.startswith(("electra", "discriminator")):
            wide[name] = np.zeros([128 if size == 16 else size for size in array.shape], array.dtype)
    found = import_electra(write_checkpoint(wide))
    assert found.discriminator.config.num_attention_heads == 2
    assert found.generator is None and "one for every 64 hidden units" in found.notes[0]


def test_a_generator_that_was_the_discriminator_is_a_copy_of_it(write_checkpoint, google_arrays, tmp_path):
    tied = {
        name: array
        for name, array in google_arrays.items()
        if not name.startswith("generator/") and name != "generator_predictions/dense/kernel"
    }
    tied["generator_predictions/dense/kernel"] = np.ones((16, 8), np.float32)
    found = import_electra(write_checkpoint(tied), config_overrides=HEADS)
    assert found.generator.config.num_attention_heads == found.discriminator.config.num_attention_heads == 2
    name = "electra.encoder.layer.1.output.dense.weight"
    assert torch.equal(found.generator.weights[name], found.discriminator.weights[name])
    assert "were one encoder" in found.notes[0]
    alone = {name: array for name, array in tied.items() if not name.startswith("discriminator")}
    found = import_electra(write_checkpoint(alone))
    assert found.discriminator is None and found.generator.config.hidden_size == 16
    save_imported(found, tmp_path / "model")
    masked_lm = EncoderForMaskedLanguageModeling.from_pretrained(tmp_path / "model").masked_lm
    assert torch.equal(masked_lm.generator_lm_head.bias, found.generator.weights["generator_lm_head.bias"])
    with pytest.raises(UsageError, match="no generator with an encoder of its own"):
        import_electra(tmp_path / "model.ckpt-1", generator_config_overrides=HEADS)


def test_what_is_not_used_is_counted_and_named(data, write_checkpoint, google_arrays):
    found = import_electra(data / "google")
    assert (found.used, found.optimizer, found.unused) == (82, 10, ())
    found = import_electra(data / "nvidia")
    assert (found.used, found.optimizer, found.unused) == (82, 13, ("_CHECKPOINTABLE_OBJECT_GRAPH", "phase2"))
    more = {**google_arrays, "temperature": np.array(1.0, np.float32), "task_specific/mnli/bias": np.zeros(3)}
    assert import_electra(write_checkpoint(more)).unused == ("task_specific/mnli/bias", "temperature")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"electra/encoder/layer_1/output/dense/bias": None}, "1 missing .electra/encoder/layer_1/output/dense/bias"),
        ({"discriminator_predictions/dense_1/kernel": None}, "missing .discriminator_predictions/dense_1/kernel"),
        ({"electra/embeddings/position_embeddings": None}, "no tensor electra/embeddings/position_embeddings"),
        ({"electra/embeddings_project/bias": np.zeros(15, np.float32)}, r"embeddings_project/bias \(15,\)"),
        ({"electra/embeddings_project/bias": np.zeros(16, np.int32)}, "no floating-point numbers"),
        ({"electra/embeddings/word_embeddings": np.zeros(40, np.float32)}, "not 2 dimensions"),
        ({"electra/encoder/layer_999999999/output/dense/bias": np.zeros(16, np.float32)}, "a whole electra"),
        ({"generator/encoder/layer_1/extra/kernel": np.zeros(3, np.float32)}, "1 tensors of the model have no place"),
    ],
)
def test_a_model_is_imported_whole_or_not_at_all(write_checkpoint, google_arrays, change, message):
    tensors = {name: array for name, array in {**google_arrays, **change}.items() if array is not None}
    with pytest.raises(CheckpointError, match=message):
        import_electra(write_checkpoint(tensors))


def test_another_model_is_called_by_its_scopes(write_checkpoint, google_arrays):
    tensors = {name.replace("electra", "bert"): array for name, array in google_arrays.items()}
    with pytest.raises(CheckpointError, match=r"is not an ELECTRA.* It holds bert, discriminator_predictions, gen"):
        import_electra(write_checkpoint(tensors))


def test_a_configuration_tells_what_no_tensor_tells(data, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"num_attention_heads": 4, "hidden_size": 16, "hidden_dropout_prob": 0.0, "other": 1}))
    config = import_electra(data / "google", config_file=file).discriminator.config
    assert (config.num_attention_heads, config.hidden_dropout_prob) == (4, 0.0)
    config = import_electra(data / "google", config_file=file, config_overrides="num_attention_heads=8").discriminator
    assert config.config.num_attention_heads == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config_overrides": "hidden_size=32"}, "hidden_size is 32, and the tensors .* say 16"),
        ({"config_overrides": "heads=2"}, "heads=2: .*give fields of ElectraConfig"),
        ({"config_overrides": "num_attention_heads=3"}, "not a multiple .* with --config_overrides"),
        ({"generator_config_overrides": "num_hidden_layers=3"}, "--generator_config_overrides .* say 2"),
        ({"config_file": '{"num_hidden_layers": 3}'}, "--config_file .*num_hidden_layers is 3"),
        ({"config_file": '{"model_type": "bert"}'}, "does not describe a model of the type electra"),
        ({"config_file": "{"}, "not a config.json"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(data, tmp_path, options, message):
    if "config_file" in options:
        (tmp_path / "config.json").write_text(options["config_file"])
        options = {"config_file": tmp_path / "config.json"}
    with pytest.raises(UsageError, match=message):
        import_electra(data / "google", **options)
