"""ELECTRA's pre-training model: a generator corrupts the text, a discriminator finds the replaced tokens.

Algorithm: Clark et al. 2020, section 2, as google-research/electra runs it (run_pretraining.py). Left out on purpose:
the reference's quirk of adding up the ids of positions drawn twice (positions are drawn without replacement here).

Shapes: batch (b), length (l), K slots of masked positions (k), vocabulary (v), hidden (h). K is fixed for a length, so
the vocabulary projection runs on (b, k) positions and never on (b, l), and the whole step has static shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils.generic import ModelOutput

from electra_hf.models import straight_through
from electra_hf.models.configuration import EncoderPass
from electra_hf.models.embedding_sharing import disentangle
from electra_hf.models.fused import VocabularyLoss
from electra_hf.models.pretraining_model import real_tokens, slots_and_tokens
from electra_hf.models.sampling_settings import SAMPLING_FIELDS, check_sampling
from electra_hf.models.temperatures import Temperatures
from electra_hf.models.two_encoders import SampledTextConfig, TwoEncoderModel, put_samples


@strict
class ReplacedTokenDetectionConfig(SampledTextConfig):
    """Settings of replaced-token detection over two encoders of one family.

    Args:
        generator_config: Encoder that fills the masked positions (an `ElectraConfig`, or its dictionary).
        discriminator_config: Encoder that detects the replaced tokens.
        embedding_sharing: `all` shares word, position and token type embeddings and the embedding LayerNorm, as the
            paper and google-research/electra do; `word` shares the word embeddings only; `none` shares nothing;
            `gdes` adds a learned difference to the generator's word and position embeddings (`embedding_sharing`).
        generator_weight: Weight of the generator's masked-LM loss (paper: 1).
        discriminator_weight: Weight of the discriminator's loss, lambda in the paper (50).
        sampler: `gumbel` (argmax of logits plus Gumbel noise, fp32), `multinomial`, or `gumbel_softmax`, which samples
            as `gumbel` does and lets the discriminator's loss reach the generator (`straight_through`).
        temperature: Divides the generator's logits before sampling.
        temperature_schedule: `constant`, or `exponential`: from `temperature` at the beginning towards 1.
        temperature_decay: Time constant of `exponential` as a share of the run (None: 0.1).
        disallow_correct: Never sample the original token.
        generator_feedback: For `gumbel_softmax`, the factor of the gradient that reaches the generator.
        gumbel_temperature: For `gumbel_softmax`, the temperature of the soft choice (at the beginning).
        gumbel_temperature_end: At the end of the run, unless it is constant.
        gumbel_temperature_schedule: `constant`, `linear` or `exponential` (geometric) in between.
        freeze_generator: The generator is not trained, and has no dropout.
    """

    model_type = "electra_rtd"
    objectives = ("rtd",)
    objective_fields = (*SampledTextConfig.objective_fields, "discriminator_weight", *SAMPLING_FIELDS)
    encoder_fields = ("generator_config", "discriminator_config")

    main_weight_field, main_loss = "discriminator_weight", "rtd_loss"
    sharing = (*SampledTextConfig.sharing, "gdes")
    samplers = (*SampledTextConfig.samplers, "gumbel_softmax")

    discriminator_config: PreTrainedConfig | dict | None = None
    discriminator_weight: float | int = 50.0
    temperature_schedule: str = "constant"
    temperature_decay: float | int | None = None
    generator_feedback: float | int = 1.0
    gumbel_temperature: float | int = 1.0
    gumbel_temperature_end: float | int | None = None
    gumbel_temperature_schedule: str = "constant"
    freeze_generator: bool = False

    def __post_init__(self, **kwargs: Any):
        super().__post_init__(**kwargs)
        check_sampling(self)

    @property
    def encoders(self) -> tuple[Any, Any]:
        """Generator and discriminator, once both are set."""
        return self.generator_config, self.discriminator_config

    @property
    def has_feedback(self) -> bool:
        """Whether the discriminator's loss reaches the generator."""
        return self.sampler == "gumbel_softmax" and self.generator_feedback != 0

    @property
    def loss_weights(self) -> dict[str, float]:
        # Without super(), which torch.compile cannot look into here.
        if self.freeze_generator:
            return {"rtd_loss": self.discriminator_weight}
        return {"generator_loss": self.generator_weight, "rtd_loss": self.discriminator_weight}

    @property
    def passes(self) -> list[EncoderPass]:
        generator, discriminator = self.encoders
        return [
            EncoderPass(
                generator,
                vocabulary_positions="slots",
                is_trained=not self.freeze_generator,
                soft_positions="slots" if self.has_feedback else None,
            ),
            EncoderPass(discriminator, detection_positions="tokens"),
        ]


@dataclass
class ReplacedTokenDetectionOutput(ModelOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () generator_weight * generator_loss + discriminator_weight * rtd_loss.
        generator_loss: () masked-LM loss: the sum over slots divided by its denominator.
        rtd_loss: () replaced-token detection loss: the sum over real tokens divided by its denominator.
        generator_loss_sum: () fp32, sum of the negative log-likelihoods over this batch's used slots.
        rtd_loss_sum: () fp32, sum of the binary cross-entropies over this batch's real tokens.
        generator_correct: (b, k) bool, the generator's most likely token is the original, in a used slot.
        sampled_ids: (b, k) int64, what the generator put into each slot (the original where a slot is unused).
        corrupted_ids: (b, l) int64, the discriminator's input.
        labels: (b, l) bool, True where the token differs from the original.
        logits: (b, l) fp32, the discriminator's score that the token was replaced.
    """

    loss: Tensor = None  # type: ignore[assignment]
    generator_loss: Tensor = None  # type: ignore[assignment]
    rtd_loss: Tensor = None  # type: ignore[assignment]
    generator_loss_sum: Tensor = None  # type: ignore[assignment]
    rtd_loss_sum: Tensor = None  # type: ignore[assignment]
    generator_correct: Tensor = None  # type: ignore[assignment]
    sampled_ids: Tensor = None  # type: ignore[assignment]
    corrupted_ids: Tensor = None  # type: ignore[assignment]
    labels: Tensor = None  # type: ignore[assignment]
    logits: Tensor = None  # type: ignore[assignment]


class ElectraForReplacedTokenDetection(TwoEncoderModel):
    """Generator and discriminator with one joint loss.

    For ELECTRA they are an `ElectraForMaskedLM` and an `ElectraForPreTraining`; for other families the masked language
    model of the family, and its encoder under ELECTRA's head.

    Args:
        config: Both encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        discriminator: Likewise. If one of the two is given, the fresh one takes over the weights that both share.
    """

    config: ReplacedTokenDetectionConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = ReplacedTokenDetectionConfig
    main_part = "discriminator"
    main_is_masked_lm = False
    discriminator: Any

    def settle_parts(self, fresh: tuple[bool, bool]) -> None:
        if self.config.embedding_sharing == "gdes":
            encoder = self.discriminator.base_model
            names = self.backbone.disentangled_embeddings(encoder)
            disentangle(self.generator.base_model, encoder, names, fresh=fresh)
        self.temperatures = Temperatures.of(self.config)
        if self.config.freeze_generator:
            self.generator.requires_grad_(False)

    def train(self, mode: bool = True) -> "ElectraForReplacedTokenDetection":
        """Set the mode; a frozen generator stays in evaluation, without dropout."""
        super().train(mode)
        if self.config.freeze_generator:
            self.generator.eval()
        return self

    def set_progress(self, progress: float) -> None:
        self.temperatures.set_progress(progress)

    @property
    def scheduled(self) -> dict[str, float]:
        return self.temperatures.changing

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots and real tokens; see `PretrainingModel.count_items`."""
        return slots_and_tokens(batch)

    def judged_tokens(
        self, like: Tensor, masked_positions: Tensor, masked_weights: Tensor, attention_mask: Tensor | None
    ) -> Tensor:
        """(b, l) in the dtype of `like`: 1 for the tokens that the discriminator's loss comes from."""
        return real_tokens(like, attention_mask)

    def forward(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> ReplacedTokenDetectionOutput:
        """Mask, fill, detect.

        Args:
            input_ids: (b, l) int64, the text with the masked positions hidden.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to predict; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (2,) used slots and real tokens over the whole optimiser step, all processes and
                accumulation steps; None takes this batch's own counts.

        Returns:
            ReplacedTokenDetectionOutput.
        """
        config = self.config
        targets = original_ids.gather(1, masked_positions)  # (b, k)
        used = masked_weights > 0

        with torch.set_grad_enabled(torch.is_grad_enabled() and not config.freeze_generator):
            hidden = self.encode(self.generator.base_model, input_ids, attention_mask, token_type_ids)  # (b, l, h)
            predictions, perturbed = self._fill(hidden, masked_positions, targets, masked_weights)
        generator_loss_sum, sampled, correct = predictions

        sampled, corrupted = put_samples(original_ids, masked_positions, masked_weights, sampled)
        labels = corrupted != original_ids

        words = self._embed_with_feedback(corrupted, masked_positions, used, perturbed)
        hidden = self.encode(self.discriminator.base_model, corrupted, attention_mask, token_type_ids, words)
        logits = self.discriminator.discriminator_predictions(hidden).float()  # (b, l)
        bce = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        rtd_loss_sum = (bce * self.judged_tokens(bce, masked_positions, masked_weights, attention_mask)).sum()

        counts = self.denominators(
            num_items_in_batch, masked_weights=masked_weights, input_ids=input_ids, attention_mask=attention_mask
        )
        slots, tokens = counts.unbind()
        parts = {"generator_loss": generator_loss_sum / slots, "rtd_loss": rtd_loss_sum / tokens}
        return ReplacedTokenDetectionOutput(
            loss=self.weighted_loss(parts),
            generator_loss=parts["generator_loss"].detach(),
            rtd_loss=parts["rtd_loss"].detach(),
            generator_loss_sum=generator_loss_sum.detach(),
            rtd_loss_sum=rtd_loss_sum.detach(),
            generator_correct=correct & used,
            sampled_ids=sampled,
            corrupted_ids=corrupted,
            labels=labels,
            logits=logits.detach(),
        )

    def _fill(
        self, hidden: Tensor, positions: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[VocabularyLoss, Tensor | None]:
        """What the generator says about (b, k) positions, and for `gumbel_softmax` the perturbed logits (b, k, v)."""
        config, temperature = self.config, self.temperatures.of_samples()
        if config.sampler == "gumbel_softmax":
            logits = self.token_logits(self.generator, hidden, positions)
            disallowed = targets if config.disallow_correct else None
            return straight_through.predict(logits, targets, weights, temperature, disallowed)
        predictions = self.predict_tokens(
            self.generator,
            hidden,
            positions,
            targets,
            weights,
            sampler=config.sampler,
            temperature=temperature,
            disallow_correct=config.disallow_correct,
        )
        return predictions, None

    def _embed_with_feedback(
        self, corrupted: Tensor, positions: Tensor, used: Tensor, perturbed: Tensor | None
    ) -> Tensor | None:
        """(b, l, e) embeddings of the corrupted text that carry gradients to the generator; None if none is wanted."""
        if perturbed is None or not self.config.has_feedback or not torch.is_grad_enabled():
            return None
        encoder = self.discriminator.base_model
        embedding = encoder.get_submodule(self.backbone.word_embeddings_name)
        zeros = straight_through.feedback(
            perturbed,
            embedding.weight,
            self.temperatures.of_soft_choice(),
            self.config.generator_feedback,
        )
        words = embedding(corrupted)
        index = positions.unsqueeze(-1).expand_as(zeros)
        return words.scatter_add(1, index, (zeros * used.unsqueeze(-1)).to(words.dtype))
