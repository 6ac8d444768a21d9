"""A Trainer for all objectives: exact denominators, metrics without waiting for the device, plain checkpoints.

What is overridden, and why (transformers 5.15 to 5.23):

* `_get_num_items_in_batch`: the stock Trainer knows one denominator, a joint loss has several (masked slots and real
  tokens, say), each global over accumulation steps and processes (transformers#47688 for what happens without).
* `compute_loss`, `log`, `prediction_step`, `evaluation_loop`: loss parts and detection metrics from device-side sums.
  The stock evaluation gathers every output tensor.
* `_load_from_checkpoint`, `_load_best_model`: the main encoder is the root of every folder.
* `_window_state`, `_load_window_state`: the sums of the open logging window are in the checkpoint.
* `floating_point_ops`: exact FLOPs.
* `training_step`: the attention of a run on a GPU is chosen when its first batch is known.
* `get_train_dataloader`: the rows of a batch are a function of the step (`batches`).
* `_run_epoch`: the order of the data is told where an epoch begins.
* `create_scheduler`, `_finalize_training`: a schedule in time instead of steps.

Bad steps and jumps of the loss are `guarded_trainer`'s, what the generator has for itself is `two_encoders`'; what
fine-tuning does alike is in `base_trainer`.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import PretrainingModel
from electra_hf.training.attention import RunAttention, attention_shape, chooses_attention
from electra_hf.training.batches import BatchOrder, StreamOrder, batch_loader, order_for
from electra_hf.training.clock import EndByTheClock
from electra_hf.training.energy import EnergyCallback
from electra_hf.training.metrics import TokenCount
from electra_hf.training.objectives import objective_named
from electra_hf.training.optimization import schedule_in_time
from electra_hf.training.pretraining_arguments import PretrainingArguments
from electra_hf.training.throughput import training_flops
from electra_hf.training.two_encoders import TwoEncoderTrainer
from electra_hf.training.workers import worker_start

_EVALUATION_SEED = 20_20
_MIXED_PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


class PretrainingTrainer(TwoEncoderTrainer):
    """`transformers.Trainer` for a `PretrainingModel`.

    Takes the Trainer's arguments. Batches are what `DataCollatorForReplacedTokenDetection` returns. Logged in training
    and, with the prefix `eval_`, in evaluation: loss, and what the meter of the objective computes; in training also
    tokens_per_second, teraflops (per second, matrix products only) and remaining_seconds, and skipped_steps (of the
    run so far) if there are any.

    Attributes:
        order: of the training data, from the time its loader is made; None for a stream.
        token_count: real tokens of the run, complete when it has ended.
        energy: what --track_energy measures; None without it.
    """

    args: PretrainingArguments

    def __init__(self, model: PretrainingModel, args: PretrainingArguments, **kwargs: Any):
        super().__init__(model=model, args=args, **kwargs)
        if args.torch_compile and getattr(self.model, "implementation", None) == "native":
            raise UsageError(
                "--implementation native and --torch_compile exclude each other, since the kernels are no part of a "
                "compiled graph: leave one of them out"
            )
        self.attention = RunAttention()
        self.add_callback(self.attention)
        self._attention_is_open = False
        self.objective = objective_named(model.config.objective)
        self.train_meter = self.objective.meter(args.device)
        self.eval_meter = self.objective.meter(args.device)
        self._first_step = self._last_logged_step = 0
        self._last_logged_seconds, self._window_flops = 0.0, 0
        self.order: BatchOrder | None = None
        self.stateful["tokens"] = self.token_count = TokenCount()
        self.energy = EnergyCallback(args.energy_country) if args.track_energy else None
        if self.energy is not None:
            self.stateful["energy"] = self.energy
            self.add_callback(self.energy)
        self._end: EndByTheClock | None = None
        if args.schedule_minutes is not None:
            self._end = EndByTheClock(self.clock, 60 * args.schedule_minutes)
            self.add_callback(self._end)

    @property
    def _joint_model(self) -> PretrainingModel:
        # Asked for in every step: unwrapping the model takes accelerate half a millisecond.
        return cast(PretrainingModel, self.model)

    # Batches

    def get_train_dataloader(self) -> DataLoader:
        """Batches whose rows are a function of the step; the stock loader for a stream.

        Raises:
            UsageError: As `order_for`, and for what would divide the batches in another way.
        """
        if self.train_dataset is not None and not isinstance(self.train_dataset, IterableDataset):
            shared = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            if self.get_total_train_batch_size(self.args) != shared:
                raise UsageError(
                    "every process takes rows of its own: leave out tensor, context and sequence parallelism"
                )
            self.order = self.stateful["order"] = order_for(self.args, self.train_dataset)
            return batch_loader(self.train_dataset, self.order, self.data_collator, self.args, self.accelerator)
        if self.args.warms_up_batches:
            raise UsageError(
                "a stream has no rows to choose for a warm-up of batch size or length: leave out --streaming"
            )
        if not self.args.ignore_data_skip:
            self.stateful["stream"] = StreamOrder(self.args, self.train_dataset)
        dataloader = super().get_train_dataloader()
        cast(Any, dataloader).base_dataloader.worker_init_fn = worker_start(self.args)
        return dataloader

    # Loss

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        """(n,) the denominators of one optimiser step, over all accumulation steps and processes."""
        if not batch_samples:
            return None
        counts = torch.stack([self._joint_model.count_items(batch) for batch in batch_samples]).sum(0).to(device)
        return self._sum_over_processes(counts)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss; its parts are added to the meter of the mode the model is in."""
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        meter = self.train_meter if model.training else self.eval_meter
        meter.update(outputs, inputs)
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """One forward and backward pass; see `Trainer.training_step`."""
        if self._attention_is_open:
            self._attention_is_open = False
            self._start_attention(inputs)
        return super().training_step(model, inputs, *args, **kwargs)

    def _start_attention(self, inputs: dict[str, Any]) -> None:
        model = cast(PretrainingModel, self.accelerator.unwrap_model(self.model))
        rows, length = inputs["input_ids"].shape
        if self.order is not None and self.args.warms_up_batches:
            rows, length = self.order.plan.batch_size, self.order.plan.length
        shape = attention_shape(
            model.config.main_config,
            rows=rows,
            length=length,
            dtype=_MIXED_PRECISION.get(self.accelerator.mixed_precision, model.dtype),
            padded="attention_mask" in inputs,
            compiled=bool(self.args.torch_compile),
        )
        self.attention.start(model, shape, self.args.device, self.state, self.args.world_size)

    # Metrics

    @property
    def window_sums(self) -> list[Tensor]:
        """What the steps of a logging window add to, on the device."""
        return [*super().window_sums, self.train_meter.state]

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """FLOPs of the matrix products of this batch, from its shape alone."""
        rows, length = inputs["input_ids"].shape
        flops = rows * training_flops(self._joint_model.config, length, inputs["masked_positions"].shape[1], rows)
        self._window_flops += flops
        return flops

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the window's metrics and throughput to a training event; every process takes part."""
        if "loss" in logs:
            metrics = self.train_meter.compute(self._sum_over_processes)
            seconds = self.clock.seconds - self._last_logged_seconds
            steps = self.state.global_step - self._last_logged_step
            tokens = metrics.pop("tokens", 0.0)
            self.token_count.tokens += tokens
            flops, self._window_flops = self._window_flops * self.args.world_size, 0
            self._last_logged_step, self._last_logged_seconds = self.state.global_step, self.clock.seconds
            logs.update(metrics)
            logs["tokens_per_second"] = tokens / seconds
            logs["teraflops"] = flops / seconds / 1e12
            logs["remaining_seconds"] = seconds / max(1, steps) * (self.state.max_steps - self.state.global_step)
            if self._end is not None:
                logs["remaining_seconds"] = min(logs["remaining_seconds"], self._end.remaining_seconds)
        if "train_loss" in logs:  # the end of the run, in an open window
            self.token_count.tokens += self.train_meter.tokens(self._sum_over_processes)
        if "train_samples_per_second" in logs and self.order is not None:
            logs["train_samples_per_second"] *= self.order.plan.filled(self._first_step, self.state.global_step)
        super().log(logs, start_time)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; see `Trainer.train`."""
        self.train_meter.state.zero_()
        self.token_count.tokens = 0.0
        model = cast(PretrainingModel, self.accelerator.unwrap_model(self.model))
        self._attention_is_open = chooses_attention(model, self.args.device)
        try:
            return super().train(*args, **kwargs)
        finally:
            self.attention.stop()

    @property
    def trained_steps(self) -> int:
        """Steps of the last `train`, without those before it resumed."""
        return self.state.global_step - self._first_step

    def _run_epoch(self, **kwargs: Any) -> None:
        self.restore_once()
        if self.order is not None and not self._is_finished:
            resumed = kwargs["epoch"] == kwargs["epochs_trained"]
            self.order.start_epoch(kwargs["epoch"], kwargs["steps_trained_in_current_epoch"] if resumed else 0)
        super()._run_epoch(**kwargs)

    @property
    def progress(self) -> float:
        return super().progress if self._end is None else self._end.progress

    @property
    def _is_finished(self) -> bool:
        return super()._is_finished or (self._end is not None and self._end.is_over)

    def _finalize_training(self, trial: Any, num_train_samples: Any, start_time: float) -> Any:
        if self._end is not None:
            # The stock number is that of all steps that there might have been.
            num_train_samples = self.state.global_step * self.get_total_train_batch_size(self.args)
        return super()._finalize_training(trial, num_train_samples, start_time)

    def _describe_step(self) -> str:
        if self._end is None:
            return super()._describe_step()
        used = self._end.seconds - self._end.remaining_seconds
        return f"{self.state.global_step:,} and {used / 60:.1f} of {self._end.seconds / 60:g} minutes of training"

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The schedule in steps, or with --schedule_minutes in time."""
        if self._end is None:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            target, end, args = cast(torch.optim.Optimizer, optimizer or self.optimizer), self._end, self.args
            self.lr_scheduler = schedule_in_time(
                target,
                lambda: end.progress,
                args.lr_scheduler_type,
                warmup=args.warmup_steps,
                decay_fraction=args.decay_fraction or 0.0,  # without one the schedule has no decay of that kind
                decay_shape=args.decay_shape,
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _init_training_state(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._init_training_state(*args, **kwargs)
        # A resumed run starts its first window at the step it resumes from.
        self._first_step = self._last_logged_step = self.state.global_step
        self._last_logged_seconds, self._window_flops = 0.0, 0
        return result

    # Evaluation

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """All evaluation blocks, each exactly once: nothing dropped, nothing repeated to even out the processes."""
        drop_last, even_batches = self.args.dataloader_drop_last, self.accelerator.even_batches
        self.args.dataloader_drop_last = self.accelerator.even_batches = False
        try:
            dataloader = super().get_eval_dataloader(eval_dataset)
        finally:
            self.args.dataloader_drop_last, self.accelerator.even_batches = drop_last, even_batches
        loader = cast(Any, dataloader).base_dataloader
        loader.worker_init_fn = worker_start(self.args)
        # Otherwise the start of workers draws from the noise of one evaluation: of another one after a resume.
        loader.generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        # A loader that persistent workers keep alive counts its passes as epochs, which would change the masks.
        dataloader.set_epoch(0)  # type: ignore[attr-defined]
        return dataloader

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, None, None]:
        """Add one batch to the evaluation meter; nothing is gathered, so processes may differ in their number."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            self.eval_meter.update(model(**inputs), inputs)
        return None, None, None

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """Evaluate with noise of its own: two evaluations agree, and training goes on as if there had been none."""
        # A finished run that is started again makes no step that would tell the model how much of it is done.
        self._joint_model.set_progress(self.progress)
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(_EVALUATION_SEED + self.args.process_index)
            self.eval_meter.state.zero_()
            output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        metrics = self.eval_meter.compute(self._sum_over_processes)
        if metrics:
            metrics["loss"] = self._joint_model.weighted_loss(metrics)
            metrics.pop("tokens")
        assert output.metrics is not None
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        return output

    # Checkpoints

    def _objective_settings(self) -> dict[str, Any]:
        return self._joint_model.config.objective_settings()

    def _window_state(self) -> dict[str, Any]:
        return {
            "meter": self.train_meter.state.cpu(),
            "flops": self._window_flops,
            "last_logged_step": self._last_logged_step,
            "last_logged_seconds": self._last_logged_seconds,
        }

    def _load_window_state(self, state: dict[str, Any] | None) -> None:
        if state is None:
            self._last_logged_seconds = self.clock.seconds
            return
        self.train_meter.state.copy_(state["meter"])
        self._window_flops, self._last_logged_step = state["flops"], state["last_logged_step"]
        self._last_logged_seconds = state["last_logged_seconds"]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        self.accelerator.unwrap_model(model or self.model).load_weights(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
            return
        best = self.state.best_model_checkpoint
        if best is None:
            raise CheckpointError("there is no best checkpoint to load: set --eval_strategy and --save_strategy alike")
        self.accelerator.unwrap_model(self.model).load_weights(best)
