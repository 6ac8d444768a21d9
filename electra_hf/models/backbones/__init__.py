"""The families of encoders that can be pre-trained, and what a joint model must know of each."""

from electra_hf.models.backbones.backbone import Backbone
from electra_hf.models.backbones.convbert import keep_padding_out
from electra_hf.models.backbones.detection import DetectionHead, EncoderWithDetectionHead
from electra_hf.models.backbones.families import BACKBONES, backbone_of

__all__ = ["BACKBONES", "Backbone", "DetectionHead", "EncoderWithDetectionHead", "backbone_of", "keep_padding_out"]
