"""How much arithmetic a step is, and how fast it goes."""

import time

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


class Stopwatch:
    """Seconds of training since it was last read; evaluation and saving are taken out."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._paused = 0.0
        self._pause_start: float | None = None

    def __enter__(self) -> "Stopwatch":
        self._pause_start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._pause_start is not None
        self._paused += time.perf_counter() - self._pause_start
        self._pause_start = None

    def elapsed(self) -> float:
        """Training seconds since the last lap, also while it is stopped."""
        return self._since_start(time.perf_counter() if self._pause_start is None else self._pause_start)

    def _since_start(self, now: float) -> float:
        return max(now - self._start - self._paused, 1e-9)

    def lap(self, beginning: float = 0.0) -> float:
        """Training seconds since the last lap, and start anew.

        Args:
            beginning: Seconds that the new lap has already lasted, as in a run that was interrupted.
        """
        now = time.perf_counter()
        seconds = self._since_start(now)
        self._start, self._paused = now - beginning, 0.0
        return seconds
