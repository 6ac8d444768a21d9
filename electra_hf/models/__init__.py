"""Integers to losses: the joint model, pure torch and transformers."""

from electra_hf.models.configuration import ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.models.replaced_token_detection import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionOutput,
)

__all__ = [
    "ElectraForReplacedTokenDetection",
    "ReplacedTokenDetectionConfig",
    "ReplacedTokenDetectionOutput",
    "derive_generator_config",
]
