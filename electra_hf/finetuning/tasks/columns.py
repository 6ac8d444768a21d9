"""Which column of a table is which."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks.labels import is_missing
from electra_hf.finetuning.tasks.tables import Table

TEXT, PAIR, LABEL = "--text_column_name", "--text_pair_column_name", "--label_column_name"
INDEX_COLUMNS = ("index", "idx", "id", "guid", "sentence_pair_id", "review_id")
_LOOKED_AT = 1000


@dataclass(frozen=True)
class Columns:
    """Names that a column may have, in the order of preference; the second text is empty for single texts."""

    text: tuple[str, ...]
    text_pair: tuple[str, ...]
    label: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """All of them, with those of row numbers."""
        return {*self.text, *self.text_pair, *self.label, *INDEX_COLUMNS}


def find_column(table: Table, names: Sequence[str], option: str) -> str:
    """The first of the names that the table has.

    Args:
        table: Its columns.
        names: Preferred ones first.
        option: The option that names this column, for the message.

    Raises:
        CorpusError: None of them is there; the message lists those that are.
    """
    for name in names:
        if name in table.columns:
            return name
    near = [match for name in names for match in difflib.get_close_matches(name, table.header, n=1)]
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise CorpusError(
        f"{table.name}: no column {names[0]!r}{hint}; found: {listed(table.header)}: name the column with {option}"
    )


def listed(header: Sequence[str]) -> str:
    """Column names for a message, the first twenty."""
    return (", ".join(header[:20]) + (", ..." if len(header) > 20 else "")) or "none"


def guess_text_column(table: Table, others: Sequence[str]) -> str:
    """The only column of one's own data that can be the text.

    Args:
        table: All its columns.
        others: Columns that are taken already, by the label and the second text.

    Raises:
        CorpusError: There are several, or none; the message lists the columns.
    """
    fitting = [name for name in table.columns if name not in others and _holds_text(table.columns[name])]
    if len(fitting) == 1:
        return fitting[0]
    columns = listed(fitting or table.header)
    problem = f"several columns could be the text ({columns})" if fitting else f"no column of text; found: {columns}"
    raise CorpusError(f"{table.name}: {problem}: name it with {TEXT}, and the second text of a pair with {PAIR}")


def _holds_text(values: Sequence[object]) -> bool:
    """Whether values are text and not all numbers, which files of text do not tell apart."""
    seen = [value for value in values[:_LOOKED_AT] if not is_missing(value)]
    return all(isinstance(value, str) for value in seen) and any(_is_word(value) for value in seen)


def _is_word(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return True
    return False
