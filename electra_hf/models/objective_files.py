"""What a saved folder holds for pre-training alone: the settings of the objective, and weights of no plain model."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from torch import Tensor

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models.backbones import EncoderWithDetectionHead
from electra_hf.models.configuration import PretrainingConfig
from electra_hf.models.embedding_sharing import DELTA, disentangled
from electra_hf.models.weight_files import find_file, read_safetensors

if TYPE_CHECKING:
    from electra_hf.models.pretraining_model import PretrainingModel

logger = logging.getLogger(__name__)

OBJECTIVE_NAME = "objective.json"
EXTRA_WEIGHTS_NAME = "objective.safetensors"


def load_objective(name: str, config_class: type[PretrainingConfig] | None = None, **hub: Any) -> dict[str, Any]:
    """The settings of the objective in a folder or Hub repository.

    Args:
        name: Folder or Hub id.
        config_class: The settings must be those of this one; None takes any.
        hub: `revision`, `cache_dir` and `token` as in transformers.

    Returns:
        The content of `objective.json`; {} (the paper's settings) for encoders that were trained elsewhere, or with
        another objective.

    Raises:
        CheckpointError: If the file holds a setting that this version does not know.
    """
    path = find_file(name, OBJECTIVE_NAME, **hub)
    if path is None:
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError(f"a {type(settings).__name__} instead of an object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not the settings of an objective ({error}); copy the folder again") from error
    if config_class is None:
        return settings
    if settings.get("objective", config_class.objectives[0]) not in config_class.objectives:
        return {}
    unknown = set(settings) - set(config_class.objective_fields)
    if unknown:
        raise CheckpointError(
            f"{path}: unknown settings {', '.join(sorted(unknown))}; was it written by a newer version?"
        )
    try:
        config_class(**settings)
    except (UsageError, StrictDataclassError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())}") from error
    return settings


def extra_names(model: "PretrainingModel") -> list[str]:
    """The weights of a joint model that belong to none of its plain parts."""
    parts = tuple(f"{attribute}." for attribute in model.saved_parts.values())
    deltas = [f"{name}.{DELTA}" for name in disentangled(model)]
    return [name for name in model.state_dict() if not name.startswith(parts) or name in deltas]


def load_extra_weights(model: "PretrainingModel", name: str, *, deltas: bool = True, **hub: Any) -> bool:
    """Give a joint model the weights that lie in `objective.safetensors`, if there is such a file.

    Of the file of another objective it takes what both have, such as a head that detects replaced tokens.

    Args:
        model: The joint model.
        name: Folder or Hub id.
        deltas: Take disentangled embeddings from there too; not with another generator than the one there.
        hub: `revision`, `cache_dir` and `token` as in transformers.

    Returns:
        Whether there is one. A model that needs one and was trained elsewhere, or with another objective, keeps the
        weights that it was made with, and that is said.

    Raises:
        CheckpointError: If it is damaged, its weights are not those of the model, or it is gone.
    """
    path = find_file(name, EXTRA_WEIGHTS_NAME, **hub)
    if path is None:
        saved = load_objective(name, model.config_class, **hub)
        # Differences of embeddings follow from both encoders, unless they were trained as such.
        has_deltas = deltas and saved.get("embedding_sharing") == "gdes"
        if names := [weight for weight in extra_names(model) if has_deltas or not _is_delta(weight)]:
            if saved:
                raise CheckpointError(
                    f"{name} holds no {EXTRA_WEIGHTS_NAME}, which has the weights of {names[0]} and others: the "
                    "folder is incomplete, copy it again"
                )
            logger.warning(
                "%s has no weights for %s: they start afresh, and the first losses are those of a fresh head.",
                name,
                ", ".join(names),
            )
            model.fresh_weights = tuple(names)
            if isinstance(model.main, EncoderWithDetectionHead):
                model.backbone.initialize_head(model.main, model.config.initialization)
        return False
    weights = read_safetensors(lambda: load_file(path), path)
    own = set(extra_names(model))
    objective = load_objective(name, **hub).get("objective")
    if objective is not None and objective not in model.config_class.objectives:
        own &= weights.keys()
        weights = {name: weights[name] for name in own}
    if not deltas or not any(name in weights for name in own if _is_delta(name)):
        # The embeddings were loaded with the parts: differences follow from them, or are not wanted.
        own = {name for name in own if not _is_delta(name)}
        weights = {name: weight for name, weight in weights.items() if not _is_delta(name)}
    _check_and_load(model, weights, own, path)
    return True


def _is_delta(name: str) -> bool:
    return name.endswith(f".{DELTA}")


def read_extra_weights(model: "PretrainingModel", path: Path) -> None:
    names = set(extra_names(model))
    weights = read_safetensors(lambda: load_file(path), path) if names or path.is_file() else {}
    _check_and_load(model, weights, names, path)


def _check_and_load(model: "PretrainingModel", weights: dict[str, Tensor], names: set[str], path: Path) -> None:
    if weights.keys() != names:
        raise CheckpointError(
            f"{path} does not fit the model: missing {sorted(names - weights.keys())[:5]}, unexpected "
            f"{sorted(weights.keys() - names)[:5]}"
        )
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the model: {error}") from error
