"""Where the splits of a task are: published files in their folders, files named instead of them, data sets."""

import re
from collections.abc import Callable, Collection, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from electra_hf.corpora.remote import as_path
from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks.arguments import ExampleArguments
from electra_hf.finetuning.tasks.hub import HubTables
from electra_hf.finetuning.tasks.published import Publication
from electra_hf.finetuning.tasks.tables import Table, format_of

_OWN_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev", "eval"), "test": ("test",)}

# The rows of a split as a reader returns them.
Rows = TypeVar("Rows", bound=Sized)


@dataclass(frozen=True)
class PublishedTask:
    """A published task that is to be read.

    Attributes:
        name: As typed after --task_name.
        published: How its data was published.
        config: Configuration of the data set, if the task has several.
        others: All tasks of its kind, whose folders are not this one's.
    """

    name: str
    published: Publication
    config: str | None
    others: Collection[Publication]

    def hub_tables(
        self, arguments: ExampleArguments, keep: Collection[str] | None, cache_dir: str | None
    ) -> tuple[dict[str, Table], list[str]]:
        """Its splits from the Hub, and what a reader of the results should know about them.

        Args:
            arguments: `dataset_name` for another data set than the published one.
            keep: Columns to read; all when None.
            cache_dir: For downloads.

        Raises:
            UsageError: The task is not on the Hub.
            CorpusError: The data set is out of reach, or lacks a split.
        """
        hub = self.published.hub
        if arguments.dataset_name is not None:
            source = HubTables(arguments.dataset_name, arguments.dataset_config_name, cache_dir=cache_dir)
            notes = [f"The data is {source.name} instead of the published data set."]
        elif hub is None:
            raise UsageError(
                f"{self.name} is not on the Hub in a form that the datasets library reads: give its files with "
                f"--data_dir ({self.published.elsewhere}), or a data set with the same columns with --dataset_name"
            )
        else:
            own = self.config if hub.config == "{config}" else hub.config
            source, notes = HubTables(hub.name, own, revision=hub.revision, cache_dir=cache_dir), []
        found = source.splits()
        renamed = hub.splits if hub is not None else {}
        tables = {}
        for split in self.published.files:
            theirs = renamed.get(split, split)
            # One's own variant of the data set may lack the test split.
            if theirs in found or arguments.dataset_name is None or split == "train":
                tables[split] = source.table(theirs, keep)
        return tables, notes + self._count_notes(tables, "the data set")

    def file_rows(
        self, arguments: ExampleArguments, needs_train: bool, read: Callable[[Path, str, str], Rows]
    ) -> tuple[dict[str, Rows], list[str]]:
        """Its splits from files, and what a reader of the results should know about them.

        Args:
            arguments: `data_dir`, and the files that are read instead of published ones.
            needs_train: Whether a missing training split is an error.
            read: Reads a file, given its path, its format and its split.

        Raises:
            UsageError: A training file for a task that has none.
            CorpusError: Files that are not there.
        """
        files = self.published.files
        own = {self._split_for(option): file for option, file in arguments.files.items()}
        splits: dict[str, Rows] = {}
        notes: list[str] = []
        for split in [*files, *(split for split in own if split not in files)]:
            if split in own:
                path = as_path(own[split])
                splits[split] = read(path, format_of(path) or self.published.format, split)
                notes.append(
                    f"{split}: {len(splits[split]):,} rows of {path.name}, which is not the published file."
                    if split in files
                    else f"{split}: {len(splits[split]):,} rows of {path.name}; none was published."
                )
            elif arguments.data_dir is not None:
                path = self._locate(Path(arguments.data_dir), split)
                if path is not None:
                    splits[split] = read(path, self.published.format, split)
                    notes += self._count_notes({split: splits[split]}, path.name)
                elif split.startswith("test") or (split == "train" and not needs_train):
                    notes.append(f"{split}: {files[split][0]} is not in the folder.")
                else:
                    raise self._not_found(Path(arguments.data_dir), split)
        return splits, notes

    def _split_for(self, option: str) -> str:
        """The split that a file named by `--train_file`, `--validation_file` or `--test_file` stands for."""
        files = self.published.files
        if option == "train" and "train" not in files:
            raise UsageError(
                f"{self.name} has no training data: leave out --train_file, and evaluate a model trained on mnli"
            )
        matching = [split for split in files if split.startswith(option)]
        if option == "test" and not matching and "diagnostic" in files:
            return "diagnostic"
        return (matching or [option])[0]

    def _locate(self, data_dir: Path, split: str) -> Path | None:
        """The published file of a split, in a task's folder or in the one above it; of several the newest version."""
        if not data_dir.is_dir():
            raise CorpusError(f"--data_dir {data_dir}: no such folder: check the path")
        for folder in self._folders():
            if folder == "." and self._is_folder_of_another_task(data_dir):
                continue
            for pattern in self._patterns(split):
                found = sorted(data_dir.glob(f"{folder}/{pattern}"), key=version_key)
                if found:
                    return found[-1]
        return None

    def _folders(self) -> list[str]:
        return [folder.format(config=self.config) for folder in self.published.folders]

    def _patterns(self, split: str) -> list[str]:
        return [file.format(config=self.config) for file in self.published.files[split]]

    def _is_folder_of_another_task(self, data_dir: Path) -> bool:
        """Whether the folder is called like another task's: files of GLUE have the same names in all of them."""
        others = {folder for task in self.others for folder in task.folders}
        return data_dir.resolve().name in others - set(self.published.folders)

    def _not_found(self, data_dir: Path, split: str) -> CorpusError:
        files = " or ".join(self._patterns(split))
        folders = " or ".join(folder for folder in self.published.folders if folder != ".")
        if self._is_folder_of_another_task(data_dir):
            problem = f"by its name the folder is another task's, and {files} would be in {folders}"
        else:
            found = sorted(path.name for path in data_dir.iterdir())
            shown = (", ".join(found[:8]) + (", ..." if len(found) > 8 else "")) or "nothing"
            problem = f"there is no {files} in this folder or in {folders} below it; found: {shown}"
        option = "--train_file" if split == "train" else "--validation_file"
        hub = ", or leave out --data_dir to read the task from the Hub" if self.published.hub is not None else ""
        return CorpusError(
            f"--data_dir {data_dir}: no {split} split of {self.name}: {problem}: check the path, or name the file "
            f"with {option}{hub}"
        )

    def _count_notes(self, splits: dict[str, Rows], where: str) -> list[str]:
        published = self.published.rows
        return [
            f"{split}: {where} has {len(rows):,} rows, and {published[split]:,} were published."
            for split, rows in splits.items()
            if len(rows) != published.get(split, len(rows))
        ]


def version_key(path: Path) -> list[int | str]:
    """Sort key in which v1.10 comes after v1.9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def own_tables(
    arguments: ExampleArguments, keep: Collection[str] | None, cache_dir: str | None
) -> tuple[dict[str, Table], list[str]]:
    """The splits of a data set of one's own, and what a reader of the results should know about them.

    Args:
        arguments: `dataset_name`, which is there, and `dataset_config_name`.
        keep: Columns to read; all when None.
        cache_dir: For downloads.

    Raises:
        CorpusError: The data set is out of reach, or has no split with a known name.
    """
    source = HubTables(str(arguments.dataset_name), arguments.dataset_config_name, cache_dir=cache_dir)
    found = source.splits()
    chosen = dict(_own_splits(found))
    tables = {split: source.table(theirs, keep) for split, theirs in chosen.items()}
    unused = [split for split in found if split not in chosen.values()]
    notes = [f"Splits of {source.name} that are not used: {', '.join(unused)}."] if unused else []
    if not tables:
        raise CorpusError(f"{source.name}: no split is called train, validation or test; found: {', '.join(found)}")
    return tables, notes


def _own_splits(found: list[str]) -> Iterator[tuple[str, str]]:
    """Our splits and theirs."""
    for split, names in _OWN_SPLITS.items():
        exact = next((name for name in names if name in found), None)
        if exact is not None:
            yield split, exact
        else:
            yield from ((name, name) for name in found if name.startswith(f"{split}_"))


def data_set_on_hub(
    published: Publication | None, config: str | None, arguments: ExampleArguments
) -> tuple[str, str | None] | None:
    """The data set of the Hub that a task's examples are of, and its configuration; also if they were read from files.

    Args:
        published: How the task was published; None for data of one's own.
        config: Its configuration, where it has several.
        arguments: Where the data is.

    Returns:
        None if the data is in no data set of the Hub, or in part from files of one's own.
    """
    if arguments.dataset_name is not None:
        folder = Path(arguments.dataset_name).exists()
        return None if folder else (arguments.dataset_name, arguments.dataset_config_name)
    hub = published.hub if published is not None else None
    if hub is None or arguments.files:
        return None
    return hub.name, config if hub.config == "{config}" else hub.config
