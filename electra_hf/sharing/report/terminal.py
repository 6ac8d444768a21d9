"""A run in the terminal, for people on ssh: progress, newest numbers and what to think of them, losses as small plots,
and the newest texts. It is drawn anew while the run goes on and ends with it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from electra_hf.sharing.rendering import has_colour, legend, render_text, score
from electra_hf.sharing.report.content import is_byte_level
from electra_hf.sharing.report.facts import format_count, values_of
from electra_hf.sharing.report.figures import Figure, downsample, figures_of, lines_of
from electra_hf.sharing.report.runs import Run, read_run, signature

_BARS = "▁▂▃▄▅▆▇█"
_PLOT_WIDTH = 24
_SHOWN_TEXTS = 3
_STYLES = {"finished": "bold green", "silent": "bold yellow", "waiting": "dim", "running": "bold"}


def watch_in_terminal(
    folder: Path,
    *,
    interval: float,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show a run until it is finished; before it begins, say that it is waited for.

    Args:
        folder: Of the run; it may not exist yet.
        interval: Seconds between two looks at its files.
        console: Where to draw; default: standard output.
        sleep: Waits for so many seconds.

    Raises:
        CheckpointError: If a file of the run is damaged.
    """
    console = console or Console()
    run, seen = Run(folder.name, folder), None
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            now = signature([folder])
            if now != seen:
                run, seen = read_run(folder), now
            status = run.status()
            live.update(view_of(run, console), refresh=True)
            if status.state == "finished":
                return
            sleep(interval)


def view_of(run: Run, console: Console) -> RenderableType:
    """What the terminal shows of a run; where it is too low, the texts at the end are cut off."""
    status = run.status()
    head = Text.assemble((run.name, "bold"), "  ", (status.words, _STYLES[status.state]))
    if run.tokens_per_step is not None and run.rows:
        head.append(f"  {format_count(run.step * run.tokens_per_step)} tokens", style="dim")
    parts: list[RenderableType] = [head]
    if status.progress is not None:
        parts.append(_bar(status.progress, min(console.width, 80)))
    figures = figures_of([lines_of(run.rows)])
    if figures:
        parts += [Text(), _numbers(run, figures, console)]
    if run.observations:
        parts += [Text(), *_texts(run, console)]
    return Group(*parts)


def _bar(progress: float, width: int) -> Text:
    """How far the run is; to be read without colour too."""
    share = f" {progress:.0%}"
    done = round(progress * (width - len(share)))
    rest = width - len(share) - done
    return Text.assemble(("━" * done, "bold cyan"), ("╌" * rest, "dim"), share)


def _numbers(run: Run, figures: Sequence[Figure], console: Console) -> Table:
    """Each metric: its course, the newest values, and how they stand to what is known."""
    lines = lines_of(run.rows)
    course_width = _PLOT_WIDTH if console.width >= 100 else _PLOT_WIDTH // 2
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("course", no_wrap=True, style="cyan")
    table.add_column("training", justify="right", no_wrap=True, style="bold")
    table.add_column("held-out", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for figure, [(training, held_out, words)] in values_of([run], figures):
        line = lines.get(figure.key) or lines[f"eval_{figure.key}"]
        style = "bold yellow" if words.startswith("alarm") else "green" if words.startswith("within") else "dim"
        course = sparkline(line.values, course_width)
        table.add_row(Text(figure.title), course, training, held_out, Text(words, style=style))
    return table


def sparkline(values: Sequence[float], width: int = _PLOT_WIDTH) -> str:
    """A curve in one line of text.

    >>> sparkline([1, 2, 3, 4]), sparkline([5.0, 5.0]), sparkline([])
    ('▁▃▆█', '▁▁', '')
    """
    if not values:
        return ""
    shown = [values[place] for place in downsample(values, width)]
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def _texts(run: Run, console: Console) -> list[RenderableType]:
    step, texts = run.observations[-1]
    colour = has_colour(console)
    shown: list[RenderableType] = [Text(f"Texts at step {step:,}", style="bold"), legend(colour=colour, swaps=True)]
    for text in texts[:_SHOWN_TEXTS]:
        words = render_text(text, colour=colour, byte_level=is_byte_level(text))
        shown += [Text(), words, Text(score([text]), style="dim")]
    return shown
