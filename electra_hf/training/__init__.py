"""Losses to weights: arguments, optimiser, metrics and the Trainer."""

from electra_hf.training.arguments import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.parser import ConfigArgumentParser
from electra_hf.training.trainer import ReplacedTokenDetectionTrainer

__all__ = [
    "ConfigArgumentParser",
    "DataArguments",
    "ModelArguments",
    "PretrainingArguments",
    "ReplacedTokenDetectionTrainer",
]
