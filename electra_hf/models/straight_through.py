"""Straight-through Gumbel-softmax (Jang et al. 2016): the discriminator's loss reaches the generator.

A sampled token is the argmax of perturbed logits, y = logits / T + Gumbel noise, and has no gradient. In the backward
pass the choice is taken for the soft one: softmax(y / tau) weighs the rows of the embedding matrix E, and the gradient
of that mixture is the generator's. In the forward pass the discriminator reads the sampled token and nothing else, so
its inputs are those of the hard sampler, bit for bit.

E takes part as a constant: the embedding matrix gets the gradient of the tokens that were read, and none for those
that might have been. (The generator's output layer, which is tied to its embeddings, gets its part through y.)

The factor scales what reaches the generator: 1 is the straight-through estimator, a negative one reverses it (Ganin &
Lempitsky 2015; AMOS, Meng et al. 2022, does so for a mixture of generators), so that the generator learns to deceive.

Shapes: slots (b, k), vocabulary (v), width of the embeddings (e).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from electra_hf.models.fused import VocabularyLoss
from electra_hf.models.sampling import perturb

# Rows whose soft choices exist together in the backward pass.
_CHUNK_ROWS = 2048


def predict(
    logits: Tensor, targets: Tensor, weights: Tensor, temperature: Tensor | float, disallowed: Tensor | None = None
) -> tuple[VocabularyLoss, Tensor]:
    """Loss and samples of a masked language model, and what `feedback` needs.

    Args:
        logits: (b, k, v) fp32.
        targets: (b, k) int64.
        weights: (b, k), 1 for used slots.
        temperature: Of the samples.
        disallowed: (b, k) int64 tokens that must not be drawn, or None.

    Returns:
        The loss; and the perturbed logits (b, k, v) fp32, whose argmax are its samples.
    """
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    perturbed = perturb(logits, temperature, disallowed)
    loss = VocabularyLoss((nll * weights).sum(), perturbed.argmax(-1), logits.argmax(-1) == targets)
    return loss, perturbed


def feedback(perturbed: Tensor, table: Tensor, temperature: Tensor, factor: float) -> Tensor:
    """Zeros that carry the gradient of softmax(perturbed / temperature) @ table back to `perturbed`.

    Args:
        perturbed: (b, k, v) fp32, logits with Gumbel noise; -inf where a token is not allowed.
        table: (v, e), the embedding matrix; gets no gradient.
        temperature: () fp32, above 0; a low one makes the soft choice harder, and its gradient sparser and larger.
        factor: Scales the gradient.

    Returns:
        (b, k, e) fp32 zeros, to be added to the embeddings of the sampled tokens.
    """
    return _Feedback.apply(perturbed, table.detach(), temperature, factor)  # type: ignore[return-value]


class _Feedback(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, perturbed: Tensor, table: Tensor, temperature: Tensor, factor: float
    ) -> Tensor:
        ctx.factor = factor
        ctx.save_for_backward(perturbed, table, temperature)
        return perturbed.new_zeros(*perturbed.shape[:-1], table.size(-1), dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        perturbed, table, temperature = ctx.saved_tensors
        rows, result = perturbed.flatten(0, -2), []
        with torch.autocast(rows.device.type, enabled=False):
            table_t, scale = table.float().t(), ctx.factor / temperature
            for y, g in zip(rows.split(_CHUNK_ROWS), gradient.flatten(0, -2).split(_CHUNK_ROWS), strict=True):
                # Relative to the largest before the division: at a low temperature the others may become -inf.
                soft = ((y - y.amax(-1, keepdim=True)) / temperature).softmax(-1)
                change = g.float() @ table_t  # (rows, v), of the weight of each token
                change -= (change * soft).sum(-1, keepdim=True)
                result.append(change.mul_(soft).mul_(scale))
        return torch.cat(result).view_as(perturbed), None, None, None
