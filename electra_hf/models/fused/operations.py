"""What lies between the matrix products of a transformer layer, in PyTorch: the fallback of the compiled kernels.

Both have the same functions (`native.NativeOperations`). A forward function returns its result and what its backward
function needs. Activations are contiguous, in the dtype of the matrix products; weights of LayerNorm, biases and their
gradients are fp32.

Shapes: rows (r) = batch x length, hidden (h), batch (b), heads (n), length (l), width of a head (d), vocabulary (v).
"""

import logging
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from electra_hf.errors import UsageError
from electra_hf.models.fused.native import KernelError, NativeOperations, native_operations
from electra_hf.models.fused.noise import Dropout, keep_mask
from electra_hf.models.sampling import exponential_noise

logger = logging.getLogger(__name__)

IMPLEMENTATIONS = ("auto", "plain", "fused", "native")


class TorchOperations:
    """The operations, from PyTorch's own."""

    def add_norm(
        self,
        x: Tensor,
        bias: Tensor | None,
        residual: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        before: Dropout,
        after: Dropout,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """dropout_after(LayerNorm(residual + dropout_before(x + bias))); without residual dropout_after(LayerNorm(x)).

        Args:
            x: (r, h).
            bias: (h,) fp32; None exactly if there is no residual.
            residual: (r, h) or None.
            gamma: (h,) fp32, LayerNorm's weight.
            beta: (h,) fp32, its bias.
            eps: Added to the variance.
            before: Dropout of x.
            after: Dropout of the result.

        Returns:
            (r, h), and what `add_norm_backward` needs.
        """
        total, masks = x, []
        if residual is not None and bias is not None:
            x = x + bias.to(x.dtype)
            if before.probability:
                masks.append(keep_mask(x.shape, before))
                x = _drop(x, masks[-1], before)
            total = x + residual
        y, mean, rstd = torch.native_layer_norm(total, (total.size(-1),), gamma, beta, eps)
        if after.probability:
            masks.append(keep_mask(y.shape, after))
            y = _drop(y, masks[-1], after)
        return y, (total, mean, rstd, *masks)

    def add_norm_backward(
        self, dy: Tensor, saved: tuple[Tensor, ...], gamma: Tensor, before: Dropout, after: Dropout
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Gradients of residual and x (r, h), and fp32 (h,) of gamma, beta and of a bias that was added to x."""
        total, mean, rstd, *masks = saved
        if after.probability:
            dy = _drop(dy, masks.pop(), after)
        dtotal, dgamma, dbeta = torch.ops.aten.native_layer_norm_backward(
            dy, total, (total.size(-1),), mean, rstd, gamma, gamma, [True, True, True]
        )
        dx = _drop(dtotal, masks.pop(), before) if masks else dtotal
        return dtotal, dx, dgamma.float(), dbeta.float(), dx.sum(0, dtype=torch.float32)

    def gelu(self, x: Tensor, bias: Tensor) -> Tensor:
        """gelu(x + bias) for x (r, f) and bias (f,) fp32."""
        return F.gelu(x + bias.to(x.dtype))

    def gelu_backward(self, dy: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient of x (may overwrite dy), gelu(x + bias) once more, and the gradient of the bias, fp32."""
        x = x + bias.to(x.dtype)
        dx = torch.ops.aten.gelu_backward(dy, x)
        return dx, F.gelu(x), dx.sum(0, dtype=torch.float32)

    def softmax(
        self, scores: Tensor, bias: Tensor | None, scale: float, dropout: Dropout
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """dropout(softmax(scale x scores + bias)); may overwrite the scores.

        Args:
            scores: (b, n, l, l).
            bias: (b, l) fp32, -inf where a key is padding; None without padding.
            scale: 1 / sqrt(d).
            dropout: Dropout of the probabilities.

        Returns:
            (b, n, l, l), and what `softmax_backward` needs.
        """
        scores = scores.mul_(scale)
        if bias is not None:
            scores += bias[:, None, None]
        probabilities = scores.softmax(-1)
        if not dropout.probability:
            return probabilities, (probabilities,)
        mask = keep_mask(scores.shape, dropout)
        return _drop(probabilities, mask, dropout), (probabilities, mask)

    def softmax_backward(
        self, gradient: Tensor, saved: tuple[Tensor, ...], scale: float, dropout: Dropout
    ) -> tuple[Tensor, Tensor]:
        """The gradient of the scores (may overwrite `gradient`), and the result of `softmax` once more."""
        probabilities, *masks = saved
        dropped = probabilities
        if masks:
            dropped = _drop(probabilities, masks[0], dropout)
            gradient = _drop(gradient, masks[0], dropout)
        scores = torch.ops.aten._softmax_backward_data(gradient, probabilities, -1, gradient.dtype)
        return scores.mul_(scale), dropped

    def cross_entropy(
        self,
        logits: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor,
        disallowed: Tensor | None,
        temperature: Tensor | float,
        seed: int | None,
        first_row: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Loss and sample of each row; the logits are overwritten by the gradient of the weighted sum of the losses.

        Args:
            logits: (r, v), without their bias.
            bias: (v,) fp32.
            targets: (r,) int64.
            weights: (r,) fp32, the weight of each row's loss.
            disallowed: (r,) int64, a token that must not be sampled; None allows all.
            temperature: Of the sampling; a number or () fp32.
            seed: Of the sampling's noise, which is a function of it and of the rows' numbers; None takes the device's
                own generator.
            first_row: Number of the first row.

        Returns:
            (r,) fp32 negative log-likelihoods, (r,) int64 samples, (r,) bool: the target is the most likely
            token, and (v,) fp32, the gradient summed over rows.
        """
        log_probabilities = (logits.float() + bias.float()).log_softmax(-1)
        nll = -log_probabilities.gather(1, targets[:, None]).squeeze(1)
        correct = log_probabilities.argmax(-1) == targets
        generator = None if seed is None else torch.Generator().manual_seed(seed + first_row)
        race = log_probabilities / temperature
        if disallowed is not None:
            race.scatter_(1, disallowed[:, None], -torch.inf)
        # Relative to the largest, so that something is left of it at any temperature.
        race = (race - race.amax(-1, keepdim=True)).exp_() / exponential_noise(logits, generator)
        sampled = race.argmax(-1)
        gradient = log_probabilities.exp_()
        gradient.scatter_add_(1, targets[:, None], torch.full_like(nll, -1.0)[:, None])
        logits.copy_(gradient.mul_(weights[:, None]))
        return nll, sampled, correct, gradient.sum(0)

    def split_heads(self, x: Tensor, bias: Tensor | None, batch: int, parts: int, heads: int) -> Tensor:
        """x + bias as heads: (b l, parts n d) -> (parts, b, n, l, d), contiguous; bias (parts n d,) fp32 or None."""
        if bias is not None:
            x = x + bias.to(x.dtype)
        return x.view(batch, x.size(0) // batch, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous()

    def merge_heads(self, x: Tensor) -> Tensor:
        """(parts, b, n, l, d) -> (b l, parts n d), contiguous."""
        parts, batch, heads, length, width = x.shape
        return x.permute(1, 3, 0, 2, 4).reshape(batch * length, parts * heads * width)

    def merge_heads_and_sum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`merge_heads`, and its sum over rows, fp32."""
        merged = self.merge_heads(x)
        return merged, merged.sum(0, dtype=torch.float32)


def _drop(x: Tensor, mask: Tensor, dropout: Dropout) -> Tensor:
    return x * mask * (1.0 / (1.0 - dropout.probability))


Operations = TorchOperations | NativeOperations


@cache
def cpu_operations(implementation: str) -> Operations:
    """The operations of an implementation on a CPU.

    Args:
        implementation: `native`, the compiled kernels; `fused`, PyTorch's operations; `auto`, the kernels if they can
            be built here, and otherwise PyTorch's operations with a message that says why.

    Raises:
        UsageError: If `native` was asked for and the kernels cannot be built, or for another name.
    """
    if implementation not in IMPLEMENTATIONS:
        raise UsageError(f"implementation is {implementation!r}; choose one of {', '.join(IMPLEMENTATIONS)}")
    if implementation == "fused":
        return TorchOperations()
    try:
        return native_operations()
    except KernelError as error:
        if implementation == "native":
            raise UsageError(f"implementation 'native' cannot be used: {error}; use auto, fused or plain") from error
        logger.warning("PyTorch's operations take the place of the compiled CPU kernels, which is slower: %s.", error)
        return TorchOperations()
