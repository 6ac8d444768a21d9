"""An encoder with a classification head: loaded whole or not at all, its labels those of the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from electra_hf.errors import TokenizerError, UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuneModelArguments
from electra_hf.finetuning.labels import PROBLEM_TYPES, decide_labels, label_order
from electra_hf.finetuning.tasks.task import Kind
from electra_hf.finetuning.weights import build_model, describe_missing, load_config, load_model, redraw_head
from electra_hf.models.sequence_classification import REFERENCE_CLASSES, check_outputs, recover_head
from electra_hf.tokens.tokenizers import load_tokenizer

# In config.json of a regression: its outputs times this are scores.
SCORE_SCALE = "score_scale"


@dataclass(frozen=True)
class LoadedClassifier:
    """A model that is ready for one task.

    Attributes:
        model: In fp32, on the CPU; label names and `problem_type` are in its configuration.
        label_ids: The model's number of each label of the data; None if they are the same, or for a regression.
        fresh_head: The head was drawn, so nothing but training makes sense of it.
        notes: What the user should know, one sentence each.
    """

    model: PreTrainedModel
    label_ids: tuple[int, ...] | None = None
    fresh_head: bool = True
    notes: tuple[str, ...] = field(default=())


def load_finetuning_tokenizer(model_args: EncoderArguments) -> PreTrainedTokenizerBase:
    """The tokenizer that was named, or the model's own.

    Raises:
        TokenizerError: If there is none.
    """
    try:
        return load_tokenizer(
            model_args.tokenizer_name or model_args.model_name_or_path,
            cache_dir=model_args.cache_dir,
            revision=model_args.model_revision if model_args.tokenizer_name is None else None,
            lowercase=model_args.do_lower_case,
        )
    except TokenizerError as error:
        if model_args.tokenizer_name is not None:
            raise
        raise TokenizerError(
            f"the model brings no tokenizer of its own: {error}; or name the one it was pre-trained with: "
            "--tokenizer_name"
        ) from error


def check_fits(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Refuse a tokenizer with tokens that the encoder has no embedding for, and examples longer than it can read.

    An encoder with a single token type cannot be told the second text of a pair: its tokenizer no longer gives types,
    neither here nor when it is saved with the model.

    Raises:
        UsageError: Naming --tokenizer_name or --max_seq_length.
    """
    if len(tokenizer) > config.vocab_size:
        raise UsageError(
            f"the model has {config.vocab_size} tokens and the tokenizer {len(tokenizer)}: they do not belong "
            "together; leave out --tokenizer_name to use the model's own"
        )
    if getattr(config, "type_vocab_size", None) == 1 and "token_type_ids" in tokenizer.model_input_names:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names
    longest = longest_input(config)
    if longest is not None and max_length > longest:
        raise UsageError(f"--max_seq_length {max_length} is longer than the model can read: give {longest} or less")


def stored_score_scale(config: PreTrainedConfig) -> float | None:
    """What a trained regression's scores were divided by; None if its configuration does not say."""
    return getattr(config, SCORE_SCALE, None)


def longest_input(config: PreTrainedConfig) -> int | None:
    """Tokens that the positions of an encoder reach to; None if they are relative only."""
    if not getattr(config, "position_biased_input", True):
        return None
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        # Their first position is the one after the padding's.
        return positions - cast(int, config.pad_token_id) - 1
    return positions


def load_classifier(
    model_args: FinetuneModelArguments,
    labels: Sequence[str],
    kind: Kind,
    *,
    training: bool,
    seed: int,
    score_scale: float = 1.0,
) -> LoadedClassifier:
    """Load an encoder and give it a head for a task. Call it for each seed: what is drawn depends on the seed only.

    Args:
        model_args: Which model, and which head.
        labels: Names in the order of the data's numbers; empty for a regression.
        kind: What a label is.
        training: The model will be trained, so a head may be new; otherwise its own must fit.
        seed: Of the head, and of all weights with `random_initialization`. The global generators are set to it.
        score_scale: What the scores of a regression are divided by, for the configuration of the trained model.

    Raises:
        CheckpointError: If weights are missing or do not fit, files are damaged or not there, or the model is to be
            evaluated and has no head for these labels.
        UsageError: If the head that was asked for cannot be had.
    """
    config = load_config(model_args)
    reference = _wants_reference(model_args, config)
    any_head = not model_args.random_initialization
    decided = decide_labels(model_args.model_name_or_path, config, labels, kind, training=training, any_head=any_head)
    notes = [decided.note] if decided.note else []
    if kind == "regression":
        config.num_labels = 1
        if training:
            setattr(config, SCORE_SCALE, score_scale)
    else:
        config.id2label = dict(enumerate(decided.names))
        config.label2id = {label: number for number, label in enumerate(decided.names)}
    config.problem_type = cast(Any, PROBLEM_TYPES[kind])
    if reference and not decided.kept:
        check_outputs(cast(int, config.num_labels), config.hidden_size)

    set_seed(seed)
    if model_args.random_initialization:
        model = build_model(AutoModelForSequenceClassification, model_args, config)
    else:
        model, missing = load_model(AutoModelForSequenceClassification, model_args, config, keep_head=decided.kept)
        if decided.kept:
            if reference and recover_head(model) is None:
                notes.append("its classification head is that of transformers, and stays so")
                reference = False
        else:
            notes += describe_missing(model, missing)
            set_seed(seed)
            if not reference:
                redraw_head(model, missing)
    if reference:
        model = REFERENCE_CLASSES[config.model_type].from_plain(cast(Any, model), fresh_head=not decided.kept)
    return LoadedClassifier(
        model=cast(PreTrainedModel, model),
        label_ids=label_order(labels, decided.names),
        fresh_head=not decided.kept,
        notes=tuple(notes),
    )


def _wants_reference(model_args: FinetuneModelArguments, config: PreTrainedConfig) -> bool:
    possible = config.model_type in REFERENCE_CLASSES
    if model_args.classification_head == "reference" and not possible:
        raise UsageError(
            f"--classification_head reference is for {', '.join(REFERENCE_CLASSES)}; {model_args.model_name_or_path} "
            f"is a {config.model_type} model: use --classification_head transformers"
        )
    return possible and model_args.classification_head != "transformers"
