"""`load_task`: the examples of a task, checked, with what a reader of the results should know about them."""

from electra_hf.errors import CorpusError, UsageError
from electra_hf.finetuning.tasks.arguments import TaskArguments
from electra_hf.finetuning.tasks.columns import (
    INDEX_COLUMNS,
    LABEL,
    PAIR,
    TEXT,
    Columns,
    find_column,
    guess_text_column,
)
from electra_hf.finetuning.tasks.labels import Labels, find_names, infer_kind
from electra_hf.finetuning.tasks.published import TASKS, task_names
from electra_hf.finetuning.tasks.sources import Source, own_source, published_source
from electra_hf.finetuning.tasks.splits import Examples, hold_out, random_subset
from electra_hf.finetuning.tasks.tables import Table
from electra_hf.finetuning.tasks.task import Kind, Task, TaskData
from electra_hf.finetuning.tasks.texts import without_lone_surrogates

CUSTOM = "custom"
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "macro_f1"),
    "regression": ("pearson", "spearmanr"),
    "multi_label": ("micro_f1", "macro_f1"),
}


def load_task(
    name: str | None, arguments: TaskArguments, *, cache_dir: str | None = None, needs_train: bool = True
) -> TaskData:
    """Read the examples of a task.

    Args:
        name: A published task, one of `TASKS` in any spelling; None for data of one's own.
        arguments: Where the data is and how it is read.
        cache_dir: For downloads; the one of `datasets` when None.
        needs_train: Whether a missing training split is an error, and a missing validation split is cut from it. False
            is for evaluation only; the labels of one's own data are then those of the splits there are.

    Returns:
        The task with its splits. What selects models is never a test split.

    Raises:
        UsageError: Options that contradict each other or the task, or no such task.
        CorpusError: Data that cannot be read or does not fit the task.
    """
    if name is None:
        source = own_source(arguments, cache_dir)
        source, task, labels = _interpret_own(source, arguments)
    else:
        (name,) = task_names(name)
        task = TASKS[name]
        if arguments.task_kind not in ("auto", task.kind):
            raise UsageError(f"--task_kind {arguments.task_kind}: {name} is a {task.kind} task: leave it out")
        source = published_source(name, arguments, cache_dir, needs_train)
        labels = Labels(task.kind, task.labels, published=True)
    # `ax` has never had a training split.
    if needs_train and "train" not in source.tables and "diagnostic" not in source.tables:
        raise CorpusError("there is no training split: give --train_file, or a data set that has one")
    notes = list(source.notes)
    splits = {split: _examples(split, table, source.columns, labels, notes) for split, table in source.tables.items()}
    if needs_train and "train" in splits and not any(split.startswith("validation") for split in splits):
        splits = _with_validation(splits, task.kind, arguments, notes)
    for split, examples in splits.items():
        size = arguments.limit(split)
        if size is not None and size < len(examples):
            notes.append(
                f"{split}: a random subset of {size:,} of the {len(examples):,} rows is used (seed "
                f"{arguments.split_seed})."
            )
            splits[split] = random_subset(examples, split, size, arguments.split_seed)
    return TaskData(
        task,
        labels.names,
        {split: examples.to_dataset(task.kind) for split, examples in splits.items()},
        tuple(notes),
    )


def _interpret_own(source: Source, arguments: TaskArguments) -> tuple[Source, Task, Labels]:
    """Decide by the training rows which column is which, what a label is, and the names of the labels."""
    split, table = next(iter(source.tables.items()))
    label = (
        find_column(table, source.columns.label, LABEL) if not split.startswith("test") else source.columns.label[0]
    )
    text = source.columns.text or (guess_text_column(table, [label, *source.columns.text_pair]),)
    columns = Columns(text, source.columns.text_pair, (label,))
    notes = list(source.notes)
    if arguments.task_kind == "auto":
        kind = infer_kind(table, label) if label in table.columns else "classification"
        if kind == "regression":
            notes.append(f"The labels in column {label!r} are numbers with a point, so the task is a regression.")
    else:
        kind = _kind(arguments.task_kind)
    names: tuple[str, ...] = ()
    if kind != "regression":
        training = split == "train"
        deciding = [table] if training else [table for table in source.tables.values() if label in table.columns]
        # Rows to predict only: the names are the model's.
        names = find_names(deciding, label, kind, arguments.label_separator, training=training) if deciding else ()
    task = Task(CUSTOM, kind, _METRICS[kind], label_separator=arguments.label_separator)
    return Source(source.tables, columns, notes), task, Labels(kind, names, separator=arguments.label_separator)


def _kind(name: str) -> Kind:
    for kind in _METRICS:
        if kind == name:
            return kind
    raise UsageError(f"--task_kind {name}: choose auto, {', '.join(_METRICS)}")


def _examples(split: str, table: Table, columns: Columns, labels: Labels, notes: list[str]) -> Examples:
    notes += [f"{split}: {note}" for note in table.notes]
    texts = _texts(split, table, find_column(table, columns.text, TEXT), notes)
    pairs = _texts(split, table, find_column(table, columns.text_pair, PAIR), notes) if columns.text_pair else None
    optional = split.startswith("test") or split == "diagnostic"
    encoded = None
    if not optional or any(name in table.columns for name in columns.label):
        encoded = labels.encode(table, find_column(table, columns.label, LABEL), optional=optional)
    index = next((name for name in INDEX_COLUMNS if name in table.columns), None)
    idx = [str(number) for number in (range(len(table)) if index is None else table.columns[index])]
    return Examples(texts, pairs, encoded, idx)


def _texts(split: str, table: Table, column: str, notes: list[str]) -> list[str]:
    """A column of texts, with an empty text where there is none."""
    texts = []
    empty = 0
    for row, value in enumerate(table.columns[column]):
        if value is None:
            value = ""
        elif not isinstance(value, str):
            raise CorpusError(
                f"{table.place(row)}: a {type(value).__name__} instead of text in column {column!r}: name the column "
                f"of text with {TEXT}"
            )
        empty += not value or value.isspace()
        texts.append(value)
    if empty == len(texts):
        raise CorpusError(f"{table.name}: column {column!r} is empty in all rows: name the column of text with {TEXT}")
    if empty:
        notes.append(f"{split}: {empty:,} {_rows(empty)} an empty {column}; they are kept.")
    return without_lone_surrogates(texts)


def _rows(number: int) -> str:
    return "row has" if number == 1 else "rows have"


def _with_validation(
    splits: dict[str, Examples], kind: Kind, arguments: TaskArguments, notes: list[str]
) -> dict[str, Examples]:
    whole = splits["train"]
    train, validation = hold_out(whole, kind, arguments.validation_split_percentage, arguments.split_seed)
    notes.append(
        f"validation: {len(validation):,} of the {len(whole):,} training rows were held out (seed "
        f"{arguments.split_seed})."
    )
    rest = {split: examples for split, examples in splits.items() if split != "train"}
    return {"train": train, "validation": validation, **rest}
