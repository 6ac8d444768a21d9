"""An encoder with a head for tags, with or without a CRF: loaded whole or not at all."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from transformers import (
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from electra_hf.errors import CheckpointError
from electra_hf.finetuning.arguments import EncoderArguments
from electra_hf.finetuning.labels import decide_labels, label_order
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import Scheme, TaggingData
from electra_hf.finetuning.weights import build_model, describe_missing, load_config, load_model, redraw_head
from electra_hf.models.crf import LinearChainCRF
from electra_hf.models.crf_checkpoint import CRF_SCHEME, find_crf, has_crf
from electra_hf.models.tagged_tokens import untagged_token_ids
from electra_hf.models.token_classification import TokenClassificationWithCRF

# In config.json: how the texts of a model become tokens and tags.
_TAGGING = "tagging"
_KEPT = ("tag_scheme", "label_unit", "tokenization")


def remember_settings(config: PreTrainedConfig, data: TaggingData, arguments: TaggingArguments) -> None:
    """Write into a configuration what the model is trained on, for `as_it_was_trained`."""
    scheme = arguments.tag_scheme if data.scheme == "plain" else data.scheme
    setattr(config, _TAGGING, dict(zip(_KEPT, (scheme, data.unit, arguments.tokenization), strict=True)))


def as_it_was_trained(
    arguments: TaggingArguments, model_args: EncoderArguments
) -> tuple[TaggingArguments, str | None]:
    """The options of a task with the tags, units and tokens that the model was trained on; and a note if they differ.

    Args:
        arguments: As they were given.
        model_args: The model, which is only evaluated.
    """
    config = load_config(model_args)
    settings = getattr(config, _TAGGING, None)
    if settings is None:
        # Of another script: its labels tell the scheme.
        single = any(str(name).startswith(("S-", "E-")) for name in (config.id2label or {}).values())
        settings = {"tag_scheme": "BIOES" if single else "IOB2"}
    changed = {
        name: settings[name] for name in _KEPT if name in settings and settings[name] != getattr(arguments, name)
    }
    if not changed:
        return arguments, None
    # Where the option was left open, nothing is other than asked for.
    differ = {name: value for name, value in changed.items() if getattr(arguments, name) != "auto"}
    said = ", ".join(f"--{name} {value}" for name, value in differ.items())
    return dataclasses.replace(arguments, **changed), f"as the model was trained: {said}" if said else None


@dataclass(frozen=True)
class LoadedTagger:
    """A model that is ready to tag.

    Attributes:
        model: In fp32, on the CPU; the tags are in its configuration.
        label_ids: The model's number of each tag of the data; None if they are the same.
        notes: What the user should know, one sentence each.
    """

    model: PreTrainedModel
    label_ids: tuple[int, ...] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def crf(self) -> LinearChainCRF | None:
        """The CRF; None without."""
        return self.model.crf if isinstance(self.model, TokenClassificationWithCRF) else None


def load_tagger(
    model_args: EncoderArguments,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    scheme: Scheme,
    *,
    use_crf: bool,
    first_tokens_only: bool,
    training: bool,
    seed: int,
) -> LoadedTagger:
    """Load an encoder and give it a head for tags. Call it for each seed: what is drawn depends on the seed only.

    Args:
        model_args: Which model.
        tokenizer: Of the model.
        labels: Tags in the order of the data's numbers.
        scheme: How they are written; the rules that a CRF keeps.
        use_crf: Put a CRF on top. A model that is only evaluated keeps the one that it has.
        first_tokens_only: Only the first token of a word is tagged.
        training: The model will be trained, so a head may be new; otherwise its own must fit.
        seed: Of the head, and of all weights with `random_initialization`. The global generators are set to it.

    Raises:
        CheckpointError: If weights are missing or do not fit, files are damaged or not there, or the model is to be
            evaluated and has no head for these tags, or no CRF where one is asked for.
    """
    name = model_args.model_name_or_path
    config = load_config(model_args)
    stored_crf = has_crf(config) and not model_args.random_initialization
    decided = decide_labels(
        name, config, labels, "tags", training=training, any_head=not model_args.random_initialization
    )
    keeps_crf = stored_crf and decided.kept and (use_crf or not training)
    if use_crf and not training and not keeps_crf:
        raise CheckpointError(f"{name} was trained without a CRF: leave out --use_crf to evaluate it, or train it")
    notes = [decided.note] if decided.note else []
    if stored_crf and not keeps_crf:
        notes.append("its CRF is left out" if not use_crf else "its CRF is for other tags and is replaced")

    set_seed(seed)
    untagged = untagged_token_ids(tokenizer, first_tokens_only=first_tokens_only)
    if keeps_crf:
        model, _ = load_model(AutoModelForTokenClassification, model_args, config, keep_head=True)
        tagger = TokenClassificationWithCRF.from_plain(model, scheme, untagged)
        tagger.load_crf(find_crf(name, cache_dir=model_args.cache_dir, revision=model_args.model_revision))
        model = cast(PreTrainedModel, tagger)
    else:
        config.id2label = dict(enumerate(decided.names))
        config.label2id = {label: number for number, label in enumerate(decided.names)}
        # Of a classification that the encoder was trained for before.
        config.problem_type = None
        if hasattr(config, CRF_SCHEME):
            delattr(config, CRF_SCHEME)
        if model_args.random_initialization:
            model = build_model(AutoModelForTokenClassification, model_args, config)
        else:
            model, missing = load_model(AutoModelForTokenClassification, model_args, config, keep_head=decided.kept)
            if not decided.kept:
                notes += describe_missing(model, missing)
                set_seed(seed)
                redraw_head(model, missing)
        if use_crf:
            model = cast(PreTrainedModel, TokenClassificationWithCRF.from_plain(model, scheme, untagged))
    return LoadedTagger(model, label_order(labels, decided.names), tuple(notes))
