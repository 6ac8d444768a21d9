"""How well does `electra-hf plan` predict time and memory? Predict, run, compare, in one command.

    python benchmarks/plan_accuracy.py                                  # two sizes, 10 minutes each
    python benchmarks/plan_accuracy.py --cases tiny --minutes 2 --rounds 3

Each round of a case predicts with `electra-hf plan --json`, and then makes the very run with run_pretraining.py, on
Python's documentation, in folders of its own. The number of steps is chosen from a first plan so that the run takes
about --minutes. Measured of the run: seconds from its start to its end, seconds of the processor (user and system),
and the largest resident set, all by the operating system. Other processes stretch the first of them, not the second:
on a machine that is shared, compare the seconds of the processor.

Writes plan_accuracy.json to --output_dir.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "run_pretraining.py"
# ELECTRA-small as in the paper (12 layers, 256 wide; transformers' defaults), with a batch for a CPU.
SMALL = ["--corpus", "python-docs", "--train_tokenizer", "--vocab_size", "30522", "--max_seq_length", "128",
         "--per_device_train_batch_size", "16", "--validation_split_percentage", "5", "--logging_steps",
         "25"]  # fmt: skip
# Both evaluate on the way; the second one saves, too.
CASES: dict[str, list[str]] = {
    "tiny": ["--config", "configs/pretraining/demo.yaml"],
    "small": [*SMALL, "--eval_strategy", "steps", "--eval_steps", "0.5", "--save_steps", "0.5"],
}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run, about (default: %(default)s)")
    parser.add_argument("--max_steps", type=int, help="of each run, in place of --minutes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--probe_seconds", default="25")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/plan_accuracy"))
    return parser.parse_args()


def predict(arguments: list[str], probe_seconds: str) -> dict[str, Any]:
    """What `electra-hf plan` says."""
    command = [sys.executable, "-m", "electra_hf.cli", "plan", *arguments, "--json", "--probe_seconds", probe_seconds]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def make_run(arguments: list[str], log: Path) -> dict[str, float]:
    """The run itself, as the operating system saw it.

    This process is small, and what it starts begins with its size: it does not hide the peak of the run.
    """
    started = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], cwd=ROOT, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run failed: see {log}")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": time.perf_counter() - started, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": peak}


def compare(plan: dict[str, Any], run: dict[str, float]) -> dict[str, dict[str, float]]:
    """Predicted and found, and the error as a share of what was found."""
    predicted = {
        "seconds": plan["time"]["seconds"],
        "cpu_seconds": plan["time"]["cpu_seconds"],
        "peak_bytes": plan["memory"]["peak_bytes"],
    }
    return {
        name: {"predicted": value, "found": run[name], "error": value / run[name] - 1}
        for name, value in predicted.items()
    }


def main() -> None:
    options = parse_options()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in options.cases:
        for number in range(1, options.rounds + 1):
            folder = (options.output_dir / f"{case}-{number}").resolve()
            arguments = [*CASES[case], "--overwrite_cache", "--output_dir", str(folder)]
            steps = options.max_steps
            if steps is None:
                first = predict([*arguments, "--max_steps", "1000"], options.probe_seconds)["time"]
                other = first["seconds"] - first["parts"]["training"]
                steps = max(20, round((60 * options.minutes - other) / first["step_seconds"]))
            arguments += ["--max_steps", str(steps)]
            load = os.getloadavg()[0]
            plan = predict(arguments, options.probe_seconds)
            run = make_run(arguments, options.output_dir / f"{case}-{number}.log")
            found = compare(plan, run)
            rows.append(
                {"case": case, "round": number, "steps": steps, "load_before": load, "compared": found, "plan": plan}
            )
            for name, value in found.items():
                print(
                    f"{case} {number}  {steps:,} steps  {name:<12} predicted {value['predicted']:,.1f}  "
                    f"found {value['found']:,.1f}  {value['error']:+.1%}",
                    flush=True,
                )
            machine = {
                "processor": platform.processor(),
                "cores": os.cpu_count(),
                "threads": os.environ.get("OMP_NUM_THREADS"),
            }
            content = {"machine": machine, "command": " ".join(sys.argv), "rows": rows}
            (options.output_dir / "plan_accuracy.json").write_text(
                json.dumps(content, indent=1) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
