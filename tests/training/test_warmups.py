"""Which rows and pieces each step gets, and that none of the text is lost."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from electra_hf.errors import UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.order import permuted
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.batches import BatchOrder, OrderedBlocks, Rows
from electra_hf.training.throughput import training_flops
from electra_hf.training.warmups import WarmupPlan, cut, doubled, warmup_plan

LENGTH = 32


class Blocks(Dataset):
    """Full rows of 32 tokens that say which row they are of; the second half of row 3 is padding."""

    def __init__(self, rows: int):
        self.rows = rows
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict:
        row = np.full(LENGTH, 5 + index % 50, dtype=np.uint16)
        row[0], row[-1] = 2, 3
        length = LENGTH
        if index == 3:
            row[16:], length = 0, 16
        return {"input_ids": row, "length": length, "first_length": length, "sample": index, "epoch": self.epoch}


PLAN = WarmupPlan(
    batch_size=4,
    batch_size_start=1,
    batch_size_steps=4,
    length=LENGTH,
    length_start=8,
    length_steps=6,
)


def used(plan: WarmupPlan, epoch: int = 0, **division) -> list[list[int]]:
    """The rows of every batch of an epoch over 40 blocks."""
    order = BatchOrder(40, plan, seed=7, **division)
    order.start_epoch(epoch)
    return [rows.indices for rows in order]


def test_sizes_double_at_equal_distances():
    assert [doubled(step, warmup_steps=6, start=8, full=64) for step in range(8)] == [8, 8, 16, 16, 32, 32, 64, 64]
    assert [doubled(step, warmup_steps=2, start=1, full=16) for step in range(3)] == [1, 4, 16]
    assert doubled(0, warmup_steps=0, start=8, full=8) == 8
    assert [PLAN.rows(step) for step in range(6)] == [1, 1, 2, 2, 4, 4]
    assert [PLAN.pieces(step) for step in range(8)] == [4, 4, 4, 2, 2, 2, 1, 1]
    assert PLAN.filled(0, 4) == pytest.approx(6 / 16)
    assert PLAN.filled(2, 6) == pytest.approx(12 / 16)
    assert PLAN.filled(4, 9) == 1


def test_rows_come_in_the_same_order_in_more_steps():
    batches = used(PLAN)
    assert [len(batch) for batch in batches] == [1, 1, 2, 2, 4, 4, 4, 4, 4, 4]
    order = BatchOrder(40, PLAN, seed=7)
    assert [rows.pieces for rows in order] == [4, 4, 4, 2, 2, 2, 1, 1, 1, 1]
    assert sum(batches, []) == permuted(np.arange(30), 40, 7, 0).tolist()


def test_a_later_epoch_is_the_plain_one():
    assert sum(used(PLAN, epoch=1), []) == permuted(np.arange(40), 40, 7, 1).tolist()
    # A warm-up that ends in the second epoch.
    longer = dataclasses.replace(PLAN, batch_size_steps=14, length_steps=0, length_start=LENGTH)
    batches = used(longer, epoch=1)
    assert [len(batch) for batch in batches] == [2] * 4 + [4] * 6
    assert sum(batches, []) == permuted(np.arange(32), 40, 7, 1).tolist()


def test_processes_see_their_part_of_the_same():
    whole = used(PLAN, accumulation=2)
    assert [len(batch) for batch in whole] == [1, 1, 1, 1, 2, 2, 2, 2, 4, 4]
    assert sum(whole, []) == permuted(np.arange(20), 40, 7, 0).tolist()
    ranks = [used(PLAN, num_processes=2, process_index=rank) for rank in (0, 1)]
    assert [batch for pair in zip(*ranks, strict=True) for batch in pair] == whole


def test_pieces_hold_all_tokens_of_a_block_once():
    row = np.arange(LENGTH, dtype=np.uint16)
    example = {"input_ids": row, "length": 21, "first_length": 10, "sample": 9, "epoch": 2}
    pieces = cut(example, 4)
    assert [piece["length"] for piece in pieces] == [8, 8, 5]
    assert [piece["first_length"] for piece in pieces] == [8, 2, 0]
    assert np.concatenate([piece["input_ids"] for piece in pieces]).tolist() == row[:24].tolist()
    assert {len(piece["input_ids"]) for piece in pieces} == {8}
    assert len({piece["sample"] for piece in pieces}) == 3
    assert [piece["epoch"] for piece in pieces] == [2, 2, 2]


def test_batch_of_places_becomes_examples(tokenizer):
    batch = OrderedBlocks(Blocks(8)).__getitems__(Rows([2, 3], epoch=0, pieces=2))
    assert [piece["sample"] % 2**48 for piece in batch] == [2, 2, 3]  # the padded half of row 3 is left out
    collated = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0)(batch)
    assert collated["input_ids"].shape == (3, 16)
    assert collated["masked_positions"].shape == (3, 2)
    positions = collated["masked_positions"].tolist()
    assert positions[0] != positions[1], "pieces of one block have masks of their own"


class Shapes(DataCollatorForReplacedTokenDetection):
    """Remembers the batches it made."""

    def torch_call(self, examples):
        batch = super().torch_call(examples)
        self.__dict__.setdefault("seen", []).append(batch)
        return batch


@pytest.fixture
def train(tmp_path, tokenizer, make_model):
    def run(blocks: Dataset, **options):
        args = PretrainingArguments(
            output_dir=str(tmp_path),
            max_steps=7,
            per_device_train_batch_size=4,
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            **options,
        )
        collator = Shapes(tokenizer=tokenizer, seed=0)
        trainer = PretrainingTrainer(model=make_model(), args=args, train_dataset=blocks, data_collator=collator)
        result = trainer.train()
        return trainer, collator.seen, result

    return run


def test_training_warms_up(train):
    trainer, batches, result = train(
        Blocks(60),
        batch_size_warmup_steps=0.5,
        batch_size_warmup_start=1,
        length_warmup_steps=5,
        length_warmup_start=16,
    )
    # A fraction of the steps is rounded up: 4 steps of 1, 1, 2, 2 rows.
    rows, pieces = [1, 1, 2, 2, 4, 4, 4], [2, 2, 2, 2, 2, 1, 1]
    shapes = [tuple(batch["input_ids"].shape) for batch in batches[:7]]
    assert shapes == [(row * piece, LENGTH // piece) for row, piece in zip(rows, pieces, strict=True)]
    logs = [row for row in trainer.state.log_history if "loss" in row]
    assert len(logs) == 7
    config = trainer.model.config
    flops = [
        row * piece * training_flops(config, LENGTH // piece, {1: 5, 2: 2}[piece])
        for row, piece in zip(rows, pieces, strict=True)
    ]
    assert trainer.state.total_flos == sum(flops)
    summary = result.metrics
    tokens_share = sum(rows) / (7 * 4)
    assert summary["train_samples_per_second"] / summary["train_steps_per_second"] == pytest.approx(
        4 * tokens_share, rel=0.02
    )


def test_warm_up_takes_the_order_of_a_plain_run(train):
    _, plain, _ = train(Blocks(60))
    _, warm, _ = train(Blocks(60), batch_size_warmup_steps=4, batch_size_warmup_start=2)
    rows = torch.cat([batch["original_ids"] for batch in warm[:7]])
    assert len(rows) == 4 * 2 + 3 * 4
    assert torch.equal(rows, torch.cat([batch["original_ids"] for batch in plain])[: len(rows)])


def args_for(tmp_path, **options) -> PretrainingArguments:
    return PretrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=12, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size_warmup_steps": 5, "batch_size_warmup_start": 4}, "4 does not become .* 12 .* one of 3, 6, 12"),
        ({"length_warmup_steps": 5, "length_warmup_start": 4}, "below 8: choose one of 8, 16, 32"),
        ({"length_warmup_steps": 5, "length_warmup_start": 64}, "--length_warmup_start 64 does not become"),
    ],
)
def test_starts_that_never_become_full_are_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        warmup_plan(args_for(tmp_path, **options), LENGTH, steps_per_epoch=10)


def test_epochs_tell_the_steps_if_nothing_else_does(tmp_path):
    options = {"num_train_epochs": 2, "batch_size_warmup_steps": 0.25, "batch_size_warmup_start": 3}
    assert warmup_plan(args_for(tmp_path, **options), LENGTH, steps_per_epoch=10).batch_size_steps == 5


def test_streams_are_refused(train):
    class Stream(IterableDataset):
        def __iter__(self):
            blocks = Blocks(60)
            return (blocks[index] for index in range(60))

    with pytest.raises(UsageError, match="leave out --streaming"):
        train(Stream(), batch_size_warmup_steps=4, batch_size_warmup_start=2)


def test_sequential_order_stays(train):
    _, batches, _ = train(
        Blocks(60), train_sampling_strategy="sequential", batch_size_warmup_steps=2, batch_size_warmup_start=1
    )
    assert [int(batch["original_ids"][0, 1]) for batch in batches[:3]] == [5, 6, 8]  # of 1, 2 and 4 rows
