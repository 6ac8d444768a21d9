"""The table and the picture of a search."""

import csv
import io

import pytest
from matplotlib import image
from rich.console import Console

from electra_hf.sharing.search_plots import plot_search, search_csv, search_markdown, search_table, write_search_report


def trial(number: int, score: float | None, state: str = "complete", reason: str = "", **values) -> dict:
    values = {"learning_rate": 1e-4 * (number + 1), "warmup_steps": 0.1, **values}
    record = {"number": number, "state": state, "score": score, "seconds": 60.0, "values": values, "reason": reason}
    return record


TRIALS = [
    trial(0, 0.80),
    trial(1, None, "failed", "the loss is nan | at step 7"),
    trial(3, 0.9000000001),
    trial(4, None, "pruned", "below the median at step 10"),
    trial(5, 0.85),
]


@pytest.mark.parametrize(("direction", "order"), [("maximize", "35014"), ("minimize", "05314")])
def test_the_best_trial_comes_first(direction, order):
    lines = search_markdown(TRIALS, metric="accuracy", direction=direction).splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| trial")]
    assert "".join(row.split("|")[1].strip() for row in rows) == order
    assert rows[0].count("**") == 2 and all("**" not in row for row in rows[1:])
    columns = lines[2].count("|") if lines[2].startswith("|") else 0
    assert {row.replace("\\|", "").count("|") for row in rows} == {columns}


def test_csv_keeps_every_digit_and_the_order():
    rows = list(csv.DictReader(io.StringIO(search_csv(TRIALS, metric="accuracy"))))
    assert [row["trial"] for row in rows] == ["0", "1", "3", "4", "5"]
    assert float(rows[2]["accuracy"]) == 0.9000000001 and rows[1]["accuracy"] == ""
    assert float(rows[2]["learning_rate"]) == 1e-4 * 4
    assert rows[1]["reason"] == "the loss is nan | at step 7"


def test_terminal_shows_the_best_ones():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(search_table(TRIALS, metric="accuracy", direction="maximize", limit=2))
    text = console.export_text()
    assert text.index("0.9000") < text.index("0.8500") and "0.8000" not in text
    assert "5 trials, 1 failed, 1 pruned, 0.08 hours" in text


@pytest.mark.parametrize(
    "trials",
    [
        TRIALS,
        TRIALS[:1],
        TRIALS[1:2],
        [trial(n, 0.1 * n, kind=["a", None, True][n % 3], width=n % 2) for n in range(9)],
    ],
    ids=["mixed", "one", "none complete", "words"],
)
def test_picture_is_drawn(trials, tmp_path):
    path = plot_search(trials, tmp_path / "p.png", metric="accuracy", direction="maximize", title="설정 search")
    pixels = image.imread(path)
    assert pixels.shape[0] > 300 and pixels[..., :3].min() < 0.5


def test_report_writes_every_file(tmp_path):
    files = write_search_report(tmp_path, TRIALS, metric="eval_loss", direction="minimize", title="CoLA")
    assert [file.name for file in files] == ["hpo_trials.md", "hpo_trials.csv", "hpo_trials.png"]
    assert all(file.stat().st_size for file in files)
    assert files[0].read_text().startswith("# CoLA\n")
