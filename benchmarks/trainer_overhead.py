"""Does the Trainer cost anything? Tokens/s of its training step against a bare loop over the same step.

    python benchmarks/trainer_overhead.py --rounds 7 --json results.json

Both sides train the same model on the same blocks with the same collator, optimiser, schedule and clipping; the
Trainer's side also counts, measures and logs. Rounds are interleaved (bare, Trainer, bare, ...) in one process, so
that a machine whose speed drifts does not favour a side; the figure to quote is the ratio of the medians. Works on a
CPU or one GPU.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertTokenizer, ElectraConfig, TrainerCallback

from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.optimization import AdamWPaper, paper_linear_schedule

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class RandomBlocks(Dataset):
    """Full rows of random tokens, as many as are asked for."""

    def __init__(self, rows: int, length: int, vocab_size: int):
        self.ids = np.random.default_rng(0).integers(5, vocab_size, (min(rows, 4096), length)).astype(np.uint16)
        self.ids[:, 0], self.ids[:, -1] = 2, 3
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict:
        row = self.ids[index % len(self.ids)]
        return {"input_ids": row, "length": len(row), "first_length": len(row), "sample": index, "epoch": 0}


class Clock(TrainerCallback):
    """When each step ended, the device's work included."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **_) -> None:
        self.times.append(now())


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def build_model(options: argparse.Namespace) -> ElectraForReplacedTokenDetection:
    torch.manual_seed(0)
    small = ElectraConfig(
        vocab_size=options.vocab_size,
        hidden_size=options.hidden_size,
        num_attention_heads=options.hidden_size // 64,
        intermediate_size=4 * options.hidden_size,
        num_hidden_layers=options.layers,
    )
    config = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(small, 0.25), discriminator_config=small
    )
    return ElectraForReplacedTokenDetection(config)


def make_arguments(options: argparse.Namespace, folder: str) -> PretrainingArguments:
    return PretrainingArguments(
        output_dir=folder,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        bf16=options.bf16,
        logging_steps=10,
        save_strategy="no",
        disable_tqdm=True,
    )


def bare_round(options: argparse.Namespace, data: Dataset, collator, args: PretrainingArguments) -> list[float]:
    model = build_model(options).to(args.device).train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamWPaper(groups, lr=args.learning_rate, fused=True)
    schedule = paper_linear_schedule(optimizer, 1, options.steps)
    loader = DataLoader(data, batch_size=options.batch_size, shuffle=True, collate_fn=collator, drop_last=True)
    times = []
    for _, batch in zip(range(options.steps), loader, strict=False):
        batch = {name: tensor.to(args.device) for name, tensor in batch.items()}
        with torch.autocast(args.device.type, dtype=torch.bfloat16, enabled=options.bf16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        times.append(now())
    return times


def trainer_round(options: argparse.Namespace, data: Dataset, collator, args: PretrainingArguments) -> list[float]:
    clock = Clock()
    PretrainingTrainer(
        model=build_model(options), args=args, train_dataset=data, data_collator=collator, callbacks=[clock]
    ).train()
    return clock.times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side")
    parser.add_argument("--steps", type=int, default=12, help="steps of a round; the first two are not counted")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--hidden_size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    words = [f"w{number}" for number in range(options.vocab_size - len(SPECIAL_TOKENS))]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(SPECIAL_TOKENS + words)})
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0)
    data = RandomBlocks(options.steps * options.batch_size, options.length, options.vocab_size)
    tokens = options.batch_size * options.length
    speeds: dict[str, list[float]] = {"bare loop": [], "Trainer": []}
    with tempfile.TemporaryDirectory() as folder:
        args = make_arguments(options, folder)
        for number in range(options.rounds):
            for side, run in (("bare loop", bare_round), ("Trainer", trainer_round)):
                times = run(options, data, collator, args)
                steps = np.diff(times[1:])
                speeds[side].append(tokens / float(np.median(steps)))
                print(f"round {number + 1}  {side:<10}{speeds[side][-1]:>12,.0f} tokens/s", flush=True)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    result = {
        "device": device,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "tokens_per_second": speeds,
        "ratio_of_medians": statistics.median(speeds["Trainer"]) / statistics.median(speeds["bare loop"]),
    }
    print(f"\n{device}, {options.batch_size} x {options.length} tokens a step, {options.layers} layers")
    for side, values in speeds.items():
        print(f"{side:<10} median {statistics.median(values):>10,.0f}  ({min(values):,.0f} to {max(values):,.0f})")
    print(f"Trainer / bare loop: {result['ratio_of_medians']:.3f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
