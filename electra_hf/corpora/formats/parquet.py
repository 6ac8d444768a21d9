"""Parquet files to the texts of one column."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import text_value
from electra_hf.corpora.decoding import reading_errors
from electra_hf.corpora.formats.columns import columns_text_first, joining_rows, missing_column, report_nulls
from electra_hf.corpora.formats.options import Format, ReadingOptions
from electra_hf.corpora.remote import is_remote
from electra_hf.errors import CorpusError

_BATCH_ROWS = 256


@joining_rows
def read_parquet(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the text column of a Parquet file; the other columns are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = options.text_column_name
    nulls = 0
    remote: Any = path
    source: dict[str, Any] = {"source": remote.path, "filesystem": remote.fs} if is_remote(path) else {"source": path}
    try:
        # Without pre-buffering: it would hold whole row groups.
        with reading_errors(path, "utf-8"), pq.ParquetFile(**source, pre_buffer=False) as file:
            if column not in file.schema_arrow.names:
                raise missing_column(str(path), column, columns_text_first(file.schema_arrow))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
                for value in python_values(batch.column(column), str(path)):
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


def python_values(column: Any, place: str) -> list[Any]:
    """The values of an Arrow column; `place` is what messages call it.

    Raises:
        CorpusError: A text is not UTF-8, which Arrow promises and does not check.
    """
    try:
        return column.to_pylist()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{place}: a text in it is not UTF-8 ({error}): download or write it again") from error


PARQUET = Format(read_parquet, name="parquet")
