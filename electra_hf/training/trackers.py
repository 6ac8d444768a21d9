"""What TensorBoard, MLflow, Weights & Biases and Trackio get of a run (`--report_to`), under names in groups.

transformers' own callbacks are kept for what they do well: opening a run and writing down its options. What is
overridden, and why (transformers 5.15 to 5.23):

* `on_log`: names like `train/generator/loss` instead of `train/generator_loss`, and the same ones everywhere
  (`rewrite_logs` puts `train/` before all that is no evaluation; MLflow gets the bare keys).
* the start: a resumed run goes on where it was, in the same folder or run. The stock callbacks begin another one.
* MLflow's `on_log` after training: the stock callback has ended its run by then, and MLflow begins another one for the
  last evaluation.

`log_texts` is ours: held-out sentences over the course of the run.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    MLflowCallback,
    TensorBoardCallback,
    TrackioCallback,
    WandbCallback,
    default_logdir,
)

from electra_hf.errors import UsageError, explain_os_error, without_secrets

logger = logging.getLogger(__name__)

TEXTS_NAME = "text_samples"
# Names of the runs that a tracker has begun for an output folder.
NOTES_NAME = "trackers.json"

# Where a metric belongs, by what its key begins with; the first that fits.
_PARTS = {
    "generator_": "generator/",
    "replaced_fraction": "generator/replaced_fraction",
    "rtd_": "discriminator/",
    "main_mlm_": "encoder/",
    "all_tokens_": "encoder/all_tokens_",
    "copy_": "encoder/copy_",
    "replaced_copy_": "encoder/replaced_copy_",
    "mlm_": "masked_lm/",
    "nce_": "energies/",
    "log_likelihood": "energies/log_likelihood",
    "nsp_": "pairs/nsp_",
    "sop_": "pairs/sop_",
}
_SPEED = ("per_second", "runtime", "teraflops", "remaining_seconds", "preparation_time", "compilation_time")
_SCHEDULE = ("learning_rate", "temperature", "epoch", "num_input_tokens_seen")
_OPTIMIZER = ("grad_norm", "skipped_steps")
# Of the whole run, logged once at its end.
_TOTALS = re.compile("train_(loss|runtime|samples_per_second|steps_per_second|tokens_per_second)|total_flos")


def tracker_name(key: str) -> str:
    """The name under which trackers get what the Trainer logs as `key`.

    >>> tracker_name("generator_loss"), tracker_name("eval_rtd_auc"), tracker_name("loss")
    ('train/generator/loss', 'eval/discriminator/auc', 'train/loss')
    >>> tracker_name("tokens_per_second"), tracker_name("generator_learning_rate"), tracker_name("train_runtime")
    ('speed/tokens_per_second', 'schedule/generator_learning_rate', 'run/runtime')
    """
    if _TOTALS.fullmatch(key):
        return f"run/{key.removeprefix('train_')}"
    for split in ("eval", "test"):
        if key.startswith(f"{split}_"):
            return f"{split}/{_part(key.removeprefix(f'{split}_'))}"
    part = _part(key)
    return part if part.startswith(("speed/", "schedule/", "optimizer/")) else f"train/{part}"


def _part(key: str) -> str:
    for group, endings in (("speed", _SPEED), ("schedule", _SCHEDULE), ("optimizer", _OPTIMIZER)):
        if key.endswith(endings):
            return f"{group}/{key}"
    for start, group in _PARTS.items():
        if key.startswith(start):
            return group + key.removeprefix(start)
    return key


def tracked(logs: Mapping[str, Any]) -> dict[str, Any]:
    """An event under the names that trackers get."""
    return {tracker_name(key): value for key, value in logs.items()}


def _notes(args: Any) -> dict[str, str]:
    try:
        notes = json.loads(Path(args.output_dir, NOTES_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # without them a new run is begun
    return notes if isinstance(notes, dict) else {}


def _write_note(args: Any, tracker: str, run: str) -> None:
    path = Path(args.output_dir, NOTES_NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**_notes(args), tracker: run}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        logger.warning("%s. A resumed run will be another one for %s.", explain_os_error(error, path), tracker)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that the stock callbacks read, as far as the user has not set them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)  # MLflow takes its own away


class Tracker(TrainerCallback):
    """One that also gets held-out texts."""

    def log_texts(self, step: int, markdown: str, html: str) -> None:
        """Show texts; each tracker takes the form that it can show. Only the main process calls this."""
        raise NotImplementedError


class TensorBoard(Tracker, TensorBoardCallback):
    """Event files in `runs/` of the output folder, or in TENSORBOARD_LOGGING_DIR."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or state.is_hyper_param_search or not state.global_step:
            super().on_train_begin(args, state, control, **kwargs)
            return
        # What was written after the step that the run goes on from is hidden.
        if self.tb_writer is not None:
            self.tb_writer.close()
        events = Path(args.output_dir, "runs").glob("*/events.out.tfevents.*")
        newest = max(events, key=lambda file: file.stat().st_mtime, default=None)
        if self.logging_dir is None and newest is not None:
            self.logging_dir = str(newest.parent)
        self._open(args, purge_step=state.global_step + 1)

    def _open(self, args: Any, purge_step: int | None = None) -> None:
        if self.logging_dir is None:
            self.logging_dir = os.path.join(args.output_dir, default_logdir())
        self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=purge_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self.tb_writer is None:
            self._open(args)
        writer: Any = self.tb_writer
        for name, value in tracked(logs or {}).items():
            if isinstance(value, str):
                writer.add_text(name, value, state.global_step)
            else:
                writer.add_scalar(name, value, state.global_step)
        writer.flush()

    def log_texts(self, step: int, markdown: str, html: str) -> None:
        writer: Any = self.tb_writer
        writer.add_text(TEXTS_NAME, markdown, step)
        writer.flush()


class MLflow(Tracker, MLflowCallback):
    """A run of MLflow, in the store that MLFLOW_TRACKING_URI names."""

    _run: str | None = None
    _told = False

    def setup(self, args: Any, state: Any, model: Any) -> None:
        """Begin a run, or go on with that of this output folder.

        Raises:
            UsageError: If MLflow cannot, with its reason.
        """
        going_on = {}
        if state.global_step and (run := _notes(args).get("mlflow")):
            # Its parameters are there, and MLflow does not let them change.
            going_on = {"MLFLOW_RUN_ID": run, "MLFLOW_MAX_LOG_PARAMS": "0"}
        try:
            with _environment(going_on):
                super().setup(args, state, model)
        except (self._ml_flow.MlflowException, ImportError) as error:
            reason = without_secrets(str(error)).splitlines()[0]
            note = f", or remove {Path(args.output_dir, NOTES_NAME)} to begin another run there" if going_on else ""
            raise UsageError(
                f"--report_to mlflow: {reason}. Set MLFLOW_TRACKING_URI to a store that works here: a server, "
                "sqlite:///FILE (needs pip install sqlalchemy alembic), or a folder together with "
                f"MLFLOW_ALLOW_FILE_STORE=true{note}"
            ) from error
        if state.is_world_process_zero:
            active = self._ml_flow.active_run()
            assert active is not None
            self._run = active.info.run_id
            _write_note(args, "mlflow", self._run)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)
        if state.is_world_process_zero:
            metrics = {name: float(value) for name, value in tracked(logs or {}).items() if not isinstance(value, str)}
            valid = {re.sub(r"[^\w\-. :/]", "_", name): value for name, value in metrics.items()}
            # Without waiting as long as its run is open; what comes after that is the last, and is not to be lost.
            is_open = self._ml_flow.active_run() is not None
            self._ml_flow.log_metrics(valid, step=state.global_step, run_id=self._run, synchronous=not is_open)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._initialized and state.is_world_process_zero:
            self._ml_flow.flush_async_logging()
        super().on_train_end(args, state, control, **kwargs)

    def log_texts(self, step: int, markdown: str, html: str) -> None:
        try:
            self._ml_flow.log_text(html, f"{TEXTS_NAME}/step-{step:08d}.html", run_id=self._run)
        except (self._ml_flow.MlflowException, OSError) as error:
            # Where metrics go and where files go are two places, and the latter is often not set up.
            if not self._told:
                logger.warning("MLflow takes no text samples: %s", without_secrets(str(error)))
            self._told = True


class Wandb(Tracker, WandbCallback):
    """A run of Weights & Biases; with WANDB_MODE=offline it stays in a folder."""

    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        """Begin a run, or go on with that of this output folder."""
        run = _notes(args).get("wandb") if state.global_step else None
        with _environment({"WANDB_RUN_ID": run, "WANDB_RESUME": "allow"} if run else {}):
            super().setup(args, state, model, **kwargs)
        if state.is_world_process_zero:
            _write_note(args, "wandb", self._wandb.run.id)

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **kwargs: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)
        if state.is_world_process_zero:
            self._wandb.log({**tracked(logs), "train/global_step": state.global_step})

    def log_texts(self, step: int, markdown: str, html: str) -> None:
        self._wandb.log({TEXTS_NAME: self._wandb.Html(html), "train/global_step": step})


class Trackio(Tracker, TrackioCallback):
    """A run of Trackio, in TRACKIO_DIR or, with --trackio_space_id, in a Space."""

    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        """Begin a run, or go on with that of this output folder."""
        given = args.run_name
        if state.global_step and given is None:
            args.run_name = _notes(args).get("trackio")
        try:
            super().setup(args, state, model, **kwargs)
        finally:
            args.run_name = given
        if state.is_world_process_zero:
            trackio: Any = self._trackio
            _write_note(args, "trackio", trackio.context_vars.current_run.get().name)

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **kwargs: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)
        if state.is_world_process_zero:
            self._trackio.log(tracked(logs), step=state.global_step)

    def log_texts(self, step: int, markdown: str, html: str) -> None:
        self._trackio.log({TEXTS_NAME: self._trackio.Markdown(markdown)}, step=step)


_OURS: dict[type[TrainerCallback], type[Tracker]] = {
    TensorBoardCallback: TensorBoard,
    MLflowCallback: MLflow,
    WandbCallback: Wandb,
    TrackioCallback: Trackio,
}


def use_trackers(callbacks: list[Any]) -> None:
    """Put ours in the places of the stock callbacks, in place; other ones stay."""
    callbacks[:] = [_OURS[type(each)]() if type(each) in _OURS else each for each in callbacks]


def trackers_among(callbacks: list[Any]) -> list[Tracker]:
    """Those that get texts."""
    return [each for each in callbacks if isinstance(each, Tracker)]
