"""Examples in memory: which sentences are held out, and the Arrow table of a split."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from datasets import Dataset, Features, List, Value

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.readers.sentences import Sentence, Sentences
from electra_hf.finetuning.tasks.splits import share
from electra_hf.finetuning.tasks.texts import without_lone_surrogates


def hold_out_rows(sentences: Sentences, percentage: int, seed: int) -> tuple[list[int], list[int]]:
    """Cut a validation split from training sentences.

    Where the file marks documents, whole documents are held out: names of a document would be in both splits
    otherwise.

    Args:
        sentences: The training sentences.
        percentage: Of the sentences.
        seed: Of the draw.

    Returns:
        Numbers of the remaining training sentences and of the validation sentences, both in order.

    Raises:
        CorpusError: There are fewer than two sentences.
    """
    number = len(sentences)
    if number < 2:
        raise CorpusError(
            f"{number} training sentence is too few to hold out a validation split: give one with --validation_file"
        )
    wanted = share(number, percentage)
    random = np.random.RandomState(seed)
    groups = np.asarray(sentences.documents if sentences.documents is not None else range(number))
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        groups, names, sizes = np.arange(number), np.arange(number), np.ones(number, dtype=int)
    chosen = []
    room = wanted
    for place in random.permutation(len(names)):
        if sizes[place] <= room:
            chosen.append(names[place])
            room -= sizes[place]
    held_out = np.isin(groups, chosen or [names[int(np.argmin(sizes))]])
    return np.flatnonzero(~held_out).tolist(), np.flatnonzero(held_out).tolist()


def to_dataset(rows: Sequence[Sentence], character: bool, tags: Sequence[list[int]] | None) -> Dataset:
    """The columns of `TaggingData.splits`.

    Args:
        rows: The sentences.
        character: Whether tokens are characters, with nothing between them unless the file says otherwise.
        tags: For each sentence the numbers of its tags; None if unlabelled.
    """
    columns: dict[str, list] = {"text": [], "starts": [], "ends": []}
    for row in rows:
        gaps = row.gaps or ["", *["" if character else " "] * (len(row.tokens) - 1)]
        # Halves of surrogate pairs are replaced one by one, so places stay what they are.
        tokens = without_lone_surrogates(row.tokens)
        pieces = [piece for pair in zip(gaps, tokens, strict=True) for piece in pair]
        borders = list(accumulate(map(len, pieces)))
        columns["text"].append("".join(pieces))
        columns["starts"].append(borders[::2])
        columns["ends"].append(borders[1::2])
    features = {"text": Value("string"), "starts": List(Value("int32")), "ends": List(Value("int32"))}
    if tags is not None:
        columns["tags"] = list(tags)
        features["tags"] = List(Value("int32"))
    columns["idx"] = [row.idx for row in rows]
    features["idx"] = Value("string")
    return Dataset.from_dict(columns, Features(features))
