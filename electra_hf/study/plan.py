"""How long each run may be, worked out from its model before anything is trained."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora.storage import fingerprint
from electra_hf.errors import UsageError
from electra_hf.study.definition import Run, Study, pretraining_options
from electra_hf.study.scripts import BLOCK_OPTIONS, PRETRAINING, parse_options, said_of
from electra_hf.tokens.masking import slots
from electra_hf.tokens.tokenizers import load_tokenizer
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.model_setup import build_model, loaded_parts
from electra_hf.training.throughput import training_flops

_DEFAULT_VOCABULARY = 30_522


@dataclass(frozen=True)
class RunPlan:
    """What a run will take.

    Attributes:
        steps: Of the optimiser; None if the time decides.
        minutes: Of training; None if the steps decide.
        tokens_per_step: Rows times their length, padding included.
        flops_per_step: Of the matrix products of a step, forward and backward.
        parameters: Of everything that is trained.
        encoder_parameters: Of the encoder that is fine-tuned, without a head.
    """

    steps: int | None
    minutes: float | None
    tokens_per_step: int
    flops_per_step: int
    parameters: int
    encoder_parameters: int

    @property
    def tokens(self) -> int | None:
        """Of the whole run."""
        return None if self.steps is None else self.steps * self.tokens_per_step

    @property
    def flops(self) -> int | None:
        """Of the whole run."""
        return None if self.steps is None else self.steps * self.flops_per_step


class AssumedVocabulary:
    """Stands for a tokenizer that is not trained yet: the size of a model needs its length only."""

    pad_token_id = 0

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size


def steps_for(study: Study, run: Run, tokens_per_step: int, flops_per_step: int) -> int | None:
    """As many whole steps as the budget of a run has room for; None if it is a time.

    Raises:
        UsageError: There is no room for one.
    """
    budget = study.budget
    if budget.kind == "seconds":
        return None
    size = {"steps": 1, "tokens": tokens_per_step, "flops": flops_per_step}[budget.kind]
    # A budget of 3e6 times .1 is a little more or less than a whole number.
    steps = int(budget.amount * run.budget_factor * (1 + 1e-12) / size)
    if steps < 1:
        raise UsageError(
            f"{study.path}: budget: {budget.kind}: {budget.amount * run.budget_factor:g} is less than the {size:g} of "
            f"one step of {run.name}: raise it, or make the steps smaller"
        )
    return steps


def plan_run(study: Study, run: Run, tokenizer: PreTrainedTokenizerBase | AssumedVocabulary) -> RunPlan:
    """Build the model of a run, without memory for its weights if they are fresh, and count.

    Raises:
        UsageError: If model, blocks and budget do not fit each other.
        CheckpointError: If weights that the run goes on from cannot be loaded.
    """
    where = f"{study.path}: runs: {run.name}"
    in_time = study.budget.kind == "seconds"
    settings = pretraining_options(study, run) | ({"schedule_minutes": 1.0} if in_time else {"max_steps": 1_000})
    model_args, data_args, args = cast(
        tuple[ModelArguments, DataArguments, PretrainingArguments],
        parse_options(PRETRAINING, {"output_dir": str(study.output_dir), **settings}, where),
    )
    with said_of(where), nullcontext() if loaded_parts(model_args) else torch.device("meta"):
        model = build_model(model_args, data_args, cast(PreTrainedTokenizerBase, tokenizer))
    rows = args.train_batch_size * args.gradient_accumulation_steps
    length = data_args.max_seq_length
    flops = rows * training_flops(model.config, length, slots(length, data_args.mlm_probability))
    steps = steps_for(study, run, rows * length, flops)
    return RunPlan(
        steps=steps,
        minutes=study.budget.amount * run.budget_factor / 60 if in_time else None,
        tokens_per_step=rows * length,
        flops_per_step=flops,
        parameters=model.num_parameters(),
        encoder_parameters=model.plain_parts[""].base_model.num_parameters(),
    )


def plan_study(study: Study) -> tuple[dict[str, RunPlan], str | None]:
    """The plan of each run, with the tokenizer as it is by now.

    Returns:
        The plans by name, and what had to be assumed, in words.

    Raises:
        UsageError: As `plan_run`.
    """
    tokenizer, assumed = study_tokenizer(study)
    logging.disable(logging.WARNING)  # each run says it in its own log
    try:
        return {run.name: plan_run(study, run, tokenizer) for run in study.runs}, assumed
    finally:
        logging.disable(logging.NOTSET)


def study_tokenizer(study: Study) -> tuple[PreTrainedTokenizerBase | AssumedVocabulary, str | None]:
    """The tokenizer of all runs, or what stands for it until it is trained, and that said in words."""
    corpus = study.corpus
    place = corpus.get("prepared_dir") or (tokenizer_folder(study) if "tokenizer_name" not in corpus else None)
    if place is not None and not (Path(place) / "tokenizer_config.json").is_file() and "prepared_dir" not in corpus:
        size = int(corpus.get("vocab_size", _DEFAULT_VOCABULARY))
        return AssumedVocabulary(size), f"a vocabulary of {size:,} tokens, until the tokenizer is trained"
    name = str(place or corpus["tokenizer_name"])
    options = {} if place else {"cache_dir": corpus.get("cache_dir"), "lowercase": corpus.get("do_lower_case")}
    return load_tokenizer(name, **options), None


def tokenizer_folder(study: Study) -> Path:
    """Where a tokenizer that the study trains is."""
    return study.output_dir / "tokenizer"


def block_options(study: Study, run: Run) -> dict[str, Any]:
    """The options that decide the blocks of a run."""
    given = {**study.corpus, **run.options}
    return {name: value for name, value in given.items() if name in BLOCK_OPTIONS}


def prepared_folder(study: Study, run: Run) -> Path:
    """The prepared corpus of a run, which others with the same blocks share."""
    if "prepared_dir" in study.corpus:
        return Path(study.corpus["prepared_dir"])
    options = block_options(study, run)
    length, packing = options.pop("max_seq_length", 128), options.pop("packing", "full")
    own = {name: value for name, value in options.items() if study.corpus.get(name) != value}
    return study.output_dir / "corpus" / "-".join([packing, str(length), *([fingerprint(own)[:8]] if own else [])])
