"""A few real steps of a run in a process of its own: how long each takes, and how much memory all of it.

`measure` starts this module as a process, which does what run_pretraining.py does: the same imports, model, Trainer,
evaluation, checkpoint and picture, on prepared blocks. A process of its own has a peak of memory of its own, and its
start is a part of what a run takes.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra_hf.errors import TrainingError, UsageError
from electra_hf.planning.sizes import Shape

# Not counted, of each shape: the first steps fill caches, start threads and compile.
WARMUP_STEPS = 2
# So many steps of each stage of a warm-up.
STAGE_STEPS = 6
MIN_STEPS = 4
_STATUS = Path("/proc/self/status")
_MAX_STEPS = 1_000_000
_EVALUATED_BATCHES = 8
_LAST_WORDS = 12


@dataclass(frozen=True)
class ProbeResult:
    """What was measured.

    Attributes:
        device: `cpu`, `cuda` ...
        step_seconds: {shape of a batch: seconds of each of its steps, warm-up left out}.
        cpu_seconds: Likewise, of the processor, all threads together.
        rows: Of a batch that has its full size.
        accumulation: Batches of a step.
        fixed_seconds: Start, end, and what the first step takes longer than others.
        evaluation_seconds: Of an evaluation, whatever it is of.
        block_seconds: More for each block that is evaluated on.
        save_seconds: Of a checkpoint.
        checkpoint_bytes: On the disk.
        resident_bytes: The largest resident set of the process; on a GPU machine that of the host.
        resident_before: The resident set when the model was there and training had not begun.
        device_bytes: The largest amount reserved on the GPU; None on a CPU.
    """

    device: str
    step_seconds: dict[Shape, list[float]]
    cpu_seconds: dict[Shape, list[float]]
    rows: int
    accumulation: int
    fixed_seconds: float
    evaluation_seconds: float
    block_seconds: float
    save_seconds: float
    checkpoint_bytes: int
    resident_bytes: int
    resident_before: int
    device_bytes: int | None

    @property
    def steps(self) -> int:
        """That were counted."""
        return sum(map(len, self.step_seconds.values()))

    def seconds_of(self, shape: Shape) -> float | None:
        """The median of a step with batches of this shape, if there were any."""
        times = self.step_seconds.get(shape)
        return statistics.median(times) if times else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("step_seconds", "cpu_seconds")
        medians = {
            name: {f"{shape.rows} x {shape.length}": statistics.median(times) for shape, times in of_shape.items()}
            for name, of_shape in ((name, getattr(self, name)) for name in names)
        }
        return vars(self) | medians | {"steps": self.steps}


def measure(settings: dict[str, Any], seconds: float) -> ProbeResult:
    """Start the process, and wait for what it has measured.

    Args:
        settings: Options of run_pretraining.py; the blocks are in their prepared_dir.
        seconds: Of training, about.

    Raises:
        TrainingError: If the process fails, with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="electra-hf-plan-") as folder:
        task, result = Path(folder, "task.json"), Path(folder, "result.json")
        task.write_text(json.dumps({"settings": {**settings, "output_dir": f"{folder}/run"}, "seconds": seconds}))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "electra_hf.planning.probe", str(task), str(result)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - started
        if done.returncode or not result.is_file():
            said = "\n".join(done.stderr.strip().splitlines()[-_LAST_WORDS:])
            message = said.rpartition("error: ")[2] if "error: " in said else f"exit code {done.returncode}: {said}"
            failure = UsageError if done.returncode == UsageError.exit_code else TrainingError
            raise failure(f"the probe of the plan failed: {message} (--no_probe plans without it)")
        content = json.loads(result.read_text())
    inside = content.pop("inside_seconds")
    shapes = {name: _by_shape(content.pop(name)) for name in ("step_seconds", "cpu_seconds")}
    first = content.pop("first_step_seconds")
    usual = statistics.median(next(iter(shapes["step_seconds"].values())))
    return ProbeResult(**content, **shapes, fixed_seconds=max(0.0, wall - inside + max(0.0, first - usual)))


def _by_shape(rows: list[Any]) -> dict[Shape, list[float]]:
    found: dict[Shape, list[float]] = {}
    for number, length, seconds in rows:
        found.setdefault(Shape(number, length), []).append(seconds)
    return {shape: times[WARMUP_STEPS:] for shape, times in found.items() if len(times) > WARMUP_STEPS}


# In the process


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate, save and draw, and say how long each took."""
    # What run_pretraining.py imports beyond what is used here takes time and memory there, too.
    import electra_hf.sharing.model_card
    import electra_hf.sharing.samples
    import electra_hf.sharing.search_plots
    import electra_hf.training.search
    from electra_hf.parser import ConfigArgumentParser
    from electra_hf.planning.probe_callback import StepTimes
    from electra_hf.sharing.curves import plot_training_curves
    from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
    from electra_hf.training.setup import open_prepared_blocks, open_tokenizer, start_logging

    types = (ModelArguments, DataArguments, PretrainingArguments)
    model_args, data_args, args = ConfigArgumentParser(types).parse([], settings=task["settings"], where="the probe")
    start_logging(args)
    tokenizer = open_tokenizer(model_args, data_args, args, None, None)
    blocks = open_prepared_blocks(tokenizer, data_args, args, split="train")
    held_out = open_prepared_blocks(tokenizer, data_args, args, split="validation") if args.do_eval else None
    trainer = _make_trainer(model_args, data_args, args, tokenizer, blocks, held_out)
    times = StepTimes(task["seconds"], trainer, data_args.max_seq_length)
    trainer.add_callback(times)
    before = resident_bytes("VmRSS")
    trainer.train()
    inside = [*times.seconds, trainer.clock.longest_pause["saving"]]
    evaluations = []
    if held_out is not None:
        rows = args.per_device_eval_batch_size
        for count in (rows, rows * (1 + _EVALUATED_BATCHES)):
            chosen = held_out.select(count)
            start = time.perf_counter()
            trainer.evaluate(chosen)
            evaluations.append((len(chosen), time.perf_counter() - start))
        inside += [seconds for _, seconds in evaluations]
    folder = Path(str(args.output_dir))
    if trainer.state.log_history:
        plot_training_curves(trainer.state.log_history, folder / "training_curves.png", title="", vocab_size=8)
    saved = trainer.last_checkpoint
    fixed, block = _line(evaluations)
    return {
        "device": args.device.type,
        "step_seconds": [[*shape, seconds] for shape, seconds in zip(times.shapes, times.seconds, strict=True)],
        "cpu_seconds": [[*shape, seconds] for shape, seconds in zip(times.shapes, times.cpu_seconds, strict=True)],
        "first_step_seconds": times.seconds[0],
        "inside_seconds": sum(inside),
        "rows": args.per_device_train_batch_size,
        "accumulation": args.gradient_accumulation_steps,
        "evaluation_seconds": fixed,
        "block_seconds": block,
        "save_seconds": trainer.clock.longest_pause["saving"],
        "checkpoint_bytes": sum(file.stat().st_size for file in saved.rglob("*") if file.is_file()) if saved else 0,
        "resident_before": before,
        "resident_bytes": resident_bytes("VmHWM"),
        "device_bytes": times.device_bytes(),
    }


def _make_trainer(model_args: Any, data_args: Any, args: Any, tokenizer: Any, blocks: Any, held_out: Any) -> Any:
    from transformers import set_seed

    from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
    from electra_hf.training import PretrainingTrainer
    from electra_hf.training.model_setup import build_model
    from electra_hf.training.objective_checks import mask_shares
    from electra_hf.training.objectives import objective_named

    set_seed(args.seed)
    model = build_model(model_args, data_args, tokenizer)
    objective = objective_named(model.config.objective)
    mask, random = mask_shares(objective, data_args)
    collator = DataCollatorForReplacedTokenDetection(
        tokenizer=tokenizer,
        mlm_probability=data_args.mlm_probability,
        mask_replace_prob=mask,
        random_replace_prob=random,
        seed=args.seed,
        **data_args.masking_options,
        pair_labels=objective.packing is not None,
    )
    return PretrainingTrainer(
        model=model,
        args=args,
        train_dataset=blocks,
        eval_dataset=held_out,
        data_collator=collator,
        processing_class=tokenizer,
    )


def _line(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Fixed seconds and seconds for each block, of evaluations of two sizes or of one; zeros without any."""
    if not points:
        return 0.0, 0.0
    (few, short), (more, long) = points[0], points[-1]
    slope = max(0.0, (long - short) / (more - few)) if more > few else short / few
    return max(0.0, short - slope * few), slope


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
    from electra_hf.errors import run_script

    run_script(main)
