"""Fine-tuning scores for people: tables for the terminal and for Markdown, pictures with every seed as a point.

Everything is made from the JSON that `run_glue.py`, `run_ner.py` and `electra-hf compare` write. Scores between -1 and
1 are shown times 100, as papers do; losses and errors as they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

# The same as finetuning.metrics.LOWER_IS_BETTER, which this room does not import; a test holds them together.
_LOSSES = ("loss", "mse", "mae")
# Split and type, score, and the name of a further split.
_OF_A_TYPE = re.compile(r"((?:eval|test)_.+)_(precision|recall|f1|number)(_[^_]+)?")
_GLUE_AVERAGES = (
    ("average", "GLUE average"),
    ("average_without_wnli", "GLUE average without WNLI"),
    ("electra_average", "average as in the ELECTRA paper"),
)


@dataclass(frozen=True)
class ScoreRow:
    """One metric of one task over its seeds, the numbers scaled for people."""

    task: str
    metric: str
    median: float | None
    mean: float | None
    std: float | None
    best: float | None
    low: float | None
    high: float | None
    values: list[float]
    ensemble: float | None
    examples: tuple[float, float] | None
    decimals: int

    def number(self, value: float | None) -> str:
        """A value for a table; a dash for what there is not."""
        return "–" if value is None else f"{value:.{self.decimals}f}"

    @property
    def spread(self) -> str:
        """Mean and standard deviation."""
        return self.number(self.mean) + (f" ± {self.number(self.std)}" if self.std is not None else "")

    @property
    def interval(self) -> str:
        """The 95 % interval: of the mean over seeds, or of a single seed over the choice of examples."""
        if self.low is not None and self.high is not None:
            return f"{self.number(self.low)}–{self.number(self.high)}"
        if self.examples is not None:
            return f"{self.number(self.examples[0])}–{self.number(self.examples[1])} *"
        return "–"


def describe_metric(key: str) -> str:
    """A key of a result file in words.

    >>> describe_metric("eval_accuracy_mm"), describe_metric("test_f1"), describe_metric("eval_matthews_correlation")
    ('accuracy, mismatched', 'f1, test', 'matthews correlation')
    """
    prefix, _, name = key.partition("_")
    ends = []
    if name.endswith("_mm"):
        name, ends = name.removesuffix("_mm"), ["mismatched"]
    if prefix == "test":
        ends.append("test")
    return ", ".join([name.replace("_", " "), *ends])


def _stem(key: str) -> str:
    """The metric's own name in a key of a result file."""
    return key.partition("_")[2].removesuffix("_mm")


def is_of_a_type(key: str, content: Mapping[str, Any]) -> bool:
    """Whether a key is the score of one type of entity, as from `run_ner.py --return_entity_level_metrics`.

    >>> content = {"eval_f1": {}, "eval_PER_f1": {}, "eval_PER_number": {}}
    >>> [key for key in content if is_of_a_type(key, content)]
    ['eval_PER_f1', 'eval_PER_number']
    """
    match = _OF_A_TYPE.fullmatch(key)
    return match is not None and f"{match[1]}_number{match[3] or ''}" in content


def scale_of(key: str, values: Sequence[float | None]) -> tuple[float, int]:
    """What to multiply the values of a metric by, and how many decimals to show."""
    known = [value for value in values if value is not None]
    return (100.0, 2) if _stem(key) not in _LOSSES and all(-1 <= value <= 1 for value in known) else (1.0, 4)


def score_rows(results: Sequence[Mapping[str, Any]]) -> Iterator[ScoreRow]:
    """The tasks' own metrics and those a user added, `eval_` before `test_`.

    Losses, `combined_score` and the scores of single types of entities have no row: they are in the files.

    Args:
        results: Contents of `all_results.json` or `eval_results.json`, one for each task.
    """
    for content in results:
        keys = [key for key, value in content.items() if isinstance(value, Mapping) and "values" in value]
        keys = [key for key in keys if not key.startswith("train_") and _stem(key) not in ("loss", "combined_score")]
        own = list(content.get("metrics") or [])
        keys = [key for key in keys if _stem(key) in own or not is_of_a_type(key, content)]
        order = {name: place for place, name in enumerate(own)}
        for key in sorted(
            keys,
            key=lambda key: (
                key.startswith("test_"),
                key.endswith("_mm"),
                order.get(_stem(key), len(order)),
                key,
            ),
        ):
            yield _row(content, key)


def _row(content: Mapping[str, Any], key: str) -> ScoreRow:
    statistics = content[key]
    scale, decimals = scale_of(key, statistics["values"])

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * scale

    examples = (content.get("bootstrap") or {}).get(key)
    return ScoreRow(
        task=str(content.get("task_name", "")),
        metric=describe_metric(key),
        **{name: scaled(statistics[name]) for name in ("median", "mean", "std", "best", "low", "high")},
        values=[value * scale for value in statistics["values"] if value is not None],
        ensemble=scaled((content.get("ensemble") or {}).get(key)),
        examples=(examples[0] * scale, examples[1] * scale) if examples and None not in examples else None,
        decimals=decimals,
    )


_COLUMNS = ("task", "metric", "median", "mean ± std", "95 % interval", "best", "ensemble", "seeds")


def _cells(row: ScoreRow) -> tuple[str, ...]:
    return (
        row.task,
        row.metric,
        row.number(row.median),
        row.spread,
        row.interval,
        row.number(row.best),
        row.number(row.ensemble),
        str(len(row.values)),
    )


def results_table(results: Sequence[Mapping[str, Any]], average: Mapping[str, Any] | None = None) -> Table:
    """The scores as a table for the terminal.

    Args:
        results: Contents of `all_results.json`, one for each task.
        average: Contents of `glue_results.json`.
    """
    table = Table(title="Scores", title_justify="left", title_style="bold", box=None, pad_edge=False)
    _add_columns(table, _COLUMNS)
    rows = list(score_rows(results))
    before = ""
    for row in rows:
        task, *cells = _cells(row)
        table.add_row("" if task == before else _plain(task), *map(_plain, cells))
        before = task
        # In a narrow terminal a name is broken between its words, not inside them.
        metric = table.columns[_COLUMNS.index("metric")]
        metric.min_width = max(metric.min_width or 0, *map(len, cells[0].split()))
    averages = [] if average is None else [f"[bold]{name}: {value}[/]" for name, value in _average_lines(average)]
    table.caption = "\n".join([*averages, _caption(rows)])
    table.caption_justify = "left"
    return table


def _add_columns(table: Table, columns: Sequence[str]) -> None:
    for name in columns:
        words = name in ("task", "metric", "model")
        style = "bold" if name == "median" else ""
        table.add_column(
            name,
            justify="left" if words else "right",
            style=style,
            no_wrap=not words,
            overflow="fold",
        )


def _plain(text: str) -> str:
    """Names may hold brackets, which mean something to rich."""
    return text.replace("[", r"\[")


def _caption(rows: Sequence[ScoreRow]) -> str:
    if any(row.low is not None for row in rows):
        return "interval: t-interval of the mean over seeds; ensemble: mean of the seeds' probabilities or scores"
    return "* one seed: bootstrap over the examples; it says nothing about the spread over seeds"


def _average_lines(average: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for key, name in _GLUE_AVERAGES:
        if average.get(key) is not None:
            missing = [task for task in average.get("missing", []) if key == "average" or task != "wnli"]
            partly = f" (without {', '.join(missing)})" if missing else ""
            lines.append((f"{name}{partly}", f"{average[key] * 100:.2f}"))
    return lines


def results_markdown(results: Sequence[Mapping[str, Any]], average: Mapping[str, Any] | None = None) -> str:
    """The scores as Markdown: model, table, averages, notes on the data, and findings.

    Args:
        results: Contents of `all_results.json`, one for each task.
        average: Contents of `glue_results.json`.
    """
    models = list(dict.fromkeys(str(content.get("model", "")) for content in results))
    rows = list(score_rows(results))
    lines = [
        f"Model: {', '.join(f'`{model}`' for model in models)}",
        "",
        *(markdown_table(_COLUMNS, [_cells(row) for row in rows]) if rows else ["Nothing was judged."]),
    ]
    if rows:
        lines += ["", f"{_caption(rows)[:1].upper()}{_caption(rows)[1:]}."]
    if average is not None:
        lines += ["", *(f"- {name}: **{value}**" for name, value in _average_lines(average))]
    remarks = []
    for content in results:
        task = content.get("task_name", "")
        remarks += [f"- {task}: {note}" for note in content.get("notes", [])]
        for seed, found in (content.get("findings") or {}).items():
            remarks += [f"- **{task}, seed {seed}**: {text}" for text in found]
    if remarks:
        lines += ["", "Notes:", "", *remarks]
    return "\n".join(lines) + "\n"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; columns of words are on the left, those of numbers on the right."""
    rule = ["---" if name in ("task", "metric", "model") else "---:" for name in columns]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(columns), rule, *cells]]


_COMPARED = ("task", "metric", "model", "median", "mean ± std", "difference", "95 % interval", "p, t", "p, exact")


def _compared_cells(comparison: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each task, metric and model."""
    cells = []
    for row in comparison["rows"]:
        scale, decimals = scale_of(row["metric"], [value for model in row["models"] for value in model["values"]])
        for model, statistics, compared in zip(comparison["models"], row["models"], row["comparisons"], strict=True):
            std = statistics["std"]
            spread = f" ± {std * scale:.{decimals}f}" if std is not None else ""
            difference = ("", "", "", "")
            if compared is not None:
                low, high = compared["low"], compared["high"]
                difference = (
                    f"{compared['difference'] * scale:+.{decimals}f}",
                    "–" if low is None else f"{low * scale:+.{decimals}f} to {high * scale:+.{decimals}f}",
                    format_p(compared["p_t_holm"]),
                    format_p(compared["p_exact_holm"] if compared["n"] > 1 else None),
                )
            cells.append(
                (
                    row["task"],
                    describe_metric(row["metric"]),
                    model["name"],
                    f"{statistics['median'] * scale:.{decimals}f}",
                    f"{statistics['mean'] * scale:.{decimals}f}{spread}",
                    *difference,
                )
            )
    return cells


def letters_of(count: int) -> list[str]:
    """A short sign for each of `count` models: letters, then numbers."""
    return [chr(ord("A") + number) if number < 26 else str(number + 1) for number in range(count)]


def format_p(p: float | None) -> str:
    """A p-value for people.

    >>> format_p(0.0312), format_p(0.00001), format_p(None)
    ('0.031', '<0.001', '–')
    """
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def comparison_table(comparison: Mapping[str, Any]) -> Table:
    """What `finetuning.comparison.compare_runs` returns as a table for the terminal."""
    names = [model["name"] for model in comparison["models"]]
    letters = letters_of(len(names))
    # Names of models are long: a letter stands for each, so that the numbers fit a terminal of 80 columns.
    title = "\n".join(f"{letter}  {_plain(name)}" for letter, name in zip(letters, names, strict=True))
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    _add_columns(table, _COMPARED[2:])
    before = ("", "")
    for task, metric, model, *numbers in _compared_cells(comparison):
        if (task, metric) != before:
            table.add_row(f"[bold]{_plain(task)}[/] {_plain(metric)}")
            before = task, metric
        table.add_row(f"  {letters[names.index(model)]}", *numbers)
    return table


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """The same as Markdown, with the models and what the number of seeds can show."""
    lines = [
        *markdown_table(_COMPARED, _compared_cells(comparison)),
        "",
        f"Differences are from {comparison['models'][0]['name']}, paired by seed.",
        "",
        *(f"- {model['name']}: `{model['model']}`" for model in comparison["models"]),
        "",
        *(f"- {note}." for note in comparison["notes"]),
    ]
    return "\n".join(lines) + "\n"
