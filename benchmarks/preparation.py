"""How fast is a corpus prepared, and in how much memory?

    python benchmarks/preparation.py --train_file 'text/*' --tokenizer_name vocab.txt --do_lower_case true
    python benchmarks/preparation.py --train_file 'text/*' --tokenizer_name vocab.txt --do_lower_case true \
        --num_workers 2 --rounds 1 --synthetic_gb 5

Each measurement is a process of its own; what is asked for (numbers of workers) is measured in turn, round after
round. Speed is megabytes of UTF-8 text per second from text to blocks, without the import of libraries: by the wall
clock, and by the processor time of the process and of its workers (whose imports do count). Memory is of the whole
command from its start, the largest sum over its processes of their proportional set sizes, looked at four times a
second: shared pages count once.

--synthetic_gb writes that many gigabytes of numbered documents made of the given text into a temporary folder first,
to show that memory does not grow with the corpus.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import psutil

from electra_hf.corpora import LocalFiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train_file", nargs="+", required=True, help="text, as for electra-hf prepare")
    parser.add_argument("--tokenizer_name", required=True)
    parser.add_argument("--do_lower_case", help="for a bare vocab.txt: true or false")
    parser.add_argument("--packing", choices=["full", "electra"], default="full")
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--num_workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--synthetic_gb", type=float, default=0.0)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    if options.once:
        prepare_once(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if options.synthetic_gb:
            options.train_file = [str(write_synthetic(options, Path(scratch)))]
        runs: dict[int, list[dict[str, float]]] = {workers: [] for workers in options.num_workers}
        for _ in range(options.rounds):
            for workers, measured in runs.items():
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    measured.append(measure(options, workers, Path(folder) / "blocks"))
    report(options, runs)


def write_synthetic(options: argparse.Namespace, folder: Path) -> Path:
    """Repeat the documents, each under a number of its own, until the file is large enough."""
    path = folder / "synthetic.txt"
    documents = list(LocalFiles(options.train_file).documents())
    size, limit = 0, options.synthetic_gb * 1e9
    with path.open("w", encoding="utf-8") as file:
        for number in count():
            text = f"Document {number}\n{documents[number % len(documents)]}\n\n"
            file.write(text)
            size += len(text.encode())
            if size >= limit:
                return path


def measure(options: argparse.Namespace, workers: int, folder: Path) -> dict[str, float]:
    """Prepare once in a new process, and watch its memory."""
    command = [sys.executable, __file__, "--once", str(folder), "--num_workers", str(workers)]
    command += ["--tokenizer_name", options.tokenizer_name, "--packing", options.packing]
    command += ["--max_seq_length", str(options.max_seq_length), "--train_file", *options.train_file]
    if options.do_lower_case:
        command += ["--do_lower_case", options.do_lower_case]
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        used = 0.0
        for member in [process, *children(process)]:
            try:
                used += member.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, used)
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    assert process.stdout is not None
    return json.loads(process.stdout.read()) | {"peak_gb": peak / 1e9}


def prepare_once(options: argparse.Namespace) -> None:
    """What the new process does: prepare, and print how long it took."""
    # Here, because workers import this file again, and need neither torch nor transformers.
    from electra_hf.tokens.preparation import prepare
    from electra_hf.tokens.shards import PackingSettings
    from electra_hf.tokens.tokenizers import load_tokenizer

    lowercase = None if options.do_lower_case is None else options.do_lower_case == "true"
    tokenizer = load_tokenizer(options.tokenizer_name, lowercase=lowercase)
    settings = PackingSettings(packing=options.packing, max_seq_length=options.max_seq_length)
    corpus = LocalFiles(options.train_file)
    began, processor = time.perf_counter(), processor_seconds()
    (workers,) = options.num_workers
    blocks = prepare(corpus, tokenizer, options.once, settings, num_workers=workers, progress=False)
    seconds, processor = time.perf_counter() - began, processor_seconds() - processor
    counts = blocks.manifest["counts"]
    megabytes = counts["bytes"] / 1e6
    measured = {
        "megabytes": megabytes,
        "mb_per_second": megabytes / seconds,
        "mb_per_core_second": megabytes / processor,
        "tokens": counts["tokens"],
    }
    print(json.dumps(measured))


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def report(options: argparse.Namespace, runs: dict[int, list[dict[str, float]]]) -> None:
    print(f"{'workers':>8}{'MB':>9}{'MB/s':>20}{'MB/s a core':>20}{'peak GB':>20}")
    for workers, measured in runs.items():
        print(
            f"{workers:>8}{measured[0]['megabytes']:>9.1f}{spread(measured, 'mb_per_second'):>20}"
            f"{spread(measured, 'mb_per_core_second'):>20}{spread(measured, 'peak_gb'):>20}"
        )
    print("median (minimum-maximum) of", options.rounds, "rounds")
    if options.json:
        asked = vars(options) | {"json": str(options.json)}
        content = {"options": asked, "machine": platform.processor(), "runs": runs}
        options.json.write_text(json.dumps(content, indent=2) + "\n")


def spread(measured: list[dict[str, float]], name: str) -> str:
    values = [run[name] for run in measured]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
