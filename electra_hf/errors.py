"""Errors that a user can act on.

Each message names the thing (file, line, option), says what was found, and ends with the way out. The scripts print it
without a traceback and leave with `exit_code`: 1 for a failure, 2 for wrong usage, 75 for a run that was stopped and
saved (docs/design.md, decision 12). `--debug` without a value, or ELECTRA_HF_DEBUG=1, shows the traceback too; that of
an error that nobody foresaw is always kept in a file.
"""

import errno
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

DEBUG_OPTION = "--debug"
DEBUG_VARIABLE = "ELECTRA_HF_DEBUG"
DEBUG_HELP = "show the traceback of an error."
# What a shell reports for a process that SIGINT has ended.
INTERRUPTED_AT_ONCE = 130
_PASSWORD_IN_URL = re.compile(r"(://[^/@:\s]*):[^/@\s]+@")


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


class ExportError(ElectraHfError):
    """A model that cannot be written in another format, or that computes something else there."""


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


def without_password(text: str) -> str:
    """A text that may be shown: the password of a URL in it is covered.

    >>> without_password("postgresql://me:secret@host/studies")
    'postgresql://me:***@host/studies'
    """
    return _PASSWORD_IN_URL.sub(r"\1:***@", text)


def without_secrets(text: str) -> str:
    """A text that may be shown: passwords of URLs in it are covered, and the access token of the Hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name):
            text = text.replace(token, "***")
    return without_password(text)


def asks_for_traceback(arguments: Sequence[str]) -> bool:
    """Whether --debug stands among the arguments without a value: with one it is an option of TrainingArguments.

    >>> asks_for_traceback(["--debug", "--max_steps", "1"]), asks_for_traceback(["--debug", "underflow_overflow"])
    (True, False)
    """
    return any(
        word == DEBUG_OPTION and (not after or after.startswith("-"))
        for word, after in zip(arguments, [*arguments[1:], ""], strict=False)
    )


def run_script(main: Callable[[], int | None], *, debug: bool | None = None) -> None:
    """Run a script's `main` and leave with its exit code; errors are told in a sentence.

    Args:
        main: Returns the exit code, or None for 0.
        debug: Show the traceback of an error, too; default: as the process was asked to.
    """
    if debug is None:
        debug = asks_for_traceback(sys.argv[1:])
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED_AT_ONCE, debug)
    except ElectraHfError as error:
        _leave(_own_words(error), error.exit_code, debug, kind="" if isinstance(error, Interrupted) else "error: ")
    except Exception as error:
        if isinstance(error, OSError) and is_storage_error(error):
            _leave(explain_os_error(error, error.filename or "writing a file"), 1, debug)
        if _is_out_of_memory(error):
            _leave(
                f"memory ran out ({_first_line(error)}): lower --per_device_train_batch_size and raise "
                "--gradient_accumulation_steps as much, or take shorter rows or a smaller model",
                1,
                debug,
            )
        _leave(_unforeseen(error), 1, debug)


def _leave(message: str, code: int, debug: bool, kind: str = "error: ") -> None:
    if debug or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        sys.stderr.write(without_secrets(traceback.format_exc()))
    sys.stderr.write(f"{kind}{without_secrets(message)}\n")
    sys.exit(code)


def _unforeseen(error: Exception) -> str:
    """What is said of a bug; its traceback goes to a file, since nobody can ask for it when days have passed."""
    kept = f"show the traceback with {DEBUG_OPTION}"
    try:
        number, name = tempfile.mkstemp(prefix="electra-hf-traceback-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(without_secrets(traceback.format_exc()))
        kept = f"the traceback is in {name}"
    except OSError:
        sys.stderr.write(without_secrets(traceback.format_exc()))
    words = _first_line(error)
    return (
        f"{type(error).__name__}{f': {words}' if words else ''}: this is a bug, or an input that was not foreseen; "
        f"{kept}: please report it with the command"
    )


def _is_out_of_memory(error: Exception) -> bool:
    # torch's own error of a GPU has no base but RuntimeError, and that of a CPU has no class.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".") for line in _own_words(error).splitlines() if line.strip()), "")


def _own_words(error: Exception) -> str:
    """The message, without the traceback that a data loader puts in front of an error of its workers."""
    message = str(error)
    if not message.startswith("Caught "):
        return message
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return message.rpartition(f"{name}: ")[2].strip()
