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
from torch import Tensor
from transformers.utils.generic import ModelOutput

from electra_hf.models import checkpoint, straight_through
from electra_hf.models.configuration import ReplacedTokenDetectionConfig
from electra_hf.models.embedding_sharing import disentangle
from electra_hf.models.fused import VocabularyLoss
from electra_hf.models.pretraining_model import PretrainingModel, real_tokens
from electra_hf.models.temperatures import Temperatures


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


class ElectraForReplacedTokenDetection(PretrainingModel):
    """Generator and discriminator with one joint loss.

    For ELECTRA they are an `ElectraForMaskedLM` and an `ElectraForPreTraining`; for other families the masked language
    model of the family, and its encoder under ELECTRA's head.

    Args:
        config: Both encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        discriminator: Likewise. If one of the two is given, the fresh one takes over the weights that both share.
    """

    config: ReplacedTokenDetectionConfig
    config_class = ReplacedTokenDetectionConfig
    main_part = "discriminator"
    has_generator = True
    main_is_masked_lm = False

    def __init__(self, config: ReplacedTokenDetectionConfig, generator: Any = None, discriminator: Any = None):
        super().__init__(config)
        generator_config, discriminator_config = config.encoders
        fresh = self.backbone
        self.generator: Any = generator or fresh.make_masked_lm(generator_config, config.initialization)
        self.discriminator: Any = discriminator or fresh.make_discriminator(
            discriminator_config, config.initialization
        )
        if generator is not None and discriminator is not None:
            self._check_shared_weights_agree()
        elif discriminator is not None:
            self._give_shared_weights_to_generator()
        if config.embedding_sharing == "gdes":
            encoder = self.discriminator.base_model
            names = fresh.disentangled_embeddings(encoder)
            fresh_parts = (generator is None, discriminator is None)
            disentangle(self.generator.base_model, encoder, names, fresh=fresh_parts)
        self.temperatures = Temperatures.of(config)
        if config.freeze_generator:
            self.generator.requires_grad_(False)
        self._finish()

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

    def _declare_ties(self) -> dict[str, str]:
        """{discriminator's parameter: generator's parameter} for the sharing mode of the configuration."""
        encoders = (self.discriminator.base_model, self.generator.base_model)
        modules = {module: name for name, module in self.named_modules()}
        target, source = (modules[encoder] for encoder in encoders)
        names = self.backbone.shared_parameters(encoders[0], self.config.embedding_sharing)
        return {f"{target}.{name}": f"{source}.{name}" for name in names}

    def _check_shared_weights_agree(self) -> None:
        for target, source in self._declare_ties().items():
            if not torch.equal(self.get_parameter(target), self.get_parameter(source)):
                raise checkpoint.disagreeing_embeddings(target, source)

    @torch.no_grad()
    def _give_shared_weights_to_generator(self) -> None:
        # Ties make the generator's weights those of both.
        for target, source in self._declare_ties().items():
            self.get_parameter(source).copy_(self.get_parameter(target))

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) used slots and real tokens; see `PretrainingModel.count_items`."""
        slots, mask = batch["masked_weights"].sum(), batch.get("attention_mask")
        ids = batch["input_ids"]
        tokens = torch.full((), ids.numel(), device=ids.device) if mask is None else mask.sum()
        return torch.stack([slots.float(), tokens.float()])

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

        with torch.no_grad():
            # Unused slots write the original of position 0 over itself, however many there are.
            sampled = torch.where(used, sampled, targets)
            corrupted = original_ids.scatter(1, masked_positions, sampled)
            labels = corrupted != original_ids

        words = self._embed_with_feedback(corrupted, masked_positions, used, perturbed)
        hidden = self.encode(self.discriminator.base_model, corrupted, attention_mask, token_type_ids, words)
        logits = self.discriminator.discriminator_predictions(hidden).float()  # (b, l)
        bce = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        rtd_loss_sum = (bce * self.judged_tokens(bce, masked_positions, masked_weights, attention_mask)).sum()

        if num_items_in_batch is None:
            num_items_in_batch = self.count_items(
                {"masked_weights": masked_weights, "input_ids": input_ids}
                | ({} if attention_mask is None else {"attention_mask": attention_mask})
            )
        slots, tokens = num_items_in_batch.clamp(min=1).unbind()
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
