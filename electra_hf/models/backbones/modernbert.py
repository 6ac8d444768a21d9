"""ModernBERT (Warner et al. 2024): rotary positions, alternating local attention, gated layers."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM, ModernBertModel, PreTrainedModel

from electra_hf.models.attention import EAGER, SDPA, attention_bias
from electra_hf.models.backbones.backbone import Backbone


class ModernBert(Backbone):
    """ModernBERT. Every third layer attends to the whole text, the others to `local_attention` tokens around each."""

    model_type, config_class, masked_lm_class = "modernbert", ModernBertConfig, ModernBertForMaskedLM
    encoder_class = ModernBertModel
    word_embeddings_name = "embeddings.tok_embeddings"
    extra_fields: ClassVar[dict[str, Any]] = {"global_attn_every_n_layers": 3}

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.head(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.decoder.weight, model.decoder.bias

    def encoder_inputs(
        self,
        encoder: PreTrainedModel,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        ids: Tensor | None = None,
    ) -> dict[str, Any]:
        """The masks of both kinds of layers, which transformers would make with a look at the padding on the host."""
        implementation, like = encoder.config._attn_implementation, attention_mask if ids is None else ids
        if implementation not in (SDPA, EAGER) or like is None:
            return {"attention_mask": attention_mask}
        full, positions = attention_bias(encoder, attention_mask), torch.arange(like.size(1), device=like.device)
        local = (positions[:, None] - positions).abs() <= cast(Any, encoder.config).sliding_window
        if implementation == SDPA:
            sliding = local[None, None] if full is None else full & local
        else:
            lowest = torch.finfo(torch.float32).min
            sliding = torch.zeros(local.shape, device=like.device).masked_fill(~local, lowest)[None, None]
            sliding = sliding if full is None else torch.minimum(sliding, full)
        return {"attention_mask": {"full_attention": full, "sliding_attention": sliding}}

    def settle(self, config: Any, overrides: Mapping[str, Any]) -> None:
        types, layers = config.layer_types, config.num_hidden_layers
        given = overrides.get("global_attn_every_n_layers")
        if given or len(types) != layers:
            every = given or next((i for i, kind in enumerate(types) if i and kind == "full_attention"), len(types))
            config.layer_types = ["sliding_attention" if i % every else "full_attention" for i in range(layers)]

    def width_unit(self, config: Any) -> int:
        return 2 * config.num_attention_heads  # rotations are of pairs

    def impossible_size(self, config: Any) -> str | None:
        if config.hidden_size % (2 * config.num_attention_heads):
            return (
                f"hidden_size {config.hidden_size} is not a multiple of {2 * config.num_attention_heads}, twice its "
                f"num_attention_heads {config.num_attention_heads}, as rotary positions need; change one of them"
            )
        if config.local_attention < 2:
            return f"local_attention is {config.local_attention}; give 2 or more"
        for name in ("attention_dropout", "embedding_dropout", "mlp_dropout"):
            if not 0 <= getattr(config, name) <= 1:
                return f"{name} is {getattr(config, name)}; give a probability from 0 to 1"
        return None

    def attention_dropout(self, config: Any) -> float:
        return config.attention_dropout

    def layer_flops(self, config: Any, length: int) -> int:
        # Local attention computes all scores, too, and hides those that are far.
        return super().layer_flops(config, length) + 2 * config.hidden_size * config.intermediate_size
