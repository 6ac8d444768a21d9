"""`electra-hf detect` and `electra-hf curves`: look at a run without writing code."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra_hf.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_RECIPE = "configs/pretraining/electra-small.yaml"


def add_commands(commands: Any) -> None:
    """Describe the two commands to the parser of `electra-hf`."""
    detect = commands.add_parser("detect", help="swap words of a text and show which ones the model suspects")
    detect.add_argument("model", metavar="FOLDER_OR_HUB_ID", help="a run, a checkpoint of it, or a model of the Hub")
    texts = detect.add_mutually_exclusive_group()
    texts.add_argument("--text", nargs="+", action="extend", metavar="TEXT", help="texts to look at, each in quotes")
    texts.add_argument(
        "--file", type=Path, help="a file of texts, one on each line (default: the run's held-out ones)"
    )
    detect.add_argument("--num", type=int, default=4, help="how many texts of a file to show (default: %(default)s)")
    detect.add_argument("--seed", type=int, default=0, help="another seed, other swaps (default: %(default)s)")
    detect.set_defaults(action=show_detection)

    curves = commands.add_parser("curves", help="draw the training curves of a run, finished or not")
    curves.add_argument("run", metavar="RUN", type=Path, help="the output folder of a run")
    curves.add_argument("--output", type=Path, metavar="PNG", help="default: RUN/training_curves.png")
    curves.set_defaults(action=draw_curves)


def show_detection(options: argparse.Namespace) -> None:
    """`electra-hf detect`: the coloured texts, and for a whole run also its metrics and what to do next."""
    if options.num < 1:
        raise UsageError(f"--num {options.num}: give 1 or more")
    from rich.console import Console
    from transformers.utils import logging

    from electra_hf.sharing.detection import detect, load_detector, read_samples
    from electra_hf.sharing.rendering import render
    from electra_hf.sharing.samples import SAMPLES_NAME

    console = Console()
    logging.disable_progress_bar()  # loading takes a second or two, and a bar would stand in the middle of the output
    detector = load_detector(options.model)
    texts = options.text or read_samples(options.file or Path(options.model) / SAMPLES_NAME)[: options.num]
    render(detect(texts, detector, seed=options.seed), console)
    if detector.generator is None:
        console.print("no generator/ beside this model: the texts were scored as they are", style="dim")
    show_run(Path(options.model), console)


def show_run(folder: Path, console: "Console") -> None:
    """Print the metrics of a finished run, where its picture is, and the next two commands; else nothing."""
    from electra_hf.sharing.tables import metrics_table

    results = folder / "eval_results.json"
    if not results.is_file():
        return
    try:
        metrics = json.loads(results.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{results}: not JSON ({error}). Evaluate the run again") from error
    console.print()
    console.print(metrics_table(metrics))
    picture = folder / "training_curves.png"
    curves = str(picture) if picture.is_file() else f"electra-hf curves {folder}"
    lines = [
        ("Curves", curves),
        ("Use it", f'AutoModel.from_pretrained("{folder}")'),
        ("Next", f"accelerate launch run_pretraining.py --config {DEFAULT_RECIPE}"),
    ]
    console.print()
    for label, value in lines:
        # Commands and paths are to be copied: no wrapping, and brackets or quotes mean nothing to rich.
        console.print(f"{label:<8}{value}", soft_wrap=True, markup=False, highlight=False)


def draw_curves(options: argparse.Namespace) -> None:
    """`electra-hf curves`: one PNG of the whole run."""
    from rich.console import Console

    from electra_hf.sharing.curves import load_log_history, plot_training_curves

    path = plot_training_curves(
        load_log_history(options.run),
        options.output or options.run / "training_curves.png",
        title=str(options.run),
        vocab_size=_vocab_size(options.run),
    )
    Console().print(str(path), soft_wrap=True, markup=False, highlight=False)


def _vocab_size(folder: Path) -> int | None:
    """From the model's configuration if the run has got that far: it only labels one line of the picture."""
    for file in [folder / "config.json", *sorted(folder.glob("checkpoint-*/config.json"))]:
        if file.is_file():
            try:
                return json.loads(file.read_text(encoding="utf-8")).get("vocab_size")
            except (ValueError, AttributeError) as error:
                raise CheckpointError(f"{file}: not a model's configuration ({error}). Save it again") from error
    return None
