"""Losses to weights: arguments, optimiser, metrics and the Trainer."""

from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.trainer import PretrainingTrainer

__all__ = [
    "DataArguments",
    "ModelArguments",
    "PretrainingArguments",
    "PretrainingTrainer",
]
