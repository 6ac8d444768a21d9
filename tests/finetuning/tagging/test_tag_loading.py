"""Published tasks, data sets of the Hub, held-out sentences and subsets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.loading import load_tagging
from electra_hf.finetuning.tagging.metrics import METRICS
from electra_hf.finetuning.tagging.published import PUBLICATIONS, TASKS, hub_dataset
from electra_hf.finetuning.tasks.published import HubSource


def load(name: str, **options: object) -> TaggingData:
    cache = options.pop("cache_dir", None)
    needs_train = bool(options.pop("needs_train", True))
    arguments = TaggingArguments(task_name=name, **options)  # type: ignore[arg-type]
    return load_tagging(name, arguments, cache_dir=cache, needs_train=needs_train)  # type: ignore[arg-type]


def sizes(data: TaggingData) -> dict[str, int]:
    return {split: len(rows) for split, rows in data.splits.items()}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A data set with declared tags, as conll2003 on the Hub."""
    features = Features(
        {
            "id": Value("string"),
            "tokens": List(Value("string")),
            "pos_tags": List(ClassLabel(names=["X", "NNP"])),
            "ner_tags": List(ClassLabel(names=NAMES)),
        }
    )
    rows = {"id": ["5"], "tokens": [["Ada", "Lovelace", "ran"]], "pos_tags": [[1, 1, 0]], "ner_tags": [[1, 2, 0]]}
    hidden = {**rows, "ner_tags": [[]]}
    splits = {"train": rows, "validation": rows, "test": hidden}
    DatasetDict({name: Dataset.from_dict(split, features) for name, split in splits.items()}).save_to_disk(
        tmp_path / "saved"
    )
    return str(tmp_path / "saved")


def test_a_data_set_of_the_hub(saved: str, tmp_path: Path):
    data = load("ner", dataset_name=saved, cache_dir=str(tmp_path))
    assert data.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert data.splits["train"][0] == {
        "text": "Ada Lovelace ran",
        "starts": [0, 4, 13],
        "ends": [3, 12, 16],
        "tags": [3, 4, 0],
        "idx": "5",
    }
    assert "tags" not in data.splits["test"].column_names
    pos = load("pos", dataset_name=saved, cache_dir=str(tmp_path))
    assert pos.labels == ("X", "NNP") and pos.splits["train"][0]["tags"] == [1, 1, 0]


def test_a_published_task_from_the_hub(saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PUBLICATIONS, "conll2003", replace(PUBLICATIONS["conll2003"], hub=HubSource(saved)))
    data = load("CoNLL-2003", cache_dir=str(tmp_path))
    assert sizes(data) == {"train": 1, "validation": 1, "test": 1}
    assert data.labels[1::2] == ("B-LOC", "B-MISC", "B-ORG", "B-PER")
    assert "train: the data set has 1 rows, and 14,041 were published." in data.notes


def test_wnut_17_is_found_in_both_layouts(tmp_path: Path):
    flat, deep = tmp_path / "flat", tmp_path / "deep" / "WNUT17" / "CONLL-format" / "data"
    for split, name in (
        ("train", "wnut17train.conll"),
        ("dev", "emerging.dev.conll"),
        ("test", "emerging.test.annotated"),
    ):
        write(flat / name, f"{split}\tB-person\n\n")
        write(deep / split / name, f"{split}\tB-person\n\n")
    for folder in (flat, tmp_path / "deep", deep):
        data = load("wnut17", data_dir=str(folder))
        assert sizes(data) == {"train": 1, "validation": 1, "test": 1}
        assert data.splits["test"][0]["text"] == "test" and len(data.labels) == 13
    with pytest.raises(CorpusError, match="no train split of klue_ner: there is no klue-ner-v1"):
        load("klue_ner", data_dir=str(flat))


def test_a_type_that_the_published_task_does_not_have(tmp_path: Path):
    for name in ("wnut17train.conll", "emerging.dev.conll"):
        write(tmp_path / name, "x\tO\ny\tB-persn\n")
    with pytest.raises(CorpusError, match="line 2: the type 'persn' is none of the task's corporation, "):
        load("wnut17", data_dir=str(tmp_path))


def test_wikiann_has_a_language_before_each_token(tmp_path: Path):
    for name in ("train", "dev", "test"):
        write(tmp_path / "ko" / name, "ko:서울\tB-LOC\nko:ko:\tO\n\n")
    data = load("wikiann", data_dir=str(tmp_path), dataset_config_name="ko")
    assert data.splits["train"][0]["text"] == "서울 ko:"
    assert hub_dataset("wikiann", TaggingArguments(task_name="wikiann", dataset_config_name="ko")) == (
        "unimelb-nlp/wikiann",
        "ko",
    )


def test_stockmark_has_one_file(tmp_path: Path):
    record = (
        '{"curid": "3", "text": "東京都庁は", "entities": [{"name": "東京都庁", "span": [0, 4], "type": "施設名"}]}'
    )
    write(tmp_path / "ner.json", f"[{record}, {record.replace('3', '4', 1)}]")
    data = load("stockmark_ner", data_dir=str(tmp_path))
    assert sizes(data) == {"train": 1, "validation": 1}
    assert sorted(row["idx"] for split in data.splits.values() for row in split.to_list()) == ["3", "4"]


@pytest.fixture
def numbered(tmp_path: Path) -> Callable[[bool], str]:
    """A file of 40 sentences, in documents of four if asked for."""

    def write_file(documents: bool) -> str:
        sentences = [f"w{number} B-X\n\n" for number in range(40)]
        lines = [
            ("-DOCSTART- O\n\n" if documents and number % 4 == 0 else "") + sentence
            for number, sentence in enumerate(sentences)
        ]
        write(tmp_path / "numbered.txt", "".join(lines))
        return str(tmp_path / "numbered.txt")

    return write_file


def test_sentences_are_held_out_and_always_the_same(numbered: Callable[[bool], str]):
    path = numbered(False)
    data = load("ner", train_file=path, validation_split_percentage=20)
    assert sizes(data) == {"train": 32, "validation": 8} and data.evaluated == ["validation"]
    texts = [data.splits[split]["text"][:] for split in ("train", "validation")]
    assert sorted(texts[0] + texts[1]) == sorted(f"w{number}" for number in range(40))
    again = load("ner", train_file=path, validation_split_percentage=20)
    assert again.splits["validation"]["text"][:] == texts[1]
    other = load("ner", train_file=path, validation_split_percentage=20, split_seed=1)
    assert other.splits["validation"]["text"][:] != texts[1]
    assert "validation: 8 of the 40 training sentences were held out (seed 42)." in data.notes


def test_documents_are_held_out_whole(numbered: Callable[[bool], str]):
    data = load("ner", train_file=numbered(True), validation_split_percentage=20)
    held_out = [int(text[1:]) for text in data.splits["validation"]["text"][:]]
    assert len(held_out) == 8 and len({number // 4 for number in held_out}) == 2


def test_subsets_are_random_ordered_and_nested(numbered: Callable[[bool], str]):
    path = numbered(False)
    small, large = (
        load("ner", train_file=path, validation_file=path, max_train_samples=size, max_eval_samples=3)
        for size in (5, 9)
    )
    numbers = [[int(text[1:]) for text in data.splits["train"]["text"][:]] for data in (small, large)]
    assert set(numbers[0]) < set(numbers[1]) and numbers[1] == sorted(numbers[1])
    assert small.splits["validation"]["text"][:] == large.splits["validation"]["text"][:]
    assert "train: a random subset of 5 of the 40 sentences is used (seed 42)." in small.notes


def test_evaluation_needs_no_training_split(numbered: Callable[[bool], str]):
    path = numbered(False)
    data = load("ner", validation_file=path, needs_train=False)
    assert sizes(data) == {"validation": 40} and data.labels == ("O", "B-X", "I-X")
    with pytest.raises(CorpusError, match="there is no training split"):
        load("ner", validation_file=path)


def test_tasks_are_judged_by_known_metrics():
    assert TASKS.keys() == PUBLICATIONS.keys()
    for task in TASKS.values():
        assert set(task.metrics) <= METRICS.keys()
