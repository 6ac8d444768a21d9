"""Seeds for dropout and sampling: one draw from torch's generator for a whole forward pass, and numbers after it.

A mask is then a function of its seed. The generator is the one that the Trainer saves and restores, so a resumed run
draws what the uninterrupted one would have drawn.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from electra_hf.errors import UsageError

_SEED_BITS = 62


class Dropout(NamedTuple):
    """One use of dropout: each element is dropped with `probability`, by noise that follows from `seed`."""

    probability: float
    seed: int


class Seeds:
    """Seeds of one forward pass, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._next = int(torch.randint(2**_SEED_BITS, ()))

    def dropout(self, probability: float) -> Dropout:
        """A dropout with noise of its own.

        Raises:
            UsageError: If the probability is not in [0, 1).
        """
        if not 0 <= probability < 1:
            raise UsageError(f"a dropout of {probability} cannot be used: give a probability from 0 up to, but not, 1")
        # Smaller ones are 0 in the 32 bits that are compared.
        return Dropout(probability if probability >= 2**-32 else 0.0, self.next())

    def next(self) -> int:
        """Another seed."""
        self._next += 1
        return self._next


def keep_mask(shape: tuple[int, ...] | torch.Size, dropout: Dropout) -> Tensor:
    """Which elements stay: (shape) bool, True with 1 - probability, to within 2^-17.

    Drawn as 16-bit numbers, four to a word of the generator: `torch.bernoulli` takes four times as long on a CPU.
    """
    count = torch.Size(shape).numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64)
    words.random_(-(2**63), None, generator=torch.Generator().manual_seed(dropout.seed))
    threshold = round(dropout.probability * 2**16) - 2**15  # the 16 bits are signed
    return (words.view(torch.int16)[:count] >= threshold).view(shape)
