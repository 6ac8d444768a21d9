"""File formats to texts. `choose_format` knows them all; each reader streams one file."""

from electra_hf.corpora.formats.choice import SUPPORTED_FORMATS, choose_format
from electra_hf.corpora.formats.columns import columns_text_first, missing_column, report_nulls
from electra_hf.corpora.formats.options import DOCUMENT_SEPARATORS, Format, Reader, ReadingOptions
from electra_hf.corpora.formats.parquet import PARQUET, read_parquet
from electra_hf.corpora.formats.rows import ROW_KINDS, join_rows

__all__ = [
    "DOCUMENT_SEPARATORS",
    "PARQUET",
    "ROW_KINDS",
    "SUPPORTED_FORMATS",
    "Format",
    "Reader",
    "ReadingOptions",
    "choose_format",
    "columns_text_first",
    "join_rows",
    "missing_column",
    "read_parquet",
    "report_nulls",
]
