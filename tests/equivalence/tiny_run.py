"""Train a model of a few thousand weights on random blocks, and write down everything that must be reproducible."""

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertTokenizer, ElectraConfig, TrainerCallback, set_seed

from electra_hf.errors import run_script
from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)
from electra_hf.parser import ConfigArgumentParser
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, ReplacedTokenDetectionTrainer
from electra_hf.training.checkpoints import resolve_resume
from electra_hf.training.setup import end_processes, leaves_together


@dataclass
class TinyArguments:
    temperature: float = field(default=1.0, metadata={"help": "Near 0, sampling is the argmax and needs no noise."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout everywhere."})
    kill_at: int = field(default=0, metadata={"help": "SIGKILL this process after so many steps."})
    stop_at: int = field(default=0, metadata={"help": "SIGTERM one process after so many steps."})
    stop_rank: int = field(default=0, metadata={"help": "Which one."})
    rows: int = field(default=64, metadata={"help": "Training rows."})


class RandomBlocks(Dataset):
    """Rows of unequal length, so that both denominators differ from batch to batch."""

    def __init__(self, rows: int, seed: int):
        rng = np.random.default_rng(seed)
        self.ids = rng.integers(5, 64, (rows, 24)).astype(np.uint16)
        self.lengths = rng.integers(8, 25, rows)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        row, length = self.ids[index].copy(), int(self.lengths[index])
        row[0], row[length - 1], row[length:] = 2, 3, 0
        return {
            "input_ids": row, "length": length, "first_length": length, "sample": index, "epoch": self.epoch
        }  # fmt: skip


class SignalAt(TrainerCallback):
    def __init__(self, tiny: TinyArguments):
        self.tiny = tiny

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.tiny.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if state.global_step == self.tiny.stop_at and args.process_index == self.tiny.stop_rank:
            os.kill(os.getpid(), signal.SIGTERM)


@leaves_together
def main() -> None:
    tiny, args = ConfigArgumentParser((TinyArguments, PretrainingArguments)).parse()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(59)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    set_seed(0)
    discriminator = ElectraConfig(
        vocab_size=64, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=24,
        hidden_dropout_prob=tiny.dropout, attention_probs_dropout_prob=tiny.dropout,
        initializer_range=0.3,  # logits far enough apart that rounding does not change an argmax
    )  # fmt: skip
    model = ElectraForReplacedTokenDetection(
        ReplacedTokenDetectionConfig(
            generator_config=derive_generator_config(discriminator, 0.25),
            discriminator_config=discriminator,
            temperature=tiny.temperature,
        )
    )
    trainer = ReplacedTokenDetectionTrainer(
        model=model,
        args=args,
        train_dataset=RandomBlocks(tiny.rows, seed=1),
        eval_dataset=RandomBlocks(13, seed=2),
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=args.seed),
        processing_class=tokenizer,
        callbacks=[SignalAt(tiny)],
    )
    checkpoint = resolve_resume(args.resume_from_checkpoint, args.output_dir)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    metrics = trainer.evaluate()
    trainer.save_model()
    noise = torch.rand(3).tolist()
    if trainer.is_world_process_zero():
        # What depends on the clock, or (train_loss) on the part of a run that this process did.
        timing = ("runtime", "per_second", "remaining_seconds", "teraflops", "preparation_time", "train_loss")
        history = [
            {name: value for name, value in logs.items() if not name.endswith(timing)}
            for logs in [*trainer.state.log_history, {"step": -1, **metrics}]
        ]
        weights = {name: parameter.double().norm().item() for name, parameter in model.named_parameters()}
        result = {"history": history, "weights": weights, "noise": noise, "flos": trainer.state.total_flos}
        Path(args.output_dir, "result.json").write_text(json.dumps(result, sort_keys=True))
    if args.world_size > 1:
        torch.distributed.barrier()
        Path(args.output_dir, f"noise-{args.process_index}.json").write_text(json.dumps(noise))
    end_processes()


if __name__ == "__main__":
    run_script(main)
