"""Losses to weights: arguments, optimiser, metrics and the Trainer."""

from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.trainer import ReplacedTokenDetectionTrainer
from electra_hf.training.training_arguments import PretrainingArguments

__all__ = [
    "DataArguments",
    "ModelArguments",
    "PretrainingArguments",
    "ReplacedTokenDetectionTrainer",
]
