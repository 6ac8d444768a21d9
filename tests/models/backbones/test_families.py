"""What a joint model asks of a family: masks, positions, generators, sizes, first weights."""

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    ConvBertConfig,
    DebertaV2Config,
    ElectraConfig,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedConfig,
    RobertaConfig,
    RobertaModel,
)

from electra_hf.errors import UsageError
from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)
from electra_hf.models.backbones import BACKBONES, EncoderWithDetectionHead
from electra_hf.models.configuration import impossible_size

SIZES = {
    "vocab_size": 64,
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
SPECIAL = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
RELATIVE = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}


def modernbert(**changes) -> ModernBertConfig:
    return ModernBertConfig(**{**SIZES, **SPECIAL, "local_attention": 8, **changes})


def rtd(discriminator: PreTrainedConfig, width: float | None = None, **settings) -> ElectraForReplacedTokenDetection:
    torch.manual_seed(0)
    generator = derive_generator_config(discriminator, width)
    return ElectraForReplacedTokenDetection(
        ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=discriminator, **settings)
    )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("padded", [True, False])
def test_modernberts_masks_are_those_of_transformers(attention, padded):
    torch.manual_seed(0)
    config = modernbert()
    config._attn_implementation = attention
    model = ModernBertModel(config).eval()
    ids = torch.randint(5, 64, (3, 24))
    mask = torch.ones_like(ids)
    mask[1, 15:] = mask[2, 4:] = 0
    expected = model(ids, attention_mask=mask if padded else None).last_hidden_state
    inputs = BACKBONES["modernbert"].encoder_inputs(model, mask if padded else None, None, ids)
    found = model(ids, **inputs).last_hidden_state
    real = mask.bool() if padded else torch.ones_like(ids).bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", [0, 1])
def test_robertas_positions_do_not_depend_on_what_the_generator_puts_in(padding):
    torch.manual_seed(0)
    config = RobertaConfig(**{**SIZES, "pad_token_id": padding}, type_vocab_size=1)
    model = RobertaModel(config, add_pooling_layer=False).eval()
    ids = torch.randint(5, 64, (2, 12))
    inputs = BACKBONES["roberta"].encoder_inputs(model, None, None, ids)
    torch.testing.assert_close(model(ids, **inputs).last_hidden_state, model(ids).last_hidden_state)
    assert BACKBONES["roberta"].usable_positions(config) == 39 - padding
    ids[0, 5] = padding  # a sample
    inputs = BACKBONES["roberta"].encoder_inputs(model, None, None, ids)
    assert inputs["position_ids"][0].tolist() == list(range(padding + 1, padding + 13))


@pytest.mark.parametrize(
    ("config", "width", "layers"),
    [
        (ElectraConfig(**SIZES), 12, 4),
        (BertConfig(**SIZES), 48, 2),
        (RobertaConfig(**SIZES), 48, 2),
        (modernbert(), 48, 2),
        (DebertaV2Config(**SIZES, **RELATIVE), 48, 2),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_the_generator_of_each_family(config, width, layers, caplog):
    generator = derive_generator_config(config)
    assert (generator.hidden_size, generator.num_hidden_layers) == (width, layers)
    assert not caplog.records, "half the depth is no generator that is too strong"
    assert impossible_size(generator) is None
    model = rtd(config)
    shared = BACKBONES[config.model_type].shared_parameters(model.discriminator.base_model, "all")
    for name in shared:
        parts = [half.base_model.get_parameter(name) for half in (model.generator, model.discriminator)]
        assert parts[0] is parts[1], name


def test_half_the_layers_of_modernbert_keep_their_pattern():
    config = modernbert(num_hidden_layers=6, global_attn_every_n_layers=2)
    generator = derive_generator_config(config)
    assert generator.layer_types == config.layer_types[:3]
    longer = derive_generator_config(config, 1.0, num_hidden_layers=8)
    assert longer.layer_types == [*config.layer_types, "full_attention", "sliding_attention"]


def test_a_narrower_generator_shares_only_embeddings_of_one_width():
    with pytest.raises(UsageError, match=r"same hidden_size.*embedding_sharing 'none'"):
        rtd(BertConfig(**SIZES), 0.5)
    assert rtd(BertConfig(**SIZES), 0.5, embedding_sharing="none").generator.config.hidden_size == 24
    model = rtd(DebertaV2Config(**SIZES, **RELATIVE), 0.5)
    assert model.generator.config.hidden_size == 24 and model.generator.config.embedding_size == 48
    embeddings = [half.base_model.embeddings for half in (model.generator, model.discriminator)]
    assert embeddings[0].word_embeddings.weight is embeddings[1].word_embeddings.weight
    assert embeddings[0].embed_proj.weight.shape == (24, 48)


def test_a_depth_of_ones_own(caplog):
    generator = derive_generator_config(ElectraConfig(**SIZES), 1.0, 0.25)
    assert (generator.hidden_size, generator.num_hidden_layers) == (48, 1) and not caplog.records
    assert derive_generator_config(BertConfig(**SIZES), 0.5).num_hidden_layers == 4
    with pytest.raises(UsageError, match="generator_depth is 2"):
        derive_generator_config(BertConfig(**SIZES), depth=2)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (modernbert(hidden_size=36), "twice its num_attention_heads 4"),
        (modernbert(mlp_dropout=1.5), "mlp_dropout is 1.5"),
        (modernbert(local_attention=1), "local_attention is 1"),
        (DebertaV2Config(**SIZES, pos_att_type=["c2c"]), "c2c"),
        (DebertaV2Config(**SIZES, embedding_size=16, legacy=False), "legacy=True"),
    ],
)
def test_impossible_sizes_are_named(config, words):
    assert words in (impossible_size(config) or "")


@pytest.mark.parametrize("model_type", ["roberta", "modernbert", "deberta-v2"])
def test_the_reference_of_other_families_is_what_transformers_draws(model_type):
    """Their encoders; the head that detects replaced tokens is ELECTRA's."""
    configs = {"roberta": RobertaConfig(**SIZES), "modernbert": modernbert(), "deberta-v2": DebertaV2Config(**SIZES)}
    backbone, states = BACKBONES[model_type], []
    for initialization in ("transformers", "reference"):
        torch.manual_seed(0)
        states.append(backbone.make_discriminator(configs[model_type], initialization))
    plain, ours = states
    assert isinstance(ours, EncoderWithDetectionHead)
    for name, value in plain.encoder.state_dict().items():
        assert torch.equal(value, ours.encoder.state_dict()[name]), name
    bound = (6 / 49) ** 0.5
    assert 0.1 < ours.discriminator_predictions.dense_prediction.weight.abs().max() <= bound
    assert ours.discriminator_predictions.dense.weight.abs().max() <= 0.04


def test_berts_reference_is_googles():
    torch.manual_seed(0)
    model = BACKBONES["bert"].make_masked_lm(BertConfig(**SIZES), "reference")
    weights = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    assert all(weight.abs().max() <= 0.04 for weight in weights)


@pytest.mark.parametrize(
    "config",
    [
        ConvBertConfig(**SIZES, embedding_size=16, conv_kernel_size=3),
        RobertaConfig(**SIZES, type_vocab_size=1),
        modernbert(),
        DebertaV2Config(**SIZES, **RELATIVE),
    ],
    ids=lambda config: config.model_type,
)
def test_a_step_is_one_graph(config, make_batch):
    """Nothing looks at a value on the host: torch.compile would have to break there."""
    torch.compiler.reset()
    config.num_hidden_layers = 2
    BACKBONES[config.model_type].settle(config, {})
    model, batch = rtd(config, temperature=1e-6).eval(), make_batch()
    expected = model(**batch).loss.detach()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(**batch).loss.detach(), expected, atol=1e-3, rtol=1e-4)
