"""One task for one model: what all seeds share, and the training of one of them."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Subset
from transformers import DataCollatorWithPadding, EvalPrediction, TrainerCallback

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.encoding import EncodedExamples, encode_split
from electra_hf.finetuning.loading import (
    LoadedClassifier,
    check_fits,
    load_classifier,
    load_config,
    load_finetuning_tokenizer,
)
from electra_hf.finetuning.metrics import LOWER_IS_BETTER, compute_metrics, load_user_metrics, output_findings
from electra_hf.finetuning.recipe import resolve_recipe
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
        self.both_orders = data.task.double_unordered if args.double_unordered is None else args.double_unordered
        if self.both_orders and not self.pairs:
            raise UsageError(f"--double_unordered swaps the texts of a pair, and {data.task.name} has single texts")
        self.config = config = load_config(model_args)
        if not data.labels and data.task.kind != "regression":
            # Texts that are only to be predicted: the model knows the names.
            names = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
            data = dataclasses.replace(data, labels=names)
        self.data = data
        self.tokenizer = load_finetuning_tokenizer(model_args)
        check_fits(config, self.tokenizer, task_args.max_seq_length)
        self.args, self.recipe = resolve_recipe(args, config, data.task.epochs)
        self.user_metrics = load_user_metrics(args.metric, data.task.kind)
        self.notes: list[str] = []
        self._encoded: dict[str, EncodedExamples] = {}

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
            predict: Also run the test splits, if --do_predict asks for them.
            callbacks: For the Trainer.

        Raises:
            TrainingError: If the loss is not finite.
        """
        args = (args or self.args).for_seed(seed, str(folder))
        loaded = load_classifier(
            self.model_args, self.data.labels, self.data.task.kind, training=args.do_train, seed=seed
        )
        for note in loaded.notes:
            self._note(f"{self.model_args.model_name_or_path}: {note}")
        selection = self.selection_split
        trainer = FinetuningTrainer(
            model=loaded.model,
            args=args,
            train_dataset=self._encode("train", loaded) if args.do_train else None,
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
        self._evaluate(trainer, loaded, result, predict)
        return result, trainer

    def _encode(self, split: str, loaded: LoadedClassifier) -> EncodedExamples:
        if split not in self._encoded:
            self._encoded[split] = encode_split(
                self.data.splits[split],
                self.tokenizer,
                self.task_args.max_seq_length,
                label_ids=loaded.label_ids,
                score_scale=self.data.task.score_scale,
                both_orders=self.both_orders and split == "train",
            )
            self._note_losses(split)
        return self._encoded[split]

    def _note_losses(self, split: str) -> None:
        counts = self._encoded[split].counts
        if counts.cut:
            self._note(
                f"{split}: {counts.cut:,} of {counts.rows:,} examples are longer than "
                f"{self.task_args.max_seq_length} tokens and were cut (--max_seq_length)"
            )
        if counts.unknown > _SUSPICIOUS_UNKNOWN_SHARE * counts.tokens:
            self._note(
                f"{split}: the vocabulary does not know {counts.unknown / counts.tokens:.0%} of the tokens: is the "
                "model made for this language?"
            )

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
            logger.info(note)

    def _evaluate(
        self, trainer: FinetuningTrainer, loaded: LoadedClassifier, result: SeedResult, predict: bool
    ) -> None:
        task = self.data.task
        trainer.compute_metrics = None  # it knows the labels of one split, in their own order
        for split, examples in self.data.splits.items():
            validation = split.startswith("validation")
            if split == "train" or not (trainer.args.do_eval if validation else predict and trainer.args.do_predict):
                continue
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


def _in_order_of_data(logits: np.ndarray, loaded: LoadedClassifier) -> np.ndarray:
    return logits if loaded.label_ids is None else logits[:, list(loaded.label_ids)]
