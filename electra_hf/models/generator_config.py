"""The generator that belongs to a discriminator."""

import copy
import logging
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.models.backbones import backbone_of

logger = logging.getLogger(__name__)


def derive_generator_config(
    discriminator: Any, width: float | None = None, depth: float | None = None, **overrides: Any
) -> Any:
    """The generator that belongs to a discriminator: a fraction of its width, or of its depth.

    Hidden size, attention heads and feed-forward size are scaled by the width, the layers by the depth; embedding size
    and dropout are kept. Families with an embedding size of their own (ELECTRA, ConvBERT) get a quarter of the width
    and all layers (google-research/electra, get_generator_config; paper appendix A: 1/4 for small and large, 1/3 for
    base), the others the full width and half the layers (DeBERTa-v3, He et al. 2021).

    Args:
        discriminator: Configuration of the discriminator; it is not changed.
        width: Fraction in (0, 1]; None takes the family's.
        depth: Fraction in (0, 1]; None takes the family's, or 1 if a width is given.
        overrides: Fields of the configuration that are set after scaling.

    Raises:
        UsageError: If width or depth is outside (0, 1], or an override is no field.

    >>> from transformers import BertConfig, ElectraConfig
    >>> small = ElectraConfig(hidden_size=256, num_attention_heads=4, intermediate_size=1024)
    >>> generator = derive_generator_config(small, 0.25)
    >>> generator.hidden_size, generator.num_attention_heads, generator.intermediate_size, generator.num_hidden_layers
    (64, 1, 256, 12)
    >>> generator = derive_generator_config(BertConfig())
    >>> generator.hidden_size, generator.num_hidden_layers
    (768, 6)
    """
    backbone = backbone_of(discriminator)
    if depth is None:
        depth = backbone.generator_depth if width is None else 1.0
    if width is None:
        width = backbone.generator_width
    if not 0 < width <= 1:
        raise UsageError(f"generator_width is {width}; give a fraction in (0, 1], the paper uses 0.25 or 0.3333")
    if not 0 < depth <= 1:
        raise UsageError(f"generator_depth is {depth}; give a fraction in (0, 1], DeBERTa-v3 uses 0.5")
    if width > 0.5 and depth > 0.5:
        logger.warning(
            "generator_width is %g: a generator of more than half the discriminator's width is too strong, and "
            "pre-training suffers (paper section 3.2 finds 1/4 to 1/2 best; about 3 GLUE points were lost at 1).",
            width,
        )
    generator = copy.deepcopy(discriminator)
    backbone.scale(generator, width, depth)
    for name, value in overrides.items():
        if not hasattr(generator, name) and name not in backbone.extra_fields:
            raise UsageError(f"generator_config_overrides: {type(generator).__name__} has no field {name!r}")
        setattr(generator, name, value)
    backbone.settle(generator, overrides)
    return generator
