"""The folder that an export is written to: whole or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from electra_hf.errors import UsageError, explain_os_error

REPORT_NAME = "export.json"


def import_extra(*names: str) -> list[Any]:
    """Packages of the extra `export`.

    Raises:
        UsageError: If one is missing.
    """
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise UsageError(
            f'this export needs {error.name or names[0]}, which is not installed: pip install "electra_hf[export]"'
        ) from error


def check_output(folder: Path, source: str, *, overwrite: bool) -> None:
    """Refuse a folder whose content would be lost.

    Args:
        folder: Where the export goes.
        source: Folder or Hub id of the model.
        overwrite: Replace an earlier export.

    Raises:
        UsageError: If it is a file, holds anything but an export that may be replaced, or holds the model.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir {folder} is a file: name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if Path(source).resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--output_dir {folder} holds the model itself: name another folder, such as {folder}-export")
    if not (folder / REPORT_NAME).is_file():
        raise UsageError(f"--output_dir {folder} is not empty, and no export ({REPORT_NAME}): name a new folder")
    if not overwrite:
        raise UsageError(
            f"--output_dir {folder} holds an export: name another folder, or replace it with --overwrite_output_dir"
        )


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` if the block ends without an error, and is removed if not.

    Raises:
        UsageError: If it cannot be written.
    """
    temporary = folder.absolute().with_name(f"_tmp-{folder.absolute().name}-{os.getpid()}")
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UsageError(explain_os_error(error, f"--output_dir {folder}")) from error
    try:
        yield temporary
        if folder.exists():
            folder.rename(replaced)
        try:
            temporary.rename(folder)
        except OSError:
            if replaced.exists():
                replaced.rename(folder)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
