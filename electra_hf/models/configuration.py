"""Configurations of what is pre-trained: one or two encoders, and the objective.

The composite exists only while pre-training. A saved folder holds the main encoder's plain `config.json` at the root,
the generator's in `generator/`, and the settings below in `objective.json` (docs/design.md, decision 1): a composite
configuration at the root would make `AutoModel` return random weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from electra_hf.errors import UsageError
from electra_hf.models.backbones import BACKBONES, backbone_of
from electra_hf.models.sampling_settings import check_choice

INITIALIZATIONS = ("reference", "transformers")

_SIZES = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


@dataclass(frozen=True)
class EncoderPass:
    """One pass of a step through an encoder, as far as its arithmetic goes.

    Attributes:
        encoder: Configuration of the encoder.
        vocabulary_positions: Where the vocabulary projection is applied: `slots`, `tokens` or None.
        detection_positions: Where the head that detects replaced tokens is applied: `tokens` or None.
        is_trained: Whether there is a backward pass.
        soft_positions: Where the gradient of a soft choice over the vocabulary is taken: `slots` or None.
        copy_positions: Where a copy probability is computed: `tokens` or None.
        sample_positions: Where the vocabulary is projected once more, to sample from it: `slots` or None.
        head_states: How many hidden states the vocabulary's head takes at each position.
    """

    encoder: PreTrainedConfig
    vocabulary_positions: str | None = None
    detection_positions: str | None = None
    is_trained: bool = True
    soft_positions: str | None = None
    copy_positions: str | None = None
    sample_positions: str | None = None
    head_states: int = 1


@strict
class PretrainingConfig(PreTrainedConfig):
    """What all objectives have in common.

    Args:
        objective: Its name, as in `--objective`.
        initialization: `reference` (truncated normal, glorot for projections and the RTD output, as
            google-research/electra) or `transformers` (normal for every linear layer).
    """

    model_type = "electra_hf_pretraining"
    # The objectives that a configuration is for, the settings that `objective.json` keeps, the fields of the encoders.
    objectives: ClassVar[tuple[str, ...]] = ()
    objective_fields: ClassVar[tuple[str, ...]] = ("objective", "initialization")
    encoder_fields: ClassVar[tuple[str, ...]] = ()
    # The families that can be used with it, and why no others.
    families: ClassVar[tuple[str, ...]] = tuple(BACKBONES)
    other_families: ClassVar[str] = ""

    objective: str = ""
    initialization: str = "reference"
    tie_word_embeddings: bool = True  # the switch that transformers asks before it applies any declared tie
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any):
        for name in self.encoder_fields:
            value = getattr(self, name)
            if isinstance(value, Mapping):
                setattr(self, name, _encoder_config(name, value))
        super().__post_init__(**kwargs)
        self.objective = self.objective or self.objectives[0]
        check_choice("objective", self.objective, self.objectives)
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        if all(getattr(self, name) is not None for name in self.encoder_fields):
            self._check_encoders()

    def _check_encoders(self) -> None:
        for name in self.encoder_fields:
            config = getattr(self, name)
            backbone_of(config)
            if config.model_type not in self.families:
                raise UsageError(
                    f"--objective {self.objective} cannot be used with --model_type {config.model_type}: "
                    f"{self.other_families}; choose {', '.join(self.families)}"
                )
            if problem := impossible_size(config):
                raise UsageError(f"the {name.removesuffix('_config').replace('_', ' ')}'s {problem}")

    @property
    def main_config(self) -> PreTrainedConfig:
        """The encoder that a run is for: the one that is saved at the root."""
        return cast(PreTrainedConfig, getattr(self, self.encoder_fields[-1]))

    @property
    def vocab_size(self) -> int:
        return self.main_config.vocab_size

    @property
    def hidden_size(self) -> int:
        return self.main_config.hidden_size

    @property
    def loss_weights(self) -> dict[str, float]:
        """{part of the loss, as it is logged: its weight}."""
        raise NotImplementedError

    @property
    def passes(self) -> list[EncoderPass]:
        """What a step computes."""
        raise NotImplementedError

    def objective_settings(self) -> dict[str, Any]:
        """The content of `objective.json`: everything except the encoders."""
        return {field: getattr(self, field) for field in self.objective_fields}


@strict
class MaskedLanguageModelingConfig(PretrainingConfig):
    """Settings of masked language modelling over one encoder.

    Args:
        masked_lm_config: The encoder.
    """

    model_type = "electra_hf_mlm"
    objectives = ("mlm",)
    encoder_fields = ("masked_lm_config",)

    masked_lm_config: PreTrainedConfig | dict | None = None

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"mlm_loss": 1.0}

    @property
    def passes(self) -> list[EncoderPass]:
        return [EncoderPass(self.main_config, vocabulary_positions="slots")]


def _encoder_config(name: str, value: Mapping[str, Any]) -> PreTrainedConfig:
    model_type = value.get("model_type", "electra")
    if model_type not in BACKBONES:
        raise UsageError(f"{name}: model_type {model_type!r} is none of {', '.join(BACKBONES)}")
    return BACKBONES[model_type].config_class(**value)


def check_pair(generator: PreTrainedConfig, main: PreTrainedConfig, sharing: str) -> None:
    """Refuse two encoders that cannot be trained together.

    Args:
        generator: The generator.
        main: The encoder that gets its text.
        sharing: What they share.

    Raises:
        UsageError: If they are of two families, have two vocabularies, or share embeddings of different sizes.
    """
    if generator.model_type != main.model_type:
        raise UsageError(
            f"the generator is a {generator.model_type} model and the discriminator a {main.model_type} model; both "
            "must be of one family"
        )
    if generator.vocab_size != main.vocab_size:
        raise UsageError(
            f"the generator has {generator.vocab_size} tokens and the discriminator {main.vocab_size}; "
            "both must use one tokenizer"
        )
    backbone = backbone_of(main)
    width = "embedding_size" if hasattr(main, "embedding_size") else "hidden_size"
    sizes: dict[str, tuple[Any, Any]] = {width: (backbone.embedding_size(generator), backbone.embedding_size(main))}
    if sharing in ("all", "gdes"):
        for field in ("max_position_embeddings", "type_vocab_size")[: 2 if sharing == "all" else 1]:
            sizes[field] = (getattr(generator, field, None), getattr(main, field, None))
    if sharing != "none":
        for field, (here, there) in sizes.items():
            if here != there:
                raise UsageError(
                    f"embedding_sharing '{sharing}' needs the same {field} in both encoders, found {here} (generator) "
                    f"and {there} (discriminator); make them equal or use embedding_sharing 'none'"
                )


def impossible_size(config: PreTrainedConfig) -> str | None:
    """What is wrong with the sizes of an encoder, in words; transformers finds out when it computes, if ever.

    >>> from transformers import ElectraConfig
    >>> impossible_size(ElectraConfig(hidden_size=30, num_attention_heads=4))
    'hidden_size 30 is not a multiple of its num_attention_heads 4; change one of them'
    """
    for name in _SIZES:
        size = getattr(config, name, None)
        if isinstance(size, int) and size < 1:
            return f"{name} is {size}; give 1 or more"
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        share = getattr(config, name, None)
        if isinstance(share, int | float) and not 0 <= share <= 1:
            return f"{name} is {share}; give a probability from 0 to 1"
    activation = getattr(config, "hidden_act", None)
    if isinstance(activation, str) and activation not in ACT2FN:
        return f"hidden_act is {activation!r}; choose gelu, relu or another activation of transformers"
    width, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    if isinstance(width, int) and isinstance(heads, int) and width % heads and not hasattr(config, "head_dim"):
        return f"hidden_size {width} is not a multiple of its num_attention_heads {heads}; change one of them"
    family = BACKBONES.get(config.model_type)
    return family.impossible_size(config) if family else None
