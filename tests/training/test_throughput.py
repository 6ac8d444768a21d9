"""Analytic FLOPs against what torch counts."""

import pytest
from torch.utils.flop_counter import FlopCounterMode
from transformers import ElectraConfig

from electra_hf.models import ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.training.throughput import training_flops


def test_flops_equal_torchs_count(make_model, make_batch, discriminator_config):
    # Eager attention, because torch counts the recomputation inside fused attention as well.
    discriminator_config._attn_implementation = "eager"
    model, batch = make_model(), make_batch(rows=3)
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    rows, length = batch["input_ids"].shape
    expected = rows * training_flops(model.config, length, batch["masked_positions"].shape[1])
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_paper_small_costs_what_the_paper_says():
    """1.4e18 FLOPs for 1M steps of 128 x 128 tokens (paper, table 1), which count more than matrix products."""
    small = ElectraConfig()
    config = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(small, 0.25), discriminator_config=small
    )
    assert 1e6 * 128 * training_flops(config, 128, 19) == pytest.approx(1.4e18, rel=0.2)
