"""File formats to texts: plain text, WikiExtractor, JSON Lines, CSV, TSV and Parquet.

Each reader streams one file: it holds one document, one record or one Parquet batch at a time. What is wrong in a file
is reported with the file and the line number.
"""

import csv
import html
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import join_lines, text_value
from electra_hf.corpora.decoding import COMPRESSIONS, MAX_RECORD_CHARACTERS, reading_errors, text_lines
from electra_hf.corpora.parts import Converter, as_it_is
from electra_hf.errors import CorpusError

DOCUMENT_SEPARATORS = ("blank_line", "file", "line")
SUPPORTED_FORMATS = (
    ".txt, .jsonl and .json (JSON Lines), .csv, .tsv, .parquet, and WikiExtractor's output with or without --json; "
    f"all but .parquet may be compressed ({', '.join(COMPRESSIONS)})"
)

_PARQUET_BATCH_ROWS = 256

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadingOptions:
    """How files are read; the fields are explained in `LocalFiles`."""

    text_column_name: str = "text"
    document_separator: str = "blank_line"
    encoding: str = "utf-8"
    encoding_errors: str = "strict"


Reader = Callable[[Path, ReadingOptions], Iterator[str]]


@dataclass(frozen=True)
class Format:
    """How a file is read: `read` yields its records, `convert` turns a record into texts (see `corpora.parts`)."""

    read: Reader
    convert: Converter = as_it_is


def choose_format(path: Path, head: str) -> Format | None:
    """The format of a file by its suffix and by the beginning of its (decompressed) text; None when there is none."""
    reader = choose_reader(path, head)
    return None if reader is None else Format(reader)


def choose_reader(path: Path, head: str) -> Reader | None:
    """The reader for a file by its suffix and by the beginning of its (decompressed) text; None when there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    beginning = head.lstrip()
    if suffix == ".txt":
        return read_wikiextractor if beginning.startswith("<doc id=") else read_plain_text
    by_suffix = {".jsonl": read_json_lines, ".json": read_json_lines, ".csv": read_csv, ".tsv": read_tsv}
    if suffix in by_suffix:
        return by_suffix[suffix]
    if beginning.startswith("<doc "):
        return read_wikiextractor
    return read_json_lines if beginning.startswith("{") else None


def read_plain_text(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the documents of a text file, divided as `document_separator` says."""
    lines = text_lines(path, options.encoding, options.encoding_errors)
    match options.document_separator:
        case "line":
            return lines
        case "file":
            return join_lines(lines)
    return _paragraph_groups(lines)


def _paragraph_groups(lines: Iterator[str]) -> Iterator[str]:
    ended = False

    def until_blank() -> Iterator[str]:
        nonlocal ended
        for line in lines:
            if not line or line.isspace():
                return
            yield line
        ended = True

    while not ended:
        yield from join_lines(until_blank())


def read_wikiextractor(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the articles of a WikiExtractor file: the title is the first line; articles without a body are left out.

    The format is `<doc ...>`, title, blank line, body, `</doc>`. Titles are XML-escaped there, bodies are text.
    """
    lines = enumerate(text_lines(path, options.encoding, options.encoding_errors), start=1)
    outside = 0
    for number, line in lines:
        if line.startswith("<doc "):
            yield from join_lines(_article(lines, path, number))
        elif line and not line.isspace():
            outside += 1
    if outside:
        logger.warning("%s: %d lines outside of <doc ...> and </doc> were left out", path, outside)


def _article(lines: Iterable[tuple[int, str]], path: Path, opened: int) -> Iterator[str]:
    """The lines up to `</doc>`; the title is among them only if another one follows it."""
    title = ""
    for number, line in lines:
        if line == "</doc>":
            return
        if number == opened + 1:
            title = html.unescape(line)
            continue
        if title and line and not line.isspace():
            yield title
            title = ""
        yield line
    logger.warning("%s, line %d: this <doc ...> has no </doc>: the file may be truncated", path, opened)


def read_json_lines(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a file that holds one JSON object a line."""
    column = options.text_column_name
    nulls = 0
    for number, line in enumerate(text_lines(path, options.encoding, options.encoding_errors, whole=True), start=1):
        if not line or line.isspace():
            continue
        place = f"{path}, line {number}"
        if not line.lstrip().startswith("{"):
            raise CorpusError(_explain_broken_json(place, line, "it does not begin with a brace"))
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(_explain_broken_json(place, line, error)) from error
        if column not in record:
            raise missing_column(place, column, record)
        text = text_value(record[column], f"{place}, column {column!r}")
        if text is None:
            nulls += 1
        elif "\\ud" in line or "\\uD" in line:
            yield _without_lone_surrogates(text)
        else:
            yield text
    report_nulls(str(path), column, nulls)


def _explain_broken_json(place: str, line: str, problem: object) -> str:
    one_document = line.lstrip().startswith("[") or line.strip() == "{"
    hint = (
        "this looks like one JSON document: write JSON Lines instead, for example with `jq -c '.[]'`"
        if one_document
        else "repair or remove the line"
    )
    return f"{place}: not one JSON object a line ({problem}): {hint}"


def _without_lone_surrogates(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON escapes can spell and no UTF-8 tokenizer accepts."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_csv(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a comma-separated file with a header; quoted values may hold line ends.

    The field size limit of the `csv` module is raised, for the whole process.
    """
    csv.field_size_limit(MAX_RECORD_CHARACTERS)
    lines = text_lines(path, options.encoding, options.encoding_errors, whole=True)
    # Strict: an opening quote that is never closed is an error here, and not one value as long as the file.
    rows = csv.reader((line + "\n" for line in lines), strict=True)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in rows:
                yield rows.line_num, row
        except csv.Error as error:
            raise CorpusError(
                f"{path}, line {rows.line_num}: not valid CSV ({error}): repair the quotes, or convert the file to "
                "JSON Lines"
            ) from error

    return _column_of_rows(numbered(), path, options.text_column_name)


def read_tsv(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a tab-separated file with a header; quotes are text, a line is a row."""
    lines = text_lines(path, options.encoding, options.encoding_errors, whole=True)
    rows = ((number, line.split("\t") if line else []) for number, line in enumerate(lines, start=1))
    return _column_of_rows(rows, path, options.text_column_name)


def _column_of_rows(rows: Iterator[tuple[int, list[str]]], path: Path, column: str) -> Iterator[str]:
    _, header = next(rows, (1, []))
    if column not in header:
        raise missing_column(f"{path}, line 1", column, header)
    position = header.index(column)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise CorpusError(
                f"{path}, line {number}: {len(row)} columns where the header has {len(header)}: quote the separators "
                "inside values (CSV), remove them (TSV), or convert the file to JSON Lines"
            )
        yield row[position]


def read_parquet(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a Parquet file; the other columns are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = options.text_column_name
    nulls = 0
    try:
        # Without pre-buffering: it would hold whole row groups.
        with reading_errors(path, "utf-8"), pq.ParquetFile(path, pre_buffer=False) as file:
            if column not in file.schema_arrow.names:
                raise missing_column(str(path), column, columns_text_first(file.schema_arrow))
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH_ROWS, columns=[column]):
                for value in batch.column(column).to_pylist():
                    text = text_value(value, f"{path}, column {column!r}")
                    if text is None:
                        nulls += 1
                    else:
                        yield text
    except pa.ArrowException as error:
        raise CorpusError(
            f"{path}: the file is truncated or is not a Parquet file ({error}): download or write it again"
        ) from error
    report_nulls(str(path), column, nulls)


def columns_text_first(schema: Any) -> list[str]:
    """The column names of an Arrow schema, those of text before the others."""
    return sorted(schema.names, key=lambda name: "string" not in str(schema.field(name).type))


def missing_column(place: str, column: str, found: Iterable[str]) -> CorpusError:
    """The error for a text column that is not there; it names the columns that are."""
    names = list(found)
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return CorpusError(
        f"{place}: no column {column!r}; found: {shown or 'none'}: name the text column with --text_column_name"
    )


def report_nulls(place: str, column: str, nulls: int) -> None:
    """Say how many rows had a null instead of text."""
    if nulls:
        logger.warning("%s: %d rows with a null in column %r were left out", place, nulls, column)
