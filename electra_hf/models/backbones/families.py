"""The families, one class each."""

from typing import Any, cast

from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    ConvBertConfig,
    ConvBertForMaskedLM,
    ConvBertModel,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2Model,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from electra_hf.errors import UsageError
from electra_hf.models.backbones.backbone import Backbone


class Electra(Backbone):
    """ELECTRA (Clark et al. 2020): embeddings of a width of their own, and a discriminator in transformers."""

    model_type, config_class, masked_lm_class = "electra", ElectraConfig, ElectraForMaskedLM
    encoder_class = ElectraModel

    def make_discriminator(self, config: PreTrainedConfig, initialization: str = "transformers") -> nn.Module:
        model = ElectraForPreTraining(cast(ElectraConfig, config))
        self.initialize(model, initialization)
        return model

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.generator_predictions(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.generator_lm_head.weight, model.generator_lm_head.bias

    def embedding_size(self, config: Any) -> int:
        return config.embedding_size


class ConvBert(Electra):
    """ConvBERT (Jiang et al. 2020): half of the heads are span-based dynamic convolutions."""

    model_type, config_class, masked_lm_class = "convbert", ConvBertConfig, ConvBertForMaskedLM
    encoder_class = ConvBertModel

    make_discriminator = Backbone.make_discriminator


class Bert(Backbone):
    """BERT (Devlin et al. 2018)."""

    model_type, config_class, masked_lm_class = "bert", BertConfig, BertForMaskedLM
    encoder_class, encoder_options = BertModel, {"add_pooling_layer": False}

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.cls.predictions.transform(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        decoder = model.cls.predictions.decoder
        return decoder.weight, decoder.bias


class Roberta(Backbone):
    """RoBERTa (Liu et al. 2019): positions are counted from the padding id on."""

    model_type, config_class, masked_lm_class = "roberta", RobertaConfig, RobertaForMaskedLM
    encoder_class, encoder_options = RobertaModel, {"add_pooling_layer": False}

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.lm_head.layer_norm(nn.functional.gelu(model.lm_head.dense(hidden)))

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.lm_head.decoder.weight, model.lm_head.decoder.bias

    def inputs_beside_embeddings(self, encoder: PreTrainedModel, input_ids: Tensor) -> dict[str, Any]:
        embeddings = cast(Any, encoder).embeddings
        return {"position_ids": embeddings.create_position_ids_from_input_ids(input_ids, embeddings.padding_idx)}


class ModernBert(Backbone):
    """ModernBERT (Warner et al. 2024): rotary positions, alternating local attention, gated layers."""

    model_type, config_class, masked_lm_class = "modernbert", ModernBertConfig, ModernBertForMaskedLM
    encoder_class = ModernBertModel
    word_embeddings_name = "embeddings.tok_embeddings"

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.head(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.decoder.weight, model.decoder.bias

    def encoder_inputs(
        self, encoder: PreTrainedModel, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> dict[str, Any]:
        return {"attention_mask": attention_mask}


class DebertaV2(Backbone):
    """DeBERTa-v2 and v3 (He et al. 2020, 2021): disentangled attention over relative positions."""

    model_type, config_class, masked_lm_class = "deberta-v2", DebertaV2Config, DebertaV2ForMaskedLM
    encoder_class = DebertaV2Model

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

    def encoder_inputs(
        self, encoder: PreTrainedModel, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> dict[str, Any]:
        inputs = super().encoder_inputs(encoder, None, token_type_ids)
        return {**inputs, "attention_mask": attention_mask}  # it makes its own out of the two dimensions


BACKBONES: dict[str, Backbone] = {
    family.model_type: family() for family in (Electra, ConvBert, Bert, Roberta, ModernBert, DebertaV2)
}


def backbone_of(config: PreTrainedConfig) -> Backbone:
    """The family of a configuration.

    Raises:
        UsageError: If it is none that can be pre-trained here.
    """
    if config.model_type not in BACKBONES:
        raise UsageError(
            f"it is a {config.model_type} model, and those that can be pre-trained are {', '.join(BACKBONES)}"
        )
    return BACKBONES[config.model_type]
