"""Labelled texts that cannot be learnt from: columns, labels and splits that are missing or contradict each other."""

import gzip
import json
from pathlib import Path

import pytest
from malformed import Cases, Kit, check, options, write

GOOD = "text,label\n" + "w1 w2,good\nw3 w4,bad\n" * 8


def train(name: str, content: str | bytes, *more: str):
    return write(name, content, *more, "--train_file")


def dev(name: str, content: str | bytes, *more: str):
    return write(name, content, *more, "--validation_file")


def rows(*records: object) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def files(**contents: str):
    """Several files: train, validation, test."""

    def make(folder: Path, _: Kit):
        named = []
        for split, content in contents.items():
            (folder / f"{split}.csv").write_text(content)
            named += [f"--{split}_file", folder / f"{split}.csv"]
        return named

    return make


def a_task_folder(*names: str):
    """--data_dir with these files of SST-2."""

    def make(folder: Path, _: Kit):
        for name in names:
            (folder / name).write_text("sentence\tlabel\nw1\t1\n")
        return ("--task_name", "sst2", "--data_dir", folder)

    return make


PAIRS = "sentence1,sentence2,label\n"
CASES: Cases = {
    "nowhere": (options("--train_file", "nowhere.csv"), 1, ("nowhere.csv",)),
    "empty": (train("t.csv", ""), 1, ("t.csv", "empty")),
    "a header only": (train("t.csv", "text,label\n"), 1, ("t.csv", "no")),
    "only blank lines": (train("t.csv", "\n\n\n"), 1, ("t.csv", "empty")),
    "no label": (train("t.csv", GOOD.replace("label", "class")), 1, ("t.csv", "class", "--label_column_name")),
    "no text": (train("t.csv", GOOD.replace("text", "words")), 1, ("'words'", "--text_column_name")),
    "no header": (train("t.csv", "w1,good\nw2,bad\n"), 1, ("t.csv", "--label_column_name")),
    "two columns of one name": (train("t.csv", "text,text,label\nw1,w2,good\n"), 1, ("t.csv", "2 columns 'text'")),
    "too many fields": (train("t.csv", GOOD + "w1,good,bad\n"), 1, ("t.csv", "line 18", "3 columns")),
    "too few fields": (train("t.csv", GOOD + "w1\n"), 1, ("t.csv", "line 18", "1 columns")),
    "an open quote": (train("t.csv", GOOD + '"w1,good\n'), 1, ("t.csv", "quotes")),
    "ragged TSV": (train("t.tsv", "text\tlabel\nw1\tgood\tbad\n"), 1, ("t.tsv", "line 2", "tabs")),
    "UTF-16": (train("t.csv", GOOD.encode("utf-16")), 1, ("t.csv", "--encoding utf-16")),
    "Latin-1": (train("t.csv", (GOOD + "caf\xe9,good\n").encode("latin-1")), 1, ("line 18", "--encoding")),
    "binary": (train("t.csv", bytes(range(256)) * 9), 1, ("t.csv",)),
    "cut gzip": (train("t.csv.gz", gzip.compress(GOOD.encode())[:-20]), 1, ("t.csv.gz", "truncated")),
    "no Parquet": (train("t.parquet", GOOD), 1, ("t.parquet", "not a Parquet file")),
    "unknown suffix": (train("t.xls", GOOD), 2, ("t.xls", ".csv")),
    "broken JSON": (train("t.jsonl", rows({"text": "w1", "label": "a"}) + '{"text"\n'), 1, ("line 2", "repair")),
    "JSON without a label": (train("t.jsonl", rows({"text": "w1", "label": "a"}, {"text": "w1"})), 1, ("line 2",)),
    "a list of JSON": (train("t.jsonl", rows(["w1", "a"])), 1, ("record 1", "object")),
    "an empty array": (train("t.json", "[]"), 1, ("t.json",)),
    "deep JSON": (train("t.json", "[" * 10**5), 1, ("t.json", "not valid JSON")),
    "a number for a text": (train("t.jsonl", rows({"text": 3, "label": "a"})), 1, ("t.jsonl", "no column of text")),
    "a list for a label": (train("t.jsonl", rows({"text": "w1", "label": {"a": 1}})), 1, ("t.jsonl", "label")),
    "null for a label": (train("t.jsonl", rows({"text": "w1", "label": None})), 1, ("t.jsonl", "label")),
    "one label only": (train("t.csv", "text,label\n" + "w1,good\n" * 9), 1, ("t.csv", "good")),
    "an unknown label": (dev("d.csv", "text,label\nw1,ugly\n"), 1, ("d.csv", "ugly", "'bad', 'good'")),
    "other labels": (dev("d.csv", "text,label\nw1,0\nw1,1\n"), 1, ("d.csv", "'bad', 'good'")),
    "an empty split": (dev("d.csv", "text,label\n"), 1, ("d.csv",)),
    "a text without a pair": (train("t.csv", GOOD, "--text_pair_column_name", "second"), 2, ("name the first",)),
    "one column twice": (options("--text_column_name", "label", "--label_column_name", "label"), 2, ("two columns",)),
    "scores of words": (options("--task_kind", "regression"), 1, ("train.csv", "classification")),
    "scores nan": (
        train("t.csv", "text,label\nw1,nan\nw2,0.5\n", "--task_kind", "regression"),
        1,
        ("t.csv", "nan"),
    ),
    "scores inf": (
        train("t.csv", "text,label\nw1,inf\nw2,0.5\n", "--task_kind", "regression"),
        1,
        ("t.csv", "inf"),
    ),
    "pairs without the second": (
        files(train=PAIRS + "w1,,good\n" * 4, validation=PAIRS + "w1,w2,good\n"),
        1,
        ("train.csv",),
    ),
}
WITHOUT_FILES: Cases = {
    "no data": (options(), 2, ("--task_name",)),
    "an empty task folder": (a_task_folder(), 1, ("given",)),
    "half a task folder": (a_task_folder("train.tsv"), 1, ("dev.tsv",)),
    "no task folder": (options("--task_name", "sst2", "--data_dir", "./no"), 1, ("no",)),
    "a folder without a task": (options("--data_dir", "./no"), 2, ("--data_dir", "--task_name")),
    "one file for two tasks": (options("--task_name", "rte,wnli", "--train_file", "t.csv"), 2, ("one file",)),
    "two sources": (options("--dataset_name", "a/b", "--train_file", "t.csv"), 2, ("two sources",)),
    "no network": (options("--task_name", "rte"), 1, ("rte", "HF_HUB_OFFLINE")),
}


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_sources_that_are_not_there_are_explained(name: str, sound_glue, kit: Kit, tmp_path: Path):
    model, data, rest = sound_glue[:2], sound_glue[2:6], sound_glue[6:]
    assert "--train_file" in data and "--validation_file" in data
    check("run_glue", (*model, *rest), WITHOUT_FILES[name], kit, tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_malformed_labelled_texts_are_explained(name: str, sound_glue, kit: Kit, tmp_path: Path):
    check("run_glue", sound_glue, CASES[name], kit, tmp_path)
