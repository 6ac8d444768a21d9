"""From arguments to the model: fresh, loaded to go on pre-training, or one half of each.

Weights mean nothing under another vocabulary, so the tokenizer of the run is compared with those that lie beside the
weights, token by token: two vocabularies of the same size would train without an error and to no end.
"""

import logging
from typing import Any, cast

from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import PretrainingConfig, PretrainingModel, derive_generator_config
from electra_hf.models.attention import check_attention_name
from electra_hf.models.backbones import BACKBONES, Backbone, backbone_of
from electra_hf.models.checkpoint import LOADING_ERRORS, has_generator
from electra_hf.models.objective_files import load_extra_weights, load_objective
from electra_hf.tokens.tokenizers import load_tokenizer, tokenizer_fingerprint
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.attention import AUTO
from electra_hf.training.generator_options import check_generator_options
from electra_hf.training.objectives import OBJECTIVES, Objective, objective_named

logger = logging.getLogger(__name__)

DEFAULT_OBJECTIVE, DEFAULT_MODEL_TYPE = "rtd", "electra"
# Every setting of an objective that is an option.
SETTINGS = tuple(
    sorted(
        {
            name
            for objective in OBJECTIVES.values()
            for name in objective.model.config_class.objective_fields
            if name not in ("objective", "special_token_ids")
        }
    )
)
_GENERATOR_SIZES = ("generator_width", "generator_depth", "generator_config_overrides")
_MAIN_SIZES = ("model_type", "config_name", "config_overrides")
# Rows that were added to an embedding to round its size up.
_PADDING_ROWS = 128
_SIZE_DECIDES = "the tokenizer decides it: train one with --vocab_size, or give another --tokenizer_name"
# What two encoders must agree on to share their embeddings.
_EMBEDDING_FIELDS = ("vocab_size", "embedding_size", "max_position_embeddings", "type_vocab_size", "pad_token_id")
# What begins and ends a text, under the names that families have for it.
_OTHER_SPECIAL_IDS = {
    "bos_token_id": "cls_token_id",
    "cls_token_id": "cls_token_id",
    "eos_token_id": "sep_token_id",
    "sep_token_id": "sep_token_id",
}
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer.model", "spiece.model")
_DIFFERENCES_SHOWN = 3


def chosen_objective(model_args: ModelArguments) -> Objective:
    """The objective that was given, or that of the checkpoint, or replaced-token detection.

    Raises:
        UsageError: If there is no such objective.
        CheckpointError: If the checkpoint's cannot be read.
    """
    name, source = model_args.objective, model_args.model_name_or_path
    if name is None and source:
        name = load_objective(source, **_hub_options(model_args)).get("objective")
    return objective_named(name or DEFAULT_OBJECTIVE)


def build_model(
    model_args: ModelArguments, data_args: DataArguments, tokenizer: PreTrainedTokenizerBase
) -> PretrainingModel:
    """The model of a run: each of its encoders is loaded if a checkpoint of it is named, and fresh otherwise.

    A fresh generator is derived from the main encoder (`derive_generator_config`); a fresh main encoder has the sizes
    of `model_type`, `config_name` and `config_overrides`, and a loaded generator's embedding sizes. Settings of the
    objective that were not given are those of the checkpoint, or the paper's.

    Args:
        model_args: What is loaded, and the sizes of what is fresh.
        data_args: The length of the blocks.
        tokenizer: The tokenizer of the run.

    Raises:
        UsageError: If sizes or vocabularies do not fit each other, the tokenizer or the block length, or an option
            has no effect on this objective.
        CheckpointError: If a checkpoint is incomplete.
    """
    objective = chosen_objective(model_args)
    model_class = objective.model
    settings = _settings(model_args, model_class.config_class)
    source, hub = model_args.model_name_or_path, _hub_options(model_args)
    encoder = {**hub}
    named = model_args.attn_implementation != AUTO
    if named:
        check_attention_name(model_args.attn_implementation)
        encoder["attn_implementation"] = model_args.attn_implementation
    main = model_class.load_main(source, **encoder) if source else None
    _refuse_sizes_of_loaded_halves(model_args)
    place = _generator_place(model_args) if model_class.has_generator else None
    generator = model_class.load_generator(place[0], place[1], **encoder) if place else None

    if main is not None:
        settings = {**load_objective(cast(str, source), model_class.config_class, **hub), **settings}
        main_config = main.config
    else:
        main_config = _main_config(model_args, tokenizer, generator.config if generator else None)
    _check_sizes(main_config, tokenizer, data_args)
    configs, parts = {f"{model_class.main_part}_config": main_config}, {model_class.main_part: main}
    if model_class.has_generator:
        configs["generator_config"] = generator.config if generator else _generator_config(model_args, main_config)
        parts["generator"] = generator
    check_generator_options(model_args, settings, has_generator=place is not None)
    check_vocabulary(model_args, tokenizer)
    if (source or place) and model_class.has_generator:
        _say_what_is_fresh(configs["generator_config"], main_config, loaded_parts(model_args))
    if named:
        for config in configs.values():
            config._attn_implementation = model_args.attn_implementation
    settings["objective"] = objective.name
    if "special_token_ids" in model_class.config_class.objective_fields:
        # What the collator never masks.
        special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
        settings["special_token_ids"] = sorted({cast(int, token) for token in special})
    config = model_class.config_class(**configs, **settings, pad_token_id=main_config.pad_token_id)
    try:
        model = model_class(config, **parts)
    except (ImportError, ValueError) as error:
        if not named:
            raise
        raise UsageError(f"--attn_implementation {model_args.attn_implementation} cannot be used: {error}") from error
    if source:
        load_extra_weights(model, source, deltas=place == (source, model_class.generator_folder), **hub)
    model.implementation, model.attn_implementation = model_args.implementation, model_args.attn_implementation
    return model


def _settings(model_args: ModelArguments, config_class: type[PretrainingConfig]) -> dict[str, Any]:
    """The settings of the objective that were given.

    Raises:
        UsageError: If one of them has no effect.
    """
    given = {name: value for name in SETTINGS if (value := getattr(model_args, name)) is not None}
    for name in given:
        if name not in config_class.objective_fields:
            raise UsageError(
                f"--{name} has no effect with this objective ({', '.join(config_class.objectives)}): leave it out"
            )
    return given


def loaded_parts(model_args: ModelArguments) -> tuple[str, ...]:
    """Which attributes of the joint model come from a checkpoint; () for a fresh model.

    Raises:
        CheckpointError: If the checkpoint's repository is out of reach.
    """
    model_class = chosen_objective(model_args).model
    generator = ("generator",) if model_class.has_generator and _generator_place(model_args) else ()
    return generator + ((model_class.main_part,) if model_args.model_name_or_path else ())


def _hub_options(model_args: ModelArguments) -> dict[str, Any]:
    return {"revision": model_args.model_revision, "cache_dir": model_args.cache_dir}


def _generator_place(model_args: ModelArguments) -> tuple[str, str] | None:
    """Folder or Hub id of the generator's checkpoint, and the folder in it; None if it starts afresh."""
    if model_args.generator_name_or_path:
        return model_args.generator_name_or_path, ""
    name, folder = model_args.model_name_or_path, chosen_objective(model_args).model.generator_folder
    return (name, folder) if name and has_generator(name, folder, **_hub_options(model_args)) else None


def _refuse_sizes_of_loaded_halves(model_args: ModelArguments) -> None:
    for part in loaded_parts(model_args):
        options = _GENERATOR_SIZES if part == "generator" else _MAIN_SIZES
        for option in options:
            if getattr(model_args, option) is not None:
                words = part.replace("masked_lm", "encoder")
                raise UsageError(
                    f"--{option} describes a fresh {words}; the one that is loaded brings its own sizes: leave it out"
                )


def _say_what_is_fresh(generator: Any, main: Any, loaded: tuple[str, ...]) -> None:
    if "generator" not in loaded:
        logger.info(
            "The checkpoint has no generator, so a fresh one is made by --generator_width and --generator_depth: %s. "
            "Until it has learnt, its replacements are easy to find; give --generator_name_or_path if the "
            "discriminator's own exists.",
            _sizes(generator),
        )
    if loaded == ("generator",):
        logger.info(
            "Only a generator is loaded, so the discriminator starts afresh: %s. Add --model_name_or_path to load "
            "one.",
            _sizes(main),
        )


def _sizes(config: Any) -> str:
    return f"{config.num_hidden_layers} layers, {config.hidden_size} wide, {config.num_attention_heads} heads"


def _generator_config(model_args: ModelArguments, main: Any) -> Any:
    overrides = _parse_overrides(model_args.generator_config_overrides, type(main))
    return derive_generator_config(main, model_args.generator_width, model_args.generator_depth, **overrides)


def _main_config(model_args: ModelArguments, tokenizer: PreTrainedTokenizerBase, generator: Any) -> Any:
    """A fresh main encoder, with the embedding sizes of a generator that was loaded."""
    if model_args.config_name:
        try:
            config = AutoConfig.from_pretrained(
                model_args.config_name, trust_remote_code=False, **_hub_options(model_args)
            )
        except LOADING_ERRORS as error:
            raise CheckpointError(f"cannot load the configuration {model_args.config_name}: {error}") from error
        try:
            backbone_of(config)
        except UsageError as error:
            raise UsageError(f"--config_name {model_args.config_name}: {error}") from error
        if model_args.model_type not in (None, config.model_type):
            raise UsageError(
                f"--model_type {model_args.model_type} and --config_name {model_args.config_name}, which is a "
                f"{config.model_type} model, exclude each other: leave one out"
            )
    else:
        config = _named_family(model_args, generator).config_class()
    overrides = _parse_overrides(model_args.config_overrides, type(config))
    if overrides.get("vocab_size", len(tokenizer)) != len(tokenizer):
        raise UsageError(
            f"config_overrides: vocab_size {overrides['vocab_size']}, but the tokenizer has {len(tokenizer)} tokens; "
            f"leave it out, {_SIZE_DECIDES}"
        )
    config.vocab_size = len(tokenizer)
    config.pad_token_id = cast(int, tokenizer.pad_token_id)
    for name, token in _OTHER_SPECIAL_IDS.items():
        # Those of the published models, in families that keep them in the configuration.
        if getattr(config, name, None) is not None:
            setattr(config, name, getattr(tokenizer, token))
    if generator is not None:
        for name in _EMBEDDING_FIELDS:
            if hasattr(generator, name):
                setattr(config, name, getattr(generator, name))
    for name, value in overrides.items():
        # The vocabulary of a loaded generator may be rounded up.
        if name != "vocab_size":
            setattr(config, name, value)
    BACKBONES[config.model_type].settle(config, overrides)
    return config


def _named_family(model_args: ModelArguments, generator: Any) -> Backbone:
    name = model_args.model_type or (generator.model_type if generator is not None else DEFAULT_MODEL_TYPE)
    if name not in BACKBONES:
        raise UsageError(f"--model_type {name}: choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def _parse_overrides(text: str | None, config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """`hidden_size=256,hidden_act=gelu` as fields of a configuration, converted to the type each field has."""
    overrides: dict[str, Any] = {}
    reference, extra = config_class(), BACKBONES[config_class.model_type].extra_fields
    for item in filter(None, (text or "").split(",")):
        name, separator, value = (part.strip() for part in item.partition("="))
        if not separator or not (hasattr(reference, name) or name in extra):
            raise UsageError(f"config_overrides: {item!r} is not field=value with a field of {config_class.__name__}")
        kind = type(extra[name] if name in extra else getattr(reference, name))
        try:
            overrides[name] = value.lower() in ("true", "1") if kind is bool else kind(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"config_overrides: {name} must be of type {kind.__name__}, found {value!r}") from error
    return overrides


def _check_sizes(config: Any, tokenizer: PreTrainedTokenizerBase, data_args: DataArguments) -> None:
    if not 0 <= config.vocab_size - len(tokenizer) < _PADDING_ROWS:
        raise UsageError(
            f"the model has {config.vocab_size} tokens and the tokenizer {len(tokenizer)}: they do not belong "
            "together; leave out --tokenizer_name to use the model's own, or start a fresh model"
        )
    usable = backbone_of(config).usable_positions(config)
    if data_args.max_seq_length > usable:
        unused = config.max_position_embeddings - usable
        beside = f", of which {unused} are not used in this family" * bool(unused)
        raise UsageError(
            f"--max_seq_length {data_args.max_seq_length} is longer than the model's max_position_embeddings "
            f"{config.max_position_embeddings}{beside}: shorten the blocks or raise it with --config_overrides "
            f"max_position_embeddings={data_args.max_seq_length + unused}"
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
    sources = {"checkpoint": model_args.model_name_or_path, "generator": model_args.generator_name_or_path}
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
