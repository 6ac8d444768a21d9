"""The straightforward way: transformers' Trainer around transformers' two models, as a user writes it in an afternoon.

Nothing is slowed down on purpose. The rows are tokenised beforehand and know their special tokens, which the collator
would look for otherwise; the optimiser is the Trainer's fused AdamW; the vocabulary logits of all positions are what
`ElectraForMaskedLM` returns, and it computes its own loss from them. Replacements are drawn for the masked positions
only.
"""

from typing import Any

import numpy as np
import torch
from datasets import Dataset as RowDataset
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    DataCollatorForLanguageModeling,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from electra_hf.training.throughput import encoder_flops

_IGNORED = -100
_DISCRIMINATOR_WEIGHT = 50.0


class JointElectra(nn.Module):
    """Generator and discriminator with shared embeddings, and one loss."""

    def __init__(self, generator_config: ElectraConfig, discriminator_config: ElectraConfig):
        super().__init__()
        self.generator = ElectraForMaskedLM(generator_config)
        self.discriminator = ElectraForPreTraining(discriminator_config)
        self.discriminator.electra.embeddings = self.generator.electra.embeddings

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """(b, l) masked ids, real positions, and original ids where masked and -100 elsewhere -> the joint loss."""
        masked_lm = self.generator(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        masked = labels != _IGNORED
        with torch.no_grad():
            probabilities = torch.softmax(masked_lm.logits[masked].float(), dim=-1)
            sampled = torch.multinomial(probabilities, 1).squeeze(-1)
            originals = torch.where(masked, labels, input_ids)
            corrupted = originals.clone()
            corrupted[masked] = sampled
            replaced = (corrupted != originals).long()
        detection = self.discriminator(input_ids=corrupted, attention_mask=attention_mask, labels=replaced)
        return {"loss": masked_lm.loss + _DISCRIMINATOR_WEIGHT * detection.loss}


def tokenized_rows(data: Dataset, tokenizer: PreTrainedTokenizerBase) -> RowDataset:
    """The rows as a tokenizer in `datasets.map` leaves them: ids, which are real, which are special."""
    columns: dict[str, list[Any]] = {"input_ids": [], "attention_mask": [], "special_tokens_mask": []}
    for index in range(len(data)):  # type: ignore[arg-type]
        example = data[index]
        ids = example["input_ids"][: example.get("length")].astype(np.int64)
        columns["input_ids"].append(ids)
        columns["attention_mask"].append(np.ones_like(ids))
        columns["special_tokens_mask"].append(np.isin(ids, tokenizer.all_special_ids).astype(np.int64))
    return RowDataset.from_dict(columns)


def baseline_trainer(
    generator_config: ElectraConfig,
    discriminator_config: ElectraConfig,
    rows: RowDataset,
    tokenizer: PreTrainedTokenizerBase,
    arguments: dict[str, Any],
) -> Trainer:
    """The Trainer of a run with the stock optimiser and schedule.

    Args:
        generator_config: Of the generator.
        discriminator_config: Of the discriminator.
        rows: From `tokenized_rows`.
        tokenizer: Of the rows.
        arguments: Fields of `TrainingArguments`.
    """
    args = TrainingArguments(
        **arguments,
        use_cpu=not torch.cuda.is_available(),
        learning_rate=5e-4,
        weight_decay=0.01,
        warmup_steps=0.05,
        dataloader_drop_last=True,
        remove_unused_columns=False,
    )
    return Trainer(
        model=JointElectra(generator_config, discriminator_config),
        args=args,
        train_dataset=rows,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
    )


def baseline_flops(generator: ElectraConfig, discriminator: ElectraConfig, length: int) -> int:
    """FLOPs that a step of `JointElectra` does for one row, the vocabulary projection for all of its positions."""
    generator_head = 2 * generator.embedding_size * (generator.hidden_size + generator.vocab_size) * length
    rtd_head = 2 * discriminator.hidden_size * (discriminator.hidden_size + 1) * length
    return 3 * (encoder_flops(generator, length) + generator_head + encoder_flops(discriminator, length) + rtd_head)
