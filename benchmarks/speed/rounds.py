"""Interleaved rounds: every contestant does a few steps, then the next one, over and over."""

from pathlib import Path
from typing import Any

from speed.processes import Worker, job_worker
from speed.report import summarise
from speed.settings import Job

MACHINE = ("device", "threads", "torch")


def run_rounds(
    jobs: list[Job],
    environment: dict[str, str],
    logs: Path,
    *,
    rounds: int,
    steps: int,
    warmup: int,
    fresh_processes: bool = False,
) -> dict[str, Any]:
    """Measure contestants of one size and precision side by side.

    Args:
        jobs: The contestants and what they work on.
        environment: Of their processes.
        logs: Folder for what they print.
        rounds: How often each has its turn.
        steps: Of a turn.
        warmup: Steps of a new process that are not counted.
        fresh_processes: End a process after each turn, so that only one of them holds memory.

    Returns:
        The measured speed of the device, and for each job its settings, all that its process said, and a `summary`.

    Raises:
        WorkerError: If a process dies.
    """
    first = jobs[0].workload
    entries: list[dict[str, Any]] = [
        {**job.as_dict(), "rounds": [], "shares": [], "steps": steps, "peak_bytes": 0} for job in jobs
    ]
    peak_worker = Worker({"peak": first.precision, "device": jobs[0].device}, environment, logs / "peak.log")
    workers: dict[int, Worker] = {}
    peaks = []
    print(f"{first.name}: {len(jobs)} contestants", flush=True)
    try:
        for number in range(rounds):
            last = number == rounds - 1
            peaks.append(peak_worker.ask("run")["flops_per_second"])
            for place, (job, entry) in enumerate(zip(jobs, entries, strict=True)):
                worker = workers.get(place)
                if worker is None:
                    worker = workers[place] = job_worker(job, environment, logs)
                    entry.update(worker.facts)
                    if warmup:
                        worker.ask("run", steps=warmup)
                measured = worker.ask("run", steps=steps)
                entry["rounds"].append(measured)
                _print_round(number, job, measured)
                if job.device == "cpu":
                    entry["shares"].append(measured)
                elif last:
                    # A round of its own: it waits for the GPU at every boundary.
                    entry["shares"].append(worker.ask("shares", steps=steps))
                if last or fresh_processes:
                    found = workers.pop(place).stop()
                    entry["peak_bytes"] = max(entry["peak_bytes"], found.pop("peak_bytes"))
                    entry.update(found)
        peak_worker.stop(answers=False)
    finally:
        for worker in (peak_worker, *workers.values()):
            worker.kill()
    group = {"name": first.name, "precision": first.precision, "rounds": rounds, "steps": steps, "peak": max(peaks)}
    for entry in entries:
        entry["summary"] = summarise(entry, group["peak"])
    return {**group, "contestants": entries, **{name: entries[0][name] for name in MACHINE}}


def _print_round(number: int, job: Job, measured: dict[str, Any]) -> None:
    speed = measured["tokens"] / measured["seconds"]
    work = job.workload
    what = f"{job.name:<24} {work.batch_size} x {work.length}, {work.data}, vocabulary {work.vocab_size:,}"
    print(f"  round {number + 1}  {what:<72}{speed:>12,.0f} tokens/s", flush=True)
