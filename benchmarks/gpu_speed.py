"""How fast on a GPU? Small at 128 and base at 512 in the Trainer, eager and compiled, in one command.

    python benchmarks/gpu_speed.py --output_dir outputs/gpu
    python benchmarks/gpu_speed.py --device cpu --quick --modes eager       # tries the script out without a GPU

Every row is a process of its own in bf16 on packed text: warm-up (compilation included), rounds of steps in the
Trainer, a round that waits for the device at every boundary for the shares of data loading, model and optimiser, and a
few steps under torch.profiler. Batches fill the device; one that does not fit is halved until it does. The batch size
does not change what a token costs, so the paper's full run (1,000,000 steps of 128 x 128 tokens for small, 766,000 of
256 x 512 for base) is estimated from its tokens.

Writes gpu_speed.json, gpu_speed.md and a table of the largest kernels for each row, profile-*.txt, to --output_dir.
Takes less than ten minutes on one H100 or H200. Without a GPU it says so and leaves with exit code 2.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from speed.processes import Worker, WorkerError, choose_device, job_worker, prepare_text
from speed.report import summarise, table
from speed.rounds import MACHINE
from speed.settings import (
    COMPILED,
    CONTESTANTS,
    OURS,
    STEP_TOKENS,
    Contestant,
    Job,
    Workload,
    add_text_arguments,
    worker_environment,
)

from electra_hf.errors import UsageError, run_script

# Length of a row, and steps and rows of the paper's run (Clark et al. 2020, table 6).
RUNS = {"small": (128, 1_000_000, 128), "base": (512, 766_000, 256)}
QUICK_RUNS = {"tiny": (32, 1_000, 32)}
MODES: dict[str, Contestant] = {"eager": CONTESTANTS[OURS], "compiled": CONTESTANTS[COMPILED]}
PROFILED_STEPS = 3
OUT_OF_MEMORY = "OutOfMemoryError"
HEADER = (
    "model",
    "mode",
    "batch",
    "tokens/s",
    "lowest - highest",
    "TFLOP/s",
    "of peak",
    "memory",
    "data loading",
    "model",
    "optimiser",
    "other",
    "paper's run",
)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--batch_size", type=int, help="default: 131,072 tokens of small, 32,768 of base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="steps of a round")
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="a tiny model and two rounds of two steps")
    add_text_arguments(parser)
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds, options.steps, options.warmup = list(QUICK_RUNS), 2, 2, 1
    return options


def measure(job: Job, options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """One row of the table; a batch that does not fit the device is halved.

    Raises:
        WorkerError: If a process dies of something else than memory.
    """
    while True:
        try:
            return measure_once(job, options, environment)
        except WorkerError as error:
            rows = job.workload.batch_size
            if OUT_OF_MEMORY not in str(error) or rows == 1:
                raise
            print(f"  {rows} rows do not fit: {rows // 2} instead", flush=True)
            job = replace(job, workload=replace(job.workload, batch_size=rows // 2))


def measure_once(job: Job, options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {**job.as_dict(), "steps": options.steps}
    worker = job_worker(job, environment, options.output_dir / "logs")
    try:
        entry.update(worker.facts)
        start = time.monotonic()
        worker.ask("run", steps=options.warmup)
        entry["warmup_seconds"] = time.monotonic() - start
        entry["rounds"] = [worker.ask("run", steps=options.steps) for _ in range(options.rounds)]
        entry["shares"] = [worker.ask("shares", steps=options.steps)]
        name = f"profile-{job.workload.size}-{job.workload.length}-{job.name}.txt"
        worker.ask("profile", steps=PROFILED_STEPS, file=str(options.output_dir / name))
        entry.update(worker.stop())
    finally:
        worker.kill()
    return entry


def table_row(entry: dict[str, Any]) -> list[str]:
    """A row of the Markdown table."""
    workload, summary = entry["workload"], entry["summary"]
    speed = summary["tokens_per_second"]
    return [
        workload["size"],
        entry["name"],
        f"{workload['batch_size']} x {workload['length']}",
        f"{speed:,.0f}",
        f"{summary['lowest']:,.0f} - {summary['highest']:,.0f}",
        f"{speed * summary['flops_needed_per_token'] / 1e12:.1f}",
        f"{summary['model_flops_utilisation']:.1%}",
        f"{summary['peak_bytes'] / 1e9:.1f} GB",
        *(f"{share:.1%}" for share in summary["shares"].values()),
        f"{entry['paper_run_hours']:,.1f} h",
    ]


def write_results(entries: list[dict[str, Any]], peak: float, options: argparse.Namespace) -> str:
    """JSON and Markdown of the rows so far; the Markdown."""
    machine = {name: entries[0][name] for name in MACHINE}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    result = {"machine": machine, "options": settings, "matmul_flops_per_second": peak, "rows": entries}
    (options.output_dir / "gpu_speed.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = "\n\n".join(
        [
            "## Speed on a GPU",
            f"{machine['device']}, torch {machine['torch']}, bf16, packed text; {peak / 1e12:,.1f} TFLOP/s in large "
            f"matrix products; {options.rounds} rounds of {options.steps} steps.",
            table(HEADER, [table_row(entry) for entry in entries]),
        ]
    )
    (options.output_dir / "gpu_speed.md").write_text(text + "\n", encoding="utf-8")
    return text


def main() -> None:
    options = parse_options()
    environment = worker_environment(options.untuned_allocator)
    device = choose_device(options.device, environment)
    if device == "cpu" and options.device != "cpu":
        raise UsageError("torch sees no GPU here, and this script measures one: --device cpu --quick tries it out")
    options.output_dir.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    runs = QUICK_RUNS if options.quick else RUNS
    lengths = sorted({runs[size][0] for size in options.sizes})
    folder = prepare_text(options, environment, lengths=lengths, vocab_size=options.vocab_size)
    worker = Worker({"peak": "bf16", "device": device}, environment, options.output_dir / "logs" / "peak.log")
    try:
        peak = statistics.median(worker.ask("run")["flops_per_second"] for _ in range(3))
    finally:
        worker.kill()
    entries: list[dict[str, Any]] = []
    text = ""
    for size in options.sizes:
        length, paper_steps, paper_rows = runs[size]
        rows = options.batch_size or STEP_TOKENS[device][size] // length
        for mode in options.modes:
            job = Job(
                name=mode,
                contestant=MODES[mode],
                workload=Workload(size, length, rows, "bf16", "packed", options.vocab_size, options.dropout),
                folder=str(folder),
                device=device,
                max_steps=options.warmup + (options.rounds + 1) * options.steps + PROFILED_STEPS,
                num_workers=options.dataloader_num_workers,
                tuned_allocator=not options.untuned_allocator,
            )
            print(f"{job.workload.name}, {mode}", flush=True)
            entry = measure(job, options, environment)
            entry["summary"] = summarise(entry, peak)
            tokens = paper_steps * paper_rows * length
            entry["paper_run_hours"] = tokens / entry["summary"]["tokens_per_second"] / 3600
            entries.append(entry)
            text = write_results(entries, peak, options)
    print(f"\n{text}\n\nwritten to {options.output_dir} after {time.monotonic() - start:,.0f} s")


if __name__ == "__main__":
    run_script(main)
