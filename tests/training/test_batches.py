"""Which rows the batches of a run have: by step alone, whatever the division, the resume and the jumps."""

from itertools import islice

import numpy as np
import pytest
import torch
from accelerate.data_loader import SkipBatchSampler, skip_first_batches
from torch.utils.data import Dataset

from electra_hf.errors import UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.batches import BatchOrder, OrderedBlocks, Rows, StreamOrder
from electra_hf.training.warmups import WarmupPlan

BLOCKS = 200


def plan(batch_size: int, start: int | None = None, steps: int = 0) -> WarmupPlan:
    return WarmupPlan(batch_size, start or batch_size, steps, length=32, length_start=32, length_steps=0)


def rows_of_steps(order: BatchOrder, steps: range) -> list[list[int]]:
    return [[index for rows in order.batches(step) for index in rows.indices] for step in steps]


class Examples(Dataset):
    """Says which block it is, and that it belongs to no epoch yet."""

    def __len__(self) -> int:
        return BLOCKS

    def __getitem__(self, index: int) -> dict:
        ids = np.full(8, 5 + index % 50, dtype=np.uint16)
        return {"input_ids": ids, "length": 8, "first_length": 8, "sample": index, "epoch": -1}


@pytest.mark.parametrize("warm", [0, 4])
def test_rows_of_a_step_do_not_depend_on_its_division(warm):
    def rows(processes: int, batch: int, accumulation: int) -> list[list[int]]:
        ranks = [
            BatchOrder(
                BLOCKS, plan(batch, batch // 2 if warm else None, warm), seed=1, accumulation=accumulation,
                num_processes=processes, process_index=rank,
            )
            for rank in range(processes)
        ]  # fmt: skip
        divided = [
            [rows.indices for parts in zip(*(rank.batches(step) for rank in ranks), strict=True) for rows in parts]
            for step in range(20)
        ]
        return [[index for indices in step for index in indices] for step in divided]

    whole = rows(1, 32, 1)
    assert [len(step) for step in whole] == [16] * warm + [32] * (20 - warm)
    for epoch in range(3):  # of 6 steps each
        seen = sum(whole[6 * epoch : 6 * epoch + 6], [])
        assert len(set(seen)) == len(seen)
    for division in ((1, 8, 4), (2, 8, 2), (4, 4, 2), (4, 8, 1)):
        assert rows(*division) == whole, division


def test_epochs_differ_and_all_blocks_are_used():
    order = BatchOrder(BLOCKS, plan(32), seed=1)
    assert order.steps_per_epoch == len(order) == 6
    epochs = [set(sum(rows_of_steps(order, range(6 * epoch, 6 * epoch + 6)), [])) for epoch in range(6)]
    assert {len(epoch) for epoch in epochs} == {192}
    assert set.union(*epochs) == set(range(BLOCKS))
    assert rows_of_steps(order, range(3)) != rows_of_steps(order, range(6, 9))
    assert rows_of_steps(order, range(3)) != rows_of_steps(BatchOrder(BLOCKS, plan(32), seed=2), range(3))


def test_sequential_order_is_that_of_the_blocks():
    order = BatchOrder(BLOCKS, plan(32), seed=1, shuffle=False)
    assert sum(rows_of_steps(order, range(6)), []) == list(range(192))
    assert rows_of_steps(order, range(6, 7)) == [list(range(32))]


def test_resumed_epoch_is_the_end_of_the_whole_one():
    order = BatchOrder(BLOCKS, plan(8), seed=1, accumulation=4)
    order.start_epoch(2)
    whole = list(order)
    assert len(whole) == len(order) == 24 and {rows.epoch for rows in whole} == {2}
    order.start_epoch(2, skipped=8)
    assert list(SkipBatchSampler(order, 8)) == whole[8:]
    assert all(not rows.indices for rows in islice(order, 8))


def test_jump_leaves_data_out_from_its_step_on():
    plain, order = (BatchOrder(BLOCKS, plan(32), seed=1) for _ in range(2))
    order.jump(4, 2)
    order.jump(9, 1)
    expected = [*range(4), *range(6, 11), *range(12, 15)]
    assert [order.data_step(step) for step in range(12)] == expected
    assert rows_of_steps(order, range(12)) == [rows_of_steps(plain, range(step, step + 1))[0] for step in expected]
    # The Trainer's first epoch goes on into the data of the second, and its masks.
    order.start_epoch(0)
    assert [rows.epoch for rows in order] == [0, 0, 0, 0, 1, 1]
    again = BatchOrder(BLOCKS, plan(32), seed=1)
    again.load_state_dict(order.state_dict())
    assert rows_of_steps(again, range(12)) == rows_of_steps(order, range(12))


def test_state_is_plain_and_survives_another_division(tmp_path):
    order = BatchOrder(BLOCKS, plan(8), seed=1, accumulation=4)
    order.jump(3, 5)
    torch.save(order.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    divided = BatchOrder(BLOCKS, plan(16), seed=1, num_processes=2, process_index=1)
    divided.load_state_dict(state)
    assert [divided.data_step(step) for step in (2, 3)] == [2, 8]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (BatchOrder(BLOCKS - 1, plan(32), seed=1), "training blocks: 200, and now it is 199"),
        (BatchOrder(BLOCKS, plan(16), seed=1), "processes.: 32, and now it is 16"),
        (BatchOrder(BLOCKS, plan(32), seed=2), "--data_seed: 1, and now it is 2"),
        (BatchOrder(BLOCKS, plan(32), seed=1, shuffle=False), "random, and now it is sequential"),
        (BatchOrder(BLOCKS, plan(32, 8, 4), seed=1), "warm-up of the batch size"),
    ],
)
def test_going_on_with_another_order_is_refused(other, message):
    with pytest.raises(UsageError, match=message):
        other.load_state_dict(BatchOrder(BLOCKS, plan(32), seed=1).state_dict())


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        ({}, {"dataloader_num_workers": 1, "per_device_train_batch_size": 4}, None),
        ({"dataloader_num_workers": 2}, {"dataloader_num_workers": 4}, "counts as 1.: 2, and now it is 4"),
        (
            {"dataloader_num_workers": 2},
            {"dataloader_num_workers": 2, "per_device_train_batch_size": 4},
            "batch_size: 8, and now it is 4",
        ),
    ],
)
def test_a_stream_goes_on_in_its_order_or_not_at_all(tmp_path, before, now, refused):
    one, other = (
        StreamOrder(PretrainingArguments(output_dir=str(tmp_path), max_steps=2, use_cpu=True, **options), None)
        for options in (before, now)
    )
    if refused is None:
        other.load_state_dict(one.state_dict())
        return
    with pytest.raises(UsageError, match=refused):
        other.load_state_dict(one.state_dict())


def test_fewer_blocks_than_a_step_are_refused():
    with pytest.raises(UsageError, match="there are 31 training blocks, fewer than the 32 of one step"):
        BatchOrder(31, plan(8), seed=1, accumulation=4)


def test_examples_get_the_epoch_of_their_data():
    assert [example["epoch"] for example in OrderedBlocks(Examples()).__getitems__(Rows([3, 1], 4, 1))] == [4, 4]
    foreign = [[1, 2], [3, 4]]
    assert OrderedBlocks(foreign).__getitems__(Rows([1], 4, 1)) == [[3, 4]]


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model):
    def make(**options) -> PretrainingTrainer:
        args = PretrainingArguments(
            output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=4, save_strategy="no",
            disable_tqdm=True, use_cpu=True, **options,
        )  # fmt: skip
        collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0)
        return PretrainingTrainer(model=make_model(), args=args, train_dataset=Examples(), data_collator=collator)

    return make


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_leaves_the_random_numbers_of_the_training_alone(make_trainer, workers):
    trainer = make_trainer(dataloader_num_workers=workers, dataloader_persistent_workers=bool(workers))
    loader = trainer.get_train_dataloader()
    assert trainer.stateful["order"] is trainer.order
    state = torch.get_rng_state()
    for epoch in (0, 1):
        trainer.order.start_epoch(epoch)
        next(iter(loader))
    trainer.order.start_epoch(1, skipped=5)
    skipped = next(iter(skip_first_batches(loader, 5)))
    assert torch.equal(torch.get_rng_state(), state)
    expected = [5 + index % 50 for index in trainer.order.batches(50 + 5)[0].indices]
    assert skipped["original_ids"][:, 1].tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_sampling_strategy": "group_by_length"}, "--train_sampling_strategy group_by_length is for texts"),
        ({"accelerator_config": {"split_batches": True}}, "leave split_batches and dispatch_batches out"),
        ({"ignore_data_skip": True}, "--ignore_data_skip would repeat text"),
        ({"gradient_accumulation_steps": 64}, "fewer than the 256 of one step"),
    ],
)
def test_what_would_make_another_order_is_refused(make_trainer, options, message):
    with pytest.raises(UsageError, match=message):
        make_trainer(**options).train()
