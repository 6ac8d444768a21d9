"""The published files themselves, where they are: every sentence, token and entity is read.

The folder in ELECTRA_HF_DATA holds klue/ and ner_open_en/.
"""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.loading import load_tagging
from electra_hf.finetuning.tagging.published import PUBLICATIONS

DATA = Path(os.environ.get("ELECTRA_HF_DATA") or ".")
pytestmark = pytest.mark.skipif(not os.environ.get("ELECTRA_HF_DATA"), reason="ELECTRA_HF_DATA is not set")

WNUT = DATA / "ner_open_en" / "WNUT17" / "CONLL-format" / "data"
FILES = {
    "wnut17": {
        "train": WNUT / "train" / "wnut17train.conll",
        "validation": WNUT / "dev" / "emerging.dev.conll",
        "test": WNUT / "test" / "emerging.test.annotated",
    },
    "klue_ner": {
        "train": DATA / "klue" / "klue-ner-v1.1_train_first5000.tsv",
        "validation": DATA / "klue" / "klue-ner-v1.1_dev.tsv",
    },
}


@pytest.mark.parametrize(("name", "folder"), [("wnut17", "ner_open_en"), ("klue_ner", "klue")])
@pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
def test_rows_tokens_and_entities(name: str, folder: str, scheme: str):
    arguments = TaggingArguments(task_name=name, data_dir=str(DATA / folder), tag_scheme=scheme)
    data = load_tagging(name, arguments)
    rows = {split: len(examples) for split, examples in data.splits.items()}
    assert rows == ({"train": 5_000, "validation": 5_000} if name == "klue_ner" else PUBLICATIONS[name].rows)
    assert not any("repaired" in note for note in data.notes)
    for split, path in FILES[name].items():
        # Both files are IOB2, so an entity is a line whose tag begins with B-.
        lines = [line for line in path.read_bytes().decode().split("\n") if line and not line.startswith("## ")]
        begun = Counter(match.group(1) for line in lines if (match := re.search(r"\tB-(.+)$", line)))
        assert entities(data, split, "BS") == begun
        tokens = [line.partition("\t")[0] for line in lines]
        assert [unit for row in data.splits[split].to_list() for unit in units(row)] == tokens


def units(row: dict) -> list[str]:
    return [row["text"][start:end] for start, end in zip(row["starts"], row["ends"], strict=True)]


def entities(data: TaggingData, split: str, letters: str) -> Counter[str]:
    tags = (data.labels[tag] for tags in data.splits[split]["tags"][:] for tag in tags)
    return Counter(tag[2:] for tag in tags if tag[0] in letters)


def test_the_format_of_klue_is_recognised():
    path = str(FILES["klue_ner"]["validation"])
    data = load_tagging("ner", TaggingArguments(validation_file=path), needs_train=False)
    assert (data.unit, len(data.splits["validation"])) == ("character", 5_000)
