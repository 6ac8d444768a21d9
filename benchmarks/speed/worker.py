"""One contestant in a process of its own, which works when it is told to and waits in between.

The Trainer runs as it always does; a callback holds it at the end of a round until the next order comes. Orders and
answers are lines of JSON on standard input and output; whatever else is printed goes to standard error.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import Trainer, TrainerCallback

from speed.clock import Clock
from speed.contestants import bare_step, build_trainer, step_flops
from speed.measures import matmul_peak, peak_bytes, resident_bytes, saved_bytes
from speed.settings import MODEL, Job
from speed.text import open_text

_PROFILED_KERNELS = 25


class Orders:
    """What the parent asks for, one order after the other.

    Args:
        answers: Where answers are written.
        clock: Of the contestant.
    """

    def __init__(self, answers: TextIO, clock: Clock):
        self.answers, self.clock = answers, clock
        self.order: dict[str, Any] = {}
        self.steps_left = 0
        self._profiler: profile | None = None

    def answer(self, values: dict[str, Any]) -> None:
        self.answers.write(json.dumps(values) + "\n")
        self.answers.flush()

    def begin(self) -> bool:
        """Wait for the next order; False if it is to stop."""
        line = sys.stdin.readline()
        self.order = json.loads(line) if line else {"do": "stop"}
        if self.order["do"] == "stop":
            return False
        self.steps_left = self.order["steps"]
        self.clock.wait_at_boundaries = self.clock.device == "cpu" or self.order["do"] == "shares"
        if self.order["do"] == "profile":
            activities = [ProfilerActivity.CPU]
            if self.clock.device == "cuda":
                activities.append(ProfilerActivity.CUDA)
            self._profiler = profile(activities=activities)
            self._profiler.start()
        self.clock.reset()
        return True

    def end_of_step(self) -> bool:
        """Count a step; at the end of a round answer, and wait. False if it is to stop."""
        self.steps_left -= 1
        if self.steps_left:
            return True
        measured = self.clock.lap()
        if self._profiler is not None:
            self._profiler.stop()
            key = "self_device_time_total" if self.clock.device == "cuda" else "self_cpu_time_total"
            table = self._profiler.key_averages().table(
                sort_by=key, row_limit=_PROFILED_KERNELS, max_name_column_width=80
            )
            Path(self.order["file"]).write_text(table + "\n", encoding="utf-8")
            self._profiler = None
        self.answer(measured)
        return self.begin()


class HoldTrainer(TrainerCallback):
    """Holds a Trainer between rounds."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        self.orders.clock.watch_optimizer(optimizer)
        if not self.orders.begin():
            control.should_training_stop = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.orders.end_of_step():
            control.should_training_stop = True


def run_trainer(trainer: Trainer, orders: Orders) -> None:
    """Train, round by round."""
    trainer.add_callback(HoldTrainer(orders))
    orders.clock.watch(trainer)
    trainer.train()


def run_bare(step: Any, orders: Orders) -> None:
    """Likewise for a bare step."""
    clock = orders.clock
    step = clock.timed(MODEL, step)
    going = orders.begin()
    while going:
        clock.count(step())
        going = orders.end_of_step()


def run_peak(precision: str, device: str, answers: TextIO) -> None:
    """Answer every order with the device's FLOP/s in large matrix products."""
    for line in sys.stdin:
        if json.loads(line)["do"] == "stop":
            break
        answers.write(json.dumps({"flops_per_second": matmul_peak(precision, device)}) + "\n")
        answers.flush()


def describe_device(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def run_job(job: Job, answers: TextIO) -> None:
    """Build, announce, work round by round, and say at the end what it took."""
    workload = job.workload
    torch.manual_seed(0)
    tokenizer, data = open_text(Path(job.folder), workload.data, workload.length, job.rows)
    at_start = resident_bytes()
    orders = Orders(answers, Clock(job.device))
    with tempfile.TemporaryDirectory() as folder:
        if job.contestant.kind == "bare":
            model, step = bare_step(job, tokenizer, data)
        else:
            trainer = build_trainer(job, tokenizer, data, folder)
            model = trainer.model
        assert isinstance(model, torch.nn.Module)
        needed, done = step_flops(job)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        orders.answer(
            {
                **describe_device(job.device),
                "flops_needed_per_row": needed,
                "flops_done_per_row": done,
                "parameters": parameters,
            }
        )
        if job.contestant.kind == "bare":
            run_bare(step, orders)
            batch = step()
        else:
            run_trainer(trainer, orders)
            batch = next(iter(trainer.get_train_dataloader()))
    found: dict[str, Any] = {"peak_bytes": peak_bytes(job.device, at_start)}
    if not job.contestant.arguments.get("torch_compile"):
        found["saved_bytes"] = saved_bytes(model, batch, workload.precision, job.device)
    orders.answer(found)


def main() -> None:
    # Trainers print; the answers keep standard output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    values = json.loads(sys.argv[1])
    if "peak" in values:
        answers.write(json.dumps(describe_device(values["device"])) + "\n")
        answers.flush()
        run_peak(values["peak"], values["device"], answers)
        return
    job = Job.from_dict(values)
    # TrainingArguments takes the GPU where there is one.
    if job.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here")
    run_job(job, answers)


if __name__ == "__main__":
    main()
