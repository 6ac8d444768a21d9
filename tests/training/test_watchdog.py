"""What is said about a run that hangs."""

import ctypes
import faulthandler
import multiprocessing
import re
import signal
import threading
import time

import numpy as np
import pytest
from torch.utils.data import Dataset

from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.watchdog import Watchdog

TIMEOUT = 0.2


@pytest.fixture
def reported(monkeypatch):
    """Set when a report has been written, in this process and in those that are forked off."""
    event, report = multiprocessing.get_context("fork").Event(), Watchdog._report

    def write(self, activity, *what):
        report(self, activity, *what)
        if activity != "the start of training":
            event.set()

    monkeypatch.setattr(Watchdog, "_report", write)
    return event


class Stuck(Dataset):
    """The fifth row comes when the hang has been reported."""

    def __init__(self, reported):
        self.reported = reported

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        # As the worker's start-up does it.
        if multiprocessing.parent_process() is not None:
            faulthandler.register(signal.SIGUSR2, file=2)
        if index == 4:
            wait_for_a_file_system(self.reported)
        row = np.full(16, 5 + index, dtype=np.uint16)
        return {"input_ids": row, "length": 16, "first_length": 16, "sample": index, "epoch": 0}


def wait_for_a_file_system(reported) -> None:
    assert reported.wait(60)
    time.sleep(0.2)  # for the signal, which comes with the report


@pytest.fixture
def make_trainer(tmp_path, tokenizer, make_model):
    def make(data: Dataset, **options) -> PretrainingTrainer:
        return PretrainingTrainer(
            model=make_model(),
            args=PretrainingArguments(
                output_dir=str(tmp_path),
                max_steps=2,
                per_device_train_batch_size=4,
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                hang_timeout=TIMEOUT / 60,
                **options,
            ),
            train_dataset=data,
            eval_dataset=data,
            data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0),
        )

    return make


@pytest.mark.parametrize("workers", [0, 1])
def test_a_hung_loader_is_reported_with_its_stack(make_trainer, reported, capfd, workers):
    trainer = make_trainer(Stuck(reported), train_sampling_strategy="sequential", dataloader_num_workers=workers)
    assert trainer.train().global_step == 2
    text = capfd.readouterr().err
    assert re.search(r"no sign of life for \d+ s: waiting for data after step [01], since \d{4}-\d\d-\d\d", text)
    assert "in wait_for_a_file_system" in text and "get_batch_samples" in text
    assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_a_hung_evaluation_is_reported(make_trainer, reported, capfd):
    make_trainer(Stuck(reported)).evaluate()
    text = capfd.readouterr().err
    assert "evaluation after step 0" in text and "in wait_for_a_file_system" in text


def test_a_hang_that_keeps_the_interpreter_is_reported(capfd):
    with Watchdog(TIMEOUT).watch("a training step"):
        time.sleep(2 * TIMEOUT / 10)
        sleep_with_the_lock()
    text = capfd.readouterr().err
    assert "Timeout (" in text and "in sleep_with_the_lock" in text


def sleep_with_the_lock() -> None:
    ctypes.PyDLL(None).usleep(700_000)


def test_reports_become_rarer(monkeypatch):
    silences, three = [], threading.Event()

    def note(self, activity, since, step):
        silences.append(time.monotonic() - since)
        if len(silences) == 3:
            three.set()

    monkeypatch.setattr(Watchdog, "_report", note)
    dog = Watchdog(TIMEOUT)
    with dog.watch("saving"):
        assert three.wait(60)
    assert all(silence >= TIMEOUT * 2**number for number, silence in enumerate(silences[:3]))


def test_no_watch_no_thread():
    dog = Watchdog(0)
    with dog.watch("saving"):
        assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_processes_report_before_they_give_up_on_each_other(tmp_path, monkeypatch):
    args = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert args.hang_seconds == 30 * 60
    monkeypatch.setattr(PretrainingArguments, "world_size", 2)
    assert args.hang_seconds == 0.8 * args.ddp_timeout
