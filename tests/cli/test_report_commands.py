"""`electra-hf report` and `electra-hf watch` from the command line."""

import json
from pathlib import Path

import pytest

from electra_hf.cli import main, run
from electra_hf.errors import UsageError
from electra_hf.sharing.report import server, terminal


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    rows = [{"step": step, "loss": 9.0 - step, "eval_loss": 8.0} for step in (1, 2, 3)]
    (folder / "training_log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return folder


def test_the_page_of_a_run_lies_in_it(run_folder: Path, capsys: pytest.CaptureFixture):
    run(["report", str(run_folder)])
    assert (run_folder / "report.html").stat().st_size > 1_000_000
    assert (run_folder / "report-curves.png").is_file()
    assert "report-curves.png" in capsys.readouterr().out


def test_the_page_goes_where_it_is_asked_to(run_folder: Path, tmp_path: Path):
    run(["report", str(run_folder), "--output", str(tmp_path / "new" / "a.html"), "--names", "My run"])
    assert "<h1>My run</h1>" in (tmp_path / "new" / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "RUN", "--output", "page.pdf"], "--output page.pdf: give the name of a file"),
        (["report", "nowhere"], "nowhere: no such folder"),
        (["report", "RUN", "--names", "a", "b"], "2 given for 1 runs"),
        (["watch", "RUN", "--interval", "0"], "--interval 0.0: give seconds"),
        (["watch", "RUN", "--interval", "nan"], "--interval nan: give seconds"),
        (["watch", "RUN", "--port", "70000"], "--port 70000: give a number"),
        (["watch", "RUN/training_log.jsonl"], "a file. Give the output folder"),
    ],
)
def test_wrong_usage_is_told(words: list[str], message: str, run_folder: Path):
    with pytest.raises(UsageError, match=message):
        run([word.replace("RUN", str(run_folder)) for word in words])


@pytest.mark.parametrize("options", [[], ["--terminal"]])
def test_ctrl_c_ends_a_watch_well(options: list[str], run_folder: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.PageServer, "serve_forever", interrupted)
    monkeypatch.setattr(terminal.time, "sleep", interrupted)
    monkeypatch.setattr(terminal, "watch_in_terminal", lambda *_, **__: interrupted())
    with pytest.raises(SystemExit) as left:
        main(["watch", str(run_folder), "--port", "0", *options])
    assert not left.value.code
