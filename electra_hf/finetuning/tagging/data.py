"""What a tagging task is: texts, the units of them that are tagged, and their tags."""

from dataclasses import dataclass, field
from typing import Literal

from datasets import Dataset

# How the tags of an entity are written. `plain` tags, as parts of speech, know no entities.
Scheme = Literal["IOB2", "BIOES", "plain"]
# What has a tag.
Unit = Literal["word", "character"]
Kind = Literal["ner", "pos", "chunk"]


@dataclass(frozen=True)
class TaggingTask:
    """A tagging task, apart from its data.

    Attributes:
        name: As typed after --task_name, or `ner`, `pos`, `chunk` for a data set of one's own.
        kind: What the tags mean: `pos` tags are plain, those of `ner` and `chunk` mark entities.
        metrics: Names in `electra_hf.finetuning.tagging.metrics.METRICS`; the first one selects models.
        epochs: Epochs of the recipe if the user gives none.
    """

    name: str
    kind: Kind = "ner"
    metrics: tuple[str, ...] = ("f1", "macro_f1")
    epochs: float = 10.0


@dataclass(frozen=True)
class TaggingData:
    """A tagging task with its examples.

    Attributes:
        task: The task.
        labels: The tags in the order of their numbers. With entities `O` is the first, and for each type, in
            alphabetical order, all tags of the scheme follow (`B-PER`, `I-PER`; BIOES: `B-`, `I-`, `E-`, `S-`),
            whether the data has them or not.
        scheme: How tags are written in `splits`, whatever the files had.
        unit: What has a tag: words, or characters, spaces among them.
        splits: Name (`train`, `validation`, `test`) to sentences or documents. Columns: `text` (str); `starts` and
            `ends` (lists of int), the characters of the text that each unit covers, in order, none empty and none
            overlapping; `tags` (list of int, numbers of `labels`, one for each unit; no such column in an unlabelled
            split) and `idx` (str, the published id, or the number of the row). Words are joined by single spaces
            unless the file says how; characters by nothing. No text is without units.
        notes: What a reader of the results should know about the data, one sentence each: detected schemes, repairs
            and their number, left out and held out sentences.
    """

    task: TaggingTask
    labels: tuple[str, ...]
    scheme: Scheme
    unit: Unit
    splits: dict[str, Dataset]
    notes: tuple[str, ...] = field(default=())

    @property
    def evaluated(self) -> list[str]:
        """Labelled splits besides `train`, those that select models first."""
        names = [name for name, split in self.splits.items() if name != "train" and "tags" in split.column_names]
        return sorted(names, key=lambda name: not name.startswith("validation"))
