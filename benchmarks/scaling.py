"""Does cost grow as it should? Tokens/s against rows of a step, length, vocabulary and processes.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --size tiny --rounds 1 --steps 2 --vocabularies 8192 16384     # tries it out

One panel for each: rows of a step at one length; lengths with as many tokens a step; vocabularies at one length; and
processes, each on a core of its own (on GPUs, on one of its own), all with as many rows as the other panels' middle.
Points of a panel are measured in interleaved rounds, each point in a process of its own. The dashed line is what the
arithmetic of the step alone would make of the first point (for processes: the first point times their number). Several
processes are started by torchrun, and judged by what each of them wrote: all tokens by the time of the slowest.

Writes scaling.json and scaling.png to --output_dir.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from speed.processes import choose_device, prepare_text
from speed.report import BLUE, GREY, GRID, INK, table
from speed.rounds import MACHINE, run_rounds
from speed.settings import (
    CONTESTANTS,
    OURS,
    SIZES,
    STEP_TOKENS,
    Job,
    Workload,
    add_text_arguments,
    worker_environment,
)

from electra_hf.errors import TrainingError, run_script

# Of all vocabularies that are measured: the same tokens are the same work for each of them.
TOKENIZER_VOCAB_SIZE = 8_000


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--length", type=int, default=128, help="where the length does not vary")
    parser.add_argument("--batch_sizes", nargs="*", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--lengths", nargs="*", type=int, default=[32, 64, 128, 256, 512])
    parser.add_argument("--vocabularies", nargs="*", type=int, default=[8_192, 16_384, 32_768, 65_536, 131_072])
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps of a round")
    parser.add_argument("--warmup", type=int, default=2)
    add_text_arguments(parser)
    return parser.parse_args()


def make_job(options: argparse.Namespace, folder: Path, device: str, **changes: Any) -> Job:
    """Our Trainer on the workload of the options, with some of it changed."""
    length = changes.get("length", options.length)
    workload = {
        "size": options.size,
        "length": length,
        "batch_size": max(1, STEP_TOKENS[device][options.size] // length),
        "precision": options.precision,
        "data": "packed",
        "vocab_size": options.vocab_size,
        "dropout": options.dropout,
    }
    return Job(
        name=OURS,
        contestant=CONTESTANTS[OURS],
        workload=Workload(**{**workload, **changes}),
        folder=str(folder),
        device=device,
        max_steps=options.warmup + (options.rounds + 1) * options.steps,
        num_workers=options.dataloader_num_workers,
        tuned_allocator=not options.untuned_allocator,
    )


def run_panel(
    options: argparse.Namespace, jobs: Sequence[Job], values: Sequence[int], environment: dict[str, str]
) -> list[dict[str, Any]]:
    """The points of a panel; `values` is what varies."""
    group = run_rounds(
        list(jobs),
        environment,
        options.output_dir / "logs",
        rounds=options.rounds,
        steps=options.steps,
        warmup=options.warmup,
        fresh_processes=jobs[0].device == "cuda",
    )
    points = []
    for value, entry in zip(values, group["contestants"], strict=True):
        summary = entry["summary"]
        speeds = [measured["tokens"] / measured["seconds"] for measured in entry["rounds"]]
        flops = summary["flops_needed_per_token"]
        points.append({"value": value, "tokens_per_second": speeds, "flops_per_token": flops})
        points[-1] |= {name: summary[name] for name in ("model_flops_utilisation", "peak_bytes")}
        points[-1] |= {name: entry[name] for name in MACHINE}
    return points


def run_processes(options: argparse.Namespace, job: Job, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Rounds of each number of processes in turn; a round is a run of its own."""
    points = [{"value": count, "tokens_per_second": [], "ranks": []} for count in options.processes]
    if job.device == "cpu":
        environment = {**environment, "OMP_NUM_THREADS": "1"}
    for number in range(options.rounds):
        for point in points:
            ranks = run_ranks(options, job, point["value"], environment)
            speed = sum(rank["tokens"] for rank in ranks) / max(rank["seconds"] for rank in ranks)
            point["tokens_per_second"].append(speed)
            point["ranks"].append(ranks)
            print(f"  round {number + 1}  {point['value']} processes {speed:>12,.0f} tokens/s", flush=True)
    return points


def run_ranks(options: argparse.Namespace, job: Job, count: int, environment: dict[str, str]) -> list[dict[str, Any]]:
    """What every process of one run wrote.

    Raises:
        TrainingError: If one of them wrote nothing, or trained in another number of processes.
    """
    steps = options.steps
    values = json.dumps({**job.as_dict(), "max_steps": options.warmup + steps})
    log = options.output_dir / "logs" / f"processes-{count}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        command += ["-m", "speed.ranks", values, folder, str(steps)]
        with log.open("w", encoding="utf-8") as file:
            subprocess.run(command, stdout=file, stderr=file, env=environment, check=False)
        ranks = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("rank-*.json"))]
    if len(ranks) != count or any(rank["processes"] != count for rank in ranks):
        raise TrainingError(f"{len(ranks)} of {count} processes finished: see {log}")
    return ranks


def expected(name: str, points: Sequence[dict[str, Any]]) -> list[float]:
    """The speed at each point if only its arithmetic counted, from the first point on."""
    first = statistics.median(points[0]["tokens_per_second"])
    if name == "processes":
        return [first * point["value"] / points[0]["value"] for point in points]
    return [first * points[0]["flops_per_token"] / point["flops_per_token"] for point in points]


def draw(panels: dict[str, list[dict[str, Any]]], title: str, path: Path) -> None:
    """A panel for each quantity: medians with lowest and highest, and what the arithmetic says."""
    figure = Figure(figsize=(11, 7.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    for axes, (name, points) in zip(figure.subplots(2, 2).flatten(), panels.items(), strict=False):
        values = [point["value"] for point in points]
        medians = [statistics.median(point["tokens_per_second"]) for point in points]
        below = [median - min(point["tokens_per_second"]) for median, point in zip(medians, points, strict=True)]
        above = [max(point["tokens_per_second"]) - median for median, point in zip(medians, points, strict=True)]
        axes.errorbar(values, medians, yerr=[below, above], color=BLUE, marker="o", capsize=3, zorder=3)
        if name != "rows of a step":
            axes.plot(values, expected(name, points), color=GREY, linestyle="--", zorder=2)
        axes.set_xscale("log", base=2)
        axes.set_xticks(values, [f"{value:,}" for value in values])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(name, color=INK)
        axes.set_ylabel("tokens/s", color=INK)
        axes.grid(color=GRID, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def describe(name: str, points: Sequence[dict[str, Any]]) -> str:
    """A table of one panel."""
    rows = []
    for point, arithmetic in zip(points, expected(name, points) if name != "rows of a step" else points, strict=True):
        speeds = point["tokens_per_second"]
        median = statistics.median(speeds)
        ratio = "" if name == "rows of a step" else f"{median / arithmetic:.2f}"
        spread = f"{min(speeds):,.0f} - {max(speeds):,.0f}"
        rows.append([f"{point['value']:,}", f"{median:,.0f}", spread, ratio])
    return table((name, "tokens/s", "lowest - highest", "of what is expected"), rows)


def main() -> None:
    options = parse_options()
    environment = worker_environment(options.untuned_allocator)
    device = choose_device(options.device, environment)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    lengths = sorted({options.length, *options.lengths})
    folder = prepare_text(options, environment, lengths=lengths, vocab_size=TOKENIZER_VOCAB_SIZE)
    panels: dict[str, list[dict[str, Any]]] = {}
    varied = {
        "rows of a step": ("batch_size", options.batch_sizes),
        "length": ("length", options.lengths),
        "vocabulary": ("vocab_size", options.vocabularies),
    }
    for name, (what, values) in varied.items():
        if values:
            jobs = [make_job(options, folder, device, **{what: value}) for value in values]
            panels[name] = run_panel(options, jobs, values, environment)
    if options.processes:
        panels["processes"] = run_processes(options, make_job(options, folder, device), environment)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    result = {"options": settings, "cores": len(os.sched_getaffinity(0)), "panels": panels}
    (options.output_dir / "scaling.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    title = f"{options.size}, {options.precision}, length {options.length}"
    draw(panels, title, options.output_dir / "scaling.png")
    print(f"\n{title}\n")
    for name, points in panels.items():
        print(describe(name, points) + "\n")
    print(f"written to {options.output_dir}")


if __name__ == "__main__":
    run_script(main)
