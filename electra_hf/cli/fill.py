"""`electra-hf fill`: what a generator, or another masked language model, puts in the place of a mask."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from electra_hf.cli.texts import add_texts, given_texts
from electra_hf.errors import CheckpointError, CorpusError, TokenizerError, UsageError


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    fill = commands.add_parser(
        "fill",
        help="fill the masks of a text with a generator or another masked language model",
        description="Fill each [MASK] of a text, and show the likeliest tokens with their probabilities.",
    )
    fill.add_argument(
        "model",
        metavar="FOLDER_OR_HUB_ID",
        help="a run (its generator fills), the repository of a generator, or a masked language model",
    )
    add_texts(fill, "a file of texts, one on each line")
    fill.add_argument("--top_k", type=int, default=5, help="candidates for each mask (default: %(default)s)")
    fill.add_argument("--json", action="store_true", help="one JSON object on each line instead of bars")
    fill.set_defaults(action=show_fillings)


def show_fillings(options: argparse.Namespace) -> None:
    """`electra-hf fill`: each text with its masks filled, and the candidates."""
    if options.top_k < 1:
        raise UsageError(f"--top_k {options.top_k}: give 1 or more")
    texts = given_texts(options)
    if texts is None and options.file is None:
        raise UsageError('give a text with a mask, such as "The capital is [MASK].", or --file')
    from rich.console import Console

    from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem
    from electra_hf.sharing.demo.filling import TextProblem, fill
    from electra_hf.sharing.demo.loading import LoadingProblem, load_masked_lm, quiet_loading
    from electra_hf.sharing.detection import read_samples
    from electra_hf.sharing.rendering import render_filled

    if texts is None:
        texts = read_samples(options.file)
    name = options.model
    try:
        with quiet_loading():
            from transformers import AutoTokenizer

            masked_lm = load_masked_lm(name)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except LoadingProblem as error:
        raise CheckpointError(str(error)) from error
    except LOADING_ERRORS as error:
        raise CheckpointError(f"cannot load a model that fills masks from {name}: {loading_problem(error)}") from error
    if tokenizer.mask_token_id is None:
        raise TokenizerError(f"the tokenizer of {name} has no mask token, so there is nothing to fill")
    console = Console()
    for number, text in enumerate(texts, 1):
        try:
            filled = fill(text, tokenizer, masked_lm, options.top_k)
        except TextProblem as error:
            raise CorpusError(f"text {number} ({text[:40]!r}): {error}") from error
        if options.json:
            sys.stdout.write(json.dumps(asdict(filled), ensure_ascii=False) + "\n")
        else:
            render_filled([filled], console)
