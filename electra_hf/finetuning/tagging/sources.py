"""From options to sentences: the files or data sets of a published task, and data of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from electra_hf.corpora.decoding import read_head
from electra_hf.corpora.remote import as_path
from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.arguments import FILE_FORMATS, TaggingArguments
from electra_hf.finetuning.tagging.data import Kind, Unit
from electra_hf.finetuning.tagging.published import PUBLICATIONS, TaggingPublication, published_task
from electra_hf.finetuning.tagging.readers.columns import read_columns, read_conllu
from electra_hf.finetuning.tagging.readers.korean import KLUE_MARK, read_klue, read_naver
from electra_hf.finetuning.tagging.readers.rows import rows_of, wanted_columns
from electra_hf.finetuning.tagging.readers.sentences import AnnotatedTexts, Sentences
from electra_hf.finetuning.tagging.units import tag_units
from electra_hf.finetuning.tasks.locations import own_tables
from electra_hf.finetuning.tasks.tables import Encoding, Table, format_of, read_table

# Suffixes of files that hold rows and not columns.
_ROW_FORMATS = (".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class _Reader:
    """How the data of a task is read."""

    kind: Kind
    arguments: TaggingArguments
    published: TaggingPublication | None

    @property
    def columns(self) -> tuple[str | None, str | None]:
        """The columns that were named, or those of the published data set."""
        text, label = self.arguments.text_column_name, self.arguments.label_column_name
        if self.published is not None:
            return text or self.published.text[0], label or self.published.label[0]
        return text, label

    def from_table(self, table: Table, split: str) -> Sentences | AnnotatedTexts:
        text, label = self.columns
        unit: Unit | None = self.published.unit if self.published is not None else None
        if self.arguments.label_unit == "character":
            unit = "character"
        optional = split.startswith("test")
        return rows_of(table, self.kind, text_column=text, label_column=label, unit=unit, optional=optional)

    def from_file(self, path: Path, kind: str, split: str) -> Sentences | AnnotatedTexts:
        """A file in a format of `FILE_FORMATS`, or with a suffix of `_ROW_FORMATS`."""
        encoding = Encoding(self.arguments.encoding, self.arguments.encoding_errors)
        optional = split.startswith("test")
        text, label = self.arguments.text_column_name, self.arguments.label_column_name
        if kind == "klue":
            return read_klue(path, encoding)
        if kind == "naver":
            return read_naver(path, encoding, optional=optional)
        if kind == "conllu":
            return read_conllu(path, encoding, token_column=text, tag_column=label)
        if kind == "conll":
            language = self.arguments.dataset_config_name if self.published is not None else None
            read = read_columns(
                path, encoding, token_column=text, tag_column=label, optional=optional, language=language
            )
            read.unit = "character" if self.arguments.label_unit == "character" else "word"
            return read
        keep = wanted_columns(self.kind, *self.columns)
        return self.from_table(read_table(path, kind, encoding, keep=keep), split)

    def format(self, path: Path) -> str:
        """The format of a file: what the options say, its suffix, the published one, or its first lines."""
        asked = self.arguments.file_format
        suffix = format_of(path)
        if asked not in ("auto", "json"):
            return asked
        if suffix in _ROW_FORMATS:
            return suffix
        if asked == "json":
            return ".json"
        if suffix == ".csv":
            raise UsageError(
                f"{path}: comma-separated files have one row for each example, and no common way to write tags: "
                "convert it to JSON Lines with tokens and tags"
            )
        if self.published is not None and self.published.format in FILE_FORMATS:
            return self.published.format
        if ".conllu" in path.suffixes:
            return "conllu"
        head = read_head(path, self.arguments.encoding)
        if head.startswith(KLUE_MARK):
            return "klue"
        return "naver" if _looks_like_naver(head) else "conll"


def _looks_like_naver(head: str) -> bool:
    """Whether the first lines are sentences with a tab and as many tags as words, some of several words."""
    lines = [line.removesuffix("\r") for line in head.split("\n")[:20] if line.strip(" \r")]
    # The last line of the beginning of a file may be cut.
    cells = [line.split("\t") for line in (lines[:-1] or lines)]
    return all(len(cell) == 2 and len(cell[0].split(" ")) == len(cell[1].split(" ")) for cell in cells) and any(
        " " in cell[0] for cell in cells
    )


def read_splits(
    name: str, kind: Kind, arguments: TaggingArguments, cache_dir: str | None, needs_train: bool
) -> tuple[dict[str, Sentences], list[str]]:
    """The sentences of a task as its files have them.

    Args:
        name: Key of `PUBLICATIONS`, or any other name for data of one's own.
        kind: What the tags mean.
        arguments: Where the data is, and how it is read.
        cache_dir: For downloads.
        needs_train: Whether a missing training split of a published task is an error.

    Returns:
        Split to sentences, in the order train, validation, test, and what a reader of the results should know.

    Raises:
        UsageError: No source, or options that do not fit the data.
        CorpusError: Files or data sets that are not there or cannot be read.
    """
    reader = _Reader(kind, arguments, PUBLICATIONS.get(name))
    keep = wanted_columns(kind, *reader.columns)
    splits: dict[str, Sentences | AnnotatedTexts]
    if name in PUBLICATIONS:
        task = published_task(name, arguments)
        if arguments.data_dir is None and not arguments.files:
            tables, notes = task.hub_tables(arguments, keep, cache_dir)
            splits = {split: reader.from_table(table, split) for split, table in tables.items()}
        else:
            splits, notes = task.file_rows(
                arguments,
                needs_train,
                lambda path, kind, split: reader.from_file(path, reader.format(path), split),
            )
    elif arguments.dataset_name is not None:
        tables, notes = own_tables(arguments, keep, cache_dir)
        splits = {split: reader.from_table(table, split) for split, table in tables.items()}
    elif arguments.files:
        paths = {split: as_path(file) for split, file in arguments.files.items()}
        splits = {split: reader.from_file(path, reader.format(path), split) for split, path in paths.items()}
        notes = []
    else:
        raise UsageError(
            "no data: give --train_file, --dataset_name, or a published task with --task_name, such as wnut17"
        )
    return _as_sentences(splits, arguments, notes), notes


def _as_sentences(
    splits: Mapping[str, Sentences | AnnotatedTexts], arguments: TaggingArguments, notes: list[str]
) -> dict[str, Sentences]:
    texts = {split: read for split, read in splits.items() if isinstance(read, AnnotatedTexts)}
    sentences = {split: read for split, read in splits.items() if isinstance(read, Sentences)}
    if texts:
        if sentences:
            raise UsageError(
                f"{next(iter(texts.values())).name} has texts with entities, and "
                f"{next(iter(sentences.values())).name} tokens with tags: give all splits in one of the two forms"
            )
        sentences, more = tag_units(texts, arguments.label_unit)
        notes += more
    units = {read.unit: read.name for read in sentences.values()}
    if len(units) > 1:
        raise UsageError(
            f"{units['word']} has tags on words, and {units['character']} on characters: give all splits in one unit"
        )
    if arguments.label_unit == "word" and "character" in units:
        raise UsageError(
            f"--label_unit word: the tags of {units['character']} are on characters: leave it out, or use character"
        )
    for split, read in sentences.items():
        notes += [f"{split}: {note}" for note in read.notes]
    return sentences
