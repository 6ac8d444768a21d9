"""The published files themselves, where they are: every row is read, and none is lost.

The folder in ELECTRA_HF_DATA holds glue/, nsmc/, klue/ and aclImdb/.
"""

import os
from pathlib import Path

import pytest

from electra_hf.finetuning.tasks import TaskArguments, load_task
from electra_hf.finetuning.tasks.published import PUBLICATIONS

DATA = Path(os.environ.get("ELECTRA_HF_DATA") or ".")
pytestmark = pytest.mark.skipif(not os.environ.get("ELECTRA_HF_DATA"), reason="ELECTRA_HF_DATA is not set")


def loaded_rows(name: str, folder: str, needs_train: bool = True, **options: str) -> dict[str, int]:
    arguments = TaskArguments(task_name=name, data_dir=str(DATA / folder), **options)  # type: ignore[arg-type]
    data = load_task(name, arguments, needs_train=needs_train)
    return {split: len(rows) for split, rows in data.splits.items()}


@pytest.mark.parametrize("name", ["cola", "sst2", "stsb", "rte", "wnli", "ax"])
def test_glue_has_the_official_number_of_rows(name: str):
    assert loaded_rows(name, "glue") == PUBLICATIONS[name].rows


def test_mrpc_lacks_the_pair_that_the_copy_lost():
    assert loaded_rows("mrpc", "glue") == {"train": 3_667, "validation": 408, "test": 1_725}


def test_qnli_has_no_training_file_here():
    assert loaded_rows("qnli", "glue", needs_train=False) == {"validation": 5_463, "test": 5_463}


def test_imdb():
    assert loaded_rows("imdb", "aclImdb") == {"train": 23_750, "validation": 1_250, "test": 25_000}


def test_nsmc():
    rows = loaded_rows("nsmc", "nsmc", train_file=str(DATA / "nsmc" / "ratings_train_rebuilt.txt"))
    assert rows == {"train": 142_500, "validation": 7_500, "test": 50_000}
    crlf = str(DATA / "nsmc" / "ratings_test_first2000.cp949.crlf.txt")
    same = {}
    for encoding, file in (("utf-8", str(DATA / "nsmc" / "ratings_test.txt")), ("cp949", crlf)):
        arguments = TaskArguments(task_name="nsmc", test_file=file, encoding=encoding)
        same[encoding] = load_task("nsmc", arguments, needs_train=False).splits["test"][:2000]
    assert same["utf-8"] == same["cp949"]


@pytest.mark.parametrize(("name", "rows"), [("klue_nli", 3_000), ("klue_sts", 519)])
def test_klue(name: str, rows: int):
    assert loaded_rows(name, "klue", needs_train=False) == {"validation": rows}
