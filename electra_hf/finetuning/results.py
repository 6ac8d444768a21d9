"""What one fine-tuning run of one seed leaves behind."""

import io
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from electra_hf.corpora.storage import fingerprint, publish, read_json, sha256_of, to_json
from electra_hf.errors import UsageError

RESULTS_FILE, OUTPUTS_FILE, STARTED_FILE = "results.json", "outputs.npz", "settings.json"
WEIGHTS_FILE = "weights_seed.json"  # beside the weights of the best seed


@dataclass
class SeedResult:
    """Scores and outputs of one seed.

    Attributes:
        seed: Seed of the head, the order of the data and dropout.
        metrics: Split to metric to value, such as `{"validation": {"accuracy": 0.91, "loss": 0.3}}`.
        outputs: Split to array, in the order of the data; of unlabelled splits too. Texts that get a label: fp32
            (examples, outputs), the logits. Tagging: int16 (units,), the predicted tags of all texts, one after the
            other.
        train: Numbers of the training itself: `runtime` (seconds), `loss`, `steps`, `epochs`.
        findings: Warnings in words: constant predictions, divergence.
        notes: What was noticed while texts were encoded and the model was loaded.
    """

    seed: int
    metrics: dict[str, dict[str, float]]
    outputs: dict[str, np.ndarray]
    train: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def save_seed_result(result: SeedResult, folder: Path, settings: dict[str, Any]) -> None:
    """Keep the outcome of a finished seed, so that an interrupted run of many seeds goes on after it.

    Args:
        result: What the seed gave.
        folder: Its own folder, made if need be; gets `outputs.npz` and then `results.json`, which vouches for it.
        settings: JSON values that decide the outcome: model, data, recipe. `load_seed_result` asks for the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **result.outputs)
    publish(folder / OUTPUTS_FILE, buffer.getvalue())
    content = {
        "seed": result.seed,
        "metrics": {split: _to_null(values) for split, values in result.metrics.items()},
        "train": _to_null(result.train),
        "findings": result.findings,
        "notes": result.notes,
        "settings": settings,
        "outputs_sha256": sha256_of(folder / OUTPUTS_FILE),
    }
    publish(folder / RESULTS_FILE, to_json(content))


def load_seed_result(folder: Path, settings: dict[str, Any], searched: Collection[str] = ()) -> SeedResult | None:
    """The outcome of a seed that was finished with the same settings; None if none was finished there.

    Args:
        folder: As for `save_seed_result`.
        settings: Likewise.
        searched: Settings that a search decides: where only they differ, it has found better ones since, and the
            outcome is none of theirs.

    Raises:
        UsageError: If the seed was finished with other settings; the message names them.
    """
    content = read_json(folder / RESULTS_FILE)
    outputs_file = folder / OUTPUTS_FILE
    if content is None or not outputs_file.is_file() or content.get("outputs_sha256") != sha256_of(outputs_file):
        return None
    if not _same_settings(content["settings"], settings, searched, f"{folder}: finished"):
        return None
    with np.load(outputs_file, allow_pickle=False) as arrays:
        outputs = {split: arrays[split] for split in arrays.files}
    return SeedResult(
        seed=content["seed"],
        metrics={split: _from_null(values) for split, values in content["metrics"].items()},
        outputs=outputs,
        train=_from_null(content["train"]),
        findings=content["findings"],
        notes=content["notes"],
    )


def record_start(folder: Path, settings: dict[str, Any]) -> None:
    """Keep the settings of a seed that is about to be trained, for the checkpoints it may leave."""
    folder.mkdir(parents=True, exist_ok=True)
    publish(folder / STARTED_FILE, to_json(settings))


def was_started_with(folder: Path, settings: dict[str, Any], searched: Collection[str] = ()) -> bool:
    """Whether the checkpoints of a seed belong to these settings; False if only `searched` ones differ.

    Raises:
        UsageError: If they belong to other settings; the message names them.
    """
    before = read_json(folder / STARTED_FILE)
    if before is None:
        raise UsageError(
            f"{folder}: its checkpoints do not say which settings they belong to ({STARTED_FILE} is missing). Use "
            "another --output_dir, or remove this folder"
        )
    return _same_settings(before, settings, searched, f"{folder}: begun")


def _same_settings(before: dict[str, Any], settings: dict[str, Any], searched: Collection[str], what: str) -> bool:
    # As they come back from JSON: a tuple is a list there.
    now = json.loads(to_json(settings))
    different = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if set(different) <= set(searched):
        return not different
    named = "; ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in different)
    raise UsageError(f"{what} with other settings ({named}). Use another --output_dir, or remove this folder")


def record_weights(folder: Path, seed: int, settings: dict[str, Any]) -> None:
    """Say whose weights a folder holds; call it when they are written, and `forget_weights` before."""
    publish(folder / WEIGHTS_FILE, to_json({"seed": seed, "settings_sha256": fingerprint(settings)}))


def forget_weights(folder: Path) -> None:
    """Nobody's weights are in the folder, as far as is known."""
    (folder / WEIGHTS_FILE).unlink(missing_ok=True)


def seed_of_weights(folder: Path, settings: dict[str, Any]) -> int | None:
    """The seed whose weights a folder holds; None if that is not known, or they are of other settings."""
    content = read_json(folder / WEIGHTS_FILE) or {}
    return content.get("seed") if content.get("settings_sha256") == fingerprint(settings) else None


def _to_null(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _from_null(values: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}
