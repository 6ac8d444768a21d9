"""The families that can be pre-trained."""

from transformers import PreTrainedConfig

from electra_hf.errors import UsageError
from electra_hf.models.backbones.backbone import Backbone
from electra_hf.models.backbones.bert import Bert, Roberta
from electra_hf.models.backbones.convbert import ConvBert
from electra_hf.models.backbones.deberta_v2 import DebertaV2
from electra_hf.models.backbones.electra import Electra
from electra_hf.models.backbones.modernbert import ModernBert

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
