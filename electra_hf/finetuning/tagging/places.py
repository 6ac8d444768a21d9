"""The units of a text by their characters."""

import numpy as np

_WHITE_SPACE = np.array([point for point in range(0x3001) if chr(point).isspace()], dtype=np.uint32)


class Places:
    """Which unit each character of a text is part of.

    Args:
        text: Any.
        starts: (units,) int64, the first character of each unit, ascending.
        ends: (units,) int64, the character after its last; units do not overlap.
        white_space: White space can be part of a unit. Otherwise it is between them, whatever the units say.

    Attributes:
        starts, ends: (units,) int64.
        blank: (units,) bool, those of nothing but white space, where that is between units.
    """

    def __init__(self, text: str, starts: np.ndarray, ends: np.ndarray, *, white_space: bool):
        self.starts, self.ends = starts, ends
        length = len(text)
        owner = np.full(length + 1, -1, dtype=np.int64)
        inside, sizes = ranges(starts, ends)
        owner[inside] = np.repeat(np.arange(len(starts)), sizes)
        if not white_space:
            characters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            owner[:-1][np.isin(characters, _WHITE_SPACE)] = -1
        self._owner = owner
        solid = np.append(owner[:-1] >= 0, True)
        places = np.arange(length + 1)
        # The next and the last character, from each on, that is part of a unit.
        self._next = np.minimum.accumulate(np.where(solid, places, length)[::-1])[::-1]
        self._previous = np.maximum.accumulate(np.where(solid, places, -1)[:-1]) if length else places[:0]
        self.blank = self._next[starts] >= ends

    def units(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last unit of spans of characters, (spans,) each; -1 for spans without a unit."""
        first = self._next[starts]
        empty = first >= ends
        last = self._previous[np.where(empty, 0, ends - 1)] if len(self._previous) else first
        return np.where(empty, -1, self._owner[first]), np.where(empty, -1, self._owner[last])


def ranges(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all ranges, one after the other, and the size of each.

    >>> ranges(np.array([2, 7]), np.array([5, 8]))
    (array([2, 3, 4, 7]), array([3, 1]))
    """
    sizes = ends - starts
    before = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(starts - before, sizes), sizes
