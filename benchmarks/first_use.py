"""How long until something answers? `electra-hf --help` and others, against Python alone and against importing torch.

    python benchmarks/first_use.py --rounds 9

Every command is a process of its own, as a shell starts it. Rounds are interleaved (each command once, then all of
them again), so that a machine whose speed drifts favours none; figures are medians with the lowest and the highest,
and the median of the processor's seconds, which other processes stretch less. One round that warms up the disk's cache
is not counted.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
# The console script beside this Python; without one, the module.
SCRIPT = shutil.which("electra-hf", path=str(Path(PYTHON).parent))
ELECTRA_HF = [SCRIPT] if SCRIPT else [PYTHON, "-m", "electra_hf.cli"]
COMMANDS: dict[str, list[str]] = {
    "python -c pass": [PYTHON, "-c", "pass"],
    'python -c "import torch"': [PYTHON, "-c", "import torch"],
    'python -c "from transformers import Trainer"': [PYTHON, "-c", "from transformers import Trainer"],
    "electra-hf --help": [*ELECTRA_HF, "--help"],
    "electra-hf detect --help": [*ELECTRA_HF, "detect", "--help"],
    "electra-hf study --help": [*ELECTRA_HF, "study", "--help"],
    "electra-hf prepare --help": [*ELECTRA_HF, "prepare", "--help"],
    "electra-hf plan --help": [*ELECTRA_HF, "plan", "--help"],
    "run_pretraining.py --help": [PYTHON, str(ROOT / "run_pretraining.py"), "--help"],
}


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Seconds that pass, and of the processor, until a command has ended."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in options.only}
    for number in range(options.rounds + 1):
        for name in options.only:
            found = seconds_of(COMMANDS[name])
            if number:
                times[name].append(found)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {options.rounds} rounds")
    print(f"{'':<48}{'median':>9}{'lowest':>9}{'highest':>9}{'cpu':>9}")
    for name, found in times.items():
        walls, cpus = zip(*found, strict=True)
        print(
            f"{name:<48}{statistics.median(walls):>8.2f}s{min(walls):>8.2f}s{max(walls):>8.2f}s"
            f"{statistics.median(cpus):>8.2f}s"
        )
    if options.json:
        options.json.write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
