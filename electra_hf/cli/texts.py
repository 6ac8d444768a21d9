"""The texts that `detect` and `fill` look at: words of the command line, a file, or the standard input."""

import argparse
import sys
from pathlib import Path
from typing import Any

from electra_hf.errors import CorpusError, UsageError

STANDARD_INPUT = "-"


def add_texts(parser: Any, file_help: str) -> None:
    """Let a command take texts, before or behind its options.

    Args:
        parser: Of the command.
        file_help: What is said of `--file`.
    """
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="each in quotes; - reads lines of the standard input")
    parser.add_argument("--text", nargs="+", action="extend", metavar="TEXT", help="the same as an option")
    parser.add_argument("--file", type=Path, help=file_help)
    parse = parser.parse_known_args

    def parse_known_args(args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        # argparse has closed the list of texts when an option stands between the model and them.
        found, rest = parse(args, namespace)
        late = [word for word in rest if word == STANDARD_INPUT or not word.startswith("-")]
        if late:
            found.texts = [*(found.texts or []), *late]
        return found, [word for word in rest if word not in late]

    parser.parse_known_args = parse_known_args


def given_texts(options: argparse.Namespace) -> list[str] | None:
    """The texts of a command line, not those of `--file`; None if there are none.

    Raises:
        UsageError: If there are texts of two kinds.
        CorpusError: If the standard input holds none, or is not UTF-8.
    """
    given = [name for name in ("texts", "text", "file") if getattr(options, name)]
    if len(given) > 1:
        raise UsageError("give texts as arguments, with --text or with --file, not in two of these ways")
    texts = options.texts or options.text
    if texts and STANDARD_INPUT in texts:
        if len(texts) > 1:
            raise UsageError("- reads the texts from the standard input: give no others beside it")
        return _standard_input()
    if texts and not all(text.strip() for text in texts):
        raise UsageError("one of the texts is empty: give words in quotes")
    return texts


def _standard_input() -> list[str]:
    try:
        texts = [line.strip() for line in sys.stdin if line.strip()]
    except UnicodeDecodeError as error:
        raise CorpusError(f"standard input: not UTF-8 ({error}); convert it with iconv") from error
    if not texts:
        raise CorpusError("standard input: no text in it; one on each line is expected")
    return texts
