"""One task for one model: what all kinds of tasks share, and the training of one seed."""

import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch.utils.data import Dataset, Subset
from transformers import EvalPrediction, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuningArguments
from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.recipe import examples_per_step, resolve_recipe
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tasks import TaskData
from electra_hf.finetuning.trainer import FinetuningTrainer

logger = logging.getLogger(__name__)

# A vocabulary of another language knows the punctuation and little else.
_SUSPICIOUS_UNKNOWN_SHARE = 0.05


class LoadedModel(Protocol):
    """A model that is ready for a task, and what the user should know about it."""

    @property
    def model(self) -> PreTrainedModel:
        """In fp32, on the CPU."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence each."""
        ...


class TaskRun(ABC):
    """A task, encoded for one model and recipe.

    Args:
        data: The task and its examples.
        config: Of the encoder.
        tokenizer: Of the model.
        model_args: Encoder, tokenizer and head.
        args: Recipe; what it leaves open is settled by the size of the encoder and the task.

    Attributes:
        args: The recipe with every setting.
        recipe: What was chosen and why, a line each.
        notes: What a reader of the results should know besides the notes of the data; grows as texts are encoded.

    Raises:
        UsageError: If model, recipe and data do not fit each other.
    """

    def __init__(
        self,
        data: TaskData | TaggingData,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        model_args: EncoderArguments,
        args: FinetuningArguments,
    ):
        self.config, self.tokenizer, self.model_args = config, tokenizer, model_args
        self._data = data
        self.args, self.recipe = resolve_recipe(args, config, data.task.epochs)
        self.notes: list[str] = []
        self._check_purpose()

    @property
    def data(self) -> TaskData | TaggingData:
        """The task and its examples."""
        return self._data

    def _check_purpose(self) -> None:
        """Before anything is trained: whether something would come of it."""
        if self.args.do_train:
            return
        if self.args.num_seeds > 1:
            raise UsageError("--num_seeds trains several times, and --no_do_train not at all: leave out one of them")
        if not self.wanted_splits:
            skipped = ", ".join(name for name in self.data.splits if name != "train")
            wish = "--do_predict (and leave out --no_do_eval)" if skipped else "--validation_file or --test_file"
            raise UsageError(
                f"nothing to evaluate: {self.data.task.name} has the splits {', '.join(self.data.splits)}; add {wish}"
            )

    @property
    def wanted_splits(self) -> list[str]:
        """The splits that the model is run on: validation by --do_eval, all others but train by --do_predict."""
        return [
            name
            for name in self.data.splits
            if name != "train" and (self.args.do_eval if name.startswith("validation") else self.args.do_predict)
        ]

    @property
    def decided(self) -> dict[str, Any]:
        """The options that were left open, as they have been decided."""
        return {name: getattr(self.args, name) for name in ("learning_rate", "layerwise_lr_decay", "num_train_epochs")}

    @property
    @abstractmethod
    def model_facts(self) -> dict[str, Any]:
        """What a card tells about the model: `pipeline`, the name of its use in transformers, `labels`, and more."""

    @property
    def examples_per_step(self) -> int:
        """Of training, over all accumulation steps and processes."""
        return examples_per_step(self.args)

    @property
    def selection_split(self) -> str | None:
        """The split that selects models and settings; None if there is no labelled one for that."""
        return next((name for name in self.data.evaluated if name.startswith("validation")), None)

    @property
    def selection_metric(self) -> str:
        """The metric that selects them."""
        return self.data.task.metrics[0]

    @property
    def greater_is_better(self) -> bool:
        """Whether the selecting metric grows with quality."""
        return self.selection_metric not in LOWER_IS_BETTER

    def score(self, result: SeedResult) -> float:
        """The value of the selecting metric.

        Raises:
            UsageError: If there is no split to select by.
        """
        if self.selection_split is None:
            raise UsageError(f"{self.data.task.name} has no labelled validation split to select by")
        return result.metrics[self.selection_split][self.selection_metric]

    def add_note(self, note: str) -> None:
        """Keep what a reader of the results should know; once."""
        if note not in self.notes:
            self.notes.append(note)
            logger.info(note)

    def note_unknown(self, split: str, unknown: int, tokens: int) -> None:
        """Note that a vocabulary does not know the language."""
        if unknown > _SUSPICIOUS_UNKNOWN_SHARE * tokens:
            self.add_note(
                f"{split}: the vocabulary does not know {unknown / tokens:.0%} of the tokens: is the model made for "
                "this language?"
            )

    def run_seed(
        self,
        seed: int,
        folder: Path,
        *,
        args: FinetuningArguments | None = None,
        checkpoint: Path | None = None,
        weights: Path | None = None,
        predict: bool = True,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> tuple[SeedResult, FinetuningTrainer]:
        """Train with one seed, then evaluate and predict.

        Args:
            seed: Decides the fresh head, the order of the examples and dropout. The outcome does not depend on what
                ran before in the process.
            folder: For checkpoints and the Trainer's state.
            args: Another recipe than the task's own, for a search.
            checkpoint: Go on from there.
            weights: A model that this seed gave: it is not trained again, only evaluated.
            predict: Also run the test splits, if --do_predict asks for them.
            callbacks: For the Trainer.

        Raises:
            TrainingError: If the loss is not finite.
            UsageError: If a metric cannot judge the outputs; the weights are kept in `folder` then.
        """
        args = (args or self.args).for_seed(seed, str(folder))
        selection = self.selection_split
        if selection:
            args = args.with_metric_for_best(self.selection_metric, greater_is_better=self.greater_is_better)
        model_args = self.model_args
        if weights is not None:
            args = args.changed(do_train=False)
            model_args = dataclasses.replace(
                model_args, model_name_or_path=str(weights), random_initialization=False, model_revision="main"
            )
        loaded = self._load(model_args, seed, training=args.do_train)
        for note in loaded.notes if weights is None else ():
            self.add_note(f"{model_args.model_name_or_path}: {note}")
        trainer = FinetuningTrainer(
            model=loaded.model,
            args=args,
            train_dataset=self._train_examples(loaded, args) if args.do_train else None,
            eval_dataset=self._eval_examples(selection, loaded) if selection else None,
            data_collator=self._collator(args),
            processing_class=self.tokenizer,
            compute_metrics=self._metrics_while_training(selection, loaded) if selection else None,
            callbacks=list(callbacks),
        )
        result = SeedResult(seed=seed, metrics={}, outputs={})
        if args.do_train:
            output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            result.train = {
                name.removeprefix("train_"): float(value)
                for name, value in {**output.metrics, "steps": output.global_step}.items()
            }
        trainer.compute_metrics = None  # it knows the labels of one split, in the order of its examples
        try:
            for split in self.wanted_splits:
                if predict or split.startswith("validation"):
                    self._judge(split, trainer, loaded, result)
        except UsageError as error:
            if not args.do_train:
                raise
            trainer.save_model(str(folder))
            raise UsageError(f"{error} (the weights of seed {seed} are in {folder})") from error
        result.notes = list(self.notes)
        return result, trainer

    # What a kind of task decides

    @abstractmethod
    def _load(self, model_args: EncoderArguments, seed: int, *, training: bool) -> Any:
        """A `LoadedModel` for the labels of the data."""

    @abstractmethod
    def _train_examples(self, loaded: Any, args: FinetuningArguments) -> Dataset: ...

    @abstractmethod
    def _eval_examples(self, split: str, loaded: Any) -> Dataset: ...

    @abstractmethod
    def _collator(self, args: FinetuningArguments) -> Callable[[list[Any]], dict[str, Any]]: ...

    @abstractmethod
    def _metrics_while_training(self, split: str, loaded: Any) -> Callable[[EvalPrediction], Mapping[str, float]]:
        """What the Trainer calls with the outputs of `_eval_examples`."""

    @abstractmethod
    def _judge(self, split: str, trainer: FinetuningTrainer, loaded: Any, result: SeedResult) -> None:
        """Run the model on a split: its outputs and, if it is labelled, metrics and findings, go into `result`."""

    @abstractmethod
    def check_recipe(self, args: FinetuningArguments) -> None:
        """Refuse a recipe that does not fit the data, before it is tried in a search.

        Raises:
            UsageError: Naming the option.
        """

    @abstractmethod
    def judge_together(self, results: Sequence[SeedResult], split: str) -> dict[str, dict[str, Any]]:
        """More about a labelled split than the statistics over seeds: kind of figure to metric to JSON value."""

    @abstractmethod
    def details(self, results: Sequence[SeedResult], best_seed: int | None) -> dict[str, Any]:
        """What is drawn and tabled of the outputs besides the scores; plain values, empty if nothing is."""

    @abstractmethod
    def write_predictions(self, results: Sequence[SeedResult], best_seed: int | None, folder: Path) -> list[Path]:
        """Write what the model says about each example, for --do_predict."""


def predict_by_length(trainer: FinetuningTrainer, examples: Dataset, lengths: np.ndarray) -> tuple[np.ndarray, float]:
    """Outputs of a model, computed in the order of length, so that little is padded.

    Args:
        trainer: Of the model.
        examples: Items for the Trainer's collator.
        lengths: (examples,) tokens of each.

    Returns:
        (examples, ...) fp32, in the order of the examples, and the mean loss (NaN without labels).
    """
    order = np.argsort(-lengths, kind="stable")
    output = trainer.predict(Subset(examples, order.tolist()), metric_key_prefix="split")
    assert isinstance(output.predictions, np.ndarray) and output.metrics is not None
    restored = np.empty_like(output.predictions, dtype=np.float32)
    restored[order] = output.predictions
    return restored, output.metrics.get("split_loss", float("nan"))
