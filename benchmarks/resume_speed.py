"""How long until a run that goes on takes its first new step, however many it has behind it?

    python benchmarks/resume_speed.py --json results.json

A tiny model is trained one step on a corpus of 10 million blocks; its state is then saved as that of step 1,000,000,
and a new Trainer goes on from that checkpoint. Timed is from the call of `train` to the end of the first new step, for
the order of this package and, as a comparison, for the stock Trainer's sampler on the same blocks. The corpus is
computed row by row, and then a prepared folder that is opened anew and memory-mapped, with the hashes of the shards
that the step reads. The blocks of the new step are compared with those that an uninterrupted run would take. A first
round warms the process up and is not counted.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertTokenizer, ElectraConfig, Trainer, TrainerCallback
from transformers.utils.logging import disable_progress_bar

from electra_hf.corpora import storage
from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.tokens import shards
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer

LENGTH, VOCAB_SIZE, BATCH_SIZE, SHARD_BLOCKS = 16, 64, 8, 16_384
# What opens the blocks of a run.
Corpus = Callable[[], Dataset]


class ComputedBlocks(Dataset):
    """As many rows as are asked for; a row tells its number."""

    def __init__(self, rows: int):
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        digits = 5 + index // 50 ** np.arange(LENGTH - 2) % 50
        ids = np.array([2, *digits, 3], dtype=np.uint16)
        return {"input_ids": ids, "length": LENGTH, "first_length": LENGTH, "sample": index, "epoch": 0}


class StockOrder(PretrainingTrainer):
    """Samples, divides and skips as transformers and accelerate do."""

    def get_train_dataloader(self) -> DataLoader:
        return Trainer.get_train_dataloader(self)


class FirstStep(TrainerCallback):
    """Ends the training after one step, and keeps when that was."""

    def on_step_end(self, args, state, control, **_) -> None:
        self.ended = time.perf_counter()
        control.should_training_stop = True


class FirstBatch(DataCollatorForReplacedTokenDetection):
    """Keeps which blocks its first batch holds."""

    def torch_call(self, examples):
        if "first" not in self.__dict__:
            self.first = [int(example["sample"]) for example in examples]
        return super().torch_call(examples)


def write_folder(folder: Path, blocks: int) -> None:
    """A prepared folder of random blocks."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    entries = []
    for start in range(0, blocks, SHARD_BLOCKS):
        size, entry_name = min(SHARD_BLOCKS, blocks - start), f"00000-{start // SHARD_BLOCKS:05d}"
        rows = rng.integers(5, VOCAB_SIZE, (size, LENGTH), dtype=np.uint16)
        lengths = np.full(size, LENGTH, dtype=np.uint16)
        files = {}
        for kind, array in zip(shards.ARRAYS, (rows, lengths, lengths), strict=True):
            path = folder / shards.array_name(kind, entry_name)
            np.save(path, array)
            files[path.name] = {"bytes": path.stat().st_size, "sha256": storage.sha256_of(path)}
        entries.append({"name": entry_name, "blocks": size, "files": files})
    settings = {
        "schema_version": shards.SCHEMA_VERSION,
        "vocab_size": VOCAB_SIZE,
        "packing": {"max_seq_length": LENGTH},
    }
    manifest = {"format": shards.FORMAT, "settings": settings, "shards": entries}
    (folder / shards.MANIFEST).write_text(json.dumps(manifest))


def make_trainer(
    side: type[PretrainingTrainer], blocks: Dataset, folder: str, steps: int, accumulation: int
) -> tuple[PretrainingTrainer, FirstStep, FirstBatch]:
    torch.manual_seed(0)
    tiny = ElectraConfig(
        vocab_size=VOCAB_SIZE, embedding_size=16, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=LENGTH,
    )  # fmt: skip
    config = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(tiny, 0.25), discriminator_config=tiny
    )
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"w{number}" for number in range(VOCAB_SIZE - len(special))]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(special + words)})
    args = PretrainingArguments(
        output_dir=folder, max_steps=2 * steps, per_device_train_batch_size=BATCH_SIZE, logging_steps=10 * steps,
        gradient_accumulation_steps=accumulation, save_strategy="no", disable_tqdm=True, use_cpu=True, seed=1,
    )  # fmt: skip
    first_step, collator = FirstStep(), FirstBatch(tokenizer=tokenizer, seed=0)
    trainer = side(
        model=ElectraForReplacedTokenDetection(config), args=args, train_dataset=blocks, data_collator=collator,
        processing_class=tokenizer, callbacks=[first_step],
    )  # fmt: skip
    return trainer, first_step, collator


def resume(side: type[PretrainingTrainer], corpus: Corpus, steps: int, accumulation: int) -> float:
    """Seconds from `train` to the end of the first new step."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, _, _ = make_trainer(side, corpus(), folder, steps, accumulation)
        trainer.train()
        trainer.state.global_step = steps
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer, first_step, collator = make_trainer(side, corpus(), folder, steps, accumulation)
        start = time.perf_counter()
        trainer.train(resume_from_checkpoint=f"{folder}/checkpoint-{steps}")
        assert trainer.state.global_step == steps + 1
        if trainer.order is not None:
            assert collator.first == trainer.order.batches(steps)[0].indices, "other blocks"
        return first_step.ended - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps behind the run")
    parser.add_argument("--blocks", type=int, default=10_000_000, help="blocks of the computed corpus")
    parser.add_argument("--folder_blocks", type=int, default=10_000_000, help="blocks of the prepared folder")
    parser.add_argument("--accumulation", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    disable_progress_bar()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared"
        write_folder(prepared, options.folder_blocks)
        corpora: dict[str, tuple[int, Corpus]] = {
            "computed": (options.blocks, partial(ComputedBlocks, options.blocks)),
            "folder": (options.folder_blocks, partial(BlockDataset, prepared)),
        }
        resume(PretrainingTrainer, partial(ComputedBlocks, 1000), 10, 1)
        for corpus, (size, open_blocks) in corpora.items():
            for accumulation in options.accumulation:
                for name, side in (("electra_hf", PretrainingTrainer), ("stock sampler", StockOrder)):
                    seconds = [resume(side, open_blocks, options.steps, accumulation) for _ in range(options.rounds)]
                    row = {"order": name, "corpus": corpus, "blocks": size, "accumulation": accumulation}
                    rows.append(row | {"seconds": seconds})
                    print(
                        f"{name:<14}{corpus:<10}{size:>12,} blocks  accumulation {accumulation:<3}"
                        f"{statistics.median(seconds):>8.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})",
                        flush=True,
                    )
    result = {
        "machine": platform.processor() or platform.machine(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "steps": options.steps,
        "batch_size": BATCH_SIZE,
        "resumes": rows,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
