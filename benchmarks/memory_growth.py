"""Does a long run keep its memory? A tiny model, many steps, evaluations and checkpoints; resident memory all along.

    python benchmarks/memory_growth.py --steps 20000 --evaluations 50 --picture memory.png --json memory.json

The allocator keeps what was once used, so memory rises until every size of batch, evaluation and checkpoint has been
met; after that it must stay. The slope is fitted to the second half of the run, in bytes a step, with its standard
error; what a leak of one fp32 scalar in each step would give is four.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.utils.data import Dataset
from transformers import BertTokenizer, ElectraConfig, TrainerCallback, set_seed

from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer

LENGTH, VOCABULARY, MEBI = 32, 512, 2**20


class RandomBlocks(Dataset):
    """Rows of random words."""

    def __init__(self, rows: int) -> None:
        self.ids = np.random.default_rng(0).integers(5, VOCABULARY, (rows, LENGTH)).astype(np.uint16)
        self.ids[:, 0], self.ids[:, -1] = 2, 3
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        lengths = {"length": LENGTH, "first_length": LENGTH}
        return {"input_ids": self.ids[index], **lengths, "sample": index, "epoch": self.epoch}


class Memory(TrainerCallback):
    """Notes the resident memory of this process and of its loader workers."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.steps: list[int] = []
        self.resident: list[int] = []
        self.saves = self.evaluations = 0

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self.every == 0:
            self.steps.append(state.global_step)
            self.resident.append(psutil.Process().memory_info().rss)

    def on_save(self, *_, **__):
        self.saves += 1

    def on_evaluate(self, *_, **__):
        self.evaluations += 1


def train(options: argparse.Namespace, folder: str) -> Memory:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(VOCABULARY - 5)]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    every = max(1, options.steps // options.evaluations)
    args = PretrainingArguments(
        output_dir=folder,
        max_steps=options.steps,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        logging_steps=100,
        eval_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        dataloader_num_workers=options.workers,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    set_seed(args.seed)
    discriminator = ElectraConfig(
        vocab_size=VOCABULARY, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=LENGTH,
    )  # fmt: skip
    config = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(discriminator, 0.5), discriminator_config=discriminator
    )
    memory = Memory(max(1, options.steps // 400))
    PretrainingTrainer(
        model=ElectraForReplacedTokenDetection(config),
        args=args,
        train_dataset=RandomBlocks(4_000),
        eval_dataset=RandomBlocks(64),
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=args.seed),
        processing_class=tokenizer,
        callbacks=[memory],
    ).train()
    return memory


def fit(steps: np.ndarray, resident: np.ndarray) -> tuple[float, float]:
    """Slope and its standard error, bytes a step."""
    (slope, _), covariance = np.polyfit(steps, resident, 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


def draw(path: Path, steps: np.ndarray, resident: np.ndarray, title: str) -> None:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, resident / MEBI, color="#0072B2", linewidth=1.5)
    axes.set(xlabel="step", ylabel="resident memory, MiB", ylim=(0, 1.15 * resident.max() / MEBI))
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#E4E4E4")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=160)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--evaluations", type=int, default=50, help="evaluations, and as many checkpoints")
    parser.add_argument("--workers", type=int, default=0, help="loader workers")
    parser.add_argument("--picture", type=Path, help="draw the curve here")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory = train(options, folder)
    steps, resident = np.array(memory.steps), np.array(memory.resident)
    half = len(steps) // 2
    slope, error = fit(steps[half:], resident[half:])
    print(
        f"{options.steps} steps, {memory.evaluations} evaluations, {memory.saves} checkpoints; {os.cpu_count()} cores"
    )
    for share in (0.05, 0.25, 0.5, 0.75, 1.0):
        at = min(len(steps) - 1, int(share * len(steps)))
        print(f"  step {steps[at]:>7,}: {resident[at] / MEBI:8.1f} MiB")
    print(f"second half: {slope:+.1f} bytes a step (standard error {error:.1f})")
    if options.picture:
        title = f"{options.steps:,} steps, {memory.evaluations} evaluations, {memory.saves} checkpoints"
        draw(options.picture, steps, resident, title)
    if options.json:
        found = {"steps": memory.steps, "resident_bytes": memory.resident, "slope": slope, "standard_error": error}
        options.json.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
