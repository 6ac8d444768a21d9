"""The folder that a replaced-token detection model is saved as, and the way back.

Any saved folder is a model (docs/design.md, decision 1):

    config.json, model.safetensors      the discriminator, a plain `ElectraForPreTraining`
    generator/config.json, …            the generator, a plain `ElectraForMaskedLM`
    rtd_config.json                     the objective, needed only to go on pre-training

Each half holds its own copy of the shared embeddings, so that both load alone.
"""

import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from electra_hf.errors import CheckpointError, UsageError, explain_os_error
from electra_hf.models.attention import check_attention_name
from electra_hf.models.configuration import OBJECTIVE_FIELDS, ReplacedTokenDetectionConfig, impossible_size

if TYPE_CHECKING:
    from electra_hf.models.replaced_token_detection import ElectraForReplacedTokenDetection

RTD_CONFIG_NAME = "rtd_config.json"
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
    model: "ElectraForReplacedTokenDetection",
    save_directory: str | os.PathLike,
    *,
    is_main_process: bool = True,
    state_dict: dict[str, Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Write both halves as plain transformers models, and the objective beside them."""
    folder = Path(save_directory)
    kwargs = {key: value for key, value in kwargs.items() if key not in _PUSH_KWARGS}
    halves = (
        (model.discriminator, "discriminator.", folder),
        (model.generator, "generator.", folder / GENERATOR_FOLDER),
    )
    for half, prefix, target in halves:
        weights = _half_state_dict(half, prefix, state_dict, model.all_tied_weights_keys)
        half.save_pretrained(target, is_main_process=is_main_process, state_dict=weights, **kwargs)
    if is_main_process:
        text = json.dumps(model.config.objective_settings(), indent=2, sort_keys=True)
        (folder / RTD_CONFIG_NAME).write_text(text + "\n", encoding="utf-8")


def _half_state_dict(
    half: nn.Module, prefix: str, state_dict: dict[str, Tensor] | None, ties: dict[str, str]
) -> dict[str, Tensor]:
    if state_dict is None:
        return half.state_dict()
    weights = {}
    for name in half.state_dict():
        key = prefix + name
        # A gathered state names a shared weight once; every half gets its own copy.
        while key not in state_dict:
            key = ties[key]
        weights[name] = state_dict[key]
    return weights


def push(save_directory: str | os.PathLike, **kwargs: Any) -> None:
    """Upload a saved folder to the Hub as one commit."""
    api = HfApi(token=kwargs.get("token"))
    repo_id = api.create_repo(
        kwargs.get("repo_id") or Path(save_directory).name, private=kwargs.get("private"), exist_ok=True
    ).repo_id
    api.upload_folder(
        folder_path=Path(save_directory),
        repo_id=repo_id,
        commit_message=kwargs.get("commit_message") or "Upload ElectraForReplacedTokenDetection",
        revision=kwargs.get("revision"),
    )


def load(cls: type["ElectraForReplacedTokenDetection"], name_or_path: str | os.PathLike, **kwargs: Any) -> Any:
    """Build the joint model from a folder or Hub repository; see `from_pretrained` for the arguments."""
    name = os.fspath(name_or_path)
    hub = {key: kwargs.pop(key) for key in _HUB_KWARGS if key in kwargs}
    generator_name = kwargs.pop("generator_name_or_path", None)
    encoder_kwargs = {"dtype": kwargs.pop("dtype", torch.float32)}
    if "attn_implementation" in kwargs:
        encoder_kwargs["attn_implementation"] = kwargs.pop("attn_implementation")
    overrides = {key: kwargs.pop(key) for key in OBJECTIVE_FIELDS if key in kwargs}
    if kwargs:
        raise UsageError(f"from_pretrained does not know {', '.join(sorted(kwargs))}")

    generator_source = {"subfolder": GENERATOR_FOLDER} if generator_name is None else {}
    discriminator = load_discriminator(name, **hub, **encoder_kwargs)
    generator = load_generator(generator_name or name, **generator_source, **hub, **encoder_kwargs)
    settings = {**load_objective(name, **hub), **overrides}
    config = ReplacedTokenDetectionConfig(
        generator_config=generator.config,
        discriminator_config=discriminator.config,
        pad_token_id=discriminator.config.pad_token_id,
        **settings,
    )
    return cls(config, generator=generator, discriminator=discriminator)


def load_discriminator(name: str, **kwargs: Any) -> ElectraForPreTraining:
    """A discriminator with its head, in fp32 unless `dtype` says otherwise.

    Args:
        name: Folder or Hub id.
        kwargs: For transformers' `from_pretrained`.

    Raises:
        CheckpointError: If it cannot be loaded, or weights are missing or of another shape.
    """
    return _load_half(ElectraForPreTraining, name, **{"dtype": torch.float32, **kwargs})


def load_generator(name: str, **kwargs: Any) -> ElectraForMaskedLM:
    """A generator with its head; otherwise as `load_discriminator`."""
    return _load_half(ElectraForMaskedLM, name, **{"dtype": torch.float32, **kwargs})


def has_generator(name: str, **hub: Any) -> bool:
    """Whether there is a generator in `generator/` of a folder or Hub repository, whole or not.

    Args:
        name: Folder or Hub id of the discriminator.
        hub: `revision`, `cache_dir` and `token` as in transformers.

    Raises:
        CheckpointError: If the repository is out of reach, so that nobody knows.
    """
    try:
        path = cached_file(
            name, CONFIG_NAME, subfolder=GENERATOR_FOLDER, _raise_exceptions_for_missing_entries=False, **hub
        )
    except OSError as error:
        raise CheckpointError(f"cannot tell whether {name} holds a generator: {error}") from error
    return path is not None


def load_objective(name: str, **hub: Any) -> dict[str, Any]:
    """The settings of the objective in a folder or Hub repository.

    Returns:
        The content of `rtd_config.json`; {} (the paper's settings) for encoders that were trained elsewhere.

    Raises:
        CheckpointError: If the file holds a setting that this version does not know.
    """
    path = cached_file(name, RTD_CONFIG_NAME, _raise_exceptions_for_missing_entries=False, **hub)
    if path is None:
        return {}
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError(f"a {type(settings).__name__} instead of an object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not the settings of an objective ({error}); copy the folder again") from error
    unknown = set(settings) - set(OBJECTIVE_FIELDS)
    if unknown:
        raise CheckpointError(
            f"{path}: unknown settings {', '.join(sorted(unknown))}; was it written by a newer version?"
        )
    try:
        ReplacedTokenDetectionConfig(**settings)
    except (UsageError, StrictDataclassError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())}") from error
    return settings


def _load_half(cls: type, name: str, **kwargs: Any) -> Any:
    part = f"{name}/{kwargs['subfolder']}" if "subfolder" in kwargs else name
    check_attention_name(kwargs.get("attn_implementation"))
    try:
        config = AutoConfig.from_pretrained(
            name, trust_remote_code=False, **{key: value for key, value in kwargs.items() if key in _SOURCE_KWARGS}
        )
        if not isinstance(config, ElectraConfig):
            raise ValueError(f"it is a {config.model_type} model, and ELECTRA is supported")
        if problem := impossible_size(config):
            raise ValueError(problem)
        # Weights of another shape are found below, and said in words.
        model, info = cls.from_pretrained(name, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs)
    except LOADING_ERRORS as error:
        hint = ""
        if "subfolder" in kwargs:
            hint = (
                " If the generator is elsewhere (google/electra-small-generator, say), give --generator_name_or_path."
            )
        raise CheckpointError(f"cannot load {cls.__name__} from {part}: {loading_problem(error)}{hint}") from error
    problems = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "mismatched_keys") if info.get(kind)}
    if problems:
        found = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(names[:5])}" for kind, names in problems.items())
        raise CheckpointError(
            f"{part} does not hold a whole {cls.__name__} ({found}); training would start from noise"
        )
    return model


def loading_problem(error: BaseException) -> str:
    """What one of `LOADING_ERRORS` says, in one line."""
    if isinstance(error, pickle.UnpicklingError):
        # torch's own words advise to run it.
        return "the weights are a pickle that is damaged or holds more than weights, which could run any code"
    return " ".join(str(error).split())[:_LONGEST_PROBLEM].rstrip(".") or type(error).__name__


def load_weights(model: "ElectraForReplacedTokenDetection", folder: str | os.PathLike) -> None:
    """Copy a saved folder's weights into a model that is already built and placed."""
    root = Path(folder)
    for half, source in ((model.discriminator, root), (model.generator, root / GENERATOR_FOLDER)):
        weights = read_weights(source)
        try:
            result = half.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise CheckpointError(f"{source} does not fit the model: {error}") from error
        missing = set(result.missing_keys) - set(half.all_tied_weights_keys)
        if missing or result.unexpected_keys:
            raise CheckpointError(
                f"{source} does not fit the model: missing {sorted(missing)[:5]}, "
                f"unexpected {sorted(result.unexpected_keys)[:5]}"
            )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of one safetensors model, in one file or in shards."""
    single, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME
    try:
        if single.is_file():
            return load_file(single)
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: weight for shard in shards for name, weight in load_file(folder / shard).items()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no {SAFE_WEIGHTS_NAME}: it is not a saved checkpoint") from error
    except OSError as error:
        raise CheckpointError(explain_os_error(error, folder)) from error
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{folder} holds damaged weights ({error}): copy or save it again") from error


def disagreeing_embeddings(target: str, source: str) -> CheckpointError:
    """The error for two halves whose shared weights differ: tying them would throw one copy away."""
    return CheckpointError(
        f"{target} and {source} hold different values, so they cannot be shared; load both halves from one run, "
        "or pass --embedding_sharing none"
    )
