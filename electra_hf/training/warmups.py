"""Smaller batches and shorter rows at the beginning of a run, doubled until they are full.

Both are functions of the step, asked by the batch sampler (`batches`), which knows the step of every batch: the same
in every process and loader worker, and after a resume.

* *Batch size*: a batch has fewer rows. Text is taken in the same order as without warm-up, only in more steps; an
  epoch of the Trainer is a fixed number of steps, so the first epoch ends that many rows before the end of the data.
* *Length*: a block is cut into equal pieces that are rows of their own. A step has the same tokens, in more and
  shorter rows. Only the first piece begins with [CLS], and only the last one ends with [SEP]. Pieces without a real
  token are left out.

Each stage has one shape (with padded blocks, a few more). Left out: a warm-up through gradient accumulation, since
the Trainer counts on the same number of batches in each step, and streamed text, whose rows cannot be chosen.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from electra_hf.errors import UsageError
from electra_hf.tokens.blocks import Example
from electra_hf.tokens.sentence_pairs import NO_PAIR
from electra_hf.training.pretraining_arguments import PretrainingArguments

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
    """

    batch_size: int
    batch_size_start: int
    batch_size_steps: int
    length: int
    length_start: int
    length_steps: int

    def rows(self, step: int) -> int:
        """Rows of a batch."""
        return doubled(step, warmup_steps=self.batch_size_steps, start=self.batch_size_start, full=self.batch_size)

    def pieces(self, step: int) -> int:
        """Pieces of a block."""
        return self.length // doubled(step, warmup_steps=self.length_steps, start=self.length_start, full=self.length)

    def rows_before(self, step: int) -> int:
        """Rows of the first batches of all steps before one."""
        warm = min(step, self.batch_size_steps)
        return self._sums[warm] + (step - warm) * self.batch_size

    @cached_property
    def _sums(self) -> list[int]:
        return [0, *accumulate(self.rows(step) for step in range(self.batch_size_steps))]

    def filled(self, first: int, last: int) -> float:
        """Rows of the steps from `first` up to, but without, `last`, as a share of what full batches have."""
        return (self.rows_before(last) - self.rows_before(first)) / max(1, (last - first) * self.batch_size)


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
    )


def cut(example: Example, pieces: int) -> list[Example]:
    """The pieces of a block that hold real tokens, each an example with a mask of its own, and no pair any more.

    >>> block = {"input_ids": [2, 7, 8, 9, 3, 0, 0, 0], "length": 5, "first_length": 5, "sample": 6, "epoch": 0}
    >>> [(piece["input_ids"], piece["length"]) for piece in cut(block, 4)]
    [([2, 7], 2), ([8, 9], 2), ([3, 0], 1)]
    """
    size = len(example["input_ids"]) // pieces
    starts = range(0, example["length"], size)
    label = {"pair_label": NO_PAIR} if "pair_label" in example else {}
    return [
        {
            "input_ids": example["input_ids"][start : start + size],
            "length": min(size, example["length"] - start),
            "first_length": min(size, max(0, example["first_length"] - start)),
            "sample": example["sample"] + number * _PIECE_KEY,
            "epoch": example["epoch"],
            **label,
        }
        for number, start in enumerate(starts)
    ]
