"""Masked language modelling with a second loss for pairs of segments: next sentences (BERT) or their order (ALBERT).

Devlin et al. 2019 (section 3.1), Lan et al. 2020 (section 3.1). The pooled state of [CLS] tells the label of the pair.

Shapes: batch (b), length (l), K slots of masked positions (k).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import BertForPreTraining, PreTrainedModel

from electra_hf.errors import UsageError
from electra_hf.models import checkpoint
from electra_hf.models.backbones import backbone_of
from electra_hf.models.configuration import MaskedLanguageModelingConfig
from electra_hf.models.masked_language_modeling import EncoderForMaskedLanguageModeling, MaskedLanguageModelingOutput

NO_PAIR = -100  # of a row without a label
# The classes of transformers that have both heads.
PAIR_CLASSES: dict[str, type[PreTrainedModel]] = {"bert": BertForPreTraining}


def pair_class(model_type: str) -> type[PreTrainedModel]:
    """The class of a family that has a head over the vocabulary and one over pairs.

    Raises:
        UsageError: If transformers has none for this family.
    """
    if model_type not in PAIR_CLASSES:
        raise UsageError(
            f"there is no {model_type} model with a head for pairs of sentences: mlm_nsp and mlm_sop are for "
            f"--model_type {' or '.join(PAIR_CLASSES)}; for other families take --objective mlm"
        )
    return PAIR_CLASSES[model_type]


@strict
class SentencePairConfig(MaskedLanguageModelingConfig):
    """Settings of masked language modelling with next-sentence prediction or sentence order."""

    model_type = "electra_hf_sentence_pairs"
    objectives = ("mlm_nsp", "mlm_sop")

    def _check_encoders(self) -> None:
        super()._check_encoders()
        pair_class(self.main_config.model_type)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"mlm_loss": 1.0, f"{self.objective.removeprefix('mlm_')}_loss": 1.0}


@dataclass
class SentencePairOutput(MaskedLanguageModelingOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () mlm_loss + pair_loss.
        pair_loss: () the sum over pairs divided by its denominator.
        pair_loss_sum: () fp32, sum of the cross-entropies over this batch's pairs.
        pair_correct: (b,) bool, the more likely label is the right one, in a row with a label.
        seq_relationship_logits: (b, 2) fp32.
    """

    pair_loss: Tensor = None  # type: ignore[assignment]
    pair_loss_sum: Tensor = None  # type: ignore[assignment]
    pair_correct: Tensor = None  # type: ignore[assignment]
    seq_relationship_logits: Tensor = None  # type: ignore[assignment]


class EncoderForSentencePairs(EncoderForMaskedLanguageModeling):
    """`BertForPreTraining` with both losses over global denominators.

    Args:
        config: The encoder and the objective.
        masked_lm: A model to use instead of a freshly initialised one.
    """

    config: SentencePairConfig
    config_class = SentencePairConfig

    def __init__(self, config: SentencePairConfig, masked_lm: Any = None):
        if masked_lm is None:
            masked_lm = cast(Any, pair_class(config.main_config.model_type))(config.main_config)
            backbone_of(config.main_config).initialize(masked_lm, config.initialization)
        super().__init__(config, masked_lm)

    @classmethod
    def load_main(cls, name: str, **kwargs: Any) -> Any:
        """A model with both heads; see `checkpoint.load_part`."""
        return checkpoint.load_part(
            lambda config: (pair_class(config.model_type), {}), name, **{"dtype": torch.float32, **kwargs}
        )

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots and labelled pairs; see `PretrainingModel.count_items`."""
        pairs = (batch["next_sentence_label"] != NO_PAIR).sum()
        return torch.stack([batch["masked_weights"].sum().float(), pairs.float()])

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        next_sentence_label: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> SentencePairOutput:
        """Predict the tokens at the masked positions, and the label of each pair.

        Args:
            input_ids: (b, l) int64, the text with the masked positions hidden.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to predict; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            next_sentence_label: (b,) int64: 0 for segments in order, 1 for a random or an exchanged second one, -100
                for a row without a label.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (2,) used slots and labelled pairs over the whole optimiser step, all processes and
                accumulation steps; None takes this batch's own counts.

        Returns:
            SentencePairOutput.
        """
        encoder = self.masked_lm.base_model
        hidden = self.encode(encoder, input_ids, attention_mask, token_type_ids)  # (b, l, h)
        targets = original_ids.gather(1, masked_positions)
        mlm_loss_sum, _, correct = self.predict_tokens(
            self.masked_lm, hidden, masked_positions, targets, masked_weights
        )
        logits = self.masked_lm.cls.seq_relationship(encoder.pooler(hidden)).float()  # (b, 2)
        pair_loss_sum = F.cross_entropy(logits, next_sentence_label, ignore_index=NO_PAIR, reduction="sum")
        counts = self.denominators(
            num_items_in_batch, masked_weights=masked_weights, next_sentence_label=next_sentence_label
        )
        slots, pairs = counts.unbind()
        mlm_loss, pair_loss = mlm_loss_sum / slots, pair_loss_sum / pairs
        losses = zip(self.config.loss_weights, (mlm_loss, pair_loss), strict=True)
        return SentencePairOutput(
            loss=self.weighted_loss(dict(losses)),
            mlm_loss=mlm_loss.detach(),
            mlm_loss_sum=mlm_loss_sum.detach(),
            correct=correct & (masked_weights > 0),
            pair_loss=pair_loss.detach(),
            pair_loss_sum=pair_loss_sum.detach(),
            pair_correct=logits.argmax(1) == next_sentence_label,
            seq_relationship_logits=logits.detach(),
        )
