"""What a run ends with, to the last bit: the states in its last checkpoint, and its log."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers.trainer_pt_utils import safe_globals

# What names of logged figures that depend on the clock end with.
_TIMING = ("runtime", "per_second", "remaining_seconds", "teraflops", "preparation_time")


def tensors_in(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors and numbers of a nested state, by their place."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    if isinstance(value, np.ndarray):
        return {name: torch.from_numpy(value.astype(np.int64))}
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {name: torch.tensor(float(value), dtype=torch.float64)} if isinstance(value, int | float) else {}
    return {key: tensor for item, inner in items for key, tensor in tensors_in(inner, f"{name}/{item}").items()}


def final_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All tensors and numbers of a checkpoint: weights, optimiser, schedule and random states."""
    state = {}
    for path in sorted(checkpoint.rglob("*")):
        name = str(path.relative_to(checkpoint))
        if path.suffix == ".safetensors":
            state |= {f"{name}: {key}": value for key, value in load_file(path).items()}
        elif path.name in ("optimizer.pt", "scheduler.pt") or path.name.startswith("rng_state"):
            with safe_globals():
                state |= tensors_in(torch.load(path, weights_only=True, map_location="cpu"), name)
    return state


def differing_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> int:
    """Bits that differ, in all tensors; those of a tensor that only one side has count as different."""
    bits = 0
    for name in one.keys() | other.keys():
        pair = [side[name].contiguous().flatten().view(torch.uint8).numpy() for side in (one, other) if name in side]
        if len(pair) < 2 or pair[0].shape != pair[1].shape:
            bits += 8 * max(map(len, pair))
        else:
            bits += int(np.bitwise_count(pair[0] ^ pair[1]).sum())
    return bits


def logged(folder: Path) -> dict[str, str]:
    """Everything in the log that does not depend on the clock, by its place, as text: NaN is NaN."""
    rows = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return {
        f"{number}/{name}": json.dumps(value)
        for number, row in enumerate(rows)
        for name, value in row.items()
        if not name.endswith(_TIMING)
    }


def differing_entries(one: Path, other: Path) -> int:
    """Entries of two runs' logs that differ, or that only one of them has."""
    ours, theirs = logged(one), logged(other)
    return sum(ours.get(name) != theirs.get(name) for name in ours.keys() | theirs.keys())
