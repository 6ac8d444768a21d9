"""The reference's head, and the plain model that it is saved as."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    ConvBertConfig,
    ConvBertForSequenceClassification,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import ConvBertForReferenceClassification, ElectraForReferenceClassification
from electra_hf.models.sequence_classification import from_two_layers, to_two_layers

IDS = torch.randint(5, 64, (6, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def convbert_config():
    return ConvBertConfig(
        vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=32,
    )  # fmt: skip


@pytest.fixture(params=["electra", "convbert"])
def model(request, discriminator_config, convbert_config):
    """Three labels; weights large enough that an error would show."""
    torch.manual_seed(1)
    if request.param == "electra":
        plain, cls = ElectraForSequenceClassification, ElectraForReferenceClassification
        config = copy.deepcopy(discriminator_config)
    else:
        plain, cls, config = ConvBertForSequenceClassification, ConvBertForReferenceClassification, convbert_config
    config.num_labels = 3
    model = cls.from_plain(plain(config), fresh_head=True).eval()
    torch.nn.init.normal_(model.classifier.projection.weight, std=3.0)
    torch.nn.init.normal_(model.classifier.projection.bias)
    return model


def test_head_is_dropout_and_one_layer_on_cls(model):
    hidden = model.base_model(IDS).last_hidden_state[:, 0].double()
    head = model.classifier.projection
    expected = hidden @ head.weight.double().T + head.bias.double()
    torch.testing.assert_close(model(IDS).logits.double(), expected, atol=1e-5, rtol=1e-5)
    assert model.classifier.dropout.p == 0.1
    assert {name for name, _ in model.classifier.named_parameters()} == {"projection.weight", "projection.bias"}


def test_fresh_head_is_glorot_uniform(discriminator_config):
    discriminator_config.num_labels = 4
    torch.manual_seed(0)
    plain = ElectraForSequenceClassification(discriminator_config)
    head = ElectraForReferenceClassification.from_plain(plain, fresh_head=True).classifier.projection
    limit = (6 / (32 + 4)) ** 0.5
    assert head.weight.abs().max() <= limit
    assert head.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.15)
    assert not head.bias.any()


def test_saved_model_gives_the_same_logits_without_us(model, tmp_path):
    model.save_pretrained(tmp_path)
    plain, info = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(plain) in (ElectraForSequenceClassification, ConvBertForSequenceClassification)
    assert plain.config.architectures == [type(plain).__name__]
    assert not any(info.values())
    with torch.no_grad():
        expected, found = model(IDS).logits, plain(IDS).logits
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, atol=1e-6 * expected.abs().max().item(), rtol=1e-6)


def test_bf16_is_as_exact_as_one_layer(model, tmp_path):
    """Against fp32, two layers in bf16 are off by as much as the one layer in bf16 is."""
    model.save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    hidden = torch.randn(500, 1, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model.classifier(hidden)
        one = model.classifier.to(torch.bfloat16)(hidden.bfloat16()).float()
        two = plain.classifier.to(torch.bfloat16)(hidden.bfloat16()).float()
    assert (two - exact).std() < 1.3 * (one - exact).std()


def test_weights_come_back_exactly(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert {name: value.shape for name, value in loaded.named_parameters()} == {
        name: value.shape for name, value in model.named_parameters()
    }
    for (name, found), expected in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(found, expected), name
    with torch.no_grad():
        assert torch.equal(loaded.eval()(IDS).logits, model(IDS).logits)


def test_a_saved_state_loads_in_place(model, tmp_path):
    """As the Trainer resumes and as it loads the best checkpoint."""
    model.save_pretrained(tmp_path)
    weights = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    other = copy.deepcopy(model)
    torch.nn.init.zeros_(other.classifier.projection.weight)
    result = other.load_state_dict(weights, strict=False)
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert torch.equal(other.classifier.projection.weight, model.classifier.projection.weight)
    assert "classifier.dense.weight" in weights


def test_pretrained_encoder_gets_a_fresh_head(discriminator_config, tmp_path):
    discriminator = ElectraForPreTraining(discriminator_config)
    discriminator.save_pretrained(tmp_path)
    model, info = ElectraForReferenceClassification.from_pretrained(tmp_path, num_labels=5, output_loading_info=True)
    assert all(name.startswith("classifier.") for name in info["missing_keys"])
    assert model.classifier.projection.weight.shape == (5, 32)
    hidden = discriminator.eval().electra(IDS).last_hidden_state
    torch.testing.assert_close(model.eval().electra(IDS).last_hidden_state, hidden)


def test_another_head_is_not_taken_for_ours(discriminator_config, tmp_path):
    plain = ElectraForSequenceClassification(discriminator_config)
    assert from_two_layers(plain.classifier.state_dict()) is None
    with pytest.raises(CheckpointError, match="--classification_head transformers"):
        ElectraForReferenceClassification.from_plain(plain)
    model = ElectraForReferenceClassification.from_plain(copy.deepcopy(plain), fresh_head=True)
    with pytest.raises(CheckpointError, match="--classification_head transformers"):
        model.load_state_dict(plain.state_dict())


def test_as_many_labels_as_there_are_pairs_of_units():
    weight, bias = torch.randn(16, 32), torch.randn(16)
    found = from_two_layers(to_two_layers(weight, bias))
    assert found is not None
    assert torch.equal(found[0], weight)
    assert torch.equal(found[1], bias)
    with pytest.raises(UsageError, match="17 labels: use --classification_head transformers"):
        to_two_layers(torch.randn(17, 32), torch.randn(17))


def test_too_many_labels_and_another_activation_are_refused_at_once(discriminator_config, convbert_config):
    discriminator_config.num_labels = 17
    with pytest.raises(UsageError, match="needs two of the 32 hidden units"):
        ElectraForReferenceClassification(discriminator_config)
    convbert_config.hidden_act = "relu"
    with pytest.raises(UsageError, match="relu: use --classification_head transformers"):
        ConvBertForReferenceClassification(convbert_config)
