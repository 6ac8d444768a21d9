"""How much arithmetic a step is."""

from typing import Any, cast

from electra_hf.models import PretrainingConfig
from electra_hf.models.backbones import backbone_of


def encoder_flops(config: Any, length: int) -> int:
    """Multiply-adds times two of the matrix products of one forward pass over one row of `length` tokens."""
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    projections = 8 * hidden * hidden + 4 * hidden * feed_forward
    attention = 4 * length * hidden
    flops = config.num_hidden_layers * (projections + attention)
    width = backbone_of(config).embedding_size(config)
    if width != hidden:
        flops += 2 * width * hidden
    return flops * length


def vocabulary_flops(config: Any, positions: int, states: int = 1) -> int:
    """The same of a masked language model's head on some positions, which takes so many hidden states at each."""
    width = backbone_of(config).embedding_size(config)
    return 2 * width * (states * config.hidden_size + config.vocab_size) * positions


def training_flops(config: PretrainingConfig, length: int, slots: int) -> int:
    """FLOPs of a training step for one row: forward, and for what is trained twice as much backward.

    The vocabulary projection counts for the predicted positions only, since nothing else is projected. What is
    sampled from a second projection costs a forward pass.

    Args:
        config: The encoders and the objective.
        length: Tokens in the row.
        slots: Masked positions K of the row.
    """
    flops, counts = 0, {"slots": slots, "tokens": length}
    for part in config.passes:
        forward = encoder_flops(part.encoder, length)
        if part.vocabulary_positions:
            forward += vocabulary_flops(part.encoder, counts[part.vocabulary_positions], part.head_states)
        if part.detection_positions:
            hidden = cast(Any, part.encoder).hidden_size
            forward += 2 * hidden * (hidden + 1) * counts[part.detection_positions]
        if part.copy_positions:
            forward += 2 * cast(Any, part.encoder).hidden_size * counts[part.copy_positions]
        flops += forward * (3 if part.is_trained else 1)
        if part.sample_positions:
            width, vocabulary = backbone_of(part.encoder).embedding_size(part.encoder), part.encoder.vocab_size
            flops += 2 * width * vocabulary * counts[part.sample_positions]
    return flops
