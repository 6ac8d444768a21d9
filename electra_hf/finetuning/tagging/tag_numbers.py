"""What the numbers of tags mean: which begin an entity, which go on with one, and how a tag is spread over parts.

A unit that has a tag and the token that the model reads need not be the same: a token can hold several units, and a
unit several tokens. Here is what becomes of a tag in either case.
"""

from collections.abc import Sequence

import numpy as np

from electra_hf.finetuning.tagging.data import Scheme


class TagNumbers:
    """Tables over the numbers of tags, each of shape (tags,).

    Args:
        labels: The tags in the order of their numbers, see `TaggingData.labels`.
        scheme: How they are written.

    Attributes:
        outside: Number of `O`; None for plain tags.
        types: int64, the type of the entity that a tag is part of; -1 outside of entities and for plain tags.
        begins, continues, ends: bool. A tag of IOB2 does not say where an entity ends.
        opening, inner, closing: int64. A tag over several units is written as `opening`, then `inner`, at the
            end `closing`.
        shut: int64, the tag of a token that begins as this one and in which the entity ends.
        repeated: int64, the tag of the further tokens of a unit; -1 where the scheme has none that may follow.

    >>> tags = TagNumbers(("O", "B-PER", "E-PER", "I-PER", "S-PER"), "BIOES")
    >>> [int(table[4]) for table in (tags.opening, tags.inner, tags.closing)]  # S over three characters: B, I, E
    [1, 3, 2]
    """

    def __init__(self, labels: Sequence[str], scheme: Scheme):
        count = len(labels)
        same = np.arange(count)
        self.outside = None if scheme == "plain" else labels.index("O")
        self.types = np.full(count, -1)
        self.begins, self.continues, self.ends = (np.zeros(count, bool) for _ in range(3))
        self.opening, self.inner, self.closing = same.copy(), same.copy(), same.copy()
        self.shut, self.repeated = same.copy(), same.copy()
        if scheme == "plain":
            return
        # Whatever their order: a model that is evaluated brings its own.
        names = list(dict.fromkeys(label[2:] for label in labels if label != "O"))
        number = {label: index for index, label in enumerate(labels)}
        for index, label in enumerate(labels):
            if label == "O":
                continue
            prefix, kind = label[0], label[2:]
            self.types[index] = names.index(kind)
            self.begins[index], self.continues[index] = prefix in "BS", prefix in "IE"
            self.ends[index] = prefix in "ES"
            inside = number[f"I-{kind}"]
            self.inner[index] = self.closing[index] = self.repeated[index] = inside
            if scheme == "BIOES":
                first, last = number[f"B-{kind}"], number[f"E-{kind}"]
                self.opening[index] = first if prefix in "BS" else inside
                self.closing[index] = last if prefix in "ES" else inside
                self.shut[index] = number[f"S-{kind}"] if prefix in "BS" else last
                if prefix in "ES":
                    self.repeated[index] = -1

    def spans(self, tags: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the entities of valid tags begin and end.

        Args:
            tags: (units,) of all texts, one after the other.
            bounds: (texts + 1,), where each text begins and ends.

        Returns:
            (entities,) int64 first unit and (entities,) int64 unit after the last, in order.
        """
        follows = self.continues[tags]
        after = np.append(follows[1:], False)
        after[bounds[1:][bounds[1:] > bounds[:-1]] - 1] = False
        return np.flatnonzero(self.begins[tags]), np.flatnonzero((self.types[tags] >= 0) & ~after) + 1
