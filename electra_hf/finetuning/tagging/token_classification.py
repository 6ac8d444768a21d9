"""Tagging: one task for one model."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import DataCollatorForTokenClassification, EvalPrediction

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuningArguments
from electra_hf.finetuning.labels import decide_labels, match_names
from electra_hf.finetuning.loading import check_fits, load_finetuning_tokenizer
from electra_hf.finetuning.results import SeedResult
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.decoding import decode_rows
from electra_hf.finetuning.tagging.encoding import TaggedWindows, encode_tagging, room_in_window
from electra_hf.finetuning.tagging.entities import entity_confusion, page_sentences, tag_confusion
from electra_hf.finetuning.tagging.metrics import (
    DEFAULT_METRICS,
    bootstrap_tagging_interval,
    compute_tagging_metrics,
    flatten_type_scores,
    metrics_for,
    tagging_findings,
    type_scores,
)
from electra_hf.finetuning.tagging.model import LoadedTagger, load_tagger, remember_settings
from electra_hf.finetuning.tagging.predictions import write_tag_predictions
from electra_hf.finetuning.tagging.training_arguments import TaggingTrainingArguments
from electra_hf.finetuning.task_run import TaskRun, predict_by_length
from electra_hf.finetuning.trainer import FinetuningTrainer
from electra_hf.finetuning.weights import load_config

_TYPE_SCORES = ("precision", "recall", "f1", "number")


class TokenClassification(TaskRun):
    """A task whose words, or characters, get a tag each.

    Args:
        data: The task and its examples.
        model_args: Encoder and tokenizer.
        tagging_args: How texts become tokens.
        args: Recipe; what it leaves open is settled by the size of the encoder and the task.

    Raises:
        UsageError: If model, lengths and data do not fit each other.
        CheckpointError: If the model cannot be read.
        TokenizerError: If it has no tokenizer, or one that does not say where in the text its tokens are.
    """

    def __init__(
        self,
        data: TaggingData,
        model_args: EncoderArguments,
        tagging_args: TaggingArguments,
        args: TaggingTrainingArguments,
    ):
        self.tagging_args = tagging_args
        config = load_config(model_args)
        if not args.do_train:
            own = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
            data = _with_tags_of_model(data, own)
        known = metrics_for(data.scheme, data.unit)
        if not set(data.task.metrics) <= set(known):
            # KLUE's, which are for characters.
            task = dataclasses.replace(data.task, metrics=DEFAULT_METRICS[data.task.kind])
            data = dataclasses.replace(data, task=task)
        tokenizer = load_finetuning_tokenizer(model_args)
        check_fits(config, tokenizer, tagging_args.max_seq_length)
        if args.use_crf and tagging_args.label_all_tokens:
            raise UsageError(
                "--label_all_tokens would teach a CRF how the tokens of a word follow each other, and it decodes "
                "words: leave it out, or --use_crf"
            )
        room_in_window(tokenizer, tagging_args.max_seq_length, self.doc_stride)
        tokenizer.padding_side = "right"  # as outputs are put together
        super().__init__(data, config, tokenizer, model_args, args)
        # So that the labels are refused now and not after the tasks before this one.
        decide_labels(
            model_args.model_name_or_path,
            config,
            data.labels,
            "tags",
            training=args.do_train,
            any_head=not model_args.random_initialization,
        )
        self._encoded: dict[str, TaggedWindows] = {}

    @property
    def data(self) -> TaggingData:
        """The task and its examples."""
        return cast(TaggingData, self._data)

    @property
    def doc_stride(self) -> int:
        """Tokens that two windows of a text share."""
        return cast(int, self.tagging_args.doc_stride)

    @property
    def has_entities(self) -> bool:
        """Tags mark entities; otherwise each stands for itself."""
        return self.data.scheme != "plain"

    @property
    def decided(self) -> dict[str, Any]:
        """The options that were left open, as they have been decided."""
        return {**super().decided, **cast(TaggingTrainingArguments, self.args).decided_crf}

    @property
    def model_facts(self) -> dict[str, Any]:
        """What a card tells about the model."""
        return {
            "pipeline": "token-classification",
            "labels": list(self.data.labels),
            "unit": self.data.unit,
            "crf": cast(TaggingTrainingArguments, self.args).use_crf,
        }

    def check_recipe(self, args: FinetuningArguments) -> None:
        """Every recipe that passes its own checks fits."""

    def _load(self, model_args: EncoderArguments, seed: int, *, training: bool) -> LoadedTagger:
        args = cast(TaggingTrainingArguments, self.args)
        loaded = load_tagger(
            model_args,
            self.tokenizer,
            self.data.labels,
            self.data.scheme,
            use_crf=args.use_crf,
            first_tokens_only=self.data.unit == "word" and not self.tagging_args.label_all_tokens,
            training=training,
            seed=seed,
        )
        if training:
            remember_settings(loaded.model.config, self.data, self.tagging_args)
        return loaded

    def _collator(self, args: FinetuningArguments) -> DataCollatorForTokenClassification:
        return DataCollatorForTokenClassification(
            self.tokenizer,
            padding="max_length" if self.tagging_args.pad_to_max_length else "longest",
            max_length=self.tagging_args.max_seq_length,
            # Tensor cores want multiples of eight.
            pad_to_multiple_of=8 if args.bf16 or args.fp16 else None,
        )

    def _train_examples(self, loaded: LoadedTagger, args: FinetuningArguments) -> TaggedWindows:
        return self._encode("train", loaded)

    def _eval_examples(self, split: str, loaded: LoadedTagger) -> TaggedWindows:
        return self._encode(split, loaded)

    def _encode(self, split: str, loaded: LoadedTagger) -> TaggedWindows:
        if split not in self._encoded:
            options, data = self.tagging_args, self.data
            self._encoded[split] = encode_tagging(
                data.splits[split],
                self.tokenizer,
                options.max_seq_length,
                labels=data.labels,
                scheme=data.scheme,
                unit=data.unit,
                doc_stride=self.doc_stride,
                tokenization=options.tokenization,
                # A whole word is judged by its first token in any case.
                label_all_tokens=options.label_all_tokens and split == "train",
                label_ids=loaded.label_ids,
            )
            for note in self._encoded[split].notes(split):
                self.add_note(note)
            counts = self._encoded[split].counts
            self.note_unknown(split, counts.unknown, counts.tokens)
        return self._encoded[split]

    # Tags

    def _tags(self, windows: TaggedWindows, emissions: np.ndarray, loaded: LoadedTagger) -> list[np.ndarray]:
        """The tags of all units of each text, numbers of the data's labels."""
        numbers = decode_rows(windows.stitch(emissions), loaded.crf, loaded.label_ids)
        return windows.tags_of_units(numbers)

    def _names(self, tags: Sequence[np.ndarray]) -> list[list[str]]:
        names = self.data.labels
        return [[names[number] for number in text] for text in tags]

    def _gold(self, split: str) -> list[list[str]]:
        return self._names(self.data.splits[split]["tags"][:])

    def _units(self, split: str) -> list[list[str]]:
        return units_of(self.data.splits[split])

    def _compute(self, split: str, predicted: list[list[str]]) -> dict[str, float]:
        gold, scheme = self._gold(split), self.data.scheme
        metrics = compute_tagging_metrics(
            gold, predicted, scheme=scheme, unit=self.data.unit, labels=self.data.labels, units=self._units(split)
        )
        if self.tagging_args.return_entity_level_metrics:
            metrics.update(flatten_type_scores(type_scores(gold, predicted, scheme, self.data.labels)))
        return metrics

    def _judge(self, split: str, trainer: FinetuningTrainer, loaded: LoadedTagger, result: SeedResult) -> None:
        windows = self._encode(split, loaded)
        # A split may hold nothing but white space.
        emissions, loss = np.zeros((0, 1, len(self.data.labels)), dtype=np.float32), float("nan")
        if len(windows):
            emissions, loss = predict_by_length(trainer, windows, windows.lengths)
        tags = self._tags(windows, emissions, loaded)
        result.outputs[split] = np.concatenate(tags).astype(np.int16)
        if "tags" not in self.data.splits[split].column_names:
            return
        predicted = self._names(tags)
        result.metrics[split] = {**self._compute(split, predicted), "loss": loss}
        found = tagging_findings(self._gold(split), predicted, self.data.scheme)
        result.findings += [f"{split}: {finding}" for finding in found]

    def _metrics_while_training(self, split: str, loaded: LoadedTagger) -> Any:
        def compute(prediction: EvalPrediction) -> Mapping[str, float]:
            emissions = np.asarray(prediction.predictions, dtype=np.float32)
            return self._compute(split, self._names(self._tags(self._encode(split, loaded), emissions, loaded)))

        return compute

    # Results

    def _predicted(self, result: SeedResult, split: str) -> list[list[str]]:
        """The names of the tags that a seed has found."""
        ends = np.cumsum([len(starts) for starts in self.data.splits[split]["starts"][:]])
        return self._names(np.split(result.outputs[split], ends[:-1]))

    def judge_together(self, results: Sequence[SeedResult], split: str) -> dict[str, dict[str, Any]]:
        """Bootstrap intervals over texts for a single seed; nothing more for several."""
        if len(results) > 1:
            return {}
        predicted, gold = self._predicted(results[0], split), self._gold(split)
        intervals = {
            metric: bootstrap_tagging_interval(
                metric, gold, predicted, self.data.scheme, labels=self.data.labels, units=self._units(split)
            )
            for metric in self.data.task.metrics
        }
        return {"bootstrap": {metric: list(interval) for metric, interval in intervals.items()}}

    def write_predictions(self, results: Sequence[SeedResult], best_seed: int | None, folder: Path) -> list[Path]:
        """Write the tags of the best seed, or of the only one, for the test splits."""
        chosen = _chosen(results, best_seed)
        written = []
        for split in chosen.outputs:
            if split.startswith("validation"):
                continue
            labelled = "tags" in self.data.splits[split].column_names
            gold = self._gold(split) if labelled else None
            predicted = self._predicted(chosen, split)
            written.append(write_tag_predictions(folder, split, self._units(split), predicted, gold))
        return written

    def details(self, results: Sequence[SeedResult], best_seed: int | None) -> dict[str, Any]:
        """For each split: scores of each type over the seeds; confusion and marked texts of the best seed."""
        chosen = _chosen(results, best_seed)
        found = {}
        for split in chosen.outputs:
            examples = self.data.splits[split]
            predicted = self._predicted(chosen, split)
            if "tags" not in examples.column_names:
                if self.has_entities:
                    found[split] = {"sentences": page_sentences(examples, None, predicted)}
                continue
            gold = self._gold(split)
            found[split] = {
                "types": self._types_over_seeds(results, split, gold),
                "confusion": entity_confusion(gold, predicted)
                if self.has_entities
                else tag_confusion(gold, predicted),
            }
            if self.has_entities:
                found[split]["sentences"] = page_sentences(examples, gold, predicted)
        return {"seed": chosen.seed, "splits": found}

    def _types_over_seeds(
        self, results: Sequence[SeedResult], split: str, gold: list[list[str]]
    ) -> dict[str, dict[str, list[float]]]:
        data = self.data
        seeds = [
            type_scores(gold, self._predicted(result, split), data.scheme, labels=data.labels) for result in results
        ]
        return {
            name: {score: [scores[name][score] for scores in seeds] for score in _TYPE_SCORES} for name in seeds[0]
        }


def _chosen(results: Sequence[SeedResult], best_seed: int | None) -> SeedResult:
    return next((result for result in results if result.seed == best_seed), results[0])


def units_of(split: Dataset) -> list[list[str]]:
    """The texts of the units of each example."""
    return [
        [text[start:end] for start, end in zip(starts, ends, strict=True)]
        for text, starts, ends in zip(split["text"][:], split["starts"][:], split["ends"][:], strict=True)
    ]


def _with_tags_of_model(data: TaggingData, own: tuple[str, ...]) -> TaggingData:
    """The data with all the tags of the model that is evaluated, which may know more than the texts have."""
    matched = match_names(data.labels, own)
    if not set(matched) <= set(own) or len(own) == len(data.labels):
        return data  # the same, or refused later, with words for it
    number_of = np.array([own.index(name) for name in matched])

    def renumber(tags: list[int]) -> dict[str, list[int]]:
        return {"tags": number_of[tags].tolist()}

    splits = {
        name: split.map(renumber, input_columns="tags") if "tags" in split.column_names else split
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, labels=own, splits=splits)
