"""Everything that is known of a run before it is made, as one record."""

import dataclasses
import logging
import math
import tempfile
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from electra_hf.errors import UsageError
from electra_hf.models import PretrainingModel
from electra_hf.planning.gpus import GPUS, MFU, Gpu, fits, gpu_step_seconds
from electra_hf.planning.memory import activation_bytes, step_memory
from electra_hf.planning.probe import ProbeResult, measure, resident_bytes
from electra_hf.planning.probe_options import probe_batch, probe_options
from electra_hf.planning.sizes import (
    Shape,
    batch_shapes,
    count_checkpoints,
    count_parameters,
    counted_flops,
    run_steps,
    shape_flops,
)
from electra_hf.planning.text import TextFacts, look_at_text
from electra_hf.planning.timing import RunTime
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.model_setup import build_model, loaded_parts

THIS_MACHINE = "here"


@dataclass(frozen=True)
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
    prices: dict[str, float] = field(default_factory=dict)


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
    full = Shape(args.per_device_train_batch_size, data_args.max_seq_length)
    batch_shapes(args, full.length, 1)  # warm-ups that do not fit are better refused now
    with tempfile.TemporaryDirectory(prefix="electra-hf-plan-") as folder:
        text = look_at_text(model_args, data_args, args, Path(folder))
        model = _model(model_args, data_args, text)
        steps = run_steps(args, text.blocks, settings.processes)
        probe = None
        if settings.probe:
            flops = args.gradient_accumulation_steps * shape_flops(model.config, full, data_args.mlm_probability)
            rows, accumulation = probe_batch(args, flops, settings.probe_seconds)
            probe = measure(
                probe_options(options, args, full, text.folder, rows, accumulation), settings.probe_seconds
            )
    return Forecast(model, data_args, args, settings, text, probe, full, steps).record()


@dataclass
class Forecast:
    """What was counted and measured, and what follows from it.

    Attributes:
        model: On the meta device, or loaded.
        data_args: Of the run.
        args: Of the run.
        settings: What is asked.
        text: What there is to train on.
        probe: What was measured, if anything.
        full: The batch of a process.
        steps: Of the run; None if the time decides or nobody knows.
        notes: What else is to be said.
    """

    model: PretrainingModel
    data_args: DataArguments
    args: PretrainingArguments
    settings: PlanSettings
    text: TextFacts
    probe: ProbeResult | None
    full: Shape
    steps: int | None
    notes: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """As JSON values; see `forecast`."""
        args, text, share, processes = self.args, self.text, self.data_args.mlm_probability, self.settings.processes
        self.notes += text.notes
        self._batches = args.gradient_accumulation_steps * processes
        self._step_flops = self._batches * shape_flops(self.model.config, self.full, share)
        self._memory = step_memory(self.model, args, self.full, share)
        in_16_bits = activation_bytes(self.model, self.full, share, mixed=True)
        self._on_gpus = dataclasses.replace(self._memory, activations=in_16_bits)
        time = self._time_here()
        if time is not None:
            self.steps = time["steps"]
        shapes = None if self.steps is None else batch_shapes(args, self.full.length, self.steps)
        tokens = None if shapes is None else self._batches * sum(s.tokens * n for s, n in shapes.items())
        flops = None if shapes is None else counted_flops(self.model.config, shapes, self.data_args, self._batches)
        one_pass = text.blocks and text.blocks * self.full.length
        per_step = self._batches * self.full.tokens
        return {
            "parameters": dataclasses.asdict(count_parameters(self.model)),
            "text": {name: getattr(text, name) for name in ("how", "blocks", "tokens", "eval_blocks")},
            "run": {
                "steps": self.steps,
                "schedule_minutes": args.schedule_minutes,
                "processes": processes,
                "tokens_per_step": per_step,
                "tokens": tokens,
                "epochs": tokens / one_pass if tokens and one_pass else None,
            },
            "flops": {"per_token": self._step_flops / per_step, "per_step": self._step_flops, "total": flops},
            "memory": self._memory_here(),
            "disk": self._disk(),
            "time": time,
            "gpus": [self._gpu(gpu, shapes) for gpu in GPUS],
            "assumed_mfu": self.settings.mfu,
            "notes": self.notes,
        }

    def _time_here(self) -> dict[str, Any] | None:
        if self.probe is None:
            return None
        time = RunTime(
            self.model.config,
            self.args,
            self.data_args.mlm_probability,
            self.full,
            self.settings.processes,
            self.text,
            self.probe,
        ).record(self.steps, self.notes)
        return time | {"cost": _cost(self.settings.prices.get(THIS_MACHINE), time["seconds"])}

    def _memory_here(self) -> dict[str, Any]:
        memory, probe = self._memory, self.probe
        tensors = dataclasses.asdict(memory) | {"total": memory.total}
        found: dict[str, Any] = {"tensors": tensors, "device": self.args.device.type, "peak_bytes": None, "how": None}
        if memory.optimizer is None:
            self.notes.append(f"the states of --optim {self.args.optim} are not known here and not counted")
        if probe is None:
            if self.args.device.type == "cpu":
                # This process holds the libraries of the run, too.
                found["peak_bytes"] = resident_bytes("VmRSS") + memory.total
                found["how"] = "the libraries and the tensors; the fused layers of a CPU keep less"
            return found
        peak, before, how = probe.resident_bytes, probe.resident_before, "measured"
        if probe.device_bytes is not None:
            peak, before = probe.device_bytes, memory.weights
            found["host_bytes"] = probe.resident_bytes
        if probe.rows < self.full.rows:
            of_rows = peak - before - memory.gradients - (memory.optimizer or 0)
            peak += round(max(0, of_rows) * (self.full.rows / probe.rows - 1))
            how = f"measured with batches of {probe.rows} rows, and extrapolated"
        return found | {"peak_bytes": peak, "how": how}

    def _disk(self) -> dict[str, Any]:
        parameters = count_parameters(self.model)
        saved = 4 * (parameters.main + parameters.generator)  # each encoder has a copy of what both share, in fp32
        if self.probe is not None:
            checkpoint = self.probe.checkpoint_bytes
        else:
            checkpoint = saved + (0 if self.args.save_only_model else self._memory.optimizer or 0)
        written, kept = (0, 0)
        if self.steps is not None:
            rows = self._batches * self.full.rows
            epochs = self.steps * rows / self.text.blocks if self.text.blocks else None
            written, kept = count_checkpoints(self.args, self.steps, epochs)
        return {
            "checkpoint_bytes": checkpoint,
            "checkpoints_written": written,
            "checkpoints_kept": kept,
            "model_bytes": saved,
            "blocks_bytes": self.text.bytes,
            "total_bytes": None if self.steps is None else kept * checkpoint + saved + (self.text.bytes or 0),
        }

    def _gpu(self, gpu: Gpu, shapes: Counter[Shape] | None) -> dict[str, Any]:
        processes = self.settings.processes
        passes: list[Any] = self.model.config.passes
        step = gpu_step_seconds(
            gpu,
            self._step_flops / processes,
            self._on_gpus,
            layers=sum(each.encoder.num_hidden_layers for each in passes),
            batches=self.args.gradient_accumulation_steps,
            mfu=self.settings.mfu,
        )
        seconds = None
        if self.args.schedule_minutes is not None:
            seconds = 60 * self.args.schedule_minutes
        elif shapes is not None:
            whole = counted_flops(self.model.config, shapes, self.data_args, self._batches)
            seconds = step * whole / self._step_flops
        return {
            "name": gpu.name,
            "precision": gpu.precision,
            "fits": fits(gpu, self._on_gpus),
            "memory_bytes": self._on_gpus.total,
            "tokens_per_second": self._batches * self.full.tokens / step,
            "training_seconds": seconds,
            "cost": _cost(self.settings.prices.get(gpu.name), seconds, processes),
            "source": gpu.source,
        }


def _cost(price: float | None, seconds: float | None, machines: int = 1) -> float | None:
    return None if price is None or seconds is None else price * machines * seconds / 3600


def _model(model_args: ModelArguments, data_args: DataArguments, text: TextFacts) -> PretrainingModel:
    """The model without memory for its weights; one that is loaded has them."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the run says it
    try:
        with nullcontext() if loaded_parts(model_args) else torch.device("meta"):
            return build_model(model_args, data_args, text.tokenizer)
    finally:
        logging.disable(level)


def read_prices(values: list[str]) -> dict[str, float]:
    """Prices of an hour: `0.5` of this machine, `A100=1.8` of a GPU of the table.

    >>> read_prices(["0.5", "A100=1.8"])
    {'here': 0.5, 'A100': 1.8}

    Raises:
        UsageError: For a name that is not in the table, or what is no price.
    """
    names, prices = [gpu.name for gpu in GPUS], {}
    for value in values:
        name, _, amount = value.rpartition("=")
        try:
            price = float(amount)
        except ValueError:
            price = math.nan
        if name not in ("", *names) or not 0 <= price < math.inf:
            raise UsageError(
                f"--price_per_hour {value}: give a number for this machine, or NAME=NUMBER with a name of the table: "
                f"{', '.join(names)}"
            )
        prices[name or THIS_MACHINE] = price
    return prices
