"""Data sets read through the `datasets` library, from local folders and without a network."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, config, disable_progress_bars, enable_progress_bars, load_dataset_builder
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from electra_hf.corpora import HubDataset, LocalFiles, hub
from electra_hf.corpora.formats import rows
from electra_hf.corpora.named import open_named_corpus
from electra_hf.errors import CorpusError

ROWS = {"id": [1, 2, 3], "text": ["a", None, "b"]}
Open = Callable[..., HubDataset]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens a data set with the cache in the test's own folder."""

    def open_dataset(name: str | Path, *args: Any, **options: Any) -> HubDataset:
        return HubDataset(str(name), *args, cache_dir=str(tmp_path / "cache"), **options)

    return open_dataset


@pytest.fixture
def parquet_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    Dataset.from_dict(ROWS).to_parquet(folder / "train.parquet")
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def failure(corpus: HubDataset) -> str:
    with pytest.raises(CorpusError) as raised:
        list(corpus.documents())
    with pytest.raises(CorpusError):
        corpus.describe()
    assert str(raised.value).startswith(corpus.name)
    return str(raised.value)


class TestReading:
    @pytest.mark.parametrize("streaming", [False, True])
    def test_parquet_folder(
        self, opened: Open, parquet_folder: Path, streaming: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        corpus = opened(parquet_folder, streaming=streaming)
        with caplog.at_level(logging.WARNING):
            assert [list(corpus.documents()), list(corpus.documents())] == [["a", "b"]] * 2
        assert "1 rows with a null in column 'text'" in caplog.text

    def test_streamed_json_lines(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "train.jsonl").write_text('{"body": "a"}\n{"body": "b"}\n')
        assert list(opened(tmp_path, streaming=True, text_column_name="body").documents()) == ["a", "b"]

    def test_slice_of_a_split(self, opened: Open, parquet_folder: Path) -> None:
        assert list(opened(parquet_folder, split="train[:1]").documents()) == ["a"]

    def test_saved_dataset(self, opened: Open, tmp_path: Path) -> None:
        Dataset.from_dict(ROWS).save_to_disk(tmp_path / "saved")
        assert list(opened(tmp_path / "saved").documents()) == ["a", "b"]

    def test_saved_dataset_dict(self, opened: Open, tmp_path: Path) -> None:
        other = Dataset.from_dict({"text": ["c"]})
        DatasetDict({"train": Dataset.from_dict(ROWS), "test": other}).save_to_disk(tmp_path / "saved")
        assert list(opened(tmp_path / "saved").documents()) == ["a", "b"]
        assert list(opened(tmp_path / "saved", split="test").documents()) == ["c"]

    @pytest.mark.parametrize("saved", [False, True])
    def test_description_follows_the_content(self, opened: Open, tmp_path: Path, saved: bool) -> None:
        def described(texts: list[str]) -> str:
            dataset = Dataset.from_dict({"text": texts})
            if saved:
                dataset.save_to_disk(tmp_path / "data")
            else:
                (tmp_path / "data").mkdir(exist_ok=True)
                dataset.to_parquet(tmp_path / "data" / "train.parquet")
            corpus = opened(tmp_path / "data")
            assert corpus.describe() == opened(tmp_path / "data").describe()
            return json.dumps(corpus.describe())

        first = described(["a"])
        assert described(["b"]) != first
        assert str(tmp_path) not in first

    def test_nothing_is_opened_before_it_is_needed(self, opened: Open) -> None:
        assert opened("no/such", "config").name == "no/such/config"


class TestParts:
    TITLES = ["", " = A = ", "a1", "a2", " = B = ", "b1", " = C = ", "c1", "c2", "c3"]

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hub, "ROWS_PER_PART", 4)
        monkeypatch.setattr(rows, "SENTENCES_PER_DOCUMENT", 2)

    @pytest.mark.parametrize(
        ("kind", "documents"),
        [
            ("documents", [text for text in TITLES if text]),
            ("sentences", [" = A = ", "a1\na2", " = B = \nb1", " = C = \nc1", "c2\nc3"]),
            ("wikitext", ["A\na1\na2", "B\nb1", "C\nc1\nc2\nc3"]),
        ],
    )
    def test_parts_are_the_whole(self, opened: Open, parquet_folder: Path, kind: str, documents: list[str]) -> None:
        Dataset.from_dict({"text": self.TITLES}).to_parquet(parquet_folder / "train.parquet")
        corpus = opened(parquet_folder, rows=kind)
        parts = corpus.parts()
        assert [part.name for part in parts] == [f"{corpus.name}, rows from {start}" for start in (0, 4, 8)]
        assert [text for part in parts for text in part.records() if text] == documents
        assert list(corpus.documents()) == documents
        (whole,) = opened(parquet_folder, rows=kind, streaming=True).parts()
        assert [text for text in whole.records() if text] == documents

    def test_parts_can_be_pickled_and_read_in_any_order(self, opened: Open, parquet_folder: Path) -> None:
        Dataset.from_dict({"text": [str(row) for row in range(6)]}).to_parquet(parquet_folder / "train.parquet")
        first, second = pickle.loads(pickle.dumps(opened(parquet_folder).parts()))
        assert [list(second.records()), list(first.records()), list(second.records())] == [
            ["4", "5"],
            ["0", "1", "2", "3"],
            ["4", "5"],
        ]

    def test_pickled_parts_stay_at_the_commit(
        self, opened: Open, parquet_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revisions: list[str | None] = []
        local = load_dataset_builder(str(parquet_folder), cache_dir=str(parquet_folder / "cache"))

        def of_the_hub(*_: object, revision: str | None, **__: object) -> Any:
            revisions.append(revision)
            local.hash = "0a" * 20
            return local

        monkeypatch.setattr("datasets.load_dataset_builder", of_the_hub)
        corpus = opened("a/b", revision="main")
        (part,) = pickle.loads(pickle.dumps(corpus.parts()))
        assert list(part.records()) == ["a", "", "b"]
        assert revisions == ["main", "0a" * 20]
        assert corpus.describe()["revision"] == "main" and corpus.describe()["fingerprint"] == "0a" * 20

    def test_missing_texts_are_counted_once(
        self, opened: Open, parquet_folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        texts = [" = A = ", "a", None, "b", None, " = B = ", "c"]
        Dataset.from_dict({"text": texts}).to_parquet(parquet_folder / "train.parquet")
        assert list(opened(parquet_folder, rows="wikitext").documents()) == ["A\na\nb", "B\nc"]
        assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 1]


class TestErrors:
    @pytest.mark.usefixtures("offline")
    @pytest.mark.parametrize("streaming", [False, True])
    def test_offline(self, opened: Open, streaming: bool) -> None:
        message = failure(opened("wikimedia/wikipedia", "20231101.ko", streaming=streaming))
        for part in ("out of reach", "hf download", "HF_HOME", "HF_HUB_OFFLINE"):
            assert part in message

    @pytest.mark.usefixtures("offline")
    @pytest.mark.parametrize(
        ("name", "command"),
        [
            ("kowiki", "hf download wikimedia/wikipedia --repo-type dataset --include '*20231101.ko/*' --local-dir"),
            ("bookcorpus", "hf download bookcorpus/bookcorpus --repo-type dataset --revision refs/convert/parquet"),
        ],
    )
    def test_named_corpus_offline(self, tmp_path: Path, name: str, command: str) -> None:
        with pytest.raises(CorpusError) as raised:
            open_named_corpus(name, cache_dir=str(tmp_path)).parts()
        message = str(raised.value)
        assert message.startswith(f"{name}: the Hugging Face Hub is out of reach")
        assert command in message and f"give --corpus {name}=FOLDER" in message and "HF_HOME" in message

    def test_unknown_language_of_wikipedia(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise ValueError("BuilderConfig '20231101.kr' not found. Available: ['20231101.ko', '20231101.kv', 'x']")

        monkeypatch.setattr("datasets.load_dataset_builder", unknown)
        with pytest.raises(
            CorpusError, match=r"no configuration '20231101.kr'; near ones are 20231101.k[ov], .*language"
        ):
            open_named_corpus("krwiki", cache_dir=str(tmp_path)).describe()

    def test_not_found_on_the_hub(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent(*_: object, **__: object) -> None:
            raise DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed.")

        monkeypatch.setattr("datasets.load_dataset_builder", absent)
        message = failure(opened("a/b"))
        assert "check the name" in message and "hf auth login" in message

    def test_no_such_folder(self, opened: Open) -> None:
        assert "no such data set or local folder" in failure(opened("./no/such/folder"))

    def test_configuration(self, opened: Open, parquet_folder: Path) -> None:
        message = failure(opened(parquet_folder, "other"))
        assert "Available: ['default']" in message and "--dataset_config_name" in message

    @pytest.mark.parametrize("streaming", [False, True])
    def test_split(self, opened: Open, parquet_folder: Path, streaming: bool) -> None:
        message = failure(opened(parquet_folder, split="other", streaming=streaming))
        assert "no split 'other'" in message and "'train'" in message

    def test_split_of_a_saved_folder(self, opened: Open, tmp_path: Path) -> None:
        DatasetDict({"train": Dataset.from_dict(ROWS)}).save_to_disk(tmp_path / "splits")
        assert "no split 'other' in this folder; found: train" in failure(opened(tmp_path / "splits", split="other"))
        Dataset.from_dict(ROWS).save_to_disk(tmp_path / "single")
        assert "single data set without the split" in failure(opened(tmp_path / "single", split="other"))

    def test_script(self, opened: Open, tmp_path: Path) -> None:
        folder = tmp_path / "scripted"
        folder.mkdir()
        (folder / "scripted.py").write_text("import datasets\n")
        message = failure(opened(folder))
        assert "loading script" in message and "wikimedia/wikipedia" in message

    @pytest.mark.parametrize("streaming", [False, True])
    def test_column(self, opened: Open, parquet_folder: Path, streaming: bool) -> None:
        message = failure(opened(parquet_folder, text_column_name="body", streaming=streaming))
        assert "no column 'body'; found: text, id" in message and "--text_column_name" in message

    def test_column_that_is_no_text(self, opened: Open, parquet_folder: Path) -> None:
        with pytest.raises(CorpusError, match="row 0, column 'id' holds 1 of type int, not text"):
            list(opened(parquet_folder, text_column_name="id").documents())

    def test_empty_folder(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "holds no data files" in failure(opened(tmp_path / "empty"))

    @pytest.mark.parametrize("streaming", [False, True])
    def test_damaged_file(self, opened: Open, parquet_folder: Path, streaming: bool) -> None:
        path = parquet_folder / "train.parquet"
        path.write_bytes(path.read_bytes()[:-50])
        assert "cannot be read" in failure(opened(parquet_folder, streaming=streaming))

    def test_full_disk(self, opened: Open, parquet_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise DatasetGenerationError("An error occurred") from OSError(28, "No space left on device")

        monkeypatch.setattr("datasets.DatasetBuilder.download_and_prepare", fail)
        assert "the disk is full" in failure(opened(parquet_folder))

    def test_corpus_without_text(self, opened: Open, tmp_path: Path) -> None:
        Dataset.from_dict({"text": ["", " "]}).to_parquet(tmp_path / "train.parquet")
        with pytest.raises(CorpusError, match="every document is empty"):
            list(opened(tmp_path).documents())


def test_the_same_text_as_local_files(opened: Open, parquet_folder: Path) -> None:
    assert list(opened(parquet_folder).documents()) == list(LocalFiles([str(parquet_folder)]).documents())
