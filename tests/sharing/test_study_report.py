"""The table and the picture of a study, from a study.json of two runs and fresh weights."""

import dataclasses
import io
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from electra_hf.finetuning.statistics import summarize
from electra_hf.sharing.study_pictures import plot_study, spread
from electra_hf.sharing.study_tables import study_markdown, study_rows, study_table


def score(metric: str, *values: float) -> dict[str, Any]:
    return {"state": "done", "metric": metric, "seeds": [42, 43, 44], **dataclasses.asdict(summarize(values))}


def model(name: str, flops: float | None, metrics: dict[str, float], *tasks: dict[str, Any]) -> dict[str, Any]:
    kind = {"kind": "run", "state": "done", "steps": 3164, "tokens": 12_960_000, "seconds": 603.0} if flops else {}
    sizes = {"parameters": 1_620_000, "encoder_parameters": 1_480_000} if flops else {}
    named = dict(zip(("cola", "sst2"), tasks, strict=True))
    whole = all("values" in task for task in tasks)
    means = [sum(pair) / 2 for pair in zip(*(task["values"] for task in tasks), strict=True)] if whole else []
    average = {"seeds": [42, 43, 44], **dataclasses.asdict(summarize(means))} if whole else None
    shared = {"name": name, "flops": flops, "metrics": metrics, "notes": [], "options": {}, "tasks": named}
    return {"kind": "baseline", **shared, "average": average, **kind, **sizes}


@pytest.fixture
def content() -> dict[str, Any]:
    failed = {"state": "failed", "metric": None, "log": ["error: no such file"]}
    matthews, accuracy = "eval_matthews_correlation", "eval_accuracy"
    return {
        "study": "objectives.yaml",
        "budget": {"flops": 6e13},
        "tasks": ["cola", "sst2"],
        "models": [
            model(
                "rtd", 6e13, {"eval_rtd_auc": 0.8154, "eval_rtd_loss": 0.3}, score(matthews, 0.11, 0.12, 0.1), failed
            ),
            model("mlm", 6e13, {"eval_mlm_accuracy": 0.3}, *(score(accuracy, 0.5, 0.6, 0.8),) * 2),
            model("fresh", 0, {}, score(matthews, 0.0, 0.01, -0.01), score(accuracy, 0.7, 0.71, 0.75)),
        ],
        "comparison": None,
        "notes": ["a note"],
        "machine": {"processor": "Abacus", "cores": 2, "gpus": ["Slide rule"]},
        "versions": {"torch": "2.13.0"},
    }


def test_the_table_has_what_each_model_has(content):
    columns, rows = study_rows(content)
    cells = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    costs = {"parameters": "1.48 M", "trained": "1.62 M", "steps": "3,164", "tokens": "13 M", "FLOPs": "60 TFLOP"}
    assert costs.items() <= cells["rtd"].items()
    assert (cells["rtd"]["detection AUC"], cells["rtd"]["masked-token accuracy"]) == ("0.815", "–")
    assert (cells["mlm"]["detection AUC"], cells["mlm"]["masked-token accuracy"]) == ("–", "30.0%")
    assert "detection loss" not in columns
    assert cells["rtd"]["cola, matthews correlation"] == "11.0 ± 1.0"
    assert (cells["rtd"]["sst2, accuracy"], cells["rtd"]["average"]) == ("failed", "–")
    assert (cells["fresh"]["FLOPs"], cells["fresh"]["steps"], cells["fresh"]["minutes"]) == ("0", "–", "–")
    assert cells["fresh"]["average"] == "36.0 ± 1.0"


def test_the_report_says_what_failed_and_where_it_was_measured(content):
    text = study_markdown(content, "study.png")
    for part in (
        "# objectives.yaml: 60 TFLOP each",
        "![Scores of every seed](study.png)",
        "| detection loss | 0.300 | – |",
        "- a note",
        "## rtd, sst2 failed\n\n    error: no such file",
        "Abacus, 2 cores, Slide rule. torch 2.13.0.",
    ):
        assert part in text
    printed = io.StringIO()
    Console(file=printed, width=200).print(study_table(content))
    assert "11.0 ± 1.0" in printed.getvalue() and "minutes" not in printed.getvalue()


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]]


def test_every_seed_is_drawn_beside_the_name_of_its_model(content, drawn, tmp_path):
    path = plot_study(content, tmp_path / "new" / "study.png", title="objectives")
    assert path is not None and path.is_file()
    average, cola, sst2 = drawn[0].axes
    assert [len(axes.collections) for axes in (average, cola, sst2)] == [2, 3, 2]
    assert [tuple(point) for point in cola.collections[0].get_offsets().tolist()] == [(11, 2), (12, 2), (10, 2)]
    said = texts(drawn[0])
    assert {"objectives", "rtd", "mlm", "fresh", "60 TFLOP", "fresh weights", "average", "cola"} <= set(said)
    assert not any("against the FLOPs" in text for text in said)


def test_scores_stand_against_flops_where_these_differ(content, drawn, tmp_path):
    content["models"][1]["flops"] = 12e13
    content["models"][0]["tasks"]["sst2"] = score("eval_accuracy", 0.6, 0.6, 0.6)
    content["models"][0]["average"] = score("eval_average", 0.35, 0.36, 0.35)
    assert plot_study(content, tmp_path / "study.png", title="objectives")
    above = drawn[0].axes[0]
    clouds = [cloud.get_offsets().tolist() for cloud in above.collections]
    assert [[x for x, _ in cloud] for cloud in clouds] == [[6e13] * 3, [12e13] * 3]
    assert [text.get_text() for text in above.texts] == ["rtd", "fresh", "mlm"]  # from low to high
    assert "average over the tasks, against the FLOPs of pre-training" in texts(drawn[0])


def test_nothing_to_draw(content, tmp_path):
    for one in content["models"]:
        one["average"], one["tasks"] = None, {task: {"state": "left", "metric": None} for task in content["tasks"]}
    assert plot_study(content, tmp_path / "study.png", title="objectives") is None
    assert "| rtd |" in study_markdown(content)


def test_labels_stay_in_order_and_apart():
    places = spread([0.2, 0.21, 0.22, 0.9, 0.95], 0.1)
    assert places == sorted(places) and min(b - a for a, b in zip(places, places[1:], strict=False)) > 0.1 - 1e-9
    assert sum(places) == pytest.approx(2.48)
