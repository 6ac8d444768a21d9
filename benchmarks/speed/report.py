"""Rounds -> medians, tables and a picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from speed.settings import BARE, BASELINE, BYTES_PER_PARAMETER, OURS, PARTS

BLUE, VERMILION, INK, GREY, GRID = "#0072B2", "#D55E00", "#333333", "#777777", "#E4E4E4"
OTHER = "other"


def summarise(entry: dict[str, Any], peak: float) -> dict[str, Any]:
    """The figures of one contestant on one workload.

    Args:
        entry: Its rounds and what its worker said at the start and at the end.
        peak: FLOP/s of the device in large matrix products of this precision.
    """
    rounds = entry["rounds"]
    speeds = [measured["tokens"] / measured["seconds"] for measured in rounds]
    tokens = sum(measured["tokens"] for measured in rounds)
    positions = sum(measured["positions"] for measured in rounds)
    steps = entry["steps"] * len(rounds)
    rows = positions / entry["workload"]["length"]  # a row that is padded to less counts for what it is
    median = statistics.median(speeds)
    needed = entry["flops_needed_per_row"] * rows / tokens
    found = {
        "tokens_per_second": median,
        "lowest": min(speeds),
        "highest": max(speeds),
        "real_tokens": tokens / positions,
        "flops_needed_per_token": needed,
        "flops_done_per_token": entry["flops_done_per_row"] * rows / tokens,
        "model_flops_utilisation": median * needed / peak,
        "peak_bytes": entry["peak_bytes"],
        "shares": shares(entry["shares"]),
    }
    if "saved_bytes" in entry:
        # What is kept for backward is written once and read once.
        moved = BYTES_PER_PARAMETER * entry["parameters"] + 2 * entry["saved_bytes"]
        found["bytes_moved_per_token"] = moved * steps / tokens
    return found


def shares(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Each part's share of the time of some rounds; what no part explains is the Trainer's own and logging."""
    seconds = sum(measured["seconds"] for measured in rounds)
    found = {part: sum(measured["parts"][part] for measured in rounds) / seconds for part in PARTS}
    return {**found, OTHER: 1 - sum(found.values())}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of even width."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


SPEED_HEADER = ("contestant", "data", "tokens/s", "lowest - highest", "ratio", "MFLOP/token", "of peak", "memory")
COST_HEADER = ("contestant", "data", "real tokens", "MB moved/token", "data loading", "model", "optimiser", "other")


def group_report(group: dict[str, Any]) -> str:
    """Both tables of one group of contestants, and the sentences that follow from them."""
    found: dict[tuple[str, str], dict[str, Any]] = {
        (entry["name"], entry["workload"]["data"]): entry["summary"] for entry in group["contestants"]
    }
    speed_rows, cost_rows = [], []
    for (name, data), summary in found.items():
        reference = found.get((BASELINE, data))
        ratio = f"{summary['tokens_per_second'] / reference['tokens_per_second']:.2f}" if reference else ""
        needed, done = summary["flops_needed_per_token"] / 1e6, summary["flops_done_per_token"] / 1e6
        speed_rows.append(
            [
                name,
                data,
                f"{summary['tokens_per_second']:,.0f}",
                f"{summary['lowest']:,.0f} - {summary['highest']:,.0f}",
                ratio,
                f"{needed:.1f}" if needed == done else f"{needed:.1f}, does {done:.1f}",
                f"{summary['model_flops_utilisation']:.1%}",
                f"{summary['peak_bytes'] / 1e9:.2f} GB",
            ]
        )
        moved = summary.get("bytes_moved_per_token")
        parts = [f"{share:.1%}" for share in summary["shares"].values()]
        if name == BARE:
            parts = [""] * len(parts)
        cost_rows.append([name, data, f"{summary['real_tokens']:.0%}", f"{moved / 1e6:.2f}" if moved else "", *parts])
    lines = [
        f"### {group['name']}",
        "",
        f"{group['rounds']} rounds of {group['steps']} steps; the device does {group['peak'] / 1e9:,.0f} GFLOP/s in "
        f"large {group['precision']} matrix products.",
        "",
        table(SPEED_HEADER, speed_rows),
        "",
        table(COST_HEADER, cost_rows),
        "",
        *(f"- {sentence}" for sentence in conclusions(found)),
    ]
    return "\n".join(lines)


def conclusions(found: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """What the rows say about each other."""

    def ratio(first: tuple[str, str], second: tuple[str, str], key: str = "tokens_per_second") -> float | None:
        return found[first][key] / found[second][key] if first in found and second in found else None

    packed, padded = (OURS, "packed"), (BASELINE, "padded")
    sentences = []
    if (value := ratio(packed, padded)) is not None:
        sentences.append(f"Ours packed against the baseline padded: {value:.2f} times the real tokens a second.")
    if (value := ratio(packed, (BARE, "packed"))) is not None:
        sentences.append(f"The Trainer costs {1 / value - 1:.1%} of the bare step, data loading and logging included.")
    if (value := ratio(packed, (BASELINE, "packed"), "peak_bytes")) is not None:
        sentences.append(f"Memory: {value:.2f} of the baseline's.")
    return sentences


def draw(groups: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each group: a bar to the median, a dot for every round."""
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    bars = max(len(group["contestants"]) for group in groups)
    figure = Figure(figsize=(7.2 * columns, rows * (0.42 * bars + 1.3)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for unused in panels[len(groups) :]:
        unused.set_axis_off()
    for axes, group in zip(panels, groups, strict=False):
        entries = group["contestants"][::-1]
        labels = [f"{entry['name']}, {entry['workload']['data']}" for entry in entries]
        colors = [VERMILION if entry["name"] == BASELINE else BLUE for entry in entries]
        medians = [entry["summary"]["tokens_per_second"] for entry in entries]
        axes.barh(labels, medians, color=colors, alpha=0.75, height=0.6, zorder=2)
        for place, entry in enumerate(entries):
            speeds = [measured["tokens"] / measured["seconds"] for measured in entry["rounds"]]
            axes.scatter(speeds, [place] * len(speeds), s=12, color=INK, zorder=3)
            axes.annotate(
                f"{medians[place]:,.0f}", (max(speeds), place), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_xlim(0, 1.18 * max(medians))
        axes.set_title(group["name"], loc="left", color=INK, fontsize=11, fontweight="bold")
        axes.set_xlabel("real tokens/s", color=INK)
        axes.grid(axis="x", color=GRID, zorder=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=120)
