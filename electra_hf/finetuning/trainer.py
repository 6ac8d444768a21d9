"""A Trainer for fine-tuning: layer-wise learning rates, and a loss that does not depend on how a step is divided.

What is overridden, and why (transformers 5.15 to 5.23):

* `_get_num_items_in_batch`, `compute_loss`: transformers' models take `num_items_in_batch` and ignore it, so the stock
  Trainer multiplies loss and gradient by the accumulation steps and the processes (transformers#47688). Here a loss is
  a sum over labels that is divided, if at all, by their number in the whole step.
* `create_optimizer`: the groups of any optimiser, divided by layer.
* `_get_eval_sampler`, `get_eval_dataloader`, `get_test_dataloader`: every example, in the order of the data. The stock
  Trainer shuffles what it predicts if training groups by length, and leaves out the last rows if training does.
* `evaluation_loop`: the stock mean of means counts the rows twice that even out the last batch of several processes.
* `training_step`, `log`: the mean is logged whatever is differentiated, and a loss that is no number ends the run.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler
from transformers import PreTrainedModel, ProgressCallback, TrainerState
from transformers.trainer_utils import EvalLoopOutput

from electra_hf.errors import TrainingError, UsageError
from electra_hf.finetuning.arguments import FinetuningArguments
from electra_hf.finetuning.recipe import layerwise_factors, split_groups
from electra_hf.training.base_trainer import ElectraTrainer
from electra_hf.training.progress import LogLineCallback, format_seconds

_IGNORED = -100


def count_labels(labels: Tensor) -> Tensor:
    """() labels that a loss is taken of: rows of numbers, or class numbers other than -100."""
    if labels.is_floating_point():
        return torch.tensor(len(labels), device=labels.device)
    return (labels != _IGNORED).sum()


def summed_loss(logits: Tensor, labels: Tensor, problem_type: str | None, label_smoothing: float = 0.0) -> Tensor:
    """The loss summed over examples (or labelled tokens), in fp32.

    Args:
        logits: (..., outputs).
        labels: (...) class numbers with -100 where there is none; (batch,) targets of a regression; (batch, outputs)
            zeros and ones for several labels at once.
        problem_type: As in transformers' configurations; None is `single_label_classification`.
        label_smoothing: For classes: how much of the target is spread evenly.

    Returns:
        (): cross-entropy, squared error, or binary cross-entropy averaged over the outputs of an example.
    """
    logits = logits.float()
    if problem_type == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
    if problem_type == "multi_label_classification":
        loss = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        return loss.mean(-1).sum()
    return F.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        reduction="sum",
        ignore_index=_IGNORED,
        label_smoothing=label_smoothing,
    )


class FinetuningLogLine(LogLineCallback):
    """One readable line for each logging event of fine-tuning."""

    def describe(self, logs: Mapping[str, Any], state: TrainerState) -> str:
        """The line of one event: every metric of an evaluation, what matters of a training step."""
        if any(key.startswith("eval_") for key in logs):
            metrics = {
                key.removeprefix("eval_"): value
                for key, value in logs.items()
                if key.startswith("eval_") and not key.endswith(("_runtime", "_per_second"))
            }
            return " | ".join([f"evaluation after step {state.global_step}", *_numbers(metrics)])
        parts = [f"step {state.global_step}/{state.max_steps}", f"epoch {logs.get('epoch', 0):.2f}"]
        parts += _numbers({key: logs[key] for key in ("loss", "grad_norm") if key in logs})
        if "learning_rate" in logs:
            parts.append(f"lr {logs['learning_rate']:.2e}")
        if "remaining_seconds" in logs:
            parts.append(f"{format_seconds(logs['remaining_seconds'])} left")
        return " | ".join(parts)


def _numbers(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items() if isinstance(value, (int, float))
    ]


class FinetuningProgressCallback(FinetuningLogLine, ProgressCallback):
    """transformers' progress bar with these lines."""


class FinetuningTrainer(ElectraTrainer):
    """`transformers.Trainer` with the recipe of `FinetuningArguments`.

    Takes the Trainer's arguments. The loss follows `model.config.problem_type`. Options must be decided:
    see `recipe.resolve_recipe`.

    Raises:
        UsageError: If an option is None that must be decided, or does not fit the model.
        TrainingError: From `train`, if the loss is not finite.
    """

    args: FinetuningArguments
    progress_callbacks = (FinetuningProgressCallback, FinetuningLogLine)
    # The loss is that of the whole step already, so nothing divides it by the accumulation steps.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | None = None,
        args: FinetuningArguments | None = None,
        **kwargs: Any,
    ):
        undecided = [
            name
            for name in ("learning_rate", "layerwise_lr_decay", "num_train_epochs")
            if args is None or getattr(args, name) is None
        ]
        if undecided:
            raise UsageError(f"give --{', --'.join(undecided)}: no recipe has decided them")
        super().__init__(model=model, args=args, **kwargs)
        # What transformers before 5.23 asks instead of `loss_is_scaled_for_ga`.
        self.model_accepts_loss_kwargs = True
        self._first_bad_step = torch.full((), -1, device=self.args.device)
        self._started, self._first_step = time.perf_counter(), 0

    # Loss

    @property
    def problem_type(self) -> str | None:
        """`regression`, `single_label_classification`, `multi_label_classification`, or None for tokens."""
        return getattr(self.accelerator.unwrap_model(self.model).config, "problem_type", None)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | None:
        """() labels of one optimiser step, over all accumulation steps and processes."""
        if not batch_samples or "labels" not in batch_samples[0]:
            return None
        counts = torch.stack([count_labels(batch["labels"]) for batch in batch_samples])
        return self._sum_over_processes(counts.sum().to(device))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of a batch: in training its part of the whole step's, in evaluation its own mean."""
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        whole_step = model.training and num_items_in_batch is not None
        divisor: Any = num_items_in_batch if whole_step else count_labels(labels)
        if whole_step and self.args.loss_reduction == "sum":
            divisor = 1
        if self._own_loss is not None:
            # Inside the model: data parallelism looks for the gradients of what `forward` has used.
            outputs = model(**inputs, labels=labels, num_items_in_batch=divisor)
            loss = outputs["loss"]
        else:
            outputs = model(**inputs)
            smoothing = self.args.label_smoothing_factor if model.training else 0.0
            loss = summed_loss(outputs["logits"], labels, self.problem_type, smoothing) / divisor
        if whole_step:
            # Data parallelism averages the gradients of the processes, where they are to be added.
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    @property
    def _own_loss(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The loss of a model that is not a sum over labels taken one by one, such as that of a CRF."""
        return getattr(self.accelerator.unwrap_model(self.model), "summed_loss", None)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One forward and backward pass; returned, and logged, is its part of the step's mean loss."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        bad = (self._first_bad_step < 0) & ~torch.isfinite(loss)
        self._first_bad_step = torch.where(bad, self.state.global_step + 1, self._first_bad_step)
        if self.args.loss_reduction == "sum" and num_items_in_batch is not None:
            loss = loss / num_items_in_batch
        return loss

    # Evaluation

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SequentialSampler:
        return SequentialSampler(cast(Sized, eval_dataset))

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """All examples of an evaluation, in their order."""
        with self._every_example():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """All examples to predict, in their order."""
        with self._every_example():
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _every_example(self) -> Iterator[None]:
        drop_last, self.args.dataloader_drop_last = self.args.dataloader_drop_last, False
        try:
            yield
        finally:
            self.args.dataloader_drop_last = drop_last

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """Evaluate; the loss is that of all labels at once wherever the outputs are kept."""
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if isinstance(output.predictions, np.ndarray) and isinstance(output.label_ids, np.ndarray):
            loss = self._mean_loss(torch.from_numpy(output.predictions), torch.from_numpy(output.label_ids))
            cast(dict, output.metrics)[f"{metric_key_prefix}_loss"] = loss
        return output

    @torch.no_grad()
    def _mean_loss(self, logits: Tensor, labels: Tensor) -> float:
        """Over all labels of an evaluation."""
        own_loss = self._own_loss
        if own_loss is None:
            total = summed_loss(logits, labels, self.problem_type)
        else:
            device, size = self.args.device, self.args.eval_batch_size
            batches = zip(logits.split(size), labels.split(size), strict=True)
            total = torch.stack([own_loss(some.to(device), its.to(device)) for some, its in batches]).sum()
        return (total / count_labels(labels)).item()

    # Optimiser

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Any optimiser of transformers or the paper's, with a learning rate for each layer.

        Raises:
            UsageError: If the layers of the model are not known, or the optimiser arranges its parameters itself.
        """
        if self.optimizer is not None:
            return cast(torch.optim.Optimizer, self.optimizer)
        optimizer = super().create_optimizer(model)
        target = cast(nn.Module, self.model if model is None else model)
        factors = self._rate_factors(target)
        if any(factor != 1 for factor in factors.values()):
            named = {
                parameter: factors[name] for name, parameter in target.named_parameters() if parameter.requires_grad
            }
            groups = split_groups(optimizer.param_groups, named)
            optimizer.param_groups.clear()
            for group in groups:
                optimizer.add_param_group(group)
        return optimizer

    def _rate_factors(self, model: nn.Module) -> dict[str, float]:
        """What the learning rate of each parameter is multiplied by."""
        decay = cast(float, self.args.layerwise_lr_decay)
        factors = (
            layerwise_factors(model, decay, self.args.layerwise_lr_decay_mode)
            if decay < 1
            else {name: 1.0 for name, _ in model.named_parameters()}
        )
        for beginning, factor in self.args.rate_factors.items():
            for name in factors:
                if re.match(rf"(.*\.)?{re.escape(beginning)}\.", name):
                    factors[name] *= factor
        return factors

    # Checkpoints

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if not self._load_own(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if not self._load_own(cast(str, self.state.best_model_checkpoint)):
            super()._load_best_model()

    def _load_own(self, folder: str) -> bool:
        """Load the weights of a model that is not saved under the names of its parameters; False for any other."""
        load = getattr(self.accelerator.unwrap_model(self.model), "load_weights", None)
        if load is None:
            return False
        load(folder)
        return True

    def _window_state(self) -> dict[str, Any]:
        return {"first_bad_step": int(self._first_bad_step)}

    def _load_window_state(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._first_bad_step.fill_(state["first_bad_step"])

    # Logs

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an event; every process takes part.

        Raises:
            TrainingError: If the loss of a step since the last event was not finite.
        """
        if "loss" in logs or "train_loss" in logs:
            self._check_finite(logs)
        if "loss" in logs:
            done = max(1, self.state.global_step - self._first_step)
            seconds = time.perf_counter() - self._started
            logs["remaining_seconds"] = seconds / done * (self.state.max_steps - self.state.global_step)
        super().log(logs, start_time)

    def _check_finite(self, logs: Mapping[str, float]) -> None:
        step = int(cast(Tensor, self.accelerator.gather(self._first_bad_step.reshape(1))).max())
        if step < 0:
            return
        half = " or without --fp16," if self.args.fp16 else ""
        raise TrainingError(
            f"the loss is no longer a number since step {step} of {self.state.max_steps} (--learning_rate "
            f"{self.args.learning_rate:g}): use a lower learning rate, a longer warm-up (--warmup_steps),{half} or "
            "another --seed; if it is the first step, look for NaN in the weights or the labels"
        )

    def _init_training_state(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._init_training_state(*args, **kwargs)
        self._first_bad_step.fill_(-1)
        self._started, self._first_step = time.perf_counter(), self.state.global_step
        return result
