"""Rows of JSON, Parquet and data sets of the Hub: tokens with tags, or a text with entities."""

from collections.abc import Iterator, Sequence
from typing import Any

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.data import Kind, Unit
from electra_hf.finetuning.tagging.readers.sentences import AnnotatedText, AnnotatedTexts, Sentence, Sentences, Span
from electra_hf.finetuning.tagging.schemes import tag_name
from electra_hf.finetuning.tasks.columns import INDEX_COLUMNS, find_column, listed
from electra_hf.finetuning.tasks.tables import Table

TOKENS, TAGS = "--text_column_name", "--label_column_name"
_ID_COLUMNS = (*INDEX_COLUMNS, "curid")
_TOKEN_NAMES = ("tokens", "words")
_TEXT_NAMES = ("text", "sentence", "data")
_ENTITY_NAMES = ("entities", "spans", "labels", "label")
# Names that the members of an entity have in common formats.
_START = ("start", "start_offset", "start_char", "begin")
_END = ("end", "end_offset", "end_char", "stop")
_TYPE = ("label", "type", "tag", "entity_group", "entity", "category")
_SURFACE = ("name", "text", "surface")


def wanted_columns(kind: Kind, text_column: str | None, label_column: str | None) -> set[str]:
    """The columns that `rows_of` may look at; further ones need not be read."""
    texts = (*_TOKEN_NAMES, *_TEXT_NAMES) if text_column is None else (text_column,)
    labels = (*_tag_names(kind), *_ENTITY_NAMES) if label_column is None else (label_column,)
    return {*texts, *labels, *_ID_COLUMNS}


def _tag_names(kind: Kind) -> tuple[str, ...]:
    return (f"{kind}_tags", "tags", "labels", kind)


def rows_of(
    table: Table,
    kind: Kind,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    unit: Unit | None = None,
    optional: bool = False,
) -> Sentences | AnnotatedTexts:
    """Find out what the rows of a table are, and read them.

    Args:
        table: All its columns.
        kind: The tags that are wanted: `ner` prefers the column `ner_tags`.
        text_column: Column of lists of tokens, or of texts; by default tokens are looked for first.
        label_column: Column of lists of tags, or of entities.
        unit: What a token is; None to decide by the tokens: characters if each is one and spaces are among them.
        optional: Whether the rows may have no tags, all of them.

    Raises:
        CorpusError: A column that is not there or holds something else, tags that are not as many as the tokens, or an
            entity outside its text; with its file and line.
    """
    if text_column is None:
        text_column = next((name for name in (*_TOKEN_NAMES, *_TEXT_NAMES) if name in table.columns), None)
        if text_column is None:
            raise CorpusError(
                f"{table.name}: no column of tokens or text; found: {listed(table.header)}: name it with {TOKENS}"
            )
    find_column(table, (text_column,), TOKENS)
    cells = table.columns[text_column]
    if any(isinstance(cell, str) for cell in cells):
        return _texts(table, text_column, label_column, optional)
    names = (label_column,) if label_column is not None else _tag_names(kind)
    return _sentences(table, text_column, names, unit, optional)


def _idx(table: Table) -> list[str]:
    index = next((name for name in _ID_COLUMNS if name in table.columns), None)
    return [str(value) for value in (range(len(table)) if index is None else table.columns[index])]


def _sentences(table: Table, column: str, names: Sequence[str], unit: Unit | None, optional: bool) -> Sentences:
    label = None if optional and not any(name in table.columns for name in names) else find_column(table, names, TAGS)
    class_names = table.class_names.get(label) if label is not None else None
    cells = table.columns[label] if label is not None else [None] * len(table)
    # The Hub writes empty lists, or -1, where it hides the tags of a test split.
    if optional and all(not cell or set(cell) == {-1} for cell in cells if isinstance(cell, list | None)):
        cells = [None] * len(table)
    rows: list[Sentence] = []
    empty: list[int] = []
    for row, (tokens, tags, idx) in enumerate(zip(table.columns[column], cells, _idx(table), strict=True)):
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise CorpusError(
                f"{table.place(row)}: column {column!r} holds {_shown(tokens)} instead of a list of tokens"
            )
        if not tokens:
            empty.append(row)
            continue
        if "" in tokens:
            raise CorpusError(f"{table.place(row)}: token {tokens.index('') + 1} is empty: take it out with its tag")
        if label is not None and cells[row] is not None:
            tags = _tags(table, row, label, tags, class_names)
            if len(tags) != len(tokens):
                raise CorpusError(
                    f"{table.place(row)}: {len(tokens)} tokens and {len(tags)} tags: each token needs one"
                )
        elif not optional:
            raise CorpusError(f"{table.place(row)}: no tags in column {label!r}: add them, or take the row out")
        else:
            tags = None
        rows.append(Sentence(tokens, tags, idx, [table.numbers[row]]))
    if rows and len({row.tags is None for row in rows}) > 1:
        raise CorpusError(f"{table.name}: some rows have tags and others none: give all rows tags or none")
    if unit is None:
        every = {token for row in rows for token in row.tokens}
        unit = "character" if " " in every and all(len(token) == 1 for token in every) else "word"
    sentences = Sentences(table.name, unit, rows, table.unit, declared=class_names, notes=list(table.notes))
    if empty:
        sentences.notes.append(f"{table.places(empty)}: no tokens, left out.")
    return sentences


def _tags(table: Table, row: int, column: str, cell: Any, class_names: list[str] | None) -> list[str]:
    if not isinstance(cell, list):
        raise CorpusError(f"{table.place(row)}: column {column!r} holds {_shown(cell)} instead of a list of tags")
    tags = []
    for tag in cell:
        name = tag_name(tag, class_names)
        if name is None:
            hint = (
                "numbers need names: write the tags as text, or give a data set that declares them"
                if class_names is None
                else f"the data set declares {len(class_names)} tags"
            )
            raise CorpusError(f"{table.place(row)}: tag {tag!r} in column {column!r} has no name: {hint}")
        tags.append(name)
    return tags


def _shown(cell: object) -> str:
    return "nothing" if cell is None else f"a {type(cell).__name__}"


def _texts(table: Table, column: str, label_column: str | None, optional: bool) -> AnnotatedTexts:
    names = (label_column,) if label_column is not None else _ENTITY_NAMES
    label = None if optional and not any(name in table.columns for name in names) else find_column(table, names, TAGS)
    cells = table.columns[label] if label is not None else [None] * len(table)
    unlabelled = optional and all(cell is None for cell in cells)
    rows = []
    for row, (text, cell, idx) in enumerate(zip(table.columns[column], cells, _idx(table), strict=True)):
        if not isinstance(text, str):
            raise CorpusError(f"{table.place(row)}: column {column!r} holds {_shown(text)} instead of a text")
        if unlabelled:
            entities = None
        elif not isinstance(cell, list):
            raise CorpusError(
                f"{table.place(row)}: column {label!r} holds {_shown(cell)} instead of a list of entities: write [] "
                "where there are none"
            )
        else:
            entities = [_span(item, text, f"{table.place(row)}, entity {n}") for n, item in enumerate(cell, start=1)]
        rows.append(AnnotatedText(text, entities, idx, table.numbers[row]))
    return AnnotatedTexts(table.name, rows, table.unit, list(table.notes))


def _span(item: Any, text: str, place: str) -> Span:
    """An entity as a dictionary, or as a list of start, end and type."""
    start, end, entity_type = _members(item)
    if not (_is_offset(start) and _is_offset(end) and isinstance(entity_type, str) and entity_type):
        raise CorpusError(
            f"{place}: {str(item)[:80]} is no entity: write start, end and label, or a list [start, end, label]"
        )
    if not 0 <= start < end <= len(text):
        raise CorpusError(
            f"{place}: characters {start} to {end} of a text of {len(text)} characters: offsets count characters from "
            "0, and the end is the one after the last"
        )
    surface = next(_values(item, _SURFACE), None) if isinstance(item, dict) else None
    if isinstance(surface, str) and surface != text[start:end]:
        raise CorpusError(
            f"{place}: {surface!r} is at characters {start} to {end}, where the text has {text[start:end]!r}: are the "
            "offsets counted in characters, of this text?"
        )
    return Span(start, end, entity_type)


def _is_offset(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _members(item: Any) -> tuple[Any, Any, Any]:
    if isinstance(item, list | tuple) and len(item) == 3:
        start, end, entity_type = item
        return start, end, entity_type
    if isinstance(item, dict):
        entity_type = next(_values(item, _TYPE), None)
        span = item.get("span")
        if isinstance(span, list) and len(span) == 2:
            return span[0], span[1], entity_type
        return next(_values(item, _START), None), next(_values(item, _END), None), entity_type
    return None, None, None


def _values(item: dict[str, Any], names: Sequence[str]) -> Iterator[Any]:
    return (item[name] for name in names if item.get(name) is not None)
