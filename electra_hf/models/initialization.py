"""Initial weights as google-research/electra draws them.

transformers draws N(0, 0.02) for every linear layer. The reference draws a truncated normal (cut at two standard
deviations) everywhere, except for the projection of the embeddings and the output of the RTD head, which get
TensorFlow's default for dense layers: glorot uniform (model/modeling.py). ConvBERT's code is made from ELECTRA's; its
depthwise convolutions over k tokens get a standard deviation of 1 / k.
"""

from typing import Any

import torch
from torch import nn
from transformers.models.convbert.modeling_convbert import GroupedLinearLayer, SeparableConv1D


@torch.no_grad()
def initialize_as_reference(model: Any) -> None:
    """Redraw all weights of one encoder and its head in place; biases become 0, LayerNorm weights 1."""
    std = model.config.initializer_range
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            if name.endswith(("embeddings_project", "dense_prediction")):
                nn.init.xavier_uniform_(module.weight)
            else:
                _truncated_normal(module.weight, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            # The row of [PAD] too: the reference draws every row.
            _truncated_normal(module.weight, std)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            if module.bias is not None:  # ModernBERT's have none
                nn.init.zeros_(module.bias)
        elif isinstance(module, GroupedLinearLayer):
            _truncated_normal(module.weight, std)
            nn.init.zeros_(module.bias)
        elif isinstance(module, SeparableConv1D):
            _truncated_normal(module.depthwise.weight, 1 / module.depthwise.kernel_size[0])
            _truncated_normal(module.pointwise.weight, std)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def initialize_detection_head(head: Any, std: float) -> None:
    """Redraw the head that detects replaced tokens, in place."""
    _truncated_normal(head.dense.weight, std)
    nn.init.xavier_uniform_(head.dense_prediction.weight)
    for layer in (head.dense, head.dense_prediction):
        nn.init.zeros_(layer.bias)


def _truncated_normal(weight: torch.Tensor, std: float) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
