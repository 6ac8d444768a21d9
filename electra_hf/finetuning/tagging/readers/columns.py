"""CoNLL column files: a line for each token, a blank line between sentences.

Columns are separated by tabs, or by spaces where the file has no tabs; other white space is text, since tokens of the
web hold U+0085, U+2028 and no-break spaces. `-DOCSTART-` lines begin documents. A line that begins with # before the
first token of a sentence is a comment if it has another number of columns than the file: # is also a token.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from electra_hf.corpora.decoding import text_lines
from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tagging.readers.sentences import Sentence, Sentences
from electra_hf.finetuning.tasks.tables import Encoding

_DOCUMENT = "-DOCSTART-"
# CoNLL-U: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC.
_CONLLU_WIDTH, _FORM, _UPOS, _MISC = 10, 1, 3, 9


def read_columns(
    path: Path,
    encoding: Encoding,
    *,
    token_column: str | None = None,
    tag_column: str | None = None,
    optional: bool = False,
    language: str | None = None,
) -> Sentences:
    """Read a column file.

    Args:
        path: A local file, or a URL opened by `corpora.remote.as_path`.
        encoding: Of the file, with what becomes of invalid bytes.
        token_column: Number of the column of the tokens, from 0, or from the last if negative; default: the first.
        tag_column: Likewise of the tags; default: the last.
        optional: Whether the file may have no column of tags.
        language: What stands before each token with a colon, as in WikiANN's files (`en:Paris`).

    Raises:
        CorpusError: A file that cannot be read or has no sentence, a line with another number of columns, a token or a
            tag that is empty.
        UsageError: A column that is no number, or that the file does not have.
    """
    lines = list(text_lines(path, *encoding, whole=True))
    separator, width = _layout(lines, path)
    alone = tag_column is None and width == 1
    if alone and not optional:
        raise CorpusError(
            f"{path}: the lines have one column, so there are no tags: write each token and its tag in a line, with a "
            "tab or a space between them, or choose another --file_format"
        )
    token_at = _column(token_column, 0, width, "--text_column_name", path)
    tag_at = token_at if alone else _column(tag_column, width - 1, width, "--label_column_name", path)
    if token_at == tag_at and not alone:
        raise UsageError(f"--text_column_name and --label_column_name are both column {token_at}: name two columns")
    rows: list[Sentence] = []
    documents: list[int] = []
    document = 0
    for block in _blocks(lines, separator, width):
        tokens: list[str] = []
        tags: list[str] = []
        numbers: list[int] = []
        for number, cells in block:
            if cells[0] == _DOCUMENT:
                document += 1
                continue
            if len(cells) != width:
                raise _ragged(path, number, len(cells), width, separator)
            token, tag = cells[token_at], cells[tag_at]
            if language is not None:
                token = token.removeprefix(f"{language}:")
            if not token or not tag:
                what = "tag" if token else "token"
                raise CorpusError(f"{path}, line {number}: the {what} is empty: repair the line or take it out")
            tokens.append(token)
            tags.append(tag.strip(" "))
            numbers.append(number)
        if tokens:
            rows.append(Sentence(tokens, None if alone else tags, str(len(rows)), numbers))
            documents.append(document)
    if not rows:
        raise CorpusError(f"{path}: there is no sentence in it: download or write it again")
    return Sentences(str(path), "word", rows, documents=documents if document else None)


def _cells(line: str, separator: str) -> list[str]:
    return line.split("\t") if separator == "\t" else [cell for cell in line.split(" ") if cell]


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r")


def _layout(lines: list[str], path: Path) -> tuple[str, int]:
    """Separator and number of columns, as most lines have them."""
    filled = [line for line in lines if not _is_blank(line) and not line.startswith(_DOCUMENT)]
    if not filled:
        raise CorpusError(f"{path}: there is no sentence in it: download or write it again")
    separator = "\t" if 2 * sum("\t" in line for line in filled) > len(filled) else " "
    widths = Counter(len(_cells(line, separator)) for line in filled if not line.startswith("#"))
    widths = widths or Counter(len(_cells(line, separator)) for line in filled)
    return separator, widths.most_common(1)[0][0]


def _blocks(lines: list[str], separator: str, width: int) -> Iterator[list[tuple[int, list[str]]]]:
    """The lines between blank ones, numbered and split, without comments."""
    block: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        if _is_blank(line):
            yield block
            block = []
            continue
        if line.startswith(_DOCUMENT):
            # Some files have no blank line after it.
            yield block
            yield [(number, [_DOCUMENT])]
            block = []
            continue
        cells = _cells(line, separator)
        if line.startswith("#") and not block and len(cells) != width:
            continue
        block.append((number, cells))
    yield block


def _column(argument: str | None, default: int, width: int, option: str, path: Path) -> int:
    if argument is None:
        return default
    try:
        column = int(argument)
    except ValueError:
        raise UsageError(
            f"{option} {argument}: {path.name} is a file of columns without names: give the column's number, from 0, "
            "or from -1 for the last"
        ) from None
    if not -width <= column < width:
        raise UsageError(f"{option} {argument}: {path.name} has {width} columns: the first is 0, the last {width - 1}")
    return column % width


def _ragged(path: Path, number: int, found: int, width: int, separator: str) -> CorpusError:
    name = "tab" if separator == "\t" else "space"
    hint = (
        f"remove {name}s from inside the token, or take it out"
        if found > width
        else f"write all columns, with a {name} between them"
    )
    return CorpusError(
        f"{path}, line {number}: {found} column{'s' if found > 1 else ''} where the file has {width}: {hint}"
    )


def read_conllu(
    path: Path,
    encoding: Encoding,
    *,
    token_column: str | None = None,
    tag_column: str | None = None,
) -> Sentences:
    """Read a CoNLL-U file of Universal Dependencies: by default forms and universal parts of speech.

    Ranges of multiword tokens and empty nodes have no tag and are left out; `SpaceAfter=No` is heeded.

    Args:
        path: A local file, or a URL opened by `corpora.remote.as_path`.
        encoding: Of the file, with what becomes of invalid bytes.
        token_column: Number of the column of the tokens; default: FORM.
        tag_column: Number of the column of the tags; default: UPOS.

    Raises:
        CorpusError: A file that cannot be read or has no sentence, or a line without ten columns.
        UsageError: A column that is no number, or that the format does not have.
    """
    token_at = _column(token_column, _FORM, _CONLLU_WIDTH, "--text_column_name", path)
    tag_at = _column(tag_column, _UPOS, _CONLLU_WIDTH, "--label_column_name", path)
    rows: list[Sentence] = []
    lines = list(text_lines(path, *encoding, whole=True))
    for block in _blocks(lines, "\t", _CONLLU_WIDTH):
        for number, cells in block:
            if len(cells) != _CONLLU_WIDTH:
                raise _ragged(path, number, len(cells), _CONLLU_WIDTH, "\t")
        words = [(number, cells) for number, cells in block if cells[0].isdecimal()]
        if words:
            tokens = [cells[token_at] for _, cells in words]
            after = ["" if "SpaceAfter=No" in cells[_MISC].split("|") else " " for _, cells in words]
            tags = [cells[tag_at] for _, cells in words]
            rows.append(Sentence(tokens, tags, str(len(rows)), [number for number, _ in words], ["", *after[:-1]]))
    if not rows:
        raise CorpusError(f"{path}: there is no sentence in it: download or write it again")
    return Sentences(str(path), "word", rows)
