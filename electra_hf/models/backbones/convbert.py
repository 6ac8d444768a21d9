"""ConvBERT (Jiang et al. 2020): half of an encoder's heads are span-based dynamic convolutions.

transformers' class lets its convolutions see padding, so that what it computes for a text depends on the texts beside
it in the batch. Here its attention modules get another class, which computes the same where nothing is padded, and
otherwise the same as without the padding. Names and shapes of the weights do not change.

Shapes: batch (b), length (l), heads (n) and width of a head (d) of either half, a = n x d, kernel (k).
"""

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ConvBertConfig, ConvBertForMaskedLM, ConvBertModel, PreTrainedModel
from transformers.models.convbert.modeling_convbert import ConvBertSelfAttention

from electra_hf.models.backbones.backbone import Backbone
from electra_hf.models.backbones.electra import Electra


class PaddingAwareSelfAttention(ConvBertSelfAttention):
    """transformers' attention with convolutions for which a row ends where its padding begins."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Attention beside convolution.

        Args:
            hidden_states: (b, l, h).
            attention_mask: (b, 1, 1 or l, l), 0 for real tokens and very negative for padding; None without padding.
            encoder_hidden_states: Of a decoder, which is none of our business: transformers computes it.
            kwargs: Not used.

        Returns:
            (b, l, h), and the attention probabilities (b, n, l, l).
        """
        if attention_mask is None or encoder_hidden_states is not None:
            return super().forward(hidden_states, attention_mask, encoder_hidden_states, **kwargs)
        heads = (*hidden_states.shape[:2], self.num_attention_heads, -1)
        padding = attention_mask[:, 0, 0, :, None] < 0  # (b, l, 1)
        query = self.query(hidden_states)  # (b, l, a)
        key, value = (part(hidden_states).view(heads).transpose(1, 2) for part in (self.key, self.value))
        scores = query.view(heads).transpose(1, 2) @ key.transpose(2, 3) / math.sqrt(self.attention_head_size)
        probabilities = self.dropout((scores + attention_mask).softmax(-1))  # (b, n, l, l)
        attended = (probabilities @ value).transpose(1, 2)  # (b, l, n, d)

        # The key of a span, and the values that a kernel weighs, are zero beyond the ends of a row; the linear layer
        # of the values has a bias, so that they must be made zero after it.
        spans = self.key_conv_attn_layer(hidden_states.masked_fill(padding, 0).transpose(1, 2)).transpose(1, 2)
        kernels = self.conv_kernel_layer(spans * query).view(heads).softmax(-1)  # (b, l, n, k)
        values = self.conv_out_layer(hidden_states).masked_fill(padding, 0)  # (b, l, a)
        reach, length = self.conv_kernel_size // 2, heads[1]
        values = F.pad(values, (0, 0, reach, reach)).view(heads[0], -1, heads[2], self.attention_head_size)
        # One place of the window after the other: windows beside each other would hold every value k times.
        places = range(self.conv_kernel_size)
        convolved = sum(values[:, place : place + length] * kernels[..., place : place + 1] for place in places)
        return torch.cat([attended, cast(Tensor, convolved)], 2).flatten(2), probabilities


def keep_padding_out(model: nn.Module) -> int:
    """Make what a ConvBERT computes independent of the amount of padding, in place.

    Args:
        model: Any model of transformers; those of other families are left as they are.

    Returns:
        The number of layers that were changed.
    """
    layers = [module for module in model.modules() if type(module) is ConvBertSelfAttention]
    for layer in layers:
        layer.__class__ = PaddingAwareSelfAttention
    return len(layers)


class ConvBert(Electra):
    """ConvBERT. The heads of a layer are divided by `head_ratio`, and half of what is left of them convolve."""

    model_type, config_class, masked_lm_class = "convbert", ConvBertConfig, ConvBertForMaskedLM
    encoder_class = ConvBertModel

    make_discriminator = Backbone.make_discriminator

    def adapt(self, model: nn.Module) -> None:
        keep_padding_out(model)

    def encoder_inputs(
        self,
        encoder: PreTrainedModel,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        ids: Tensor | None = None,
    ) -> dict[str, Any]:
        # Without a mask transformers would make one and look at it on the host.
        mask = torch.ones_like(ids) if attention_mask is None and ids is not None else attention_mask
        return super().encoder_inputs(encoder, mask, token_type_ids)

    def width_unit(self, config: Any) -> int:
        # Both halves of a head are of one width.
        return math.lcm(config.num_attention_heads, 2 * _divided_heads(config), config.num_groups)

    def scale(self, config: Any, width: float, depth: float) -> None:
        super().scale(config, width, depth)
        groups = config.num_groups
        config.intermediate_size = max(1, round(config.intermediate_size / groups)) * groups

    def impossible_size(self, config: Any) -> str | None:
        groups, kernel, heads = config.num_groups, config.conv_kernel_size, _divided_heads(config)
        for name in ("num_groups", "head_ratio", "conv_kernel_size"):
            if getattr(config, name) < 1:
                return f"{name} is {getattr(config, name)}; give 1 or more"
        if config.hidden_size % (2 * heads):
            return (
                f"hidden_size {config.hidden_size} is not a multiple of {2 * heads}, twice the {heads} heads that "
                f"head_ratio {config.head_ratio} leaves of {config.num_attention_heads}; change one of them"
            )
        if config.hidden_size % groups or config.intermediate_size % groups:
            return (
                f"hidden_size {config.hidden_size} and intermediate_size {config.intermediate_size} must be multiples "
                f"of num_groups {groups}; change one of them"
            )
        if kernel % 2 == 0:
            return f"conv_kernel_size is {kernel}; give an odd number, so that a window has a middle"
        return None

    def layer_flops(self, config: Any, length: int) -> int:
        hidden, feed_forward, kernel = config.hidden_size, config.intermediate_size, config.conv_kernel_size
        half = hidden // 2
        attention = 6 * hidden * half + 4 * length * half
        span_keys = 2 * hidden * kernel + 2 * hidden * half
        kernels = 2 * half * _divided_heads(config) * kernel
        values = 2 * hidden * half + 2 * half * kernel
        feed_forward_layers = 4 * hidden * feed_forward // config.num_groups
        return attention + span_keys + kernels + values + 2 * hidden * hidden + feed_forward_layers


def _divided_heads(config: Any) -> int:
    """Heads that attend, and as many that convolve; one where there are fewer than `head_ratio`."""
    return max(1, config.num_attention_heads // max(1, cast(int, config.head_ratio)))
