"""BERT (Devlin et al. 2018) and RoBERTa (Liu et al. 2019)."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from electra_hf.models.backbones.backbone import Backbone
from electra_hf.models.initialization import initialize_as_reference


class Bert(Backbone):
    """BERT."""

    model_type, config_class, masked_lm_class = "bert", BertConfig, BertForMaskedLM
    encoder_class, encoder_options = BertModel, {"add_pooling_layer": False}

    def initialize(self, model: nn.Module, initialization: str) -> None:
        if initialization == "reference":
            initialize_as_reference(model)  # google's code for ELECTRA is made from that for BERT

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.cls.predictions.transform(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        decoder = model.cls.predictions.decoder
        return decoder.weight, decoder.bias


class Roberta(Backbone):
    """RoBERTa. Positions are counted from the padding id on, whose row and those below are not used."""

    model_type, config_class, masked_lm_class = "roberta", RobertaConfig, RobertaForMaskedLM
    encoder_class, encoder_options = RobertaModel, {"add_pooling_layer": False}

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.lm_head.layer_norm(nn.functional.gelu(model.lm_head.dense(hidden)))

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.lm_head.decoder.weight, model.lm_head.decoder.bias

    def encoder_inputs(
        self,
        encoder: PreTrainedModel,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        ids: Tensor | None = None,
    ) -> dict[str, Any]:
        inputs = super().encoder_inputs(encoder, attention_mask, token_type_ids)
        if ids is not None:
            # transformers counts the tokens that are no padding, so that a generator which puts one into a text would
            # move all that follows.
            first = encoder.config.pad_token_id + 1  # type: ignore[operator]
            inputs["position_ids"] = torch.arange(first, first + ids.size(1), device=ids.device).expand_as(ids)
        return inputs

    def usable_positions(self, config: Any) -> int:
        return config.max_position_embeddings - config.pad_token_id - 1
