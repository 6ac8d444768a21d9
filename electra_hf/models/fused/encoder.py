"""The encoders of ELECTRA, BERT and RoBERTa on a CPU, from fused layers; the weights stay those of the plain modules.

The layers of the three are the same. ELECTRA projects its embeddings, and RoBERTa counts positions from the padding
id.
"""

import logging
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel, ElectraModel, PreTrainedModel, RobertaModel

from electra_hf.models.fused.layer import FusedLayer, FusedNorm, LayerSettings, layer_parts, layer_weights
from electra_hf.models.fused.noise import Seeds
from electra_hf.models.fused.operations import Operations

logger = logging.getLogger(__name__)


FusableModel = ElectraModel | BertModel | RobertaModel


def obstacle(model: PreTrainedModel) -> str | None:
    """Why the fused layers cannot stand in for a model's own, in words; None if they can."""
    if not isinstance(model, FusableModel):
        return f"they are for ELECTRA, BERT and RoBERTa, and this is a {model.config.model_type} model"
    config = model.config
    if model.device.type != "cpu":
        return f"the model is on {model.device.type}, and the fused layers are for CPUs"
    if torch.compiler.is_compiling():
        return "torch.compile takes the model's own layers"
    if config._attn_implementation != "sdpa":
        return f"attn_implementation {config._attn_implementation} was asked for"
    if config.hidden_act != "gelu":
        return f"the fused layers know gelu, and hidden_act is {config.hidden_act}"
    if config.is_decoder:
        return "the model is a decoder"
    if model.encoder.layer[0].gradient_checkpointing:  # type: ignore[union-attr]
        return "activation checkpointing takes the model's own layers"
    if model.dtype != torch.float32:
        return f"the weights are {model.dtype}, and the fused layers keep them in float32"
    if not _is_unaltered(model):
        return "a layer of the model was replaced, or has hooks"
    if compute_dtype() not in (torch.float32, torch.bfloat16):
        return f"the fused layers compute in float32 and bfloat16, not in {compute_dtype()}"
    return None


def _is_unaltered(model: FusableModel) -> bool:
    """Whether nobody put something in the place of a layer (an adapter, say) or wants to be called in between."""
    embeddings = model.embeddings
    parts = [embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings]
    parts += [embeddings.LayerNorm, *(part for layer in model.encoder.layer for part in layer_parts(layer))]  # type: ignore[arg-type]
    if not all(type(part) in (nn.Linear, nn.LayerNorm, nn.Embedding) for part in parts):
        return False
    return not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@cache
def tell_obstacle(reason: str) -> None:
    """Say once that a run on a CPU goes without the fused layers, and why."""
    logger.warning("The encoders' own layers are used instead of the fused ones, which is slower: %s.", reason)


def compute_dtype() -> torch.dtype:
    """The dtype of matrix products on the CPU here: autocast's, or float32."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32


def encode(
    model: FusableModel,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    operations: Operations,
    seeds: Seeds,
) -> Tensor:
    """What `model(...).last_hidden_state` is, up to rounding and the noise of dropout.

    Args:
        model: The encoder; its mode says whether anything is dropped.
        input_ids: (b, l) int64.
        attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
        token_type_ids: (b, l) int64; None for a single segment.
        operations: What lies between the products.
        seeds: Of the dropout masks.

    Returns:
        (b, l, h), in autocast's dtype.
    """
    config, dtype = model.config, compute_dtype()
    batch, length = input_ids.shape
    p_hidden = config.hidden_dropout_prob if model.training else 0.0
    p_attention = config.attention_probs_dropout_prob if model.training else 0.0
    with torch.autocast("cpu", enabled=False):
        x = _embed(model, input_ids, token_type_ids, operations, seeds, p_hidden).to(dtype)
        if isinstance(model, ElectraModel) and config.embedding_size != config.hidden_size:
            project = model.embeddings_project
            x = F.linear(x, project.weight.to(dtype), project.bias.to(dtype))
        bias = None
        if attention_mask is not None:
            # The lowest number instead of -inf: a row of nothing but padding is no NaN then.
            bias = torch.zeros(batch, length, dtype=torch.float32)
            bias.masked_fill_(attention_mask == 0, torch.finfo(torch.float32).min)
        for layer in model.encoder.layer:
            settings = LayerSettings(
                operations,
                batch=batch,
                heads=config.num_attention_heads,
                eps=config.layer_norm_eps,
                attention=seeds.dropout(p_attention),
                output=seeds.dropout(p_hidden),
                feed_forward=seeds.dropout(p_hidden),
            )
            x = FusedLayer.apply(settings, x, bias, *layer_weights(layer))  # type: ignore[arg-type]
        return x.view(batch, length, -1)


def _embed(
    model: FusableModel,
    input_ids: Tensor,
    token_type_ids: Tensor | None,
    operations: Operations,
    seeds: Seeds,
    p_hidden: float,
) -> Tensor:
    """(b l, e) fp32 embeddings after LayerNorm and dropout."""
    embeddings = model.embeddings
    types = embeddings.token_type_embeddings.weight[0]  # (e,)
    if token_type_ids is not None and model.config.type_vocab_size > 1:
        types = embeddings.token_type_embeddings(token_type_ids)
    first = cast(int, model.config.pad_token_id) + 1 if isinstance(model, RobertaModel) else 0
    positions = embeddings.position_embeddings.weight[first : first + input_ids.size(1)]
    x = embeddings.word_embeddings(input_ids) + (positions + types)  # (b, l, e)
    norm = embeddings.LayerNorm
    return FusedNorm.apply(  # type: ignore[return-value]
        operations, x.flatten(0, 1), norm.weight, norm.bias, norm.eps, seeds.dropout(p_hidden)
    )
