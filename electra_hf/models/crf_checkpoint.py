"""The file beside a plain token classifier that holds its CRF, and what is asked of the model that it belongs to."""

import os
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils.hub import cached_file

from electra_hf.errors import CheckpointError
from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem

CRF_NAME = "crf.safetensors"
# In config.json: the tag scheme whose rules decoding keeps.
CRF_SCHEME = "crf_scheme"
_UNTAGGED = "untagged_token_ids"
_HUB_KWARGS = ("revision", "cache_dir", "token", "force_download", "local_files_only", "subfolder")


def has_crf(config: PreTrainedConfig) -> bool:
    """Whether the model of a configuration was saved with a CRF."""
    return getattr(config, CRF_SCHEME, None) is not None


def write_crf(folder: str | os.PathLike, parameters: dict[str, Tensor], untagged_token_ids: Tensor) -> None:
    """Write the parameters of a CRF and the tokens that never carry a tag."""
    tensors = {**parameters, _UNTAGGED: untagged_token_ids}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(tensors, Path(folder, CRF_NAME), metadata={"format": "pt"})


def read_crf(path: Path) -> tuple[dict[str, Tensor], Tensor]:
    """The parameters of a CRF, and (tokens,) int64 the tokens that never carry a tag.

    Raises:
        CheckpointError: If the file is not there, damaged, or something else.
    """
    try:
        parameters = load_file(path)
        untagged_token_ids = parameters.pop(_UNTAGGED)
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} is not the CRF of a model: {error!r}; copy the whole folder again") from error
    return parameters, untagged_token_ids.to(torch.int64)


def find_crf(name: str, **kwargs: Any) -> Path:
    """Where the CRF of a folder or Hub repository is on this machine.

    Args:
        name: Folder or Hub id.
        kwargs: Of `from_pretrained`; those that say where to look are used.

    Raises:
        CheckpointError: If there is none.
    """
    if Path(name).is_dir() and not Path(name, CRF_NAME).is_file():
        raise CheckpointError(
            f"{name} has no {CRF_NAME}, so its tags have no transitions: copy the whole folder again"
        )
    try:
        path = cached_file(name, CRF_NAME, **{key: kwargs[key] for key in _HUB_KWARGS if key in kwargs})
    except OSError as error:
        raise CheckpointError(f"{name} has no {CRF_NAME}, so its tags have no transitions: {error}") from error
    return Path(cast(str, path))


def load_plain(loader: Any, name: str, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """A plain token classifier that was saved with a CRF, whole, and transformers' loading info.

    Args:
        loader: Class with a `from_pretrained`.
        name: Folder or Hub id.
        args: For `from_pretrained`.
        kwargs: For `from_pretrained`.

    Raises:
        CheckpointError: If it is not there, weights are missing, or it was saved without a CRF.
    """
    try:
        plain, info = loader.from_pretrained(
            name, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
        )
    except LOADING_ERRORS as error:
        raise CheckpointError(f"cannot load a token classifier from {name}: {loading_problem(error)}") from error
    problems = {
        "missing": info["missing_keys"],
        "of another shape": {item[0] for item in info["mismatched_keys"]},
        "not of this model": info["unexpected_keys"],
    }
    if any(problems.values()):
        said = "; ".join(f"{kind} {', '.join(sorted(keys)[:3])}" for kind, keys in problems.items() if keys)
        raise CheckpointError(
            f"{name} does not hold a whole {type(plain).__name__}: {said}; copy the whole folder again"
        )
    if not has_crf(plain.config):
        raise CheckpointError(
            f"{name} was not saved with a CRF (its config.json has no {CRF_SCHEME}): load it with "
            "AutoModelForTokenClassification"
        )
    return plain, info
