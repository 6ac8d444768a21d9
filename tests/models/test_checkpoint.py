"""Any saved folder is a plain transformers model, and comes back whole."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    ElectraForPreTraining,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import ElectraForReplacedTokenDetection


def same_output(model, other, batch) -> bool:
    outputs = []
    for each in (model, other):
        torch.manual_seed(3)
        outputs.append(each.eval()(**batch))
    return torch.equal(outputs[0].loss, outputs[1].loss) and torch.equal(outputs[0].logits, outputs[1].logits)


@pytest.mark.parametrize("sharing", ["all", "word", "none"])
def test_root_loads_with_plain_transformers(make_model, make_batch, tmp_path, sharing):
    model, batch = make_model(embedding_sharing=sharing).eval(), make_batch()
    model.save_pretrained(tmp_path)
    encoder, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    inputs = {name: batch[name] for name in ("attention_mask", "token_type_ids")}
    output = model(**batch)
    assert torch.equal(
        encoder(output.corrupted_ids, **inputs).last_hidden_state,
        model.discriminator.electra(output.corrupted_ids, **inputs).last_hidden_state,
    )
    discriminator = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert isinstance(discriminator, ElectraForPreTraining)
    torch.testing.assert_close(discriminator(output.corrupted_ids, **inputs).logits, output.logits)
    generator, info = AutoModelForMaskedLM.from_pretrained(tmp_path, subfolder="generator", output_loading_info=True)
    assert not info["missing_keys"]
    assert generator.config.hidden_size == 8
    _, info = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert all(name.startswith("classifier.") for name in info["missing_keys"])


@pytest.mark.parametrize("sharing", ["all", "word", "none"])
def test_round_trip_keeps_weights_ties_and_objective(make_model, make_batch, tmp_path, sharing):
    model = make_model(embedding_sharing=sharing, temperature=0.7, discriminator_weight=25.0)
    model.save_pretrained(tmp_path)
    loaded = ElectraForReplacedTokenDetection.from_pretrained(tmp_path)
    assert loaded.config.objective_settings() == model.config.objective_settings()
    assert same_output(model, loaded, make_batch())
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_load_weights_keeps_ties_and_parameter_identity(make_model, make_batch, tmp_path):
    model, other = make_model(seed=0), make_model(seed=1)
    model.save_pretrained(tmp_path)
    before = dict(other.named_parameters())
    other.load_weights(tmp_path)
    assert all(before[name] is parameter for name, parameter in other.named_parameters())
    assert same_output(model, other, make_batch())


def test_state_that_names_shared_weights_once_is_saved_whole(make_model, make_batch, tmp_path):
    """FSDP and DeepSpeed hand over a gathered state without the tied duplicates."""
    model = make_model()
    state = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.save_pretrained(tmp_path, state_dict=state)
    assert same_output(model, ElectraForReplacedTokenDetection.from_pretrained(tmp_path), make_batch())


def test_bfloat16_checkpoint_is_trained_in_fp32(make_model, tmp_path):
    make_model().to(torch.bfloat16).save_pretrained(tmp_path)
    loaded = ElectraForReplacedTokenDetection.from_pretrained(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_settings_can_be_changed_when_loading(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    loaded = ElectraForReplacedTokenDetection.from_pretrained(tmp_path, sampler="multinomial")
    assert loaded.config.sampler == "multinomial"
    with pytest.raises(UsageError, match="does not know smapler"):
        ElectraForReplacedTokenDetection.from_pretrained(tmp_path, smapler="gumbel")


def test_generator_from_another_folder(make_model, make_batch, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "joint")
    model.discriminator.save_pretrained(tmp_path / "discriminator")
    model.generator.save_pretrained(tmp_path / "generator")
    loaded = ElectraForReplacedTokenDetection.from_pretrained(
        tmp_path / "discriminator", generator_name_or_path=tmp_path / "generator"
    )
    assert same_output(model, loaded, make_batch())


def test_missing_generator_is_an_error(make_model, tmp_path):
    make_model().discriminator.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="generator_name_or_path"):
        ElectraForReplacedTokenDetection.from_pretrained(tmp_path)


def test_missing_weight_is_an_error(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["discriminator_predictions.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="discriminator_predictions.dense.weight"):
        ElectraForReplacedTokenDetection.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="discriminator_predictions.dense.weight"):
        model.load_weights(tmp_path)


def test_halves_of_two_runs_cannot_be_shared(make_model, tmp_path):
    make_model(seed=0).save_pretrained(tmp_path)
    make_model(seed=1).discriminator.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="hold different values"):
        ElectraForReplacedTokenDetection.from_pretrained(tmp_path)
    loaded = ElectraForReplacedTokenDetection.from_pretrained(tmp_path, embedding_sharing="none")
    assert not torch.equal(
        loaded.generator.electra.embeddings.word_embeddings.weight,
        loaded.discriminator.electra.embeddings.word_embeddings.weight,
    )


def test_weights_of_another_size_are_an_error(make_model, discriminator_config, tmp_path):
    make_model().save_pretrained(tmp_path)
    discriminator_config.intermediate_size = 128
    with pytest.raises(CheckpointError, match="size mismatch"):
        make_model().load_weights(tmp_path)


def test_unknown_setting_in_the_folder_is_an_error(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    path = tmp_path / "objective.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "contrastive_weight": 1.0}))
    with pytest.raises(CheckpointError, match="contrastive_weight"):
        ElectraForReplacedTokenDetection.from_pretrained(tmp_path)


def test_folder_without_weights_is_named(make_model, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no model.safetensors"):
        make_model().load_weights(tmp_path)


def test_saving_is_quiet_about_shared_tensors(make_model, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        make_model().save_pretrained(tmp_path)
    assert not caplog.records
