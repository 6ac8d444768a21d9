"""The console command `electra-hf`.

Thin on purpose: arguments come in, the rooms of the package do the work, `errors` decides the exit code. Each command
imports what it needs by itself, so that `--help` and `--version` answer at once.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from electra_hf import __version__
from electra_hf.cli import checkpoint_import, compare, demo, export, fill, hub, report, runs, score
from electra_hf.errors import DEBUG_HELP, DEBUG_OPTION, run_script

# These have a parser of their own, in their module here; most take the options of run_pretraining.py.
_COMMANDS_OF_OPTIONS = {
    "tokenizer": "train, import or inspect a tokenizer",
    "prepare": "turn a corpus into blocks to train on, or look at them",
    "study": "pre-train in several ways at equal budgets, fine-tune, and compare",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Of every command, and anywhere.
    kept = [argument for argument in given if argument != DEBUG_OPTION]
    run_script(lambda: run(kept), debug=len(kept) < len(given))


def run(arguments: Sequence[str]) -> None:
    """Parse one command and carry it out."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("electra_hf").setLevel(logging.INFO)
    if arguments and arguments[0] in _COMMANDS_OF_OPTIONS:
        import_module(f"electra_hf.cli.{arguments[0]}").run(arguments[1:])
        return
    options = build_parser().parse_args(arguments)
    options.action(options)


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    parser = argparse.ArgumentParser(
        prog="electra-hf", description="Make tokenizers and blocks for ELECTRA, and look at runs and models."
    )
    parser.add_argument("--version", action="version", version=f"electra_hf {__version__}")
    parser.add_argument(DEBUG_OPTION, action="store_true", help=DEBUG_HELP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in _COMMANDS_OF_OPTIONS.items():
        commands.add_parser(name, help=purpose, add_help=False)
    runs.add_commands(commands)
    fill.add_commands(commands)
    demo.add_commands(commands)
    compare.add_commands(commands)
    score.add_commands(commands)
    report.add_commands(commands)
    checkpoint_import.add_commands(commands)
    hub.add_commands(commands)
    export.add_commands(commands)
    return parser
