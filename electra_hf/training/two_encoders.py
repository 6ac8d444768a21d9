"""A Trainer for a generator and an encoder that learns from it: what each of them learns, apart from the other.

What is overridden, and why (transformers 5.15 to 5.23):

* `create_optimizer`: `--generator_learning_rate` gives the generator parameter groups of its own.
* `_clip_grad_norm`: `--optimization decoupled` clips the gradients of either encoder by their own norm, as DeBERTa-v3
  does with two trainers. Its other half, two backward passes, changes nothing: sampling stops the gradient, so that
  the gradient of the sum of both losses is that of each in its own encoder. Adam's update is a function of each
  parameter alone, so one optimiser is as good as two.
* `log`: the rates and norms of both, and what changes in the course of a run.

Shared embeddings belong to the generator. With `gdes` the difference is the discriminator's.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.errors import UsageError
from electra_hf.models import PretrainingModel
from electra_hf.models.embedding_sharing import disentangled
from electra_hf.training.guarded_trainer import GuardedTrainer
from electra_hf.training.pretraining_arguments import DECOUPLED, PretrainingArguments


class ProgressCallback(TrainerCallback):
    """Tells the model before each step how much of the run is done."""

    def __init__(self, trainer: "TwoEncoderTrainer"):
        self.trainer = trainer

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        cast(PretrainingModel, self.trainer.model).set_progress(self.trainer.progress)


class TwoEncoderTrainer(GuardedTrainer):
    """`GuardedTrainer` that can treat the generator in another way than the main encoder.

    Takes the Trainer's arguments.

    Raises:
        UsageError: For an option of the generator if there is none that is trained, and for FSDP or DeepSpeed where
            whole parameters are needed.
    """

    args: PretrainingArguments

    def __init__(self, model: Any = None, args: PretrainingArguments | None = None, **kwargs: Any):
        super().__init__(model=model, args=args, **kwargs)
        self._part_norms: dict[str, Tensor] = {}
        self._check_options()
        self.add_callback(ProgressCallback(self))

    def _check_options(self) -> None:
        args, model = self.args, cast(PretrainingModel, self.model)
        own_rate, decoupled = args.generator_learning_rate is not None, args.optimization == DECOUPLED
        for given, option in ((own_rate, "generator_learning_rate"), (decoupled, "optimization decoupled")):
            if given and not any(parameter.requires_grad for parameter in self._generator_parameters):
                raise UsageError(f"--{option} has no effect without a generator that is trained: leave it out")
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            needs = {
                "--generator_learning_rate": own_rate,
                "--optimization decoupled": decoupled,
                "--embedding_sharing gdes": bool(disentangled(model)),
            }
            for option, asked in needs.items():
                if asked:
                    raise UsageError(
                        f"{option} needs whole parameters in every process, and FSDP and DeepSpeed keep shards: leave "
                        "it out, or use configs/accelerate/multi_gpu.yaml"
                    )

    @property
    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        return min(1.0, self.state.global_step / max(1, self.state.max_steps))

    @property
    def _generator_parameters(self) -> list[nn.Parameter]:
        model = cast(Any, self.model)
        return list(model.generator.parameters()) if model.has_generator else []

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As `ElectraTrainer.create_optimizer`, with groups of the generator if it has a rate of its own."""
        created = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if created and self.args.generator_learning_rate is not None:
            split_groups(optimizer, self._generator_parameters, self._rate_ratio)
        return optimizer

    @property
    def _rate_ratio(self) -> float:
        return cast(float, self.args.generator_learning_rate) / self.args.learning_rate

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        if self.args.optimization != DECOUPLED:
            return super()._clip_grad_norm(model)
        self.accelerator.unscale_gradients()
        joint = cast(PretrainingModel, self.model)
        generator = self._generator_parameters
        known = set(map(id, generator))
        parts = {"generator": generator, joint.main_part: [p for p in joint.parameters() if id(p) not in known]}
        self._part_norms = {
            f"{name}_grad_norm": nn.utils.clip_grad_norm_(parameters, self.args.max_grad_norm)
            for name, parameters in parts.items()
        }
        # Not finite if one of them is not: then both encoders skip the step.
        return torch.stack(list(self._part_norms.values())).norm()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an event; see `Trainer.log`."""
        if "loss" in logs:
            if self.args.generator_learning_rate is not None and "learning_rate" in logs:
                logs["generator_learning_rate"] = logs["learning_rate"] * self._rate_ratio
            logs.update({name: norm.item() for name, norm in self._part_norms.items()})
            logs.update(cast(PretrainingModel, self.model).scheduled)
        super().log(logs, start_time)


def split_groups(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], factor: float) -> None:
    """Give some parameters groups of their own, after those of the others, with a multiple of their rate.

    Args:
        optimizer: One that has made no step yet.
        parameters: Those.
        factor: Of the learning rate of each group that they are taken from.
    """
    chosen = set(map(id, parameters))
    others, own = [], []
    for group in optimizer.param_groups:
        inside = [p for p in group["params"] if id(p) in chosen]
        outside = [p for p in group["params"] if id(p) not in chosen]
        if outside:
            others.append({**group, "params": outside})
        if inside:
            own.append({**group, "params": inside, "lr": group["lr"] * factor})
    # The others first: the rate of the first group is the one that is logged.
    optimizer.param_groups[:] = [*others, *own]
