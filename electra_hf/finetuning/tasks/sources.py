"""From options to tables: the files or data sets of a published task, and data of one's own."""

from dataclasses import dataclass, field
from pathlib import Path

from electra_hf.corpora.decoding import reading_errors
from electra_hf.corpora.remote import as_path
from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks.arguments import TaskArguments
from electra_hf.finetuning.tasks.columns import TEXT, Columns
from electra_hf.finetuning.tasks.locations import PublishedTask, data_set_on_hub, own_tables, version_key
from electra_hf.finetuning.tasks.published import PAWSX_LANGUAGES, PUBLICATIONS
from electra_hf.finetuning.tasks.tables import FORMATS, Encoding, Table, format_of, read_table


@dataclass(frozen=True)
class Source:
    """Tables of a task before its columns are interpreted.

    Attributes:
        tables: Split to rows, in the order train, validation, test.
        columns: Names that the columns may have.
        notes: See `TaskData`.

    Raises:
        CorpusError: A table without rows.
    """

    tables: dict[str, Table]
    columns: Columns
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for table in self.tables.values():
            if not len(table):
                raise CorpusError(f"{table.name}: there is no row in it: download or write it again")


def published_source(name: str, arguments: TaskArguments, cache_dir: str | None, needs_train: bool) -> Source:
    """The tables of a published task, from its files, from other files or from the Hub.

    Args:
        name: Key of `PUBLICATIONS`.
        arguments: `data_dir`, the three files, `dataset_name`, `dataset_config_name`, the columns and `encoding`.
        cache_dir: For downloads.
        needs_train: Whether a missing training split is an error.

    Raises:
        UsageError: Options that do not fit the task.
        CorpusError: Files or data sets that are not there or cannot be read.
    """
    published = PUBLICATIONS[name]
    config = _configuration(name, arguments)
    pair = _named(arguments.text_pair_column_name)
    if pair and not published.text_pair:
        raise UsageError(
            f"{name} is a task of single texts: leave out --text_pair_column_name, or leave out --task_name to read "
            "the data as your own"
        )
    columns = Columns(
        _named(arguments.text_column_name) or published.text,
        pair or published.text_pair,
        _named(arguments.label_column_name) or published.label,
    )
    task = PublishedTask(name, published, config, PUBLICATIONS.values())
    if arguments.data_dir is None and not arguments.files:
        tables, notes = task.hub_tables(arguments, columns.names, cache_dir)
    else:
        encoding = Encoding(arguments.encoding, arguments.encoding_errors)

        def read(path: Path, kind: str, split: str) -> Table:
            if kind == "folder":
                return _read_reviews(path, encoding)
            return read_table(
                path,
                kind,
                encoding,
                keep=columns.names,
                header=published.headers.get(split) if kind == ".tsv" else None,
                leave_out_malformed=published.leave_out_malformed,
            )

        tables, notes = task.file_rows(arguments, needs_train, read)
    return Source(tables, columns, notes)


def _named(column: str | None) -> tuple[str, ...]:
    return () if column is None else (column,)


def _configuration(name: str, arguments: TaskArguments) -> str | None:
    config = arguments.dataset_config_name
    if name == "pawsx":
        if arguments.dataset_name is None and config not in (None, *PAWSX_LANGUAGES):
            raise UsageError(
                f"--dataset_config_name {config}: not a language of PAWS-X: choose one of {', '.join(PAWSX_LANGUAGES)}"
            )
        return config or "en"
    if config is not None and arguments.dataset_name is None:
        raise UsageError(f"--dataset_config_name {config}: {name} has no configurations: leave it out")
    return config


def hub_dataset(name: str, arguments: TaskArguments) -> tuple[str, str | None] | None:
    """The data set of the Hub that a task's examples are of, and its configuration; also if they were read from files.

    Args:
        name: A task, or any other name for data of one's own.
        arguments: Where the data is.

    Returns:
        None if the data is in no data set of the Hub, or in part from files of one's own.
    """
    published = PUBLICATIONS.get(name)
    return data_set_on_hub(published, _configuration(name, arguments) if published else None, arguments)


def _read_reviews(folder: Path, encoding: Encoding) -> Table:
    """A split of aclImdb: a file for each review, `neg/0_3.txt`, in the order of their numbers."""
    texts: list[str] = []
    labels: list[str] = []
    names: list[str] = []
    for label in ("neg", "pos"):
        if not (folder / label).is_dir():
            raise CorpusError(f"{folder}: no folder {label!r}: unpack aclImdb whole, or name its folder")
        for path in sorted((folder / label).glob("*.txt"), key=version_key):
            with reading_errors(path, encoding.name):
                texts.append(path.read_bytes().decode(*encoding))
            labels.append(label)
            names.append(f"{label}/{path.stem}")
    columns = {"text": texts, "label": labels, "id": names}
    return Table(str(folder), list(columns), columns, names, "review")


def own_source(arguments: TaskArguments, cache_dir: str | None) -> Source:
    """The tables of data of one's own.

    Args:
        arguments: `dataset_name` or the three files, and the columns.
        cache_dir: For downloads.

    Raises:
        UsageError: No source, or a file in no known format.
        CorpusError: Files or data sets that are not there or cannot be read.
    """
    if arguments.text_pair_column_name is not None and arguments.text_column_name is None:
        raise UsageError(f"--text_pair_column_name names the second text of a pair: name the first with {TEXT}")
    columns = Columns(
        _named(arguments.text_column_name),
        _named(arguments.text_pair_column_name),
        _named(arguments.label_column_name) or ("label", "labels"),
    )
    # Which column is the text can only be guessed with all of them.
    keep = columns.names if columns.text else None
    if arguments.dataset_name is not None:
        tables, notes = own_tables(arguments, keep, cache_dir)
        return Source(tables, columns, notes)
    if not arguments.files:
        raise UsageError("no data: give --task_name, --train_file or --dataset_name")
    tables = {}
    for split, name in arguments.files.items():
        path = as_path(name)
        kind = format_of(path)
        if kind is None:
            raise UsageError(
                f"--{split}_file {name}: the suffix tells the format, and must be one of {', '.join(FORMATS)}"
            )
        tables[split] = read_table(path, kind, Encoding(arguments.encoding, arguments.encoding_errors), keep=keep)
    return Source(tables, columns)
