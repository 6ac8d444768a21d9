"""The table of a study: what each model has cost and what it scores, for the terminal and as Markdown.

Everything is made from `study.json`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from electra_hf.sharing.scores import comparison_markdown, describe_metric, markdown_table, scale_of
from electra_hf.sharing.tables import METRICS

_UNITS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"))
_DASH = "–"
# Of the metrics on held-out text, those that say how well something was learnt whatever the weights of the losses.
_IN_THE_TABLE = ("accuracy", "auc")
_OF_THE_TEXT = "eval_unigram_accuracy"


def format_flops(flops: float | None) -> str:
    """A number of operations for people.

    >>> format_flops(1.234e15), format_flops(0), format_flops(None)
    ('1.23 PFLOP', '0', '–')
    """
    if flops is None:
        return _DASH
    size, unit = next(((size, unit) for size, unit in _UNITS if flops >= size), (1.0, "FLOP"))
    return f"{flops / size:.3g} {unit}" if flops else "0"


def format_count(number: float | None) -> str:
    """A number of tokens or parameters for people.

    >>> format_count(13_548_000), format_count(4_700), format_count(None)
    ('13.5 M', '4,700', '–')
    """
    if number is None:
        return _DASH
    size, unit = next(((size, unit) for size, unit in ((1e9, " G"), (1e6, " M")) if number >= size), (1, ""))
    return f"{number / size:.3g}{unit}" if unit else f"{number:,.0f}"


def study_rows(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and one row of cells for each model.

    Args:
        content: Of `study.json`.
    """
    models, tasks = content["models"], content["tasks"]
    metrics = [key for key in _metric_keys(models) if key.endswith(_IN_THE_TABLE) and key != _OF_THE_TEXT]
    averaged = any(model["average"] for model in models)
    keys = {
        task: next((m["tasks"][task]["metric"] for m in models if m["tasks"][task]["metric"]), None) for task in tasks
    }
    columns = ["model", "parameters", "trained", "steps", "tokens", "FLOPs", "minutes"]
    columns += [_metric_name(key) for key in metrics]
    columns += [f"{task}, {describe_metric(key)}" if key else task for task, key in keys.items()]
    rows = []
    for model in models:
        seconds = model.get("seconds")
        row = [
            model["name"],
            format_count(model.get("encoder_parameters")),
            format_count(model.get("parameters")),
            _DASH if model.get("steps") is None else f"{model['steps']:,}",
            format_count(model.get("tokens")),
            format_flops(model.get("flops")) if model.get("state", "done") in ("done", "left") else model["state"],
            f"{seconds / 60:.1f}" if seconds else _DASH,
            *(_metric_cell(key, model["metrics"].get(key)) for key in metrics),
            *(_score_cell(model["tasks"][task], model["tasks"][task]["metric"]) for task in tasks),
        ]
        rows.append([*row, *([_score_cell(model["average"], "eval_average")] if averaged else [])])
    return [*columns, *(["average"] if averaged else [])], rows


def _metric_keys(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of all models, in the order of `tables.METRICS` and then of the alphabet."""
    order = [f"eval_{metric.key}" for metric in METRICS]
    found = {key for model in models for key in model["metrics"]}
    return sorted(found, key=lambda key: (order.index(key) if key in order else len(order), key))


def _metric_name(key: str) -> str:
    stem = key.removeprefix("eval_")
    known = next((metric.name.strip() for metric in METRICS if metric.key == stem), None)
    return known or stem.replace("_", " ")


def _metric_cell(key: str, value: float | None) -> str:
    if value is None:
        return _DASH
    stem = key.removeprefix("eval_")
    known = next((metric.format for metric in METRICS if metric.key == stem), None)
    return format(value, known or (".1%" if stem.endswith("accuracy") else ".3f"))


def _score_cell(score: Mapping[str, Any] | None, key: str | None) -> str:
    if score is None:
        return _DASH
    if "values" not in score or key is None:
        return _DASH if score["state"] == "left" else score["state"]
    if score["median"] is None:
        return "diverged"
    scale, decimals = scale_of(key, score["values"])
    spread = "" if score["std"] is None else f" ± {score['std'] * scale:.{decimals - 1}f}"
    return f"{score['median'] * scale:.{decimals - 1}f}{spread}"


def study_table(content: Mapping[str, Any]) -> Table:
    """The scores as a table for the terminal; columns that are the same for all models are left to the file."""
    columns, rows = study_rows(content)
    table = Table(title=_title(content), title_justify="left", title_style="bold", box=None, pad_edge=False)
    shown = [place for place, name in enumerate(columns) if name not in ("trained", "steps", "tokens", "minutes")]
    for place in shown:
        table.add_column(columns[place], justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(row[place].replace("[", r"\[") for place in shown))
    table.caption, table.caption_justify = _CAPTION, "left"
    return table


_CAPTION = "scores: median ± standard deviation over the seeds of fine-tuning"


def _title(content: Mapping[str, Any]) -> str:
    ((kind, amount),) = content["budget"].items()
    words = {"flops": format_flops(amount), "tokens": f"{format_count(amount)} tokens", "seconds": f"{amount:g} s"}
    return f"{content['study']}: {words.get(kind, f'{amount:,.0f} steps')} each"


def study_markdown(content: Mapping[str, Any], picture: str | None = None) -> str:
    """The whole report: scores, held-out text, differences, what failed, and where it was measured.

    Args:
        content: Of `study.json`.
        picture: The file of the picture, to be shown.
    """
    columns, rows = study_rows(content)
    lines = [f"# {_title(content)}", "", *markdown_table(columns, rows), ""]
    lines.append(
        f"{_CAPTION[:1].upper()}{_CAPTION[1:]}. Parameters: of the encoder that is fine-tuned; trained: of everything "
        "in pre-training. FLOPs: of the matrix products, forward and backward. Minutes: of the whole process."
    )
    if picture:
        lines += ["", f"![Scores of every seed]({picture})"]
    models = content["models"]
    if keys := _metric_keys(models):
        judged = [model for model in models if model["metrics"]]
        cells = [[_metric_name(key), *(_metric_cell(key, m["metrics"].get(key)) for m in judged)] for key in keys]
        lines += ["", "## On held-out text", "", *markdown_table(["metric", *(m["name"] for m in judged)], cells)]
    if content["comparison"]:
        lines += ["", f"## Against {models[0]['name']}", "", comparison_markdown(content["comparison"]).rstrip()]
    notes = [*content["notes"], *(f"{model['name']}: {note}" for model in models for note in model["notes"])]
    for model in models:
        for task, score in model["tasks"].items():
            findings = score.get("findings", {}).items()
            notes += [f"{model['name']}, {task}, seed {seed}: {text}" for seed, found in findings for text in found]
    if notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    for name, log in _failures(models):
        lines += ["", f"## {name} failed", "", *(f"    {line}" for line in log)]
    machine = content["machine"]
    described = [machine["processor"], f"{machine['cores']} cores", *machine["gpus"]]
    software = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    lines += ["", f"{', '.join(described)}. {software}."]
    return "\n".join(lines) + "\n"


def _failures(models: Sequence[Mapping[str, Any]]) -> list[tuple[str, Sequence[str]]]:
    failed = [(model["name"], model["log"]) for model in models if "log" in model]
    return failed + [
        (f"{model['name']}, {task}", score["log"])
        for model in models
        for task, score in model["tasks"].items()
        if "log" in score
    ]
