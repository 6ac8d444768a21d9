"""Gradient-disentangled embedding sharing (GDES): DeBERTa-v3, He et al. 2021, section 3.3.

The discriminator's embeddings are the generator's, without gradient, plus a learned difference that starts at 0:

    E_D = stop_gradient(E_G) + delta

Masked language modelling alone moves E_G, replaced-token detection alone moves delta, and the discriminator still
profits from what the generator learns. Word and position embeddings are divided so, as in microsoft/DeBERTa; token
types and LayerNorm are each encoder's own. Weight decay applies to delta as to any embedding (there too).

While training, E_D exists nowhere. A saved folder holds the sum in the discriminator's place, a plain model, and delta
in `objective.safetensors`, so that a resumed run is the same bit for bit (`checkpoint`).
"""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DELTA = "delta"


class DisentangledEmbedding(nn.Module):
    """The embedding of another module, without gradient, plus a learned difference.

    Args:
        source: The other module; it stays part of its own model only.
        delta: (rows, e), the difference to start with.
        padding_idx: A row whose difference is not trained.
    """

    def __init__(self, source: nn.Embedding, delta: Tensor, padding_idx: int | None = None):
        super().__init__()
        self._source = (source,)  # a tuple, so that it is not registered here too
        self.delta = nn.Parameter(delta)
        self.padding_idx = padding_idx

    @property
    def source(self) -> nn.Embedding:
        return self._source[0]

    @property
    def weight(self) -> Tensor:
        """(rows, e), the sum."""
        return self.source.weight.detach() + self.delta

    def forward(self, input_ids: Tensor) -> Tensor:
        """(...) int64 -> (..., e): two look-ups, which are cheaper than the sum of two whole matrices."""
        return F.embedding(input_ids, self.source.weight.detach()) + F.embedding(
            input_ids, self.delta, self.padding_idx
        )


@torch.no_grad()
def disentangle(generator: nn.Module, discriminator: nn.Module, names: list[str], *, fresh: tuple[bool, bool]) -> None:
    """Put a `DisentangledEmbedding` in the place of some of the discriminator's embeddings.

    A fresh discriminator starts from the generator's embeddings, and a fresh generator takes over those of a
    discriminator that was loaded. If both were loaded, delta is the difference.

    Args:
        generator: The generator's encoder.
        discriminator: The discriminator's encoder.
        names: Of the embeddings, seen from either.
        fresh: Whether generator and discriminator have just been initialised.
    """
    for name in names:
        source, target = (cast(nn.Embedding, encoder.get_submodule(name)) for encoder in (generator, discriminator))
        if fresh == (True, False):
            source.weight.copy_(target.weight)
        delta = torch.zeros_like(target.weight) if any(fresh) else target.weight - source.weight
        discriminator.set_submodule(name, DisentangledEmbedding(source, delta, target.padding_idx))


def disentangled(model: nn.Module) -> dict[str, DisentangledEmbedding]:
    """{name: module} of a model's disentangled embeddings."""
    return {name: module for name, module in model.named_modules() if isinstance(module, DisentangledEmbedding)}


def plain_name(name: str, embeddings: Mapping[str, DisentangledEmbedding]) -> str:
    """The name that a weight has in the plain model: a difference's is that of the embedding."""
    module, _, last = name.rpartition(".")
    return f"{module}.weight" if last == DELTA and module in embeddings else name


def materialized(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state of a joint model with the sums beside the differences, under the names of plain embeddings."""
    names = {module: name for name, module in model.named_modules()}
    sums = {
        f"{name}.weight": state[f"{names[each.source]}.weight"] + state[f"{name}.{DELTA}"]
        for name, each in disentangled(model).items()
    }
    return {**state, **sums}
