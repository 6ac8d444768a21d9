"""Runs that are told to stop: where they stop, what they leave, and that going on from there loses nothing."""

import itertools
import json
import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback

from electra_hf.errors import CheckpointError, Interrupted, UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer, stopping
from electra_hf.training.stopping import SIGNALS, StopSignals, stop_signals

STEPS = 8  # two epochs
TIMING = ("runtime", "per_second", "remaining_seconds", "teraflops", "preparation_time", "train_loss", "total_flos")


class Rows(Dataset):
    def __init__(self, count: int):
        self.ids = np.random.default_rng(count).integers(5, 64, (count, 16)).astype(np.uint16)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        return {"input_ids": self.ids[index], "length": 16, "first_length": 16, "sample": index, "epoch": 0}


class Worse(TrainerCallback):
    """The first evaluation is the best one."""

    def on_evaluate(self, args, state, control, metrics, **_):
        metrics["eval_loss"] = float(state.global_step)


class Send(TrainerCallback):
    """Sends this process a signal when something happens at a step."""

    def __init__(self, event: str, step: int, number: signal.Signals = signal.SIGTERM):
        self.step, self.number = step, number
        setattr(self, event, self._send)

    def _send(self, args, state, control, **_):
        if state.global_step == self.step:
            self.step = -1
            os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True)
def heeded_interrupts():
    """Ctrl-C as in a terminal: jobs in the background of a shell inherit that it is ignored, and so do these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model):
    def make(folder: str = "run", callbacks: tuple = (), **options) -> PretrainingTrainer:
        settings = {
            "max_steps": STEPS,
            "per_device_train_batch_size": 4,
            "logging_steps": 1,
            "save_strategy": "no",
            "disable_tqdm": True,
            "use_cpu": True,
            **options,
        }
        return PretrainingTrainer(
            model=make_model(),
            args=PretrainingArguments(output_dir=str(tmp_path / folder), **settings),
            train_dataset=Rows(16),
            eval_dataset=Rows(5),
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
            callbacks=[Worse(), *callbacks],
        )

    return make


def outcome(trainer: PretrainingTrainer) -> list[str]:
    """What was logged, without what depends on the clock, and the weights: as text, since NaN equals no number."""
    rows = [{k: v for k, v in row.items() if not k.endswith(TIMING)} for row in trainer.state.log_history]
    assert trainer.model is not None
    weights = [weight.tolist() for weight in trainer.model.parameters()]
    return [*(json.dumps(row, sort_keys=True) for row in rows if len(row) > 2), json.dumps(weights)]


BY_STEPS = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
BY_EPOCHS = {"eval_strategy": "epoch", "save_strategy": "epoch"}
BEST = {**BY_STEPS, "save_strategy": "best", "metric_for_best_model": "loss", "greater_is_better": False}
CASES = {
    "in a step": ({}, Send("on_step_begin", 2), 3),
    "between steps": (BY_STEPS, Send("on_step_end", 3, signal.SIGINT), 3),
    "in an evaluation": (BY_STEPS, Send("on_prediction_step", 4, signal.SIGUSR1), 4),
    "in a checkpoint": (BY_STEPS, Send("on_save", 4), 4),
    "in an epoch": (BY_EPOCHS, Send("on_step_end", 2), 2),
    "at the end of an epoch": (BY_EPOCHS, Send("on_step_end", 4), 4),
    "in the evaluation after an epoch": (BY_EPOCHS, Send("on_prediction_step", 4), 4),
    "not the best": (BEST, Send("on_prediction_step", 4), 4),
    "only the best is kept": ({**BEST, "load_best_model_at_end": True, "save_total_limit": 1}, Send("on_save", 2), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_and_resumed_run_is_the_run_that_was_not(make_trainer, tmp_path, name):
    options, send, step = CASES[name]
    whole = make_trainer("whole", **options)
    whole.train()
    stopped = make_trainer("run", callbacks=(send,), **options)
    handlers = [signal.getsignal(number) for number in SIGNALS]
    place = tmp_path / "run" / f"checkpoint-{step}"
    with pytest.raises(Interrupted, match=f"stopped by {send.number.name} after step {step} of 8, saved in {place}"):
        stopped.train()
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    resumed = make_trainer("run", **options)
    resumed.train(resume_from_checkpoint=str(place))
    assert outcome(resumed) == outcome(whole)


def test_at_the_last_step_a_request_is_left_to_the_next_run(make_trainer):
    last = make_trainer(callbacks=(Send("on_step_end", STEPS),), save_strategy="steps", save_steps=STEPS)
    assert last.train().global_step == STEPS
    with pytest.raises(Interrupted, match="after step 1 of"):
        make_trainer("next").train()
    assert make_trainer("third").train().global_step == STEPS


def test_what_could_not_be_saved_is_no_interruption(make_trainer, monkeypatch):
    trainer = make_trainer(callbacks=(Send("on_step_end", 3),), save_strategy="steps", save_steps=2)
    save = trainer._save_checkpoint
    # What a failed save looks like that leaves the run alive.
    monkeypatch.setattr(trainer, "_save_checkpoint", lambda *a: save(*a) if trainer.state.global_step == 2 else None)
    with pytest.raises(CheckpointError, match="could not be written .the last one is .*checkpoint-2"):
        trainer.train()


def test_an_error_restores_the_handlers(make_trainer):
    class Fails(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            raise OSError("anything")

    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(OSError, match="anything"):
        make_trainer(callbacks=(Fails(),)).train()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_the_process_as_usual(number, monkeypatch, capfd):
    child = os.fork()
    if child == 0:
        signals = StopSignals()
        signals.install(speaks=True)
        for _ in range(3):  # a launcher repeats what the process has got
            os.kill(os.getpid(), number)
        monkeypatch.setattr(stopping, "_SAME_REQUEST_SECONDS", 0.0)
        os.write(2, b"still here\n")
        os.kill(os.getpid(), number)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -number
    name = signal.Signals(number).name
    lines = [line for line in capfd.readouterr().err.splitlines() if line]
    assert lines == [
        f"{name}: the run stops after this step and saves; a second signal stops it at once",
        "still here",
        f"{name} again: the run stops at once, without saving",
    ]


def test_children_ignore_what_their_parent_notes():
    signals = StopSignals()
    signals.install(speaks=True)
    try:
        child = os.fork()
        if child == 0:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert signals.received == 0
    finally:
        signals.restore()


def test_ignored_signals_stay_ignored(make_trainer):
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert make_trainer(callbacks=(Send("on_step_end", 2, signal.SIGINT),)).train().global_step == STEPS
    finally:
        signal.signal(signal.SIGINT, former)
    assert stop_signals.received == 0


# Time limit


def test_a_run_stops_before_its_time_is_over(make_trainer, monkeypatch):
    """Ten seconds a step, and a checkpoint that took fifteen."""
    ages = itertools.count(0, 10)
    monkeypatch.setattr(stopping, "process_age", lambda: next(ages))
    with pytest.raises(
        Interrupted, match="stopped by --max_train_minutes 0.9 after step 4 of 8, saved in .*checkpoint"
    ):
        trainer = make_trainer(max_train_minutes=0.9)
        trainer.clock.longest_pause["saving"] = 15.0
        trainer.train()
    assert trainer.state.global_step == 4


@pytest.mark.parametrize("options", [{"max_train_minutes": 0}, {"max_train_minutes": -1}, {"hang_timeout": -1}])
def test_times_that_cannot_be_are_refused(tmp_path, options):
    with pytest.raises(UsageError, match=f"--{next(iter(options))}"):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)


def test_jit_checkpoints_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--enable_jit_checkpoint"):
        PretrainingArguments(output_dir=str(tmp_path), use_cpu=True, enable_jit_checkpoint=True)


def test_what_is_agreed_on_alone_is_what_is_known():
    class Alone:
        world_size = 1

    agreement = stopping.Agreement(Alone())  # type: ignore[arg-type]
    assert agreement.later((15, 2.5)) == agreement.now((15, 2.5)) == [15, 2.5]
    assert agreement.finish() is None
    assert not torch.distributed.is_initialized()


def test_weights_alone_are_no_promise(make_trainer):
    trainer = make_trainer(callbacks=(Send("on_step_begin", 2),), save_only_model=True)
    with pytest.raises(Interrupted, match="checkpoint-3 holds the weights only .* cannot go on from there"):
        trainer.train()


def test_a_signal_is_noted_though_nobody_reads_standard_error(monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("os.write", broken)
    signals = StopSignals()
    signals.install(speaks=True)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.received == signal.SIGUSR1
    finally:
        signals.restore()
