"""`load_tagging`: the sentences of a tagging task, checked, with their tags in one scheme."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import Scheme, TaggingData, TaggingTask
from electra_hf.finetuning.tagging.entities import entities_of
from electra_hf.finetuning.tagging.metrics import DEFAULT_METRICS
from electra_hf.finetuning.tagging.published import OWN_KINDS, PUBLICATIONS, TASKS, tagging_task_names
from electra_hf.finetuning.tagging.readers.sentences import Sentences
from electra_hf.finetuning.tagging.schemes import (
    Notation,
    SourceScheme,
    detect_notation,
    detect_scheme,
    labels_of,
    write_tags,
)
from electra_hf.finetuning.tagging.sources import read_splits
from electra_hf.finetuning.tagging.splits import hold_out_rows, to_dataset
from electra_hf.finetuning.tasks.splits import random_rows

_SCHEMES: dict[str, SourceScheme] = {"IOB1": "IOB1", "IOB2": "IOB2", "IO": "IO", "BIOES": "BIOES", "BILOU": "BIOES"}
_LEARNT: dict[str, Scheme] = {"IOB2": "IOB2", "BIOES": "BIOES"}

# The tags of a split, one list for each sentence.
_Tags = list[list[str]]


def load_tagging(
    name: str | None, arguments: TaggingArguments, *, cache_dir: str | None = None, needs_train: bool = True
) -> TaggingData:
    """Read the examples of a tagging task.

    Args:
        name: A published task, one of `TASKS` in any spelling, or `ner`, `pos` or `chunk` for data of one's own; None
            for `ner`.
        arguments: Where the data is and how it is read.
        cache_dir: For downloads; the one of `datasets` when None.
        needs_train: Whether a missing training split is an error, and a missing validation split is cut from it. False
            is for evaluation only; the types of one's own data are then those of the splits there are.

    Returns:
        The task with its splits. Entities are those that the files mark, whatever the scheme of the files.

    Raises:
        UsageError: Options that contradict each other or the data, or no such task.
        CorpusError: Data that cannot be read, tags that are no tags of a scheme, or types that training does not have.
    """
    (name,) = tagging_task_names(name or "ner")
    task = TASKS[name] if name in TASKS else TaggingTask(name, OWN_KINDS[name], DEFAULT_METRICS[OWN_KINDS[name]])
    sentences, notes = read_splits(name, task.kind, arguments, cache_dir, needs_train)
    _check_splits(sentences, needs_train)
    labelled = {
        split: _Labelled(read, [row.tags or [] for row in read.rows])
        for split, read in sentences.items()
        if read.labelled
    }
    if task.kind == "pos":
        scheme: Scheme = "plain"
        labels = _plain_labels(labelled)
    else:
        scheme = _LEARNT[arguments.tag_scheme]
        known = PUBLICATIONS[name].types if name in PUBLICATIONS else ()
        labels = _convert(labelled, scheme, arguments.source_scheme, known, notes)
    numbers = {label: number for number, label in enumerate(labels)}
    splits = {}
    for split, (origin, rows) in _chosen_rows(sentences, arguments, needs_train, notes).items():
        read = sentences[origin]
        tags = labelled[origin].tags if origin in labelled else None
        splits[split] = to_dataset(
            [read.rows[row] for row in rows],
            read.unit == "character",
            None if tags is None else [[numbers[tag] for tag in tags[row]] for row in rows],
        )
    return TaggingData(task, labels, scheme, next(iter(sentences.values())).unit, splits, tuple(notes))


def _chosen_rows(
    sentences: Mapping[str, Sentences], arguments: TaggingArguments, needs_train: bool, notes: list[str]
) -> dict[str, tuple[str, list[int]]]:
    """For each split the one it is cut from, and the numbers of its sentences there."""
    chosen = {split: (split, list(range(len(read)))) for split, read in sentences.items()}
    if needs_train and not any(split.startswith("validation") for split in sentences):
        whole = sentences["train"]
        train, held_out = hold_out_rows(whole, arguments.validation_split_percentage, arguments.split_seed)
        chosen = {**chosen, "train": ("train", train)}
        chosen = {"train": chosen.pop("train"), "validation": ("train", held_out), **chosen}
        documents = ", in whole documents" if whole.documents is not None else ""
        notes.append(
            f"validation: {len(held_out):,} of the {len(whole):,} training sentences were held out{documents} (seed "
            f"{arguments.split_seed})."
        )
    for split, (origin, rows) in chosen.items():
        size = arguments.limit(split)
        if size is not None and size < len(rows):
            notes.append(
                f"{split}: a random subset of {size:,} of the {len(rows):,} sentences is used (seed "
                f"{arguments.split_seed})."
            )
            kept = random_rows(len(rows), split, size, arguments.split_seed)
            chosen[split] = (origin, [rows[row] for row in kept])
    return chosen


@dataclass
class _Labelled:
    """A labelled split while its tags are being read and converted; `tags` has a list for each sentence."""

    read: Sentences
    tags: _Tags

    def first(self, tag: str) -> str:
        """The place of the first such tag, for messages."""
        return next(self.read.place(row, tags.index(tag)) for row, tags in enumerate(self.tags) if tag in tags)


def _check_splits(sentences: Mapping[str, Sentences], needs_train: bool) -> None:
    if needs_train and "train" not in sentences:
        raise CorpusError("there is no training split: give --train_file, or a data set that has one")
    for read in sentences.values():
        if not len(read):
            raise CorpusError(f"{read.name}: there is no sentence in it: download or write it again")
        if read.unit == "character":
            for row, sentence in enumerate(read.rows):
                if any(len(token) != 1 for token in sentence.tokens):
                    token = next(number for number, token in enumerate(sentence.tokens) if len(token) != 1)
                    raise CorpusError(
                        f"{read.place(row, token)}: {sentence.tokens[token]!r} is not one character: use --label_unit "
                        "word"
                    )


def _deciding(labelled: Mapping[str, _Labelled]) -> dict[str, _Labelled]:
    """The training split, or without one all splits there are."""
    return {"train": labelled["train"]} if "train" in labelled else dict(labelled)


def _plain_labels(labelled: Mapping[str, _Labelled]) -> tuple[str, ...]:
    deciding = _deciding(labelled)
    declared = next((split.read.declared for split in deciding.values() if split.read.declared), None)
    names = set(chain.from_iterable(chain.from_iterable(split.tags for split in deciding.values())))
    labels = tuple(declared) if declared is not None else tuple(sorted(names))
    for split in labelled.values():
        for tag in dict.fromkeys(chain.from_iterable(split.tags)):
            if tag not in labels:
                raise CorpusError(
                    f"{split.first(tag)}: tag {tag!r} does not occur in the training sentences: correct it, add "
                    "training sentences with it, or take the sentence out"
                )
    return labels


def _convert(
    labelled: Mapping[str, _Labelled], scheme: Scheme, source_scheme: str, known: Sequence[str], notes: list[str]
) -> tuple[str, ...]:
    """Rewrite the tags of all splits in one scheme.

    Args:
        labelled: Split to tags as their files have them; they are replaced.
        scheme: IOB2 or BIOES.
        source_scheme: How the files write entities, or `auto`.
        known: Types of a published task; empty to take those of the training sentences.
        notes: What was found and repaired is added.

    Returns:
        The labels.
    """
    deciding = _deciding(labelled)
    if not deciding:
        return labels_of(known, "BIOES" if scheme == "BIOES" else "IOB2")
    notation = _notation(deciding, source_scheme)
    for split in labelled.values():
        _read(split, notation)
    training = [tags for split in deciding.values() for tags in split.tags]
    found = detect_scheme(training) if source_scheme == "auto" else _SCHEMES[source_scheme]
    bilou = found == "BIOES" and notation.letters & {"L", "U"}
    called = "BILOU" if bilou else found
    where = " and ".join(deciding)
    written = "" if notation == Notation(letters=notation.letters) else f", written as {notation.example}"
    learnt = "" if called == scheme and not written else f"; {scheme} is learnt"
    touching = ", in which entities of one type that touch are one" if found == "IO" else ""
    decided = "" if source_scheme == "auto" else " by --source_scheme"
    if all(split.read.written for split in deciding.values()):
        notes.append(f"The tags of {where} are {called}{decided}{written}{touching}{learnt}.")
    declared = [tag for split in deciding.values() for tag in split.read.declared or ()]
    types = set(known) or {notation.read(tag)[2:] for tag in declared} - {""} or _types(training)
    if not types:
        raise CorpusError(
            f"{next(iter(deciding.values())).read.name}: there is no entity in it, only O tags: name the column of "
            "the tags with --label_column_name"
        )
    for name, split in labelled.items():
        _rewrite(name, split, found, called, "BIOES" if scheme == "BIOES" else "IOB2", types, bool(known), notes)
    return labels_of(types, "BIOES" if scheme == "BIOES" else "IOB2")


def _types(sequences: _Tags) -> set[str]:
    return {tag[2:] for tag in set(chain.from_iterable(sequences))} - {""}


def _notation(deciding: Mapping[str, _Labelled], source_scheme: str) -> Notation:
    counts = Counter(chain.from_iterable(chain.from_iterable(split.tags for split in deciding.values())))
    notation = detect_notation(counts)
    if notation is not None:
        return notation
    if source_scheme == "IO":
        return Notation("none", letters=frozenset("I"))
    tag = next(tag for tag in counts if tag != "O")
    place = next(split.first(tag) for split in deciding.values() if any(tag in tags for tags in split.tags))
    raise CorpusError(
        f"{place}: tag {tag!r} has no prefix such as B- or I-, and neither has any other tag: if tags are types alone "
        "use --source_scheme IO, if they are no entities --task_name pos, and if it is another column name it with "
        "--label_column_name"
    )


def _read(split: _Labelled, notation: Notation) -> None:
    """Tags of a file -> tags with one of the letters B I E S, a hyphen and the type."""
    known: dict[str, str] = {}
    for tag in dict.fromkeys(chain.from_iterable(split.tags)):
        try:
            known[tag] = notation.read(tag)
        except ValueError as error:
            raise CorpusError(f"{split.first(tag)}: tag {tag!r} {error}: correct it") from None
    split.tags = [[known[tag] for tag in tags] for tags in split.tags]


def _rewrite(
    name: str,
    split: _Labelled,
    source: SourceScheme,
    called: str,
    target: SourceScheme,
    types: set[str],
    published: bool,
    notes: list[str],
) -> None:
    """Tags of one scheme -> those of another, with a note on the tags that did not follow the first."""
    unknown = _types(split.tags) - types
    if unknown:
        tag = next(tag for tag in chain.from_iterable(split.tags) if tag[2:] in unknown)
        whose = "is none of the task's" if published else "does not occur in the training sentences, which have"
        raise CorpusError(
            f"{split.first(tag)}: the type {tag[2:]!r} {whose} {', '.join(sorted(types))}: correct the tag, or take "
            "the sentence out"
        )
    departures: list[str] = []
    total = 0
    rewritten: _Tags = []
    for row, (tags, entities) in enumerate(zip(split.tags, entities_of(split.tags), strict=True)):
        total += len(tags)
        expected = write_tags(entities, len(tags), source)
        if expected != tags:
            departures += [
                f"{split.read.place(row, token)}: {tag} where {source} has {right}"
                for token, (tag, right) in enumerate(zip(tags, expected, strict=True))
                if tag != right
            ]
        rewritten.append(write_tags(entities, len(tags), target))
    if departures:
        notes.append(
            f"{name}: {len(departures):,} of {total:,} tags do not follow {called} and were repaired, entities being "
            f"read as conlleval reads them (the first: {departures[0]})."
        )
    split.tags = rewritten
