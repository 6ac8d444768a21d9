"""The page as text: whole without JavaScript, without anything from elsewhere, and safe whatever the files hold."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tiny_report import HOSTILE, INFO, log_rows, observation, write_lines

from electra_hf.sharing.demo.records import JudgedText, TokenRecord
from electra_hf.sharing.report.content import (
    DASHES,
    LIGHT,
    MARKERS,
    MOST_OBSERVATIONS,
    content_of,
    tokens_of,
)
from electra_hf.sharing.report.page import render_page, to_script_json
from electra_hf.sharing.report.pictures import draw_pictures
from electra_hf.sharing.report.runs import Run, find_runs, read_run


class Outline(HTMLParser):
    """Elements and the text outside of scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def page_of(*folders: Path) -> str:
    return render_page(content_of(find_runs(folders)))


def test_tables_and_newest_texts_are_readable_without_a_script(make_run, fine_tuned: Path):
    text = Outline(page_of(make_run("first"), make_run("second"), fine_tuned)).text
    for words in ("first", "second", "1.23 M, generator 123,456", "Detection AUC", "sst2, accuracy", "83.00 ± 3.60"):
        assert words in text, words
    assert "first, step 60" in text and "sixty" in text and "1 of 1 swaps suspected" in text


def test_nothing_comes_from_elsewhere(make_run):
    page = page_of(make_run())
    for tag, attributes in Outline(page).elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("#", "data:")), (tag, attributes)
    # The library has addresses of maps in it, which no figure of ours asks for, and which the policy refuses.
    policy = next(attributes for _, attributes in Outline(page).elements if "http-equiv" in attributes)["content"]
    assert policy is not None and "default-src 'none'" in policy and "connect-src 'none'" in policy
    assert page.count("plotly.js v") == 1


def test_text_of_files_is_text(make_run):
    row = {"step": 1, "loss": 1.0, HOSTILE: 2.0}
    folder = make_run(rows=[row], info={**INFO, "hardware": HOSTILE, "versions": {HOSTILE: HOSTILE}})
    (folder / "pretraining_config.yaml").write_text(json.dumps({"corpus": [HOSTILE]}), encoding="utf-8")
    write_lines(folder / "text_samples.jsonl", [observation(1, 0.9, HOSTILE)])
    page = render_page(content_of([read_run(folder, HOSTILE)]))
    assert HOSTILE not in page
    assert "onerror" not in str([attributes for _, attributes in Outline(page).elements])
    # It is shown all the same, in each of these places.
    assert Outline(page).text.count("<img src=x onerror=") >= 5


def test_the_data_in_the_page_are_the_numbers_of_the_log(make_run):
    page = page_of(make_run())
    content = json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', page)[1])  # type: ignore[index]
    line = content["runs"][0]["lines"]["loss"]
    rows = [row for row in log_rows(range(0, 61, 10)) if "loss" in row]
    assert line["x"] == [row["step"] for row in rows]
    assert line["y"] == pytest.approx([row["loss"] for row in rows], rel=1e-5)
    assert content["runs"][0]["tokens_per_step"] == 2048
    auc = next(figure for figure in content["figures"] if figure["key"] == "rtd_auc")
    assert [(band["low"], band["high"]) for band in auc["bands"]] == [(0.88, 0.9)]
    assert {"value": 0.5, "words": "knowing nothing"} in auc["references"]


def test_json_in_a_script_cannot_end_it():
    text = to_script_json({"a": "</script><!--\u2028\u2029"})
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028\u2029"}


def test_thirty_runs_differ_in_colour_or_dash_or_marker():
    runs = [Run(str(number), Path(str(number)), rows=[{"step": 1, "loss": 1.0}]) for number in range(30)]
    styles = [(run["light"], run["dash"], run["marker"]) for run in content_of(runs)["runs"]]
    assert len(set(styles)) == 30
    # Without colours, the first six still have dashes, and the first seven markers of their own.
    assert len({run[1] for run in styles[:6]}) == len(DASHES) and len({run[2] for run in styles[:7]}) == len(MARKERS)
    assert len(set(LIGHT)) == len(LIGHT)


@pytest.mark.parametrize(
    "rows",
    [
        [{"step": 1, "loss": 1.0}],
        [{"step": 1, "eval_loss": 1.0}],
        [{"step": 1, "loss": float("nan")}],
        [{"epoch": 1}],
        [{"step": 0, "mlm_loss": 9.0, "sop_loss": 0.7, "words": "text"}],
    ],
)
def test_odd_logs_have_a_page_and_pictures(rows: list, make_run):
    folder = make_run(rows=rows)
    run = read_run(folder)
    assert "<h1>run</h1>" in render_page(content_of([run]))
    assert all(path.stat().st_size > 5_000 for path in draw_pictures([run], folder / "report.html"))


def test_long_histories_are_thinned_and_that_is_said(make_run):
    folder = make_run(rows=[{"step": step, "loss": 1 / (step + 1)} for step in range(20_000)])
    write_lines(folder / "text_samples.jsonl", [observation(step, 0.5) for step in range(200)])
    content = content_of([read_run(folder)])
    steps = [one["step"] for one in content["samples"][0]["observations"]]
    assert len(steps) == MOST_OBSERVATIONS and (steps[0], steps[-1]) == (0, 199)
    assert len(content["runs"][0]["lines"]["loss"]["x"]) <= 1_000
    assert "20,000 logged rows" in content["html"]["notes"] and "200 observations" in content["html"]["notes"]


def test_values_that_are_no_numbers_are_told_of(make_run):
    content = content_of([read_run(make_run(rows=[{"step": 1, "loss": 1.0}, {"step": 2, "loss": None}]))])
    assert "a logged value that is no number" in content["figures"][0]["caption"]


def test_tokens_become_words():
    records = [
        TokenRecord("▁Hel", "▁Hel", False, 0.1, False),
        TokenRecord("p", "lo", True, 0.7, False),
        TokenRecord("▁you", "▁you", False, 0.0, True),
    ]
    words = tokens_of(JudgedText(records, [True, True, False], 0))
    assert words == [["Hel", None, 0.1, False], ["p", "lo", 0.7, False], ["you", None, None, True]]


def test_pictures_lie_beside_the_page(make_run, fine_tuned: Path, tmp_path: Path):
    runs = find_runs([make_run("a"), make_run("b"), fine_tuned], ["$a$", "b [x]", "c"])
    names = [path.name for path in draw_pictures(runs, tmp_path / "page.html")]
    assert names == ["page-curves.png", "page-scores.png"]
