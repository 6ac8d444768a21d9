"""The folder that a pre-trained model is saved as, and the way back.

Any saved folder is a model (docs/design.md, decision 1):

    config.json, model.safetensors      the main encoder, a plain model: `ElectraForPreTraining`, `BertForMaskedLM`, …
    generator/config.json, …            the generator, a plain masked language model
    objective.json                      the objective, needed only to go on pre-training
    objective.safetensors               weights that no class of transformers has a place for, if there are any

Each half holds its own copy of the shared embeddings, so that both load alone.
"""

import json
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, ElectraForPreTraining, PreTrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models.attention import check_attention_name
from electra_hf.models.backbones import EncoderWithDetectionHead, backbone_of
from electra_hf.models.configuration import impossible_size
from electra_hf.models.embedding_sharing import DELTA, disentangled, materialized, plain_name
from electra_hf.models.objective_files import (
    EXTRA_WEIGHTS_NAME,
    OBJECTIVE_NAME,
    extra_names,
    load_extra_weights,
    load_objective,
    read_extra_weights,
)
from electra_hf.models.weight_files import find_file, read_weights

if TYPE_CHECKING:
    from electra_hf.models.pretraining_model import PretrainingModel

GENERATOR_FOLDER = "generator"
_HUB_KWARGS = ("revision", "cache_dir", "token", "force_download", "local_files_only")
_SOURCE_KWARGS = (*_HUB_KWARGS, "subfolder")
# What transformers, safetensors and torch raise for files that are not there, damaged or of something else.
LOADING_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, ImportError, EOFError,
    pickle.UnpicklingError, SafetensorError, StrictDataclassError,
)  # fmt: skip
_LONGEST_PROBLEM = 400
_PUSH_KWARGS = ("repo_id", "commit_message", "private", "token", "revision")


def save(
    model: "PretrainingModel",
    save_directory: str | os.PathLike,
    *,
    is_main_process: bool = True,
    state_dict: dict[str, Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Write the parts as plain transformers models, and the objective with its own weights beside them."""
    folder = Path(save_directory)
    kwargs = {key: value for key, value in kwargs.items() if key not in _PUSH_KWARGS}
    state, ties = (
        materialized(model, model.state_dict() if state_dict is None else state_dict),
        model.all_tied_weights_keys,
    )
    for subfolder, attribute in model.saved_parts.items():
        part = cast(PreTrainedModel, model.get_submodule(attribute))
        divided = disentangled(part)
        names = [plain_name(name, divided) for name in part.state_dict()]
        weights = {name: _state_of(f"{attribute}.{name}", state, ties) for name in names}
        part.save_pretrained(folder / subfolder, is_main_process=is_main_process, state_dict=weights, **kwargs)
    if is_main_process:
        text = json.dumps(model.config.objective_settings(), indent=2, sort_keys=True)
        (folder / OBJECTIVE_NAME).write_text(text + "\n", encoding="utf-8")
        if extra := extra_names(model):
            weights = {name: _state_of(name, state, ties).contiguous() for name in extra}
            save_file(weights, folder / EXTRA_WEIGHTS_NAME, metadata={"format": "pt"})


def _state_of(name: str, state: dict[str, Tensor], ties: dict[str, str]) -> Tensor:
    # A gathered state names a shared weight once; every part gets its own copy.
    while name not in state:
        name = ties[name]
    return state[name]


def push(save_directory: str | os.PathLike, **kwargs: Any) -> None:
    """Upload a saved folder to the Hub as one commit."""
    api = HfApi(token=kwargs.get("token"))
    repo_id = api.create_repo(
        kwargs.get("repo_id") or Path(save_directory).name, private=kwargs.get("private"), exist_ok=True
    ).repo_id
    api.upload_folder(
        folder_path=Path(save_directory),
        repo_id=repo_id,
        commit_message=kwargs.get("commit_message") or "Upload model",
        revision=kwargs.get("revision"),
    )


def load(cls: type["PretrainingModel"], name_or_path: str | os.PathLike, **kwargs: Any) -> Any:
    """Build the joint model from a folder or Hub repository; see `from_pretrained` for the arguments."""
    name = os.fspath(name_or_path)
    hub = {key: kwargs.pop(key) for key in _HUB_KWARGS if key in kwargs}
    generator_name = kwargs.pop("generator_name_or_path", None)
    encoder_kwargs = {"dtype": kwargs.pop("dtype", torch.float32)}
    if "attn_implementation" in kwargs:
        encoder_kwargs["attn_implementation"] = kwargs.pop("attn_implementation")
    overrides = {key: kwargs.pop(key) for key in cls.config_class.objective_fields if key in kwargs}
    if kwargs:
        raise UsageError(f"from_pretrained does not know {', '.join(sorted(kwargs))}")

    parts = {cls.main_part: cls.load_main(name, **hub, **encoder_kwargs)}
    if cls.has_generator:
        source = {"subfolder": cls.generator_folder} if generator_name is None else {}
        parts["generator"] = cls.load_generator(generator_name or name, **source, **hub, **encoder_kwargs)
    settings = {**load_objective(name, cls.config_class, **hub), **overrides}
    configs = {f"{part}_config": model.config for part, model in parts.items()}
    pad_token_id = parts[cls.main_part].config.pad_token_id
    model = cls(cls.config_class(**configs, **settings, pad_token_id=pad_token_id), **parts)
    load_extra_weights(model, name, deltas=generator_name is None, **hub)
    return model


def load_discriminator(name: str, **kwargs: Any) -> Any:
    """A discriminator with its head, in fp32 unless `dtype` says otherwise.

    Args:
        name: Folder or Hub id.
        kwargs: For transformers' `from_pretrained`.

    Returns:
        `ElectraForPreTraining`, or for other families an encoder under a fresh head; `load_extra_weights` of the joint
        model gives it the saved one.

    Raises:
        CheckpointError: If it cannot be loaded, or weights are missing or of another shape.
    """
    model = load_part(_discriminator_loader, name, **{"dtype": torch.float32, **kwargs})
    return model if isinstance(model, ElectraForPreTraining) else EncoderWithDetectionHead(model)


def _discriminator_loader(config: PreTrainedConfig) -> tuple[Any, dict[str, Any]]:
    if config.model_type == "electra":
        return ElectraForPreTraining, {}
    backbone = backbone_of(config)
    return backbone.encoder_class, backbone.encoder_options


def load_masked_lm(name: str, **kwargs: Any) -> Any:
    """A masked language model with its head; otherwise as `load_discriminator`."""
    return load_part(
        lambda config: (backbone_of(config).masked_lm_class, {}), name, **{"dtype": torch.float32, **kwargs}
    )


def has_generator(name: str, folder: str = GENERATOR_FOLDER, **hub: Any) -> bool:
    """Whether there is a generator in `generator/` of a folder or Hub repository, whole or not.

    Args:
        name: Folder or Hub id of the discriminator.
        folder: Another place than `generator/`.
        hub: `revision`, `cache_dir` and `token` as in transformers.

    Raises:
        CheckpointError: If the repository is out of reach, so that nobody knows.
    """
    return find_file(name, CONFIG_NAME, subfolder=folder, **hub) is not None


def load_part(choose: Callable[[PreTrainedConfig], tuple[Any, dict[str, Any]]], name: str, **kwargs: Any) -> Any:
    """A plain model that is whole.

    Args:
        choose: Its class, and more arguments for `from_pretrained`, from its configuration.
        name: Folder or Hub id.
        kwargs: For transformers' `from_pretrained`.

    Raises:
        CheckpointError: If it cannot be loaded, or weights are missing or of another shape.
    """
    cls: Any = None
    part = f"{name}/{kwargs['subfolder']}" if "subfolder" in kwargs else name
    check_attention_name(kwargs.get("attn_implementation"))
    try:
        config = AutoConfig.from_pretrained(
            name, trust_remote_code=False, **{key: value for key, value in kwargs.items() if key in _SOURCE_KWARGS}
        )
        cls, options = choose(config)
        if problem := impossible_size(config):
            raise ValueError(problem)
        # Weights of another shape are found below, and said in words.
        model, info = cls.from_pretrained(
            name, output_loading_info=True, ignore_mismatched_sizes=True, **options, **kwargs
        )
    except (*LOADING_ERRORS, UsageError) as error:
        hint, what = "", "a model" if cls is None else cls.__name__
        if "subfolder" in kwargs:
            hint = (
                " If the generator is elsewhere (google/electra-small-generator, say), give --generator_name_or_path."
            )
        raise CheckpointError(f"cannot load {what} from {part}: {loading_problem(error)}{hint}") from error
    problems = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "mismatched_keys") if info.get(kind)}
    if problems:
        found = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(names[:5])}" for kind, names in problems.items())
        encoder, hint = f"{cls.base_model_prefix}.", ""
        if cls is backbone_of(model.config).masked_lm_class and not any(
            name.startswith(encoder) for names in problems.values() for name in names
        ):
            hint = (
                ". It is an encoder without a head that predicts tokens: give the checkpoint of a masked language "
                "model (for ELECTRA the generator's, often in generator/), or take --objective rtd"
            )
        raise CheckpointError(
            f"{part} does not hold a whole {cls.__name__} ({found}); training would start from noise{hint}"
        )
    return model


def loading_problem(error: BaseException) -> str:
    """What one of `LOADING_ERRORS` says, in one line."""
    if isinstance(error, pickle.UnpicklingError):
        # torch's own words advise to run it.
        return "the weights are a pickle that is damaged or holds more than weights, which could run any code"
    return " ".join(str(error).split())[:_LONGEST_PROBLEM].rstrip(".") or type(error).__name__


def load_weights(model: "PretrainingModel", folder: str | os.PathLike) -> None:
    """Copy a saved folder's weights into a model that is already built and placed."""
    root = Path(folder)
    for subfolder, attribute in model.saved_parts.items():
        part, source = cast(PreTrainedModel, model.get_submodule(attribute)), root / subfolder
        weights = read_weights(source)
        # Sums; their differences are among the extra weights.
        deltas = {f"{name}.{DELTA}": f"{name}.weight" for name in disentangled(part)}
        weights = {name: weight for name, weight in weights.items() if name not in deltas.values()}
        try:
            result = part.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise CheckpointError(f"{source} does not fit the model: {error}") from error
        missing = set(result.missing_keys) - set(part.all_tied_weights_keys) - deltas.keys()
        if missing or result.unexpected_keys:
            raise CheckpointError(
                f"{source} does not fit the model: missing {sorted(missing)[:5]}, "
                f"unexpected {sorted(result.unexpected_keys)[:5]}"
            )
    read_extra_weights(model, root / EXTRA_WEIGHTS_NAME)


def disagreeing_embeddings(target: str, source: str) -> CheckpointError:
    """The error for two halves whose shared weights differ: tying them would throw one copy away."""
    return CheckpointError(
        f"{target} and {source} hold different values, so they cannot be shared; load both halves from one run, "
        "or pass --embedding_sharing none"
    )


@contextmanager
def without_report() -> Iterator[None]:
    """Leave out transformers' table of missing weights, which also appears where all is as it should be."""
    # A filter and not a level, which transformers would take for a wish to check the sharding.
    reporter = logging.getLogger("transformers.modeling_utils")
    reporter.addFilter(_is_no_report)
    try:
        yield
    finally:
        reporter.removeFilter(_is_no_report)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()
