"""How fast is pre-training, against the straightforward way and against what the machine can do?

    python benchmarks/throughput.py
    python benchmarks/throughput.py --sizes small --lengths 128 --precisions bf16 --text wiki/ --rounds 7
    python benchmarks/throughput.py --sizes tiny --rounds 2 --steps 2       # tries everything out in a minute

Contestants (`speed/settings.py`): the straightforward baseline (transformers' Trainer around `ElectraForMaskedLM` and
`ElectraForPreTraining`), this project's model in its Trainer with its defaults and in variants, and this project's
bare step without a Trainer. The data are packed blocks and padded rows of the same real text (`--padded_rows`);
only real tokens count.

Every contestant is a process of its own under the same allocator setting. Rounds are interleaved (each contestant
does `--steps` steps, then the next one), so that a machine whose speed drifts favours nobody; the first `--warmup`
steps of each are not counted. Figures are medians over the rounds with the lowest and the highest.

* tokens/s: real tokens, over whole steps of the Trainer with all that it does in between.
* MFLOP/token: arithmetic of the matrix products that the method needs, forward and backward, from the shapes; for the
  baseline also what it does. "of peak" is the share of the device's own speed in large matrix products of the same
  precision that the needed arithmetic is (MFU).
* memory: the peak of the process less what it held before the model was built (on a GPU, of the allocator).
* MB moved: a model, not a measurement: parameters, gradients and optimiser state as often as a step has to touch them
  (52 bytes a parameter), and what forward keeps for backward, written and read once.
* shares of a step: data loading, forward and backward, optimiser with clipping; the rest is the Trainer and logging.

Writes throughput.json, throughput.md and throughput.png to --output_dir. On a GPU the same command uses it.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from speed.processes import choose_device, prepare_text
from speed.report import draw, group_report
from speed.rounds import MACHINE, run_rounds
from speed.settings import (
    BARE,
    BASELINE,
    CONTESTANTS,
    OURS,
    SIZES,
    STEP_TOKENS,
    Job,
    Workload,
    add_text_arguments,
    worker_environment,
)

from electra_hf.errors import run_script


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small", "base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--data", nargs="+", choices=["packed", "padded"], default=["packed", "padded"])
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=[BASELINE, OURS, BARE])
    parser.add_argument("--batch_size", type=int, help="rows of a step; default: by size, length and device")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps of a round")
    parser.add_argument("--warmup", type=int, default=2, help="steps of each contestant that are not counted")
    parser.add_argument("--logging_steps", type=int, default=10)
    parser.add_argument(
        "--fresh_processes",
        action="store_true",
        help="start every contestant anew in each round: slower, in the memory of one",
    )
    add_text_arguments(parser)
    return parser.parse_args()


def make_jobs(options: argparse.Namespace, folder: Path, device: str, **workload: Any) -> Iterator[Job]:
    """The contestants of one group: one size, length and precision, all data."""
    size, length = workload["size"], workload["length"]
    batch_size = options.batch_size or max(1, STEP_TOKENS[device][size] // length)
    for name in options.contestants:
        for data in options.data:
            if data in CONTESTANTS[name].data:
                yield Job(
                    name=name,
                    contestant=CONTESTANTS[name],
                    workload=Workload(
                        **workload,
                        batch_size=batch_size,
                        data=data,
                        vocab_size=options.vocab_size,
                        dropout=options.dropout,
                    ),
                    folder=str(folder),
                    device=device,
                    max_steps=options.warmup + (options.rounds + 1) * options.steps,
                    logging_steps=options.logging_steps,
                    num_workers=options.dataloader_num_workers,
                    tuned_allocator=not options.untuned_allocator,
                )


def write_results(groups: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """JSON, Markdown and picture of the groups so far; the Markdown."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    machine = {name: groups[0][name] for name in MACHINE}
    result = {
        "machine": {
            **machine,
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        },
        "options": settings,
        "command": " ".join(sys.argv),
        "groups": groups,
    }
    (options.output_dir / "throughput.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    allocator = "as it is" if options.untuned_allocator else "tuned alike for all"
    head = f"## Throughput\n\n{machine['device']}, {machine['threads']} threads, torch {machine['torch']}; allocator "
    text = "\n\n".join([f"{head}{allocator}; dropout {options.dropout}.", *map(group_report, groups)])
    (options.output_dir / "throughput.md").write_text(text + "\n", encoding="utf-8")
    draw(groups, options.output_dir / "throughput.png")
    return text


def main() -> None:
    options = parse_options()
    environment = worker_environment(options.untuned_allocator)
    device = choose_device(options.device, environment)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    folder = prepare_text(options, environment, lengths=options.lengths, vocab_size=options.vocab_size)
    groups: list[dict[str, Any]] = []
    text = ""
    for size, length, precision in product(options.sizes, options.lengths, options.precisions):
        jobs = list(make_jobs(options, folder, device, size=size, length=length, precision=precision))
        groups.append(
            run_rounds(
                jobs,
                environment,
                options.output_dir / "logs",
                rounds=options.rounds,
                steps=options.steps,
                warmup=options.warmup,
                fresh_processes=options.fresh_processes,
            )
        )
        text = write_results(groups, options)
    print(f"\n{text}\n\nwritten to {options.output_dir} after {time.monotonic() - start:,.0f} s")


if __name__ == "__main__":
    run_script(main)
