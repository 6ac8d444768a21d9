"""Data sets of the Hub, as local folders in the same layouts."""

from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks import TaskArguments, TaskData, load_task
from electra_hf.finetuning.tasks.published import PUBLICATIONS, HubSource

LABEL = ClassLabel(names=["not_equivalent", "equivalent"])


def load(name: str | None, cache: Path, **options: object) -> TaskData:
    return load_task(name, TaskArguments(task_name=name, **options), cache_dir=str(cache))  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two configurations, laid out as nyu-mll/glue."""
    folder = tmp_path / "glue"
    columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "idx": [3, 5]}
    features = {"sentence1": Value("string"), "sentence2": Value("string"), "idx": Value("int32")}
    for config, feature, labels, hidden in (
        ("mrpc", LABEL, [1, 0], [-1, -1]),
        ("stsb", Value("float32"), [5.0, 0.5], [-1.0, -1.0]),
    ):
        (folder / config).mkdir(parents=True)
        for split in ("train", "validation", "test"):
            data = {**columns, "label": hidden if split == "test" else labels}
            Dataset.from_dict(data, Features({**features, "label": feature})).to_parquet(
                folder / config / f"{split}-00000-of-00001.parquet"
            )
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {config}/{split}-*\n" for split in ("train", "validation", "test"))
        for config in ("mrpc", "stsb")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    return folder


def published_at(monkeypatch: pytest.MonkeyPatch, name: str, hub: HubSource) -> None:
    monkeypatch.setitem(PUBLICATIONS, name, replace(PUBLICATIONS[name], hub=hub))


def test_a_task_is_read_from_its_configuration(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    published_at(monkeypatch, "mrpc", HubSource(str(repository), "mrpc"))
    published_at(monkeypatch, "stsb", HubSource(str(repository), "stsb"))
    data = load("mrpc", tmp_path / "cache")
    assert data.splits["train"][0] == {"text": "a", "text_pair": "c", "label": 1, "idx": "3"}
    # -1 is the Hub's label of unlabelled rows.
    assert data.splits["test"].column_names == ["text", "text_pair", "idx"]
    assert data.evaluated == ["validation"]
    assert "train: the data set has 2 rows, and 3,668 were published." in data.notes
    scores = load("stsb", tmp_path / "cache")
    assert scores.splits["train"]["label"][:] == [5.0, 0.5] and scores.evaluated == ["validation"]


def test_one_s_own_copy_of_a_published_task(repository: Path, tmp_path: Path):
    data = load("mrpc", tmp_path / "cache", dataset_name=str(repository), dataset_config_name="mrpc")
    assert len(data.splits["train"]) == 2
    assert data.notes[0] == f"The data is {repository}/mrpc instead of the published data set."
    with pytest.raises(CorpusError, match="--dataset_config_name"):
        load("mrpc", tmp_path / "cache", dataset_name=str(repository), dataset_config_name="mrcp")


def test_the_order_of_declared_labels_is_that_of_the_task(tmp_path: Path):
    names = Features(
        {
            "sentence1": Value("string"),
            "sentence2": Value("string"),
            "label": ClassLabel(names=["neutral", "contradiction", "entailment"]),
        }
    )
    split = Dataset.from_dict({"sentence1": ["a"] * 3, "sentence2": ["b"] * 3, "label": [0, 1, 2]}, names)
    DatasetDict({"train": split, "validation": split, "extra": split}).save_to_disk(tmp_path / "saved")
    data = load("jnli", tmp_path, dataset_name=str(tmp_path / "saved"))
    assert data.labels == ("entailment", "contradiction", "neutral")
    assert data.splits["train"]["label"][:] == [2, 1, 0]
    assert list(data.splits) == ["train", "validation"]
    own = load(None, tmp_path, dataset_name=str(tmp_path / "saved"), text_column_name="sentence1")
    assert own.labels == ("neutral", "contradiction", "entailment")
    assert own.notes[0].endswith("that are not used: extra.")


def test_members_of_structs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [
        {
            "guid": f"g{n}",
            "sentence1": "a",
            "sentence2": "b",
            "labels": {"label": 3.0, "real-label": 2.9, "binary-label": 0},
        }
        for n in range(2)
    ]
    for split in ("train", "validation"):
        (tmp_path / "klue").mkdir(exist_ok=True)
        Dataset.from_list(rows).to_parquet(tmp_path / "klue" / f"{split}.parquet")
    published_at(monkeypatch, "klue_sts", HubSource(str(tmp_path / "klue")))
    data = load("klue_sts", tmp_path / "cache")
    assert data.splits["validation"]["label"][:] == [2.9, 2.9] and data.splits["train"]["idx"][:] == ["g0", "g1"]


def test_a_local_folder_without_a_validation_split(tmp_path: Path):
    (tmp_path / "data").mkdir()
    lines = "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40))
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.csv").write_text("text,label\n" + lines, encoding="utf-8")
    data = load(None, tmp_path / "cache", dataset_name=str(tmp_path / "data"))
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 38, "validation": 2, "test": 40}
    assert not set(data.splits["train"]["text"]) & set(data.splits["validation"]["text"])


def test_what_is_out_of_reach_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="the folder holds no data files"):
        load(None, tmp_path / "cache", dataset_name=str(tmp_path / "empty"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "held_out.csv").write_text("text,label\na,b\n", encoding="utf-8")
    published_at(monkeypatch, "imdb", HubSource(str(tmp_path / "other")))
    with pytest.raises(CorpusError, match="no split 'test'; found: train"):
        load("imdb", tmp_path / "cache")
