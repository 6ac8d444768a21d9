"""ELECTRA (Clark et al. 2020): embeddings of a width of their own, and a discriminator in transformers."""

from typing import Any, ClassVar, cast

from torch import Tensor, nn
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ElectraModel, PreTrainedConfig

from electra_hf.models.backbones.backbone import Backbone
from electra_hf.models.initialization import initialize_as_reference


class Electra(Backbone):
    """ELECTRA. The generator may be narrower, since the embeddings are projected to the width of either encoder."""

    model_type, config_class, masked_lm_class = "electra", ElectraConfig, ElectraForMaskedLM
    encoder_class = ElectraModel
    generator_width: ClassVar[float] = 0.25
    generator_depth: ClassVar[float] = 1.0

    def make_discriminator(self, config: PreTrainedConfig, initialization: str = "transformers") -> nn.Module:
        model = ElectraForPreTraining(cast(ElectraConfig, config))
        self.initialize(model, initialization)
        return model

    def initialize(self, model: nn.Module, initialization: str) -> None:
        if initialization == "reference":
            initialize_as_reference(model)

    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        return model.generator_predictions(hidden)

    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        return model.generator_lm_head.weight, model.generator_lm_head.bias

    def embedding_size(self, config: Any) -> int:
        return config.embedding_size
