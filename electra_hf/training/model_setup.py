"""From arguments to the joint model: fresh, loaded to go on pre-training, or one half of each.

Weights mean nothing under another vocabulary, so the tokenizer of the run is compared with those that lie beside the
weights, token by token: two vocabularies of the same size would train without an error and to no end.
"""

import logging
from typing import Any, cast

from transformers import AutoConfig, ElectraConfig, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)
from electra_hf.models.attention import check_attention_name
from electra_hf.models.checkpoint import (
    GENERATOR_FOLDER,
    LOADING_ERRORS,
    has_generator,
    load_discriminator,
    load_generator,
    load_objective,
)
from electra_hf.models.configuration import OBJECTIVE_FIELDS
from electra_hf.tokens.tokenizers import load_tokenizer, tokenizer_fingerprint
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.attention import AUTO

logger = logging.getLogger(__name__)

# Rows that were added to an embedding to round its size up.
_PADDING_ROWS = 128
_SIZE_DECIDES = "the tokenizer decides it: train one with --vocab_size, or give another --tokenizer_name"
# What two encoders must agree on to share their embeddings.
_EMBEDDING_FIELDS = ("vocab_size", "embedding_size", "max_position_embeddings", "type_vocab_size", "pad_token_id")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer.model", "spiece.model")
_DIFFERENCES_SHOWN = 3


def build_model(
    model_args: ModelArguments, data_args: DataArguments, tokenizer: PreTrainedTokenizerBase
) -> ElectraForReplacedTokenDetection:
    """The joint model of a run: each half is loaded if a checkpoint of it is named, and fresh otherwise.

    A fresh generator is derived from the loaded discriminator by `generator_width`; a fresh discriminator has the
    sizes of `config_name` and `config_overrides`, and the loaded generator's embedding sizes. Settings of the
    objective that were not given are those of the discriminator's checkpoint, or the paper's.

    Args:
        model_args: What is loaded, and the sizes of what is fresh.
        data_args: The length of the blocks.
        tokenizer: The tokenizer of the run.

    Raises:
        UsageError: If sizes or vocabularies do not fit each other, the tokenizer or the block length.
        CheckpointError: If a checkpoint is incomplete.
    """
    settings = {name: value for name in OBJECTIVE_FIELDS if (value := getattr(model_args, name)) is not None}
    source, hub = model_args.model_name_or_path, _hub_options(model_args)
    encoder = {**hub}
    named = model_args.attn_implementation != AUTO
    if named:
        check_attention_name(model_args.attn_implementation)
        encoder["attn_implementation"] = model_args.attn_implementation
    discriminator = load_discriminator(source, **encoder) if source else None
    _refuse_sizes_of_loaded_halves(model_args)
    place = _generator_place(model_args)
    generator = load_generator(place[0], subfolder=place[1], **encoder) if place else None

    if discriminator is not None:
        settings = {**load_objective(cast(str, source), **hub), **settings}
        discriminator_config = discriminator.config
    else:
        discriminator_config = _discriminator_config(model_args, tokenizer, generator.config if generator else None)
    _check_sizes(discriminator_config, tokenizer, data_args)
    generator_config = generator.config if generator else _generator_config(model_args, discriminator_config)
    check_vocabulary(model_args, tokenizer)
    if source or place:
        _say_what_is_fresh(generator_config, discriminator_config, loaded_halves(model_args))
    if named:
        for config in (generator_config, discriminator_config):
            config._attn_implementation = model_args.attn_implementation
    config = ReplacedTokenDetectionConfig(
        generator_config=generator_config,
        discriminator_config=discriminator_config,
        pad_token_id=discriminator_config.pad_token_id,
        **settings,
    )
    try:
        model = ElectraForReplacedTokenDetection(config, generator=generator, discriminator=discriminator)
    except (ImportError, ValueError) as error:
        if not named:
            raise
        raise UsageError(f"--attn_implementation {model_args.attn_implementation} cannot be used: {error}") from error
    model.implementation, model.attn_implementation = model_args.implementation, model_args.attn_implementation
    return model


def loaded_halves(model_args: ModelArguments) -> tuple[str, ...]:
    """Which of `generator` and `discriminator` come from a checkpoint; () for a fresh model.

    Raises:
        CheckpointError: If the discriminator's repository is out of reach.
    """
    generator = ("generator",) if _generator_place(model_args) else ()
    return generator + (("discriminator",) if model_args.model_name_or_path else ())


def _hub_options(model_args: ModelArguments) -> dict[str, Any]:
    return {"revision": model_args.model_revision, "cache_dir": model_args.cache_dir}


def _generator_place(model_args: ModelArguments) -> tuple[str, str] | None:
    """Folder or Hub id of the generator's checkpoint, and the folder in it; None if it starts afresh."""
    if model_args.generator_name_or_path:
        return model_args.generator_name_or_path, ""
    name = model_args.model_name_or_path
    return (name, GENERATOR_FOLDER) if name and has_generator(name, **_hub_options(model_args)) else None


def _refuse_sizes_of_loaded_halves(model_args: ModelArguments) -> None:
    halves = loaded_halves(model_args)
    described = {
        "discriminator": ("config_name", "config_overrides"),
        "generator": ("generator_config_overrides",),
    }
    for half in halves:
        for option in described[half]:
            if getattr(model_args, option):
                raise UsageError(f"--{option} describes a fresh {half}; the one that is loaded brings its own sizes")


def _say_what_is_fresh(generator: ElectraConfig, discriminator: ElectraConfig, loaded: tuple[str, ...]) -> None:
    if "generator" not in loaded:
        logger.info(
            "The checkpoint has no generator, so a fresh one is made by --generator_width: %s. Until it has learnt, "
            "its replacements are easy to find; give --generator_name_or_path if the discriminator's own exists.",
            _sizes(generator),
        )
    if "discriminator" not in loaded:
        logger.info(
            "Only a generator is loaded, so the discriminator starts afresh: %s. Add --model_name_or_path to load "
            "one.",
            _sizes(discriminator),
        )


def _sizes(config: ElectraConfig) -> str:
    return f"{config.num_hidden_layers} layers, {config.hidden_size} wide, {config.num_attention_heads} heads"


def _generator_config(model_args: ModelArguments, discriminator: ElectraConfig) -> ElectraConfig:
    overrides = _parse_overrides(model_args.generator_config_overrides)
    return derive_generator_config(discriminator, model_args.generator_width, **overrides)


def _discriminator_config(
    model_args: ModelArguments, tokenizer: PreTrainedTokenizerBase, generator: ElectraConfig | None
) -> ElectraConfig:
    """A fresh discriminator, with the embedding sizes of a generator that was loaded."""
    if model_args.config_name:
        try:
            config = AutoConfig.from_pretrained(
                model_args.config_name, trust_remote_code=False, **_hub_options(model_args)
            )
        except LOADING_ERRORS as error:
            raise CheckpointError(f"cannot load the configuration {model_args.config_name}: {error}") from error
        if not isinstance(config, ElectraConfig):
            raise UsageError(
                f"--config_name {model_args.config_name} is a {config.model_type} model; ELECTRA is supported"
            )
    else:
        config = ElectraConfig()
    overrides = _parse_overrides(model_args.config_overrides)
    if overrides.get("vocab_size", len(tokenizer)) != len(tokenizer):
        raise UsageError(
            f"config_overrides: vocab_size {overrides['vocab_size']}, but the tokenizer has {len(tokenizer)} tokens; "
            f"leave it out, {_SIZE_DECIDES}"
        )
    config.vocab_size = len(tokenizer)
    config.pad_token_id = cast(int, tokenizer.pad_token_id)
    if generator is not None:
        for name in _EMBEDDING_FIELDS:
            setattr(config, name, getattr(generator, name))
    for name, value in overrides.items():
        # The vocabulary of a loaded generator may be rounded up.
        if name != "vocab_size":
            setattr(config, name, value)
    return config


def _parse_overrides(text: str | None) -> dict[str, Any]:
    """`hidden_size=256,hidden_act=gelu` as fields of `ElectraConfig`, converted to the type each field has."""
    overrides: dict[str, Any] = {}
    reference = ElectraConfig()
    for item in filter(None, (text or "").split(",")):
        name, separator, value = (part.strip() for part in item.partition("="))
        if not separator or not hasattr(reference, name):
            raise UsageError(f"config_overrides: {item!r} is not field=value with a field of ElectraConfig")
        kind = type(getattr(reference, name))
        try:
            overrides[name] = value.lower() in ("true", "1") if kind is bool else kind(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"config_overrides: {name} must be of type {kind.__name__}, found {value!r}") from error
    return overrides


def _check_sizes(config: ElectraConfig, tokenizer: PreTrainedTokenizerBase, data_args: DataArguments) -> None:
    if not 0 <= config.vocab_size - len(tokenizer) < _PADDING_ROWS:
        raise UsageError(
            f"the model has {config.vocab_size} tokens and the tokenizer {len(tokenizer)}: they do not belong "
            "together; leave out --tokenizer_name to use the model's own, or start a fresh model"
        )
    if data_args.max_seq_length > config.max_position_embeddings:
        raise UsageError(
            f"--max_seq_length {data_args.max_seq_length} is longer than the model's max_position_embeddings "
            f"{config.max_position_embeddings}: shorten the blocks or raise it with --config_overrides"
        )


def check_vocabulary(model_args: ModelArguments, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare the tokenizer of the run with the one beside each half that is loaded, if there is one.

    Args:
        model_args: What is loaded.
        tokenizer: The tokenizer of the run.

    Raises:
        UsageError: If an id means two tokens; the message names the first ones.
        TokenizerError: If a tokenizer beside the weights cannot be loaded.
    """
    sources = {"discriminator": model_args.model_name_or_path, "generator": model_args.generator_name_or_path}
    hub = _hub_options(model_args)
    for half, name in sources.items():
        if not name or not any(
            cached_file(name, file, _raise_exceptions_for_missing_entries=False, **hub) for file in _TOKENIZER_FILES
        ):
            continue
        theirs = load_tokenizer(name, **hub)
        differences = vocabulary_differences(theirs.get_vocab(), tokenizer.get_vocab())
        if differences:
            more = f", and {len(differences) - _DIFFERENCES_SHOWN} more" * (len(differences) > _DIFFERENCES_SHOWN)
            raise UsageError(
                f"the {half} {name} was trained with another vocabulary than this run uses: "
                f"{', '.join(differences[:_DIFFERENCES_SHOWN])}{more}; leave out --tokenizer_name to use its own "
                "tokenizer, prepare the blocks with that one, or take a checkpoint that was trained with yours"
            )
        if tokenizer_fingerprint(theirs) != tokenizer_fingerprint(tokenizer):
            logger.warning(
                "The tokenizer of %s has the same tokens as this run's, but other rules for the text (lower-casing, "
                "accents, splitting): its weights will see text that they were not trained on.",
                name,
            )


def vocabulary_differences(theirs: dict[str, int], ours: dict[str, int]) -> list[str]:
    """Every id that does not mean the same in two vocabularies, in words and in order.

    >>> vocabulary_differences({"a": 0, "b": 1}, {"b": 0, "a": 1, "c": 2})
    ["id 0 is 'a' there and 'b' here", "id 1 is 'b' there and 'a' here", "id 2 is nothing there and 'c' here"]
    """
    there, here = ({number: repr(token) for token, number in tokens.items()} for tokens in (theirs, ours))
    return [
        f"id {number} is {there.get(number, 'nothing')} there and {here.get(number, 'nothing')} here"
        for number in sorted(there.keys() | here.keys())
        if there.get(number) != here.get(number)
    ]
