"""Weights of a checkpoint for a task: all of the encoder, or an error.

transformers fills weights that it did not find with noise and prints a report. Here every missing weight outside a new
head is an error.
"""

import re
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.finetuning.arguments import EncoderArguments
from electra_hf.models.attention import check_attention_name
from electra_hf.models.backbones import keep_padding_out
from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem, without_report
from electra_hf.models.configuration import impossible_size
from electra_hf.models.initialization import initialize_as_reference

AutoClass = type[AutoModelForSequenceClassification] | type[AutoModelForTokenClassification]

# Heads of pre-training and of other tasks, and buffers that old versions of transformers saved.
_OTHER_HEADS = re.compile(
    r"(discriminator_predictions|generator_predictions|generator_lm_head|cls|lm_head|lm_predictions|mask_predictions"
    r"|vocab_(transform|layer_norm|projector)|head|decoder|pooler|classifier|pre_classifier|qa_outputs)\."
    r"|(.*\.)?(pooler\..*|position_ids|token_type_ids)$"
)
# What google drew from a truncated normal; other architectures are drawn as transformers draws them.
_REFERENCE_INITIALIZED = ("electra", "convbert", "bert")


def load_config(model_args: EncoderArguments) -> PreTrainedConfig:
    """The configuration of the encoder, without its weights, changed by `config_overrides`.

    Raises:
        CheckpointError: If it is not there, or not readable.
        UsageError: If an override is not a field of it, or of another type.
    """
    name = model_args.model_name_or_path
    check_attention_name(model_args.attn_implementation)
    try:
        config = AutoConfig.from_pretrained(
            name, cache_dir=model_args.cache_dir, revision=model_args.model_revision, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise _cannot_load(name, error) from error
    if problem := impossible_size(config):
        raise _cannot_load(name, ValueError(f"its {problem}"))
    if model_args.config_overrides is not None:
        try:
            config.update_from_string(model_args.config_overrides)
            if problem := impossible_size(config):
                raise ValueError(problem)
        except (ValueError, StrictDataclassError) as error:
            raise UsageError(
                f"--config_overrides {model_args.config_overrides!r}: {error}; give fields of {name}'s config.json "
                "with commas, such as hidden_dropout_prob=0.1,attention_probs_dropout_prob=0.1"
            ) from error
    return config


def build_model(auto_class: AutoClass, model_args: EncoderArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """The architecture of a checkpoint with fresh weights, for ELECTRA, ConvBERT and BERT drawn as the reference does.

    Args:
        auto_class: transformers' class for the task.
        model_args: Names the checkpoint.
        config: Its configuration, with the labels of the task.

    Raises:
        CheckpointError: If there is no such model for the task.
    """
    kwargs = {"attn_implementation": model_args.attn_implementation} if model_args.attn_implementation else {}
    try:
        model = auto_class.from_config(config, dtype=torch.float32, trust_remote_code=False, **kwargs)
    except (ValueError, ImportError) as error:
        raise _cannot_load(model_args.model_name_or_path, error) from error
    if config.model_type in _REFERENCE_INITIALIZED:
        initialize_as_reference(model.base_model)
    keep_padding_out(model)
    return model


def load_model(
    auto_class: AutoClass, model_args: EncoderArguments, config: PreTrainedConfig, *, keep_head: bool
) -> tuple[PreTrainedModel, set[str]]:
    """A plain model from a checkpoint, and the names of the weights that the checkpoint does not have for it.

    Args:
        auto_class: transformers' class for the task.
        model_args: Names the checkpoint.
        config: Its configuration, with the labels of the task.
        keep_head: The head of the checkpoint is wanted too, whole.

    Raises:
        CheckpointError: If weights are missing, do not fit or are not those of the architecture, or files are damaged.
    """
    name = model_args.model_name_or_path
    kwargs = {"attn_implementation": model_args.attn_implementation} if model_args.attn_implementation else {}
    try:
        with without_report():
            model, info = auto_class.from_pretrained(
                name,
                config=config,
                dtype=torch.float32,
                cache_dir=model_args.cache_dir,
                revision=model_args.model_revision,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # found below, and said in words
                output_loading_info=True,
                **kwargs,
            )
    except LOADING_ERRORS as error:
        raise _cannot_load(name, error) from error
    encoder, pooler = f"{model.base_model_prefix}.", f"{model.base_model_prefix}.pooler."
    missing = set(info["missing_keys"])
    mismatched = {item[0]: item[1:] for item in info["mismatched_keys"]}
    lost = [key for key in missing if keep_head or (key.startswith(encoder) and not key.startswith(pooler))]
    misshapen = [
        f"{key} {' instead of '.join(str(tuple(shape)) for shape in shapes)}"
        for key, shapes in mismatched.items()
        if keep_head or key.startswith(encoder)
    ]
    foreign = [key for key in info["unexpected_keys"] if not _OTHER_HEADS.match(key)]
    problems = {"missing": lost, "of another shape": misshapen, "not in this architecture": foreign}
    if any(problems.values()):
        said = "; ".join(
            f"{len(keys)} {kind} ({', '.join(sorted(keys)[:3])})" for kind, keys in problems.items() if keys
        )
        raise CheckpointError(
            f"{name} does not hold the weights of a whole {config.model_type} encoder: {said}; the scores would be "
            "those of noise. Is config.json that of these weights?"
        )
    keep_padding_out(model)
    return model, missing | set(mismatched)


def describe_missing(model: PreTrainedModel, missing: set[str]) -> list[str]:
    """What the user should know of the weights that a checkpoint did not have."""
    pooler = f"{model.base_model_prefix}.pooler."
    if any(key.startswith(pooler) for key in missing):
        return ["it was saved without a pooler, so that is new too"]
    return []


def redraw_head(model: PreTrainedModel, missing: set[str]) -> None:
    """Draw what is new again, from the generator as it is now, and the outputs that belong to other labels."""
    new = missing | {name for name, _ in model.named_parameters() if name.startswith("classifier.")}
    for prefix, module in model.named_modules():
        if any(f"{prefix}.{name}" in new for name, _ in module.named_parameters(recurse=False)):
            for parameter in module.parameters(recurse=False):
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]
            _initialize(model, module)


@torch.no_grad()
def _initialize(model: PreTrainedModel, module: nn.Module) -> None:
    model._init_weights(module)


def _cannot_load(name: str, error: BaseException) -> CheckpointError:
    if Path(name).is_dir():
        hint = "save or copy the folder again: it is incomplete or damaged"
    elif Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1:
        return CheckpointError(f"cannot load the model {name}: there is no such folder; check the spelling")
    else:
        hint = (
            "give a folder with config.json and model.safetensors, or a name on the Hub (check the spelling and the "
            "network, or download it first with `hf download`)"
        )
    return CheckpointError(f"cannot load the model {name}: {loading_problem(error)}; {hint}")
