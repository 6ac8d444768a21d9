"""Files that grow a line at a time: whole to a reader at any time, mended after a kill or a full disk."""

import errno
import json
import logging
from pathlib import Path

import pytest

from electra_hf.json_lines import JsonLines, read_rows, to_line


def strict(line: str) -> dict:
    def refuse(word: str):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(line, parse_constant=refuse)


def test_every_line_is_json_and_floats_are_exact():
    row = {"loss": 0.1 + 0.2, "step": 7, "inf": float("-inf"), "nested": {"nan": float("nan")}, "text": "über\n"}
    line = to_line(row)
    assert "\n" not in line and line.startswith('{"step": 7')
    assert strict(line) == {**row, "inf": None, "nested": {"nan": None}}


def test_rows_are_there_as_soon_as_they_are_added(tmp_path: Path):
    path = tmp_path / "new" / "log.jsonl"
    lines = JsonLines(path)
    lines.replace([{"step": 1}])
    lines.append([{"step": 2}, {"step": 3}])
    assert read_rows(path) == [{"step": 1}, {"step": 2}, {"step": 3}]
    lines.replace([])
    assert path.read_bytes() == b""
    lines.append([{"step": 4}])
    assert read_rows(path) == [{"step": 4}]
    assert [file.name for file in path.parent.iterdir()] == ["log.jsonl"]


def test_half_a_line_is_not_read(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    assert read_rows(path) == []
    path.write_bytes(b'{"step": 1}\n{"step": 2, "te\xc3')
    assert read_rows(path) == [{"step": 1}]


def test_a_full_disk_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    path = tmp_path / "log.jsonl"
    lines = JsonLines(path)
    lines.replace([{"step": 1}])
    opened = Path.open

    def full(self, mode="r", *args, **kwargs):
        file = opened(self, mode, *args, **kwargs)
        if "r+" in mode:
            file.seek(0, 2)
            file.write(b'{"st')  # as much as there was room for
            file.close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return file

    with caplog.at_level(logging.ERROR):
        monkeypatch.setattr(Path, "open", full)
        lines.append([{"step": 2}])
        lines.append([{"step": 3}])
        monkeypatch.undo()
    assert len(caplog.records) == 1 and "the disk is full" in caplog.text and str(path) in caplog.text
    assert read_rows(path) == [{"step": 1}]
    lines.append([{"step": 4}])
    assert path.read_text() == "".join(f'{{"step": {step}}}\n' for step in (1, 2, 3, 4))


def test_a_file_that_was_removed_begins_again(tmp_path: Path):
    lines = JsonLines(tmp_path / "log.jsonl")
    lines.replace([{"step": 1}])
    lines.path.unlink()
    lines.append([{"step": 2}])
    assert read_rows(lines.path) == [{"step": 2}]
