"""A layer of ELECTRA's encoder as one node of autograd.

The arithmetic is that of transformers' `ElectraLayer` (post-LayerNorm; Vaswani et al. 2017, Devlin et al. 2018),
written so that memory is touched as little as it can be: query, key and value from one product, attention as two
batched products, and everything between two products in one pass (`operations`). The backward pass is written out,
and computes dropout masks, dropped probabilities and GELU once more instead of keeping them.

Shapes: batch (b), length (l), rows (r) = b x l, hidden (h), heads (n), width of a head (d), feed-forward (f).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.models.electra.modeling_electra import ElectraLayer

from electra_hf.models.fused.noise import Dropout
from electra_hf.models.fused.operations import Operations


@dataclass(frozen=True)
class LayerSettings:
    """What a layer needs besides tensors.

    Attributes:
        operations: What lies between the products.
        batch: Rows of text (b).
        heads: Attention heads (n).
        eps: Of the LayerNorms.
        attention: Dropout of the attention's probabilities.
        output: Dropout of the attention's output.
        feed_forward: Dropout of the feed-forward's output.
    """

    operations: Operations
    batch: int
    heads: int
    eps: float
    attention: Dropout
    output: Dropout
    feed_forward: Dropout


def layer_parts(layer: ElectraLayer) -> tuple[nn.Module, ...]:
    """The linear layers and LayerNorms of a layer in the order of `FusedLayer`."""
    own, output = layer.attention.self, layer.attention.output
    parts = (own.query, own.key, own.value, output.dense, output.LayerNorm)
    return *parts, layer.intermediate.dense, layer.output.dense, layer.output.LayerNorm


def layer_weights(layer: ElectraLayer) -> tuple[Tensor, ...]:
    """The weights of a layer in the order of `FusedLayer`."""
    return tuple(weight for part in layer_parts(layer) for weight in (part.weight, part.bias))  # type: ignore[misc]


class FusedLayer(torch.autograd.Function):
    """One layer; `FusedLayer.apply(settings, x, bias, *layer_weights(layer))`.

    settings: LayerSettings. x: (r, h) contiguous, in the dtype of the products. bias: (b, l) fp32 that is added to the
    scores of a key, or None. Weights: fp32. Returns (r, h) like x.
    """

    @staticmethod
    def forward(ctx: Any, settings: LayerSettings, x: Tensor, bias: Tensor | None, *weights: Tensor) -> Tensor:  # type: ignore[override]
        operations, dtype = settings.operations, x.dtype
        w_query, b_query, w_key, b_key, w_value, b_value, w_output, b_output, gamma_1, beta_1 = weights[:10]
        w_inner, b_inner, w_outer, b_outer, gamma_2, beta_2 = weights[10:]
        w_heads = torch.cat([w_query, w_key, w_value]).to(dtype)  # (3 h, h)
        b_heads = torch.cat([b_query, b_key, b_value])
        w_output, w_inner, w_outer = w_output.to(dtype), w_inner.to(dtype), w_outer.to(dtype)

        heads = operations.split_heads(x @ w_heads.t(), b_heads, settings.batch, 3, settings.heads)
        query, key, value = heads.flatten(1, 2)  # (b n, l, d) each
        scale = 1.0 / math.sqrt(query.size(-1))
        scores = torch.bmm(query, key.transpose(1, 2))  # (b n, l, l)
        scores = scores.view(settings.batch, settings.heads, *scores.shape[1:])
        dropped, probabilities = operations.softmax(scores, bias, scale, settings.attention)
        context = torch.bmm(dropped.flatten(0, 1), value)
        context = operations.merge_heads(context.view(1, *heads.shape[1:]))  # (r, h)
        none = Dropout(0.0, 0)
        middle, norm_1 = operations.add_norm(
            context @ w_output.t(), b_output, x, gamma_1, beta_1, settings.eps, settings.output, none
        )
        inner = middle @ w_inner.t()  # (r, f), before its bias
        outer = operations.gelu(inner, b_inner) @ w_outer.t()
        result, norm_2 = operations.add_norm(
            outer, b_outer, middle, gamma_2, beta_2, settings.eps, settings.feed_forward, none
        )
        ctx.settings, ctx.counts, ctx.scale = settings, (len(probabilities), len(norm_1)), scale
        ctx.save_for_backward(
            *(x, heads, context, middle, inner, w_heads, w_output, w_inner, w_outer, gamma_1, gamma_2, b_inner),
            *probabilities,
            *norm_1,
            *norm_2,
        )
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        with torch.autocast("cpu", enabled=False):
            return FusedLayer._backward(ctx, gradient)

    @staticmethod
    def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        settings: LayerSettings = ctx.settings
        operations = settings.operations
        x, heads, context, middle, inner, w_heads, w_output, w_inner, w_outer, gamma_1, gamma_2, b_inner, *rest = (
            ctx.saved_tensors
        )
        stop, norm_stop = ctx.counts[0], ctx.counts[0] + ctx.counts[1]
        probabilities, norm_1, norm_2 = rest[:stop], rest[stop:norm_stop], rest[norm_stop:]
        none = Dropout(0.0, 0)

        d_middle, d_outer, d_gamma_2, d_beta_2, d_b_outer = operations.add_norm_backward(
            gradient.contiguous(), tuple(norm_2), gamma_2, settings.feed_forward, none
        )
        d_inner, activated, d_b_inner = operations.gelu_backward(d_outer @ w_outer, inner, b_inner)
        d_w_outer = (d_outer.t() @ activated).float()
        d_w_inner = (d_inner.t() @ middle).float()
        d_middle = d_middle.addmm_(d_inner, w_inner)

        d_x, d_attended, d_gamma_1, d_beta_1, d_b_output = operations.add_norm_backward(
            d_middle, tuple(norm_1), gamma_1, settings.output, none
        )
        d_w_output = (d_attended.t() @ context).float()
        d_context = operations.split_heads(d_attended @ w_output, None, settings.batch, 1, settings.heads)[0]
        d_context = d_context.flatten(0, 1)
        query, key, value = heads.flatten(1, 2)
        d_dropped = torch.bmm(d_context, value.transpose(1, 2)).view_as(probabilities[0])
        d_scores, dropped = operations.softmax_backward(d_dropped, tuple(probabilities), ctx.scale, settings.attention)
        d_scores, d_heads = d_scores.flatten(0, 1), torch.empty_like(heads)
        d_query, d_key, d_value = d_heads.flatten(1, 2)
        torch.bmm(d_scores, key, out=d_query)
        torch.bmm(d_scores.transpose(1, 2), query, out=d_key)
        torch.bmm(dropped.flatten(0, 1).transpose(1, 2), d_context, out=d_value)
        d_merged, d_b_heads = operations.merge_heads_and_sum(d_heads)
        d_w_heads = (d_merged.t() @ x).float()
        d_x = d_x.addmm_(d_merged, w_heads)

        (d_w_query, d_w_key, d_w_value), (d_b_query, d_b_key, d_b_value) = d_w_heads.chunk(3), d_b_heads.chunk(3)
        return (
            *(None, d_x, None),
            *(d_w_query, d_b_query, d_w_key, d_b_key, d_w_value, d_b_value, d_w_output, d_b_output),
            *(d_gamma_1, d_beta_1, d_w_inner, d_b_inner, d_w_outer, d_b_outer, d_gamma_2, d_beta_2),
        )


class FusedNorm(torch.autograd.Function):
    """dropout(LayerNorm(x)); `FusedNorm.apply(operations, x, gamma, beta, eps, dropout)`, x (r, h) contiguous."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, operations: Operations, x: Tensor, gamma: Tensor, beta: Tensor, eps: float, dropout: Dropout
    ) -> Tensor:
        y, saved = operations.add_norm(x, None, None, gamma, beta, eps, Dropout(0.0, 0), dropout)
        ctx.operations, ctx.dropout = operations, dropout
        ctx.save_for_backward(gamma, *saved)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gamma, *saved = ctx.saved_tensors
        d_x, _, d_gamma, d_beta, _ = ctx.operations.add_norm_backward(
            gradient.contiguous(), tuple(saved), gamma, Dropout(0.0, 0), ctx.dropout
        )
        return None, d_x, d_gamma, d_beta, None, None
