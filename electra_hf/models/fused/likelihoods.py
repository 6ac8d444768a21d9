"""What a model says about the token at every position, in chunks of rows, with an option to copy the input.

As in `vocabulary`, the gradients of a chunk are made while its logits are at hand, so that the logits of all tokens
of a batch never exist together: those of 128 rows of 128 tokens over 30,522 words are 2 GB in fp32.

The copy mechanism is that of Clark et al. 2020, section 3.5: with copy logit c and D = sigmoid(c), the distribution
at a position is D on the token of the input and (1 - D) softmax(logits). Its likelihood of a target is computed from
log(exp(c) 1[target = input] + softmax(target)) - softplus(c), where nothing can underflow.

Shapes: rows (r) = batch x length, embedding (e), vocabulary (v).
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# As in `vocabulary`; here the logits of a chunk and their gradient exist in fp32.
_CPU_CHUNK_ROWS, _GPU_CHUNK_ROWS = 320, 2048


class TokenLikelihoods(NamedTuple):
    """What `token_likelihoods` returns.

    Attributes:
        loss_sum: () fp32, the weighted sum of the negative log-likelihoods; carries the gradient.
        log_probabilities: (r,) fp32, log softmax of each target, without copying.
        correct: (r,) bool, the target is the most likely token, with copying.
    """

    loss_sum: Tensor
    log_probabilities: Tensor
    correct: Tensor


def token_likelihoods(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    inputs: Tensor | None = None,
    copy_logits: Tensor | None = None,
    chunk_rows: int | None = None,
) -> TokenLikelihoods:
    """Likelihood of one target for each row.

    Args:
        hidden: (r, e), in the dtype of the products.
        weight: (v, e), the embedding matrix.
        bias: (v,).
        targets: (r,) int64.
        weights: (r,) fp32, the weight of each row's loss.
        inputs: (r,) int64, the tokens that may be copied; None without copying.
        copy_logits: (r,) fp32, log-odds of copying; carries a gradient. Given with `inputs` only.
        chunk_rows: Rows whose logits exist at the same time; None chooses by the device.
    """
    if chunk_rows is None:
        chunk_rows = _CPU_CHUNK_ROWS if hidden.device.type == "cpu" else _GPU_CHUNK_ROWS
    # Inside forward() nobody can tell whether gradients are wanted at all.
    settings = (chunk_rows, torch.is_grad_enabled())
    loss_sum, log_probabilities, correct = _TokenLikelihoods.apply(  # type: ignore[misc]
        settings, hidden, weight, bias, targets, weights, inputs, copy_logits
    )
    if copy_logits is not None:
        loss_sum = loss_sum + (weights * F.softplus(copy_logits)).sum()
    return TokenLikelihoods(loss_sum, log_probabilities, correct)


class _TokenLikelihoods(torch.autograd.Function):
    """The loss without its softplus, which has a gradient of its own."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        settings: tuple[int, bool],
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor,
        inputs: Tensor | None,
        copy_logits: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        chunk_rows, training = settings
        table = weight.to(hidden.dtype)
        d_hidden, d_weight, d_bias = (torch.empty_like(x) if training else None for x in (hidden, weight, bias))
        losses, found, hits, d_copy = [], [], [], []
        for start in range(0, hidden.size(0), chunk_rows):
            rows = slice(start, start + chunk_rows)
            target, row_weights = targets[rows, None], weights[rows]
            log_probabilities = ((hidden[rows] @ table.t()).float() + bias.float()).log_softmax(-1)  # (chunk, v)
            likelihood = log_probabilities.gather(1, target).squeeze(1)
            best, first = log_probabilities.max(-1)
            hit, mixed, share = first == targets[rows], likelihood, torch.ones_like(likelihood)
            if inputs is not None and copy_logits is not None:
                copy, is_copy = copy_logits[rows], inputs[rows] == targets[rows]
                copied = torch.logaddexp(copy, log_probabilities.gather(1, inputs[rows, None]).squeeze(1))
                mixed = torch.where(is_copy, copied, likelihood)
                # How much of the target's likelihood comes from the softmax.
                share = torch.where(is_copy, torch.sigmoid(likelihood - copy), share)
                hit = torch.where(is_copy, copied >= best, hit & (best > copied))
                d_copy.append(row_weights * (share - 1))
            losses.append(mixed)
            found.append(likelihood)
            hits.append(hit)
            if d_hidden is not None and d_weight is not None and d_bias is not None:
                gradient = log_probabilities.exp_()
                gradient.scatter_add_(1, target, torch.full_like(likelihood, -1.0)[:, None])
                gradient.mul_((row_weights * share)[:, None])
                products = gradient.to(hidden.dtype)
                d_hidden[rows] = products @ table
                for total, part in ((d_weight, products.t() @ hidden[rows]), (d_bias, gradient.sum(0))):
                    total.add_(part) if start else total.copy_(part)
        ctx.save_for_backward(d_hidden, d_weight, d_bias, torch.cat(d_copy) if d_copy else None)
        likelihoods, correct = torch.cat(found), torch.cat(hits)
        ctx.mark_non_differentiable(likelihoods, correct)
        return -(torch.cat(losses) * weights).sum(), likelihoods, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        d_hidden, d_weight, d_bias, d_copy = ctx.saved_tensors
        return (
            None,
            (d_hidden.float() * gradient).to(d_hidden.dtype),
            d_weight * gradient,
            d_bias * gradient,
            None,
            None,
            None,
            None if d_copy is None else d_copy * gradient,
        )
