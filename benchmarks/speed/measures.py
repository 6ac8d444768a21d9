"""The device's own speed, and the memory that a step takes."""

import resource
import time
from typing import Any

import psutil
import torch
from torch import nn

from speed.clock import now


def matmul_peak(precision: str, device: str, seconds: float = 0.5) -> float:
    """FLOP/s of one large square matrix product, the best of as many as fit the time."""
    size = 8192 if device == "cuda" else 1536
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    result = torch.empty(size, size, device=device, dtype=dtype)
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = now(device)
        torch.mm(left, right, out=result)
        best = min(best, now(device) - start)
    return 2 * size**3 / best


def resident_bytes() -> int:
    """What this process holds in memory now."""
    return psutil.Process().memory_info().rss


def peak_bytes(device: str, at_start: int) -> int:
    """The most memory since the start: on a GPU of its allocator, else of the process, less what it began with."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - at_start


def saved_bytes(model: nn.Module, batch: dict[str, Any], precision: str, device: str) -> int:
    """Bytes that one forward pass keeps for its backward pass, parameters left out, shared storage counted once.

    What a custom function hides from autograd (an attribute of its context) is not seen.
    """
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, int] = {}
    kept = []  # alive until the end, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"),
    ):
        model(**batch)
    return sum(storages.values())
