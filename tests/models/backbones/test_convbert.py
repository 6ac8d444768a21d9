"""ConvBERT: no padding in the convolutions, sizes that fit each other, and yitu's first weights."""

import pytest
import torch
from scipy import stats
from torch import nn
from transformers import ConvBertConfig, ConvBertForMaskedLM, ConvBertModel

from electra_hf.models import derive_generator_config
from electra_hf.models.backbones import BACKBONES, keep_padding_out
from electra_hf.models.configuration import impossible_size
from electra_hf.models.initialization import initialize_as_reference

SIZES = {
    "vocab_size": 90,
    "embedding_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture
def encoder() -> ConvBertModel:
    torch.manual_seed(0)
    model = ConvBertModel(ConvBertConfig(**SIZES, conv_kernel_size=5))
    for parameter in model.parameters():  # above all the bias of the convolved values must not be 0
        nn.init.normal_(parameter, mean=float(parameter.data.mean()), std=0.2)
    return model.eval()


def hidden(model: ConvBertModel, ids: torch.Tensor, padded: int) -> torch.Tensor:
    text = nn.functional.pad(ids, (0, padded - ids.size(1)))
    return model(text, attention_mask=(text > 0).long()).last_hidden_state[:, : ids.size(1)]


def test_padding_changes_nothing_and_transformers_computes_the_rest(encoder):
    ids = torch.randint(1, 90, (3, 9))
    expected, leaking = hidden(encoder, ids, 9), hidden(encoder, ids, 12)
    assert (expected - leaking).abs().max() > 1e-3, "transformers' class has the leak"
    names = set(encoder.state_dict())
    assert keep_padding_out(encoder) == 2
    assert set(encoder.state_dict()) == names
    for padded in (10, 12, 24):
        torch.testing.assert_close(hidden(encoder, ids, padded), expected, atol=1e-5, rtol=1e-5)


def test_a_mask_of_nothing_but_ones_gives_what_no_mask_gives(encoder):
    """The other forward pass, with a bias in the form of eager attention."""
    ids = torch.randint(1, 90, (3, 9))
    expected = encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    keep_padding_out(encoder)
    found = encoder(ids, attention_mask=torch.zeros(3, 1, 1, 9)).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(found)
    first, second = (
        torch.autograd.grad((output * weights).sum(), list(encoder.parameters())) for output in (expected, found)
    )
    for mine, theirs in zip(second, first, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize(("hidden_size", "heads", "ratio"), [(256, 4, 2), (384, 8, 2), (768, 12, 2), (768, 12, 4)])
@pytest.mark.parametrize("width", [0.1, 0.25, 1 / 3, 0.5])
def test_every_generator_is_one_that_transformers_can_build(hidden_size, heads, ratio, groups, width):
    sizes = {"hidden_size": hidden_size, "num_attention_heads": heads, "intermediate_size": 4 * hidden_size}
    config = ConvBertConfig(**{**SIZES, **sizes, "num_hidden_layers": 1}, head_ratio=ratio, num_groups=groups)
    generator = derive_generator_config(config, width)
    assert impossible_size(generator) is None
    assert generator.hidden_size == pytest.approx(hidden_size * width, rel=0.25)
    ids = torch.randint(1, 90, (2, 7))
    assert ConvBertForMaskedLM(generator)(ids).logits.isfinite().all()


def test_the_generator_with_one_head_halves_its_width_as_transformers_does():
    """yitu's code keeps the full width in both branches; AutoModel could not load that."""
    config = derive_generator_config(ConvBertConfig(**{**SIZES, "hidden_size": 256, "intermediate_size": 1024}), 0.25)
    attention = ConvBertModel(config).encoder.layer[0].attention.self
    assert (config.hidden_size, config.num_attention_heads, attention.num_attention_heads) == (64, 1, 1)
    assert attention.query.out_features == attention.conv_out_layer.out_features == 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 36, "num_attention_heads": 12, "head_ratio": 2}, None),
        ({"hidden_size": 30, "num_attention_heads": 5, "head_ratio": 1}, None),
        ({"hidden_size": 33, "num_attention_heads": 3, "head_ratio": 1}, "not a multiple of 6"),
        ({"num_groups": 3}, "num_groups 3"),
        ({"conv_kernel_size": 4}, "odd number"),
        ({"head_ratio": 0}, "head_ratio is 0"),
    ],
)
def test_impossible_sizes_are_named(change, words):
    problem = impossible_size(ConvBertConfig(**{**SIZES, **change}))
    assert problem is None if words is None else words in (problem or "")


def test_reference_initialization():
    torch.manual_seed(0)
    config = ConvBertConfig(
        **{**SIZES, "hidden_size": 256, "intermediate_size": 512, "embedding_size": 64}, num_groups=2
    )
    model = ConvBertModel(config)
    initialize_as_reference(model)
    layer = model.encoder.layer[0]
    keys = layer.attention.self.key_conv_attn_layer
    deviations = {keys.depthwise.weight: 1 / 9, keys.pointwise.weight: 0.02, layer.intermediate.dense.weight: 0.02}
    for weight, deviation in deviations.items():
        values = weight.detach().flatten().double() / deviation
        assert values.abs().max() <= 2
        assert stats.kstest(values.numpy(), stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    assert not keys.bias.any() and not layer.intermediate.dense.bias.any()


def test_the_backbone_cures_what_it_makes():
    backbone = BACKBONES["convbert"]
    model = backbone.make_masked_lm(ConvBertConfig(**SIZES))
    backbone.adapt(model)
    assert keep_padding_out(model) == 0, "done already"
