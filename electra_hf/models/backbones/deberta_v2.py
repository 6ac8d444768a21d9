"""DeBERTa-v2 and v3 (He et al. 2020, 2021): disentangled attention over relative positions."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import DebertaV2Config, DebertaV2ForMaskedLM, DebertaV2Model, PreTrainedModel

from electra_hf.models.backbones.backbone import Backbone


class DebertaV2(Backbone):
    """DeBERTa-v2. Its own code shares the embeddings of words and positions, and neither LayerNorm nor projection."""

    model_type, config_class, masked_lm_class = "deberta-v2", DebertaV2Config, DebertaV2ForMaskedLM
    encoder_class = DebertaV2Model
    extra_fields: ClassVar[dict[str, Any]] = {
        "position_buckets": -1,
        "norm_rel_ebd": "none",
        "share_att_key": False,
        "pos_att_type": "p2c|c2p",
        "embedding_size": 768,
        "conv_kernel_size": 0,
        "conv_act": "tanh",
    }

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        if model.legacy:
            return model.cls.predictions.transform(hidden)
        head = model.lm_predictions.lm_head
        return head.LayerNorm(head.transform_act_fn(head.dense(hidden)))

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        if model.legacy:
            decoder = model.cls.predictions.decoder
            return decoder.weight, decoder.bias
        return model.deberta.embeddings.word_embeddings.weight, model.lm_predictions.lm_head.bias

    def embedding_size(self, config: Any) -> int:
        return getattr(config, "embedding_size", config.hidden_size)

    def encoder_inputs(
        self,
        encoder: PreTrainedModel,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        ids: Tensor | None = None,
    ) -> dict[str, Any]:
        inputs = super().encoder_inputs(encoder, None, token_type_ids)
        # It takes the two dimensions as they are. Without a mask it would look for padding on the host.
        mask = torch.ones_like(ids) if attention_mask is None and ids is not None else attention_mask
        return {**inputs, "attention_mask": mask}

    def shared_parameters(self, encoder: PreTrainedModel, sharing: str) -> list[str]:
        names = super().shared_parameters(encoder, sharing)
        return [name for name in names if name.endswith("_embeddings.weight")]

    def settle(self, config: Any, overrides: Mapping[str, Any]) -> None:
        if isinstance(config.pos_att_type, str):
            config.pos_att_type = [kind.strip() for kind in config.pos_att_type.lower().split("|")]
        if "pooler_hidden_size" not in overrides:
            config.pooler_hidden_size = config.hidden_size  # transformers' pooler keeps the width

    def scale(self, config: Any, width: float, depth: float) -> None:
        embedding_size = self.embedding_size(config)
        super().scale(config, width, depth)
        if config.hidden_size != embedding_size:
            config.embedding_size = embedding_size

    def impossible_size(self, config: Any) -> str | None:
        kinds = set(config.pos_att_type or []) - {"c2p", "p2c"}
        if kinds:
            return f"pos_att_type names {', '.join(sorted(kinds))}; choose c2p, p2c or both (p2c|c2p)"
        if self.embedding_size(config) != config.hidden_size and not config.legacy:
            return (
                f"embedding_size {self.embedding_size(config)} differs from hidden_size {config.hidden_size}, and the "
                "head of masked language models that legacy=False stands for has no projection: use legacy=True"
            )
        return None

    def layer_flops(self, config: Any, length: int) -> int:
        directions = len(config.pos_att_type or []) if config.relative_attention else 0
        relative = 2 * config.hidden_size * self._relative_positions(config) * directions
        return super().layer_flops(config, length) + relative

    def batch_flops(self, config: Any) -> int:
        if not config.relative_attention:
            return 0
        # Each layer projects the embeddings of relative positions, with weights of its own for each direction that it
        # uses, or with those of queries and keys.
        projections = 2 if getattr(config, "share_att_key", False) else len(config.pos_att_type or [])
        projected = projections * 2 * config.hidden_size**2 * self._relative_positions(config)
        return config.num_hidden_layers * projected

    def _relative_positions(self, config: Any) -> int:
        """Rows of the embedding of relative positions."""
        spans = (
            getattr(config, "position_buckets", -1),
            config.max_relative_positions,
            config.max_position_embeddings,
        )
        return 2 * next(span for span in spans if span > 0)
