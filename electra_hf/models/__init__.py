"""Integers to losses: the joint model, pure torch and transformers."""

from electra_hf.models.configuration import ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.models.replaced_token_detection import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionOutput,
)
from electra_hf.models.sequence_classification import (
    ConvBertForReferenceClassification,
    ElectraForReferenceClassification,
)

__all__ = [
    "ConvBertForReferenceClassification",
    "ElectraForReferenceClassification",
    "ElectraForReplacedTokenDetection",
    "ReplacedTokenDetectionConfig",
    "ReplacedTokenDetectionOutput",
    "derive_generator_config",
]
