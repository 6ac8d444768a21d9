"""Which parts of the modern recipe help? The paper's recipe, one change at a time and all together, over seeds.

    electra-hf prepare --train_file TEXTS --tokenizer_name TOKENIZER --packing full --max_seq_length 128 \
        --validation_split_percentage 2 --output_dir prepared
    python benchmarks/recipe_comparison.py prepared --seeds 1 2 3 --output_dir outputs/recipes

Every run of a seed sees as many tokens of the same text in the same order, from the same first weights, and is judged
on the same held-out blocks. A run is a process of its own with one thread, `--jobs` at a time; one that has finished
is kept, so that the command can be repeated with more seeds or variants. Times are the processor's, which other
processes hardly change, and leave evaluation out.

At equal time, a run that is slower than the paper's recipe is read off its curve where the paper's ended, before its
own learning rate has come down; a faster one counts with its last value.

The encoder is tiny (2 layers of 128) and the objective eased (temperature 2, detection weighted by 5), so that minutes
on a core show something. What helps here need not help a large model. Options that are not of this script go to every
run: `--learning_rate 1e-3`, or any other of run_pretraining.py.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from transformers import TrainerCallback, set_seed

from electra_hf.errors import TrainingError, UsageError, run_script
from electra_hf.parser import ConfigArgumentParser
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import (
    DataArguments,
    ModelArguments,
    PretrainingArguments,
    PretrainingTrainer,
)
from electra_hf.training.model_setup import build_model
from electra_hf.training.setup import open_prepared_blocks, open_tokenizer, start_logging
from electra_hf.training.warmups import doubled, warmup_plan

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LENGTH, ROWS = 128, 32
SIZES = {
    "embedding_size": 128,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "max_position_embeddings": LENGTH,
    "initializer_range": 0.08,
}
DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
SHARED = {
    "max_seq_length": LENGTH,
    "generator_width": 0.5,
    "discriminator_weight": 5,
    "temperature": 2,
    "learning_rate": 3e-3,
    "adam_beta2": 0.98,
    "warmup_steps": 0.1,
    "per_device_train_batch_size": ROWS,
    "per_device_eval_batch_size": ROWS,
    "max_eval_samples": 256,
}
MUON = {"optim": "muon", "muon_learning_rate": 1.2e-2}
WSD = {"lr_scheduler_type": "wsd", "decay_fraction": 0.3}
# Shares of the steps that the paper's recipe would take.
BATCH = {"batch_size_warmup_steps": 0.2, "batch_size_warmup_start": 8}
SHORT = {"length_warmup_steps": 0.3, "length_warmup_start": 32}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "no dropout": {"dropout": 0.0},
    "muon": MUON,
    "wsd": WSD,
    "trapezoid": {"lr_scheduler_type": "trapezoid", "decay_fraction": 0.3},
    "batch warm-up": BATCH,
    "length warm-up": SHORT,
    "all": {"dropout": 0.0} | MUON | WSD | BATCH | SHORT,
}
METRICS = {"generator_loss": "generator loss", "rtd_loss": "RTD loss", "rtd_auc": "RTD AUC"}
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "536870912",
}


class Clock(TrainerCallback):
    """Processor seconds of training up to each evaluation, and what it found."""

    def __init__(self) -> None:
        self.seconds = self.began = 0.0
        self.rows: list[dict[str, float]] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.process_time() - self.began

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **_: Any) -> None:
        found = {name: metrics[f"eval_{name}"] for name in METRICS}
        self.rows.append({"step": state.global_step, "seconds": self.seconds, **found})


def train(options: Sequence[str]) -> None:
    """One run, in this process: result.json in its output folder."""
    model_args, data_args, args = ConfigArgumentParser(
        (ModelArguments, DataArguments, PretrainingArguments)
    ).parse(list(options))  # fmt: skip
    start_logging(args)
    set_seed(args.seed)
    tokenizer = open_tokenizer(model_args, data_args, args, None, None)
    blocks = {
        split: open_prepared_blocks(tokenizer, data_args, args, split=split) for split in ("train", "validation")
    }
    clock = Clock()
    trainer = PretrainingTrainer(
        model=build_model(model_args, data_args, tokenizer),
        args=args,
        train_dataset=blocks["train"],
        eval_dataset=blocks["validation"],
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=args.seed),
        callbacks=[clock],
    )
    trainer.train()
    if clock.rows[-1]["step"] != args.max_steps:
        trainer.evaluate()
    plan = warmup_plan(args, data_args.max_seq_length, steps_per_epoch=args.max_steps)
    seen = np.cumsum([plan.rows(step) for step in range(args.max_steps)]) * data_args.max_seq_length
    rows = [row | {"tokens": int(seen[int(row["step"]) - 1])} for row in clock.rows]
    result = {"options": list(options), "flops": trainer.state.total_flos, "curve": rows}
    Path(args.output_dir, "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def steps_for(tokens: int, settings: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """How many steps see so many tokens, and the settings with the lengths of the warm-ups in steps."""
    full = tokens // (ROWS * LENGTH)
    settings = dict(settings)
    for name in ("batch_size_warmup_steps", "length_warmup_steps"):
        if name in settings:
            settings[name] = round(settings[name] * full)
    warm = settings.get("batch_size_warmup_steps", 0)
    start = settings.get("batch_size_warmup_start", ROWS)
    rows = sum(doubled(step, warmup_steps=warm, start=start, full=ROWS) for step in range(warm))
    return warm + math.ceil((full * ROWS - rows) / ROWS), settings


def command(options: argparse.Namespace, name: str, seed: int, extra: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder of a run and the options that make it."""
    steps, settings = steps_for(options.tokens, VARIANTS[name])
    dropout = settings.pop("dropout", 0.1)
    sizes = SIZES | dict.fromkeys(DROPOUT, dropout)
    folder = options.output_dir / f"{name.replace(' ', '-')}-{seed}"
    chosen = SHARED | settings | {
        "prepared_dir": options.prepared_dir,
        "config_overrides": ",".join(f"{key}={value}" for key, value in sizes.items()),
        "output_dir": folder,
        "seed": seed,
        "max_steps": steps,
        "eval_strategy": "steps",
        "eval_steps": max(1, steps // options.evaluations),
        "logging_steps": max(1, steps // options.evaluations),
        "save_strategy": "no",
        "disable_tqdm": "true",
        "use_cpu": "true",
        "do_eval": "true",
    }  # fmt: skip
    return folder, [text for key, value in chosen.items() for text in (f"--{key}", str(value))] + list(extra)


def finished(folder: Path, arguments: Sequence[str]) -> dict[str, Any] | None:
    """The result of a run that was made with the same options."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    if result["options"] != list(arguments):
        raise UsageError(f"{folder}: was made with other options: choose another --output_dir, or delete it")
    return result


def run(options: argparse.Namespace, name: str, seed: int, extra: Sequence[str]) -> dict[str, Any]:
    folder, arguments = command(options, name, seed, extra)
    result = finished(folder, arguments)
    if result is None:
        done = subprocess.run(
            [sys.executable, __file__, "--worker", *arguments],
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        result = finished(folder, arguments)
        if result is None:
            raise TrainingError(f"{name}, seed {seed}, ended with {done.returncode}:\n{done.stderr[-3000:]}")
    last = result["curve"][-1]
    print(
        f"{name:<16} seed {seed}  generator loss {last['generator_loss']:.4f}  RTD loss {last['rtd_loss']:.4f}  AUC "
        f"{last['rtd_auc']:.4f}  {last['tokens'] / last['seconds']:,.0f} tokens/s",
        flush=True,
    )
    return result


def at_seconds(curve: Sequence[Mapping[str, float]], metric: str, seconds: float) -> float:
    """The metric after so many seconds of training, between evaluations interpolated."""
    return float(np.interp(seconds, [row["seconds"] for row in curve], [row[metric] for row in curve]))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation, 0 for one value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def summarize(results: Mapping[str, Mapping[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row for each variant; differences to the paper's recipe are taken within each seed."""
    paper = results.get("paper", {})
    rows = []
    for name, runs in results.items():
        row: dict[str, Any] = {"variant": name, "seeds": len(runs)}
        speeds = [run["curve"][-1]["tokens"] / run["curve"][-1]["seconds"] for run in runs.values()]
        row["tokens"] = round(statistics.mean(run["curve"][-1]["tokens"] for run in runs.values()))
        row["tokens_per_second"] = spread(speeds)
        for metric in METRICS:
            last = {seed: run["curve"][-1][metric] for seed, run in runs.items()}
            row[metric] = spread(list(last.values()))
            pairs = [seed for seed in last if seed in paper]
            if pairs and name != "paper":
                row[f"{metric}_difference"] = spread(
                    [last[seed] - paper[seed]["curve"][-1][metric] for seed in pairs]
                )  # fmt: skip
            if pairs:
                row[f"{metric}_at_equal_time"] = spread(
                    [at_seconds(runs[seed]["curve"], metric, paper[seed]["curve"][-1]["seconds"]) for seed in pairs]
                )
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in Markdown."""

    def show(row: Mapping[str, Any], name: str, sign: str = "") -> str:
        return f"{row[name][0]:{sign}.4f} ± {row[name][1]:.4f}" if name in row else ""

    titles = ["variant", "tokens/s"]
    for title in METRICS.values():
        titles += [title, "to paper", "at equal time"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = [row["variant"], f"{row['tokens_per_second'][0]:,.0f}"]
        for metric in METRICS:
            cells += [show(row, metric), show(row, f"{metric}_difference", "+"), show(row, f"{metric}_at_equal_time")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(results: Mapping[str, Mapping[int, dict[str, Any]]], path: Path) -> None:
    """Held-out metrics over tokens and over seconds: a line for each variant, the mean of its seeds."""
    figure, axes = plt.subplots(len(METRICS), 2, figsize=(12, 11), layout="constrained")
    for line, (metric, title) in enumerate(METRICS.items()):
        for column, (scale, unit, factor) in enumerate((("tokens", "M tokens", 1e6), ("seconds", "minutes", 60))):
            axis = axes[line, column]
            for name, runs in results.items():
                curves = [run["curve"] for run in runs.values()]
                x, y = (np.mean([[row[key] for row in curve] for curve in curves], axis=0) for key in (scale, metric))
                style = {"color": "black", "linewidth": 2.5} if name == "paper" else {"linewidth": 1.3}
                axis.plot(x / factor, y, label=name, **style)
            axis.set(xlabel=unit + (" of training" if column else ""), ylabel=f"held-out {title}")
            axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        train(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared_dir", type=Path, help="what electra-hf prepare wrote, in blocks of 128")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--tokens", type=int, default=1_500_000, help="training tokens of a run")
    parser.add_argument("--evaluations", type=int, default=10, help="points of a curve")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/recipes"))
    options, extra = parser.parse_known_args()

    # Seed by seed, so that whatever else the machine does meets every variant.
    jobs = [(name, seed) for seed in options.seeds for name in options.variants]
    options.output_dir.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        made = list(pool.map(lambda job: run(options, job[0], job[1], extra), jobs))
    results: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in options.variants}
    for (name, seed), result in zip(jobs, made, strict=True):
        results[name][seed] = result
    rows = summarize(results)
    text = table(rows)
    report = {"tokens": options.tokens, "extra": extra, "summary": rows, "runs": results}
    (options.output_dir / "results.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.output_dir / "results.md").write_text(text, encoding="utf-8")
    plot(results, options.output_dir / "curves.png")
    print(f"\n{text}")


if __name__ == "__main__":
    run_script(main)
