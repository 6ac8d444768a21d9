"""What a checkpoint keeps for each process: the open logging window, and whatever else is registered.

The stock Trainer forgets the losses since the last logging event, so the first figures of a resumed run are of another
window than those of a run that was never interrupted.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import set_seed

from electra_hf.errors import CheckpointError
from electra_hf.training.checkpoints.failures import explain_load_errors


class Stateful(Protocol):
    """What a checkpoint keeps for each process beside what the stock Trainer keeps."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries: what `torch.load(weights_only=True)` reads."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, in a process of the same rank; with another number of processes, from the first's."""
        ...


def process_state_name(rank: int, world_size: int) -> str:
    """The file of a process, named as the Trainer names those of random numbers.

    >>> process_state_name(0, 1), process_state_name(1, 2)
    ('process_state.pt', 'process_state_1.pt')
    """
    return "process_state.pt" if world_size == 1 else f"process_state_{rank}.pt"


def load_process_state(folder: Path, rank: int, world_size: int) -> dict[str, Any]:
    """The state of one process.

    Args:
        folder: The checkpoint.
        rank: Of the process.
        world_size: With how many processes the checkpoint was made.

    Raises:
        CheckpointError: If the file is missing, cannot be read, or holds more than plain data.
    """
    path = folder / process_state_name(rank, world_size)
    require(path)
    with explain_load_errors(path):
        return torch.load(path, map_location="cpu", weights_only=True)


def require(path: Path) -> None:
    """Refuse to go on without a file that the stock Trainer would do without in silence.

    Raises:
        CheckpointError: If it is missing.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing, and training would not go on as before without it: take another checkpoint"
        )


def start_noise_anew(seed: int, step: int, rank: int) -> None:
    """Seed a process that no saved state belongs to, as after a change of the number of processes.

    Args:
        seed: Of the run.
        step: That training goes on from, so that no noise is drawn twice.
        rank: Of the process, so that each draws its own.
    """
    set_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))
