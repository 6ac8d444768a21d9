"""The generator of Electric: two transformers that read in opposite directions, and a softmax over both.

Two-tower cloze model of Baevski et al. 2019, as Clark et al. 2020b use it (section 2.4) and google-research/electra
builds it (TwoTowerClozeTransformer): the prediction at position t is made from the left-to-right tower's state at
t - 1 and the right-to-left tower's state at t + 1, so that it depends on every token but the one at t and no [MASK] is
needed. The head is that of a masked language model, over both states together.

Deviation from the reference, which shifts the states round the end of a row, so that its first and last position see
themselves: there is no state beyond either end of the text here, and zeros stand for it.

Shapes: batch (b), length (l), hidden (h), embedding (e), vocabulary (v).
"""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from electra_hf.errors import UsageError
from electra_hf.models.backbones import backbone_of
from electra_hf.models.initialization import initialize_as_reference
from electra_hf.models.pretraining_model import real_tokens

# The families whose states depend on other positions through attention alone, which a mask can make causal.
TOWER_FAMILIES = ("electra", "bert", "roberta")
OTHER_FAMILIES = (
    "its generator reads in one direction only, and such a model sees its neighbours without attention or makes masks "
    "of its own"
)
_ATTENTION = ("sdpa", "eager")


class TwoTowerClozeModel(nn.Module):
    """p(token at t | all other tokens), for all t at once.

    Args:
        forward_tower: An encoder, used from left to right.
        backward_tower: Another one of the same sizes, used from right to left.
    """

    def __init__(self, forward_tower: PreTrainedModel, backward_tower: PreTrainedModel):
        super().__init__()
        self.forward_tower, self.backward_tower = forward_tower, backward_tower
        config: Any = forward_tower.config
        width = backbone_of(config).embedding_size(config)
        self.dense = nn.Linear(2 * config.hidden_size, width)
        self.activation = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.dense.weight, std=config.initializer_range)
        nn.init.zeros_(self.dense.bias)

    @classmethod
    def make(cls, config: PreTrainedConfig, initialization: str) -> "TwoTowerClozeModel":
        """Fresh towers of one configuration."""
        config, backbone = tower_config(config), backbone_of(config)
        model = cls(*(backbone.make_encoder(copy.deepcopy(config)) for _ in range(2)))
        if initialization == "reference":
            initialize_as_reference(model)
        return model

    @property
    def config(self) -> PreTrainedConfig:
        return self.forward_tower.config

    @property
    def vocabulary(self) -> tuple[Tensor, Tensor]:
        """The projection to the vocabulary: weight (v, e), the word embeddings of the forward tower, and bias (v,)."""
        name = backbone_of(self.config).word_embeddings_name
        return cast(Tensor, self.forward_tower.get_submodule(name).weight), self.bias

    def forward(self, ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None) -> Tensor:
        """What the projection to the vocabulary takes, at every position.

        Args:
            ids: (b, l) int64, the text without masks.
            attention_mask: (b, l), 1 for real tokens, which stand before the others; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.

        Returns:
            (b, l, e).

        Raises:
            UsageError: If the attention of the towers takes no mask of its own.
        """
        backbone = backbone_of(self.config)
        states = []
        for tower, is_forward in ((self.forward_tower, True), (self.backward_tower, False)):
            # Token types alone: the padding is in the mask of the direction.
            inputs = backbone.encoder_inputs(tower, None, token_type_ids)
            inputs["attention_mask"] = _directed_mask(tower, ids, attention_mask, is_forward)
            states.append(tower(ids, **inputs, use_cache=False).last_hidden_state)  # (b, l, h)
        before, after = states
        # A state of padding knows nothing; without it a row is computed alike however long it is.
        after = after * real_tokens(after[..., 0], attention_mask).unsqueeze(-1)
        nothing = torch.zeros_like(before[:, :1])
        around = torch.cat(
            [torch.cat([nothing, before[:, :-1]], 1), torch.cat([after[:, 1:], nothing], 1)], -1
        )  # (b, l, 2 h)
        return self.LayerNorm(self.activation(self.dense(around)))


def tower_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """A generator's configuration as one of a causal encoder: loaded alone, a tower reads from left to right."""
    config = copy.deepcopy(config)
    cast(Any, config).is_decoder = True
    return config


def _directed_mask(tower: PreTrainedModel, ids: Tensor, attention_mask: Tensor | None, is_forward: bool) -> Tensor:
    """(b or 1, 1, l, l): bool for SDPA, additive fp32 for eager attention; every token sees itself."""
    implementation, length = tower.config._attn_implementation, ids.size(1)
    if implementation not in _ATTENTION:
        raise UsageError(
            f"--attn_implementation {implementation} cannot be used with --objective electric, whose generator needs "
            f"a mask for its direction: choose {' or '.join(_ATTENTION)}"
        )
    visible = torch.ones(length, length, dtype=torch.bool, device=ids.device)
    visible = (visible.tril() if is_forward else visible.triu())[None, None]
    if attention_mask is not None:
        itself = torch.eye(length, dtype=torch.bool, device=ids.device)
        visible = visible & attention_mask[:, None, None, :].bool() | itself
    if implementation == "sdpa":
        return visible
    return torch.zeros(visible.shape, device=ids.device).masked_fill(~visible, torch.finfo(torch.float32).min)
