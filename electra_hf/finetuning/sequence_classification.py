"""One task for one model: what all seeds share, and the training of one of them."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch.utils.data import Subset
from transformers import DataCollatorWithPadding, EvalPrediction, TrainerCallback

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.encoding import EncodedExamples, EncodingCounts, encode_split
from electra_hf.finetuning.labels import decide_labels, match_names
from electra_hf.finetuning.loading import (
    LoadedClassifier,
    check_fits,
    load_classifier,
    load_config,
    load_finetuning_tokenizer,
    stored_score_scale,
)
from electra_hf.finetuning.metrics import LOWER_IS_BETTER, compute_metrics, load_user_metrics, output_findings
from electra_hf.finetuning.recipe import examples_per_step, resolve_recipe
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.tasks import TaskArguments, TaskData
from electra_hf.finetuning.trainer import FinetuningTrainer

logger = logging.getLogger(__name__)

# A vocabulary of another language knows the punctuation and little else.
_SUSPICIOUS_UNKNOWN_SHARE = 0.05


class SequenceClassification:
    """A task, encoded for one model and recipe.

    Args:
        data: The task and its examples.
        model_args: Encoder, tokenizer and head.
        task_args: Length of an example.
        args: Recipe; what it leaves open is settled by the size of the encoder and the task.

    Attributes:
        config: Of the encoder.
        args: The recipe with every setting.
        recipe: What was chosen and why, a line each.
        notes: What a reader of the results should know besides the notes of the data; grows as texts are encoded.

    Raises:
        UsageError: If model, length, metrics and data do not fit each other.
        CheckpointError: If the model cannot be read.
        TokenizerError: If it has no tokenizer.
    """

    def __init__(
        self,
        data: TaskData,
        model_args: FinetuneModelArguments,
        task_args: TaskArguments,
        args: FinetuningArguments,
    ):
        self.model_args = model_args
        self.task_args = task_args
        if args.do_train and "train" not in data.splits:
            raise UsageError(
                f"{data.task.name} has no training examples: add --no_do_train, and give a model that is already "
                "fine-tuned (for ax: on mnli)"
            )
        self.pairs = any("text_pair" in split.column_names for split in data.splits.values())
        self.config = config = load_config(model_args)
        if data.task.kind != "regression" and not args.do_train:
            data = _with_labels_of_model(data, tuple(str(name) for _, name in sorted((config.id2label or {}).items())))
        notes: list[str] = []
        if data.task.kind == "regression" and not args.do_train:
            scale = stored_score_scale(config)
            if scale is None and data.task.score_scale != 1.0:
                notes.append("its config.json names no score_scale: its outputs are taken as the scores themselves")
            data = dataclasses.replace(data, task=dataclasses.replace(data.task, score_scale=scale or 1.0))
        self.data = data
        self.tokenizer = load_finetuning_tokenizer(model_args)
        check_fits(config, self.tokenizer, task_args.max_seq_length)
        self.args, self.recipe = resolve_recipe(args, config, data.task.epochs)
        if self.both_orders(self.args) and not self.pairs:
            raise UsageError(f"--double_unordered swaps the texts of a pair, and {data.task.name} has single texts")
        self._check_purpose()
        self.user_metrics = load_user_metrics(args.metric, data.task.kind, data.num_outputs)
        self.notes = notes
        self._encoded: dict[tuple[str, bool], EncodedExamples] = {}

    def _check_purpose(self) -> None:
        """Before anything is trained: whether something would come of it."""
        args, data = self.args, self.data
        # So that the labels are refused now and not after the tasks before this one.
        decide_labels(
            self.model_args.model_name_or_path,
            self.config,
            data.labels,
            data.task.kind,
            training=args.do_train,
            any_head=not self.model_args.random_initialization,
        )
        if args.do_train:
            return
        if args.num_seeds > 1:
            raise UsageError("--num_seeds trains several times, and --no_do_train not at all: leave out one of them")
        if not self.wanted_splits:
            skipped = ", ".join(name for name in data.splits if name != "train")
            wish = "--do_predict (and leave out --no_do_eval)" if skipped else "--validation_file or --test_file"
            raise UsageError(
                f"nothing to evaluate: {data.task.name} has the splits {', '.join(data.splits)}; add {wish}"
            )

    @property
    def wanted_splits(self) -> list[str]:
        """The splits that the model is run on: validation by --do_eval, all others but train by --do_predict."""
        return [
            name
            for name in self.data.splits
            if name != "train" and (self.args.do_eval if name.startswith("validation") else self.args.do_predict)
        ]

    def both_orders(self, args: FinetuningArguments) -> bool:
        """Whether a recipe trains on each pair both ways round."""
        return self.data.task.double_unordered if args.double_unordered is None else args.double_unordered

    @property
    def decided(self) -> dict[str, Any]:
        """The options that were left open, as they have been decided."""
        names = ("learning_rate", "layerwise_lr_decay", "num_train_epochs")
        return {**{name: getattr(self.args, name) for name in names}, "double_unordered": self.both_orders(self.args)}

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
        loaded = load_classifier(
            model_args,
            self.data.labels,
            self.data.task.kind,
            training=args.do_train,
            seed=seed,
            score_scale=self.data.task.score_scale,
        )
        for note in loaded.notes if weights is None else ():
            self.add_note(f"{model_args.model_name_or_path}: {note}")
        trainer = FinetuningTrainer(
            model=loaded.model,
            args=args,
            train_dataset=self._encode("train", loaded, self.both_orders(args)) if args.do_train else None,
            eval_dataset=self._encode(selection, loaded) if selection else None,
            data_collator=DataCollatorWithPadding(
                self.tokenizer,
                padding="max_length" if self.task_args.pad_to_max_length else "longest",
                max_length=self.task_args.max_seq_length,
                # Tensor cores want multiples of eight.
                pad_to_multiple_of=8 if args.bf16 or args.fp16 else None,
            ),
            processing_class=self.tokenizer,
            compute_metrics=self._metrics_while_training(loaded) if selection else None,
            callbacks=list(callbacks),
        )
        result = SeedResult(seed=seed, metrics={}, logits={})
        if args.do_train:
            output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            result.train = {
                name.removeprefix("train_"): float(value)
                for name, value in {**output.metrics, "steps": output.global_step}.items()
            }
        try:
            self._evaluate(trainer, loaded, result, predict)
        except UsageError as error:
            if not args.do_train:
                raise
            trainer.save_model(str(folder))
            raise UsageError(f"{error} (the weights of seed {seed} are in {folder})") from error
        result.notes = list(self.notes)
        return result, trainer

    def _encode(self, split: str, loaded: LoadedClassifier, both_orders: bool = False) -> EncodedExamples:
        key = split, both_orders
        if key not in self._encoded:
            self._encoded[key] = encode_split(
                self.data.splits[split],
                self.tokenizer,
                self.task_args.max_seq_length,
                label_ids=loaded.label_ids,
                score_scale=self.data.task.score_scale,
                both_orders=both_orders,
            )
            self._note_losses(split, self._encoded[key].counts)
        return self._encoded[key]

    def _note_losses(self, split: str, counts: EncodingCounts) -> None:
        if counts.cut:
            self.add_note(
                f"{split}: {counts.cut:,} of {counts.rows:,} examples are longer than "
                f"{self.task_args.max_seq_length} tokens and were cut (--max_seq_length)"
            )
        if counts.unknown > _SUSPICIOUS_UNKNOWN_SHARE * counts.tokens:
            self.add_note(
                f"{split}: the vocabulary does not know {counts.unknown / counts.tokens:.0%} of the tokens: is the "
                "model made for this language?"
            )

    def add_note(self, note: str) -> None:
        """Keep what a reader of the results should know; once."""
        if note not in self.notes:
            self.notes.append(note)
            logger.info(note)

    def _evaluate(
        self, trainer: FinetuningTrainer, loaded: LoadedClassifier, result: SeedResult, predict: bool
    ) -> None:
        task = self.data.task
        trainer.compute_metrics = None  # it knows the labels of one split, in their own order
        for split in self.wanted_splits:
            if not (predict or split.startswith("validation")):
                continue
            examples = self.data.splits[split]
            logits, loss = self._predict(trainer, loaded, split)
            result.logits[split] = logits
            if "label" not in examples.column_names:
                continue
            labels = np.asarray(examples["label"])
            result.metrics[split] = {**compute_metrics(task, logits, labels, self.user_metrics), "loss": loss}
            result.findings += [
                f"{split}: {finding}" for finding in output_findings(task, logits, labels, self.data.labels)
            ]

    def _predict(self, trainer: FinetuningTrainer, loaded: LoadedClassifier, split: str) -> tuple[np.ndarray, float]:
        """Outputs in the order of the data and of its labels, and the mean loss."""
        examples = self._encode(split, loaded)
        # Examples of one length need no padding.
        order = np.argsort(-examples.lengths, kind="stable")
        output = trainer.predict(Subset(examples, order.tolist()), metric_key_prefix="split")
        logits = np.empty_like(output.predictions, dtype=np.float32)
        logits[order] = output.predictions
        assert output.metrics is not None
        return _in_order_of_data(logits, loaded), output.metrics.get("split_loss", float("nan"))

    def _metrics_while_training(self, loaded: LoadedClassifier) -> Any:
        split = self.selection_split
        assert split is not None
        labels = np.asarray(self.data.splits[split]["label"])

        def compute(prediction: EvalPrediction) -> Mapping[str, float]:
            logits = np.asarray(prediction.predictions, dtype=np.float32)
            return compute_metrics(self.data.task, _in_order_of_data(logits, loaded), labels, self.user_metrics)

        return compute


def _with_labels_of_model(data: TaskData, own: tuple[str, ...]) -> TaskData:
    """The data with all the labels of the model that is evaluated, which may know more than the rows have."""
    if not data.labels:
        # Texts that are only to be predicted.
        return dataclasses.replace(data, labels=own)
    matched = match_names(data.labels, own)
    if not set(matched) < set(own):
        return data
    places = [own.index(name) for name in matched]
    splits = {}
    for name, split in data.splits.items():
        if "label" in split.column_names:
            labels: list[Any] = list(split["label"])
            if data.task.kind == "multi_label":
                wide = np.zeros((len(labels), len(own)))
                wide[:, places] = labels
                labels = wide.tolist()
            else:
                labels = [places[label] for label in labels]
            split = split.remove_columns("label").add_column("label", cast(Any, labels))
        splits[name] = split
    return dataclasses.replace(data, labels=own, splits=splits)


def _in_order_of_data(logits: np.ndarray, loaded: LoadedClassifier) -> np.ndarray:
    return logits if loaded.label_ids is None else logits[:, list(loaded.label_ids)]
