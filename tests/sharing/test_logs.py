"""Logs that are read while a run writes them: whole lines count, half a line at the end does not, damage is named."""

import json
from pathlib import Path

import pytest

from electra_hf.errors import CheckpointError
from electra_hf.sharing.demo.records import JudgedText, TokenRecord
from electra_hf.sharing.logs import load_log_history, load_text_samples, read_json, read_json_lines


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path):
    file = tmp_path / "training_log.jsonl"
    whole = '{"step": 1, "loss": 2.0}\n\n{"step": 2, "loss": NaN}\n'
    for end in ("", "{", '{"step": 3, "lo'):
        file.write_text(whole + end, encoding="utf-8")
        assert [number for number, _ in read_json_lines(file)] == [1, 3], end
    file.write_text(whole + '{"step": 3}', encoding="utf-8")  # complete but for its end of line
    assert [row["step"] for _, row in read_json_lines(file)] == [1, 2, 3]
    half_a_letter = whole.encode() + '{"word": "é"}'.encode()[:11]
    file.write_bytes(half_a_letter)
    assert len(read_json_lines(file)) == 2


@pytest.mark.parametrize("damage", ["{", "7", "[]", "null", "[" * 100_000, "\x00"])
def test_a_damaged_line_is_named_with_its_file(damage: str, tmp_path: Path):
    file = tmp_path / "training_log.jsonl"
    file.write_text(f'{{"step": 1}}\n{damage}\n{{"step": 3}}\n', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training_log\.jsonl:2: "):
        load_log_history(tmp_path)


def test_the_log_that_grows_is_newer_than_that_of_a_checkpoint(tmp_path: Path):
    (tmp_path / "checkpoint-10").mkdir()
    state = {"log_history": [{"step": 10}]}
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    assert load_log_history(tmp_path) == [{"step": 10}]
    (tmp_path / "training_log.jsonl").write_text('{"step": 10}\n{"step": 11}\n', encoding="utf-8")
    assert load_log_history(tmp_path) == [{"step": 10}, {"step": 11}]


def test_texts_come_back_as_records(tmp_path: Path):
    assert load_text_samples(tmp_path) == []
    tokens = '["un", "un", false, 1, true], ["a", "b", true, null, true]'
    lines = f'{{"step": 5, "texts": [[{tokens}], []]}}\n{{"step": 6, "te'
    (tmp_path / "text_samples.jsonl").write_text(lines, encoding="utf-8")
    records = [TokenRecord("un", "un", False, 1, True), TokenRecord("a", "b", True, 0, True)]
    texts = [JudgedText(records, [True, False], 0), JudgedText([], [], 0)]
    assert load_text_samples(tmp_path) == [(5, texts)]


@pytest.mark.parametrize(
    "row",
    [
        {"texts": []},
        {"step": True, "texts": []},
        {"step": 1, "texts": {}},
        {"step": 1, "texts": ["word"]},
        {"step": 1, "texts": [["word"]]},
        {"step": 1, "texts": [[["a", "a", False, 0.5]]]},
        {"step": 1, "texts": [[["a", None, False, 0.5, True]]]},
        {"step": 1, "texts": [[["a", "a", 0, 0.5, True]]]},
        {"step": 1, "texts": [[["a", "a", False, True, True]]]},
    ],
)
def test_what_is_no_observation_is_named(row: dict, tmp_path: Path):
    good = {"step": 0, "texts": []}
    file = tmp_path / "text_samples.jsonl"
    file.write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"text_samples\.jsonl:2: "):
        load_text_samples(tmp_path)


def test_a_json_file_may_be_missing_but_not_broken(tmp_path: Path):
    file = tmp_path / "run_info.json"
    assert read_json(file) == {}
    for content in (b"{", b"[]", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"run_info\.json"):
            read_json(file)
