"""Files of one JSON object a line that a run adds to, and others read while it goes on.

A reader finds whole lines, but for the last one at most, which may still be in writing (`read_rows` leaves it out). A
writer that was killed in the middle of a line, or whose disk was full, mends the file with its next line. JSON has no
NaN and no infinity: such values are null.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from electra_hf.errors import explain_os_error

logger = logging.getLogger(__name__)


def to_line(row: Mapping[str, Any]) -> str:
    """A row as one line of JSON: its step first, the other keys in their order in the alphabet.

    >>> to_line({"loss": float("nan"), "a": [1.5, float("inf")], "step": 3})
    '{"step": 3, "a": [1.5, null], "loss": null}'
    """
    ordered = dict(sorted(row.items(), key=lambda item: (item[0] != "step", item[0])))
    return json.dumps(_finite(ordered), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a file, which may be in writing; none if there is no such file.

    What is no JSON object, such as half a line at the end, is left out.

    Raises:
        OSError: If the file is there and cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


class JsonLines:
    """The file of one writer.

    A file that cannot be written does not end the run: that is said once, and the rows are kept until it can be.

    Args:
        path: Its folder is made if needed.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._good_size = 0  # bytes, of whole lines
        self._waiting = ""
        self._told = False

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make these rows the whole file, at one stroke."""
        self._good_size, self._waiting = 0, "".join(f"{to_line(row)}\n" for row in rows)
        self._try(self._write_anew)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows, which readers see when this returns."""
        self._waiting += "".join(f"{to_line(row)}\n" for row in rows)
        self._try(self._write_on if self._good_size and self.path.exists() else self._write_anew)

    def _try(self, write: Callable[[bytes], None]) -> None:
        try:
            write(self._waiting.encode())
        except OSError as error:
            if not self._told:
                logger.error(
                    "%s. The run goes on, and these lines are written as soon as they can be.",
                    explain_os_error(error, self.path),
                )
            self._told = True
        else:
            self._waiting = ""

    def _write_anew(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_bytes(content)
        os.replace(new, self.path)
        self._good_size = len(content)

    def _write_on(self, content: bytes) -> None:
        with self.path.open("r+b") as file:
            # Behind the last whole line: what failed in the middle of one has left half of it.
            file.truncate(min(self._good_size, file.seek(0, os.SEEK_END)))
            file.seek(0, os.SEEK_END)
            start = file.tell()
            file.write(content)
        self._good_size = start + len(content)
