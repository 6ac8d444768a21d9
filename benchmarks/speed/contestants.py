"""A job -> a Trainer or a bare step that is ready to go."""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import ElectraConfig, PreTrainedTokenizerBase, Trainer

from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection, slots
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.optimization import AdamWPaper, paper_linear_schedule
from electra_hf.training.throughput import training_flops
from speed.baseline import baseline_flops, baseline_trainer, tokenized_rows
from speed.settings import SIZES, Job

_BARE_BATCHES = 8


def encoder_configs(job: Job) -> tuple[ElectraConfig, ElectraConfig]:
    """Generator and discriminator of the job's size."""
    sizes, width = SIZES[job.workload.size]
    workload = job.workload
    discriminator = ElectraConfig(
        **sizes,  # type: ignore[arg-type]
        vocab_size=workload.vocab_size,
        hidden_dropout_prob=workload.dropout,
        attention_probs_dropout_prob=workload.dropout,
        max_position_embeddings=max(512, workload.length),
    )
    generator = derive_generator_config(discriminator, width)
    for config in (generator, discriminator):
        for name, value in job.contestant.encoder.items():
            setattr(config, name, value)
    return generator, discriminator


def step_flops(job: Job) -> tuple[int, int]:
    """FLOPs of a full row, in training: what the method needs, and what the contestant does."""
    generator, discriminator = encoder_configs(job)
    length = job.workload.length
    config = ReplacedTokenDetectionConfig(generator_config=generator, discriminator_config=discriminator)
    needed = training_flops(config, length, slots(length, 0.15))
    done = baseline_flops(generator, discriminator, length) if job.contestant.kind == "transformers" else needed
    return needed, done


def build_trainer(job: Job, tokenizer: PreTrainedTokenizerBase, data: Dataset, output_dir: str) -> Trainer:
    """The Trainer of a job: the baseline's or ours."""
    generator, discriminator = encoder_configs(job)
    arguments = {
        "output_dir": output_dir,
        "max_steps": job.max_steps,
        "per_device_train_batch_size": job.workload.batch_size,
        "bf16": job.workload.precision == "bf16",
        "logging_steps": job.logging_steps,
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_num_workers": job.num_workers,
        **job.contestant.arguments,
    }
    if job.contestant.kind == "transformers":
        return baseline_trainer(generator, discriminator, tokenized_rows(data, tokenizer), tokenizer, arguments)
    return PretrainingTrainer(
        model=build_model(job),
        args=PretrainingArguments(**arguments, tune_allocator=job.tuned_allocator),
        train_dataset=data,
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
        processing_class=tokenizer,
    )


def build_model(job: Job) -> ElectraForReplacedTokenDetection:
    """This project's model of the job's size and options."""
    generator, discriminator = encoder_configs(job)
    config = ReplacedTokenDetectionConfig(
        generator_config=generator, discriminator_config=discriminator, **job.contestant.config
    )
    model = ElectraForReplacedTokenDetection(config)
    for name, value in job.contestant.model.items():
        setattr(model, name, value)
    return model


def bare_step(
    job: Job, tokenizer: PreTrainedTokenizerBase, data: Dataset
) -> tuple[ElectraForReplacedTokenDetection, Callable[[], dict[str, Tensor]]]:
    """Our model, and a function that trains it for one step on one of a few batches made beforehand.

    No Trainer, no data loading, no metrics: forward, backward, clipping, update and schedule.
    """
    model = build_model(job)
    model.to(torch.device(job.device)).train()  # type: ignore[arg-type]
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamWPaper(groups, lr=5e-4, fused=True)
    schedule = paper_linear_schedule(optimizer, 1, job.max_steps)
    batches = cycle(list(islice(_batches(job, tokenizer, data), _BARE_BATCHES)))

    def step() -> dict[str, Tensor]:
        batch = next(batches)
        with torch.autocast(job.device, dtype=torch.bfloat16, enabled=job.workload.precision == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return batch

    return model, step


def _batches(job: Job, tokenizer: PreTrainedTokenizerBase, data: Dataset) -> Iterator[dict[str, Tensor]]:
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0)
    rows = job.workload.batch_size
    for batch in DataLoader(data, batch_size=rows, shuffle=True, collate_fn=collator, drop_last=True):
        yield {name: tensor.to(job.device) for name, tensor in batch.items()}
