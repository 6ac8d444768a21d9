"""The half of our Trainers that goes on from checkpoints.

What is overridden, and why (transformers 5.15 to 5.23):

* `train`: a checkpoint is checked, and its run compared with this one, before it is used.
* `_load_optimizer_and_scheduler`, `_load_scaler`, `_load_rng_state`, `_issue_warnings_after_load`: the stock Trainer
  goes on in silence without an optimiser, a schedule, random numbers or weights.
* `_evaluate`: what is evaluated before the first step is not evaluated again before the first one of a resumed run.
* `_run_epoch`, `log`, `_finalize_training`: the open logging window goes on, and the mean loss is of the whole run;
  a finished run that is resumed stays as it is; the last checkpoint is not removed at the end.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerState

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training.checkpoints.failures import explain_load_errors
from electra_hf.training.checkpoints.manifest import Manifest, check_resumable, read_manifest, verify
from electra_hf.training.checkpoints.process_state import (
    load_process_state,
    process_state_name,
    require,
    start_noise_anew,
)
from electra_hf.training.checkpoints.resume import resolve_resume, set_newer_aside
from electra_hf.training.checkpoints.retention import SaveAfterEpochCallback
from electra_hf.training.checkpoints.saving import SavingTrainer

logger = logging.getLogger(__name__)


class CheckpointingTrainer(SavingTrainer):
    """`transformers.Trainer` with checkpoints that are written whole, and checked before they are used.

    Takes the Trainer's arguments. Attributes: see `SavingTrainer`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # What is to be restored before the first step of a resumed run.
        self._unrestored: Path | None = None

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; see `Trainer.train`.

        Args:
            resume_from_checkpoint: A checkpoint folder, or True for the newest complete one.
            args: For `Trainer.train`.
            kwargs: Likewise.

        Raises:
            CheckpointError: If the checkpoint is missing, damaged, or does not fit the model.
            UsageError: If it is of a run with another batch, seed, data, masks or objective.
        """
        self._unrestored, self._loss_since = None, 0
        self.remove_callback(SaveAfterEpochCallback)
        self.add_callback(SaveAfterEpochCallback)
        self.last_checkpoint, self._saved_best = None, (None, None, None)
        if resume_from_checkpoint is True:
            resume_from_checkpoint = str(resolve_resume("true", self.args.output_dir))
        if not resume_from_checkpoint:
            return super().train(None, *args, **kwargs)
        checkpoint = Path(resume_from_checkpoint)
        self._together(lambda: check_resumable(checkpoint), checkpoint, writer_only=True)
        manifest = read_manifest(checkpoint)
        self._check_same_run(checkpoint, manifest)
        self._together(lambda: set_newer_aside(checkpoint, Path(self.args.output_dir)), checkpoint, writer_only=True)
        self._unrestored = self.last_checkpoint = checkpoint
        self._checkpoint_bytes = manifest.total_bytes
        with explain_load_errors(checkpoint / "trainer_state.json"):
            TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        return super().train(str(checkpoint), *args, **kwargs)

    def _check_same_run(self, checkpoint: Path, before: Manifest) -> None:
        """Refuse to go on under options that would silently change what follows."""
        now = self._describe_run(before.step)
        rows, batches = self.args.train_batch_size, self.args.gradient_accumulation_steps
        compared = [
            (
                "rows per step",
                before.global_batch_size,
                f"{now.global_batch_size} ({rows} x {batches} accumulation steps x {now.world_size} processes)",
                before.global_batch_size == now.global_batch_size,
            ),
            ("--seed", before.seed, now.seed, before.seed == now.seed),
        ]
        if not self.args.ignore_data_skip:
            for name, what in (
                ("data_seed", "--data_seed"),
                ("train_rows", "rows of training data"),
                ("row_length", "tokens per row"),
            ):
                one, other = getattr(before, name), getattr(now, name)
                compared.append((what, one, other, one == other))
        # Settings that one scheme of masks or one objective alone has are compared where both have it.
        for there, here in ((before.masking, now.masking), (before.objective, now.objective)):
            for name, other in (here or {}).items():
                one = (there or {}).get(name, other)
                compared.append((f"--{name}", one, other, one == other))
        different = [f"{what} {one} there and {other} here" for what, one, other, same in compared if not same]
        if different:
            raise UsageError(
                f"{checkpoint} is of a run with other settings: {'; '.join(different)}. Give the same ones to go on, "
                "or begin a new run from its weights with --model_name_or_path"
            )
        if before.world_size != now.world_size and self.args.should_log:
            logger.warning(
                "%s was saved by %d process(es), and %d go on: the data go on in their order; the noise of dropout "
                "and samples starts from (seed, step, process), and the logging window starts anew.",
                checkpoint,
                before.world_size,
                now.world_size,
            )

    def _init_training_state(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._init_training_state(*args, **kwargs)
        if self.last_checkpoint is not None and self.state.best_global_step:
            # The folder of the run may have been moved since.
            self._note_best(self.last_checkpoint)
        self._saved_best = self._best
        return result

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        paths = [Path(checkpoint, name) for name in ("optimizer.pt", "scheduler.pt")]
        for path in paths:
            require(path)
            with explain_load_errors(path):
                torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with explain_load_errors(f"{paths[0]} or {paths[1].name}"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_scaler(checkpoint)
            return
        path, scales = Path(checkpoint, "scaler.pt"), getattr(self.accelerator, "scaler", None) is not None
        if scales:
            require(path)
        elif path.is_file():
            raise UsageError(f"{checkpoint} was made with --fp16, and this run is without: give --fp16 to go on")
        with explain_load_errors(path):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        manifest, rank, processes = read_manifest(Path(checkpoint)), self.args.process_index, self.args.world_size
        if manifest.world_size != processes:
            start_noise_anew(self.args.seed, manifest.step, rank)
            return
        path = Path(checkpoint, "rng_state.pth" if processes == 1 else f"rng_state_{rank}.pth")
        require(path)
        with explain_load_errors(path):
            super()._load_rng_state(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with explain_load_errors(f"the model of {resume_from_checkpoint}"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        model = self.accelerator.unwrap_model(self.model)
        # Of shared weights one copy is saved; the others follow from it.
        unsaved = getattr(model, "_keys_to_ignore_on_save", None) or ()
        expected = {*getattr(model, "all_tied_weights_keys", {}), *unsaved}
        missing, unexpected = set(load_result.missing_keys) - expected, load_result.unexpected_keys
        if missing or unexpected:
            raise CheckpointError(
                f"the checkpoint does not fit the model: missing {sorted(missing)[:5]}, unexpected "
                f"{sorted(unexpected)[:5]}"
            )

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        if skip_scheduler and self._unrestored is not None:
            return {}  # --eval_on_start: the run that goes on has started before
        return super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)

    # The open logging window

    def _load_window_state(self, state: dict[str, Any] | None) -> None:
        """Go on with that window, or with None begin a new one, when all that is `stateful` is restored."""

    def restore_process_state(self, checkpoint: Path) -> None:
        """Go on with the logging window, and with all that is `stateful`, as this process was when it saved.

        If the number of processes has changed, the window starts anew, and what is stateful goes on from the first
        process's state.

        Raises:
            CheckpointError: If the file of this process is missing or cannot be read.
        """
        manifest = read_manifest(checkpoint)
        same = manifest.world_size == self.args.world_size
        rank = self.args.process_index if same else 0
        state = load_process_state(checkpoint, rank, manifest.world_size)
        with explain_load_errors(checkpoint / process_state_name(rank, manifest.world_size)):
            if same:
                self._tr_loss = state["loss"].to(self._tr_loss.device)
                self._total_loss_scalar, self._loss_since = state["total_loss"], state["total_loss_since"]
                self._globalstep_last_logged = state["last_logged_step"]
            else:
                self._loss_since = manifest.step
            saved = state["stateful"]
            for name in self.stateful.keys() & saved.keys():
                self.stateful[name].load_state_dict(saved[name])
            self._load_window_state(state["window"] if same else None)
        if different := sorted(self.stateful.keys() ^ saved.keys()):
            logger.warning("%s was saved without, or by a run with, %s: it starts anew", checkpoint, different)

    def restore_once(self) -> None:
        """Restore the state of this process, before the first step of a resumed run; after that, do nothing."""
        checkpoint, self._unrestored = self._unrestored, None
        if checkpoint is not None:
            self.restore_process_state(checkpoint)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # All that a run begins with has been set to its beginning by now.
        self.restore_once()
        # A run that is resumed where it ended has nothing to do; the stock loop looks only after one step more.
        if self._is_finished:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    @property
    def _is_finished(self) -> bool:
        return self.state.global_step >= self.state.max_steps

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an event; see `Trainer.log`. The mean loss at the end is that of the whole run."""
        if "train_loss" in logs:
            logs["train_loss"] = self._total_loss_scalar / max(1, self._counted_steps(self._loss_since))
        super().log(logs, start_time)

    def _counted_steps(self, start: int) -> int:
        """Steps after `start` whose losses are in the logged sums."""
        return self.state.global_step - start

    @staticmethod
    def _check_best(checkpoint: Path) -> None:
        try:
            verify(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}: the best weights cannot be loaded at the end. To finish with the last ones, run the same "
                "command with --resume_from_checkpoint auto and without --load_best_model_at_end"
            ) from error

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        # A finished run that is resumed has no epoch to run.
        self.restore_once()
        if self.args.load_best_model_at_end and (best := self.state.best_model_checkpoint) is not None:
            self._together(lambda: self._check_best(Path(best)), Path(best), writer_only=True)
        # The stock Trainer would remove all but the best checkpoint, milestones and the last one too.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            output = super()._finalize_training(*args, **kwargs)
        finally:
            self.args.save_total_limit = limit
        return output._replace(training_loss=output.metrics["train_loss"])
