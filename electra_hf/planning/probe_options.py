"""The options of a probe, from those of the run that it stands for."""

from pathlib import Path
from typing import Any

import torch

from electra_hf.planning.probe import STAGE_STEPS
from electra_hf.planning.sizes import Shape
from electra_hf.training import PretrainingArguments

# What a probe does not need of the options of the run, or must not do.
_LEFT_OUT = (
    "dataset_name", "dataset_config_name", "train_file", "corpus", "corpus_weights", "corpus_max_documents",
    "streaming", "stopping_strategy", "validation_file", "max_train_samples", "max_eval_samples",
    "overwrite_cache", "sentence_splitting", "unicode_normalization",
    "tokenizer_name", "train_tokenizer", "vocab_size", "do_lower_case", "strip_accents", "resume_from_checkpoint",
    "keep_milestones", "schedule_minutes", "max_train_minutes", "spike_threshold", "push_to_hub", "hub_model_id",
    "load_best_model_at_end", "eval_on_start", "run_name", "num_train_epochs", "save_total_limit", "eval_delay",
    "metric_for_best_model", "greater_is_better", "save_only_model", "logging_first_step", "save_steps", "eval_steps",
)  # fmt: skip
_LARGE = 1_000_000
# A probe on a CPU takes smaller batches if one step would be longer than this share of its time, at so many FLOP/s for
# each thread: half of what a thread of a server's processor does in bf16.
_STEP_SHARE, _FLOPS_OF_THREAD = 0.25, 1.0e11


def probe_batch(args: PretrainingArguments, step_flops: float, seconds: float) -> tuple[int, int]:
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


def probe_options(
    options: dict[str, Any], args: PretrainingArguments, full: Shape, folder: Path, rows: int, accumulation: int
) -> dict[str, Any]:
    """The options of a training on prepared blocks without an end.

    Args:
        options: Of the run, as values of a YAML file.
        args: Of the run.
        full: The shape of its batches.
        folder: With the blocks.
        rows: Of a batch of the probe.
        accumulation: Batches in a step of the probe.
    """
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
    for kind, start, size in (
        ("batch_size", args.batch_size_warmup_start, full.rows),
        ("length", args.length_warmup_start, full.length),
    ):
        name = f"{kind}_warmup"
        if start is None or rows < full.rows:
            kept.pop(f"{name}_steps", None)
            kept.pop(f"{name}_start", None)
        else:
            kept[f"{name}_steps"] = max(2, STAGE_STEPS * ((size // start).bit_length() - 1))
    return kept
