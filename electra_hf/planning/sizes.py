"""Parameters, steps, tokens and arithmetic of a run, from its options and its model alone."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from electra_hf.models import PretrainingConfig, PretrainingModel
from electra_hf.tokens.masking import slots
from electra_hf.training import DataArguments, PretrainingArguments
from electra_hf.training.batches import steps_per_epoch
from electra_hf.training.throughput import training_flops
from electra_hf.training.warmups import warmup_plan


@dataclass(frozen=True)
class Parameters:
    """How many numbers a model has.

    Attributes:
        total: Each once.
        main: Of the main encoder with its head, shared ones included.
        generator: Of the generator with its head, likewise; 0 without one.
        shared: Of both.
        trained: That get a gradient.
    """

    total: int
    main: int
    generator: int
    shared: int
    trained: int


def count_parameters(model: PretrainingModel) -> Parameters:
    """Count; a model on the meta device has its numbers, too."""
    generator = set(cast(Any, model).generator.parameters()) if model.has_generator else set()
    main = set(model.main.parameters())
    everything = list(model.parameters())  # each once
    return Parameters(
        total=sum(each.numel() for each in everything),
        main=sum(each.numel() for each in main),
        generator=sum(each.numel() for each in generator),
        shared=sum(each.numel() for each in main & generator),
        trained=sum(each.numel() for each in everything if each.requires_grad),
    )


@dataclass(frozen=True)
class Shape:
    """The batch of one process and one accumulation step.

    Attributes:
        rows: Of the batch; pieces of a block that was cut are rows of their own.
        length: Tokens of a row.
    """

    rows: int
    length: int

    @property
    def tokens(self) -> int:
        """Padding included."""
        return self.rows * self.length


def batch_shapes(args: PretrainingArguments, length: int, steps: int) -> Counter[Shape]:
    """{shape: steps that have it} of a run of so many steps: one, or with a warm-up of batches several.

    Args:
        args: Of the run; fractions of all steps are of `steps`.
        length: Of a block.
        steps: Of the whole run.

    Raises:
        UsageError: If a warm-up does not become full by doubling.
    """
    plan = warmup_plan(args, length, max(1, math.ceil(steps / max(args.num_train_epochs, 1e-9))))
    warm = min(steps, max(plan.batch_size_steps, plan.length_steps))
    shapes: Counter[Shape] = Counter()
    for step in range(warm):
        pieces = plan.pieces(step)
        shapes[Shape(plan.rows(step) * pieces, length // pieces)] += 1
    shapes[Shape(plan.batch_size, length)] += steps - warm
    return +shapes


def shape_flops(config: PretrainingConfig, shape: Shape, mlm_probability: float) -> int:
    """FLOPs of the matrix products of one forward and backward pass over a batch of this shape."""
    return shape.rows * training_flops(config, shape.length, slots(shape.length, mlm_probability), shape.rows)


def run_steps(args: PretrainingArguments, blocks: int | None, processes: int) -> int | None:
    """Steps of the optimiser; None if the time decides (`schedule_minutes`), or nobody knows the number of blocks.

    Args:
        args: Of the run.
        blocks: To train on, if known.
        processes: That share a step.

    Raises:
        UsageError: If there are fewer blocks than a step has rows.
    """
    if args.schedule_minutes is not None:
        return None
    if args.max_steps > 0:
        return args.max_steps
    if blocks is None:
        return None
    rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    return math.ceil(args.num_train_epochs * steps_per_epoch(blocks, rows))


def count_evaluations(args: PretrainingArguments, steps: int, epochs: float | None) -> int:
    """How often a run of so many steps evaluates, with the evaluation after its end."""
    if not args.do_eval:
        return 0
    count = 1 + bool(args.eval_on_start)
    if args.eval_strategy == "steps":
        every = _in_steps(args.eval_steps or args.logging_steps, steps)
        count += sum(step >= args.eval_delay for step in range(every, steps, every)) + (steps >= args.eval_delay)
    elif args.eval_strategy == "epoch":
        count += math.ceil(epochs or 0)
    return count


def count_checkpoints(args: PretrainingArguments, steps: int, epochs: float | None) -> tuple[int, int]:
    """Checkpoints that a run of so many steps writes, and how many of them are there in the end."""
    places: set[float] = {steps * share / 100 for share in args.milestones}
    milestones = len(places)
    if args.save_strategy == "steps":
        every = _in_steps(args.save_steps, steps)
        places |= {*range(every, steps, every), steps}
    elif args.save_strategy == "epoch":
        places |= set(range(1, math.ceil(epochs or 0) + 1))
    elif args.save_strategy == "best":
        places |= set(range(1, count_evaluations(args, steps, epochs)))
    written = len(places)
    kept = min(written, args.save_total_limit + milestones) if args.save_total_limit else written
    return written, kept


def _in_steps(value: float, steps: int) -> int:
    return max(1, int(value) if value >= 1 else math.ceil(value * steps))


def counted_flops(
    config: PretrainingConfig, shapes: Counter[Shape], data_args: DataArguments, batches_per_step: int
) -> int:
    """FLOPs of all steps.

    Args:
        config: Of the model.
        shapes: What `batch_shapes` gave.
        data_args: With the share of masked tokens.
        batches_per_step: Accumulation steps times processes.
    """
    return batches_per_step * sum(
        steps * shape_flops(config, shape, data_args.mlm_probability) for shape, steps in shapes.items()
    )
