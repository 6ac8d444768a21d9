"""ELECTRA 15 %: replaced-token detection whose loss comes from the masked positions only.

An ablation of Clark et al. 2020 (section 3.5, table 5): it measures what a loss on all tokens is worth.
"""

from collections.abc import Mapping

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor

from electra_hf.models.replaced_token_detection import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig


@strict
class MaskedTokenDetectionConfig(ReplacedTokenDetectionConfig):
    """Settings as for replaced-token detection."""

    model_type = "electra_hf_electra_15"
    objectives = ("electra_15",)


class ElectraForMaskedTokenDetection(ElectraForReplacedTokenDetection):
    """`ElectraForReplacedTokenDetection` whose discriminator learns from the masked positions, replaced or not."""

    config: MaskedTokenDetectionConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = MaskedTokenDetectionConfig

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots, twice; see `PretrainingModel.count_items`."""
        return batch["masked_weights"].sum().float().expand(2)

    def judged_tokens(
        self, like: Tensor, masked_positions: Tensor, masked_weights: Tensor, attention_mask: Tensor | None
    ) -> Tensor:
        # Added, since unused slots point at position 0.
        return torch.zeros_like(like).scatter_add(1, masked_positions, masked_weights.to(like.dtype))
