"""The time of a run, and schedules that follow it."""

import math
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback

from electra_hf.errors import UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer, clock
from electra_hf.training.clock import EndByTheClock, TrainingClock
from electra_hf.training.optimization import paper_linear_factor, schedule_in_time, wsd_schedule


@pytest.fixture
def now(monkeypatch):
    """The time that the clock reads; add to `now.seconds`."""
    time = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: time.seconds))
    return time


class Rows(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        row = np.full(16, 5 + index, dtype=np.uint16)
        return {"input_ids": row, "length": 16, "first_length": 16, "sample": index, "epoch": 0}


class Passing(TrainerCallback):
    """Time passes: six seconds in a step, a hundred in a batch of an evaluation."""

    def __init__(self, now: Any, before: float, trainer: Any):
        self.now, self.before, self.trainer = now, before, trainer

    def on_train_begin(self, *_, **__):
        if self.before:
            self.trainer.clock.load_state_dict({"seconds": self.before, "agreed_seconds": self.before})

    def on_step_begin(self, *_, **__):
        self.now.seconds += 6

    def on_prediction_step(self, *_, **__):
        self.now.seconds += 100


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model, now):
    def make(before: float = 0.0, **options) -> PretrainingTrainer:
        settings = {
            "per_device_train_batch_size": 4,
            "logging_steps": 1,
            "save_strategy": "no",
            "disable_tqdm": True,
            "use_cpu": True,
            **options,
        }
        trainer = PretrainingTrainer(
            model=make_model(),
            args=PretrainingArguments(output_dir=str(tmp_path / "run"), **settings),
            train_dataset=Rows(),
            eval_dataset=Rows(),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
        )
        trainer.add_callback(Passing(now, before, trainer))
        return trainer

    return make


def test_pauses_are_no_time_of_training(now):
    measured = TrainingClock()
    measured.start()
    now.seconds += 60  # the first step compiles
    measured.step()
    assert (measured.seconds, measured.step_seconds, measured.reserve) == (60, 0, 0)
    for pause in (7, 3):
        with measured.pause("saving"):
            now.seconds += pause
    with measured.pause("evaluation"):
        now.seconds += 20
    now.seconds += 2
    measured.step()
    assert (measured.seconds, measured.step_seconds) == (62, 2)
    assert measured.reserve == 2 * 2 + 7 + 20


def test_a_pause_may_be_part_of_another(now):
    """The Trainer evaluates several data sets in one evaluation."""
    measured = TrainingClock()
    measured.start()
    with measured.pause("evaluation"):
        for _ in range(2):
            with measured.pause("evaluation"):
                now.seconds += 20
    now.seconds += 2
    measured.step()
    assert measured.seconds == 2 and measured.longest_pause == {"evaluation": 40}


def test_resumed_processes_agree_whether_the_time_is_over():
    """Their own clocks differ, and they decide before they have exchanged anything."""
    over = []
    for seconds in (60.2, 59.9):
        measured, resumed = TrainingClock(), TrainingClock()
        measured.seconds, measured.agreed_seconds = seconds, 60.1
        resumed.load_state_dict(measured.state_dict())
        assert resumed.seconds == seconds
        over.append(EndByTheClock(resumed, 60).is_over)
    assert over == [True, True]


def test_age_of_a_process_counts_its_imports():
    script = "import time; time.sleep(0.3); from electra_hf.training.clock import process_age; print(process_age())"
    began = clock.time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert 0.3 <= float(done.stdout) <= clock.time.monotonic() - began + 0.02  # the system counts in hundredths


# Schedules in time


@pytest.mark.parametrize("shape", ["sqrt", "linear", "cosine"])
def test_wsd_in_time_is_wsd_in_steps(shape):
    place = SimpleNamespace(step=0)
    optimizers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0) for _ in range(2)]
    expected = wsd_schedule(optimizers[0], 20, 100, decay_fraction=0.3, decay_shape=shape)
    found = schedule_in_time(
        optimizers[1], lambda: place.step / 100, "wsd", warmup=0.2, decay_fraction=0.3, decay_shape=shape
    )
    for step in range(1, 102):
        place.step = step
        for each in zip(optimizers, (expected, found), strict=True):
            each[0].step()
            each[1].step()
        assert found.get_last_lr() == pytest.approx(expected.get_last_lr(), abs=1e-12)


def test_other_schedules_in_time():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    paper = schedule_in_time(optimizer, lambda: 0.5, "paper_linear", warmup=0.05)
    assert paper.get_last_lr() == [paper_linear_factor(50, 5, 100)]
    falling = schedule_in_time(optimizer, lambda: 0.95, "trapezoid", warmup=0.0, decay_fraction=0.2)
    assert falling.get_last_lr() == pytest.approx([0.25])
    with pytest.raises(UsageError, match="do not fit"):
        schedule_in_time(optimizer, lambda: 0.0, "wsd", warmup=0.5, decay_fraction=0.6)
    with pytest.raises(UsageError, match="--lr_scheduler_type cosine"):
        schedule_in_time(optimizer, lambda: 0.0, "cosine", warmup=0.0)


def test_a_run_ends_when_its_time_is_used(make_trainer):
    """A minute of steps of six seconds; each rate follows from the time until the step before the last."""
    trainer = make_trainer(schedule_minutes=1, eval_strategy="steps", eval_steps=4, save_strategy="steps")
    result = trainer.train()
    rows = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, 11))
    expected = [5e-4 * paper_linear_factor(max(0, step - 2), 0.05 * 10, 10) for step in range(1, 11)]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected)
    assert rows[-1]["remaining_seconds"] == 0 and rows[0]["remaining_seconds"] <= 54
    assert [row["step"] for row in trainer.state.log_history if "eval_loss" in row] == [4, 8, 10]
    assert trainer.state.max_steps == 10 and trainer.last_checkpoint.name == "checkpoint-10"
    assert trainer.clock.longest_pause["evaluation"] == 100
    rate = result.metrics["train_samples_per_second"] / result.metrics["train_steps_per_second"]
    assert rate == pytest.approx(4, rel=0.05)


def test_time_goes_on_where_it_was(make_trainer):
    trainer = make_trainer(before=48.0, schedule_minutes=1)
    trainer.train()
    assert trainer.state.global_step == 2
    over = make_trainer(before=60.0, schedule_minutes=1)
    over.train()
    assert over.state.global_step == 0


def test_steps_are_an_upper_bound(make_trainer):
    trainer = make_trainer(schedule_minutes=1, max_steps=3)
    trainer.train()
    assert trainer.state.global_step == 3
    # Another run of the same trainer begins anew.
    trainer.train()
    assert trainer.clock.seconds == pytest.approx(18)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule_minutes": 0.0}, "--schedule_minutes 0"),
        ({"schedule_minutes": math.nan}, "--schedule_minutes nan"),
        ({"lr_scheduler_type": "cosine"}, "--lr_scheduler_type cosine is none"),
        ({"warmup_steps": 100}, "--warmup_steps 100"),
        ({"logging_steps": 0.1}, "--logging_steps 0.1"),
        ({"batch_size_warmup_steps": 0.1, "batch_size_warmup_start": 2}, "--batch_size_warmup_steps 0.1"),
    ],
)
def test_what_no_time_can_tell_is_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, **{"schedule_minutes": 1.0, **options})
