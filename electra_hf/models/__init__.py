"""Integers to losses: the joint model, pure torch and transformers."""

from electra_hf.models.configuration import (
    MaskedLanguageModelingConfig,
    PretrainingConfig,
)
from electra_hf.models.electric import ElectricConfig, ElectricForPreTraining, ElectricOutput
from electra_hf.models.generator_config import derive_generator_config
from electra_hf.models.masked_language_modeling import EncoderForMaskedLanguageModeling, MaskedLanguageModelingOutput
from electra_hf.models.masked_token_detection import ElectraForMaskedTokenDetection, MaskedTokenDetectionConfig
from electra_hf.models.pretraining_model import PretrainingModel
from electra_hf.models.replaced_masked_lm import (
    AllTokensMaskedLanguageModelingConfig,
    EncoderForAllTokensMaskedLanguageModeling,
    EncoderForReplacedMaskedLanguageModeling,
    ReplacedMaskedLanguageModelingConfig,
    ReplacedMaskedLanguageModelingOutput,
)
from electra_hf.models.replaced_token_detection import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    ReplacedTokenDetectionOutput,
)
from electra_hf.models.sentence_pairs import EncoderForSentencePairs, SentencePairConfig, SentencePairOutput
from electra_hf.models.sequence_classification import (
    ConvBertForReferenceClassification,
    ElectraForReferenceClassification,
)

__all__ = [
    "AllTokensMaskedLanguageModelingConfig",
    "ConvBertForReferenceClassification",
    "ElectraForMaskedTokenDetection",
    "ElectraForReferenceClassification",
    "ElectraForReplacedTokenDetection",
    "ElectricConfig",
    "ElectricForPreTraining",
    "ElectricOutput",
    "EncoderForAllTokensMaskedLanguageModeling",
    "EncoderForMaskedLanguageModeling",
    "EncoderForReplacedMaskedLanguageModeling",
    "EncoderForSentencePairs",
    "MaskedLanguageModelingConfig",
    "MaskedLanguageModelingOutput",
    "MaskedTokenDetectionConfig",
    "PretrainingConfig",
    "PretrainingModel",
    "ReplacedMaskedLanguageModelingConfig",
    "ReplacedMaskedLanguageModelingOutput",
    "ReplacedTokenDetectionConfig",
    "ReplacedTokenDetectionOutput",
    "SentencePairConfig",
    "SentencePairOutput",
    "derive_generator_config",
]
