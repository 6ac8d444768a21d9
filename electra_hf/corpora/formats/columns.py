"""Files with columns to the texts of one of them: JSON Lines, JSON arrays, CSV and TSV.

What is wrong in a file is reported with the file and the line, row or record number.
"""

import csv
import json
import logging
import re
from collections.abc import Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import ijson

from electra_hf.corpora.corpus import text_value
from electra_hf.corpora.decoding import MAX_RECORD_CHARACTERS, text_chunks, text_lines
from electra_hf.corpora.formats.options import Reader, ReadingOptions
from electra_hf.corpora.formats.rows import join_rows
from electra_hf.errors import CorpusError

_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Quick, and true for some escaped backslashes too; the other expression tells them apart.
_LONE_SURROGATE = re.compile(rf"{_HIGH}(?!{_LOW})|(?<!\\u[dD][89abAB]..){_LOW}")
_ESCAPE = re.compile(rf"{_HIGH}{_LOW}|(?P<lone>{_HIGH}|{_LOW})|\\.", re.DOTALL)

_MAX_NESTING = 1_000

logger = logging.getLogger(__name__)


def joining_rows(read: Reader) -> Reader:
    """Let a reader that yields the texts of rows join them to documents where `options.rows` asks for it."""

    @wraps(read)
    def read_documents(path: Path, options: ReadingOptions) -> Iterator[str]:
        return join_rows(read(path, options), options.rows)

    return read_documents


@joining_rows
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
        text = _text_of(record, column, place)
        nulls += text is None
        if text is not None:
            yield _without_lone_surrogates(text) if "\\ud" in line or "\\uD" in line else text
    report_nulls(str(path), column, nulls)


def _explain_broken_json(place: str, line: str, problem: object) -> str:
    hint = (
        "this looks like one JSON document: write JSON Lines, or an array of objects"
        if line.strip() == "{"
        else "repair or remove the line"
    )
    return f"{place}: not one JSON object a line ({problem}): {hint}"


def _text_of(record: dict[str, Any], column: str, place: str) -> str | None:
    if column not in record:
        raise missing_column(place, column, record)
    return text_value(record[column], f"{place}, column {column!r}")


def _without_lone_surrogates(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON escapes can spell and no UTF-8 tokenizer accepts."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@joining_rows
def read_json_array(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a file that holds one JSON array of objects, of any length."""
    column = options.text_column_name
    number = 0
    nulls = 0
    for number, record in enumerate(_array_items(path, options), start=1):
        place = f"{path}, record {number}"
        if not isinstance(record, dict):
            raise CorpusError(
                f"{place}: a {type(record).__name__} instead of an object: write an array of objects, or JSON Lines"
            )
        text = _text_of(record, column, place)
        nulls += text is None
        if text is not None:
            yield text
    report_nulls(str(path), column, nulls)


def _array_items(path: Path, options: ReadingOptions) -> Iterator[Any]:
    items = ijson.sendable_list()
    parser = ijson.items_coro(items, "item", use_float=True)
    number = 0
    unfinished = 0
    looked_for_nesting = False
    try:
        for chunk in _sound_escapes(text_chunks(path, options.encoding, options.encoding_errors)):
            if not chunk:
                continue  # to the parser it would be the end
            if not looked_for_nesting and _surplus(chunk) > _MAX_NESTING:
                _refuse_deep_nesting(path, options)
                looked_for_nesting = True
            parser.send(chunk.encode("utf-8", "surrogatepass"))
            unfinished = 0 if items else unfinished + len(chunk)
            if unfinished > MAX_RECORD_CHARACTERS:
                raise CorpusError(
                    f"{path}, record {number + 1}: longer than {MAX_RECORD_CHARACTERS} characters: is a quote not "
                    "closed? Repair or split the record"
                )
            number += len(items)
            yield from items
            items.clear()
        parser.close()
    except ijson.JSONError as error:
        reason = " ".join(str(error).split()[:12])
        raise CorpusError(
            f"{path}, after record {number + len(items)}: not a JSON array ({reason}): the file is truncated or "
            "damaged; download or write it again"
        ) from error
    yield from items


def _surplus(text: str) -> int:
    """How many more brackets a text opens than it closes."""
    return text.count("[") + text.count("{") - text.count("]") - text.count("}")


def _refuse_deep_nesting(path: Path, options: ReadingOptions) -> None:
    """Read a file a second time, without building its records: their memory grows with the square of the nesting."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    depth = 0
    for chunk in _sound_escapes(text_chunks(path, options.encoding, options.encoding_errors, 2**12)):
        if chunk:
            parser.send(chunk.encode("utf-8", "surrogatepass"))
        for event, _ in events:
            depth += event.startswith("start_") - event.startswith("end_")
            if depth > _MAX_NESTING:
                raise CorpusError(
                    f"{path}: nested in more than {_MAX_NESTING:,} brackets: this is no array of records; repair the "
                    "file, or leave it out"
                )
        events.clear()


def _sound_escapes(chunks: Iterable[str]) -> Iterator[str]:
    """JSON without halves of surrogate pairs, at which the parser would fail."""
    kept = ""
    for chunk in chunks:
        chunk = kept + chunk
        # No pair may be cut in two, and none reaches over a space or a comma.
        cut = max(chunk.rfind(" "), chunk.rfind(",")) + 1 if "\\" in chunk[-12:] else len(chunk)
        chunk, kept = chunk[:cut], chunk[cut:]
        yield _ESCAPE.sub(_sound_escape, chunk) if _LONE_SURROGATE.search(chunk) else chunk
    yield _ESCAPE.sub(_sound_escape, kept) if _LONE_SURROGATE.search(kept) else kept


def _sound_escape(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["lone"] else escape[0]


@joining_rows
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


@joining_rows
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
