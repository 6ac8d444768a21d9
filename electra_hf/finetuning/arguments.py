"""The options of a fine-tuned model and of its training; those of the task are in `tasks.arguments`.

Names follow run_glue.py and TrainingArguments. Defaults are the paper's (table 7), and those of the reference's code
where the paper says nothing. What depends on the encoder or the task is None until `recipe.resolve_recipe` decides.
"""

import copy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from transformers.trainer_utils import HubStrategy

from electra_hf.errors import UsageError
from electra_hf.models.tf_checkpoint.bundle import refuse_tensorflow_checkpoint
from electra_hf.training.training_arguments import ElectraTrainingArguments

LAYERWISE_MODES = ("paper", "reference")
LOSS_REDUCTIONS = ("sum", "mean")


@dataclass
class EncoderArguments:
    """Which encoder is fine-tuned."""

    model_name_or_path: str = field(
        metadata={"help": "The encoder: a folder of run_pretraining.py, one of its checkpoints, or a Hub id."}
    )
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Tokenizer (folder, Hub id or vocab.txt); default: that of the model."}
    )
    random_initialization: bool = field(
        default=False,
        metadata={"help": "Take the sizes of the encoder and draw its weights afresh: what pre-training is worth."},
    )
    config_overrides: str | None = field(
        default=None,
        metadata={
            "help": "Fields of the encoder's config.json to change, as in hidden_dropout_prob=0.1; sizes only with "
            "--random_initialization."
        },
    )
    attn_implementation: str | None = field(
        default=None, metadata={"help": "Attention of transformers: sdpa (default), eager, flash_attention_2."}
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})
    do_lower_case: bool | None = field(
        default=None, metadata={"help": "Lower-case the text: true or false; only for a bare vocab.txt."}
    )

    def __post_init__(self) -> None:
        refuse_tensorflow_checkpoint(self.model_name_or_path, "model_name_or_path")


@dataclass
class FinetuneModelArguments(EncoderArguments):
    """Which encoder is fine-tuned, and with which classification head."""

    classification_head: str | None = field(
        default=None,
        metadata={
            "help": "reference (dropout and one dense layer on [CLS]; ELECTRA and ConvBERT) or transformers (that of "
            "the model's class). Default: reference where it can be.",
            "choices": ["reference", "transformers"],
        },
    )


@dataclass
class FinetuningArguments(ElectraTrainingArguments):
    """`TrainingArguments` with the recipe of ELECTRA's fine-tuning.

    Raises:
        UsageError: As `ElectraTrainingArguments`, and for a value of the recipe that cannot be.
    """

    script: ClassVar[str] = "run_glue.py"

    do_train: bool = field(default=True, metadata={"help": "Fine-tune; --no_do_train evaluates the model as it is."})
    do_eval: bool = field(default=True, metadata={"help": "Evaluate on all labelled splits besides train."})
    do_predict: bool = field(default=False, metadata={"help": "Write predictions for the test splits."})
    learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Peak learning rate of the head. Default by size: small 3e-4, base 1e-4, large 5e-5 (paper)."
        },
    )
    layerwise_lr_decay: float | None = field(
        default=None,
        metadata={
            "help": "Each layer learns at this fraction of the rate of the one above; 1 turns it off. Default by "
            "size: small and base 0.8, large 0.9."
        },
    )
    layerwise_lr_decay_mode: str = field(
        default="paper",
        metadata={
            "help": "paper: the top layer at d, the embeddings at d^(layers + 1). reference: one power lower "
            "throughout below the head, as google-research/electra's code does.",
            "choices": list(LAYERWISE_MODES),
        },
    )
    loss_reduction: str = field(
        default="sum",
        metadata={
            "help": "Over the examples of a step: sum (as the reference; clipping then sets the size of nearly every "
            "gradient) or mean. Logged is the mean in either case.",
            "choices": list(LOSS_REDUCTIONS),
        },
    )
    double_unordered: bool | None = field(
        default=None,
        metadata={"help": "Train on each pair both ways round: true or false. Default: MRPC and STS-B, as the paper."},
    )
    num_train_epochs: float | None = field(
        default=None, metadata={"help": "Epochs. Default: those of the task (10 for RTE and STS-B, 3 otherwise)."}
    )
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Examples of a step on each device."})
    per_device_eval_batch_size: int = field(default=128, metadata={"help": "Likewise in evaluation."})
    weight_decay: float = field(
        default=0.0, metadata={"help": "Not applied to LayerNorm and biases (paper: 0, the reference's code: 0.01)."}
    )
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps, or a fraction of all steps if below 1."})
    num_seeds: int = field(
        default=1,
        metadata={"help": "Train so many times, with --seed and the numbers after it, and report the spread."},
    )
    metric: list[str] = field(
        default_factory=list,
        metadata={"help": "Metrics of `evaluate` (names or paths of scripts) besides those of the task."},
    )
    hub_strategy: HubStrategy | str = field(
        default="end",
        metadata={"help": "With --push_to_hub: end, since the model is that of the best of all seeds."},
    )
    save_strategy: str = field(default="no", metadata={"help": "Checkpoints in mid-training: no, steps, epoch, best."})
    logging_steps: float = field(default=0.1, metadata={"help": "Steps, or a fraction of all, between two log lines."})

    def __post_init__(self):
        self._check_recipe()
        self._data_seed_given = self.data_seed is not None
        # TrainingArguments makes it the loss.
        self._metric_for_best_given = self.metric_for_best_model is not None
        super().__post_init__()
        if self.data_seed is None:
            # The order of the data must not follow the per-process seeds of dropout.
            self.data_seed = self.seed

    def _check_recipe(self) -> None:
        decay = self.layerwise_lr_decay
        if decay is not None and not 0 < decay <= 1:
            raise UsageError(f"--layerwise_lr_decay is {decay}: give a number above 0 and up to 1 (1 turns it off)")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise UsageError(f"--learning_rate is {self.learning_rate}: give a number above 0, such as 1e-4")
        if self.num_train_epochs is not None and not self.num_train_epochs > 0:
            raise UsageError(f"--num_train_epochs is {self.num_train_epochs}: give a number above 0")
        if self.num_seeds < 1:
            raise UsageError(f"--num_seeds is {self.num_seeds}: give 1 or more")
        if self.prediction_loss_only:
            raise UsageError("--prediction_loss_only keeps no outputs, and the scores come from them: leave it out")
        if self.push_to_hub and HubStrategy(self.hub_strategy) != HubStrategy.END:
            raise UsageError(
                f"--hub_strategy {HubStrategy(self.hub_strategy).value}: the model is that of the best of all seeds, "
                "which is known at the end: leave it out, or use end"
            )
        wish = str(self.resume_from_checkpoint or "false").strip().lower()
        if wish not in ("false", "true", "auto"):
            raise UsageError(
                f"--resume_from_checkpoint is {self.resume_from_checkpoint!r}: each seed goes on from its own newest "
                "checkpoint in --output_dir; give auto, true (something must be there) or false"
            )
        self.resume_from_checkpoint = None if wish == "false" else wish
        for option, choices in (
            ("layerwise_lr_decay_mode", LAYERWISE_MODES),
            ("loss_reduction", LOSS_REDUCTIONS),
        ):
            if getattr(self, option) not in choices:
                raise UsageError(f"--{option} is {getattr(self, option)!r}: choose {' or '.join(choices)}")

    @property
    def rate_factors(self) -> dict[str, float]:
        """Beginning of the names of parameters to what their learning rate is multiplied by, besides the decay."""
        return {}

    @property
    def seeds(self) -> list[int]:
        """The seeds to train with: `seed` and the numbers after it."""
        return list(range(self.seed, self.seed + self.num_seeds))

    def changed(self, **changes: Any) -> Self:
        """A copy with other values in some fields; the recipe is checked again, and nothing is derived again.

        Raises:
            ValueError: For a name that is no field.
            UsageError: For a value of the recipe that cannot be.
        """
        unknown = changes.keys() - {item.name for item in fields(self)}
        if unknown:
            raise ValueError(f"no such fields: {', '.join(sorted(unknown))}")
        other = copy.copy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        other._check_recipe()
        return other

    def for_seed(self, seed: int, output_dir: str | Path | None = None) -> Self:
        """A copy for a run with another seed; the order of the data follows it, unless --data_seed was given.

        Its Trainer uploads nothing: the task is uploaded when all seeds are done.
        """
        data_seed = self.data_seed if self._data_seed_given else seed
        folder = self.output_dir if output_dir is None else str(output_dir)
        return self.changed(seed=seed, data_seed=data_seed, output_dir=folder, push_to_hub=False)

    def with_metric_for_best(self, metric: str, *, greater_is_better: bool) -> Self:
        """A copy that selects checkpoints (--load_best_model_at_end) by this metric, unless one was given."""
        if self._metric_for_best_given:
            return self
        return self.changed(metric_for_best_model=f"eval_{metric}", greater_is_better=greater_is_better)
