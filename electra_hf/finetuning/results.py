"""What one fine-tuning run of one seed leaves behind."""

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from electra_hf.corpora.storage import publish, read_json, sha256_of, to_json
from electra_hf.errors import UsageError

RESULTS_FILE, LOGITS_FILE = "results.json", "logits.npz"


@dataclass
class SeedResult:
    """Scores and outputs of one seed.

    Attributes:
        seed: Seed of the head, the order of the data and dropout.
        metrics: Split to metric to value, such as `{"validation": {"accuracy": 0.91, "loss": 0.3}}`.
        logits: Split to fp32 array (examples, outputs), in the order of the data; of unlabelled splits too.
        train: Numbers of the training itself: `runtime` (seconds), `loss`, `steps`, `epochs`.
        findings: Warnings in words: constant predictions, divergence.
    """

    seed: int
    metrics: dict[str, dict[str, float]]
    logits: dict[str, np.ndarray]
    train: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def save_seed_result(result: SeedResult, folder: Path, settings: dict[str, Any]) -> None:
    """Keep the outcome of a finished seed, so that an interrupted run of many seeds goes on after it.

    Args:
        result: What the seed gave.
        folder: Its own folder, made if need be; gets `logits.npz` and then `results.json`, which vouches for it.
        settings: JSON values that decide the outcome: model, data, recipe. `load_seed_result` asks for the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **result.logits)
    publish(folder / LOGITS_FILE, buffer.getvalue())
    content = {
        "seed": result.seed,
        "metrics": {split: _to_null(values) for split, values in result.metrics.items()},
        "train": _to_null(result.train),
        "findings": result.findings,
        "settings": settings,
        "logits_sha256": sha256_of(folder / LOGITS_FILE),
    }
    publish(folder / RESULTS_FILE, to_json(content))


def load_seed_result(folder: Path, settings: dict[str, Any]) -> SeedResult | None:
    """The outcome of a seed that was finished with the same settings; None if none was finished there.

    Raises:
        UsageError: If the seed was finished with other settings; the message names them.
    """
    content = read_json(folder / RESULTS_FILE)
    logits_file = folder / LOGITS_FILE
    if content is None or not logits_file.is_file() or content.get("logits_sha256") != sha256_of(logits_file):
        return None
    before = content["settings"]
    # As they come back from JSON: a tuple is a list there.
    now = json.loads(to_json(settings))
    different = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if different:
        named = "; ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in different)
        raise UsageError(
            f"{folder}: finished with other settings ({named}). Use another --output_dir, or remove this folder"
        )
    with np.load(logits_file, allow_pickle=False) as arrays:
        logits = {split: arrays[split] for split in arrays.files}
    return SeedResult(
        seed=content["seed"],
        metrics={split: _from_null(values) for split, values in content["metrics"].items()},
        logits=logits,
        train=_from_null(content["train"]),
        findings=content["findings"],
    )


def _to_null(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _from_null(values: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}
