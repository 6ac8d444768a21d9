"""The numbers that options may have: a table of them, and one way to say what is wrong.

Python's `float` reads `nan` and `inf`, which no option of ours means.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from electra_hf.errors import UsageError


@dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high`.

    Attributes:
        low: Smallest number.
        high: Largest number.
        without: Which of both is left out itself: `low`, `high` or `both`.

    >>> str(Range(1)), str(Range(0, without="low")), str(Range(0, 1, without="high"))
    ('of 1 or more', 'above 0', 'from 0 and below 1')
    """

    low: float
    high: float = math.inf
    without: str = ""

    def __contains__(self, number: float) -> bool:
        try:
            inside = self.low <= number <= self.high and math.isfinite(float(number))
        except OverflowError:  # an integer of hundreds of digits
            return False
        ends = {"low": (self.low,), "high": (self.high,), "both": (self.low, self.high)}
        return inside and number not in ends.get(self.without, ())

    def __str__(self) -> str:
        low = f"above {self.low:,}" if self.without in ("low", "both") else f"from {self.low:,}"
        if self.high == math.inf:
            return low if low.startswith("above") else f"of {self.low:,} or more"
        return f"{low} {'and below' if self.without in ('high', 'both') else 'to'} {self.high:,}"


def check_ranges(options: object, ranges: Mapping[str, Range]) -> None:
    """Refuse numbers that cannot work.

    Args:
        options: A dataclass of options; those that are None were not given.
        ranges: Names of options, and what each number of them may be.

    Raises:
        UsageError: Naming the option, what was found and what may be given.
    """
    for name, allowed in ranges.items():
        value = getattr(options, name)
        for number in value if isinstance(value, list) else [value]:
            if number is not None and number not in allowed:
                raise UsageError(f"--{name} {number}: give a number {allowed}")
