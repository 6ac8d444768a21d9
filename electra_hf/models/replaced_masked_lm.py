"""Masked language modelling on replaced instead of masked tokens: at the masked positions, or everywhere.

Two ablations of Clark et al. 2020 (section 3.5, table 5), between BERT and ELECTRA. A generator fills the masked
positions, as in replaced-token detection, and the main encoder never sees [MASK]:

* Replace MLM: it predicts the originals at those positions.
* All-Tokens MLM: it predicts the original at every position, and may copy its input: with the copy probability
  D = sigmoid(c), the distribution is D on the token of the input and (1 - D) times the softmax.

The paper gives no weights for the two losses; both are 1 unless an option says otherwise. What reaches the generator
from the main loss are the shared embeddings only.

Shapes: batch (b), length (l), K slots of masked positions (k), hidden (h).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils.generic import ModelOutput

from electra_hf.models.configuration import EncoderPass
from electra_hf.models.pretraining_model import real_tokens, slots_and_tokens
from electra_hf.models.two_encoders import SampledText, SampledTextConfig, TwoEncoderModel, token_likelihoods


@strict
class ReplacedMaskedLanguageModelingConfig(SampledTextConfig):
    """Settings of masked language modelling on replaced tokens over two encoders of one family.

    Args:
        masked_lm_config: The main encoder.
        main_weight: Weight of its loss.
    """

    model_type = "electra_hf_replace_mlm"
    objectives = ("replace_mlm",)
    objective_fields = (*SampledTextConfig.objective_fields, "main_weight")
    encoder_fields = ("generator_config", "masked_lm_config")
    main_weight_field, main_loss = "main_weight", "main_mlm_loss"

    masked_lm_config: PreTrainedConfig | dict | None = None
    main_weight: float | int = 1.0

    @property
    def passes(self) -> list[EncoderPass]:
        generator: Any = self.generator_config
        return [
            EncoderPass(generator, vocabulary_positions="slots"),
            EncoderPass(self.main_config, vocabulary_positions="slots"),
        ]


@strict
class AllTokensMaskedLanguageModelingConfig(ReplacedMaskedLanguageModelingConfig):
    """The same for a main encoder that predicts all tokens and may copy."""

    model_type = "electra_hf_all_tokens_mlm"
    objectives = ("all_tokens_mlm",)

    @property
    def passes(self) -> list[EncoderPass]:
        generator, _ = super().passes
        return [generator, EncoderPass(self.main_config, vocabulary_positions="tokens", copy_positions="tokens")]


@dataclass
class ReplacedMaskedLanguageModelingOutput(ModelOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () generator_weight * generator_loss + main_weight * main_mlm_loss.
        generator_loss: () the generator's masked-LM loss: the sum over slots divided by its denominator.
        main_mlm_loss: () the main encoder's: the sum over slots, or over real tokens, divided by its denominator.
        generator_loss_sum: () fp32, sum of the negative log-likelihoods over this batch's used slots.
        main_mlm_loss_sum: () fp32, the same of the main encoder, over slots or real tokens.
        generator_correct: (b, k) bool, the generator's most likely token is the original, in a used slot.
        main_correct: (b, k) bool, the same of the main encoder.
        sampled_ids: (b, k) int64, what the generator put into each slot (the original where a slot is unused).
        replaced_ids: (b, l) int64, the main encoder's input.
        token_correct: (b, l) bool, the main encoder's most likely token is the original, at a real token; None for
            Replace MLM.
        copy_logits: (b, l) fp32, log-odds of copying; None for Replace MLM.
    """

    loss: Tensor = None  # type: ignore[assignment]
    generator_loss: Tensor = None  # type: ignore[assignment]
    main_mlm_loss: Tensor = None  # type: ignore[assignment]
    generator_loss_sum: Tensor = None  # type: ignore[assignment]
    main_mlm_loss_sum: Tensor = None  # type: ignore[assignment]
    generator_correct: Tensor = None  # type: ignore[assignment]
    main_correct: Tensor = None  # type: ignore[assignment]
    sampled_ids: Tensor = None  # type: ignore[assignment]
    replaced_ids: Tensor = None  # type: ignore[assignment]
    token_correct: Tensor | None = None
    copy_logits: Tensor | None = None


class EncoderForReplacedMaskedLanguageModeling(TwoEncoderModel):
    """Replace MLM: two masked language models of one family, the second of which gets the samples of the first.

    Args:
        config: Both encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        masked_lm: Likewise the main encoder.
    """

    config: ReplacedMaskedLanguageModelingConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = ReplacedMaskedLanguageModelingConfig
    main_part = "masked_lm"
    main_is_masked_lm = True
    masked_lm: Any

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots, of either loss; see `PretrainingModel.count_items`."""
        return batch["masked_weights"].sum().float().expand(2)

    def forward(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> ReplacedMaskedLanguageModelingOutput:
        """Mask, fill, restore.

        Args:
            input_ids: (b, l) int64, the text with the masked positions hidden.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to fill; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (2,) what `count_items` counts, over the whole optimiser step, all processes and
                accumulation steps; None takes this batch's own counts.

        Returns:
            ReplacedMaskedLanguageModelingOutput.
        """
        text = self.sample_text(
            input_ids, original_ids, masked_positions, masked_weights, attention_mask, token_type_ids
        )
        hidden = self.encode(self.masked_lm.base_model, text.ids, attention_mask, token_type_ids)
        main_loss_sum, details = self._restore(
            hidden, text, original_ids, masked_positions, masked_weights, attention_mask
        )
        counts = self.denominators(
            num_items_in_batch, masked_weights=masked_weights, input_ids=input_ids, attention_mask=attention_mask
        )
        slots, predicted = counts.unbind()
        parts = {"generator_loss": text.loss_sum / slots, "main_mlm_loss": main_loss_sum / predicted}
        return ReplacedMaskedLanguageModelingOutput(
            loss=self.weighted_loss(parts),
            generator_loss=parts["generator_loss"].detach(),
            main_mlm_loss=parts["main_mlm_loss"].detach(),
            generator_loss_sum=text.loss_sum.detach(),
            main_mlm_loss_sum=main_loss_sum.detach(),
            generator_correct=text.correct,
            sampled_ids=text.sampled_ids,
            replaced_ids=text.ids,
            **details,
        )

    def _restore(
        self,
        hidden: Tensor,
        text: SampledText,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The main encoder's loss sum, and what else of the output it knows."""
        targets = original_ids.gather(1, masked_positions)
        loss_sum, _, correct = self.predict_tokens(self.masked_lm, hidden, masked_positions, targets, masked_weights)
        return loss_sum, {"main_correct": correct & (masked_weights > 0)}


class EncoderForAllTokensMaskedLanguageModeling(EncoderForReplacedMaskedLanguageModeling):
    """All-Tokens MLM: Replace MLM at every position, with a copy mechanism.

    The layer of the copy probability, for which no class of transformers has a place, is in `objective.safetensors`.
    """

    config: AllTokensMaskedLanguageModelingConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = AllTokensMaskedLanguageModelingConfig

    def add_heads(self) -> None:
        self.copy_head = nn.Linear(self.config.hidden_size, 1)
        nn.init.normal_(self.copy_head.weight, std=getattr(self.config.main_config, "initializer_range", 0.02))
        nn.init.zeros_(self.copy_head.bias)

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots and real tokens; see `PretrainingModel.count_items`."""
        return slots_and_tokens(batch)

    def _restore(
        self,
        hidden: Tensor,
        text: SampledText,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        copy_logits = self.copy_head(hidden).squeeze(-1).float()  # (b, l)
        weights = real_tokens(copy_logits, attention_mask)
        likelihoods = token_likelihoods(
            self.backbone.transform(self.masked_lm, hidden),
            *self.backbone.vocabulary(self.masked_lm),
            original_ids,
            weights,
            inputs=text.ids,
            copy_logits=copy_logits,
        )
        correct = likelihoods.correct & (weights > 0)
        return likelihoods.loss_sum, {
            "main_correct": correct.gather(1, masked_positions) & (masked_weights > 0),
            "token_correct": correct,
            "copy_logits": copy_logits.detach(),
        }
