"""The view in the terminal: what it says, with and without colour, and that it ends with the run."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from tiny_report import log_rows, write_lines

from electra_hf.errors import CheckpointError
from electra_hf.sharing.report.runs import read_run
from electra_hf.sharing.report.terminal import sparkline, view_of, watch_in_terminal


def console(width: int = 80, *, colour: bool = False) -> Console:
    system = "truecolor" if colour else None
    return Console(file=io.StringIO(), width=width, height=60, force_terminal=colour, color_system=system)


def shown(folder: Path, width: int = 80, *, colour: bool = False) -> str:
    terminal = console(width, colour=colour)
    terminal.print(view_of(read_run(folder), terminal))
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def test_progress_numbers_and_texts_are_told_in_words(make_run):
    text = shown(make_run())
    assert max(map(len, text.splitlines())) <= 80
    assert "122,880 tokens" in " ".join(text.split())
    assert "Running: step 60 of 100" in text and " 60%" in text
    line = next(line for line in text.splitlines() if line.startswith("Detection AUC"))
    assert "0.800" in line and "0.790" in line and line.rstrip().endswith("below 0.88–0.9")
    assert "█" in next(line for line in text.splitlines() if line.startswith("Total loss"))
    assert "[cat→sixty]?95%" in text and "1 of 1 swaps suspected" in text


def test_an_alarm_is_named(make_run):
    rows = [{**row, "rtd_auc": 0.51} for row in log_rows(range(40, 61, 10)) if "loss" in row]
    assert "alarm: below 0.55" in shown(make_run(rows=rows))


def test_colour_repeats_what_the_words_say(make_run):
    text = shown(make_run(), colour=True)
    assert "\x1b[" in text
    assert "below 0.88–0.9" in re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_narrow_terminal_gets_everything_too(make_run):
    text = shown(make_run(), width=60)
    assert "Total loss" in text and max(map(len, text.splitlines())) <= 60


def test_it_waits_follows_and_ends_with_the_run(make_run, tmp_path: Path):
    folder = tmp_path / "run"
    seen: list[str] = []

    def happens(_: float) -> None:
        """What a run does while the view sleeps."""
        seen.append(read_run(folder).status().state)
        if len(seen) == 1:
            make_run("run")
        elif len(seen) == 2:
            write_lines(folder / "training_log.jsonl", log_rows(range(0, 101, 10)))
            (folder / "trainer_state.json").write_text(json.dumps({"log_history": []}), encoding="utf-8")

    terminal = console()
    watch_in_terminal(folder, interval=1.0, console=terminal, sleep=happens)
    assert seen == ["waiting", "running"]
    assert isinstance(terminal.file, io.StringIO)
    assert "Finished: step 100 of 100" in terminal.file.getvalue()


def test_damage_ends_it_with_an_error(make_run):
    folder = make_run()
    (folder / "training_log.jsonl").write_text("damage\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training_log\.jsonl:1"):
        watch_in_terminal(folder, interval=1.0, console=console())


def test_a_curve_in_one_line_has_its_ends_and_extremes():
    line = sparkline([0.0] * 500 + [1.0] + [0.5] * 500, width=12)
    assert len(line) <= 12 and "█" in line and line[0] == "▁"
