"""Errors that a user can act on.

Each message names the thing (file, line, option), says what was found, and ends with the way out. The scripts print it
without a traceback and leave with `exit_code`: 1 for a failure, 2 for wrong usage, 75 for a run that was stopped and
saved (docs/design.md, decision 12).
"""

import errno
import sys
from collections.abc import Callable
from pathlib import Path


class ElectraHfError(Exception):
    """Base of every error whose message is meant for the person at the keyboard."""

    exit_code = 1


class UsageError(ElectraHfError):
    """An option, a YAML key or a combination of them that cannot work."""

    exit_code = 2


class CorpusError(ElectraHfError):
    """Text that cannot be read: a missing or empty file, an encoding, a data set out of reach."""


class TokenizerError(ElectraHfError):
    """A tokenizer that cannot be trained, loaded or used for masked-token training."""


class PreparationError(ElectraHfError):
    """A prepared folder that cannot be written, or does not hold what was asked for."""


class CheckpointError(ElectraHfError):
    """A model folder that is incomplete, or that does not fit the model it is loaded into."""


class TrainingError(ElectraHfError):
    """Training that cannot go on, such as a loss that is no longer a number."""


class Interrupted(ElectraHfError):
    """A run that was asked to stop, and saved what it had: the same command goes on from there."""

    # EX_TEMPFAIL of sysexits.h: not done, but worth calling again.
    exit_code = 75


_OS_HINTS = {
    errno.ENOSPC: "the disk is full: free some space, or choose a folder on another disk",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose a folder on another disk",
    errno.EACCES: "permission denied: change the permissions, or choose a folder that you may write",
    errno.EPERM: "permission denied: change the permissions, or choose a folder that you may write",
    errno.EROFS: "the file system is read-only: choose a folder that you may write",
}


def is_storage_error(error: OSError) -> bool:
    """Whether the disk or its permissions are the cause, and not a bug: the user can do something about it."""
    return error.errno in _OS_HINTS


def explain_os_error(error: OSError, what: str | Path) -> str:
    """One sentence for a failed file operation: what was touched, what the system said, and the way out."""
    hint = _OS_HINTS.get(error.errno or 0)
    return f"{what}: {hint}" if hint else f"{what}: {error.strerror or error}"


def run_script(main: Callable[[], int | None]) -> None:
    """Run a script's `main` and leave with its exit code; user errors are printed without a traceback."""
    try:
        sys.exit(main())
    except ElectraHfError as error:
        kind = "" if isinstance(error, Interrupted) else "error: "
        sys.stderr.write(f"{kind}{_own_words(error)}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        if not is_storage_error(error):
            raise
        sys.stderr.write(f"error: {explain_os_error(error, error.filename or 'writing a file')}\n")
        sys.exit(1)


def _own_words(error: ElectraHfError) -> str:
    """The message, without the traceback that a data loader puts in front of an error of its workers."""
    message = str(error)
    if not message.startswith("Caught "):
        return message
    return message.rpartition(f"{type(error).__module__}.{type(error).__qualname__}: ")[2].strip()
