"""Pairs of brackets in text that may have any number of them, in any order."""

import re


def outermost_pairs(brackets: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    r"""Where the outermost pairs begin and end, in order; brackets without a partner are in none.

    Args:
        brackets: Matches one bracket, an opening one as its group 1.
        text: The text, which is read once.

    >>> outermost_pairs(re.compile(r"(\()|\)"), "(a ((b) c)) ) (")
    [(0, 11)]
    """
    open_at: list[int] = []
    pairs: list[tuple[int, int]] = []
    for found in brackets.finditer(text):
        if found[1]:
            open_at.append(found.start())
        elif open_at:
            start = open_at.pop()
            while pairs and pairs[-1][0] > start:
                pairs.pop()
            pairs.append((start, found.end()))
    return pairs
