"""A Trainer whose model has a few thousand weights, on random blocks, that saves in a tenth of a second."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertTokenizer, ElectraConfig, TrainerCallback

from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer


class RandomBlocks(Dataset):
    """Full rows of 16 random tokens."""

    def __init__(self, rows: int):
        self.ids = np.random.default_rng(0).integers(5, 64, (rows, 16)).astype(np.uint16)
        self.ids[:, 0], self.ids[:, -1] = 2, 3

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index], "length": 16, "first_length": 16, "sample": index, "epoch": 0}


def tiny_trainer(folder: Path, callback: TrainerCallback, **options: Any) -> PretrainingTrainer:
    """The Trainer.

    Args:
        folder: Its output folder.
        callback: One more callback.
        options: Of `PretrainingArguments`.
    """
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(59)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    discriminator = ElectraConfig(
        vocab_size=64,
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    model = ElectraForReplacedTokenDetection(
        ReplacedTokenDetectionConfig(
            generator_config=derive_generator_config(discriminator, 0.5), discriminator_config=discriminator
        )
    )
    return PretrainingTrainer(
        model=model,
        args=PretrainingArguments(
            output_dir=str(folder), per_device_train_batch_size=4, use_cpu=True, disable_tqdm=True, **options
        ),
        train_dataset=RandomBlocks(64),
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
        processing_class=tokenizer,
        callbacks=[callback],
    )
