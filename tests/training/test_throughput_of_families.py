"""Analytic FLOPs of every family against what torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import set_seed
from transformers.models.convbert.modeling_convbert import ConvBertSelfAttention

from electra_hf.models import derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.throughput import training_flops

SIZES = {
    "vocab_size": 64,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
SPECIAL = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
FAMILIES = {
    "bert": ("bert", {}),
    "roberta": ("roberta", {"type_vocab_size": 1}),
    "convbert": ("convbert", {"embedding_size": 16, "conv_kernel_size": 5}),
    "convbert in groups": ("convbert", {"embedding_size": 48, "num_groups": 2, "head_ratio": 4}),
    "modernbert": ("modernbert", {**SPECIAL, "local_attention": 8}),
    "deberta-v2": (
        "deberta-v2", {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
    ),
    "deberta-v3": (
        "deberta-v2",
        {
            "relative_attention": True, "max_relative_positions": 12, "pos_att_type": ["c2p"], "share_att_key": True,
            "norm_rel_ebd": "layer_norm", "position_biased_input": False, "legacy": False,
        },
    ),
    "deberta without relative attention": ("deberta-v2", {"embedding_size": 16}),
}  # fmt: skip


@pytest.mark.parametrize("objective", ["rtd", "mlm"])
@pytest.mark.parametrize("family", FAMILIES)
def test_flops_equal_torchs_count(objective, family, make_batch):
    set_seed(0)
    model_type, sizes = FAMILIES[family]
    main = BACKBONES[model_type].config_class(**{**SIZES, **sizes})
    # Eager attention, because torch counts the recomputation inside fused attention as well.
    main._attn_implementation = "eager"
    model_class = OBJECTIVES[objective].model
    configs = {f"{model_class.main_part}_config": main}
    if model_class.has_generator:
        configs["generator_config"] = derive_generator_config(main)
    model, batch = model_class(model_class.config_class(**configs)), make_batch(rows=3)
    for module in model.modules():  # what torch does not count, products of the convolution that are no matrix's
        if isinstance(module, ConvBertSelfAttention):
            module.__class__ = ConvBertSelfAttention
    # The forward pass, since torch (2.13) counts the backward pass of grouped convolutions too high.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**batch)
    rows, length = batch["input_ids"].shape
    expected = rows * training_flops(model.config, length, batch["masked_positions"].shape[1], rows) / 3
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-3)
