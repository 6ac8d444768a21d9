"""Smaller batches and shorter rows at the beginning of a run, doubled until they are full.

Both are decided by the sampler. It knows the place of every row in the run, and with it the step, without being told:
the same in every process and loader worker, and after a resume. For each place in a batch it yields a row of the data,
and into how many pieces that is cut, or none:

* *Batch size*: the first places of each batch are filled and the others stay empty. Text is taken in the same order as
  without warm-up, only in more steps; an epoch of the Trainer is a fixed number of steps, so the first epoch ends that
  many rows before the end of the data.
* *Length*: a block is cut into equal pieces that are rows of their own. A step has the same tokens, in more and
  shorter rows. Only the first piece begins with [CLS], and only the last one ends with [SEP]. Pieces without a real
  token are left out.

Each stage has one shape (with padded blocks, a few more). Left out: a warm-up through gradient accumulation, since
the Trainer counts on the same number of batches in each step, and streamed text, which has no sampler.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, cast

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Dataset, IterableDataset, Sampler, SequentialSampler

from electra_hf.errors import UsageError
from electra_hf.tokens.blocks import Example
from electra_hf.training.training_arguments import PretrainingArguments

# Above the numbers of all blocks, below the sign: pieces of a block get masks of their own.
_PIECE_KEY = 2**48
MIN_PIECE_LENGTH = 8


def doubled(step: int, *, warmup_steps: int, start: int, full: int) -> int:
    """The size at a step (from 0): `start`, doubled at equal distances, `full` from step `warmup_steps` on.

    >>> [doubled(step, warmup_steps=4, start=32, full=128) for step in range(6)]
    [32, 32, 64, 64, 128, 128]
    """
    if step >= warmup_steps:
        return full
    doublings = (full // start).bit_length() - 1
    return start << (step * doublings // warmup_steps)


def check_start(option: str, start: int, full: int, smallest: int, full_option: str) -> None:
    """Refuse a start that is too small or does not become `full` by doubling.

    Raises:
        UsageError: With the starts that would do.
    """
    good = [full]
    while good[0] % 2 == 0 and good[0] // 2 >= smallest:
        good.insert(0, good[0] // 2)
    if start not in good:
        raise UsageError(
            f"--{option} {start} does not become {full_option} {full} by doubling, or is below {smallest}: choose one "
            f"of {', '.join(map(str, good))}"
        )


class Place(NamedTuple):
    """One place of a batch.

    Attributes:
        index: of the block; None leaves the place empty.
        pieces: that the block is cut into.
    """

    index: int | None
    pieces: int


@dataclass(frozen=True)
class WarmupPlan:
    """Rows and pieces of every step of a run.

    Attributes:
        batch_size: rows of a full batch, for one process and one accumulation step.
        batch_size_start: rows at the beginning.
        batch_size_steps: steps until the batch is full.
        length: of a block.
        length_start: length of the pieces at the beginning.
        length_steps: steps until blocks are whole.
        batches_per_step: accumulation steps times processes.
        steps_per_epoch: optimiser steps of an epoch.
    """

    batch_size: int
    batch_size_start: int
    batch_size_steps: int
    length: int
    length_start: int
    length_steps: int
    batches_per_step: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps until everything is full."""
        return max(self.batch_size_steps, self.length_steps)

    def rows(self, step: int) -> int:
        """Filled places of a batch."""
        return doubled(step, warmup_steps=self.batch_size_steps, start=self.batch_size_start, full=self.batch_size)

    def pieces(self, step: int) -> int:
        """Pieces of a block."""
        return self.length // doubled(step, warmup_steps=self.length_steps, start=self.length_start, full=self.length)

    def filled(self, first: int, last: int) -> float:
        """Share of the places that is filled in the steps from `first` up to, but without, `last`."""
        warm = range(first, max(first, min(last, self.batch_size_steps)))
        missing = sum(self.batch_size - self.rows(step) for step in warm)
        return 1 - missing / max(1, (last - first) * self.batch_size)


def warmup_plan(args: PretrainingArguments, length: int, steps_per_epoch: int) -> WarmupPlan:
    """The plan of a run.

    Args:
        args: Warm-ups, batch and steps of the run.
        length: Of a block.
        steps_per_epoch: Optimiser steps.

    Raises:
        UsageError: If a size does not become the full one by doubling.
    """
    batch_size = args.per_device_train_batch_size
    batch_size_start, length_start = args.batch_size_warmup_start or batch_size, args.length_warmup_start or length
    check_start("batch_size_warmup_start", batch_size_start, batch_size, 1, "--per_device_train_batch_size")
    check_start("length_warmup_start", length_start, length, MIN_PIECE_LENGTH, "--max_seq_length")
    total = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * steps_per_epoch)

    def in_steps(value: float) -> int:
        return int(value) if value >= 1 else math.ceil(value * total)

    return WarmupPlan(
        batch_size=batch_size,
        batch_size_start=batch_size_start,
        batch_size_steps=in_steps(args.batch_size_warmup_steps),
        length=length,
        length_start=length_start,
        length_steps=in_steps(args.length_warmup_steps),
        batches_per_step=args.gradient_accumulation_steps * args.world_size,
        steps_per_epoch=steps_per_epoch,
    )


class WarmupBlocks(Dataset[Example]):
    """A data set that understands the places of `WarmupSampler`; plain indices go through.

    Attributes:
        blocks: the data set of whole blocks.
        epoch: as last set.
        plan: of the run; set before the first batch.
    """

    def __init__(self, blocks: Any):
        self.blocks = blocks
        self.epoch = 0
        self.plan: WarmupPlan | None = None

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> Example:
        return self.blocks[index]

    def __getitems__(self, places: Sequence[Place | int]) -> Sequence[Example]:
        """The examples of a batch; torch's loader calls this with all its places at once."""
        first = places[0]
        if not isinstance(first, Place):
            return self._examples(cast(Sequence[int], places))
        filled = [place.index for place in cast(Sequence[Place], places) if place.index is not None]
        examples = self._examples(filled)
        if first.pieces == 1:  # the places of a batch are of one step
            return examples
        return [piece for example in examples for piece in cut(example, first.pieces)]

    def _examples(self, indices: Sequence[int]) -> Sequence[Example]:
        if hasattr(self.blocks, "__getitems__"):
            return self.blocks.__getitems__(indices)
        return [self.blocks[index] for index in indices]

    def set_epoch(self, epoch: int) -> None:
        """Draw other masks from here on, and another order; the Trainer's callback says so before each epoch."""
        self.epoch = epoch
        if hasattr(self.blocks, "set_epoch"):
            self.blocks.set_epoch(epoch)


def cut(example: Example, pieces: int) -> list[Example]:
    """The pieces of a block that hold real tokens, each an example with a mask of its own.

    >>> block = {"input_ids": [2, 7, 8, 9, 3, 0, 0, 0], "length": 5, "first_length": 5, "sample": 6, "epoch": 0}
    >>> [(piece["input_ids"], piece["length"]) for piece in cut(block, 4)]
    [([2, 7], 2), ([8, 9], 2), ([3, 0], 1)]
    """
    size = len(example["input_ids"]) // pieces
    starts = range(0, example["length"], size)
    return [
        {
            "input_ids": example["input_ids"][start : start + size],
            "length": min(size, example["length"] - start),
            "first_length": min(size, max(0, example["first_length"] - start)),
            "sample": example["sample"] + number * _PIECE_KEY,
            "epoch": example["epoch"],
        }
        for number, start in enumerate(starts)
    ]


class WarmupSampler(Sampler[Place | int]):
    """A sampler's indices, given to the places of the batches that the plan fills; after the warm-up as they are.

    Args:
        sampler: The order of the data.
        blocks: Says which epoch it is, and holds the plan.
    """

    def __init__(self, sampler: Sampler[int], blocks: WarmupBlocks):
        self.sampler = sampler
        self.blocks = blocks

    def __len__(self) -> int:
        return len(cast(Any, self.sampler))

    def __iter__(self) -> Iterator[Place | int]:
        plan, epoch = self.blocks.plan, self.blocks.epoch
        assert plan is not None
        if isinstance(self.sampler, SeedableRandomSampler):
            self.sampler.set_epoch(epoch)
        indices = iter(self.sampler)
        rows_per_step = plan.batch_size * plan.batches_per_step
        first_step = epoch * plan.steps_per_epoch
        warm = min(len(self), max(0, plan.steps - first_step) * rows_per_step)
        for position in range(warm):
            step = first_step + position // rows_per_step
            filled = position % plan.batch_size < plan.rows(step)
            yield Place(next(indices) if filled else None, plan.pieces(step))
        yield from islice(indices, len(self) - warm)


def warmup_sampler(blocks: WarmupBlocks, strategy: str, seed: int | None) -> WarmupSampler:
    """The places of a run in the order that accelerate would give its rows.

    Args:
        blocks: The data.
        strategy: `random`, a function of (seed, epoch), or `sequential`.
        seed: Of the order.

    Raises:
        UsageError: For streamed data, and other strategies.
    """
    if isinstance(blocks.blocks, IterableDataset):
        raise UsageError("a stream has no rows to choose for a warm-up of batch size or length: leave out --streaming")
    if strategy not in ("random", "sequential"):
        raise UsageError(
            f"--train_sampling_strategy {strategy} does not go with a warm-up of batch size or length: use random"
        )
    random = strategy == "random"
    return WarmupSampler(
        SeedableRandomSampler(blocks, data_seed=seed) if random else SequentialSampler(blocks), blocks
    )
