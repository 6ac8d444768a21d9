"""What the tensors of a TensorFlow ELECTRA are called, and what they are called in transformers.

google-research/electra names variables by scopes; yitu-opensource/ConvBert does the same with more of them in an
attention layer. NVIDIA's (DeepLearningExamples, TensorFlow 2) is stored as a graph of objects, named by the attributes
that lead to a variable; those are brought into google's names first.
"""

import re
from collections.abc import Iterable

import numpy as np

_OBJECT_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_RULES = (
    (r"^model/(discriminator/)?electra/", "electra/"),
    (r"^model/generator/electra/", "generator/"),
    (r"^model/(discriminator|generator)/", ""),
    (r"^generator_lm_head/bias$", "generator_predictions/output_bias"),
    (r"^(discriminator_predictions)/dense_prediction/", r"\1/dense_1/"),
    (r"/encoder/layer/(\d+)/", r"/encoder/layer_\1/"),
    (r"/attention/self_attention/", "/attention/self/"),
    (r"/attention/dense_output/", "/attention/output/"),
    (r"/bert_output/", "/output/"),
    (r"/embeddings/(position|token_type)_embeddings/embeddings$", r"/embeddings/\1_embeddings"),
    (r"/embeddings/weight$", "/embeddings/word_embeddings"),
)
# Adam of google-research/electra; optimisers of TensorFlow 1; those of an object graph.
_OPTIMIZER = re.compile(
    r"(/adam_[mv]|/Adam(_1)?|/\.OPTIMIZER_SLOT/.*)$|^(optimizer/|beta[12]_power)|/\.OPTIMIZER_SLOT/"
)
_RENAMED = (
    ("self.key_conv_attn_layer.depthwise.weight", "self.conv_attn_key.depthwise_kernel"),
    ("self.key_conv_attn_layer.pointwise.weight", "self.conv_attn_key.pointwise_kernel"),
    ("self.key_conv_attn_layer.bias", "self.conv_attn_key.bias"),
    ("self.conv_kernel_layer.", "self.conv_attn_kernel."),
    ("self.conv_out_layer.", "self.conv_attn_point."),
    ("generator_lm_head.bias", "generator_predictions.output_bias"),
    ("discriminator_predictions.dense_prediction.", "discriminator_predictions.dense_1."),
    ("LayerNorm.weight", "LayerNorm.gamma"),
    ("LayerNorm.bias", "LayerNorm.beta"),
    ("_embeddings.weight", "_embeddings"),
)


def is_optimizer_tensor(name: str) -> bool:
    """Whether a stored name is a moment or a setting of an optimiser.

    >>> is_optimizer_tensor("electra/embeddings_project/kernel/adam_m"), is_optimizer_tensor("electra/adam_m/kernel")
    (True, False)
    """
    return _OPTIMIZER.search(name) is not None


def google_names(stored: Iterable[str]) -> dict[str, str]:
    """{name as google-research/electra has it: stored name}, the same for a checkpoint of its own.

    >>> list(google_names(["model/electra/encoder/layer/3/bert_output/LayerNorm/beta/.ATTRIBUTES/VARIABLE_VALUE"]))
    ['electra/encoder/layer_3/output/LayerNorm/beta']
    """
    names = {}
    for name in stored:
        known = name
        if name.endswith(_OBJECT_SUFFIX):
            known = name.removesuffix(_OBJECT_SUFFIX)
            for pattern, replacement in _OBJECT_RULES:
                known = re.sub(pattern, replacement, known)
        names[known] = name
    return names


def google_name(parameter: str, scope: str, embeddings: str, *, grouped: bool = False) -> str:
    """The variable that holds a parameter of transformers' ELECTRA or ConvBERT.

    Args:
        parameter: Name with the prefix of the encoder, such as `electra.`, or that of a head.
        scope: Of the encoder: `electra` or `generator`.
        embeddings: Scope of its embeddings.
        grouped: The feed-forward layers are ConvBERT's grouped ones.

    >>> google_name("electra.encoder.layer.0.attention.self.query.weight", "generator", "electra/embeddings")
    'generator/encoder/layer_0/attention/self/query/kernel'
    >>> google_name("electra.embeddings.LayerNorm.weight", "generator", "electra/embeddings")
    'electra/embeddings/LayerNorm/gamma'
    """
    name = re.sub(r"^(electra|convbert)\.", f"{scope}/", parameter)
    name = re.sub(rf"^{scope}/embeddings\.", f"{embeddings}/", name)
    name = re.sub(r"\bencoder\.layer\.(\d+)\.", r"encoder.layer_\1.", name)
    if grouped:
        name = re.sub(r"(\.layer_\d+\.(?:intermediate|output))\.dense\.", r"\1.g_dense.", name)
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return name.replace(".weight", ".kernel").replace(".", "/")


def as_parameter(array: np.ndarray, parameter: str) -> np.ndarray:
    """A variable with its dimensions in the order of torch.

    Kernels of dense layers are (in, out) there and (out, in) here; depthwise ones (width, in, 1) and (in, 1, width);
    pointwise ones (1, in, out) and (out, in, 1); the bias of a convolution gets a dimension for the positions.
    """
    if parameter.endswith("depthwise.weight"):
        return array.transpose(1, 2, 0) if array.ndim == 3 else array
    if parameter.endswith("pointwise.weight"):
        return array.transpose(2, 1, 0) if array.ndim == 3 else array
    if parameter.endswith("key_conv_attn_layer.bias"):
        return array[..., None]
    if parameter.endswith(".weight") and not parameter.endswith("_embeddings.weight") and array.ndim == 2:
        return array.T
    return array
