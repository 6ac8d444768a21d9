"""`electra-hf --print-completion SHELL`: what makes the Tab key complete commands, options and their choices."""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")
_TOKENIZER_COMMANDS = ("train", "import", "inspect")
_FILES = ("_file", "config", "_path", "corpus", "_space", "tokenizer_name", "config_name")
_FOLDERS = ("_dir", "_folder")


class PrintCompletion(argparse.Action):
    """Prints the script for a shell, and leaves."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, values: Any, *__: Any) -> None:
        parser._print_message(completion_script(parser, values), sys.stdout)
        parser.exit()


def add_option(parser: argparse.ArgumentParser) -> None:
    """Describe `--print-completion` to the parser of `electra-hf`."""
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        default=argparse.SUPPRESS,
        help="print what completes commands and options in a shell: bash, zsh or tcsh",
    )


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell, all options of all commands included.

    Args:
        parser: Of `electra-hf`; it is changed on the way, and of no further use.
        shell: One of `SHELLS`.
    """
    import shtab

    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parsers: dict[str, Any] = commands.choices  # type: ignore[assignment]
    for name in ("plan", "prepare", "study"):
        parsers[name] = import_module(f"electra_hf.cli.{name}").option_parser()
    tokenizer = argparse.ArgumentParser(prog="electra-hf tokenizer")
    kinds = tokenizer.add_subparsers()
    module = import_module("electra_hf.cli.tokenizer")
    for kind in _TOKENIZER_COMMANDS:
        kinds.add_parser(kind, help=kind)  # shtab takes one without help for hidden
        kinds.choices[kind] = module.option_parser(kind)
    parsers["tokenizer"] = tokenizer
    for action in _all_actions(parser):
        # Options are offered in the spelling of the documentation.
        usual = [each for each in action.option_strings if "-" not in each.lstrip("-")]
        action.option_strings = usual or list(action.option_strings)
        if action.nargs == 0 or action.dest.startswith("overwrite_"):
            continue
        if action.dest.endswith(_FOLDERS):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif getattr(action.type, "__name__", "") == "Path" or action.dest.endswith(_FILES):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _all_actions(each)
