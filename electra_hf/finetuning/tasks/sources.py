"""From options to tables: the files or data sets of a published task, and data of one's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from electra_hf.corpora.decoding import reading_errors
from electra_hf.corpora.remote import as_path
from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks.arguments import TaskArguments
from electra_hf.finetuning.tasks.columns import TEXT, Columns
from electra_hf.finetuning.tasks.hub import HubTables
from electra_hf.finetuning.tasks.published import PAWSX_LANGUAGES, PUBLICATIONS, Publication
from electra_hf.finetuning.tasks.tables import FORMATS, Encoding, Table, format_of, read_table

_OWN_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev", "eval"), "test": ("test",)}


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
    if arguments.data_dir is None and not arguments.files:
        return _published_on_hub(name, published, columns, arguments, config, cache_dir)
    return _published_files(name, published, columns, arguments, config, needs_train)


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
    if arguments.dataset_name is not None:
        folder = Path(arguments.dataset_name).exists()
        return None if folder else (arguments.dataset_name, arguments.dataset_config_name)
    hub = PUBLICATIONS[name].hub if name in PUBLICATIONS else None
    if hub is None or arguments.files:
        return None
    return hub.name, _configuration(name, arguments) if hub.config == "{config}" else hub.config


def _published_on_hub(
    name: str,
    published: Publication,
    columns: Columns,
    arguments: TaskArguments,
    config: str | None,
    cache_dir: str | None,
) -> Source:
    hub = published.hub
    if arguments.dataset_name is not None:
        source = HubTables(arguments.dataset_name, arguments.dataset_config_name, cache_dir=cache_dir)
        note = [f"The data is {source.name} instead of the published data set."]
    elif hub is None:
        raise UsageError(
            f"{name} is not on the Hub in a form that the datasets library reads: give its files with --data_dir "
            f"({published.elsewhere}), or a data set with the same columns with --dataset_name"
        )
    else:
        own = config if hub.config == "{config}" else hub.config
        source, note = HubTables(hub.name, own, revision=hub.revision, cache_dir=cache_dir), []
    found = source.splits()
    renamed = hub.splits if hub is not None else {}
    tables = {}
    for split in published.rows:
        theirs = renamed.get(split, split)
        # One's own variant of the data set may lack the test split.
        if theirs in found or arguments.dataset_name is None or split == "train":
            tables[split] = source.table(theirs, columns.names)
    return Source(tables, columns, note + _count_notes(published, tables, "the data set"))


def _published_files(
    name: str,
    published: Publication,
    columns: Columns,
    arguments: TaskArguments,
    config: str | None,
    needs_train: bool,
) -> Source:
    own = {_split_for(option, name, published): file for option, file in arguments.files.items()}
    tables: dict[str, Table] = {}
    notes: list[str] = []
    for split in [*published.files, *(split for split in own if split not in published.files)]:
        if split in own:
            path = as_path(own[split])
            tables[split] = _read(path, format_of(path) or published.format, published, columns, arguments, split)
            notes.append(
                f"{split}: {len(tables[split]):,} rows of {path.name}, which is not the published file."
                if split in published.files
                else f"{split}: {len(tables[split]):,} rows of {path.name}; none was published."
            )
        elif arguments.data_dir is not None:
            path = _locate(Path(arguments.data_dir), name, published, split, config)
            if path is not None:
                table = _read(path, published.format, published, columns, arguments, split)
                tables[split] = table
                notes += _count_notes(published, {split: table}, path.name)
            elif split.startswith("test") or (split == "train" and not needs_train):
                notes.append(f"{split}: {published.files[split][0]} is not in the folder.")
            else:
                raise _not_found(Path(arguments.data_dir), name, published, split)
    return Source(tables, columns, notes)


def _split_for(option: str, name: str, published: Publication) -> str:
    """The split that a file named by `--train_file`, `--validation_file` or `--test_file` stands for."""
    if option == "train" and "train" not in published.files:
        raise UsageError(f"{name} has no training data: leave out --train_file, and evaluate a model trained on mnli")
    matching = [split for split in published.files if split.startswith(option)]
    if option == "test" and not matching and "diagnostic" in published.files:
        return "diagnostic"
    return (matching or [option])[0]


def _read(
    path: Path, kind: str, published: Publication, columns: Columns, arguments: TaskArguments, split: str
) -> Table:
    if kind == "folder":
        return _read_reviews(path, Encoding(arguments.encoding, arguments.encoding_errors))
    return read_table(
        path,
        kind,
        Encoding(arguments.encoding, arguments.encoding_errors),
        keep=columns.names,
        header=published.headers.get(split) if kind == ".tsv" else None,
        leave_out_malformed=published.leave_out_malformed,
    )


def _locate(data_dir: Path, name: str, published: Publication, split: str, config: str | None) -> Path | None:
    """The published file of a split, in a task's folder or in the one above it; of several the newest version."""
    if not data_dir.is_dir():
        raise CorpusError(f"--data_dir {data_dir}: no such folder: check the path")
    own_folders = [folder.format(config=config) for folder in published.folders]
    for folder in own_folders:
        if folder == "." and _is_folder_of_another_task(data_dir, name):
            continue
        for pattern in published.files[split]:
            found = sorted(data_dir.glob(f"{folder}/{pattern}"), key=_version)
            if found:
                return found[-1]
    return None


def _is_folder_of_another_task(data_dir: Path, name: str) -> bool:
    """Whether the folder is called like another task's: files of GLUE have the same names in all of them."""
    called = data_dir.resolve().name
    own, others = (
        set(PUBLICATIONS[name].folders),
        {folder for task in PUBLICATIONS.values() for folder in task.folders},
    )
    return called in others - own


def _version(path: Path) -> list[int | str]:
    """Sort key in which v1.10 comes after v1.9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _not_found(data_dir: Path, name: str, published: Publication, split: str) -> CorpusError:
    files = " or ".join(published.files[split])
    folders = " or ".join(folder for folder in published.folders if folder != ".")
    if _is_folder_of_another_task(data_dir, name):
        problem = f"by its name the folder is another task's, and {files} would be in {folders}"
    else:
        found = sorted(path.name for path in data_dir.iterdir())
        shown = (", ".join(found[:8]) + (", ..." if len(found) > 8 else "")) or "nothing"
        problem = f"there is no {files} in this folder or in {folders} below it; found: {shown}"
    option = "--train_file" if split == "train" else "--validation_file"
    hub = ", or leave out --data_dir to read the task from the Hub" if published.hub is not None else ""
    return CorpusError(
        f"--data_dir {data_dir}: no {split} split of {name}: {problem}: check the path, or name the file with "
        f"{option}{hub}"
    )


def _count_notes(published: Publication, tables: dict[str, Table], where: str) -> list[str]:
    return [
        f"{split}: {where} has {len(table):,} rows, and {published.rows[split]:,} were published."
        for split, table in tables.items()
        if len(table) != published.rows.get(split, len(table))
    ]


def _read_reviews(folder: Path, encoding: Encoding) -> Table:
    """A split of aclImdb: a file for each review, `neg/0_3.txt`, in the order of their numbers."""
    texts: list[str] = []
    labels: list[str] = []
    names: list[str] = []
    for label in ("neg", "pos"):
        if not (folder / label).is_dir():
            raise CorpusError(f"{folder}: no folder {label!r}: unpack aclImdb whole, or name its folder")
        for path in sorted((folder / label).glob("*.txt"), key=_version):
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
        source = HubTables(arguments.dataset_name, arguments.dataset_config_name, cache_dir=cache_dir)
        found = source.splits()
        chosen = dict(_own_splits(found))
        tables = {split: source.table(theirs, keep) for split, theirs in chosen.items()}
        unused = [split for split in found if split not in chosen.values()]
        notes = [f"Splits of {source.name} that are not used: {', '.join(unused)}."] if unused else []
        if not tables:
            raise CorpusError(
                f"{source.name}: no split is called train, validation or test; found: {', '.join(found)}"
            )
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


def _own_splits(found: list[str]) -> Iterator[tuple[str, str]]:
    """Our splits and theirs."""
    for split, names in _OWN_SPLITS.items():
        exact = next((name for name in names if name in found), None)
        if exact is not None:
            yield split, exact
        else:
            yield from ((name, name) for name in found if name.startswith(f"{split}_"))
