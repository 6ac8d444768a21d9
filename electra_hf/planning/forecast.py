"""Everything that is known of a run before it is made, as one record."""

import dataclasses
import logging
import math
import os
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from electra_hf.errors import UsageError
from electra_hf.models import PretrainingModel
from electra_hf.planning.gpus import GPUS, MFU, fits, gpu_step_seconds
from electra_hf.planning.memory import TensorMemory, step_memory
from electra_hf.planning.probe import STAGE_STEPS, ProbeResult, measure, resident_bytes
from electra_hf.planning.sizes import (
    Shape,
    batch_shapes,
    count_checkpoints,
    count_evaluations,
    count_parameters,
    counted_flops,
    run_steps,
    shape_flops,
)
from electra_hf.planning.text import TextFacts, look_at_text
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.model_setup import build_model, loaded_parts

THIS_MACHINE = "here"
# What a probe does not need of the options of the run, or must not do.
_LEFT_OUT = (
    *(each.name for each in dataclasses.fields(DataArguments) if each.name in (
        "dataset_name", "dataset_config_name", "train_file", "corpus", "corpus_weights", "corpus_max_documents",
        "streaming", "stopping_strategy", "validation_file", "max_train_samples", "max_eval_samples",
        "overwrite_cache", "sentence_splitting", "unicode_normalization",
    )),
    "tokenizer_name", "train_tokenizer", "vocab_size", "do_lower_case", "strip_accents", "resume_from_checkpoint",
    "keep_milestones", "schedule_minutes", "max_train_minutes", "spike_threshold", "push_to_hub", "hub_model_id",
    "load_best_model_at_end", "eval_on_start", "run_name", "num_train_epochs", "save_total_limit", "eval_delay",
    "metric_for_best_model", "greater_is_better", "save_only_model", "logging_first_step", "save_steps", "eval_steps",
)  # fmt: skip
_LARGE = 1_000_000
# A probe on a CPU takes smaller batches if one step would be longer than this share of its time, at so many FLOP/s for
# each thread: half of what a thread of a server's processor does in bf16.
_STEP_SHARE, _FLOPS_OF_THREAD = 0.25, 1.0e11


@dataclasses.dataclass(frozen=True)
class PlanSettings:
    """What is asked of a plan.

    Attributes:
        probe: Measure.
        probe_seconds: Of the steps that are measured.
        processes: That the run will have, one for each device.
        mfu: Share of the peak that is assumed of other GPUs.
        prices: Of an hour, by the name of a GPU or `here`.
    """

    probe: bool = True
    probe_seconds: float = 25.0
    processes: int = 1
    mfu: float = MFU
    prices: dict[str, float] = dataclasses.field(default_factory=dict)


def forecast(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: PretrainingArguments,
    options: dict[str, Any],
    settings: PlanSettings,
) -> dict[str, Any]:
    """Count, measure and extrapolate.

    Args:
        model_args: The model.
        data_args: The text.
        args: The training.
        options: The options of the run that differ from their defaults, as values of a YAML file, for the probe.
        settings: What is asked.

    Returns:
        JSON values: parameters, text, run, flops, memory, disk, time (of this machine; None without a probe), gpus and
        notes. Bytes, seconds and FLOPs, as the names say.

    Raises:
        UsageError: For options that the run would refuse, too.
        TrainingError: If the probe fails.
    """
    with tempfile.TemporaryDirectory(prefix="electra-hf-plan-") as folder:
        text = look_at_text(model_args, data_args, args, Path(folder))
        model = _model(model_args, data_args, text)
        length, batches = data_args.max_seq_length, args.gradient_accumulation_steps * settings.processes
        full = Shape(args.per_device_train_batch_size, length)
        steps = run_steps(args, text.blocks, settings.processes)
        step_flops = batches * shape_flops(model.config, full, data_args.mlm_probability)
        memory = step_memory(model, args, full, data_args.mlm_probability)
        sixteen = dataclasses.replace(
            memory, activations=step_memory(model, _in_16_bits(args), full, data_args.mlm_probability).activations
        )
        probe = None
        if settings.probe:
            rows, accumulation = _probe_batch(args, step_flops / settings.processes, settings.probe_seconds)
            probe = measure(_probe_options(options, args, text.folder, rows, accumulation), settings.probe_seconds)
    notes = list(text.notes)
    plan = _Plan(
        model, data_args, args, settings, text, memory, sixteen, probe, full, batches, steps, step_flops, notes
    )
    return plan.record()


@dataclasses.dataclass
class _Plan:
    """The parts of a forecast, and what follows from them."""

    model: PretrainingModel
    data_args: DataArguments
    args: PretrainingArguments
    settings: PlanSettings
    text: TextFacts
    memory: TensorMemory
    sixteen: TensorMemory
    probe: ProbeResult | None
    full: Shape
    batches: int
    steps: int | None
    step_flops: int
    notes: list[str]

    def record(self) -> dict[str, Any]:
        time = self._time_here() if self.probe else None
        if time is not None:
            self.steps = time["steps"]
        shapes = self._shapes(self.steps)
        tokens = None if shapes is None else self.batches * sum(s.tokens * n for s, n in shapes.items())
        flops = None if shapes is None else counted_flops(self.model.config, shapes, self.data_args, self.batches)
        capacity = self.text.blocks and self.text.blocks * self.full.length
        return {
            "parameters": dataclasses.asdict(count_parameters(self.model)),
            "text": {
                "how": self.text.how,
                "blocks": self.text.blocks,
                "tokens": self.text.tokens,
                "eval_blocks": self.text.eval_blocks,
            },
            "run": {
                "steps": self.steps,
                "schedule_minutes": self.args.schedule_minutes,
                "processes": self.settings.processes,
                "tokens_per_step": self.batches * self.full.tokens,
                "tokens": tokens,
                "epochs": tokens / capacity if tokens and capacity else None,
            },
            "flops": {
                "per_token": self.step_flops / (self.batches * self.full.tokens),
                "per_step": self.step_flops,
                "total": flops,
            },
            "memory": self._memory(),
            "disk": self._disk(),
            "time": time,
            "gpus": [self._on_gpu(gpu, shapes) for gpu in GPUS],
            "assumed_mfu": self.settings.mfu,
            "notes": self.notes,
        }

    def _shapes(self, steps: int | None) -> Counter[Shape] | None:
        return None if steps is None else batch_shapes(self.args, self.full.length, steps)

    def _epochs(self, steps: int) -> float | None:
        rows = self.batches * self.full.rows
        return steps * rows / self.text.blocks if self.text.blocks else None

    def _memory(self) -> dict[str, Any]:
        tensors = dataclasses.asdict(self.memory) | {"total": self.memory.total}
        found: dict[str, Any] = {"tensors": tensors, "device": "cpu", "peak_bytes": None, "how": None}
        if self.memory.optimizer is None:
            self.notes.append(f"the states of --optim {self.args.optim} are not known here and not counted")
        if self.probe is None:
            if self.args.device.type == "cpu":
                # This process holds the libraries of the run, too.
                found["peak_bytes"] = resident_bytes("VmRSS") + self.memory.total
                found["how"] = "the libraries and the tensors; the fused layers of a CPU keep less"
            return found
        found["device"] = self.probe.device
        peak, before = self.probe.resident_bytes, self.probe.resident_before
        how = "measured"
        if self.probe.device_bytes is not None:
            peak, before = self.probe.device_bytes, self.memory.weights
            found["host_bytes"] = self.probe.resident_bytes
        if self.probe.rows < self.full.rows:
            fixed = self.memory.gradients + (self.memory.optimizer or 0)
            peak += round(max(0, peak - before - fixed) * (self.full.rows / self.probe.rows - 1))
            how = f"measured with batches of {self.probe.rows} rows, and extrapolated"
        return found | {"peak_bytes": peak, "how": how}

    def _disk(self) -> dict[str, Any]:
        checkpoint = self.probe.checkpoint_bytes if self.probe else self._checkpoint_bytes()
        written, kept = count_checkpoints(self.args, self.steps, self._epochs(self.steps)) if self.steps else (0, 0)
        saved = self._saved_bytes()
        total = None if self.steps is None else kept * checkpoint + saved + (self.text.bytes or 0)
        return {
            "checkpoint_bytes": checkpoint,
            "checkpoints_written": written,
            "checkpoints_kept": kept,
            "model_bytes": saved,
            "blocks_bytes": self.text.bytes,
            "total_bytes": total,
        }

    def _saved_bytes(self) -> int:
        """Of the weights on the disk, in fp32: each encoder has its own copy of what is shared."""
        parameters = count_parameters(self.model)
        return 4 * (parameters.main + parameters.generator)

    def _checkpoint_bytes(self) -> int:
        return self._saved_bytes() + (0 if self.args.save_only_model else self.memory.optimizer or 0)

    def _time_here(self) -> dict[str, Any]:
        probe = self.probe
        assert probe is not None
        args, steps = self.args, self.steps
        one_step = self._step_seconds(self.full)
        if args.schedule_minutes is not None:
            steps = self._steps_in(60 * args.schedule_minutes, args.max_steps)
        if steps is None:
            return {"steps": None, "step_seconds": one_step, "seconds": None, **self._measured()}
        result = self._parts(steps)
        limit = 60 * args.max_train_minutes if args.max_train_minutes is not None else math.inf
        if result["seconds"] > limit:
            reached = (
                steps * max(0.0, limit - result["seconds"] + result["training_seconds"]) / result["training_seconds"]
            )
            self.notes.append(
                f"--max_train_minutes {args.max_train_minutes:g} stops the run near step {reached:,.0f} of {steps:,}"
            )
            result["seconds"], result["stopped_at_step"] = limit, round(reached)
        price = self.settings.prices.get(THIS_MACHINE)
        return {
            "steps": steps,
            "step_seconds": one_step,
            **result,
            **self._measured(),
            "cost": _cost(price, result["seconds"]),
        }

    def _measured(self) -> dict[str, Any]:
        assert self.probe is not None
        return {"probe": self.probe.to_dict()}

    def _parts(self, steps: int) -> dict[str, Any]:
        probe, shapes = self.probe, self._shapes(steps)
        assert probe is not None and shapes is not None
        epochs = self._epochs(steps)
        evaluations = count_evaluations(self.args, steps, epochs)
        written, _ = count_checkpoints(self.args, steps, epochs)
        if evaluations and self.text.eval_blocks is None:
            self.notes.append("the time of evaluations is without their text, whose size is not known")
        if self.text.seconds is None:
            self.notes.append("the time to get and prepare the text is not known, and not counted")
        blocks = (self.text.eval_blocks or 0) / self.settings.processes
        parts = {
            "fixed_seconds": probe.fixed_seconds,
            "text_seconds": self.text.seconds or 0.0,
            "training_seconds": sum(self._step_seconds(shape) * count for shape, count in shapes.items()),
            "evaluation_seconds": evaluations * (probe.evaluation_seconds + probe.block_seconds * blocks),
            "save_seconds": (written + 1 / 3) * probe.save_seconds,  # at the end the weights alone
        }
        return {**parts, "seconds": sum(parts.values()), "evaluations": evaluations}

    def _step_seconds(self, shape: Shape) -> float:
        """Of a step with such batches: measured, or by its arithmetic from the full one."""
        probe = self.probe
        assert probe is not None
        if probe.rows == self.full.rows and (found := probe.seconds_of(shape)) is not None:
            of_probe = found
        else:
            measured = Shape(probe.rows, self.full.length)
            seconds = probe.seconds_of(measured)
            assert seconds is not None
            share = self.data_args.mlm_probability
            flops = [shape_flops(self.model.config, each, share) for each in (shape, measured)]
            of_probe = seconds * flops[0] / flops[1]
        return of_probe * self.args.gradient_accumulation_steps / probe.accumulation

    def _steps_in(self, seconds: float, most: int) -> int:
        """Steps that a time of training has room for; warm-ups are in steps."""
        steps = max(1, round(seconds / self._step_seconds(self.full)))
        shapes = self._shapes(steps)
        assert shapes is not None
        used = sum(self._step_seconds(shape) * count for shape, count in shapes.items())
        return min(most, max(1, round(steps + (seconds - used) / self._step_seconds(self.full))))

    def _on_gpu(self, gpu: Any, shapes: Counter[Shape] | None) -> dict[str, Any]:
        processes, accumulation = self.settings.processes, self.args.gradient_accumulation_steps
        step = gpu_step_seconds(
            gpu,
            self.step_flops / processes,
            self.sixteen,
            layers=sum(each.encoder.num_hidden_layers for each in self.model.config.passes),  # type: ignore[attr-defined]
            batches=accumulation,
            mfu=self.settings.mfu,
        )
        seconds = None
        if self.args.schedule_minutes is not None:
            seconds = 60 * self.args.schedule_minutes
        elif shapes is not None:
            whole = counted_flops(self.model.config, shapes, self.data_args, self.batches)
            seconds = step * whole / self.step_flops
        return {
            "name": gpu.name,
            "precision": gpu.precision,
            "fits": fits(gpu, self.sixteen),
            "memory_bytes": self.sixteen.total,
            "tokens_per_second": self.batches * self.full.tokens / step,
            "training_seconds": seconds,
            "cost": _cost(self.settings.prices.get(gpu.name), seconds, processes),
            "source": gpu.source,
        }


def _cost(price: float | None, seconds: float | None, processes: int = 1) -> float | None:
    return None if price is None or seconds is None else price * processes * seconds / 3600


def _model(model_args: ModelArguments, data_args: DataArguments, text: TextFacts) -> PretrainingModel:
    """The model without memory for its weights; one that is loaded has them."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the probe, or the run, says it
    try:
        with nullcontext() if loaded_parts(model_args) else torch.device("meta"):
            return build_model(model_args, data_args, text.tokenizer)
    finally:
        logging.disable(level)


def _in_16_bits(args: PretrainingArguments) -> PretrainingArguments:
    if args.bf16 or args.fp16:
        return args
    changed = PretrainingArguments.__new__(PretrainingArguments)
    changed.__dict__.update(args.__dict__, bf16=True)
    return changed


def _probe_batch(args: PretrainingArguments, step_flops: float, seconds: float) -> tuple[int, int]:
    """Rows and accumulation of the probe: those of the run, or less where a CPU would take minutes for a step."""
    rows, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    if args.device.type != "cpu":
        return rows, accumulation
    room = _STEP_SHARE * seconds * _FLOPS_OF_THREAD * torch.get_num_threads()
    if step_flops > room:
        step_flops, accumulation = step_flops / accumulation, 1
    while step_flops > room and rows % 2 == 0:
        rows, step_flops = rows // 2, step_flops / 2
    return rows, accumulation


def _probe_options(
    options: dict[str, Any], args: PretrainingArguments, folder: Path, rows: int, accumulation: int
) -> dict[str, Any]:
    """The options of the run, but for so many steps on prepared blocks."""
    kept = {name: value for name, value in options.items() if name not in _LEFT_OUT}
    kept |= {
        "prepared_dir": str(folder),
        "max_steps": _LARGE,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulation,
        "eval_strategy": "no",
        "do_eval": args.do_eval,
        "save_strategy": "no",
        "logging_steps": args.logging_steps if args.logging_steps >= 1 else 100,
        "report_to": "none",
        "disable_tqdm": True,
        "hang_timeout": 0,
    }
    for kind, start, full in (
        ("batch_size", args.batch_size_warmup_start, args.per_device_train_batch_size),
        ("length", args.length_warmup_start, None),
    ):
        name = f"{kind}_warmup"
        if start is None or rows < args.per_device_train_batch_size:
            kept.pop(f"{name}_steps", None)
            kept.pop(f"{name}_start", None)
        else:
            # A few steps of each stage.
            stages = (full // start).bit_length() - 1 if full else 8
            kept[f"{name}_steps"] = max(2, STAGE_STEPS * stages)
    if args.warmup_steps >= 1:
        kept["warmup_steps"] = min(args.warmup_steps, _LARGE)
    return kept


def read_prices(values: list[str], names: tuple[str, ...] = tuple(gpu.name for gpu in GPUS)) -> dict[str, float]:
    """Prices of an hour: `0.5` of this machine, `A100=1.8` of a GPU of the table.

    >>> read_prices(["0.5", "A100=1.8"])
    {'here': 0.5, 'A100': 1.8}

    Raises:
        UsageError: For a name that is not in the table, or what is no price.
    """
    prices = {}
    for value in values:
        name, _, amount = value.rpartition("=")
        try:
            price = float(amount)
        except ValueError:
            price = math.nan
        if name not in ("", *names) or not 0 <= price < math.inf:
            raise UsageError(
                f"--price_per_hour {value}: give a number for this machine, or NAME=NUMBER with one of {', '.join(names)}"
            )
        prices[name or THIS_MACHINE] = price
    return prices


def cores() -> int:
    """Of the processor that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
