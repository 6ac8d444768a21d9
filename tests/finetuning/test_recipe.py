"""Learning rates by layer against values computed by hand, for every architecture."""

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    ConvBertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
)

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuningArguments
from electra_hf.finetuning.recipe import (
    encoder_size,
    layerwise_factors,
    parameter_depth,
    resolve_recipe,
    split_groups,
)

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip
# d = 0.5, three layers: head, top layer, middle, bottom, embeddings
BY_HAND = {"paper": (1.0, 0.5, 0.25, 0.125, 0.0625), "reference": (1.0, 0.25, 0.125, 0.0625, 0.03125)}
NAMES = {
    "electra": (
        ElectraConfig(embedding_size=16, **SIZES),
        [("classifier.dense.weight", 0), ("classifier.out_proj.bias", 0)],
        "electra.encoder.layer.{}.output.LayerNorm.weight",
        ["electra.embeddings.word_embeddings.weight", "electra.embeddings_project.weight"],
    ),
    "bert": (
        BertConfig(**SIZES),
        [("classifier.weight", 0), ("bert.pooler.dense.weight", 0)],
        "bert.encoder.layer.{}.attention.self.query.weight",
        ["bert.embeddings.position_embeddings.weight", "bert.embeddings.LayerNorm.bias"],
    ),
    "roberta": (
        RobertaConfig(**SIZES),
        [("classifier.dense.weight", 0)],
        "roberta.encoder.layer.{}.intermediate.dense.weight",
        ["roberta.embeddings.word_embeddings.weight"],
    ),
    "convbert": (
        ConvBertConfig(embedding_size=16, **SIZES),
        [("classifier.out_proj.weight", 0)],
        "convbert.encoder.layer.{}.attention.self.key_conv_attn_layer.bias",
        ["convbert.embeddings.word_embeddings.weight", "convbert.embeddings_project.bias"],
    ),
    "deberta-v2": (
        DebertaV2Config(relative_attention=True, norm_rel_ebd="layer_norm", conv_kernel_size=3, **SIZES),
        [("classifier.weight", 0), ("pooler.dense.weight", 0), ("deberta.encoder.conv.conv.weight", 3)],
        "deberta.encoder.layer.{}.attention.self.query_proj.weight",
        ["deberta.encoder.rel_embeddings.weight", "deberta.encoder.LayerNorm.weight"],
    ),
    "modernbert": (
        ModernBertConfig(**SIZES),
        [("classifier.weight", 0), ("head.dense.weight", 0), ("model.final_norm.weight", 1)],
        "model.layers.{}.mlp.Wi.weight",
        ["model.embeddings.tok_embeddings.weight"],
    ),
    "distilbert": (
        DistilBertConfig(vocab_size=64, dim=32, n_layers=3, n_heads=4, hidden_dim=64),
        [("classifier.weight", 0), ("pre_classifier.weight", 0)],
        "distilbert.transformer.layer.{}.sa_layer_norm.weight",
        ["distilbert.embeddings.position_embeddings.weight"],
    ),
}


@pytest.mark.parametrize("mode", BY_HAND)
@pytest.mark.parametrize("family", NAMES)
def test_rates_equal_those_by_hand(family, mode):
    config, heads, layer, embeddings = NAMES[family]
    model = AutoModelForSequenceClassification.from_config(config)
    factors = layerwise_factors(model, 0.5, mode)
    assert factors.keys() == {name for name, _ in model.named_parameters()}
    by_hand = BY_HAND[mode]
    for name, below in heads:
        assert factors[name] == by_hand[below], name
    assert [factors[layer.format(number)] for number in (2, 1, 0)] == list(by_hand[1:4])
    for name in embeddings:
        assert factors[name] == by_hand[4], name


def test_values_of_a_small_electra():
    """Paper: d = 0.8 and 12 layers; google's code multiplies once more below the head (model/optimization.py)."""
    model = AutoModelForSequenceClassification.from_config(ElectraConfig(**{**SIZES, "num_hidden_layers": 12}))
    for mode, top, bottom, embeddings in (
        ("paper", 0.8, 0.068719476736, 0.0549755813888),
        ("reference", 0.64, 0.0549755813888, 0.04398046511104),
    ):
        factors = layerwise_factors(model, 0.8, mode)
        assert factors["classifier.dense.weight"] == 1
        assert factors["electra.encoder.layer.11.output.dense.weight"] == pytest.approx(top, rel=1e-12)
        assert factors["electra.encoder.layer.0.output.dense.weight"] == pytest.approx(bottom, rel=1e-12)
        assert factors["electra.embeddings.word_embeddings.weight"] == pytest.approx(embeddings, rel=1e-12)


def test_an_unknown_name_is_an_error():
    with pytest.raises(UsageError, match=r"which layer is blocks.3.mlp.weight\? Use --layerwise_lr_decay 1"):
        parameter_depth("blocks.3.mlp.weight", 12)
    with pytest.raises(UsageError, match="which layer is bert.encoder.adapter.weight"):
        parameter_depth("bert.encoder.adapter.weight", 12, "bert")


def test_names_of_wrapped_models():
    for wrapped in ("module.electra.encoder.layer.4.output.dense.bias", "_orig_mod.electra.encoder.layer.4.x"):
        assert parameter_depth(wrapped, 12, "electra") == 5


def test_groups_keep_their_settings_and_start_with_the_head():
    first, second, third = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    groups = [
        {"params": [first, second], "lr": 0.1, "weight_decay": 0.01},
        {"params": [third], "lr": 0.1, "weight_decay": 0.0},
    ]
    split = split_groups(groups, {first: 0.5, second: 0.25, third: 1.0})
    assert [(group["params"], group["lr"], group["weight_decay"]) for group in split] == [
        ([third], 0.1, 0.0), ([first], 0.05, 0.01), ([second], 0.025, 0.01)
    ]  # fmt: skip
    for wrong in ({first: 1.0}, {first: 1.0, second: 1.0, third: 1.0, torch.nn.Parameter(torch.zeros(1)): 1.0}):
        with pytest.raises(UsageError, match="arranges the parameters by itself"):
            split_groups(groups, wrong)


@pytest.mark.parametrize(
    ("hidden", "size", "rate", "decay"),
    [(256, "small", 3e-4, 0.8), (768, "base", 1e-4, 0.8), (1024, "large", 5e-5, 0.9)],
)
def test_what_the_size_decides(tmp_path, hidden, size, rate, decay):
    config = ElectraConfig(hidden_size=hidden, num_hidden_layers=12)
    args = FinetuningArguments(output_dir=str(tmp_path))
    resolved, lines = resolve_recipe(args, config, task_epochs=10)
    assert encoder_size(config) == size
    assert (resolved.learning_rate, resolved.layerwise_lr_decay, resolved.num_train_epochs) == (rate, decay, 10)
    assert (args.learning_rate, args.layerwise_lr_decay, args.num_train_epochs) == (None, None, None)
    text = "\n".join(lines)
    assert f"learning rate {rate:g} (the paper's for {size} encoders" in text
    assert f"layer-wise decay {decay:g}, mode paper" in text
    assert f"embeddings at {rate * decay**13:.3g}" in text
    assert "10 epochs" in text
    assert "32 examples a step" in text


def test_what_was_given_stays(tmp_path):
    args = FinetuningArguments(
        output_dir=str(tmp_path), learning_rate=2e-5, layerwise_lr_decay=1.0, num_train_epochs=1, warmup_steps=7
    )
    resolved, lines = resolve_recipe(args, ElectraConfig(), task_epochs=3)
    assert (resolved.learning_rate, resolved.layerwise_lr_decay, resolved.num_train_epochs) == (2e-5, 1.0, 1)
    assert lines[0] == "learning rate 2e-05 (as given)"
    assert lines[1] == "no layer-wise decay (as given)"
    assert "7 steps of warm-up" in lines[3]
