"""The table of metrics says each value and what it means."""

import io
import math

from rich.console import Console

from electra_hf.sharing.tables import METRICS, metric_rows, metrics_table


def test_every_metric_has_a_row_and_unknown_keys_have_none():
    results = {f"eval_{metric.key}": 0.5 for metric in METRICS} | {"epoch": 3.0, "eval_runtime": 1.0}
    assert [name for name, _, _ in metric_rows(results)] == [metric.name for metric in METRICS]


def test_values_are_formatted_for_people():
    rows = {name: value for name, value, _ in metric_rows({"rtd_recall": 0.4216, "eval_tokens_per_second": 12345.6})}
    assert rows == {"detection recall": "42.2%", "tokens per second": "12,346"}


def test_a_value_that_is_no_number_is_left_out():
    assert metric_rows({"eval_rtd_auc": None, "eval_rtd_loss": "nan?", "eval_rtd_precision": math.nan}) == []


def test_the_table_fits_a_terminal_of_100_columns():
    console = Console(file=io.StringIO(), width=100)
    console.print(metrics_table({f"eval_{metric.key}": 0.5 for metric in METRICS}))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(output.splitlines()) == len(METRICS) + 1
