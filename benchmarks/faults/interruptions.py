"""Is a run that is killed again and again, bit for bit, the run that was not?

    python benchmarks/faults/interruptions.py --kills 100 --stops 20 --json interruptions.json

Runs run_pretraining.py on a small corpus, once from beginning to end, then in chains: started with
`--resume_from_checkpoint auto`, killed at a random moment, started again, until it has finished. Compared are the
weights of both halves, the optimiser, the schedule, the random states and every logged number that does not depend on
the clock. SIGKILL goes to all processes at once, as when a machine is taken away, or to one rank of several. SIGTERM
goes to the launcher, to one rank or to all; such a run must leave with a checkpoint of the step that it was in. A run
with another seed is the control: it must differ, or the comparison sees nothing.
"""

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from final_state import differing_bits, differing_entries, final_state
from real_runs import PATIENCE, VICTIM, Case, Run, make_corpus

from electra_hf.errors import ElectraHfError, run_script

CASES = {
    "map-style": Case(("--per_device_train_batch_size", "8")),
    "2 persistent workers, accumulation": Case(
        (
            *("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2"),
            *("--dataloader_num_workers", "2", "--dataloader_persistent_workers", "true"),
        )
    ),
    "stream": Case(("--per_device_train_batch_size", "8", "--streaming", "--shuffle_buffer_size", "50")),
    "2 processes": Case(("--per_device_train_batch_size", "4"), processes=2),
}
# What a signal hits: the launcher and all ranks, the launcher alone, one rank alone.
TARGETS: dict[str, Callable[[psutil.Process, list[psutil.Process]], list[psutil.Process]]] = {
    "all": lambda parent, ranks: [parent, *ranks],
    "launcher": lambda parent, ranks: [parent],
    "one rank": lambda parent, ranks: ranks[-1:],
}


@dataclass
class Outcome:
    """What a chain of interrupted runs met.

    Attributes:
        phases: what the processes were doing when the signal came.
        lost: optimiser steps that had to be done again after each interruption.
        problems: what was not as it must be.
        bits: that differ from the uninterrupted run.
        log: numbers that differ.
    """

    phases: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bits: int = 0
    log: int = 0


def interrupt(run: Run, signal_number: int, target: str, delay: float, outcome: Outcome) -> bool:
    """Start, wait, send a signal, wait for the end. Returns whether the run was interrupted."""
    process = run.start()
    while process.poll() is None and run.where()[1] < 0:
        time.sleep(0.005)
    end = time.monotonic() + delay
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    parent = psutil.Process(process.pid)
    everybody = parent.children(recursive=True)
    ranks = [child for child in everybody if str(VICTIM) in command_of(child) and run.ranks > 1]
    if signal_number == signal.SIGKILL and target == "all":
        chosen = [parent, *everybody]
    else:
        chosen = TARGETS[target](parent, [rank for rank in ranks if rank.ppid() == parent.pid])
    phase, step = run.where()
    for victim in chosen or [parent]:
        try:
            victim.send_signal(signal_number)
        except psutil.NoSuchProcess:
            continue
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"{target}: did not end within {PATIENCE} s of signal {signal_number} in {phase}")
        process.kill()
    psutil.wait_procs(everybody, timeout=60)
    if run.finished:
        return False  # the end came first
    outcome.phases.append(phase)
    outcome.lost.append(max(0, step - run.newest()))
    if signal_number == signal.SIGTERM and outcome.lost[-1]:
        outcome.problems.append(f"{target}: stopped in step {step} ({phase}), saved was {run.newest()}")
    return True


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def chain(run: Run, seed: int, *, signal_number: int, horizon: float) -> Outcome:
    """Interrupt a run, and start it again, until it has finished."""
    rng, outcome = random.Random(seed), Outcome()
    while not run.finished:
        target = rng.choice(list(TARGETS)) if run.ranks > 1 else "all"
        if signal_number == signal.SIGKILL and target == "launcher":
            target = "all"  # ranks whose launcher is killed go on by themselves: nothing is interrupted
        if not interrupt(run, signal_number, target, rng.uniform(0, 0.8 * horizon), outcome) and not run.finished:
            raise ElectraHfError(f"the run ended by itself; the end of its log:\n{run.log.read_text()[-3000:]}")
    return outcome


def compare(run: Run, whole: Run, outcome: Outcome) -> None:
    outcome.bits = differing_bits(final_state(run.last_checkpoint), final_state(whole.last_checkpoint))
    outcome.log = differing_entries(run.folder, whole.folder)


def run_case(name: str, case: Case, options: argparse.Namespace, home: Path, jobs: Sequence[tuple[int, int]]) -> dict:
    """All chains of a case.

    Args:
        name: Of the case.
        case: How it runs.
        options: Jobs at once.
        home: Folder of all its runs.
        jobs: Signal and number of interruptions that are wanted of it.
    """
    home.mkdir()
    corpus = home / "corpus.txt"
    make_corpus(corpus)
    whole, control = Run(case, home, "whole", corpus), Run(case, home, "control", corpus, ("--seed", "8"))
    horizon = whole.finish()
    control.finish()
    differing = Outcome()
    compare(control, whole, differing)
    found: dict[str, Any] = {"control": {"bits": differing.bits, "log": differing.log}, "values": {}}
    found["values"] = {
        "bits": sum(8 * t.numel() * t.element_size() for t in final_state(whole.last_checkpoint).values())
    }
    for signal_number, wanted in jobs:
        outcomes: list[Outcome] = []
        while sum(len(outcome.phases) for outcome in outcomes) < wanted:
            seeds = [len(outcomes) + number for number in range(options.jobs)]
            runs = [Run(case, home, f"{signal_number}-{seed}", corpus) for seed in seeds]
            with ThreadPoolExecutor(options.jobs) as pool:
                new = list(pool.map(partial(chain, signal_number=signal_number, horizon=horizon), runs, seeds))
            for run, outcome in zip(runs, new, strict=True):
                compare(run, whole, outcome)
            outcomes += new
            count = sum(len(outcome.phases) for outcome in outcomes)
            print(f"{name}: {count} of {wanted} x {signal.Signals(signal_number).name}", file=sys.stderr, flush=True)
        found[signal.Signals(signal_number).name] = {
            "runs": len(outcomes),
            "interruptions": sum(len(outcome.phases) for outcome in outcomes),
            "phases": dict(Counter(phase for outcome in outcomes for phase in outcome.phases).most_common()),
            "steps_lost": [steps for outcome in outcomes for steps in outcome.lost],
            "differing_bits": sum(outcome.bits for outcome in outcomes),
            "differing_log_values": sum(outcome.log for outcome in outcomes),
            "problems": [problem for outcome in outcomes for problem in outcome.problems],
        }
    return found


def report(results: dict[str, dict]) -> None:
    print(f"{'case':<38}{'signal':<9}{'runs':>5}{'signals':>9}{'bits':>6}{'log':>5}{'steps lost':>12}{'control':>12}")
    for name, found in results.items():
        for kind in ("SIGKILL", "SIGTERM"):
            if kind not in found:
                continue
            entry = found[kind]
            lost = f"{statistics.mean(entry['steps_lost']):.1f}" if entry["steps_lost"] else ""
            print(
                f"{name:<38}{kind:<9}{entry['runs']:>5}{entry['interruptions']:>9}{entry['differing_bits']:>6}"
                f"{entry['differing_log_values']:>5}{lost:>12}{found['control']['bits']:>12,}"
            )
            for problem in entry["problems"]:
                print(f"  {problem}")
    phases = Counter()
    for found in results.values():
        for kind in ("SIGKILL", "SIGTERM"):
            phases.update(found.get(kind, {}).get("phases", {}))
    print("\nwhat was interrupted:")
    for phase, count in sorted(phases.items()):
        print(f"  {phase:<32}{count:>5}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs, divided among the cases")
    parser.add_argument("--stops", type=int, default=20, help="SIGTERMs to two processes, and as many to one")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--jobs", type=int, default=2, help="chains at the same time")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as home:
        for number, name in enumerate(options.cases):
            jobs = [(int(signal.SIGKILL), -(-options.kills // len(options.cases)))]
            if name in ("map-style", "2 processes"):
                jobs.append((int(signal.SIGTERM), options.stops))
            results[name] = run_case(name, CASES[name], options, Path(home, str(number)), jobs)
            if options.json:
                options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report(results)
    entries = [found[kind] for found in results.values() for kind in ("SIGKILL", "SIGTERM") if kind in found]
    failed = any(entry["differing_bits"] or entry["differing_log_values"] or entry["problems"] for entry in entries)
    return int(failed or not all(found["control"]["bits"] for found in results.values()))


if __name__ == "__main__":
    run_script(main)
