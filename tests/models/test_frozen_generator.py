"""A generator that is used and not trained."""

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.models import ElectraForReplacedTokenDetection, derive_generator_config
from electra_hf.training.throughput import encoder_flops, training_flops, vocabulary_flops


@pytest.fixture
def trained(make_model, tmp_path):
    """A folder with both halves."""
    make_model(seed=3, embedding_sharing="none").save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


@pytest.mark.parametrize("sharing", ["none", "gdes"])
def test_is_not_trained_and_saved_as_it_was(trained, tmp_path, make_batch, discriminator_config, sharing):
    model = ElectraForReplacedTokenDetection.from_pretrained(
        trained, freeze_generator=True, embedding_sharing=sharing
    ).train()
    assert not model.generator.training and model.discriminator.training
    output = model(**make_batch())
    assert torch.equal(output.loss, 50 * output.rtd_loss) and output.generator_loss > 0
    output.loss.backward()
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    assert all(parameter.grad is not None for parameter in model.discriminator.parameters())
    torch.optim.SGD(model.parameters(), 0.1).step()
    model.save_pretrained(tmp_path / "on")
    names = [folder / "generator" / "model.safetensors" for folder in (trained, tmp_path / "on")]
    assert names[0].read_bytes() == names[1].read_bytes()
    assert ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "on").config.freeze_generator

    # Forward only: the parameters' multiplications twice, as against six times.
    config = model.config
    generator = encoder_flops(config.generator_config, 24) + vocabulary_flops(config.generator_config, 4)
    frozen = training_flops(config, 24, 4)
    config.freeze_generator = False
    assert training_flops(config, 24, 4) - frozen == 2 * generator
    assert derive_generator_config(discriminator_config, 0.25).hidden_size == config.generator_config.hidden_size


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "freeze_generator and embedding_sharing 'all' exclude each other"),
        ({"embedding_sharing": "word"}, "use none, or gdes"),
        ({"embedding_sharing": "none", "sampler": "gumbel_softmax"}, "a frozen generator takes no gradient"),
    ],
)
def test_what_it_cannot_be_combined_with(make_model, settings, message):
    with pytest.raises(UsageError, match=message):
        make_model(freeze_generator=True, **settings)
