"""Tagged words that cannot be learnt from: ragged lines, unknown tags, other layouts than the file says."""

import json
from pathlib import Path

import pytest
from malformed import Cases, Kit, check, options, write

GOOD = "w1 B-PER\nw2 I-PER\nw3 O\n\n" * 8


def train(name: str, content: str | bytes, *more: str):
    return write(name, content, *more, "--train_file")


def dev(name: str, content: str | bytes, *more: str):
    return write(name, content, *more, "--validation_file")


def rows(*records: object) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def jsonl(*records: object):
    return train("t.jsonl", rows(*records))


KLUE = ("--file_format", "klue")
NAVER = ("--file_format", "naver")
CONLLU = ("--file_format", "conllu")
CASES: Cases = {
    "nowhere": (options("--train_file", "nowhere.txt"), 1, ("nowhere.txt",)),
    "empty": (train("t.txt", ""), 1, ("t.txt", "download or write it again")),
    "only blanks": (train("t.txt", "\n \n\n"), 1, ("t.txt", "no sentence")),
    "only a document": (train("t.txt", "-DOCSTART- O\n\n"), 1, ("t.txt", "no sentence")),
    "no tags": (train("t.txt", "w1\nw2\n\nw3\n"), 1, ("t.txt", "one column")),
    "too few columns": (train("t.txt", GOOD + "w1\n"), 1, ("t.txt", "line 33", "1 column")),
    "too many columns": (train("t.txt", GOOD + "w1 w2 O\n"), 1, ("t.txt", "line 33", "3 columns")),
    "an empty token": (train("t.txt", "\tO\n" + "w1\tO\n" * 3), 1, ("t.txt", "line 1", "token is empty")),
    "an empty tag": (train("t.txt", "w1\t\n" + "w1\tO\n" * 3), 1, ("t.txt", "line 1", "tag is empty")),
    "no tags of a scheme": (
        train("t.txt", GOOD.replace("B-PER", "PER*"), "--source_scheme", "IOB2"),
        1,
        ("t.txt", "PER*"),
    ),
    "an unknown type": (dev("d.txt", GOOD.replace("PER", "LOC")), 1, ("d.txt", "LOC")),
    "UTF-16": (train("t.txt", GOOD.encode("utf-16")), 1, ("t.txt", "utf-16")),
    "binary": (train("t.txt", bytes(range(256)) * 9), 1, ("t.txt",)),
    "an empty split": (dev("d.txt", ""), 1, ("d.txt",)),
    "words and tags apart": (jsonl({"tokens": ["w1", "w2"], "ner_tags": ["O"]}), 1, ("t.jsonl", "line 1")),
    "words of numbers": (jsonl({"tokens": [1], "ner_tags": ["O"]}), 1, ("t.jsonl", "line 1")),
    "words in one": (jsonl({"tokens": "w1 w2", "ner_tags": ["O"]}), 1, ("t.jsonl",)),
    "tags of lists": (jsonl({"tokens": ["w1"], "ner_tags": [["O"]]}), 1, ("t.jsonl",)),
    "null tags": (jsonl({"tokens": ["w1"], "ner_tags": None}), 1, ("t.jsonl",)),
    "no tokens": (jsonl({"words": ["w1"], "ner_tags": ["O"]}), 1, ("t.jsonl", "words")),
    "broken JSON": (train("t.jsonl", '{"tokens": ["w1"'), 1, ("t.jsonl", "line 1")),
    "a span outside": (
        jsonl({"text": "w1 w2", "entities": [{"start": 3, "end": 99, "label": "PER"}]}),
        1,
        ("t.jsonl", "line 1"),
    ),
    "a span backwards": (
        jsonl({"text": "w1 w2", "entities": [{"start": 3, "end": 1, "label": "PER"}]}),
        1,
        ("t.jsonl", "line 1"),
    ),
    "spans of words": (jsonl({"text": "w1 w2", "entities": ["PER"]}), 1, ("t.jsonl", "line 1")),
    "KLUE without a head": (train("t.tsv", "w\tO\n", *KLUE), 1, ("line 1", "## id")),
    "KLUE of words": (train("t.tsv", "## a\tw1\nw1\tO\n", *KLUE), 1, ("line 2", "character")),
    "KLUE of another text": (train("t.tsv", "## a\txy\nx\tO\nz\tO\n", *KLUE), 1, ("line 1", "characters and tags")),
    "Naver with a tab": (train("t.tsv", "w1 w2\tO\tO\n", *NAVER), 1, ("line 1", "tabs")),
    "Naver with too few tags": (train("t.tsv", "w1 w2\tO\n", *NAVER), 1, ("line 1", "2 words and 1 tags")),
    "CoNLL-U with too few columns": (train("t.conllu", "1\tw1\tNOUN\n", *CONLLU), 1, ("line 1", "3 columns")),
    "CoNLL-U without words": (train("t.conllu", "# text\n", *CONLLU), 1, ("no sentence",)),
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_tagged_words_are_explained(name: str, sound_ner, kit: Kit, tmp_path: Path):
    check("run_ner", sound_ner, CASES[name], kit, tmp_path)
