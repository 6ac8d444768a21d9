"""What the objectives with a generator and a main encoder have in common.

Shapes: batch (b), length (l), K slots of masked positions (k).
"""

import math
from typing import Any, ClassVar, NamedTuple, cast

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import PreTrainedConfig

from electra_hf.errors import UsageError
from electra_hf.models import checkpoint, fused
from electra_hf.models.configuration import PretrainingConfig, check_choice, check_pair
from electra_hf.models.pretraining_model import PretrainingModel


@strict
class TwoEncoderConfig(PretrainingConfig):
    """Settings of a generator and a main encoder of one family.

    Args:
        generator_config: The generator (a configuration of its family, or its dictionary).
        embedding_sharing: `all` shares word, position and token type embeddings and the embedding LayerNorm, `word`
            the word embeddings only, `none` nothing.
        generator_weight: Weight of the generator's loss.
    """

    objective_fields = (*PretrainingConfig.objective_fields, "embedding_sharing", "generator_weight")
    # The choices there are; the weight of the main encoder's loss, and the loss as it is logged.
    sharing: ClassVar[tuple[str, ...]] = ("all", "word", "none")
    main_weight_field: ClassVar[str]
    main_loss: ClassVar[str]

    # An attribute named "generator" would be taken for the text config by PreTrainedConfig.get_text_config().
    generator_config: PreTrainedConfig | dict | None = None
    embedding_sharing: str = "all"
    generator_weight: float | int = 1.0

    def __post_init__(self, **kwargs: Any):
        super().__post_init__(**kwargs)
        check_choice("embedding_sharing", self.embedding_sharing, self.sharing, self.objective)
        for name in ("generator_weight", self.main_weight_field):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; give a number of 0 or more")

    def _check_encoders(self) -> None:
        super()._check_encoders()
        check_pair(cast(PreTrainedConfig, self.generator_config), self.main_config, self.embedding_sharing)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"generator_loss": self.generator_weight, self.main_loss: getattr(self, self.main_weight_field)}


@strict
class SampledTextConfig(TwoEncoderConfig):
    """The same for a generator that is a masked language model, and how its samples are drawn.

    Args:
        sampler: `gumbel` (argmax of logits plus Gumbel noise, fp32) or `multinomial`.
        temperature: Divides the generator's logits before sampling.
        disallow_correct: Never sample the original token.
    """

    objective_fields = (*TwoEncoderConfig.objective_fields, "sampler", "temperature", "disallow_correct")
    samplers: ClassVar[tuple[str, ...]] = ("gumbel", "multinomial")

    sampler: str = "gumbel"
    temperature: float | int = 1.0
    disallow_correct: bool = False

    def __post_init__(self, **kwargs: Any):
        super().__post_init__(**kwargs)
        check_choice("sampler", self.sampler, self.samplers, self.objective)
        if not 0 < self.temperature < math.inf:
            raise UsageError(
                f"temperature is {self.temperature}; give a number above 0 (1.0 samples from the softmax)"
            )


class SampledText(NamedTuple):
    """What the generator made of the masked positions.

    Attributes:
        loss_sum: () fp32, sum of its negative log-likelihoods over used slots; carries its gradient.
        correct: (b, k) bool, its most likely token is the original, in a used slot.
        sampled_ids: (b, k) int64, what it put into each slot (the original where a slot is unused).
        ids: (b, l) int64, the text with its samples.
    """

    loss_sum: Tensor
    correct: Tensor
    sampled_ids: Tensor
    ids: Tensor


class TwoEncoderModel(PretrainingModel):
    """A generator and a main encoder.

    Args:
        config: Both encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        main: Likewise the main encoder, under the name in `main_part`. If one of the two is given, the fresh one takes
            over the weights that both share.
    """

    config: TwoEncoderConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    has_generator = True

    def __init__(self, config: TwoEncoderConfig, generator: Any = None, **main: Any):
        super().__init__(config)
        loaded = main.pop(self.main_part, None)
        if main:
            raise TypeError(f"{type(self).__name__} takes no {', '.join(main)}")
        self.generator: Any = generator or self.make_generator()
        setattr(self, self.main_part, loaded or self.make_main())
        self.add_heads()
        if loaded is not None and generator is not None:
            self._check_shared_weights_agree()
        elif loaded is not None:
            self._give_shared_weights_to_generator()
        self.settle_parts((generator is None, loaded is None))
        self._finish()

    def make_generator(self) -> Any:
        """A fresh generator."""
        config = cast(PreTrainedConfig, self.config.generator_config)
        return self.backbone.make_masked_lm(config, self.config.initialization)

    def make_main(self) -> Any:
        """A fresh main encoder with its head."""
        fresh = self.backbone
        make = fresh.make_masked_lm if self.main_is_masked_lm else fresh.make_discriminator
        return make(self.config.main_config, self.config.initialization)

    def add_heads(self) -> None:
        """Make the layers that belong to neither encoder."""

    def settle_parts(self, fresh: tuple[bool, bool]) -> None:
        """What remains to be done when both encoders are there.

        Args:
            fresh: Whether generator and main encoder have just been initialised.
        """

    def _declare_ties(self) -> dict[str, str]:
        return self._ties_between(self.main.base_model, self.generator.base_model)

    def _ties_between(self, target: Any, source: Any) -> dict[str, str]:
        """{parameter of one encoder: parameter of the other} for the sharing mode of the configuration."""
        names = {module: name for name, module in self.named_modules()}
        shared = self.backbone.shared_parameters(target, self.config.embedding_sharing)
        return {f"{names[target]}.{name}": f"{names[source]}.{name}" for name in shared}

    def _check_shared_weights_agree(self) -> None:
        for target, source in self._declare_ties().items():
            if not torch.equal(self.get_parameter(target), self.get_parameter(source)):
                raise checkpoint.disagreeing_embeddings(target, source)

    @torch.no_grad()
    def _give_shared_weights_to_generator(self) -> None:
        # Ties make the generator's weights those of both.
        for target, source in self._declare_ties().items():
            self.get_parameter(source).copy_(self.get_parameter(target))

    def sample_text(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
    ) -> SampledText:
        """Let a masked language model fill the masked positions; arguments as in forward()."""
        config = cast(SampledTextConfig, self.config)
        used, targets = masked_weights > 0, original_ids.gather(1, masked_positions)
        hidden = self.encode(self.generator.base_model, input_ids, attention_mask, token_type_ids)  # (b, l, h)
        loss_sum, sampled, correct = self.predict_tokens(
            self.generator,
            hidden,
            masked_positions,
            targets,
            masked_weights,
            sampler=config.sampler,
            temperature=config.temperature,
            disallow_correct=config.disallow_correct,
        )
        sampled, ids = put_samples(original_ids, masked_positions, masked_weights, sampled)
        return SampledText(loss_sum, correct & used, sampled, ids)


def token_likelihoods(
    predictions: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    inputs: Tensor | None = None,
    copy_logits: Tensor | None = None,
) -> fused.TokenLikelihoods:
    """`fused.token_likelihoods` of all positions of a batch, in the precision of autocast.

    Args:
        predictions: (b, l, e), what the projection to the vocabulary takes.
        weight: (v, e).
        bias: (v,).
        targets: (b, l) int64.
        weights: (b, l) fp32.
        inputs: (b, l) int64, the tokens that may be copied; None without copying.
        copy_logits: (b, l) fp32, log-odds of copying, with `inputs`.

    Returns:
        As `fused.token_likelihoods`, with its rows as (b, l).
    """
    device, dtype = predictions.device.type, predictions.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    loss_sum, log_probabilities, correct = fused.token_likelihoods(
        predictions.flatten(0, 1).to(dtype),
        weight,
        bias,
        targets.flatten(),
        weights.flatten(),
        inputs=None if inputs is None else inputs.flatten(),
        copy_logits=None if copy_logits is None else copy_logits.flatten(),
    )
    return fused.TokenLikelihoods(loss_sum, log_probabilities.view_as(targets), correct.view_as(targets))


@torch.no_grad()
def put_samples(
    original_ids: Tensor, masked_positions: Tensor, masked_weights: Tensor, sampled: Tensor
) -> tuple[Tensor, Tensor]:
    """The samples, and the text that holds them; shapes as in `SampledText`.

    Unused slots write the original of position 0 over itself, however many there are.
    """
    sampled = torch.where(masked_weights > 0, sampled, original_ids.gather(1, masked_positions))
    return sampled, original_ids.scatter(1, masked_positions, sampled)
