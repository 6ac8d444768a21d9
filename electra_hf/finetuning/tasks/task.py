"""What a task is: its texts, its labels, how it is judged."""

from dataclasses import dataclass, field
from typing import Literal

from datasets import Dataset

Kind = Literal["classification", "regression", "multi_label"]


@dataclass(frozen=True)
class Task:
    """A task, apart from its data.

    Attributes:
        name: As typed after --task_name; `custom` for a data set of one's own.
        kind: What a label is: one of several names, a number, or any number of names.
        metrics: Names in `electra_hf.finetuning.metrics.METRICS`. The first one selects models; a task's score in the
            GLUE average is the mean of all.
        labels: Names in the order in which they were published; empty if the data decides, and for regression.
        epochs: Epochs of the paper's recipe (10 for RTE and STS-B, 3 otherwise).
        double_unordered: The order of a pair means nothing, so training may see each pair both ways round.
        score_scale: Regression targets are divided by it in training, and predictions multiplied (STS-B: 5).
        label_separator: Between the names of a multi-label row in files.
    """

    name: str
    kind: Kind = "classification"
    metrics: tuple[str, ...] = ("accuracy",)
    labels: tuple[str, ...] = ()
    epochs: float = 3.0
    double_unordered: bool = False
    score_scale: float = 1.0
    label_separator: str = ","


@dataclass(frozen=True)
class TaskData:
    """A task with its examples.

    Attributes:
        task: The task.
        labels: Names of the labels in the order of their numbers; empty for regression, and for rows of one's own that
            are only predicted, where the names are the model's.
        splits: Name to examples. There is always `train` unless the task is for evaluation only. What selects models:
            `validation`, or `validation_matched` first and `validation_mismatched` (MNLI). What is only reported or
            predicted: `test`, `test_matched`, `test_mismatched`, `diagnostic`. Columns: `text` (str), `text_pair`
            (str, in all splits or in none), `label` (int, float, or a list of 0.0 and 1.0 for `multi_label`; no such
            column in an unlabelled split) and `idx` (str, the published number or id of the row).
        notes: What a reader of the results should know about the data, one sentence each: "500 of 150,000 training
            rows were held out as validation (seed 42)", "4 rows have an empty text".
    """

    task: Task
    labels: tuple[str, ...]
    splits: dict[str, Dataset]
    notes: tuple[str, ...] = field(default=())

    @property
    def num_outputs(self) -> int:
        """Width of the classification head."""
        return 1 if self.task.kind == "regression" else len(self.labels)

    @property
    def evaluated(self) -> list[str]:
        """Labelled splits besides `train`, those that select models first."""
        names = [name for name, split in self.splits.items() if name != "train" and "label" in split.column_names]
        return sorted(names, key=lambda name: not name.startswith("validation"))
