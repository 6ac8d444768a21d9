"""Tables and pictures of scores, from the JSON of runs."""

import io
import warnings

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.sharing import score_pictures
from electra_hf.sharing import scores as scores_module
from electra_hf.sharing.score_pictures import plot_comparison, plot_scores, shorten
from electra_hf.sharing.scores import (
    comparison_markdown,
    comparison_table,
    results_markdown,
    results_table,
    score_rows,
)


def statistics(values: list) -> dict:
    spread = len(values) > 1
    mean = float(np.mean(values))
    return {
        "values": values,
        "median": float(np.median(values)),
        "mean": mean,
        "std": float(np.std(values, ddof=1)) if spread else None,
        "best": max(values),
        "low": mean - 0.02 if spread else None,
        "high": mean + 0.02 if spread else None,
    }


def task(name: str = "sst2", values: tuple = (0.9, 0.91, 0.925), **more) -> dict:
    content = {
        "task_name": name,
        "model": "outputs/model|1",
        "metrics": ["accuracy"],
        "eval_samples": 872,
        "eval_accuracy": statistics(list(values)),
        "eval_loss": statistics([0.3] * len(values)),
        "eval_combined_score": statistics(list(values)),
        "test_accuracy": statistics([0.8] * len(values)),
        "train_runtime": statistics([12.0] * len(values)),
        "ensemble": {"eval_accuracy": 0.93},
        "notes": ["4 rows have an empty text"],
        "findings": {},
    }
    return content | more


def comparison(models: int = 2, seeds: int = 5, names: tuple = ()) -> dict:
    generator = np.random.default_rng(0)
    compared = {"n": seeds, "difference": 0.012, "low": 0.004, "high": 0.02, "p_t_holm": 0.03, "p_exact_holm": 0.0625}
    values = [generator.normal(0.8, 0.01, seeds).tolist() for _ in range(models)]
    row = {
        "task": "sst2",
        "metric": "eval_accuracy_mm",
        "seeds": list(range(seeds)),
        "models": [statistics(value) for value in values],
        "comparisons": [None, *[compared] * (models - 1)],
    }
    known = [*names, *(f"run{number}" for number in range(models))][:models]
    return {
        "models": [{"name": name, "model": f"m/{name}", "folder": name} for name in known],
        "rows": [row],
        "notes": ["5 seeds: few"],
    }


def as_text(table: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_rows_are_the_metrics_times_100_with_the_test_split_last():
    rows = list(score_rows([task()]))
    assert [row.metric for row in rows] == ["accuracy", "accuracy, test"]
    assert (rows[0].median, rows[0].ensemble, rows[0].spread) == (91.0, 93.0, "91.17 ± 1.26")
    assert rows[1].ensemble is None


def test_what_is_no_fraction_is_shown_as_it_is():
    own = task(
        metrics=["mse", "perplexity"], eval_mse=statistics([0.5, 0.6]), eval_perplexity=statistics([12.0, 13.0])
    )
    medians = {row.metric: row.number(row.median) for row in score_rows([own])}
    assert (medians["mse"], medians["perplexity"]) == ("0.5500", "12.5000")


def test_the_terminal_table_names_a_task_once_and_does_not_cut_numbers():
    average = {"average": 0.86, "average_without_wnli": 0.87, "electra_average": 0.88, "missing": ["qqp"]}
    text = as_text(results_table([task(), task("my[task]", (0.5, 0.6))], average))
    assert text.count("sst2") == 1 and "my[task]" in text
    assert "91.17 ± 1.26" in text and "89.17–93.17" in text and "93.00" in text
    assert "GLUE average (without qqp): 86.00" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_markdown_has_the_table_the_notes_and_the_findings():
    text = results_markdown([task(findings={"43": ["all 872 predictions are 'negative'"]})])
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| task"))
    row = next(line for line in lines if line.startswith("| sst2 | accuracy |"))
    assert header.count("|") == row.count("|")
    assert "| 91.00 | 91.17 ± 1.26 | 89.17–93.17 | 92.50 | 93.00 | 3 |" in row
    assert "- sst2: 4 rows have an empty text" in lines
    assert "- **sst2, seed 43**: all 872 predictions are 'negative'" in lines
    assert "Model: `outputs/model|1`" in lines


def test_one_seed_shows_the_interval_over_its_examples_and_says_so():
    text = results_markdown([task(values=(0.9,), bootstrap={"eval_accuracy": [0.88, 0.92]}, ensemble={})])
    assert "88.00–92.00 *" in text and "one seed: bootstrap over the examples" in text


def test_the_comparison_has_every_model_difference_interval_and_p():
    text = comparison_markdown(comparison(3))
    assert text.count("| sst2 | accuracy, mismatched |") == 3
    assert text.count("| +1.20 | +0.40 to +2.00 | 0.030 | 0.062 |") == 2
    assert "paired by seed" in text and "- 5 seeds: few." in text
    table = as_text(comparison_table(comparison(3, names=("[red]", "a" * 70))))
    assert "A  [red]" in table and "B  " + "a" * 70 in table
    assert table.count("+0.40 to +2.00") == 2 and max(map(len, table.splitlines())) <= 80


def test_a_single_seed_is_compared_without_p():
    single = comparison(2, seeds=1)
    single["rows"][0]["comparisons"][1] |= {"n": 1, "low": None, "high": None, "p_t_holm": None, "p_exact_holm": 1.0}
    assert "| +1.20 | – | – | – |" in comparison_markdown(single)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def is_drawn(path) -> bool:
    picture = imread(path)
    return picture.shape[0] > 150 and float(picture[..., :3].mean()) > 0.8 and float(picture[..., :3].min()) < 0.4


@pytest.mark.parametrize("seeds", [1, 2, 5, 20])
@pytest.mark.parametrize("name", ["google/electra", "韓国語/한국어", "$x_1$ _a ^{"])
def test_pictures_of_any_number_of_seeds_and_any_name(tmp_path, seeds, name):
    values = tuple(np.random.default_rng(1).uniform(0.8, 0.9, seeds))
    path = plot_scores([task(name, values)], tmp_path / "new" / "scores.png", title=name * 9)
    assert path is not None and is_drawn(path)
    path = plot_comparison(comparison(3, seeds, (name, name + "2")), tmp_path / "comparison.png", title=name)
    assert is_drawn(path)


def test_many_models_fit(tmp_path):
    assert is_drawn(plot_comparison(comparison(9), tmp_path / "nine.png", title="nine"))


def test_nothing_to_draw_is_no_picture(tmp_path):
    nothing = statistics([0.5]) | {"values": [None], "median": None, "mean": None, "best": None}
    diverged = task(eval_accuracy=nothing, test_accuracy=nothing)
    assert plot_scores([diverged], tmp_path / "none.png", title="t") is None
    assert "| sst2 | accuracy | – | – | – | – |" in results_markdown([diverged | {"ensemble": {}}])


def test_texts_stay_apart_and_inside_the_picture(tmp_path, monkeypatch):
    figures = []
    save = score_pictures.save_figure
    monkeypatch.setattr(
        score_pictures, "save_figure", lambda figure, path: (figures.append(figure), save(figure, path))[1]
    )
    long = "a/model/with/a/long/name/" * 6
    plot_scores([task("a_task_with_a_long_name_of_its_own", (0.1234, 0.5678, 0.9))], tmp_path / "a.png", title=long)
    plot_comparison(comparison(4, names=(long, long + "2")), tmp_path / "b.png", title=long)
    for figure in figures:
        width, height = figure.canvas.get_width_height()
        texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
        boxes = [text.get_window_extent() for text in texts]
        assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
        overlapping = [
            (texts[i].get_text(), texts[j].get_text())
            for i in range(len(boxes))
            for j in range(i)
            if boxes[i].overlaps(boxes[j])
        ]
        assert overlapping == []
    assert len(figures) == 2


def test_shortening_keeps_both_ends():
    assert shorten("short", 10) == "short"
    assert shorten("0123456789", 7) == "012…789" and len(shorten("0123456789", 6)) == 6


def test_what_is_shown_as_it_is_are_the_metrics_that_are_better_when_lower():
    assert set(scores_module._LOSSES) == LOWER_IS_BETTER


def test_without_anything_judged_the_notes_remain(tmp_path):
    content = {"task_name": "ax", "model": "m", "notes": ["the labels are not published"]}
    assert "Nothing was judged" in results_markdown([content]) and "not published" in results_markdown([content])
    assert plot_scores([content], tmp_path / "none.png", title="") is None


def test_scores_of_single_types_have_no_row():
    number = statistics([470.0] * 3)
    content = task("wnut17", metrics=["f1", "PER_f1"], eval_f1=statistics([0.5] * 3))
    content |= {f"eval_{name}_{score}": number for name in ("PER", "my_type") for score in ("f1", "recall", "number")}
    content |= {"eval_char_f1": statistics([0.9] * 3)}
    shown = [row.metric for row in score_rows([content]) if not row.metric.endswith("test")]
    # One that was asked for as a metric of the task is shown.
    assert shown == ["f1", "PER f1", "accuracy", "char f1"]
