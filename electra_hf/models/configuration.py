"""Configuration of a generator and a discriminator that are pre-trained together.

The composite exists only while pre-training. A saved folder holds the discriminator's plain `config.json` at the
root, the generator's in `generator/`, and the settings below in `rtd_config.json` (docs/design.md, decision 1): a
composite configuration at the root would make `AutoModel` return random weights.
"""

import copy
import logging
import math
from typing import Any, cast

from huggingface_hub.dataclasses import strict
from transformers import ElectraConfig, PreTrainedConfig
from transformers.activations import ACT2FN

from electra_hf.errors import UsageError

logger = logging.getLogger(__name__)

EMBEDDING_SHARING = ("all", "word", "none")
SAMPLERS = ("gumbel", "multinomial")
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

# What rtd_config.json holds: the settings of the objective, not of either encoder.
OBJECTIVE_FIELDS = (
    "embedding_sharing",
    "generator_weight",
    "discriminator_weight",
    "sampler",
    "temperature",
    "disallow_correct",
    "initialization",
)


@strict
class ReplacedTokenDetectionConfig(PreTrainedConfig):
    """Settings of replaced-token detection over two ELECTRA encoders.

    Args:
        generator_config: Encoder that fills the masked positions (an `ElectraConfig`, or its dictionary).
        discriminator_config: Encoder that detects the replaced tokens.
        embedding_sharing: `all` shares word, position and token type embeddings and the embedding LayerNorm, as the
            paper and google-research/electra do; `word` shares the word embeddings only; `none` shares nothing.
        generator_weight: Weight of the generator's masked-LM loss (paper: 1).
        discriminator_weight: Weight of the discriminator's loss, lambda in the paper (50).
        sampler: `gumbel` (argmax of logits plus Gumbel noise, fp32) or `multinomial`.
        temperature: Divides the generator's logits before sampling.
        disallow_correct: Never sample the original token.
        initialization: `reference` (truncated normal, glorot for projections and the RTD output, as
            google-research/electra) or `transformers` (normal for every linear layer).
    """

    model_type = "electra_rtd"

    # An attribute named "generator" would be taken for the text config by PreTrainedConfig.get_text_config().
    generator_config: PreTrainedConfig | dict | None = None
    discriminator_config: PreTrainedConfig | dict | None = None
    embedding_sharing: str = "all"
    generator_weight: float | int = 1.0
    discriminator_weight: float | int = 50.0
    sampler: str = "gumbel"
    temperature: float | int = 1.0
    disallow_correct: bool = False
    initialization: str = "reference"
    tie_word_embeddings: bool = True  # the switch that transformers asks before it applies any declared tie
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any):
        if isinstance(self.generator_config, dict):
            self.generator_config = ElectraConfig(**self.generator_config)
        if isinstance(self.discriminator_config, dict):
            self.discriminator_config = ElectraConfig(**self.discriminator_config)
        super().__post_init__(**kwargs)
        _check_choice("embedding_sharing", self.embedding_sharing, EMBEDDING_SHARING)
        _check_choice("sampler", self.sampler, SAMPLERS)
        _check_choice("initialization", self.initialization, INITIALIZATIONS)
        if not 0 < self.temperature < math.inf:
            raise UsageError(
                f"temperature is {self.temperature}; give a number above 0 (1.0 samples from the softmax)"
            )
        for name in ("generator_weight", "discriminator_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; give a number of 0 or more")
        if self.generator_config is not None and self.discriminator_config is not None:
            self._check_encoders()

    def _check_encoders(self) -> None:
        generator, discriminator = self.encoders
        for name, encoder in (("generator", generator), ("discriminator", discriminator)):
            if problem := impossible_size(encoder):
                raise UsageError(f"the {name}'s {problem}")
        if generator.vocab_size != discriminator.vocab_size:
            raise UsageError(
                f"the generator has {generator.vocab_size} tokens and the discriminator {discriminator.vocab_size}; "
                "both must use one tokenizer"
            )
        shared = {"all": ("embedding_size", "max_position_embeddings", "type_vocab_size"), "word": ("embedding_size",)}
        for field in shared.get(self.embedding_sharing, ()):
            if getattr(generator, field) != getattr(discriminator, field):
                raise UsageError(
                    f"embedding_sharing '{self.embedding_sharing}' needs the same {field} in both encoders, found "
                    f"{getattr(generator, field)} (generator) and {getattr(discriminator, field)} (discriminator); "
                    "make them equal or use embedding_sharing 'none'"
                )

    @property
    def encoders(self) -> tuple[ElectraConfig, ElectraConfig]:
        """Generator and discriminator, once both are set."""
        return cast(ElectraConfig, self.generator_config), cast(ElectraConfig, self.discriminator_config)

    @property
    def vocab_size(self) -> int:
        return self.encoders[1].vocab_size

    @property
    def hidden_size(self) -> int:
        return self.encoders[1].hidden_size

    def objective_settings(self) -> dict[str, Any]:
        """The content of `rtd_config.json`: everything except the two encoders."""
        return {field: getattr(self, field) for field in OBJECTIVE_FIELDS}


def impossible_size(config: PreTrainedConfig) -> str | None:
    """What is wrong with the sizes of an encoder, in words; transformers finds out when it computes, if ever.

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
    return None


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} is {value!r}; choose one of {', '.join(choices)}")


def derive_generator_config(discriminator: ElectraConfig, width: float, **overrides: Any) -> ElectraConfig:
    """The generator that belongs to a discriminator: the same depth, a fraction of its width.

    Hidden size, attention heads and feed-forward size are scaled; layers, embedding size and dropout are kept
    (google-research/electra, get_generator_config; paper appendix A: 1/4 for small and large, 1/3 for base).

    Args:
        discriminator: Configuration of the discriminator; it is not changed.
        width: Fraction in (0, 1].
        overrides: Fields of `ElectraConfig` that are set after scaling.

    Raises:
        UsageError: If width is outside (0, 1] or leaves no hidden units.

    >>> small = ElectraConfig(hidden_size=256, num_attention_heads=4, intermediate_size=1024)
    >>> generator = derive_generator_config(small, 0.25)
    >>> generator.hidden_size, generator.num_attention_heads, generator.intermediate_size, generator.num_hidden_layers
    (64, 1, 256, 12)
    """
    if not 0 < width <= 1:
        raise UsageError(f"generator_width is {width}; give a fraction in (0, 1], the paper uses 0.25 or 0.3333")
    if width >= 0.5:
        logger.warning(
            "generator_width is %g: a generator of half the discriminator's width or more is too strong, and "
            "pre-training suffers (paper section 3.2 finds 1/4 to 1/2 best; about 3 GLUE points were lost at 1).",
            width,
        )
    generator = copy.deepcopy(discriminator)
    generator.num_attention_heads = max(1, round(discriminator.num_attention_heads * width))
    heads = generator.num_attention_heads
    # A multiple of the heads, so that any fraction gives a valid encoder.
    generator.hidden_size = max(1, round(discriminator.hidden_size * width / heads)) * heads
    generator.intermediate_size = max(1, round(discriminator.intermediate_size * width))
    for name, value in overrides.items():
        if not hasattr(generator, name):
            raise UsageError(f"generator_config_overrides: ElectraConfig has no field {name!r}")
        setattr(generator, name, value)
    return generator
