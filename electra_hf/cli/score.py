"""`electra-hf score`: how likely sentences are to a masked language model, or to an Electric model in one pass."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_hf.errors import CorpusError, explain_os_error

_COLUMNS = ("log_likelihood", "per_token", "tokens", "text")


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    score = commands.add_parser(
        "score",
        help="pseudo-log-likelihoods of sentences",
        description="Score sentences by the sum over their tokens of log p(token | all other tokens), in nats: from "
        "a masked language model by hiding each token in turn, from an Electric model in one pass.",
    )
    score.add_argument("model", metavar="FOLDER_OR_HUB_ID", help="an Electric run, or a masked language model")
    sentences = score.add_mutually_exclusive_group(required=True)
    sentences.add_argument("--text", nargs="+", action="extend", metavar="TEXT", help="sentences, each in quotes")
    sentences.add_argument("--file", help="a file of sentences, one on each line; - reads the standard input")
    score.add_argument("--subfolder", default="", help="where the model is in the folder, such as generator")
    score.add_argument("--batch_size", type=int, default=32, help="rows of a pass (default: %(default)s)")
    score.add_argument("--json", action="store_true", help="one JSON object on each line instead of columns")
    score.set_defaults(action=show_scores)


def show_scores(options: argparse.Namespace) -> None:
    """`electra-hf score`: one line for each sentence, in their order, as soon as it is known."""
    from transformers.utils import logging

    from electra_hf.sharing.pseudo_likelihood import Line, load_scorer, score

    logging.disable_progress_bar()
    scorer = load_scorer(options.model, options.subfolder)
    if options.text:
        lines = [Line(text, f"text {number}") for number, text in enumerate(options.text, start=1)]
    else:
        lines = (Line(text, place) for text, place in _read(options.file))
    if not options.json:
        sys.stdout.write("\t".join(_COLUMNS) + "\n")
    for result in score(lines, scorer, batch_size=options.batch_size):
        values = {name: getattr(result, name) for name in _COLUMNS}
        if options.json:
            text = json.dumps(values, ensure_ascii=False)
        else:
            # A text of its own column: what would end it is a blank.
            values["text"] = " ".join(result.text.split())
            numbers = f"{result.log_likelihood:.4f}\t{result.per_token:.4f}\t{result.tokens}"
            text = f"{numbers}\t{values['text']}"
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _read(file: str) -> Iterator[tuple[str, str]]:
    """Each line of a file, and its place."""
    name = "standard input" if file == "-" else file
    try:
        with open(0 if file == "-" else Path(file), encoding="utf-8", closefd=file != "-") as lines:
            for number, line in enumerate(lines, start=1):
                yield line.rstrip("\n"), f"{name}:{number}"
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name}: not UTF-8 ({error}); convert it with iconv") from error
    except OSError as error:
        raise CorpusError(explain_os_error(error, name)) from error
