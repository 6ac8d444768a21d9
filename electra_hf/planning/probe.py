"""A few real steps of a run in a process of its own: how long each takes, and how much memory all of it.

`measure` starts this module as a process, which does what run_pretraining.py does: the same imports, model, Trainer,
evaluation, checkpoint and picture, on prepared blocks. A process of its own has a peak of memory of its own, and its
start is a part of what a run takes.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from electra_hf.errors import TrainingError, UsageError, run_script
from electra_hf.planning.durations import NOTHING, Duration, children_now, median, now, total
from electra_hf.planning.sizes import Shape

# Not counted, of each shape: the first steps fill caches, start threads and compile.
WARMUP_STEPS = 2
# So many steps of each stage of a warm-up.
STAGE_STEPS = 6
MIN_STEPS = 4
# What run_pretraining.py imports besides what is used here, which takes time and memory there, too.
_IMPORTED_BY_A_RUN = (
    "electra_hf.sharing.model_card",
    "electra_hf.sharing.samples",
    "electra_hf.sharing.search_plots",
    "electra_hf.training.search",
)
_STATUS = Path("/proc/self/status")
_EVALUATED_BATCHES = 8
_LAST_WORDS = 12


@dataclass(frozen=True)
class ProbeResult:
    """What was measured.

    Attributes:
        device: `cpu`, `cuda` ...
        steps: {shape of a batch: the median step with it, warm-up left out}.
        counted_steps: How many steps of the full shape the median is of.
        rows: Of a batch that has its full size.
        accumulation: Batches of a step.
        fixed: Start, end, and what the first step takes longer than others.
        evaluation: An evaluation, whatever it is of.
        block: More for each block that is evaluated on.
        save: A checkpoint.
        checkpoint_bytes: On the disk.
        resident_bytes: The largest resident set of the process; on a GPU machine that of the host.
        resident_before: The resident set when the model was there and training had not begun.
        device_bytes: The largest amount reserved on the GPU; None on a CPU.
    """

    device: str
    steps: dict[Shape, Duration]
    counted_steps: int
    rows: int
    accumulation: int
    fixed: Duration
    evaluation: Duration
    block: Duration
    save: Duration
    checkpoint_bytes: int
    resident_bytes: int
    resident_before: int
    device_bytes: int | None


def measure(settings: dict[str, Any], seconds: float) -> ProbeResult:
    """Start the process, and wait for what it has measured.

    Args:
        settings: Options of run_pretraining.py; the blocks are in their prepared_dir.
        seconds: Of training, about.

    Raises:
        UsageError: If the process refuses the options.
        TrainingError: If it fails, with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="electra-hf-plan-") as folder:
        task, result = Path(folder, "task.json"), Path(folder, "result.json")
        task.write_text(json.dumps({"settings": {**settings, "output_dir": f"{folder}/run"}, "seconds": seconds}))
        started = children_now()
        done = subprocess.run(
            [sys.executable, "-m", "electra_hf.planning.probe", str(task), str(result)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        everything = children_now() - started
        if done.returncode or not result.is_file():
            said = "\n".join(done.stderr.strip().splitlines()[-_LAST_WORDS:])
            message = said.rpartition("error: ")[2] if "error: " in said else f"exit code {done.returncode}: {said}"
            failure = UsageError if done.returncode == UsageError.exit_code else TrainingError
            raise failure(f"the probe of the plan failed: {message} (--no_probe plans without it)")
        found = json.loads(result.read_text())
    by_shape: dict[Shape, list[Duration]] = {}
    for rows, length, wall, cpu in found.pop("steps"):
        by_shape.setdefault(Shape(rows, length), []).append(Duration(wall, cpu))
    first = next(iter(by_shape.values()))[0]
    steps = {shape: median(each[WARMUP_STEPS:]) for shape, each in by_shape.items() if len(each) > WARMUP_STEPS}
    inside, evaluations, save = (
        Duration(*found.pop("inside")),
        [(count, Duration(*each)) for count, each in found.pop("evaluations")],
        Duration(*found.pop("save")),
    )
    evaluation, block = _line(evaluations)
    slow_start = (first - next(iter(steps.values()))).at_least_nothing()
    return ProbeResult(
        **found,
        steps=steps,
        counted_steps=max(len(each) for each in by_shape.values()) - WARMUP_STEPS,
        fixed=(everything - inside).at_least_nothing() + slow_start,
        evaluation=evaluation,
        block=block,
        save=save,
    )


def _line(points: list[tuple[int, Duration]]) -> tuple[Duration, Duration]:
    """Of an evaluation of any size, and more for each block, from evaluations of two sizes; nothing without any."""
    if not points:
        return NOTHING, NOTHING
    (few, short), (more, long) = points[0], points[-1]
    slope = (1 / (more - few)) * (long - short).at_least_nothing() if more > few else (1 / few) * short
    return (short - few * slope).at_least_nothing(), slope


# In the process


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate, save and draw, and say how long each took."""
    for name in _IMPORTED_BY_A_RUN:
        import_module(name)
    from transformers import set_seed

    from electra_hf.parser import ConfigArgumentParser
    from electra_hf.planning.probe_callback import StepTimes
    from electra_hf.sharing.curves import plot_training_curves
    from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
    from electra_hf.training.setup import open_prepared_blocks, open_tokenizer, start_logging
    from electra_hf.training.trainer_setup import make_trainer

    types = (ModelArguments, DataArguments, PretrainingArguments)
    model_args, data_args, args = ConfigArgumentParser(types).parse([], settings=task["settings"], where="the probe")
    start_logging(args)
    tokenizer = open_tokenizer(model_args, data_args, args, None, None)
    blocks = open_prepared_blocks(tokenizer, data_args, args, split="train")
    held_out = open_prepared_blocks(tokenizer, data_args, args, split="validation") if args.do_eval else None
    set_seed(args.seed)
    trainer = make_trainer(model_args, data_args, args, tokenizer, blocks, held_out)
    times = StepTimes(task["seconds"], trainer, data_args.max_seq_length)
    trainer.add_callback(times)
    before = resident_bytes("VmRSS")
    trainer.train()
    mark = now()
    trainer._save_checkpoint(trainer.model, trial=None)
    save = now() - mark
    evaluations = []
    if held_out is not None:
        rows = args.per_device_eval_batch_size
        for count in (rows, rows * (1 + _EVALUATED_BATCHES)):
            chosen = held_out.select(count)
            mark = now()
            trainer.evaluate(chosen)
            evaluations.append((len(chosen), now() - mark))
    plot_training_curves(
        trainer.state.log_history, Path(str(args.output_dir), "curves.png"), title="", vocab_size=len(tokenizer)
    )
    saved = trainer.last_checkpoint
    assert saved is not None
    inside = total([*times.durations, save, *(each for _, each in evaluations)])
    return {
        "device": args.device.type,
        "steps": [
            [shape.rows, shape.length, each.wall, each.cpu]
            for shape, each in zip(times.shapes, times.durations, strict=True)
        ],
        "inside": [inside.wall, inside.cpu],
        "rows": args.per_device_train_batch_size,
        "accumulation": args.gradient_accumulation_steps,
        "evaluations": [(count, [each.wall, each.cpu]) for count, each in evaluations],
        "save": [save.wall, save.cpu],
        "checkpoint_bytes": sum(file.stat().st_size for file in saved.rglob("*") if file.is_file()),
        "resident_before": before,
        "resident_bytes": resident_bytes("VmHWM"),
        "device_bytes": times.device_bytes(),
    }


def resident_bytes(field: str) -> int:
    """`VmRSS` or `VmHWM` (its peak) of this process; the peak from the operating system where there is no /proc."""
    if _STATUS.is_file():
        found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
        if found:
            return 1024 * int(found[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def main() -> None:
    task, result = map(Path, sys.argv[1:])
    result.write_text(json.dumps(work(json.loads(task.read_text()))))


if __name__ == "__main__":
    run_script(main)
