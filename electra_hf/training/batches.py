"""Which rows every batch of a run has: a function of the step, so that a run can go on anywhere without a replay.

A step takes `rows_per_step` rows: those of all accumulation steps and processes together. Step s of an epoch has the
rows that stand at s x rows_per_step and after it in the order of that epoch (`tokens.order`), dealt out in turn to the
accumulation steps and, within each, to the processes. So a step has the same rows however it is divided, and a run may
go on with another number of processes. What remains at the end of an epoch, less than one step, is left out; other
epochs leave out other rows.

With a warm-up the first steps have fewer rows and shorter ones (`warmups`). After a jump, which leaves data out, steps
use the data of later ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, Dataset

from electra_hf.errors import UsageError
from electra_hf.tokens.blocks import BlockBatch
from electra_hf.tokens.order import permuted
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.warmups import WarmupPlan, cut, warmup_plan
from electra_hf.training.workers import worker_start


class Rows(NamedTuple):
    """One batch of one process.

    Attributes:
        indices: of its blocks.
        epoch: of the data, which keys the masks.
        pieces: that each block is cut into.
    """

    indices: list[int]
    epoch: int
    pieces: int


_SKIPPED = Rows([], 0, 1)


class BatchOrder:
    """The batch sampler of one process.

    Steps are counted from 0 over the whole run: step s is the one that begins when the Trainer's `global_step` is s.

    Args:
        size: Blocks of the data.
        plan: Rows and pieces of a batch at each step.
        seed: Of the order.
        shuffle: Whether there is an order at all, or the blocks are taken as they stand.
        accumulation: Batches of a process in a step.
        num_processes: Processes.
        process_index: This one.

    Attributes:
        rows_per_step: of full batches, all processes together.
        steps_per_epoch: of the Trainer.
        plan: as given.
        generator: for the loader's seeds of its workers, so that none is drawn from torch's own generator.

    Raises:
        UsageError: If there are fewer blocks than a step has.
    """

    def __init__(
        self,
        size: int,
        plan: WarmupPlan,
        *,
        seed: int,
        shuffle: bool = True,
        accumulation: int = 1,
        num_processes: int = 1,
        process_index: int = 0,
    ):
        self.size = size
        self.plan = plan
        self.seed = seed
        self.shuffle = shuffle
        self.accumulation = accumulation
        self.num_processes = num_processes
        self.process_index = process_index
        self.rows_per_step = plan.batch_size * accumulation * num_processes
        self.steps_per_epoch = steps_per_epoch(size, self.rows_per_step)
        self.generator = torch.Generator()
        self._jumps: list[tuple[int, int]] = []
        self.start_epoch(0)

    def __len__(self) -> int:
        """Batches of this process in an epoch: a multiple of the accumulation."""
        return self.steps_per_epoch * self.accumulation

    def start_epoch(self, epoch: int, skipped: int = 0) -> None:
        """Say what the next iterator gives.

        Args:
            epoch: Of the Trainer.
            skipped: Batches at its beginning that were used before a resume. They come as empty ones, because
                accelerate's `skip_first_batches` throws so many away; 10 million take a second.
        """
        self._epoch, self._skipped = epoch, skipped
        self.generator.manual_seed(self.seed + epoch)

    def __iter__(self) -> Iterator[Rows]:
        first = self._epoch * self.steps_per_epoch
        steps = range(first + self._skipped // self.accumulation, first + self.steps_per_epoch)
        return chain(repeat(_SKIPPED, self._skipped), chain.from_iterable(map(self.batches, steps)))

    def batches(self, step: int) -> list[Rows]:
        """The batches of this process in a step, one for each accumulation step."""
        step = self.data_step(step)
        epoch = step // self.steps_per_epoch
        rows = self.plan.rows(step)
        before = self.plan.rows_before(step) - self.plan.rows_before(epoch * self.steps_per_epoch)
        numbers = np.arange(self.accumulation) * self.num_processes + self.process_index  # among those of the step
        positions = before * self.accumulation * self.num_processes + numbers[:, None] * rows + np.arange(rows)
        if self.shuffle:
            positions = permuted(positions.ravel(), self.size, self.seed, epoch).reshape(positions.shape)
        return [Rows(indices, epoch, self.plan.pieces(step)) for indices in positions.tolist()]

    # Jumps

    def jump(self, at_step: int, steps: int) -> None:
        """Leave data out: from step `at_step` on, each step uses the data that was `steps` steps further.

        The steps go on into the data of the next epoch; the epochs of the Trainer stay where they are, and a warm-up
        ends so many steps earlier. Batches that a loader has fetched ahead stay as they are, so this belongs before an
        epoch begins or is taken up again. To be called alike in all processes.
        """
        self._jumps.append((at_step, steps))

    def data_step(self, step: int) -> int:
        """The step whose data a step uses: itself and all jumps so far."""
        return step + sum(steps for at_step, steps in self._jumps if at_step <= step)

    # Checkpoints

    def state_dict(self) -> dict[str, Any]:
        """The jumps, and what the order depends on; the same in every process."""
        return {"order": self._identity(), "jumps": [list(jump) for jump in self._jumps]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the jumps of a checkpoint.

        Raises:
            UsageError: If the data, their order or the rows of a step are others: rows would be repeated and skipped.
        """
        _refuse_another(state["order"], self._identity())
        self._jumps = [(at_step, steps) for at_step, steps in state["jumps"]]

    def _identity(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "training blocks": self.size,
            "blocks in a step (--per_device_train_batch_size x --gradient_accumulation_steps x processes)": (
                self.rows_per_step
            ),
            "--data_seed": self.seed,
            "--train_sampling_strategy": "random" if self.shuffle else "sequential",
            "steps and blocks in the warm-up of the batch size": [
                plan.batch_size_steps,
                plan.rows_before(plan.batch_size_steps) * self.accumulation * self.num_processes,
            ],
            "steps and first length of the warm-up of the length": [plan.length_steps, plan.length_start],
        }


class StreamOrder:
    """What the order of a stream depends on besides the seed and the rows of a step, which every checkpoint knows.

    Args:
        args: Of the run.
        stream: Its data.
    """

    def __init__(self, args: PretrainingArguments, stream: Any):
        workers = max(1, args.dataloader_num_workers)  # the main process reads what a single worker would
        self._identity: dict[str, Any] = {
            "--dataloader_num_workers (0 counts as 1)": workers,
            "--shuffle_buffer_size": getattr(stream, "shuffle_buffer_size", None),
            # Several workers take turns, a batch each.
            "--per_device_train_batch_size": args.per_device_train_batch_size if workers > 1 else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """The same in every process."""
        return {"order": self._identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare with a checkpoint.

        Raises:
            UsageError: If the order is another one: text would be repeated and skipped.
        """
        _refuse_another(state["order"], self._identity)


def _refuse_another(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name, value in now.items():
        if before[name] != value:
            raise UsageError(
                f"the checkpoint was written with {name}: {before[name]}, and now it is {value}, so the run would "
                "repeat some text and skip other: go on with what it began with, or begin a new run from its weights "
                "(--model_name_or_path CHECKPOINT)"
            )


def steps_per_epoch(size: int, rows_per_step: int) -> int:
    """Steps that a pass over `size` blocks has.

    Raises:
        UsageError: If it has none.
    """
    if size < rows_per_step:
        raise UsageError(
            f"there are {size} training blocks, fewer than the {rows_per_step} of one step: add text, or lower "
            "--per_device_train_batch_size or --gradient_accumulation_steps"
        )
    return size // rows_per_step


def order_for(args: PretrainingArguments, blocks: Any) -> BatchOrder:
    """The order of a run over a data set with a length.

    Raises:
        UsageError: For fewer blocks than a step has, a warm-up whose start does not become full by doubling, and
            sampling strategies that are no function of the step.
    """
    strategy = str(args.train_sampling_strategy)
    if strategy not in ("random", "sequential"):
        raise UsageError(
            f"--train_sampling_strategy {strategy} is for texts of different lengths, and blocks have one: use random"
        )
    if args.ignore_data_skip:
        raise UsageError(
            "--ignore_data_skip would repeat text, and going on where a run stopped takes no time: leave it out"
        )
    accumulation, processes = args.gradient_accumulation_steps, args.world_size
    rows_per_step = args.per_device_train_batch_size * accumulation * processes
    length = len(blocks[0]["input_ids"]) if args.warms_up_batches else 1
    assert args.data_seed is not None
    return BatchOrder(
        len(blocks),
        warmup_plan(args, length, steps_per_epoch(len(blocks), rows_per_step)),
        seed=args.data_seed,
        shuffle=strategy == "random",
        accumulation=accumulation,
        num_processes=processes,
        process_index=args.process_index,
    )


class OrderedBlocks(Dataset[Any]):
    """A data set that gives the examples of `Rows`; their epoch becomes that of the rows.

    The examples are those of `BlockDataset`; of others, only the indices of the rows are used.

    Attributes:
        blocks: the data set of whole blocks.
    """

    def __init__(self, blocks: Any):
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitems__(self, rows: Rows) -> Sequence[Any]:
        """The examples of a batch; torch's loader calls this with what the batch sampler gave."""
        if hasattr(self.blocks, "__getitems__"):
            examples = self.blocks.__getitems__(rows.indices)
        else:
            examples = [self.blocks[index] for index in rows.indices]
        if isinstance(examples, BlockBatch):
            examples = replace(examples, epoch=rows.epoch)
        else:
            examples = [_of_epoch(example, rows.epoch) for example in examples]
        if rows.pieces == 1:
            return examples
        return [piece for example in examples for piece in cut(example, rows.pieces)]

    def set_epoch(self, epoch: int) -> None:
        """For data sets that change with the epoch by themselves; accelerate's loaders call it."""
        if hasattr(self.blocks, "set_epoch"):
            self.blocks.set_epoch(epoch)


def _of_epoch(example: Any, epoch: int) -> Any:
    return {**example, "epoch": epoch} if isinstance(example, Mapping) and "epoch" in example else example


def batch_loader(
    blocks: Any, order: BatchOrder, collate_fn: Callable, args: PretrainingArguments, accelerator: Accelerator
) -> DataLoader:
    """The batches of an order, made in worker processes as the options say and put on the device.

    Raises:
        UsageError: If accelerate was told to divide batches in another way.
    """
    if accelerator.split_batches or accelerator.dispatch_batches:
        raise UsageError(
            "each process takes its own rows of every step: leave split_batches and dispatch_batches out of "
            "--accelerator_config"
        )
    loader = DataLoader(
        OrderedBlocks(blocks),
        batch_sampler=cast(Any, order),
        collate_fn=collate_fn,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        multiprocessing_context=args.dataloader_multiprocessing_context,
        prefetch_factor=args.dataloader_prefetch_factor,
        worker_init_fn=worker_start(args),
        generator=order.generator,
    )
    # As for one process: the batches are divided already.
    return prepare_data_loader(
        loader,
        accelerator.device,
        num_processes=1,
        process_index=0,
        put_on_device=accelerator.device_placement,
        non_blocking=accelerator.non_blocking,
    )
