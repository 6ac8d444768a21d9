"""The configuration of an encoder from the shapes of its tensors.

All sizes can be read off, except for the heads of plain attention: google-research/electra makes one of every 64
hidden units (util/training_utils.py), and so does this. ConvBERT's convolution kernels tell its heads.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from transformers import ConvBertConfig, ElectraConfig

Shape = Callable[[str, int], tuple[int, ...]]
HEAD_WIDTH = 64

# What cannot be changed without other tensors.
SIZE_FIELDS = (
    "vocab_size",
    "embedding_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
)
CONVOLUTION_FIELDS = ("head_ratio", "conv_kernel_size", "num_groups")


def infer_config(names: Collection[str], shape: Shape, scope: str, embeddings: str) -> ElectraConfig | ConvBertConfig:
    """Configuration of the encoder in a scope.

    Args:
        names: All names, as google-research/electra has them.
        shape: Looks a tensor up by its name and the number of dimensions that it should have.
        scope: `electra` or `generator`.
        embeddings: Scope of its embeddings.

    Raises:
        CheckpointError: From `shape`, if a tensor is missing or of another kind.
    """
    vocab_size, embedding_size = shape(f"{embeddings}/word_embeddings", 2)
    first = f"{scope}/encoder/layer_0"
    numbers = [int(found[1]) for name in names if (found := re.match(rf"{scope}/encoder/layer_(\d+)/", name))]
    (hidden_size,) = shape(f"{first}/attention/output/dense/bias", 1)
    grouped = f"{first}/intermediate/g_dense/kernel" in names
    (intermediate_size,) = shape(f"{first}/intermediate/{'g_dense' if grouped else 'dense'}/bias", 1)
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "embedding_size": embedding_size,
        "max_position_embeddings": shape(f"{embeddings}/position_embeddings", 2)[0],
        "type_vocab_size": shape(f"{embeddings}/token_type_embeddings", 2)[0],
        "hidden_size": hidden_size,
        # With a gap in their numbers, layers are missing or unknown when the tensors are read.
        "num_hidden_layers": len(set(numbers)),
        "intermediate_size": intermediate_size,
        "pad_token_id": 0,
    }
    attention = f"{first}/attention/self"
    if f"{attention}/conv_attn_key/depthwise_kernel" not in names:
        return ElectraConfig(num_attention_heads=max(1, hidden_size // HEAD_WIDTH), **sizes)
    kernel_size = shape(f"{attention}/conv_attn_key/depthwise_kernel", 3)[0]
    (kernels,) = shape(f"{attention}/conv_attn_kernel/bias", 1)
    (width,) = shape(f"{attention}/query/bias", 1)
    # Attention and convolution have so many heads each.
    heads = max(1, kernels // max(1, kernel_size))
    total = max(1, hidden_size * heads // max(1, width))
    return ConvBertConfig(
        num_attention_heads=total,
        head_ratio=max(1, total // heads),
        conv_kernel_size=kernel_size,
        num_groups=shape(f"{first}/intermediate/g_dense/kernel", 3)[0] if grouped else 1,
        bos_token_id=None,
        eos_token_id=None,
        **sizes,
    )


def fits_transformers(config: ElectraConfig | ConvBertConfig, query_width: int) -> bool:
    """Whether transformers' class has attention of the checkpoint's width.

    Its ConvBERT gives each of the two branches half of the hidden size. yitu's (model/modeling.py) keeps the width of
    a head, so a generator with one head has two branches as wide as itself.

    Args:
        config: Of the encoder.
        query_width: Outputs of its query layer.
    """
    return not isinstance(config, ConvBertConfig) or 2 * query_width == config.hidden_size
