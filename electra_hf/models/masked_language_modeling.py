"""Masked language modelling as BERT and RoBERTa do it: one encoder predicts the tokens that were hidden from it.

Devlin et al. 2018 (section 3.1), Liu et al. 2019. The head runs on the K masked positions only.

Shapes: batch (b), length (l), K slots of masked positions (k).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils.generic import ModelOutput

from electra_hf.models.configuration import MaskedLanguageModelingConfig
from electra_hf.models.pretraining_model import PretrainingModel


@dataclass
class MaskedLanguageModelingOutput(ModelOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () the sum over slots divided by its denominator.
        mlm_loss: () the same.
        mlm_loss_sum: () fp32, sum of the negative log-likelihoods over this batch's used slots.
        correct: (b, k) bool, the most likely token is the original, in a used slot.
    """

    loss: Tensor = None  # type: ignore[assignment]
    mlm_loss: Tensor = None  # type: ignore[assignment]
    mlm_loss_sum: Tensor = None  # type: ignore[assignment]
    correct: Tensor = None  # type: ignore[assignment]


class EncoderForMaskedLanguageModeling(PretrainingModel):
    """A masked language model of any family, with its loss over global denominators.

    Args:
        config: The encoder and the objective.
        masked_lm: A model to use instead of a freshly initialised one.
    """

    config: MaskedLanguageModelingConfig
    config_class = MaskedLanguageModelingConfig
    main_part = "masked_lm"
    has_generator = False
    main_is_masked_lm = True

    def __init__(self, config: MaskedLanguageModelingConfig, masked_lm: Any = None):
        super().__init__(config)
        self.masked_lm: Any = masked_lm or self.backbone.make_masked_lm(config.main_config, config.initialization)
        self._finish()

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(1,) used slots; see `PretrainingModel.count_items`."""
        return batch["masked_weights"].sum().float().unsqueeze(0)

    def forward(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> MaskedLanguageModelingOutput:
        """Predict the tokens at the masked positions.

        Args:
            input_ids: (b, l) int64, the text with the masked positions hidden.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to predict; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (1,) used slots over the whole optimiser step, all processes and accumulation steps;
                None takes this batch's own count.

        Returns:
            MaskedLanguageModelingOutput.
        """
        hidden = self.encode(self.masked_lm.base_model, input_ids, attention_mask, token_type_ids)
        targets = original_ids.gather(1, masked_positions)
        loss_sum, _, correct = self.predict_tokens(self.masked_lm, hidden, masked_positions, targets, masked_weights)
        loss = loss_sum / self.denominators(num_items_in_batch, masked_weights=masked_weights)[0]
        return MaskedLanguageModelingOutput(
            loss=self.weighted_loss({"mlm_loss": loss}),
            mlm_loss=loss.detach(),
            mlm_loss_sum=loss_sum.detach(),
            correct=correct & (masked_weights > 0),
        )
