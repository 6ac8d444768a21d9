"""What is drawn of a log: every metric, its jumps, and nothing that is no number."""

import json
import math
import random

from tiny_report import log_rows

from electra_hf.bands import healthy_bands
from electra_hf.sharing.report.facts import explain, verdict
from electra_hf.sharing.report.figures import MOST_POINTS, describe, downsample, figures_of, lines_of


def test_training_and_held_out_values_are_taken_apart():
    lines = lines_of(log_rows(range(10, 41, 10)))
    assert lines["loss"].steps == [10, 20, 30, 40]
    assert lines["eval_loss"].steps == [20, 40]
    assert lines["eval_loss"].values[0] == lines["loss"].values[1] + 0.5
    assert not {"step", "remaining_seconds", "eval_runtime"} & lines.keys()


def test_what_is_no_number_is_counted_and_not_drawn():
    values = [math.nan, 1.0, None, math.inf, -math.inf, 10**400, "text", True, [1]]
    lines = lines_of([{"step": step, "loss": value} for step, value in enumerate(values, 1)][:5])
    assert (lines["loss"].steps, lines["loss"].not_numbers) == ([2.0], 4)
    rows = [{"loss": 1.0}, {"step": None, "loss": 1.0}, {"step": "2", "loss": 1.0}, {"step": 1, "loss": "text"}]
    assert lines_of(rows) == {}
    assert lines_of([{"step": 1, "loss": True, "words": [1]}]) == {}


def test_an_unknown_metric_has_a_figure_under_its_own_name():
    lines = lines_of([{"step": 1, "loss": 1.0, "eval_my_metric": 2.0}])
    assert [(figure.key, figure.title, figure.group) for figure in figures_of([lines])] == [
        ("loss", "Total loss", "Losses"),
        ("my_metric", "my_metric", "Also logged"),
    ]


def test_a_huge_log_becomes_small_and_keeps_its_jumps():
    rng = random.Random(0)
    rows = [{"step": step, "loss": rng.random(), "grad_norm": 1.0} for step in range(100_000)]
    rows[76_543]["loss"], rows[12_345]["loss"] = 99.0, -99.0
    lines = lines_of(rows)
    assert len(lines["loss"].steps) <= MOST_POINTS
    assert lines["loss"].logged == 100_000
    assert (lines["loss"].steps[0], lines["loss"].steps[-1]) == (0, 99_999)
    drawn = dict(zip(lines["loss"].steps, lines["loss"].values, strict=True))
    assert (drawn[76_543], drawn[12_345]) == (99.0, -99.0)
    assert len(json.dumps(lines["loss"].values)) < 50_000


def test_every_stretch_keeps_its_extremes():
    rng = random.Random(1)
    for count in (3, 11, 999, 1_000, 5_003):
        values = [rng.random() for _ in range(count)]
        kept = downsample(values, most=100)
        assert kept == sorted(set(kept)) and len(kept) <= 100 and {0, count - 1} <= set(kept)
        assert {min(values), max(values)} <= {values[place] for place in kept}


def test_rows_out_of_order_are_drawn_in_the_order_of_steps():
    lines = lines_of([{"step": 3, "loss": 3.0}, {"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}])
    assert lines["loss"].values == [1.0, 2.0, 3.0]


def test_a_caption_says_what_the_values_are_measured_by():
    figure = next(figure for figure in figures_of([lines_of(log_rows(range(2)))]) if figure.key == "rtd_auc")
    caption = explain(figure, [healthy_bands()["rtd_auc"]])
    assert (
        "0.88–0.9, where long runs ended" in caption and "Knowing nothing: 0.5" in caption and "below 0.55" in caption
    )
    assert explain(figure, []) == f"{figure.meaning[:1].upper()}{figure.meaning[1:]}."


def test_a_verdict_knows_how_far_the_run_is():
    band = healthy_bands()["rtd_auc"]
    assert verdict(band, 0.51, 1.0, ".3f") == "alarm: below 0.55"
    assert verdict(band, 0.51, 0.1, ".3f") == "below 0.88–0.9"
    assert verdict(healthy_bands(vocab_size=8192)["mlm_loss"], 5.0, 1.0, ".3f") == "chance: 9.01"


def test_metrics_of_all_objectives_have_names():
    for key in healthy_bands():
        assert describe(key).meaning, key
