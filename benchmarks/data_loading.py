"""How fast do masked batches come? Tokens/s of each stage from blocks on disk to a batch, beside the usual collator.

    python benchmarks/data_loading.py --rounds 7 --json results.json

Ours is measured stage by stage: rows of memory-mapped blocks, the mask in each scheme, rows and mask of single tokens
together in torch's loader, and with loader workers. The other side is what a user writes: transformers'
DataCollatorForLanguageModeling over the same blocks as lists of ids, alone and in the same loader. Rounds are
interleaved, so that a machine whose speed drifts favours nobody; figures are medians. The blocks are random words, in
as many shards as a Wikipedia would have in a batch: nearly every row is of another shard. Needs no GPU; with one,
loaders pin their batches as in training.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, RandomSampler
from transformers import BertTokenizer, DataCollatorForLanguageModeling

from electra_hf.corpora.parts import Part
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.masking import SCHEMES, DataCollatorForReplacedTokenDetection
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class RandomWords:
    """A corpus of random words, which are whole tokens."""

    name = "random words"

    def __init__(self, words: list[str], tokens: int) -> None:
        self.words, self.tokens = words, tokens

    def parts(self) -> list[Part]:
        return [Part(self.name, self.documents)]

    def documents(self) -> Iterator[str]:
        rng = np.random.default_rng(0)
        for _ in range(0, self.tokens, 1000):
            yield " ".join(self.words[number] for number in rng.integers(0, len(self.words), 1000))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "tokens": self.tokens}


def per_batch(run: Callable[[], Any], batches: int) -> float:
    """Mean seconds of a call, after one that warms up."""
    run()
    start = time.perf_counter()
    for _ in range(batches):
        run()
    return (time.perf_counter() - start) / batches


def per_loaded_batch(loader: DataLoader, batches: int) -> float:
    """Mean seconds between the batches of a loader whose workers have started and whose queues were full."""
    iterator = iter(loader)
    for _ in range(10):
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return (time.perf_counter() - start) / batches


def make_stages(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], float]]:
    """Each stage as a function that gives its seconds for a batch."""
    words = [f"w{number}" for number in range(options.vocab_size - len(SPECIAL_TOKENS))]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(SPECIAL_TOKENS + words)})
    settings = PackingSettings(max_seq_length=options.length)
    blocks = prepare(
        RandomWords(words, options.tokens), tokenizer, folder, settings, shard_characters=60_000, progress=False
    )
    assert isinstance(blocks, BlockDataset)
    ours = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0)
    usual = DataCollatorForLanguageModeling(tokenizer=tokenizer)
    lists = [{"input_ids": example["input_ids"].tolist()} for example in blocks]

    def loader(data: Any, collator: Any, workers: int = 0) -> DataLoader:
        # As long as a large corpus: no stage meets the end of an epoch.
        sampler = RandomSampler(data, replacement=True, num_samples=10**7)
        return DataLoader(
            data,
            options.batch_size,
            sampler=sampler,
            collate_fn=collator,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            drop_last=True,
        )

    schemes = {
        f"ours: mask, {scheme}": DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0, masking=scheme)
        for scheme in SCHEMES[1:]
    }
    count = options.batches
    chosen = np.random.default_rng(1).integers(0, len(blocks), options.batch_size).tolist()
    batch, examples = blocks.__getitems__(chosen), [lists[index] for index in chosen]
    stages: dict[str, Callable[[], float]] = {
        "ours: rows of the blocks": lambda: per_batch(lambda: blocks.__getitems__(chosen), count),
        "ours: mask": lambda: per_batch(lambda: ours(batch), count),
        **{name: lambda mask=mask: per_batch(lambda: mask(batch), count) for name, mask in schemes.items()},
        "ours: loader": lambda: per_loaded_batch(loader(blocks, ours), count),
    }
    for workers in options.workers:
        stages[f"ours: loader, workers: {workers}"] = lambda workers=workers: per_loaded_batch(
            loader(blocks, ours, workers), count
        )
    few = max(5, count // 10)
    stages["usual: mask"] = lambda: per_batch(lambda: usual(examples), few)
    stages["usual: loader"] = lambda: per_loaded_batch(loader(lists, usual), few)
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each stage")
    parser.add_argument("--batches", type=int, default=100, help="batches of a round")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--tokens", type=int, default=2_000_000, help="size of the corpus")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="numbers of loader workers")
    parser.add_argument("--step_speed", type=float, default=4000, help="tokens/s of a training step, for the share")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    tokens = options.batch_size * options.length
    with tempfile.TemporaryDirectory() as folder:
        stages = make_stages(options, Path(folder, "blocks"))
        seconds: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(options.rounds):
            for name, measure in stages.items():
                seconds[name].append(measure())
    print(f"{options.batch_size} x {options.length} tokens a batch, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"{'stage':<28}{'us a batch':>12}{'M tokens/s':>12}   share of a step at {options.step_speed:,.0f} tokens/s")
    stage_results = {}
    for name, values in seconds.items():
        median = statistics.median(values)
        share = median / (tokens / options.step_speed)
        stage_results[name] = {"seconds_per_batch": values, "tokens_per_second": tokens / median, "share": share}
        print(f"{name:<28}{median * 1e6:>12,.0f}{tokens / median / 1e6:>12.2f}   {share:.3%}")
    if options.json:
        shown = {name: value for name, value in vars(options).items() if name != "json"}
        result = {"cores": os.cpu_count(), "torch": torch.__version__, "options": shown, "stages": stage_results}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
