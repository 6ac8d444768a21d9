"""Two clocks at once: seconds that passed, which other processes stretch, and seconds of the processor."""

import resource
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Duration:
    """Seconds.

    Attributes:
        wall: That passed.
        cpu: Of the processor, all threads together.

    >>> Duration(1.0, 2.0) + 2 * Duration(3.0, 4.0)
    Duration(wall=7.0, cpu=10.0)
    """

    wall: float
    cpu: float

    def __add__(self, other: "Duration") -> "Duration":
        return Duration(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Duration") -> "Duration":
        return Duration(self.wall - other.wall, self.cpu - other.cpu)

    def __rmul__(self, factor: float) -> "Duration":
        return Duration(factor * self.wall, factor * self.cpu)

    def at_least_nothing(self) -> "Duration":
        """What noise has made negative is 0."""
        return Duration(max(0.0, self.wall), max(0.0, self.cpu))


NOTHING = Duration(0.0, 0.0)


def now() -> Duration:
    """Both clocks of this process; only differences mean something."""
    return Duration(time.perf_counter(), time.process_time())


def children_now() -> Duration:
    """Likewise, of the processor by all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Duration(time.perf_counter(), used.ru_utime + used.ru_stime)


def total(durations: Iterable[Duration]) -> Duration:
    """The sum."""
    return sum(durations, NOTHING)


def median(durations: Iterable[Duration]) -> Duration:
    """Of each clock by itself."""
    durations = list(durations)
    return Duration(*(statistics.median(getattr(each, name) for each in durations) for name in ("wall", "cpu")))
