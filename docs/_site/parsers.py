"""The parser of every script and command, taken where the command itself builds it, and options parsed by it for real.

Commands are called as by hand and stopped when they have parsed: so nothing here knows how a command is put together.
"""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
SCRIPTS = ("run_pretraining.py", "run_glue.py", "run_ner.py")
CONSOLE = "electra-hf"


class _Stopped(BaseException):
    """The parser was reached; not an Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command.

    Args:
        words: The command without options, such as `["electra-hf", "prepare"]` or `["run_glue.py"]`.
    """
    with _stop_at_parser(parse=False):
        return _call(words)


def parse_only(words: Sequence[str]) -> argparse.ArgumentParser:
    """Parse a whole command as it would, and go no further.

    Args:
        words: The command with its options.

    Returns:
        The parser.

    Raises:
        ElectraHfError: What the command says of wrong options, or of a missing `--config`.
        SystemExit: The same from a plain parser, such as that of `electra-hf detect`.
    """
    with _stop_at_parser(parse=True):
        return _call(words)


def console_commands() -> dict[str, argparse.ArgumentParser]:
    """Every command of `electra-hf` and its parser, in the order of its --help."""
    from electra_hf.cli import build_parser

    (choice,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    found: dict[str, argparse.ArgumentParser] = {}
    for name, parser in choice.choices.items():
        if parser.add_help:
            found[name] = parser
        elif name == "tokenizer":
            # These two want a name before their options.
            for words in (["train"], ["import", "SOURCE"], ["inspect", "TOKENIZER"]):
                found[f"tokenizer {words[0]}"] = parser_of([CONSOLE, name, *words])
        else:
            found[name] = parser_of([CONSOLE, name])
    return found


def _call(words: Sequence[str]) -> argparse.ArgumentParser:
    command, *rest = words
    if command not in (CONSOLE, *SCRIPTS):
        raise LookupError(f"{command!r} is no script or command of this project")
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", [command, *rest]))
        try:
            if command == CONSOLE:
                importlib.import_module("electra_hf.cli").run(rest)
            else:
                stack.enter_context(mock.patch.object(sys, "path", [str(ROOT), *sys.path]))
                importlib.import_module(command.removesuffix(".py")).main()
        except _Stopped as stop:
            return stop.parser
    raise LookupError(f"{' '.join(words)} parses no options")


@contextlib.contextmanager
def _stop_at_parser(parse: bool) -> Iterator[None]:
    from electra_hf.parser import ConfigArgumentParser

    def stopping(original: Any) -> Any:
        def stop(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
            if parse:
                original(self, *args, **kwargs)
            raise _Stopped(self)

        return stop

    with (
        mock.patch.object(ConfigArgumentParser, "parse", stopping(ConfigArgumentParser.parse)),
        mock.patch.object(argparse.ArgumentParser, "parse_args", stopping(argparse.ArgumentParser.parse_args)),
    ):
        yield
