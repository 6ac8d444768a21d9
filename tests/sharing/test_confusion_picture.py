"""The picture of a confusion matrix exists, is as large as it has to be, and shows no boxes for letters."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from electra_hf.sharing.tagging import plot_confusion
from electra_hf.sharing.tagging.confusion import _figure


def confusion(types: list[str], of_entities: bool = True) -> dict:
    counts = np.random.default_rng(0).integers(0, 900, (len(types) + of_entities, len(types) + 2 * of_entities))
    if of_entities:
        counts[-1, -2:] = 0
    return {"types": types, "counts": counts.tolist()}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are made."""
    figures = []

    def remember(*arguments):
        figure, panel = _figure(*arguments)
        figures.append(figure)
        return figure, panel

    monkeypatch.setattr("electra_hf.sharing.tagging.confusion._figure", remember)
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


@pytest.mark.parametrize("number", [1, 3, 20])
def test_all_names_and_counts_are_in_the_picture(tmp_path: Path, drawn: list, number: int):
    found = confusion([f"type-{chr(ord('a') + place % 26)}{place}" for place in range(number)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = plot_confusion(found, tmp_path / "new" / "confusion.png", title="task [1], $seed$ 42")
    assert path is not None
    height, width = imread(path).shape[:2]
    assert width >= 1_100 and min(height, width) >= 0.3 * 130 * number
    shown = texts(drawn[0])
    assert {*found["types"], "no entity", "wrong borders", "missed", "task [1], $seed$ 42"} <= set(shown)
    cells = sorted(f"{count:,}" for row in found["counts"] for count in row if count)
    totals = sorted(f"{sum(row):,}" for row in found["counts"])
    assert sorted(text for text in shown if text.replace(",", "").isdigit()) == sorted(cells + totals)
    # Every text is inside the picture.
    renderer = drawn[0].canvas.get_renderer()
    for text in (*drawn[0].texts, *drawn[0].axes[0].texts):
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_the_colours_are_shares_of_a_row(tmp_path: Path, drawn: list):
    plot_confusion({"types": ["a", "b"], "counts": [[1, 0], [300, 100]]}, tmp_path / "c.png", title="t")
    (image,) = drawn[0].axes[0].images
    (all_right, none), (wrong, right) = np.asarray(image.get_array())[:, :, :3]
    # White is 3: the more of a row, the darker. 300 of 400 are wrong, and red; 100 are right, and blue.
    assert none.sum() == 3.0 and all_right.sum() < right.sum() < 3.0 and wrong.sum() < right.sum()
    assert wrong[0] > wrong[2] and right[0] < right[2]


def test_names_that_no_font_has_are_numbered(
    tmp_path: Path, drawn: list, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("electra_hf.sharing.fonts.font_manager.get_font_names", lambda: ["DejaVu Sans"])
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion(confusion(["PER", "人名", "지명"]), tmp_path / "c.png", title="t")
    assert "type 2 is 人名, type 3 is 지명" in caplog.text and "Noto Sans CJK" in caplog.text
    assert {"PER", "type 2", "type 3"} <= set(texts(drawn[0])) and "人名" not in texts(drawn[0])


def test_of_many_tags_the_commonest_are_drawn(tmp_path: Path, drawn: list):
    counts = np.diag(np.arange(100) + 1)
    plot_confusion({"types": [f"T{n}" for n in range(100)], "counts": counts.tolist()}, tmp_path / "c.png", title="t")
    shown = set(texts(drawn[0]))
    assert "T99" in shown and "T60" in shown and "T59" not in shown
    assert "The 40 commonest of 100 are shown." in shown


def test_nothing_to_count_is_no_picture(tmp_path: Path):
    assert plot_confusion({"types": [], "counts": [[0, 0]]}, tmp_path / "c.png", title="t") is None
    assert plot_confusion({"types": ["A"], "counts": [[0]]}, tmp_path / "c.png", title="t") is None
    assert not list(tmp_path.iterdir())
