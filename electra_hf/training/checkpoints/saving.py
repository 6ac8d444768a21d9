"""The half of our Trainers that writes checkpoints.

What is overridden, and why (transformers 5.15 to 5.23):

* `_save_checkpoint`: the stock one writes in place, so a killed run leaves half a checkpoint, and a full disk ends the
  run.
* `init_hf_repo`: what goes to the Hub is `electra_hf.sharing`'s, which knows all parts of a model.
* `save_model`, `_save`: the Hub token stays out of training_args.bin, others may read the weights, and a full disk is
  explained.

With FSDP and DeepSpeed the same sequence holds: all processes write below the temporary folder, whose subfolders are
hashed like the rest. That was not tested, since accelerate refuses FSDP on a CPU and DeepSpeed is not installed here.
A process that fails within one of their collective calls leaves the others waiting until the launcher ends them; the
former checkpoint is as it was then, too. All processes must see one folder, or one a machine with
--save_on_each_node.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from torch import nn
from transformers import Trainer
from transformers.trainer_callback import ExportableState

from electra_hf.errors import CheckpointError, ElectraHfError, UsageError
from electra_hf.training.checkpoints import publishing
from electra_hf.training.checkpoints.failures import explain_save_errors
from electra_hf.training.checkpoints.manifest import Manifest
from electra_hf.training.checkpoints.process_state import Stateful, process_state_name
from electra_hf.training.checkpoints.retention import MilestoneCallback, milestone_of, rotate

logger = logging.getLogger(__name__)


class SavingTrainer(Trainer):
    """`transformers.Trainer` that writes checkpoints whole or not at all.

    Takes the Trainer's arguments.

    Attributes:
        stateful: what checkpoints keep for each process, by name.
        last_checkpoint: the newest complete checkpoint that this run wrote or went on from.
        failed_saves: checkpoints that could not be written; training went on without them.
        save_error: why the last attempt to save failed; None if it did not.
    """

    args: Any

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stateful: dict[str, Stateful] = {}
        self.last_checkpoint: Path | None = None
        self.failed_saves = 0
        self.save_error: str | None = None
        # The step since which the total loss is summed.
        self._loss_since = 0
        # Size of the last one.
        self._checkpoint_bytes = 0
        # Of the newest checkpoint, for one that cannot be saved: nothing is the best that is not there.
        self._saved_best: tuple[Any, Any, Any] = (None, None, None)
        if self.args.milestones:
            self.add_callback(MilestoneCallback(self.args.milestones))

    # Saving

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if self.hp_search_backend is None and trial is None:
            self.store_flos()
        checkpoint = Path(self._get_output_dir(trial=trial), f"checkpoint-{self.state.global_step}")
        try:
            self._together(
                lambda: publishing.prepare(checkpoint, self._estimate_bytes()), checkpoint, writer_only=True
            )
            self._together(lambda: self._write_checkpoint(checkpoint), checkpoint)
            self._together(lambda: self._publish(checkpoint), checkpoint, writer_only=True)
        except CheckpointError as error:
            self._save_failed(checkpoint, error)
            return
        self.last_checkpoint, self.save_error = checkpoint, None
        self._saved_best = self._best
        if self.args.should_save:
            best = self.state.best_model_checkpoint
            kept = {checkpoint.name, *([Path(best).name] if best else [])}
            rotate(checkpoint.parent, self.args.save_total_limit, kept)

    def _together(self, work: Callable[[], object], folder: Path, writer_only: bool = False) -> None:
        """Do a part in every process, or in those that write; if one fails, all raise its error."""
        failure: ElectraHfError | None = None
        if self.args.should_save or not writer_only:
            try:
                with explain_save_errors(folder):
                    work()
            except ElectraHfError as error:
                failure = error
        failures = [found for found in gather_object([failure]) if found is not None]
        if failures:
            raise failures[0]

    def _write_checkpoint(self, checkpoint: Path) -> None:
        staging = str(publishing.staging_folder(checkpoint))
        self.save_model(staging, _internal_call=True)
        self._note_best(checkpoint)
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(staging)
            self._save_scaler(staging)
            self._save_rng_state(staging)
            name = process_state_name(self.args.process_index, self.args.world_size)
            torch.save(self._process_state(), Path(staging, name))
        if self.args.should_save:
            self._note_callbacks()
            self.state.save_to_json(str(Path(staging, "trainer_state.json")))

    def _note_best(self, checkpoint: Path) -> None:
        """The best checkpoint is the one of the best step, if that was saved."""
        step = self.state.best_global_step
        if not step or self.args.save_strategy == "no":
            return
        best = checkpoint.with_name(f"checkpoint-{step}")
        if best == checkpoint or best.is_dir():
            self.state.best_model_checkpoint = str(best)

    @property
    def _best(self) -> tuple[Any, Any, Any]:
        return self.state.best_metric, self.state.best_global_step, self.state.best_model_checkpoint

    def _note_callbacks(self) -> None:
        states: dict[str, list[dict]] = {}
        for callback in [*self.callback_handler.callbacks, self.control]:
            if isinstance(callback, ExportableState):
                states.setdefault(type(callback).__name__, []).append(callback.state())
        for name, found in states.items():
            cast(dict, self.state.stateful_callbacks)[name] = found if len(found) > 1 else found[0]

    def _publish(self, checkpoint: Path) -> None:
        milestone = milestone_of(self.state.global_step, self.state.max_steps, self.args.milestones)
        manifest = publishing.publish(checkpoint, self._describe_run(self.state.global_step, milestone))
        self._checkpoint_bytes = manifest.total_bytes

    def _save_failed(self, checkpoint: Path, error: CheckpointError) -> None:
        if self.args.should_save:
            publishing.discard(checkpoint)
        self.failed_saves += 1
        self.save_error = str(error)
        if self.state.best_global_step == self.state.global_step:
            self.state.best_metric, self.state.best_global_step, self.state.best_model_checkpoint = self._saved_best
        else:
            self.state.best_model_checkpoint = self._saved_best[2]
        if self.args.should_log:
            logger.error(
                "Step %d was not saved: %s. Training goes on; the last good checkpoint is %s (failed saves: %d).",
                self.state.global_step,
                error,
                self.last_checkpoint or "none yet",
                self.failed_saves,
            )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model; see `Trainer.save_model`.

        Raises:
            CheckpointError: If it cannot be written.
        """
        if _internal_call:
            super().save_model(output_dir, _internal_call=True)
            return
        with self._last_words(output_dir or self.args.output_dir):
            super().save_model(output_dir)

    def save_state(self) -> None:
        """Save the state of the Trainer; see `Trainer.save_state`.

        Raises:
            CheckpointError: If it cannot be written.
        """
        with self._last_words(self.args.output_dir):
            super().save_state()

    @contextmanager
    def _last_words(self, folder: str) -> Iterator[None]:
        try:
            with explain_save_errors(folder):
                yield
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; then go on from the last complete checkpoint with --resume_from_checkpoint auto"
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            publishing.give_usual_permissions(Path(output_dir or self.args.output_dir))

    def init_hf_repo(self, *_: Any, **__: Any) -> None:
        """Refuse to upload, which the stock Trainer begins here.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "push_to_hub: the stock Trainer would upload one half of a model and its pickled arguments. Leave it off, "
            "and give the Trainer electra_hf.sharing.push_callback.PushCallback, or upload the finished run with "
            "`electra-hf push`"
        )

    def _estimate_bytes(self) -> int:
        """What a checkpoint will take: what the last one took, or the tensors of model and optimiser."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return self._checkpoint_bytes
        model = cast(nn.Module, self.accelerator.unwrap_model(self.model))
        tensors = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
        if not self.args.save_only_model and self.optimizer is not None:
            states = cast(torch.optim.Optimizer, self.optimizer).state.values()
            tensors += [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
        return max(self._checkpoint_bytes, sum(tensor.numel() * tensor.element_size() for tensor in tensors))

    def _describe_run(self, step: int, milestone: float | None = None) -> Manifest:
        args, data = self.args, self.train_dataset
        return Manifest(
            step=step,
            world_size=args.world_size,
            global_batch_size=args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
            seed=args.seed,
            data_seed=args.data_seed,
            train_rows=len(cast(Any, data)) if hasattr(data, "__len__") else None,
            row_length=getattr(data, "max_length", None),
            masking=getattr(self.data_collator, "masking_settings", None),
            objective=self._objective_settings(),
            milestone=milestone,
            save_only_model=bool(args.save_only_model),
        )

    def _objective_settings(self) -> dict[str, Any] | None:
        """What the model learns, as far as a run must not change it on its way."""
        return None

    # The open logging window

    def _window_state(self) -> dict[str, Any]:
        """What the logging window has gathered in this process beside the loss; plain data."""
        return {}

    def _process_state(self) -> dict[str, Any]:
        return {
            "loss": self._tr_loss.detach().cpu(),
            "total_loss": self._total_loss_scalar,
            "total_loss_since": self._loss_since,
            "last_logged_step": self._globalstep_last_logged,
            "window": self._window_state(),
            "stateful": {name: each.state_dict() for name, each in self.stateful.items()},
        }
