"""What the Trainers of pre-training and fine-tuning share.

What is overridden, and why (transformers 5.15 to 5.23):

* `get_optimizer_cls_and_kwargs`, `create_optimizer`, `create_scheduler`: the paper's optimiser and schedule, and
  today's.
* `_save`, `_save_checkpoint`: the Hub token stays out of training_args.bin, and a full disk is explained.
* `create_model_card`: the stock card calls every model a fine-tuned version of another one.
* the callbacks: noise of its own for every process, one readable line for each logging event.

On a CPU it also tunes the allocator of the process (`allocator`).
"""

from pathlib import Path
from typing import Any, Protocol, cast

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

from electra_hf.errors import UsageError
from electra_hf.training.allocator import tune_allocator
from electra_hf.training.checkpoints import explain_save_errors
from electra_hf.training.muon import muon_for_model
from electra_hf.training.optimization import AdamWPaper, paper_linear_schedule, wsd_schedule
from electra_hf.training.progress import LogLineCallback, ReadableProgressCallback
from electra_hf.training.training_arguments import (
    ADAMW_PAPER,
    MUON,
    PAPER_LINEAR,
    TRAPEZOID,
    ElectraTrainingArguments,
    PretrainingArguments,
)

_RANK_SEED_STRIDE = 1_000


class RankSeedCallback(TrainerCallback):
    """Gives every process its own noise: by default all ranks share one seed and draw the same dropout and samples.

    A resumed run restores each rank's generator state afterwards, so this changes nothing there.
    """

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        if args.world_size > 1:
            set_seed(args.seed + _RANK_SEED_STRIDE * args.process_index)


class Stateful(Protocol):
    """What a checkpoint keeps for each process beside what the stock Trainer keeps."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries: what `torch.load(weights_only=True)` reads."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, in a process of the same rank."""
        ...


class ElectraTrainer(Trainer):
    """`transformers.Trainer` with the paper's optimiser and schedule, readable progress and plain checkpoints.

    Takes the Trainer's arguments.

    Attributes:
        stateful: what checkpoints keep for each process, by name.
        last_checkpoint: the newest complete checkpoint that this run wrote or went on from.
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
        self.stateful: dict[str, Stateful] = {}
        self.last_checkpoint: Path | None = None
        if self.args.tune_allocator and self.args.device.type == "cpu":
            tune_allocator()
        self.add_callback(RankSeedCallback)
        for printer in (ProgressCallback, PrinterCallback):
            self.remove_callback(printer)
        self.add_callback(self.progress_callbacks[bool(self.args.disable_tqdm)])

    def _sum_over_processes(self, tensor: Tensor) -> Tensor:
        return cast(Tensor, self.accelerator.reduce(tensor, "sum")) if self.args.world_size > 1 else tensor

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

    # Checkpoints

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with explain_save_errors(Path(str(self.args.output_dir), f"checkpoint-{self.state.global_step}")):
            super()._save_checkpoint(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        # training_args.bin would carry the token in clear text, and is uploaded with the model.
        token, self.args.hub_token = self.args.hub_token, None
        try:
            with explain_save_errors(output_dir or str(self.args.output_dir)):
                super()._save(output_dir, state_dict)
        finally:
            self.args.hub_token = token

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Leave README.md alone: the stock card calls every model a fine-tuned version of another one."""
