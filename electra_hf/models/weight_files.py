"""Files of a model folder or Hub repository, found and read, or a reason why not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from electra_hf.errors import CheckpointError, explain_os_error


def find_file(name: str, file: str, **options: Any) -> Path | None:
    """Where a file of a folder or Hub repository is; None if there is none.

    Args:
        name: Folder or Hub id.
        file: Name of the file.
        options: `subfolder`, `revision`, `cache_dir` and `token` as in transformers.

    Raises:
        CheckpointError: If nobody knows, since there is no such name or the Hub is out of reach.
    """
    try:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False, **options)
    except OSError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise CheckpointError(
            f"cannot tell whether {name} holds {file}: {said}; give a folder of a model or a Hub id within reach, and "
            "check its spelling"
        ) from error
    return None if path is None else Path(path)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of one safetensors model, in one file or in shards."""
    single, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME

    def read() -> dict[str, Tensor]:
        if single.is_file():
            return load_file(single)
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: weight for shard in shards for name, weight in load_file(folder / shard).items()}

    return read_safetensors(read, single)


def read_safetensors(read: Callable[[], dict[str, Tensor]], path: Path) -> dict[str, Tensor]:
    try:
        return read()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} holds no {path.name}: it is not a saved checkpoint") from error
    except OSError as error:
        raise CheckpointError(explain_os_error(error, path.parent)) from error
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path.parent} holds damaged weights ({error}): copy or save it again") from error
