"""Which format a file is in."""

from collections.abc import Iterator
from pathlib import Path

from electra_hf.corpora.decoding import COMPRESSIONS
from electra_hf.corpora.formats.aozora import is_aozora, read_aozora, resolve_notation
from electra_hf.corpora.formats.columns import read_csv, read_json_array, read_json_lines, read_tsv
from electra_hf.corpora.formats.options import Format, ReadingOptions
from electra_hf.corpora.formats.plain_text import is_wikitext, read_plain_text, read_wikitext
from electra_hf.corpora.formats.wikiextractor import clean_article, read_wikiextractor
from electra_hf.corpora.wikidump import PageConverter, dump_pages, is_wiki_dump

SUPPORTED_FORMATS = (
    ".txt, .jsonl and .json (one object a line, or one array), .csv, .tsv, .parquet, MediaWiki dumps, WikiExtractor's "
    "output with or without --json, the WikiText format and books of Aozora Bunko; all but .parquet may be compressed "
    f"({', '.join(COMPRESSIONS)})"
)

_TEXT = Format(read_plain_text, name="text")
_JSON_LINES = Format(read_json_lines, name="json")
_JSON_ARRAY = Format(read_json_array, name="json")
_CSV = Format(read_csv, name="csv")
_TSV = Format(read_tsv, name="tsv")
_WIKIEXTRACTOR = Format(read_wikiextractor, clean_article, name="wikiextractor")
_WIKITEXT = Format(read_wikitext, name="wikitext")
_AOZORA = Format(read_aozora, resolve_notation, name="aozora")
_MEDIAWIKI_VERSION = 1


def choose_format(path: Path, head: str) -> Format | None:
    """The format of a file by its suffix and by the beginning of its (decompressed) text; None when there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    match suffixes[-1] if suffixes else "":
        case ".jsonl" | ".json":
            return _json_format(head) or _JSON_LINES
        case ".csv":
            return _CSV
        case ".tsv":
            return _TSV
        case ".txt":
            return _format_of_text(head) or _TEXT
    if is_wiki_dump(head):
        return Format(_read_dump, PageConverter(str(path)), "mediawiki", _MEDIAWIKI_VERSION)
    return _format_of_text(head) or _json_format(head)


def _read_dump(path: Path, options: ReadingOptions) -> Iterator[str]:
    return dump_pages(path, options.encoding, options.encoding_errors)


def _format_of_text(head: str) -> Format | None:
    """A format that is known by its content alone."""
    if head.lstrip().startswith("<doc "):
        return _WIKIEXTRACTOR
    if is_wikitext(head):
        return _WIKITEXT
    if is_aozora(head):
        return _AOZORA
    return None


def _json_format(head: str) -> Format | None:
    match head.lstrip()[:1]:
        case "{":
            return _JSON_LINES
        case "[":
            return _JSON_ARRAY
    return None
