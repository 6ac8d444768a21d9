"""The metrics of masked language modelling with a second loss for pairs of segments."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from electra_hf.models import SentencePairOutput
from electra_hf.training.metrics import MaskedLanguageModelingMeter, ratio


class NextSentenceMeter(MaskedLanguageModelingMeter):
    """mlm_loss, mlm_accuracy, nsp_loss and nsp_accuracy; the latter two over the rows that have a label."""

    sums = (*MaskedLanguageModelingMeter.sums, "pair_loss_sum", "pairs", "pairs_correct")
    prefix: ClassVar[str] = "nsp"

    @torch.no_grad()
    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, outputs: SentencePairOutput, batch: Mapping[str, Tensor]
    ) -> None:
        dtype, labelled = self.state.dtype, batch["next_sentence_label"] >= 0
        values = (
            *(outputs.mlm_loss_sum, batch["masked_weights"], outputs.correct, self._real(batch)),
            *(outputs.pair_loss_sum, labelled, outputs.pair_correct),
        )
        self.state.add_(torch.stack([value.sum(dtype=dtype) for value in values]))

    def describe(self, sums: dict[str, float], extra: Tensor) -> dict[str, float]:
        return {
            **super().describe(sums, extra),
            # Of no pairs, 0, which is what they add to the loss that is trained: the total stays a number.
            f"{self.prefix}_loss": sums["pair_loss_sum"] / max(1, sums["pairs"]),
            f"{self.prefix}_accuracy": ratio(sums["pairs_correct"], sums["pairs"]),
        }


class SentenceOrderMeter(NextSentenceMeter):
    """mlm_loss, mlm_accuracy, sop_loss and sop_accuracy."""

    prefix = "sop"
