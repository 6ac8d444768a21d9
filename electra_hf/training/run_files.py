"""What a run writes for those who watch it: `training_log.jsonl`, and `run_info.json`.

Both are written by the main process alone. docs/trackers.md has their formats.
"""

import json
import logging
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf import __version__
from electra_hf.errors import explain_os_error
from electra_hf.json_lines import JsonLines
from electra_hf.models import PretrainingModel
from electra_hf.training.pretraining_arguments import PretrainingArguments

logger = logging.getLogger(__name__)

LOG_NAME = "training_log.jsonl"
INFO_NAME = "run_info.json"


class TrainingLog(TrainerCallback):
    """The rows of the Trainer's `log_history` as a file that grows with each logging event.

    A checkpoint holds the rows up to its step. So whatever a run begins with, from a checkpoint, after a rollback or
    anew, the file is made what the state holds, and what came later is gone from both.
    """

    def __init__(self):
        self._file: JsonLines | None = None
        self._rows = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        self._file = JsonLines(Path(str(args.output_dir), LOG_NAME))
        self._file.replace(state.log_history)
        self._rows = len(state.log_history)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # An evaluation without a training has no log to go on with.
        if self._file is not None:
            # More than one where a rollback has been noted since.
            self._file.append(state.log_history[self._rows :])
            self._rows = len(state.log_history)


class RunInfo(TrainerCallback):
    """What does not change in the course of a run, as a file that is written when it starts.

    Args:
        facts: As from `run_facts`.
    """

    def __init__(self, facts: Mapping[str, Any]):
        self.facts = facts

    def on_train_begin(
        self, args: PretrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        path, now = Path(str(args.output_dir), INFO_NAME), datetime.now(UTC).isoformat(timespec="seconds")
        in_time = args.schedule_minutes is not None
        info = {
            "max_steps": None if in_time else state.max_steps,
            "schedule_minutes": args.schedule_minutes,
            **self.facts,
            "started": now,
            "resumed": [],
        }
        before = _read_object(path) if state.global_step else {}
        if "started" in before:
            resumed = [row for row in before.get("resumed", []) if row["step"] <= state.global_step]
            info["started"] = before["started"]
            info["resumed"] = [*resumed, {"step": state.global_step, "time": now}]
        new = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(new, path)
        except OSError as error:
            logger.error("%s. The run goes on without it.", explain_os_error(error, path))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # it only tells when the run began
    return found if isinstance(found, dict) else {}


def run_facts(
    model: PretrainingModel, args: PretrainingArguments, *, mask_probability: float, length: int
) -> dict[str, Any]:
    """What `run_info.json` says besides steps and times.

    Args:
        model: The joint model.
        args: Of the run.
        mask_probability: Masked positions per token.
        length: Tokens of a block.
    """
    encoder = model.config.main_config
    generator = model.config.generator_config if model.has_generator else None
    rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    return {
        "objective": model.config.objective,
        "model_type": encoder.model_type,
        "vocab_size": model.config.vocab_size,
        "mask_probability": mask_probability,
        "max_seq_length": length,
        "rows_per_step": rows,
        "tokens_per_step": rows * length,
        "parameters": _count(model.main),
        "generator_parameters": _count(model.generator) if generator else None,
        "generator_hidden_size": generator.hidden_size if generator else None,
        "loss_weights": dict(model.config.loss_weights),
        "processes": args.world_size,
        "hardware": describe_hardware(args.device, args.world_size),
        "versions": {
            "electra_hf": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "accelerate", "tokenizers")},
        },
    }


def _count(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def describe_hardware(device: torch.device, processes: int = 1) -> str:
    """What a run computes on, in words, such as `8 x NVIDIA H100 80GB HBM3` or `AMD EPYC 7543, 16 threads`."""
    if device.type == "cuda":
        return f"{processes} x {torch.cuda.get_device_name(device)}"
    if device.type != "cpu":
        return f"{processes} x {device.type}"
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # only Linux has it
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads() * processes} threads"
