"""Files to columns: TSV, CSV, JSON and Parquet, read whole, with the place of every row for messages.

Tab-separated files are split at line feeds and tabs only. Quotes are text there: the published files of GLUE and NSMC
do not quote, and with the conventions of CSV rows vanish from most of them. A line with another number of columns than
the header is an error, because nothing tells where its text ends.
"""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from electra_hf.corpora.decoding import (
    COMPRESSIONS,
    MAX_RECORD_CHARACTERS,
    read_head,
    reading_errors,
    text_chunks,
    text_lines,
)
from electra_hf.corpora.formats.parquet import python_values
from electra_hf.corpora.remote import is_remote
from electra_hf.errors import CorpusError, UsageError

FORMATS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


class Encoding(NamedTuple):
    """Name of a text encoding, and what becomes of invalid bytes: `strict`, `replace` or `ignore`."""

    name: str = "utf-8"
    errors: str = "strict"


@dataclass
class Table:
    """The rows of one file or split.

    Attributes:
        name: The file, or the data set and its split.
        header: Names of all columns, also of those that were not read.
        columns: Name to values, one for each row.
        numbers: What a message calls each row: its line in a file of lines, counted from 1.
        unit: What a row is called in messages.
        class_names: Column to label names, where the data set declares them.
        notes: What a reader of the results should know about the file.
    """

    name: str
    header: list[str]
    columns: dict[str, list[Any]]
    numbers: Sequence[object]
    unit: str = "line"
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return f"{self.name}, {self.unit} {self.numbers[row]}"

    def places(self, rows: Sequence[int]) -> str:
        """Where rows are, the first three of them."""
        shown = ", ".join(str(self.numbers[row]) for row in rows[:3])
        rest = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
        return f"{self.name}, {self.unit}{'s' if len(rows) > 1 else ''} {shown}{rest}"


def format_of(path: Path) -> str | None:
    """The format of a file by its suffix, one of `FORMATS`, or None.

    >>> format_of(Path("train.TSV.gz")), format_of(Path("ratings_train.txt"))
    ('.tsv', None)
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else None


def read_table(
    path: Path,
    kind: str,
    encoding: Encoding,
    *,
    keep: Collection[str] | None = None,
    header: Sequence[str] | None = None,
    leave_out_malformed: bool = False,
) -> Table:
    """Read a file.

    Args:
        path: A local file, or a URL opened by `corpora.remote.as_path`.
        kind: One of `FORMATS`.
        encoding: Of text files, with what becomes of invalid bytes.
        keep: Columns to read, as far as they are there; all when None. A member of a struct is named `struct.member`.
        header: Names of the columns of a TSV file that has no header line.
        leave_out_malformed: For TSV: note lines with another number of columns than the header instead of failing.

    Raises:
        CorpusError: A file that is missing, empty or damaged, or a line with too few or too many columns.
        UsageError: A compressed Parquet file.
    """
    if kind == ".parquet":
        return _read_parquet(path, keep)
    read_head(path, encoding.name)  # says what is wrong with UTF-16 and with what is no text
    if kind in (".jsonl", ".json"):
        return _read_json(path, encoding, keep)
    table = (
        _read_tsv(path, encoding, keep, header, leave_out_malformed)
        if kind == ".tsv"
        else _read_csv(path, encoding, keep)
    )
    if not table.header:
        raise CorpusError(f"{path}: the file is empty: download or write it again")
    return table


def _read_tsv(
    path: Path,
    encoding: Encoding,
    keep: Collection[str] | None,
    header: Sequence[str] | None,
    leave_out_malformed: bool,
) -> Table:
    lines = enumerate(text_lines(path, *encoding, whole=True), start=1)
    names = list(header) if header is not None else next(lines, (1, ""))[1].split("\t")
    if names == [""]:
        names = []
    width = len(names)
    positions = _positions(names, keep, path)
    columns: list[list[str]] = [[] for _ in positions]
    numbers: list[int] = []
    malformed: list[int] = []
    blank = 0
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != width:
            if not line:
                blank += 1
            elif leave_out_malformed:
                malformed.append(number)
            else:
                raise _wrong_width(path, number, len(cells), width, "remove tabs and line ends from inside the values")
            continue
        numbers.append(number)
        for column, position in zip(columns, positions.values(), strict=True):
            column.append(cells[position])
    table = Table(str(path), names, dict(zip(positions, columns, strict=True)), numbers)
    if malformed:
        shown = ", ".join(map(str, malformed[:3])) + (", ..." if len(malformed) > 3 else "")
        table.notes.append(
            f"{path.name}: {len(malformed):,} lines ({shown}) do not have {width} columns, and were left out."
        )
    _note_blank_lines(table, path, blank)
    return table


def _read_csv(path: Path, encoding: Encoding, keep: Collection[str] | None) -> Table:
    csv.field_size_limit(MAX_RECORD_CHARACTERS)
    lines = text_lines(path, *encoding, whole=True)
    # Strict: an opening quote that is never closed is an error here, and not one value as long as the file.
    rows = csv.reader((line + "\n" for line in lines), strict=True)
    numbers: list[int] = []
    blank = 0
    begun = 0
    try:
        names = next(rows, [])
        positions = _positions(names, keep, path)
        columns: list[list[str]] = [[] for _ in positions]
        begun = rows.line_num
        for cells in rows:
            # The line on which a row begins: quoted values may hold line ends.
            number, begun = begun + 1, rows.line_num
            if not cells:
                blank += 1
                continue
            if len(cells) != len(names):
                hint = 'write values that hold a comma, a quote or a line end as "..."'
                raise _wrong_width(path, number, len(cells), len(names), hint)
            numbers.append(number)
            for column, position in zip(columns, positions.values(), strict=True):
                column.append(cells[position])
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {begun + 1}: not valid CSV ({error}): repair the quotes, or convert the file to JSON Lines"
        ) from error
    table = Table(str(path), names, dict(zip(positions, columns, strict=True)), numbers)
    _note_blank_lines(table, path, blank)
    return table


def _positions(names: list[str], keep: Collection[str] | None, path: Path) -> dict[str, int]:
    kept = {name: position for position, name in enumerate(names) if keep is None or name in keep}
    for name in kept:
        if names.count(name) > 1:
            raise CorpusError(f"{path}, line 1: there are {names.count(name)} columns {name!r}: rename all but one")
    return kept


def _wrong_width(path: Path, number: int, found: int, width: int, hint: str) -> CorpusError:
    return CorpusError(
        f"{path}, line {number}: {found} columns where the file has {width}: {hint}, or convert the file to JSON Lines"
    )


def _note_blank_lines(table: Table, path: Path, blank: int) -> None:
    if blank:
        table.notes.append(f"{path.name}: {blank:,} blank lines hold no row.")


def _read_json(path: Path, encoding: Encoding, keep: Collection[str] | None) -> Table:
    is_array = read_head(path, encoding.name).lstrip().startswith("[")
    records = _array_records(path, encoding) if is_array else _line_records(path, encoding)
    unit = "record" if is_array else "line"
    header: list[str] = []
    columns: dict[str, list[Any]] = {}
    numbers: list[int] = []
    for number, record in records:
        if not isinstance(record, dict):
            raise CorpusError(
                f"{path}, {unit} {number}: a {type(record).__name__} instead of an object: write one object for each "
                "row"
            )
        if not numbers:
            header = list(_members(record))
            columns = {name: [] for name in header if keep is None or name in keep}
        numbers.append(number)
        for name, values in columns.items():
            try:
                values.append(_member(record, name))
            except KeyError:
                raise CorpusError(
                    f"{path}, {unit} {number}: no {name!r}, which the first row has: add it, or null if it is unknown"
                ) from None
    return Table(str(path), header, columns, numbers, unit)


def _members(record: dict[str, Any]) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from (f"{name}.{member}" for member in value)
        else:
            yield name


def _member(record: dict[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    struct, _, member = name.partition(".")
    inner = record[struct]
    if not isinstance(inner, dict):
        raise KeyError(name)
    return inner[member]


def _line_records(path: Path, encoding: Encoding) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text_lines(path, *encoding, whole=True), start=1):
        if line and not line.isspace():
            yield number, _parsed(line, f"{path}, line {number}", "repair the line, or write one object a line")


def _array_records(path: Path, encoding: Encoding) -> Iterator[tuple[int, Any]]:
    text = "".join(text_chunks(path, *encoding))
    return enumerate(_parsed(text, str(path), "the file is truncated or damaged; download or write it again"), start=1)


def _parsed(text: str, place: str, hint: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{place}: not valid JSON ({error}): {hint}") from error


def _read_parquet(path: Path, keep: Collection[str] | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    if path.suffix.lower() in COMPRESSIONS:
        raise UsageError(f"{path}: Parquet files are compressed inside: unpack this one")
    remote: Any = path
    source: dict[str, Any] = {"source": remote.path, "filesystem": remote.fs} if is_remote(path) else {"source": path}
    try:
        with reading_errors(path, "utf-8"), pq.ParquetFile(**source) as file:
            schema = file.schema_arrow
            wanted = [name for name in schema.names if keep is None or any(_within(column, name) for column in keep)]
            table = file.read(columns=wanted)
    except pa.ArrowException as error:
        raise CorpusError(
            f"{path}: the file is truncated or is not a Parquet file ({error}): download or write it again"
        ) from error
    return arrow_table(str(path), table, Features.from_arrow_schema(schema), schema.names, keep)


def _within(column: str, name: str) -> bool:
    return column == name or column.startswith(name + ".")


def arrow_table(name: str, table: Any, features: Any, header: Sequence[str], keep: Collection[str] | None) -> Table:
    """A `Table` of an Arrow table; rows are counted from 0.

    Args:
        name: For messages.
        table: pyarrow.Table with the columns that are wanted, structs as a whole.
        features: `datasets.Features` of the data set, which may declare names of labels.
        header: Names of all columns there are.
        keep: Columns to take, or members of a struct as `struct.member`; all when None.
    """
    from datasets import ClassLabel

    flat = table.flatten()
    wanted = [column for column in flat.column_names if keep is None or column in keep]
    columns = {column: python_values(flat.column(column), f"{name}, column {column!r}") for column in wanted}
    class_names = {}
    for column in columns:
        feature = features.get(column)
        # The type of a list's items is its `feature`.
        feature = getattr(feature, "feature", feature)
        if isinstance(feature, ClassLabel) and feature.names:
            class_names[column] = list(feature.names)
    # Of the columns that were not read, members of structs are not known.
    names = [*flat.column_names, *(name for name in header if name not in table.column_names)]
    return Table(name, names, columns, range(table.num_rows), "row", class_names)
