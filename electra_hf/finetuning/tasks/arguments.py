"""The options of a task's data; names follow run_glue.py."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

from electra_hf.corpora.decoding import check_encoding
from electra_hf.errors import UsageError
from electra_hf.finetuning.tasks.published import task_names


@dataclass
class ExampleArguments:
    """Where examples come from, which of them are used, and how long they may be: what all tasks have in common.

    Raises:
        UsageError: For a number out of its range, or sources that contradict each other.
    """

    # Tasks that are no published ones, so that --data_dir cannot hold their files.
    own_tasks: ClassVar[tuple[str, ...]] = ()

    task_name: str | None = field(default=None, metadata={"help": "The task; several with commas."})
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder of the task's published files; default: its data set on the Hub."}
    )
    dataset_name: str | None = field(
        default=None,
        metadata={"help": "Data set on the Hub, or a local folder of one; with --task_name: read instead of its own."},
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of the data set."})
    train_file: str | None = field(default=None, metadata={"help": "Training examples, a path or URL."})
    validation_file: str | None = field(default=None, metadata={"help": "Examples that select models."})
    test_file: str | None = field(default=None, metadata={"help": "Examples to predict, with or without labels."})
    text_column_name: str | None = field(default=None, metadata={"help": "Column of the text."})
    label_column_name: str | None = field(default=None, metadata={"help": "Column of the label."})
    validation_split_percentage: int = field(
        default=5, metadata={"help": "Percentage of the training rows held out when there is no validation split."}
    )
    split_seed: int = field(
        default=42, metadata={"help": "Seed of held-out rows and of subsets, the same for every model and --seed."}
    )
    max_seq_length: int = field(default=128, metadata={"help": "Tokens of an example at most."})
    pad_to_max_length: bool = field(
        default=False, metadata={"help": "Pad every batch to --max_seq_length instead of its longest example."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on a random subset of this size."})
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Use a random subset of this size of each validation split."}
    )
    max_predict_samples: int | None = field(
        default=None, metadata={"help": "Use a random subset of this size of each test split."}
    )
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of local text files, such as cp949."})
    encoding_errors: str = field(
        default="strict", metadata={"help": "Bytes that are no text.", "choices": ["strict", "replace", "ignore"]}
    )

    def __post_init__(self) -> None:
        for name in ("max_train_samples", "max_eval_samples", "max_predict_samples", "max_seq_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} {value}: it must be at least 1; leave it out for all rows")
        if not 1 <= self.validation_split_percentage <= 99:
            raise UsageError(
                f"--validation_split_percentage {self.validation_split_percentage}: it must be between 1 and 99"
            )
        if not 0 <= self.split_seed < 2**32:
            raise UsageError(f"--split_seed {self.split_seed}: it must be between 0 and {2**32 - 1}")
        check_encoding(self.encoding, self.encoding_errors)
        self._check_sources()

    @property
    def files(self) -> dict[str, str]:
        """Split to the file that was named for it."""
        named = {"train": self.train_file, "validation": self.validation_file, "test": self.test_file}
        return {split: file for split, file in named.items() if file is not None}

    def limit(self, split: str) -> int | None:
        """Rows of a split at most."""
        if split == "train":
            return self.max_train_samples
        return self.max_eval_samples if split.startswith("validation") else self.max_predict_samples

    def task_names(self) -> list[str]:
        """The tasks that --task_name asks for; none without it.

        Raises:
            UsageError: No such task.
        """
        return task_names(self.task_name) if self.task_name is not None else []

    def _check_sources(self) -> None:
        options = [f"--{split}_file" for split in self.files]
        if self.dataset_name is not None and (self.data_dir is not None or options):
            other = "--data_dir" if self.data_dir is not None else options[0]
            raise UsageError(f"--dataset_name and {other} are two sources of the same data: give one of them")
        names = self.task_names()
        if self.data_dir is not None and not set(names) - set(self.own_tasks):
            raise UsageError(
                "--data_dir is a folder of published files, and needs the --task_name: for data of your own use "
                "--train_file, or --dataset_name with the folder"
            )
        if len(names) > 1 and options:
            raise UsageError(
                f"{options[0]} is one file, and --task_name asks for {len(names)} tasks ({', '.join(names)}): give "
                "one task, or the folder of all with --data_dir"
            )


@dataclass
class TaskArguments(ExampleArguments):
    """What is learnt, from which data, and how long a text may be.

    Raises:
        UsageError: For a number out of its range, or options that contradict each other.
    """

    task_name: str | None = field(
        default=None,
        metadata={
            "help": "Published task: cola sst2 mrpc stsb qqp mnli qnli rte wnli ax, imdb, nsmc, klue_ynat klue_nli "
            "klue_sts, marc_ja jnli jsts, pawsx; several with commas; all: the nine of GLUE."
        },
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Configuration of the data set; the language for pawsx."}
    )
    train_file: str | None = field(
        default=None,
        metadata={
            "help": "Training examples: .csv .tsv .jsonl .json .parquet, a path or URL; text may be compressed. With "
            "--task_name: read instead of its published file."
        },
    )
    text_column_name: str | None = field(default=None, metadata={"help": "Column of the (first) text."})
    text_pair_column_name: str | None = field(default=None, metadata={"help": "Column of the second text of a pair."})
    label_column_name: str | None = field(
        default=None, metadata={"help": "Column of the label; default: label or labels."}
    )
    task_kind: str = field(
        default="auto",
        metadata={
            "help": "What a label of a data set of one's own is: one of several names, a number, or any number of "
            "names; auto: by its values.",
            "choices": ["auto", "classification", "regression", "multi_label"],
        },
    )
    label_separator: str = field(
        default=",", metadata={"help": "Between the names in a text cell of a multi_label column."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label_separator:
            raise UsageError("--label_separator is empty: give the text between two labels, such as , or ;")
        roles = ("text_column_name", "text_pair_column_name", "label_column_name")
        named = [(role, column) for role in roles if (column := getattr(self, role)) is not None]
        for (role, column), (other, same) in combinations(named, 2):
            if column == same:
                raise UsageError(f"--{role} and --{other} are both {column!r}: name two columns")
