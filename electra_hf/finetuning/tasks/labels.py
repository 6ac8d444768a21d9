"""Cells of a label column to numbers, and everything that can be wrong with them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks.tables import Table
from electra_hf.finetuning.tasks.task import Kind

# What the Hub writes into the label column of an unlabelled split.
_UNKNOWN = -1
# Fewer rows than this may well have a label each.
_FEW_ROWS = 10


@dataclass(frozen=True)
class Labels:
    """How the labels of a task are read.

    Attributes:
        kind: What a label is.
        names: Names in the order of their numbers; empty for regression.
        published: Whether the names are a published task's, whose files may have their numbers instead.
        separator: Between the names in a text cell of a multi-label column.
    """

    kind: Kind
    names: tuple[str, ...]
    published: bool = False
    separator: str = ","

    def encode(self, table: Table, column: str, *, optional: bool) -> list[Any] | None:
        """The labels of a table.

        Args:
            table: Its rows.
            column: The label column.
            optional: Whether the labels may be unknown, in all rows at once.

        Returns:
            For each row an int, a float, or a list of 0.0 and 1.0; None if the table is unlabelled.

        Raises:
            CorpusError: Rows without a label, or with one that the task does not have.
        """
        cells = table.columns[column]
        missing = self._missing(table, column)
        if optional and len(missing) == len(cells):
            return None
        if missing:
            way_out = "give all rows a label or none" if optional else "add the labels, or take the rows out"
            raise CorpusError(f"{table.places(missing)}: no label in column {column!r}: {way_out}")
        class_names = table.class_names.get(column)
        match self.kind:
            case "regression":
                return [_score(cell, table, row) for row, cell in enumerate(cells)]
            case "multi_label":
                return self._vectors(table, column, class_names)
            case "classification":
                return self._numbers(table, column, class_names)

    def _missing(self, table: Table, column: str) -> list[int]:
        """Rows without a label."""
        cells = table.columns[column]
        # A cell without any name is a multi-label row with no label.
        blank = is_null if self.kind == "multi_label" and any(not is_missing(cell) for cell in cells) else is_missing
        unknown = "-1" not in self.names and (
            self.published or column in table.class_names or all(_is_unknown(cell) for cell in cells)
        )
        return [row for row, cell in enumerate(cells) if blank(cell) or (unknown and _is_unknown(cell))]

    def _numbers(self, table: Table, column: str, class_names: list[str] | None) -> list[int]:
        known = {name: number for number, name in enumerate(self.names)}
        if self.published:
            known = {str(number): number for number in range(len(self.names))} | known
        cells = table.columns[column]
        numbers: dict[Any, int | None] = {}
        encoded = []
        unknown: dict[str, list[int]] = {}
        for row, cell in enumerate(cells):
            # True equals 1 as a key, and is another label.
            key = (type(cell), cell) if isinstance(cell, str | int | float) else None
            if key is None:
                raise CorpusError(
                    f"{table.place(row)}: a {type(cell).__name__} in column {column!r}, and the task has one label a "
                    "row: use --task_kind multi_label"
                )
            if key not in numbers:
                numbers[key] = known.get(label_name(cell, class_names))
            number = numbers[key]
            if number is None:
                unknown.setdefault(label_name(cell, class_names), []).append(row)
            else:
                encoded.append(number)
        if unknown:
            raise self._unknown_labels(table, unknown)
        return encoded

    def _vectors(self, table: Table, column: str, class_names: list[str] | None) -> list[list[float]]:
        known = {name: number for number, name in enumerate(self.names)}
        vectors = []
        unknown: dict[str, list[int]] = {}
        for row in range(len(table)):
            vector = [0.0] * len(known)
            for name in cell_names(table, column, row, self.separator, class_names):
                if name in known:
                    vector[known[name]] = 1.0
                else:
                    unknown.setdefault(name, []).append(row)
            vectors.append(vector)
        if unknown:
            raise self._unknown_labels(table, unknown)
        return vectors

    def _unknown_labels(self, table: Table, unknown: dict[str, list[int]]) -> CorpusError:
        label, rows = next(iter(unknown.items()))
        known = ", ".join(map(repr, self.names[:10])) + (", ..." if len(self.names) > 10 else "")
        others = f", and {len(unknown) - 1} more such labels" if len(unknown) > 1 else ""
        found = f"{table.places(rows)}: label {label!r} ({len(rows):,} rows{others})"
        if _is_fraction(label):
            return CorpusError(
                f"{found} is a score, and this task is a classification with the labels {known}: correct the column"
                + ("" if self.published else ", or use --task_kind regression")
            )
        if self.published:
            return CorpusError(f"{found} is not one of the task's labels {known}: is this the right file and column?")
        return CorpusError(
            f"{found} does not occur in the training rows, whose labels are {known}: correct the spelling, add "
            "training rows with it, or take the rows out"
        )


def is_null(cell: object) -> bool:
    """Whether there is no value: null, or the NaN of tables that have no null."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_missing(cell: object) -> bool:
    """Whether a cell is null or blank."""
    return is_null(cell) or (isinstance(cell, str) and not cell.strip())


def _is_unknown(cell: object) -> bool:
    return cell == _UNKNOWN or cell == str(_UNKNOWN)


def label_name(cell: object, class_names: Sequence[str] | None = None) -> str:
    """The name that a cell of a classification has.

    Args:
        cell: Text, int, bool, or a float.
        class_names: What numbers mean, where the data set declares it.

    >>> label_name(" spam "), label_name(1), label_name(2.0), label_name(True), label_name(1, ["neg", "pos"])
    ('spam', '1', '2', 'true', 'pos')
    """
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and class_names is not None and 0 <= cell < len(class_names):
        return class_names[cell]
    return str(cell)


def cell_names(
    table: Table, column: str, row: int, separator: str, class_names: Sequence[str] | None = None
) -> list[str]:
    """The names in one cell of a multi-label column.

    Raises:
        CorpusError: A cell that is neither text nor a list of texts or whole numbers.
    """
    cell = table.columns[column][row]
    if isinstance(cell, str):
        return [name for part in cell.split(separator) if (name := part.strip())]
    if isinstance(cell, list) and all(isinstance(item, str | int) for item in cell):
        return [label_name(item, class_names) for item in cell]
    raise CorpusError(
        f"{table.place(row)}: {cell!r} in column {column!r}: the labels of a multi-label row are a list of names (or "
        "whole numbers), or text with --label_separator between the names"
    )


def infer_kind(table: Table, column: str) -> Kind:
    """What the labels of training rows are: lists, numbers with a point, or names.

    Whole numbers are names of classes, floats are scores, as in run_glue.py.
    """
    cells = [cell for cell in table.columns[column] if not is_missing(cell)]
    if any(isinstance(cell, list) for cell in cells):
        return "multi_label"
    if column in table.class_names:
        return "classification"
    values = set(_hashable(cells))
    scores = all(_is_number(value) for value in values) and any(not _is_whole(value) for value in values)
    return "regression" if scores else "classification"


def _is_number(cell: object) -> bool:
    if isinstance(cell, bool):
        return False
    if isinstance(cell, str):
        try:
            float(cell)
        except ValueError:
            return False
        return True
    return isinstance(cell, int | float)


def _is_whole(cell: object) -> bool:
    """Whether a number is written without a point."""
    if isinstance(cell, str):
        return cell.strip().lstrip("+-").isdecimal()
    return isinstance(cell, int)


def _is_fraction(name: str) -> bool:
    return _is_number(name) and not float(name).is_integer()


def _score(cell: object, table: Table, row: int) -> float:
    if not _is_number(cell):
        raise CorpusError(
            f"{table.place(row)}: label {cell!r} is not a number, and this task is a regression: correct it, or use "
            "--task_kind classification for names"
        )
    value = float(cast(Any, cell))
    if not math.isfinite(value):
        raise CorpusError(f"{table.place(row)}: label {cell!r} is not a finite number: correct it")
    return value


def find_names(
    tables: Sequence[Table], column: str, kind: Kind, separator: str, *, training: bool = True
) -> tuple[str, ...]:
    """The names of the labels of one's own data, in the order of their numbers.

    Args:
        tables: Labelled rows that decide: the training rows, or without any those that are evaluated.
        column: The label column.
        kind: Not regression.
        separator: Between names in a text cell of a multi-label column.
        training: Whether the rows are to be learnt from, and have to have several labels.

    Returns:
        The names that the data set declares, in its order; else those that occur, whole numbers by size, others
        by code point.

    Raises:
        CorpusError: Labels that are scores, fewer than two labels, or another one in every row.
    """
    found: set[str] = set()
    for table in tables:
        declared = table.class_names.get(column)
        if declared is not None:
            return tuple(declared)
        seen: set[object] = set()
        for row, cell in enumerate(table.columns[column]):
            if kind == "multi_label":
                found.update(() if is_null(cell) else cell_names(table, column, row, separator))
            elif not is_missing(cell) and not isinstance(cell, list | dict) and (type(cell), cell) not in seen:
                seen.add((type(cell), cell))
                if _is_fraction(label_name(cell)):
                    raise CorpusError(
                        f"{table.place(row)}: label {cell!r} is a score, and --task_kind is classification: use "
                        "--task_kind regression"
                    )
                found.add(label_name(cell))
    name = ", ".join(table.name for table in tables)
    if not found:
        raise CorpusError(f"{name}: no label at all in column {column!r}: name the column with --label_column_name")
    if training and kind == "classification" and len(found) < 2:
        raise CorpusError(
            f"{name}: all rows have the label {next(iter(found))!r}: a classification needs two labels or more"
        )
    rows = sum(len(table) for table in tables)
    if kind == "classification" and len(found) == rows >= _FEW_ROWS:
        raise CorpusError(
            f"{name}: every one of the {rows:,} rows has another label in column {column!r}: name the label column "
            "with --label_column_name, or use --task_kind regression if labels are numbers"
        )
    whole = all(_is_whole(label) for label in found)
    return tuple(sorted(found, key=lambda label: (int(label) if whole else 0, label)))


def _hashable(cells: Sequence[Any]) -> Iterable[Any]:
    return (cell for cell in cells if not isinstance(cell, list | dict))
