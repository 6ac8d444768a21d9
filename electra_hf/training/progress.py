"""The progress bar and one readable line for each logging event."""

from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_TRAIN_COLUMNS = (
    ("loss", "loss {:.3f}"),
    ("generator_loss", "generator {:.3f}"),
    ("generator_accuracy", "accuracy {:.3f}"),
    ("mlm_loss", "mlm {:.3f}"),
    ("mlm_accuracy", "accuracy {:.3f}"),
    ("main_mlm_loss", "main {:.3f}"),
    ("main_mlm_accuracy", "restored {:.3f}"),
    ("copy_probability", "copied {:.3f}"),
    ("rtd_loss", "rtd {:.4f}"),
    ("rtd_auc", "auc {:.3f}"),
    ("nce_loss", "nce {:.4f}"),
    ("nce_auc", "auc {:.3f}"),
    ("nsp_loss", "nsp {:.4f}"),
    ("nsp_accuracy", "accuracy {:.3f}"),
    ("sop_loss", "sop {:.4f}"),
    ("sop_accuracy", "accuracy {:.3f}"),
    ("replaced_fraction", "replaced {:.3f}"),
    ("learning_rate", "lr {:.2e}"),
    ("tokens_per_second", "{:,.0f} tokens/s"),
)


def format_seconds(seconds: float) -> str:
    """A duration for people: the two largest units.

    >>> format_seconds(42), format_seconds(150), format_seconds(93_600)
    ('42 s', '2 min 30 s', '1 d 2 h')
    """
    seconds = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {name}")
    return " ".join(parts[:2]) or "0 s"


def format_logs(logs: Mapping[str, float], step: int) -> str:
    """One line for a training or evaluation event; unknown keys are left out."""
    prefix = "eval_" if any(key.startswith("eval_") for key in logs) else ""
    parts = ["evaluation" if prefix else f"step {step}"]
    parts += [text.format(logs[prefix + key]) for key, text in _TRAIN_COLUMNS if prefix + key in logs]
    if "remaining_seconds" in logs:
        parts.append(f"{format_seconds(logs['remaining_seconds'])} left")
    return " | ".join(parts)


class LogLineCallback(TrainerCallback):
    """One line for each logging event of the main process, without a progress bar (`--disable_tqdm`)."""

    def describe(self, logs: Mapping[str, Any], state: TrainerState) -> str:
        """The line of one event."""
        return format_logs(logs, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and ("loss" in logs or "eval_loss" in logs):
            tqdm.write(self.describe(logs, state))


class ReadableProgressCallback(LogLineCallback, ProgressCallback):
    """transformers' progress bar, with readable lines instead of printed dictionaries."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A new bar, also when a run goes back to a checkpoint."""
        if self.training_bar is not None:
            self.training_bar.close()
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None and getattr(args, "schedule_minutes", None) is not None:
            self.training_bar.total = None  # nobody knows how many steps there will be
