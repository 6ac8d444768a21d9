"""After a jump of the loss: the run without the data that caused it, bit for bit."""

import logging

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from electra_hf.errors import TrainingError, UsageError
from electra_hf.json_lines import read_rows
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.rollback import past_rollbacks, usual_loss

SPIKE_TOKEN = 63
ROWS = 4  # of a batch


class Rows(Dataset):
    """The batches of `data_steps` in their order; those of `spikes` have a token with a large loss."""

    def __init__(self, data_steps: list[int], spikes: tuple[int, ...] = ()):
        self.data_steps = data_steps
        self.spikes = spikes

    def __len__(self) -> int:
        return len(self.data_steps) * ROWS

    def __getitem__(self, index: int) -> dict:
        data_step = self.data_steps[index // ROWS]
        sample = data_step * ROWS + index % ROWS
        row = np.random.default_rng(sample).integers(5, SPIKE_TOKEN, 24).astype(np.uint16)
        row[0], row[-1] = 2, 3
        if data_step in self.spikes:
            row[5] = SPIKE_TOKEN
        return {"input_ids": row, "length": 24, "first_length": 24, "sample": sample, "epoch": 0}


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model):
    def make(rows: Dataset, name: str = "run", **options) -> PretrainingTrainer:
        model = make_model()

        def multiply(module, args, batch, output):
            if (batch["original_ids"] == SPIKE_TOKEN).any():
                output["loss"] = 10 * output["loss"]

        model.register_forward_hook(multiply, with_kwargs=True)
        args = PretrainingArguments(
            **{
                "output_dir": str(tmp_path / name),
                "per_device_train_batch_size": ROWS,
                "max_steps": 14,
                "learning_rate": 1e-3,
                "train_sampling_strategy": "sequential",
                "logging_steps": 1,
                "save_steps": 4,
                "eval_strategy": "steps",
                "eval_steps": 7,
                "disable_tqdm": True,
                "use_cpu": True,
                **options,
            }
        )
        return PretrainingTrainer(
            model=model,
            args=args,
            train_dataset=rows,
            eval_dataset=Rows([90, 91]),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
            processing_class=tokenizer,
        )

    return make


def measured(trainer) -> list[tuple]:
    """What was logged in training and evaluation, without what depends on the clock."""
    keys = ("step", "loss", "rtd_auc", "learning_rate", "grad_norm", "eval_loss")
    return [
        tuple(row.get(key) for key in keys)
        for row in trainer.state.log_history
        if "learning_rate" in row or "eval_loss" in row
    ]


def assert_same_training(trainer, other) -> None:
    for parameter, expected in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(parameter, expected)
    assert measured(trainer) == measured(other)


def events(trainer) -> list[tuple]:
    rows = past_rollbacks(trainer.state.log_history)
    return [(row["step"], row["rollback_from"], row["skipped_data_steps"]) for row in rows]


def test_spike_leads_back_and_past_its_data(make_trainer, caplog):
    # Data step 9 is global step 10, after checkpoint-8.
    trainer = make_trainer(Rows(list(range(40)), spikes=(9,)), spike_threshold=1.5)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    reference = make_trainer(Rows([*range(8), *range(10, 40)]), "reference")
    reference.train()
    assert events(trainer) == [(8, 10, 2)]
    assert_same_training(trainer, reference)
    assert "at step 10" in caplog.text
    assert "checkpoint-8, without the data of 2 steps (rollback 1 of at most 3)" in caplog.text


def test_second_spike_before_the_next_checkpoint(make_trainer):
    trainer = make_trainer(Rows(list(range(40)), spikes=(9, 12)), spike_threshold=1.5)
    trainer.train()
    reference = make_trainer(Rows([*range(8), *range(13, 40)]), "reference")
    reference.train()
    assert events(trainer) == [(8, 10, 2), (8, 11, 3)]
    assert_same_training(trainer, reference)
    # The file of the log goes back, too, and tells of it.
    written = read_rows(f"{trainer.args.output_dir}/training_log.jsonl")
    assert [(row["step"], row.get("loss"), row.get("rollback_from")) for row in written] == [
        (row["step"], row.get("loss"), row.get("rollback_from")) for row in trainer.state.log_history
    ]


def test_resumed_runs_are_the_same(make_trainer, tmp_path):
    """Killed after the rollback: before the next checkpoint the spike comes again, afterwards the jump is known."""
    whole = make_trainer(Rows(list(range(40)), spikes=(9,)), spike_threshold=1.5)
    whole.train()
    for step in (8, 12):
        resumed = make_trainer(Rows(list(range(40)), (9,)), f"resumed-{step}", spike_threshold=1.5)
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
        assert events(resumed) == [(8, 10, 2)]
        assert_same_training(resumed, whole)


def test_too_many_rollbacks_stop_the_run(make_trainer):
    trainer = make_trainer(Rows(list(range(40)), spikes=(9, 12, 14)), spike_threshold=1.5, max_rollbacks=2)
    with pytest.raises(TrainingError, match=r"after 2 rollbacks .*checkpoint-8"):
        trainer.train()


def test_without_a_checkpoint_training_goes_on(make_trainer, caplog):
    trainer = make_trainer(Rows(list(range(40)), spikes=(9, 12)), spike_threshold=1.5, save_strategy="no")
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 14
    assert events(trainer) == []
    assert caplog.text.count("no checkpoint to go back to") == 1


def test_off_by_default(make_trainer):
    trainer = make_trainer(Rows(list(range(40)), spikes=(9,)))
    trainer.train()
    assert events(trainer) == []
    assert len(measured(trainer)) == 14 + 2


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


def test_streams_are_refused(make_trainer):
    with pytest.raises(UsageError, match="--streaming or --spike_threshold"):
        make_trainer(Stream(), spike_threshold=1.5).train()


def test_what_is_usual():
    rows = [{"loss": value} for value in (7.0, float("nan"), 5.0, 4.0, 6.0)]
    assert usual_loss(rows) is None
    assert usual_loss([*rows, {"eval_loss": 100.0}, {"loss": 3.0}]) == 5.0
    assert usual_loss([{"loss": 50.0}] * 5 + [{"loss": float(value)} for value in range(10)]) == 4.5
