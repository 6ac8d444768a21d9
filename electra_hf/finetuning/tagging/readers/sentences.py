"""What the readers return: tagged sentences, or texts with entities, and where in the file each thing stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from electra_hf.finetuning.tagging.data import Unit


class Sentence(NamedTuple):
    """A sentence as its file has it.

    Attributes:
        tokens: Words or characters, none empty.
        tags: One for each token, as they are written; None if the sentence is unlabelled.
        idx: The published id, or the number of the sentence in the file, from 0.
        numbers: What a message calls the place of each token: its line. One number if all are in one line or row.
        gaps: What stands before each token, where the file says so; None for single spaces between words and nothing
            between characters.
    """

    tokens: list[str]
    tags: list[str] | None
    idx: str
    numbers: Sequence[object]
    gaps: list[str] | None = None


@dataclass
class Sentences:
    """The sentences of one file or split.

    Attributes:
        name: The file, or the data set and its split.
        unit: What a token is.
        rows: The sentences.
        place_name: What `Sentence.numbers` are: `line`, `record` or `row`.
        documents: For each sentence the number of its document, where the file has such marks.
        declared: Tags that the data set declares.
        written: Whether the tags are the file's; those of texts with entities are made from these.
        notes: What a reader of the results should know about the file.
    """

    name: str
    unit: Unit
    rows: list[Sentence]
    place_name: str = "line"
    documents: list[int] | None = None
    declared: list[str] | None = None
    written: bool = True
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labelled(self) -> bool:
        """Whether the sentences have tags."""
        return any(row.tags is not None for row in self.rows)

    def place(self, row: int, token: int = 0) -> str:
        """Where a token is, for messages."""
        sentence = self.rows[row]
        if len(sentence.numbers) == len(sentence.tokens):
            return f"{self.name}, {self.place_name} {sentence.numbers[token]}"
        return f"{self.name}, {self.place_name} {sentence.numbers[0]}, token {token + 1}"


class Span(NamedTuple):
    """The characters `start` to `end` of a text, `end` not included."""

    start: int
    end: int
    type: str


class AnnotatedText(NamedTuple):
    """A text with entities as its file has it; `entities` is None if it is unlabelled, `number` is its place."""

    text: str
    entities: list[Span] | None
    idx: str
    number: object


@dataclass
class AnnotatedTexts:
    """The texts of one file or split, with entities as spans of characters; attributes as in `Sentences`."""

    name: str
    rows: list[AnnotatedText]
    place_name: str = "line"
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, row: int) -> str:
        """Where a text is, for messages."""
        return f"{self.name}, {self.place_name} {self.rows[row].number}"
