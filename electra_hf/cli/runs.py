"""`electra-hf detect` and `electra-hf curves`: look at a run without writing code."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra_hf.cli.texts import add_texts, given_texts
from electra_hf.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_RECIPE = "configs/pretraining/electra-small.yaml"


def add_commands(commands: Any) -> None:
    """Describe the two commands to the parser of `electra-hf`."""
    detect = commands.add_parser("detect", help="swap words of a text and show which ones the model suspects")
    detect.add_argument("model", metavar="FOLDER_OR_HUB_ID", help="a run, a checkpoint of it, or a model of the Hub")
    add_texts(detect, "a file of texts, one on each line (default: the run's held-out ones)")
    detect.add_argument("--num", type=int, default=4, help="how many texts of a file to show (default: %(default)s)")
    detect.add_argument("--seed", type=int, default=0, help="another seed, other swaps (default: %(default)s)")
    detect.add_argument("--no_corrupt", action="store_true", help="swap nothing: judge the texts as they are")
    detect.add_argument(
        "--mlm_probability", type=float, default=0.15, help="share of the tokens to mask (default: %(default)s)"
    )
    detect.add_argument("--temperature", type=float, help="of the generator's samples (default: that of the run)")
    detect.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        help="suspect a token from this probability on (default: %(default)s)",
    )
    detect.add_argument("--json", action="store_true", help="one JSON object for each text instead of colours")
    detect.set_defaults(action=show_detection)

    curves = commands.add_parser("curves", help="draw the training curves of a run, finished or not")
    curves.add_argument("run", metavar="RUN", type=Path, help="the output folder of a run")
    curves.add_argument("--output", type=Path, metavar="PNG", help="default: RUN/training_curves.png")
    curves.set_defaults(action=draw_curves)


def show_detection(options: argparse.Namespace) -> None:
    """`electra-hf detect`: the coloured texts, and for a whole run also its metrics and what to do next."""
    if options.num < 1:
        raise UsageError(f"--num {options.num}: give 1 or more")
    if not 0 < options.mlm_probability <= 1:
        raise UsageError(f"--mlm_probability {options.mlm_probability}: give a share above 0, up to 1")
    if not 0 <= options.threshold <= 1:
        raise UsageError(f"--threshold {options.threshold}: give a probability from 0 to 1")
    if options.temperature is not None and not 0 < options.temperature < math.inf:
        raise UsageError(f"--temperature {options.temperature}: give a number above 0")
    texts = given_texts(options)
    from rich.console import Console

    from electra_hf.sharing.demo.tokens import is_byte_level
    from electra_hf.sharing.detection import judge, load_detector, read_samples, records_as_json
    from electra_hf.sharing.rendering import render
    from electra_hf.sharing.samples import SAMPLES_NAME

    console = Console()
    detector = load_detector(options.model)
    if texts is None:
        texts = read_samples(options.file or Path(options.model) / SAMPLES_NAME)[: options.num]
    judged = judge(
        texts,
        detector,
        corrupted=not options.no_corrupt,
        mask_probability=options.mlm_probability,
        temperature=options.temperature,
        seed=options.seed,
    )
    if options.json:
        for text, result in zip(texts, judged, strict=True):
            sys.stdout.write(json.dumps(records_as_json(text, result, options.threshold), ensure_ascii=False) + "\n")
        return
    render(judged, console, threshold=options.threshold, byte_level=is_byte_level(detector.tokenizer))
    for remark in detector.remarks(corrupted=not options.no_corrupt):
        console.print(remark, style="dim")
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

    from electra_hf.sharing.curves import plot_training_curves
    from electra_hf.sharing.logs import load_log_history

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
