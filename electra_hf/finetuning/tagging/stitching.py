"""From the outputs for windows to tags of all units.

A *row* is a token that stands for a unit, or for several. The rows of a text are one sequence, whatever the windows
they were read in; the tags of its units follow from those of its rows. Units inside a token go on with its tag. White
space is inside an entity if the entity goes on behind it, and `O` otherwise.
"""

import numpy as np

from electra_hf.finetuning.tagging.tag_numbers import TagNumbers


class Rows:
    """The rows of all texts, one after the other, and the units that they stand for.

    Args:
        windows: (rows,) int64, the window in which each row is read.
        positions: (rows,) int64, its place there.
        bounds: (texts + 1,) int64, where the rows of each text begin and end.
        unit_rows: (units,) int64, the row of each unit of all texts; -1 for white space.
        unit_bounds: (texts + 1,) int64, where the units of each text begin and end.
        numbers: What the tags mean.
        unit_tags: (units,) int64, the true tags; None if they are unknown.

    Attributes:
        tags: (rows,) int64, the true tags of the rows; None if they are unknown.
    """

    def __init__(
        self,
        windows: np.ndarray,
        positions: np.ndarray,
        bounds: np.ndarray,
        unit_rows: np.ndarray,
        unit_bounds: np.ndarray,
        numbers: TagNumbers,
        unit_tags: np.ndarray | None,
    ):
        self.windows = windows
        self.positions = positions
        self.bounds = bounds
        self.unit_bounds = unit_bounds
        self.numbers = numbers
        self._units = np.flatnonzero(unit_rows >= 0)
        self._row_of = unit_rows[self._units]
        self._first = np.diff(self._row_of, prepend=-1) != 0
        self._last = np.append(self._first[1:], True)[: len(self._first)]
        self._spaces = np.flatnonzero(unit_rows < 0)
        self.tags = None if unit_tags is None else self._merged(unit_tags)
        self.entities, self.unreachable = (0, 0) if unit_tags is None else self._unreachable(unit_tags)

    def by_text(self, values: np.ndarray) -> list[np.ndarray]:
        """(rows, ...) values as one array for each text."""
        return [values[start:end] for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    def split_units(self, values: np.ndarray) -> list[np.ndarray]:
        """(units, ...) values as one array for each text."""
        return [values[start:end] for start, end in zip(self.unit_bounds[:-1], self.unit_bounds[1:], strict=True)]

    def spread(self, tags: np.ndarray) -> np.ndarray:
        """(units,) tags of all units from the (rows,) tags of all rows."""
        numbers = self.numbers
        own = tags[self._row_of]
        several = np.where(
            self._first, numbers.opening[own], np.where(self._last, numbers.closing[own], numbers.inner[own])
        )
        spread = np.empty(self.unit_bounds[-1], dtype=np.int64)
        spread[self._units] = np.where(self._first & self._last, own, several)
        spread[self._spaces] = self._tags_of_spaces(spread)
        return spread

    def _tags_of_spaces(self, tags: np.ndarray) -> np.ndarray:
        """Tags of white space, where the other units have theirs."""
        numbers, spaces = self.numbers, self._spaces
        after = np.searchsorted(self._units, spaces)
        texts = np.searchsorted(self.unit_bounds, spaces, side="right") - 1
        padded = np.concatenate([[-1], self._units, [self.unit_bounds[-1]]])
        before, after = padded[after], padded[after + 1]
        has_before, has_after = before >= self.unit_bounds[texts], after < self.unit_bounds[texts + 1]
        if not len(self._units):
            return np.full(len(spaces), numbers.outside or 0)
        left = tags[np.where(has_before, before, self._units[0])]
        right = tags[np.where(has_after, after, self._units[0])]
        if numbers.outside is None:
            return np.where(has_before, left, np.where(has_after, right, 0))
        goes_on = has_before & has_after & numbers.continues[right] & ~numbers.ends[left]
        goes_on &= numbers.types[left] == numbers.types[right]
        return np.where(goes_on, numbers.inner[right], numbers.outside)

    def _merged(self, tags: np.ndarray) -> np.ndarray:
        """The tag of each row: that of its first unit, or one that says that the entity ends inside."""
        own = tags[self._units]
        leading = np.flatnonzero(self._first)
        if not len(leading):
            return np.empty(0, dtype=np.int64)
        ends = np.add.reduceat(self.numbers.ends[own] & ~self._first, leading) > 0
        return np.where(ends, self.numbers.shut[own[leading]], own[leading])

    def _unreachable(self, tags: np.ndarray) -> tuple[int, int]:
        """How many entities there are, and how many of them the true tags of the rows do not give back."""
        assert self.tags is not None
        starts, ends = self.numbers.spans(tags, self.unit_bounds)
        found = self.spread(self.tags)
        wrong = np.append(0, np.cumsum(found != tags))
        goes_on = np.append(self.numbers.continues[found], False)
        goes_on[self.unit_bounds] = False
        lost = (wrong[ends] > wrong[starts]) | goes_on[ends]
        return len(starts), int(lost.sum())
