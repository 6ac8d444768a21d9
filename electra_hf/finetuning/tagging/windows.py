"""Windows over texts that are longer than a model's input.

Windows overlap, so that what stands at the edge of one has context in the next. They begin and end where units do, and
each unit is read in one of them only: there where the side on which it sees less of the text shows most.
"""

import numpy as np


def cut_windows(starts: np.ndarray, length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Cut the tokens of a text into windows.

    Args:
        starts: (units,) tokens at which a unit begins, ascending, the first one 0.
        length: Tokens of the text.
        room: Tokens of a window at most.
        overlap: Tokens that a window shares with the one before it at most, below `room`; less where no unit begins
            at that place.

    Returns:
        First token and token after the last of each window. All tokens are in some window, apart from those of a unit
        of more than `room` tokens: of it the first `room` are kept.

    >>> cut_windows(np.array([0, 2, 3, 5, 6, 8]), 9, room=4, overlap=2)
    [(0, 3), (2, 6), (5, 9)]
    """
    borders = np.append(starts, length)
    windows = []
    start = 0
    while True:
        end = int(borders[np.searchsorted(borders, start + room, side="right") - 1])
        if end <= start:
            windows.append((start, start + room))
            start = int(borders[np.searchsorted(borders, start, side="right")])
            if start == length:
                return windows
            continue
        windows.append((start, end))
        if end == length:
            return windows
        start = int(borders[np.searchsorted(borders, max(end - overlap, start + 1))])


def owning_windows(windows: list[tuple[int, int]], tokens: np.ndarray) -> np.ndarray:
    """For each of some tokens, the window in which it has most context; the first one if several are equal.

    Args:
        windows: What `cut_windows` returns.
        tokens: (tokens,) places in the text, each in at least one window.

    Returns:
        (tokens,) int64.

    >>> owning_windows([(0, 6), (4, 10)], np.array([0, 4, 5, 9]))
    array([0, 0, 1, 1])
    """
    best = np.full(len(tokens), -1)
    owner = np.zeros(len(tokens), dtype=np.int64)
    for number, (start, end) in enumerate(windows):
        context = np.minimum(tokens - start, end - 1 - tokens)
        better = context > best
        owner[better] = number
        best[better] = context[better]
    return owner
