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
from electra_hf.cli import (
    checkpoint_import,
    compare,
    completion,
    demo,
    doctor,
    export,
    fill,
    hub,
    report,
    runs,
    score,
)
from electra_hf.errors import DEBUG_HELP, DEBUG_OPTION, run_script

# These have a parser of their own, `option_parser` in their module here; most take the options of run_pretraining.py.
_COMMANDS_OF_OPTIONS = {
    "tokenizer": "train, import or inspect a tokenizer",
    "plan": "what a run will take: memory, disk, time and cost",
    "prepare": "turn a corpus into blocks to train on, or look at them",
    "study": "pre-train in several ways at equal budgets, fine-tune, and compare",
}
# In which order --help lists the commands; one that is not here comes last.
STAGES = {
    "prepare": ("doctor", "tokenizer", "prepare", "plan"),
    "train": ("study", "import"),
    "look": ("watch", "curves", "report", "detect", "fill", "score", "compare", "demo"),
    "share": ("push", "export", "submission"),
}


class _ParserOfCommands(argparse.ArgumentParser):
    """Its help has one line for each command, by stage."""

    def format_help(self) -> str:
        formatter = self._get_formatter()
        formatter.add_usage("electra-hf COMMAND [options]", [], [])
        formatter.add_text(self.description)
        commands = next(each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        options = [each for each in self._actions if each is not commands]
        lines = {line.dest: line for line in commands._get_subactions()}
        for stage, names in STAGES.items():
            formatter.start_section(stage)
            formatter.add_arguments([lines.pop(name) for name in names if name in lines])
            formatter.end_section()
        for title, actions in (("other", lines.values()), ("options", options)):
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(
            "electra-hf COMMAND --help says more. Training itself: run_pretraining.py, run_glue.py, run_ner.py."
        )
        return formatter.format_help()


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
    parser = _ParserOfCommands(
        prog="electra-hf", description="Make tokenizers and blocks for ELECTRA, and look at runs and models."
    )
    parser.add_argument("--version", action="version", version=f"electra_hf {__version__}")
    parser.add_argument(DEBUG_OPTION, action="store_true", help=DEBUG_HELP)
    completion.add_option(parser)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
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
    doctor.add_commands(commands)
    return parser
