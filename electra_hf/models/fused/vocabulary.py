"""The generator's loss and samples over the vocabulary, in chunks of rows.

Projection, cross-entropy, its gradient and Gumbel-max of a chunk follow each other, so the logits of all masked
positions never exist together. The gradients are made in the forward pass, where the logits are at hand, and only
scaled in the backward pass.

Shapes: rows (r) = batch x slots, embedding (e), vocabulary (v).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from electra_hf.models.fused.operations import Operations

# Large enough for the products to run at full speed, small enough for a chunk's logits: 40 MB in bf16 on a CPU. A GPU
# needs larger ones, and a compiled graph holds every chunk.
_CPU_CHUNK_ROWS, _GPU_CHUNK_ROWS = 640, 4096


class VocabularyLoss(NamedTuple):
    """What `vocabulary_loss` returns.

    Attributes:
        loss_sum: () fp32, the weighted sum of the negative log-likelihoods; carries the gradient.
        sampled: (r,) int64, one token for each row.
        correct: (r,) bool, the target is the most likely token.
    """

    loss_sum: Tensor
    sampled: Tensor
    correct: Tensor


def vocabulary_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    operations: Operations,
    seed: int | None,
    temperature: Tensor | float = 1.0,
    disallow_correct: bool = False,
    chunk_rows: int | None = None,
) -> VocabularyLoss:
    """Masked-LM loss and one Gumbel-max sample for each row.

    Args:
        hidden: (r, e), in the dtype of the products.
        weight: (v, e), the embedding matrix.
        bias: (v,).
        targets: (r,) int64.
        weights: (r,) fp32, the weight of each row's loss.
        operations: Where the cross-entropy is computed.
        seed: Of the sampling; None for the device's own generator.
        temperature: Of the sampling; a number or () fp32.
        disallow_correct: Never sample the target.
        chunk_rows: Rows whose logits exist at the same time; None chooses by the device.
    """
    if chunk_rows is None:
        chunk_rows = _CPU_CHUNK_ROWS if hidden.device.type == "cpu" else _GPU_CHUNK_ROWS
    # Inside forward() nobody can tell whether gradients are wanted at all.
    settings = (operations, seed, disallow_correct, chunk_rows, torch.is_grad_enabled())
    inputs = (hidden, weight, bias, targets, weights, temperature)
    return VocabularyLoss(*_VocabularyLoss.apply(settings, *inputs))  # type: ignore[misc]


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        settings: tuple,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor,
        temperature: Tensor | float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        operations, seed, disallow_correct, chunk_rows, training = settings
        table = weight.to(hidden.dtype)
        d_hidden, d_weight, d_bias = (torch.empty_like(x) if training else None for x in (hidden, weight, bias))
        nll, sampled, correct = [], [], []
        for start in range(0, hidden.size(0), chunk_rows):
            rows = slice(start, start + chunk_rows)
            logits = hidden[rows] @ table.t()  # (chunk, v), without their bias
            disallowed = targets[rows] if disallow_correct else None
            *parts, bias_gradient = operations.cross_entropy(
                logits, bias, targets[rows], weights[rows], disallowed, temperature, seed, start
            )
            for result, part in zip((nll, sampled, correct), parts, strict=True):
                result.append(part)
            if d_hidden is not None and d_weight is not None and d_bias is not None:
                d_hidden[rows] = logits @ table
                for gradient, part in ((d_weight, logits.t() @ hidden[rows]), (d_bias, bias_gradient)):
                    gradient.add_(part) if start else gradient.copy_(part)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        samples, hits = torch.cat(sampled), torch.cat(correct)
        ctx.mark_non_differentiable(samples, hits)
        return (torch.cat(nll) * weights).sum(), samples, hits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        # In fp32: 1 / slots rounded to bfloat16 would scale every gradient of the generator by up to 0.4 %.
        return (
            None,
            (d_hidden.float() * gradient).to(d_hidden.dtype),
            d_weight * gradient,
            d_bias * gradient,
            None,
            None,
            None,
        )
