"""What a person sees of a study while it runs: one line for each job that ends, and below it what is being done."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from electra_hf.study.jobs import Job, JobFiles
from electra_hf.training.progress import format_seconds


class Board:
    """Progress of all jobs of a study.

    Args:
        console: Where it is shown; live in a terminal only.
        files: Of all jobs.
        at_once: Jobs that run at the same time.
    """

    def __init__(self, console: Console, files: Sequence[JobFiles], at_once: int):
        self.console = console
        self._files = {one.job.key: one for one in files}
        self._at_once = at_once
        self._start = time.monotonic()
        self._ended: set[str] = set()
        self._seconds: dict[tuple[str, str], list[float]] = {}
        self._running: dict[str, float] = {}
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def kept(self, job: Job) -> None:
        """A job was done before."""
        self._ended.add(job.key)
        self._learn(job)

    def started(self, job: Job) -> None:
        """A job runs now."""
        self._running[job.key] = time.monotonic()
        if not self._live:
            self._say(f"{job.key}  started")

    def ended(self, job: Job, outcome: str, *, done: bool) -> None:
        """A job has ended.

        Args:
            job: Which one.
            outcome: How, in words.
            done: It need not be started again.
        """
        seconds = time.monotonic() - self._running.pop(job.key)
        self._ended.add(job.key)
        if done:
            self._learn(job)
        self._say(f"{job.key}  {outcome}, {format_seconds(seconds)}")

    def refresh(self) -> None:
        """Show where things stand."""
        if self._live:
            self._live.update(self._picture(), refresh=True)

    def remaining(self) -> tuple[float, bool]:
        """Seconds until the end, from jobs of the same kind, and whether others remain of which nothing is known."""
        total, unknown = 0.0, False
        for key, one in self._files.items():
            if key in self._ended:
                continue
            known = self._seconds.get((one.job.kind, one.job.alike))
            if not known:
                unknown = True
                continue
            spent = time.monotonic() - self._running[key] if key in self._running else 0.0
            total += max(0.0, sum(known) / len(known) - spent)
        return total / self._at_once, unknown

    def _learn(self, job: Job) -> None:
        self._seconds.setdefault((job.kind, job.alike), []).append(self._files[job.key].seconds)

    def _say(self, text: str) -> None:
        line = f"[{len(self._ended)}/{len(self._files)}] {text}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _picture(self) -> Group:
        elapsed = format_seconds(time.monotonic() - self._start)
        left, unknown = self.remaining()
        estimate = f"{'more than' if unknown else 'about'} {format_seconds(left)} left" if left else "estimating"
        table = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(1, len(self._files)), completed=len(self._ended), width=30)
        table.add_row(bar, f"{len(self._ended)} of {len(self._files)} jobs", f"{elapsed}, {estimate}")
        return Group(table, *self._lines(self._running))

    def _lines(self, keys: Iterable[str]) -> list[Text]:
        lines = []
        for key in keys:
            said = self._files[key].last_lines(1)
            text = f"  {key}  {format_seconds(time.monotonic() - self._running[key])}  {said[0] if said else ''}"
            lines.append(Text(text, no_wrap=True, overflow="ellipsis"))
        return lines
