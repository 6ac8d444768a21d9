"""One process of several that train together: started by torchrun, it writes what it did.

    python -m torch.distributed.run --nproc_per_node 2 -m speed.ranks JOB FOLDER STEPS

On the CPU each process keeps to one core, so that one process has one core and two have two. The first steps of
`Job.max_steps` warm up, and the last STEPS are timed. Every process writes FOLDER/rank-N.json.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from speed.clock import Clock
from speed.contestants import build_trainer
from speed.settings import Job
from speed.text import open_text


class TimeLastSteps(TrainerCallback):
    """Starts the clock before the last steps, and reads it after them."""

    def __init__(self, clock: Clock, steps: int):
        self.clock, self.steps = clock, steps
        self.measured: dict[str, Any] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == state.max_steps - self.steps:
            self.clock.reset()
        elif state.global_step == state.max_steps:
            self.measured = self.clock.lap()


def main() -> None:
    job, folder, steps = Job.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    rank = int(os.environ["LOCAL_RANK"])
    if job.device == "cpu":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
        torch.set_num_threads(1)
    tokenizer, data = open_text(Path(job.folder), job.workload.data, job.workload.length, job.rows)
    clock = Clock(job.device)
    with tempfile.TemporaryDirectory() as output_dir:
        trainer = build_trainer(job, tokenizer, data, output_dir)
        timer = TimeLastSteps(clock, steps)
        trainer.add_callback(timer)
        clock.watch(trainer)
        trainer.train()
    found = {**timer.measured, "rank": rank, "processes": trainer.args.world_size}
    (folder / f"rank-{rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
