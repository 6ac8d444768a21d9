"""What the Trainers of pre-training and fine-tuning share.

What is overridden, and why (transformers 5.15 to 5.23):

* `get_optimizer_cls_and_kwargs`, `create_optimizer`, `create_scheduler`: the paper's optimiser and schedule, and
  today's.
* `create_model_card`: the stock card calls every model a fine-tuned version of another one.
* the callbacks: noise of its own for every process, one readable line for each logging event and its row in a file
  (`run_files`), trackers with names in groups that go on with a resumed run (`trackers`), a run that ends well when it
  is told to (`stopping`) and says what it hangs in (`watchdog`).
* `train`, `_finalize_training`: a run that was stopped saves and raises `Interrupted`. The stock Trainer would go on
  as if it were done: load the best weights, and with `save_total_limit=1` remove the newest checkpoint.
* `evaluate`, `predict`, `_save_checkpoint`: these are watched, and are no time of training.

Checkpoints are in `checkpoints`. On a CPU it also tunes the allocator of the process (`allocator`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from electra_hf.errors import CheckpointError, Interrupted, UsageError
from electra_hf.training.allocator import tune_allocator
from electra_hf.training.checkpoints import CheckpointingTrainer
from electra_hf.training.clock import TrainingClock
from electra_hf.training.muon import muon_for_model
from electra_hf.training.optimization import AdamWPaper, paper_linear_schedule, wsd_schedule
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.progress import LogLineCallback, ReadableProgressCallback
from electra_hf.training.run_files import TrainingLog
from electra_hf.training.search import ReportToTrial
from electra_hf.training.stopping import StopCallback, stop_signals
from electra_hf.training.trackers import use_trackers
from electra_hf.training.training_arguments import (
    ADAMW_PAPER,
    MUON,
    PAPER_LINEAR,
    TRAPEZOID,
    ElectraTrainingArguments,
)
from electra_hf.training.watchdog import Watchdog

_RANK_SEED_STRIDE = 1_000


class RankSeedCallback(TrainerCallback):
    """Gives every process its own noise: by default all ranks share one seed and draw the same dropout and samples.

    A resumed run restores each rank's generator state afterwards, so this changes nothing there.
    """

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        if args.world_size > 1:
            set_seed(args.seed + _RANK_SEED_STRIDE * args.process_index)


class ElectraTrainer(CheckpointingTrainer):
    """`transformers.Trainer` with the paper's optimiser and schedule, readable progress and complete checkpoints.

    Takes the Trainer's arguments.

    Attributes:
        clock: how long it has trained, and how long steps and pauses take.
    """

    args: ElectraTrainingArguments
    # With and without a bar.
    progress_callbacks: tuple[type[TrainerCallback], type[TrainerCallback]] = (
        ReadableProgressCallback,
        LogLineCallback,
    )

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | None = None,
        args: ElectraTrainingArguments | None = None,
        **kwargs: Any,
    ):
        super().__init__(model=model, args=args, **kwargs)
        use_trackers(self.callback_handler.callbacks)
        self.stateful["clock"] = self.clock = TrainingClock()
        self._stop = StopCallback(self.clock)
        self._watchdog = Watchdog(self.args.hang_seconds, self.args.process_index, self.args.world_size)
        if self.args.tune_allocator and self.args.device.type == "cpu":
            tune_allocator()
        self.add_callback(RankSeedCallback)
        self.add_callback(TrainingLog)
        for printer in (ProgressCallback, PrinterCallback):
            self.remove_callback(printer)
        self.add_callback(self.progress_callbacks[bool(self.args.disable_tqdm)])
        self.add_callback(self._watchdog)
        self.add_callback(self._stop)

    def _sum_over_processes(self, tensor: Tensor) -> Tensor:
        return cast(Tensor, self.accelerator.reduce(tensor, "sum")) if self.args.world_size > 1 else tensor

    # From the beginning to the end

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; see `Trainer.train`.

        Raises:
            Interrupted: If the run was told to stop before its end, and has saved what it had.
            CheckpointError: If it was, and could not save.
        """
        self.clock.reset()
        try:
            with self._watchdog.watch("the start of training"):
                return super().train(*args, **kwargs)
        except (Interrupted, CheckpointError):
            if self._stop.reason is not None:
                stop_signals.received = 0  # the request was met; what the next run gets is another one
            raise
        finally:
            self._stop.close()

    def _finalize_training(self, trial: Any, num_train_samples: Any, start_time: float) -> Any:
        if self._stop.reason is None:
            return super()._finalize_training(trial, num_train_samples, start_time)
        place, in_search = f"checkpoint-{self.state.global_step}", self._is_trial
        if not in_search and not (self._stop.saved and self._newest_is(place)):
            self._save_checkpoint(self.model_wrapped, trial)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)
        self._finish_current_push()
        self.is_in_train = False
        stopped = f"stopped by {self._stop.reason} after step {self._describe_step()}"
        if in_search:
            raise Interrupted(f"{stopped} of a trial, which begins anew when the same command is run again")
        if not self._newest_is(place):
            last = f"the last one is {self.last_checkpoint}" if self.last_checkpoint else "there is none"
            raise CheckpointError(
                f"{stopped}, and the checkpoint could not be written ({last}): see the message above for the cause; "
                "then go on with the same command and --resume_from_checkpoint auto"
            )
        if self.args.save_only_model:
            raise Interrupted(
                f"{stopped}; {self.last_checkpoint} holds the weights only (--save_only_model), so this training "
                "cannot go on from there"
            )
        raise Interrupted(
            f"{stopped}, saved in {self.last_checkpoint}: go on with the same command and "
            "--resume_from_checkpoint auto"
        )

    @property
    def _is_trial(self) -> bool:
        return any(isinstance(callback, ReportToTrial) for callback in self.callback_handler.callbacks)

    def _newest_is(self, name: str) -> bool:
        return self.last_checkpoint is not None and self.last_checkpoint.name == name

    def _describe_step(self) -> str:
        return f"{self.state.global_step:,} of {self.state.max_steps:,}"

    @contextmanager
    def _pause(self, activity: str) -> Iterator[None]:
        """While this is done, the run does not train."""
        with self.clock.pause(activity), self._watchdog.watch(activity):
            yield

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate; see `Trainer.evaluate`."""
        with self._pause("evaluation"):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Predict; see `Trainer.predict`."""
        with self._pause("prediction"):
            return super().predict(*args, **kwargs)

    # Optimiser

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: TrainingArguments, model: PreTrainedModel | None = None) -> tuple[Any, Any]:
        """The paper's optimiser, or any of transformers', from the arguments as they are: a search changes them."""
        if args.optim != ADAMW_PAPER:
            return Trainer.get_optimizer_cls_and_kwargs(args, model)
        betas = (args.adam_beta1, args.adam_beta2)
        return AdamWPaper, {"lr": args.learning_rate, "betas": betas, "eps": args.adam_epsilon, "fused": True}

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Muon with AdamW, which divides the parameters itself, or what `get_optimizer_cls_and_kwargs` says.

        Raises:
            UsageError: If Muon is to update shards of matrices, or the model has no matrices.
        """
        if self.optimizer is not None or self.args.optim != MUON:
            return super().create_optimizer(model)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise UsageError(
                "--optim muon needs whole matrices in every process, and FSDP and DeepSpeed keep shards: use "
                "adamw_paper, or configs/accelerate/multi_gpu.yaml"
            )
        args, target = cast(PretrainingArguments, self.args), cast(nn.Module, self.model if model is None else model)
        self.optimizer = muon_for_model(
            target,
            self.get_decay_parameter_names(target),
            lr=args.learning_rate,
            muon_lr=args.muon_learning_rate,
            momentum=cast(float, args.muon_momentum),
            betas=(args.adam_beta1, args.adam_beta2),
            eps=args.adam_epsilon,
            weight_decay=args.weight_decay,
        )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The paper's schedule, warm-up-stable-decay, or any of transformers'.

        Raises:
            UsageError: If warm-up and decay do not fit into the run.
        """
        args = self.args
        if args.lr_scheduler_type not in args.own_schedules:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            warmup_steps = args.get_warmup_steps(num_training_steps)
            target = cast(torch.optim.Optimizer, optimizer or self.optimizer)
            if args.lr_scheduler_type == PAPER_LINEAR:
                self.lr_scheduler = paper_linear_schedule(target, warmup_steps, num_training_steps)
            else:
                shape = "linear" if args.lr_scheduler_type == TRAPEZOID else args.decay_shape or "sqrt"
                self.lr_scheduler = wsd_schedule(
                    target,
                    warmup_steps,
                    num_training_steps,
                    decay_fraction=cast(float, args.decay_fraction),
                    decay_shape=shape,
                )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with self._pause("saving"):
            super()._save_checkpoint(*args, **kwargs)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Leave README.md alone: the stock card calls every model a fine-tuned version of another one."""
