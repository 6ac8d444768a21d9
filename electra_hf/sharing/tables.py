"""The metrics of an evaluation with their meaning, as a table: for the terminal here, for a model card as rows.

A number such as `rtd_auc 0.93` says nothing to a newcomer, and `0.91` for the share of right answers would say less
than it seems, because nine tokens in ten are original anyway. So each metric comes with one line on what it is.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from rich.table import Table


class Metric(NamedTuple):
    """One row: the key without its `eval_` prefix, the name for people, its number format and its meaning."""

    key: str
    name: str
    format: str
    meaning: str


METRICS = (
    Metric(
        "generator_loss",
        "generator loss",
        ".3f",
        "cross-entropy of what it predicts, in nats; lower is better",
    ),
    Metric("generator_accuracy", "generator accuracy", ".1%", "such tokens for which its first guess is right"),
    Metric(
        "replaced_fraction", "replaced fraction", ".1%", "tokens that the generator swapped: what there is to find"
    ),
    Metric("rtd_loss", "detection loss", ".3f", "cross-entropy of swapped or not, in nats; a coin toss: 0.693"),
    Metric("rtd_auc", "detection AUC", ".3f", "pairs of a swapped and an original token ranked rightly; chance: 0.5"),
    Metric("rtd_precision", "detection precision", ".1%", "suspected tokens that were indeed swapped"),
    Metric("rtd_recall", "detection recall", ".1%", "swapped tokens that were suspected"),
    Metric("mlm_loss", "masked-token loss", ".3f", "cross-entropy at the masked tokens, in nats; lower is better"),
    Metric("mlm_accuracy", "masked-token accuracy", ".1%", "masked tokens for which the first guess is right"),
    Metric("unigram_accuracy", "  the commonest token", ".1%", "the same for a guesser that always names that one"),
    Metric("main_mlm_loss", "restoring loss", ".3f", "cross-entropy of the original tokens, in nats; lower is better"),
    Metric("main_mlm_accuracy", "restored at the masks", ".1%", "masked positions whose original is the first guess"),
    Metric("all_tokens_accuracy", "restored everywhere", ".1%", "tokens whose original is the first guess, or copy"),
    Metric("copy_probability", "copy probability", ".1%", "mean over all tokens, most of which are to be copied"),
    Metric("replaced_copy_probability", "  of swapped tokens", ".1%", "the same where copying is wrong"),
    Metric("nce_loss", "noise loss", ".3f", "cross-entropy of noise or text, in nats; lower is better"),
    Metric("nce_auc", "noise AUC", ".3f", "pairs of a drawn and a kept token ranked rightly; chance: 0.5"),
    Metric("log_likelihood", "log-likelihood", ".3f", "of a token, from its energy, in nats; higher is better"),
    Metric("nsp_loss", "next-sentence loss", ".3f", "cross-entropy of next or random, in nats; a coin toss: 0.693"),
    Metric("nsp_accuracy", "next-sentence accuracy", ".1%", "pairs judged rightly; a coin toss: 50 %"),
    Metric("sop_loss", "sentence-order loss", ".3f", "cross-entropy of in order or not, in nats; a coin toss: 0.693"),
    Metric("sop_accuracy", "sentence-order accuracy", ".1%", "pairs judged rightly; a coin toss: 50 %"),
    Metric("tokens_per_second", "tokens per second", ",.0f", "speed of the evaluation on this machine"),
)


def metric_rows(results: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every known metric in `results`, whether or not its key begins with `eval_`.

    What could not be measured (NaN: the precision of a model that suspects nothing) has no row.

    >>> metric_rows({"eval_rtd_recall": 0.5, "epoch": 1.0})
    [('detection recall', '50.0%', 'swapped tokens that were suspected')]
    """
    rows = []
    for metric in METRICS:
        value = results.get(f"eval_{metric.key}", results.get(metric.key))
        if isinstance(value, int | float) and math.isfinite(value):
            rows.append((metric.name, format(value, metric.format), metric.meaning))
    return rows


def metrics_table(results: Mapping[str, object], *, title: str = "On held-out text") -> Table:
    """The evaluation of a run as a table for the terminal.

    Args:
        results: The contents of `eval_results.json`; keys that are no known metric are left out.
        title: The line above the table.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True, style="bold")
    table.add_column("meaning", style="dim")
    for row in metric_rows(results):
        table.add_row(*row)
    return table
