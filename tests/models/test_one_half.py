"""One half is loaded and the other one is fresh: the loaded weights stay, and what is shared is theirs."""

import copy

import pytest
import torch

from electra_hf.errors import CheckpointError
from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig
from electra_hf.models.checkpoint import has_generator, load_discriminator, load_masked_lm


def with_one_half(model, half: str, **settings) -> ElectraForReplacedTokenDetection:
    """A joint model that takes one half over, and draws the other one."""
    generator, discriminator = model.config.encoders
    config = ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=discriminator, **settings)
    torch.manual_seed(99)
    return ElectraForReplacedTokenDetection(config, **{half: copy.deepcopy(getattr(model, half))})


@pytest.mark.parametrize("half", ["generator", "discriminator"])
@pytest.mark.parametrize("sharing", ["all", "word", "none"])
def test_loaded_half_keeps_its_weights_and_gives_the_shared_ones(make_model, half, sharing):
    model = make_model(embedding_sharing=sharing)
    joint = with_one_half(model, half, embedding_sharing=sharing)
    other = "discriminator" if half == "generator" else "generator"
    loaded, fresh = getattr(joint, half), getattr(joint, other)
    before = getattr(model, half).state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in loaded.state_dict().items())
    for name, weight in fresh.electra.embeddings.named_parameters():
        shared = sharing == "all" or (sharing == "word" and name == "word_embeddings.weight")
        assert (weight is loaded.electra.embeddings.get_parameter(name)) == shared, name
    layer = "electra.encoder.layer.0.output.dense.weight"
    assert not torch.equal(fresh.get_parameter(layer), getattr(model, other).get_parameter(layer))


def test_fresh_half_is_drawn_as_the_reference_does(make_model):
    fresh = with_one_half(make_model(), "discriminator").generator
    weight = fresh.get_parameter("electra.encoder.layer.0.intermediate.dense.weight")
    assert weight.abs().max() <= 2 * fresh.config.initializer_range
    drawn = with_one_half(make_model(), "discriminator", initialization="transformers").generator
    weight = torch.cat([p.flatten() for name, p in drawn.named_parameters() if name.endswith("dense.weight")])
    assert weight.abs().max() > 2 * drawn.config.initializer_range


def test_shared_weights_learn_from_both_losses(make_model, make_batch):
    joint = with_one_half(make_model(), "discriminator")
    joint(**make_batch()).loss.backward()
    word = joint.generator.electra.embeddings.word_embeddings.weight
    assert word is joint.discriminator.electra.embeddings.word_embeddings.weight
    assert word.grad is not None and word.grad.abs().sum() > 0
    names = [name for name, _ in joint.named_parameters()]
    assert len([name for name in names if name.endswith("word_embeddings.weight")]) == 1


def test_a_folder_tells_whether_it_has_a_generator(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "joint")
    model.discriminator.save_pretrained(tmp_path / "alone")
    assert has_generator(str(tmp_path / "joint"))
    assert not has_generator(str(tmp_path / "alone"))
    (tmp_path / "joint" / "generator" / "model.safetensors").unlink()
    assert has_generator(str(tmp_path / "joint")), "half a generator is an error, and none is not"
    with pytest.raises(CheckpointError, match="generator"):
        load_masked_lm(str(tmp_path / "joint"), subfolder="generator")
    assert load_discriminator(str(tmp_path / "alone")).config.hidden_size == 32
