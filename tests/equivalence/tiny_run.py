"""Train a model of a few thousand weights on random blocks, and write down everything that must be reproducible."""

import json
import os
import signal
import zlib
from collections.abc import Iterator
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
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.streaming import StreamingBlocks
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.checkpoints import resolve_resume
from electra_hf.training.setup import end_processes, leaves_together


@dataclass
class TinyArguments:
    temperature: float = field(default=1.0, metadata={"help": "Near 0, sampling is the argmax and needs no noise."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout everywhere."})
    kill_at: int = field(default=0, metadata={"help": "SIGKILL this process after so many steps."})
    bad_loss_at: int = field(default=0, metadata={"help": "The last process's loss is infinite in this step."})
    kill_in_evaluation: int = field(default=0, metadata={"help": "SIGKILL between two batches of this evaluation."})
    stop_at: int = field(default=0, metadata={"help": "SIGTERM one process after so many steps."})
    stop_rank: int = field(default=0, metadata={"help": "Which one."})
    rows: int = field(default=64, metadata={"help": "Training rows."})
    stream: bool = field(default=False, metadata={"help": "Train on a stream of some 50 blocks a pass instead."})


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


class Lines:
    """A corpus of one part."""

    name = "lines"

    def documents(self) -> Iterator[str]:
        rng = np.random.default_rng(3)
        for length in rng.integers(20, 120, 16):
            yield " ".join(f"w{number}" for number in rng.integers(0, 59, length))


class SignalAt(TrainerCallback):
    """Signals to this process after a step, and in the evaluation after another one; step 0 is never."""

    def __init__(self, tiny: TinyArguments):
        self.tiny = tiny

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.tiny.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if state.global_step == self.tiny.stop_at and args.process_index == self.tiny.stop_rank:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_prediction_step(self, args, state, control, **_):
        if self.tiny.kill_in_evaluation and state.global_step == self.tiny.kill_in_evaluation:
            os.kill(os.getpid(), signal.SIGKILL)


class RecordingTrainer(PretrainingTrainer):
    """Writes down the rows of each step: a line for each batch, the step and a checksum of each row."""

    def training_step(self, model, inputs, *args, **kwargs):
        rows = [zlib.crc32(row.numpy().tobytes()) for row in inputs["original_ids"].cpu()]
        with Path(self.args.output_dir, f"rows-{self.args.process_index}.txt").open("a") as file:
            print(self.state.global_step, *rows, file=file)
        return super().training_step(model, inputs, *args, **kwargs)


class BadLossAt(TrainerCallback):
    """An infinite loss with a finite gradient, which only the process itself can tell from a good one."""

    def __init__(self, step: int):
        self.step = step
        self.bad = False

    def on_step_begin(self, args, state, control, **_):
        self.bad = state.global_step + 1 == self.step

    def __call__(self, module, args, output):
        if self.bad and module.training:
            output["loss"] = output["loss"] + torch.inf


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
    bad_loss = BadLossAt(tiny.bad_loss_at)
    if args.process_index == args.world_size - 1:
        model.register_forward_hook(bad_loss)
    blocks: Dataset = RandomBlocks(tiny.rows, seed=1)
    if tiny.stream:
        # Filled blocks hold the same text in each pass.
        settings = PackingSettings(packing="full", max_seq_length=24)
        blocks = StreamingBlocks(Lines(), tokenizer, settings, shuffle_buffer_size=10, seed=args.seed)
    Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    trainer = RecordingTrainer(
        model=model,
        args=args,
        train_dataset=blocks,
        eval_dataset=RandomBlocks(13, seed=2),
        data_collator=DataCollatorForReplacedTokenDetection(
            tokenizer=tokenizer, seed=args.seed, always_attention_mask=tiny.stream
        ),
        processing_class=tokenizer,
        callbacks=[SignalAt(tiny), bad_loss],
    )
    checkpoint = resolve_resume(args.resume_from_checkpoint, args.output_dir)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    metrics = trainer.evaluate()
    trainer.save_model()
    noise = torch.rand(3).tolist()
    if trainer.is_world_process_zero():
        # What depends on the clock.
        timing = ("runtime", "per_second", "remaining_seconds", "teraflops", "preparation_time")
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
        own = [parameter.double().norm().item() for parameter in model.parameters()]
        Path(args.output_dir, f"weights-{args.process_index}.json").write_text(json.dumps(own))
    end_processes()


if __name__ == "__main__":
    run_script(main)
