"""Where the time of a Trainer goes, by timing four of its methods and a callback from outside."""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import Trainer

from speed.settings import DATA, MODEL, OPTIMIZER, PARTS


def now(device: str) -> float:
    """Seconds, once the device has done what was asked of it."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock:
    """Seconds of each part and real tokens since `reset`.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str):
        self.device = device
        # On a GPU, waiting at every boundary costs time itself: only where the shares are asked for.
        self.wait_at_boundaries = device == "cpu"
        self.reset()

    def reset(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._tokens: list[Any] = []
        self._positions = 0
        self._start = now(self.device)

    def lap(self) -> dict[str, Any]:
        """Seconds in all and of each part, real tokens, and positions with padding."""
        seconds = now(self.device) - self._start
        tokens = sum(int(count) for count in self._tokens)
        return {"seconds": seconds, "parts": self.seconds, "tokens": tokens, "positions": self._positions}

    def count(self, batch: dict[str, Any]) -> None:
        """Add the tokens of a batch; they are read at the end, so that a GPU is not waited for."""
        mask, positions = batch.get("attention_mask"), batch["input_ids"].numel()
        self._tokens.append(positions if mask is None else mask.sum())
        self._positions += positions

    def _time(self) -> float:
        return now(self.device) if self.wait_at_boundaries else time.perf_counter()

    def timed(self, part: str, function: Callable) -> Callable:
        """The function, its time added to a part."""

        @functools.wraps(function)  # schedulers look at attributes of an optimiser's step
        def call(*args: Any, **kwargs: Any) -> Any:
            start = self._time()
            result = function(*args, **kwargs)
            self.seconds[part] += self._time() - start
            return result

        return call

    def watch(self, trainer: Trainer) -> None:
        """Time the parts of this Trainer that exist before it trains; `watch_optimizer` does the rest."""
        step = trainer.training_step

        def counted_step(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            self.count(inputs)
            return step(model, inputs, *args, **kwargs)

        methods = (
            (DATA, trainer, "get_batch_samples", trainer.get_batch_samples),
            (MODEL, trainer, "training_step", counted_step),
            (OPTIMIZER, trainer.accelerator, "clip_grad_norm_", trainer.accelerator.clip_grad_norm_),
        )
        for part, owner, name, method in methods:
            setattr(owner, name, self.timed(part, method))

    def watch_optimizer(self, optimizer: Any) -> None:
        """Add an optimiser's steps to its part."""
        optimizer.step = self.timed(OPTIMIZER, optimizer.step)
