"""How much arithmetic a step is."""

from transformers import ElectraConfig

from electra_hf.models import ReplacedTokenDetectionConfig


def encoder_flops(config: ElectraConfig, length: int) -> int:
    """Multiply-adds times two of the matrix products of one forward pass over one row of `length` tokens."""
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    projections = 8 * hidden * hidden + 4 * hidden * feed_forward
    attention = 4 * length * hidden
    flops = config.num_hidden_layers * (projections + attention)
    if config.embedding_size != hidden:
        flops += 2 * config.embedding_size * hidden
    return flops * length


def training_flops(config: ReplacedTokenDetectionConfig, length: int, slots: int) -> int:
    """FLOPs of a training step for one row: forward, and twice as much backward.

    The vocabulary projection counts for the `slots` predicted positions only, since nothing else is projected.

    Args:
        config: Both encoders.
        length: Tokens in the row.
        slots: Masked positions K of the row.
    """
    generator, discriminator = config.encoders
    generator_head = 2 * generator.embedding_size * (generator.hidden_size + generator.vocab_size) * slots
    rtd_head = 2 * discriminator.hidden_size * (discriminator.hidden_size + 1) * length
    forward = encoder_flops(generator, length) + generator_head + encoder_flops(discriminator, length) + rtd_head
    return 3 * forward
