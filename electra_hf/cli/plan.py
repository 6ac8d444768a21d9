"""`electra-hf plan`: what a run will take, before it is made: memory, disk, time and cost.

Takes the options of run_pretraining.py; a bare path in front of them is its --config. A few real steps of the model
are measured on this machine (--no_probe: only counted).
"""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from electra_hf.corpora.workers import available_cores
from electra_hf.parser import CONFIG_OPTION, ConfigArgumentParser
from electra_hf.planning.forecast import PlanSettings, forecast, read_prices
from electra_hf.planning.gpus import BANDWIDTH_SHARE, MFU
from electra_hf.ranges import Range, check_ranges
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.progress import format_seconds
from electra_hf.training.search import SearchArguments


@dataclass
class PlanArguments:
    """How it is planned."""

    no_probe: bool = field(default=False, metadata={"help": "Only count: measure nothing, and predict no time here."})
    probe_seconds: float = field(default=25.0, metadata={"help": "Measure steps for so many seconds."})
    num_processes: int = field(default=1, metadata={"help": "Processes that the run will have, one for each GPU."})
    price_per_hour: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Price of an hour of this machine (0.5), or of a GPU of the table (A100=1.8), any currency."
        },
    )
    mfu: float = field(
        default=MFU, metadata={"help": "Share of its peak that a GPU which is not here is assumed to reach."}
    )
    json: bool = field(default=False, metadata={"help": "Print everything as JSON: bytes, seconds, FLOPs."})


PLANNED = (ModelArguments, DataArguments, PretrainingArguments, SearchArguments)


def option_parser() -> ConfigArgumentParser:
    """The parser of the command."""
    return ConfigArgumentParser(
        (PlanArguments, *PLANNED),
        prog="electra-hf plan",
        usage="electra-hf plan [FILE.yaml] [options of run_pretraining.py]",
        description=__doc__,
    )


def run(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Raises:
        UsageError: For options that cannot work, also those that run_pretraining.py would refuse.
    """
    given = list(arguments)
    if given and not given[0].startswith("-"):
        given.insert(0, CONFIG_OPTION)
    parser = option_parser()
    plan_args, model_args, data_args, args, search_args = parser.parse(given)
    check_ranges(
        plan_args,
        {"probe_seconds": Range(1, 600), "num_processes": Range(1), "mfu": Range(0, 1, without="low")},
    )
    planned = {name for one in PLANNED[:-1] for name in one.__dataclass_fields__}
    options = {name: value for name, value in parser.settings.items() if name in planned}
    logging.getLogger("electra_hf").setLevel(logging.WARNING)
    prices = read_prices(plan_args.price_per_hour)
    settings = PlanSettings(
        not plan_args.no_probe, plan_args.probe_seconds, plan_args.num_processes, plan_args.mfu, prices
    )
    console = Console(stderr=True)
    with console.status(f"Measuring for about {40 + plan_args.probe_seconds:.0f} s") if settings.probe else console:
        plan = forecast(model_args, data_args, args, options, settings)
    if search_args.hpo != "none":
        plan["notes"].append(f"this is one of {search_args.hpo_trials} trials of --hpo")
    if plan_args.json:
        sys.stdout.write(json.dumps(plan, indent=1) + "\n")
    else:
        show(plan, Console())


def show(plan: dict[str, Any], console: Console) -> None:
    """Print a forecast for people."""
    for title, rows in (
        ("Model", _model_rows(plan)),
        ("Run", _run_rows(plan)),
        ("Memory", _memory_rows(plan)),
        ("Disk", _disk_rows(plan)),
        ("Time on this machine", _time_rows(plan)),
    ):
        console.print(title, style="bold")
        for label, value in rows:
            console.print(f"  {label:<22}{value}", soft_wrap=True, markup=False, highlight=False)
    console.print()
    console.print(_gpu_table(plan))
    console.print(
        f"GPUs: nothing measured; {plan['assumed_mfu']:.0%} of the peak and {BANDWIDTH_SHARE:.0%} of the memory's "
        "bandwidth assumed, in 16 bits, training alone.",
        style="dim",
        soft_wrap=True,
    )
    for note in plan["notes"]:
        console.print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)


def _model_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    found = plan["parameters"]
    rows = [("parameters", _count(found["total"])), ("main encoder", _count(found["main"]))]
    if found["generator"]:
        rows += [("generator", _count(found["generator"])), ("shared by both", _count(found["shared"]))]
    if found["trained"] != found["total"]:
        rows.append(("trained", _count(found["trained"])))
    return rows


def _run_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    run, text, flops = plan["run"], plan["text"], plan["flops"]
    known = text["blocks"] is not None
    blocks = f"{text['blocks']:,} blocks, {_count(text['tokens'])} tokens ({text['how']})" if known else text["how"]
    steps = f"{run['steps']:,}" if run["steps"] is not None else "unknown: give --max_steps, or prepare the corpus"
    if run["schedule_minutes"] is not None:
        about = f", about {run['steps']:,} steps here" if run["steps"] is not None else ""
        steps = f"as many as fit into {run['schedule_minutes']:g} minutes{about}"
    rows = [
        ("text", blocks),
        ("steps", steps),
        ("tokens per step", f"{run['tokens_per_step']:,}"),
        ("tokens in all", _count(run["tokens"])),
    ]
    if run["epochs"] is not None:
        rows.append(("epochs", f"{run['epochs']:.2f}"))
    return [*rows, ("FLOPs per token", _flops(flops["per_token"])), ("FLOPs in all", _flops(flops["total"]))]


def _memory_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    memory = plan["memory"]
    tensors = memory["tensors"]
    rows = [(name, _bytes(tensors[name])) for name in ("weights", "gradients", "optimizer")]
    rows.append(("activations", f"{_bytes(tensors['activations'])} (transformers' modules; fused layers keep less)"))
    if memory["peak_bytes"] is not None:
        what = "resident process" if memory["device"] == "cpu" else "peak of the device"
        rows.append((what, f"{_bytes(memory['peak_bytes'])} ({memory['how']})"))
    return rows


def _disk_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    disk = plan["disk"]
    kept, written = disk["checkpoints_kept"], disk["checkpoints_written"]
    checkpoints = f"{kept} kept of {written} written, {_bytes(disk['checkpoint_bytes'])} each"
    return [
        ("checkpoints", checkpoints if plan["run"]["steps"] else f"{_bytes(disk['checkpoint_bytes'])} each"),
        ("model", _bytes(disk["model_bytes"])),
        ("prepared blocks", _bytes(disk["blocks_bytes"])),
        ("in all", _bytes(disk["total_bytes"])),
    ]


def _time_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    time = plan["time"]
    if time is None:
        return [("not measured", "--no_probe")]
    tokens, measured = plan["run"]["tokens_per_step"] / time["step_seconds"], time["measured_steps"]
    step = f"{time['step_seconds']:.3f} s, {tokens:,.0f} tokens/s (median of {measured}, {available_cores()} cores)"
    rows = [("a step", step)]
    if time["seconds"] is None:
        return [*rows, ("in all", "unknown: nobody knows how many steps")]
    rows += [(name, format_seconds(seconds)) for name, seconds in time["parts"].items()]
    rows.append(("in all", format_seconds(time["seconds"])))
    return rows if time["cost"] is None else [*rows, ("cost", f"{time['cost']:,.2f}")]


def _gpu_table(plan: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("GPU", "fits", "tokens/s", "training", "cost"):
        table.add_column(name, justify="left" if name == "GPU" else "right")
    for gpu in plan["gpus"]:
        seconds, cost = gpu["training_seconds"], gpu["cost"]
        table.add_row(
            Text(f"{plan['run']['processes']} x {gpu['name']} ({gpu['precision']})"),
            "yes" if gpu["fits"] else "no",
            f"{gpu['tokens_per_second']:,.0f}",
            "" if seconds is None else format_seconds(seconds),
            "" if cost is None else f"{cost:,.2f}",
        )
    return table


def _count(number: float | None) -> str:
    return _scaled(number, (("T", 1e12), ("billion", 1e9), ("million", 1e6)))


def _flops(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2e}"


def _bytes(number: float | None) -> str:
    return _scaled(number, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)))


def _scaled(number: float | None, units: Sequence[tuple[str, float]]) -> str:
    if number is None:
        return "unknown"
    name, size = next((unit for unit in units if number >= unit[1]), ("", 1))
    return f"{number / size:,.2f} {name}" if name else f"{number:,.0f}"
