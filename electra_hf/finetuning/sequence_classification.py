"""Text classification and regression: one task for one model."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from transformers import DataCollatorWithPadding, EvalPrediction, PreTrainedConfig

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.encoding import EncodedExamples, EncodingCounts, encode_split
from electra_hf.finetuning.ensembles import ensemble_logits, judge_together
from electra_hf.finetuning.labels import decide_labels, match_names
from electra_hf.finetuning.loading import (
    LoadedClassifier,
    check_fits,
    load_classifier,
    load_finetuning_tokenizer,
    stored_score_scale,
)
from electra_hf.finetuning.metrics import (
    compute_metrics,
    load_user_metrics,
    output_findings,
)
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.submission import write_predictions
from electra_hf.finetuning.task_run import TaskRun, predict_by_length
from electra_hf.finetuning.tasks import TaskArguments, TaskData
from electra_hf.finetuning.trainer import FinetuningTrainer
from electra_hf.finetuning.weights import load_config


class SequenceClassification(TaskRun):
    """A task whose texts, or pairs of them, get a label or a score.

    Args:
        data: The task and its examples.
        model_args: Encoder, tokenizer and head.
        task_args: Length of an example.
        args: Recipe; what it leaves open is settled by the size of the encoder and the task.

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
        self.task_args = task_args
        if args.do_train and "train" not in data.splits:
            raise UsageError(
                f"{data.task.name} has no training examples: add --no_do_train, and give a model that is already "
                "fine-tuned (for ax: on mnli)"
            )
        self.pairs = any("text_pair" in split.column_names for split in data.splits.values())
        config = load_config(model_args)
        note = None
        if not args.do_train:
            data, note = _as_the_model_has_it(data, config)
        tokenizer = load_finetuning_tokenizer(model_args)
        check_fits(config, tokenizer, task_args.max_seq_length)
        super().__init__(data, config, tokenizer, model_args, args)
        # So that the labels are refused now and not after the tasks before this one.
        decide_labels(
            model_args.model_name_or_path,
            config,
            data.labels,
            data.task.kind,
            training=args.do_train,
            any_head=not model_args.random_initialization,
        )
        self.check_recipe(self.args)
        self.user_metrics = load_user_metrics(args.metric, data.task.kind, data.num_outputs)
        if note:
            self.notes.append(note)
        self._encoded: dict[tuple[str, bool], EncodedExamples] = {}

    @property
    def data(self) -> TaskData:
        """The task and its examples."""
        return cast(TaskData, self._data)

    def both_orders(self, args: FinetuningArguments) -> bool:
        """Whether a recipe trains on each pair both ways round."""
        return self.data.task.double_unordered if args.double_unordered is None else args.double_unordered

    def check_recipe(self, args: FinetuningArguments) -> None:
        """Refuse to swap the texts of a pair where there are no pairs.

        Raises:
            UsageError: Naming the option.
        """
        if self.both_orders(args) and not self.pairs:
            raise UsageError(
                f"--double_unordered swaps the texts of a pair, and {self.data.task.name} has single texts"
            )

    @property
    def decided(self) -> dict[str, Any]:
        """The options that were left open, as they have been decided."""
        return {**super().decided, "double_unordered": self.both_orders(self.args)}

    @property
    def model_facts(self) -> dict[str, Any]:
        """What a card tells about the model."""
        return {"pipeline": "text-classification", "pairs": self.pairs, "labels": list(self.data.labels)}

    def _load(self, model_args: FinetuneModelArguments, seed: int, *, training: bool) -> LoadedClassifier:
        return load_classifier(
            model_args,
            self.data.labels,
            self.data.task.kind,
            training=training,
            seed=seed,
            score_scale=self.data.task.score_scale,
        )

    def _collator(self, args: FinetuningArguments) -> DataCollatorWithPadding:
        return DataCollatorWithPadding(
            self.tokenizer,
            padding="max_length" if self.task_args.pad_to_max_length else "longest",
            max_length=self.task_args.max_seq_length,
            # Tensor cores want multiples of eight.
            pad_to_multiple_of=8 if args.bf16 or args.fp16 else None,
        )

    def _train_examples(self, loaded: LoadedClassifier, args: FinetuningArguments) -> EncodedExamples:
        return self._encode("train", loaded, self.both_orders(args))

    def _eval_examples(self, split: str, loaded: LoadedClassifier) -> EncodedExamples:
        return self._encode(split, loaded)

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
        self.note_unknown(split, counts.unknown, counts.tokens)

    def _judge(self, split: str, trainer: FinetuningTrainer, loaded: LoadedClassifier, result: SeedResult) -> None:
        task, examples = self.data.task, self.data.splits[split]
        encoded = self._encode(split, loaded)
        logits, loss = predict_by_length(trainer, encoded, encoded.lengths)
        logits = _in_order_of_data(logits, loaded)
        result.outputs[split] = logits
        if "label" not in examples.column_names:
            return
        labels = np.asarray(examples["label"])
        result.metrics[split] = {**compute_metrics(task, logits, labels, self.user_metrics), "loss": loss}
        result.findings += [
            f"{split}: {finding}" for finding in output_findings(task, logits, labels, self.data.labels)
        ]

    def _metrics_while_training(self, split: str, loaded: LoadedClassifier) -> Any:
        labels = np.asarray(self.data.splits[split]["label"])

        def compute(prediction: EvalPrediction) -> Mapping[str, float]:
            logits = np.asarray(prediction.predictions, dtype=np.float32)
            return compute_metrics(self.data.task, _in_order_of_data(logits, loaded), labels, self.user_metrics)

        return compute

    def judge_together(self, results: Sequence[SeedResult], split: str) -> dict[str, dict[str, Any]]:
        """The ensemble of several seeds, or bootstrap intervals for a single one."""
        return judge_together(self.data, results, split, self.user_metrics)

    def details(self, results: Sequence[SeedResult], best_seed: int | None) -> dict[str, Any]:
        """Nothing: the scores say it all."""
        return {}

    def write_predictions(self, results: Sequence[SeedResult], best_seed: int | None, folder: Path) -> list[Path]:
        """Write the predictions of a single seed, or of all together, for the test splits."""
        data = self.data
        written = []
        for split, single in results[0].outputs.items():
            if split.startswith("validation"):
                continue
            logits = ensemble_logits(results, split, data.task.kind) if len(results) > 1 else single
            written += write_predictions(folder, data.task, split, logits, data.splits[split]["idx"], data.labels)
        return written


def _as_the_model_has_it(data: TaskData, config: PreTrainedConfig) -> tuple[TaskData, str | None]:
    """The data with the labels, or the scale of the scores, of the model that is evaluated; and a note."""
    if data.task.kind != "regression":
        own = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
        return _with_labels_of_model(data, own), None
    scale = stored_score_scale(config)
    note = None
    if scale is None and data.task.score_scale != 1.0:
        note = "its config.json names no score_scale: its outputs are taken as the scores themselves"
    return dataclasses.replace(data, task=dataclasses.replace(data.task, score_scale=scale or 1.0)), note


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
