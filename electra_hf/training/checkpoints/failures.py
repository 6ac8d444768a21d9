"""What saving and loading raise, in a sentence: Python, torch, safetensors and tokenizers each have their own way."""

import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from electra_hf.errors import CheckpointError, explain_os_error

_OS_ERROR = re.compile(r"\(os error (\d+)\)|because of errno (\d+)|failed with error code (\d+)")
_TORCH_WRITER = (
    "inline_container",
    "PytorchStreamWriter",
    "file_adapter",
    "open file failed",
    "Parent directory",
    "iostream",
)


@contextmanager
def explain_save_errors(folder: str | Path) -> Iterator[None]:
    """Turn what saving a model or its optimiser raises when the system cannot write into a sentence with the folder.

    Args:
        folder: What is being written.

    Raises:
        CheckpointError: If the operating system failed, as Python, safetensors, tokenizers or torch report it.
    """
    try:
        yield
    except OSError as error:
        # Without a number it is not the system's; and a connection is no disk.
        if error.errno is None or isinstance(error, ConnectionError):
            raise
        raise _cannot_save(explain_os_error(error, folder)) from error
    except SafetensorError as error:
        # "... I/O error: No space left on device (os error 28)"
        raise _cannot_save(explain_os_error(_os_error(str(error)), folder)) from error
    except RuntimeError as error:
        # torch.save's writer in C++ often tells neither a number nor a cause.
        if not any(name in str(error) for name in _TORCH_WRITER):
            raise
        if _OS_ERROR.search(str(error)):
            raise _cannot_save(explain_os_error(_os_error(str(error)), folder)) from error
        raise _cannot_save(
            f"{folder}: torch could not write the file, which happens when the disk is full: free some space, or "
            "choose a folder on another disk"
        ) from error
    except Exception as error:
        # The tokenizers library has no class of its own for what the system says.
        if type(error) is not Exception or not _OS_ERROR.search(str(error)):
            raise
        raise _cannot_save(explain_os_error(_os_error(str(error)), folder)) from error


def _os_error(text: str) -> OSError:
    match = _OS_ERROR.search(text)
    if match is None:
        return OSError(text)
    number = int(next(group for group in match.groups() if group))
    return OSError(number, os.strerror(number))


def _cannot_save(reason: str) -> CheckpointError:
    return CheckpointError(f"cannot save to {reason}")


@contextmanager
def explain_load_errors(what: str | Path) -> Iterator[None]:
    """Turn what reading a part of a checkpoint raises into one sentence that names it.

    Args:
        what: The file or folder.

    Raises:
        CheckpointError: If it cannot be read, does not fit, or holds more than plain data.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{what} holds something else than tensors and plain values, and was not loaded, since it could run code: "
            f"take another checkpoint, of a source you trust ({reason[:200]})"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError) as error:
        raise CheckpointError(
            f"{what} cannot be read or does not fit this run: {type(error).__name__}: {error}. Give the options that "
            "the checkpoint was made with, or take another checkpoint"
        ) from error
