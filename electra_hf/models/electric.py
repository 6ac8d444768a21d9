"""Electric: an energy-based cloze model, trained by noise-contrastive estimation.

Clark et al. 2020b, "Pre-Training Transformers as Energy-Based Cloze Models" (arXiv 2012.08561), as
google-research/electra runs it (`electric_objective`). For every token x_t the main encoder gives an energy E(x)_t,
and exp(-E(x)_t) is learnt to be p(x_t | all other tokens), normalised or nearly so. Noise comes from a two-tower cloze
model q: at k of the n positions of a text, tokens are drawn from it, and the encoder is trained to tell which ones
these are, *whether or not the token changed*, by

    p(noise at t) = sigmoid(E(x)_t + log q(x_t | other tokens of the original) + log(k / (n - k)))

with no gradient into q, which learns by maximum likelihood over all tokens that may be drawn.

Sign: the discriminator's logit *is the energy*. What it says for the likelihood of a token is minus its logit.

Deviations from the reference: k / (n - k) is counted in each row (algorithm 2 of the paper) where the reference takes
p / (1 - p) of the masking probability p, which rounding and short rows miss; and see `two_tower`.

Shapes: batch (b), length (l), K slots of masked positions (k), vocabulary (v), embedding (e).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils.generic import ModelOutput

from electra_hf.errors import UsageError
from electra_hf.models import checkpoint, fused
from electra_hf.models.backbones import backbone_of
from electra_hf.models.configuration import EncoderPass
from electra_hf.models.pretraining_model import real_tokens
from electra_hf.models.two_encoders import TwoEncoderConfig, TwoEncoderModel, put_samples, token_likelihoods
from electra_hf.models.two_tower import OTHER_FAMILIES, TOWER_FAMILIES, TwoTowerClozeModel

FORWARD_FOLDER, BACKWARD_FOLDER = "generator_forward", "generator_backward"


@strict
class ElectricConfig(TwoEncoderConfig):
    """Settings of Electric over two towers and an encoder of one family.

    Args:
        generator_config: Each of the two towers.
        discriminator_config: The encoder that gives energies.
        discriminator_weight: Weight of its loss (50, as in the paper).
        special_token_ids: Tokens that are never drawn, so that the generator need not predict them.
    """

    model_type = "electra_hf_electric"
    objectives = ("electric",)
    objective_fields = (*TwoEncoderConfig.objective_fields, "discriminator_weight", "special_token_ids")
    encoder_fields = ("generator_config", "discriminator_config")
    families, other_families = TOWER_FAMILIES, OTHER_FAMILIES
    main_weight_field, main_loss = "discriminator_weight", "nce_loss"

    discriminator_config: PreTrainedConfig | dict | None = None
    discriminator_weight: float | int = 50.0
    special_token_ids: list[int] = field(default_factory=list)

    @property
    def passes(self) -> list[EncoderPass]:
        tower: Any = self.generator_config
        return [
            EncoderPass(tower),
            EncoderPass(tower, vocabulary_positions="tokens", head_states=2, sample_positions="slots"),
            EncoderPass(self.main_config, detection_positions="tokens"),
        ]


@dataclass
class ElectricOutput(ModelOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () generator_weight * generator_loss + discriminator_weight * nce_loss.
        generator_loss: () negative log-likelihood of the two towers: the sum over candidates (real tokens that may be
            drawn) divided by its denominator.
        nce_loss: () the binary cross-entropy of noise or data: the sum over real tokens divided by its denominator.
        generator_loss_sum: () fp32, sum over this batch's candidates.
        nce_loss_sum: () fp32, sum over this batch's real tokens.
        generator_correct: (b, l) bool, the generator's most likely token is the original, at a candidate.
        candidates: (b, l) bool, the real tokens that may be drawn.
        sampled_ids: (b, k) int64, what was drawn for each slot (the original where a slot is unused).
        corrupted_ids: (b, l) int64, the discriminator's input.
        labels: (b, l) bool, True where the token was drawn.
        energies: (b, l) fp32, the discriminator's logits.
        logits: (b, l) fp32, log-odds of noise: energies + log q + log(k / (n - k)).
    """

    loss: Tensor = None  # type: ignore[assignment]
    generator_loss: Tensor = None  # type: ignore[assignment]
    nce_loss: Tensor = None  # type: ignore[assignment]
    generator_loss_sum: Tensor = None  # type: ignore[assignment]
    nce_loss_sum: Tensor = None  # type: ignore[assignment]
    generator_correct: Tensor = None  # type: ignore[assignment]
    candidates: Tensor = None  # type: ignore[assignment]
    sampled_ids: Tensor = None  # type: ignore[assignment]
    corrupted_ids: Tensor = None  # type: ignore[assignment]
    labels: Tensor = None  # type: ignore[assignment]
    energies: Tensor = None  # type: ignore[assignment]
    logits: Tensor = None  # type: ignore[assignment]


class ElectricForPreTraining(TwoEncoderModel):
    """Two towers and the encoder that learns energies.

    Saved are the encoder at the root (`ElectraForPreTraining`, or the encoder of another family), the towers in
    `generator_forward/` and `generator_backward/` as causal encoders that `AutoModel` loads (the second one is to be
    given reversed text with reversed `position_ids`), and the head of the towers, for which no class of transformers
    has a place, in `objective.safetensors`.

    Args:
        config: The encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        discriminator: Likewise.
    """

    config: ElectricConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = ElectricConfig
    main_part = "discriminator"
    main_is_masked_lm = False
    generator_folder = FORWARD_FOLDER
    discriminator: Any

    def make_generator(self) -> TwoTowerClozeModel:
        return TwoTowerClozeModel.make(
            cast(PreTrainedConfig, self.config.generator_config), self.config.initialization
        )

    @classmethod
    def load_generator(cls, name: str, subfolder: str = "", **kwargs: Any) -> TwoTowerClozeModel:
        """Both towers under a fresh head, which `load_extra_weights` replaces by the saved one.

        Raises:
            UsageError: If they are not those beside an encoder: their head would be missing.
            CheckpointError: If one of them cannot be loaded.
        """
        if subfolder != FORWARD_FOLDER:
            raise UsageError(
                "--generator_name_or_path cannot be used with --objective electric, whose generator is loaded with "
                "the whole model: give --model_name_or_path"
            )

        def choose(config: PreTrainedConfig) -> tuple[Any, dict[str, Any]]:
            return backbone_of(config).encoder_class, backbone_of(config).encoder_options

        kwargs = {"dtype": torch.float32, **kwargs}
        folders = (FORWARD_FOLDER, BACKWARD_FOLDER)
        return TwoTowerClozeModel(
            *(checkpoint.load_part(choose, name, subfolder=folder, **kwargs) for folder in folders)
        )

    @property
    def saved_parts(self) -> dict[str, str]:
        return {
            "": super().saved_parts[""],
            FORWARD_FOLDER: "generator.forward_tower",
            BACKWARD_FOLDER: "generator.backward_tower",
        }

    def _declare_ties(self) -> dict[str, str]:
        source = self.generator.forward_tower
        targets = (self.discriminator.base_model, self.generator.backward_tower)
        return {name: other for target in targets for name, other in self._ties_between(target, source).items()}

    def _give_shared_weights_to_generator(self) -> None:
        """The discriminator's; the backward tower's are fresh and follow by their tie."""
        ties = self._ties_between(self.discriminator.base_model, self.generator.forward_tower)
        with torch.no_grad():
            for target, source in ties.items():
                self.get_parameter(source).copy_(self.get_parameter(target))

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(2,) candidates and real tokens; see `PretrainingModel.count_items`."""
        ids = batch["original_ids"]
        real = real_tokens(ids, batch.get("attention_mask"))
        return torch.stack([self._candidates(ids, real > 0).sum().float(), real.sum().float()])

    def _candidates(self, ids: Tensor, real: Tensor) -> Tensor:
        """(b, l) bool, the real tokens that may be drawn."""
        for special in self.config.special_token_ids:
            real = real & (ids != special)
        return real

    def forward(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> ElectricOutput:
        """Draw, replace, judge.

        Args:
            input_ids: (b, l) int64, the text with masks, which this objective has no use for.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to draw tokens for; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (2,) candidates and real tokens over the whole optimiser step, all processes and
                accumulation steps; None takes this batch's own counts.

        Returns:
            ElectricOutput.
        """
        real = real_tokens(original_ids, attention_mask) > 0
        candidates = self._candidates(original_ids, real)
        predictions = self.generator(original_ids, attention_mask, token_type_ids)  # (b, l, e)
        weight, bias = self.generator.vocabulary
        cloze = token_likelihoods(predictions, weight, bias, original_ids, candidates.float())
        sampled, corrupted, log_q = self._draw(
            predictions, cloze.log_probabilities, original_ids, masked_positions, masked_weights
        )
        # Added, since unused slots point at position 0.
        drawn = torch.zeros_like(log_q).scatter_add(1, masked_positions, masked_weights.float()) > 0

        hidden = self.encode(self.discriminator.base_model, corrupted, attention_mask, token_type_ids)
        energies = self.discriminator.discriminator_predictions(hidden).float()  # (b, l)
        noise, tokens = drawn.sum(1, keepdim=True), real.sum(1, keepdim=True)
        prior = noise.clamp(min=1).float().log() - (tokens - noise).clamp(min=1).float().log()  # (b, 1)
        logits = energies + log_q + prior
        bce = F.binary_cross_entropy_with_logits(logits, drawn.float(), reduction="none")
        nce_loss_sum = (bce * real).sum()

        if num_items_in_batch is None:
            num_items_in_batch = torch.stack([candidates.sum(), real.sum()]).float()
        candidate_count, token_count = num_items_in_batch.clamp(min=1).unbind()
        parts = {"generator_loss": cloze.loss_sum / candidate_count, "nce_loss": nce_loss_sum / token_count}
        return ElectricOutput(
            loss=self.weighted_loss(parts),
            generator_loss=parts["generator_loss"].detach(),
            nce_loss=parts["nce_loss"].detach(),
            generator_loss_sum=cloze.loss_sum.detach(),
            nce_loss_sum=nce_loss_sum.detach(),
            generator_correct=cloze.correct & candidates,
            candidates=candidates,
            sampled_ids=sampled,
            corrupted_ids=corrupted,
            labels=drawn,
            energies=energies.detach(),
            logits=logits.detach(),
        )

    @torch.no_grad()
    def _draw(
        self,
        predictions: Tensor,
        log_probabilities: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Samples (b, k), the text that holds them (b, l), and log q of each of its tokens (b, l) fp32."""
        weight, bias = self.generator.vocabulary
        index = masked_positions.unsqueeze(-1).expand(-1, -1, predictions.size(-1))
        rows = predictions.gather(1, index)  # (b, k, e)
        targets = original_ids.gather(1, masked_positions)
        operations = self._encoder_operations(self.discriminator.base_model)
        drawn = fused.vocabulary_loss(
            rows.flatten(0, 1),
            weight,
            bias,
            targets.flatten(),
            masked_weights.flatten().float(),
            operations=operations or fused.TorchOperations(),
            seed=None if operations is None else fused.Seeds().next(),
        )
        sampled, corrupted = put_samples(
            original_ids, masked_positions, masked_weights, drawn.sampled.view_as(targets)
        )
        # The logits of a row differ from its log-probabilities by a constant, which is known from the original.
        difference = (rows.float() * (weight[sampled] - weight[targets]).float()).sum(-1)
        difference = difference + (bias[sampled] - bias[targets]).float()
        log_q = log_probabilities.scatter_add(1, masked_positions, difference * masked_weights.float())
        return sampled, corrupted, log_q
