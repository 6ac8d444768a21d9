"""A Trainer that survives bad steps: those that are not finite leave no trace, and a jump of the loss is undone.

What is overridden, and why (transformers 5.15 to 5.23):

* `compute_loss`, `training_step`, `_get_grad_norm`: an update whose loss or gradient is NaN or infinite is left out,
  with its part of the logged metrics (`skipped_steps`). The stock Trainer goes on with weights that are NaN.
* `log`: means are over the steps that were not skipped; the loss is compared with those before it.
* `train`, `_prepare_for_training`, `_run_epoch`: back to a checkpoint, and on with later data (`rollback`).

All processes decide alike without asking each other: a bad loss makes the gradient of its process NaN, data
parallelism adds the gradients, and the decision is made by the norm of the sum. Left out: DeepSpeed, which updates the
weights itself, and has guards of its own.
"""

import logging
from typing import Any, cast

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.data import IterableDataset

from electra_hf.errors import TrainingError, UsageError
from electra_hf.training.base_trainer import ElectraTrainer
from electra_hf.training.batches import BatchOrder
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.rollback import RollBack, Spike, past_rollbacks, record_rollback, usual_loss
from electra_hf.training.skipped_steps import SkippedSteps

logger = logging.getLogger(__name__)


class GuardedTrainer(ElectraTrainer):
    """`ElectraTrainer` with exactly skipped steps and rollbacks.

    Takes the Trainer's arguments. `train` raises TrainingError after too many skipped steps in a row, or too many
    rollbacks, and UsageError for a `spike_threshold` that this run cannot have.

    Attributes:
        skipped: the steps that were left out.
    """

    args: PretrainingArguments

    def __init__(self, model: Any = None, args: PretrainingArguments | None = None, **kwargs: Any):
        super().__init__(model=model, args=args, **kwargs)
        self.skipped = SkippedSteps(
            str(self.args.output_dir),
            limit=self.args.max_skipped_steps,
            process=self.args.process_index,
            processes=self.args.world_size,
            precision=self.accelerator.mixed_precision,
            delay=int(self.args.device.type == "cuda"),
        )
        self.stateful["health"] = self.skipped
        self._sums_before_step: list[Tensor] = []
        self._window_start = 0
        self._spike: Spike | None = None
        self._told_no_checkpoint = False

    @property
    def window_sums(self) -> list[Tensor]:
        """What the steps of a logging window add to, on the device."""
        return [self._tr_loss]

    # Skipped steps

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """See `Trainer.compute_loss`. A loss that is not finite has a gradient of nothing but NaN."""
        result = super().compute_loss(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        if loss.requires_grad:
            # An infinite loss may have a finite gradient, which other processes could not tell from a good one.
            factor = torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
            loss.register_hook(lambda gradient: gradient * factor)
        return result

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """One forward and backward pass; see `Trainer.training_step`."""
        if self.is_deepspeed_enabled:
            return super().training_step(model, inputs, *args, **kwargs)
        if not self.skipped.losses:
            self._sums_before_step = [sums.clone() for sums in self.window_sums]
        loss = super().training_step(model, inputs, *args, **kwargs)
        self.skipped.add(inputs, loss)
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # The last thing that the Trainer does before it updates the weights.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not self.is_deepspeed_enabled:
            self._finish_step(norm.full_tensor() if isinstance(norm, DTensor) else cast(Tensor, norm))
        return norm

    def _finish_step(self, norm: Tensor) -> None:
        bad = ~torch.isfinite(norm)
        if self.accelerator.scaler is not None:
            # Gradients that overflow belong to fp16, and its scaler leaves such updates out by itself.
            bad_losses = ~torch.isfinite(torch.stack(self.skipped.losses)).all()
            bad = self._sum_over_processes(bad_losses.float()) > 0
        else:
            self._leave_out(bad)
        for sums, before in zip(self.window_sums, self._sums_before_step, strict=True):
            sums.copy_(torch.where(bad, before, sums))
        self._window_start = self._globalstep_last_logged
        self.skipped.finish(self.state.global_step + 1, bad, norm, self._get_learning_rate())
        self.skipped.check(self.last_checkpoint)

    def _leave_out(self, bad: Tensor) -> None:
        """Let the coming `optimizer.step` change nothing if `bad`, a () bool, is true."""
        optimizer: Any = self.optimizer
        while isinstance(optimizer, AcceleratedOptimizer):
            optimizer = optimizer.optimizer
        adam = issubclass(type(optimizer), torch.optim.Adam)
        if adam and all(group["fused"] for group in optimizer.param_groups) and not self.is_fsdp_enabled:
            # Torch's fused kernels read it on the device, as they do for the scaler of fp16.
            optimizer.found_inf = bad.float()
        elif bad.item():
            optimizer.zero_grad(set_to_none=True)

    # Logs

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an event; see `Trainer.log`.

        Raises:
            TrainingError: After too many skipped steps in a row, or too many rollbacks.
        """
        if "loss" in logs or "train_loss" in logs:
            self.skipped.read()
            self.skipped.check(self.last_checkpoint)
        if "loss" in logs:
            steps, counted = self.state.global_step - self._window_start, self._counted_steps(self._window_start)
            logs["loss"] = logs["loss"] * steps / counted if counted else float("nan")
            if self.skipped.total:
                logs["skipped_steps"] = self.skipped.total
        super().log(logs, start_time)
        threshold = self.args.spike_threshold
        if "loss" in logs and threshold is not None:
            usual = usual_loss(self.state.log_history[:-1])
            if usual is not None and logs["loss"] > threshold * usual:
                self._roll_back(logs["loss"], usual)

    def _counted_steps(self, start: int) -> int:
        return super()._counted_steps(start) - self.skipped.after(start)

    # Rollbacks

    def _roll_back(self, loss: float, usual: float) -> None:
        """Leave the training loop, for `train` to start it again from the last checkpoint."""
        step, done = self.state.global_step, past_rollbacks(self.state.log_history)
        words = f"the loss is {loss:.4g} at step {step}, {loss / usual:.3g} times the usual {usual:.4g}"
        if self.last_checkpoint is None:
            if not self._told_no_checkpoint:
                logger.warning("%s, and there is no checkpoint to go back to: training goes on.", words.capitalize())
            self._told_no_checkpoint = True
            return
        if len(done) >= self.args.max_rollbacks:
            raise TrainingError(
                f"{words}, after {len(done)} rollbacks (--max_rollbacks {self.args.max_rollbacks}): training stopped. "
                f"Resume from {self.last_checkpoint} or an earlier checkpoint with a lower --learning_rate or "
                "--max_grad_norm, or raise --spike_threshold if such losses are usual here"
            )
        raise RollBack(Spike(step, loss, usual, self.last_checkpoint, done))

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train; see `Trainer.train`."""
        self._check_rollbacks()
        while True:
            self.skipped.reset()
            try:
                return super().train(resume_from_checkpoint, *args, **kwargs)
            except RollBack as rollback:
                # Without the exception, whose frames would keep the loader and its workers.
                self._spike = rollback.spike
            resume_from_checkpoint = str(self._spike.checkpoint)

    def _check_rollbacks(self) -> None:
        if self.args.spike_threshold is None:
            return
        if isinstance(self.train_dataset, IterableDataset):
            raise UsageError(
                "--spike_threshold goes back and leaves out data, and a stream has no places to go to: leave out "
                "--streaming or --spike_threshold"
            )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise UsageError("--spike_threshold needs whole weights in every process: leave it out, or use DDP")

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        model, dataloader = super()._prepare_for_training(*args, **kwargs)
        if self._spike is not None:
            # The Trainer has forgotten that the model is prepared, and evaluation would wrap or compile it once more.
            self.accelerator.prepare_model(model)
        return model, dataloader

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        spike, self._spike = self._spike, None
        if spike is not None:
            self.restore_once()  # first, with the jumps of the checkpoint
            self._leave_out_data(spike)
        super()._run_epoch(*args, **kwargs)

    def _leave_out_data(self, spike: Spike) -> None:
        """Write down the rollback, and jump over the data that was used since the checkpoint."""
        skipped = record_rollback(self.state.log_history, self.state.global_step, spike)
        cast(BatchOrder, self.stateful["order"]).jump(self.state.global_step, skipped)
        if self.is_world_process_zero():
            logger.warning(
                "The loss was %.4g at step %d, and %.4g is usual: back to %s, without the data of %d steps "
                "(rollback %d of at most %d).",
                spike.loss,
                spike.step,
                spike.usual,
                spike.checkpoint,
                skipped,
                len(past_rollbacks(self.state.log_history)),
                self.args.max_rollbacks,
            )
