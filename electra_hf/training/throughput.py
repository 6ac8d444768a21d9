"""How much arithmetic a step is."""

from typing import Any, cast

from electra_hf.models import PretrainingConfig
from electra_hf.models.backbones import backbone_of


def encoder_flops(config: Any, length: int) -> int:
    """Multiply-adds times two of the matrix products of one forward pass over one row of `length` tokens.

    What is computed once for a batch (DeBERTa's projections of relative positions) is not counted.
    """
    backbone = backbone_of(config)
    flops = config.num_hidden_layers * backbone.layer_flops(config, length)
    width = backbone.embedding_size(config)
    if width != config.hidden_size:
        flops += 2 * width * config.hidden_size
    return flops * length


def vocabulary_flops(config: Any, positions: int, states: int = 1) -> int:
    """The same of a masked language model's head on some positions, which takes so many hidden states at each."""
    width = backbone_of(config).embedding_size(config)
    return 2 * width * (states * config.hidden_size + config.vocab_size) * positions


def training_flops(config: PretrainingConfig, length: int, slots: int, rows: int | None = None) -> int:
    """FLOPs of a training step for one row: forward, and for what is trained twice as much backward.

    The vocabulary projection counts for the predicted positions only, since nothing else is projected. What is
    sampled from a second projection costs a forward pass.

    Args:
        config: The encoders and the objective.
        length: Tokens in the row.
        slots: Masked positions K of the row.
        rows: Rows of a batch on one device, over which what is computed once for a batch is divided; None leaves that
            out.
    """
    flops, counts = 0, {"slots": slots, "tokens": length}
    for part in config.passes:
        forward = encoder_flops(part.encoder, length)
        if rows:
            forward += backbone_of(part.encoder).batch_flops(part.encoder) // rows
        if part.vocabulary_positions:
            forward += vocabulary_flops(part.encoder, counts[part.vocabulary_positions], part.head_states)
        if part.soft_positions:
            width = backbone_of(part.encoder).embedding_size(part.encoder)
            flops += 2 * width * cast(Any, part.encoder).vocab_size * counts[part.soft_positions]  # backward only
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
