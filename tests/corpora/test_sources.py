"""From arguments to one corpus."""

from pathlib import Path
from typing import Any

import pytest

from electra_hf.corpora import HubDataset, Interleaved, LocalFiles, PythonDocs, open_corpora
from electra_hf.errors import CorpusError, UsageError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n\n{name}2")
    return [str(tmp_path / f"{name}.txt") for name in "ab"]


def parts(**arguments: Any) -> list[Any]:
    corpus = open_corpora(**arguments)
    assert isinstance(corpus, Interleaved)
    return corpus.corpora


def test_one_corpus_is_not_wrapped(files: list[str]) -> None:
    corpus = open_corpora(train_file=files)
    assert isinstance(corpus, LocalFiles)
    assert list(corpus.documents()) == ["a1", "a2", "b1", "b2"]
    assert isinstance(open_corpora(corpus=["python-docs"]), PythonDocs)


def test_order_is_data_sets_files_named(files: list[str]) -> None:
    found = parts(dataset_name=["x/y", "z"], train_file=files, corpus=["python-docs"])
    assert [type(part) for part in found] == [HubDataset, HubDataset, LocalFiles, PythonDocs]


def test_weights_make_each_pattern_a_corpus(files: list[str]) -> None:
    corpus = open_corpora(train_file=files, corpus_weights=[1, 3], stopping_strategy="first_exhausted", seed=4)
    assert isinstance(corpus, Interleaved)
    assert [part.name for part in corpus.corpora] == files
    assert (corpus.weights, corpus.stopping_strategy, corpus.seed) == ([1, 3], "first_exhausted", 4)


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [(None, [None, None]), ([], [None, None]), (["en", "none"], ["en", None]), (["", "ko"], [None, "ko"])],
)
def test_configurations(configurations: list[str] | None, expected: list[str | None]) -> None:
    found = parts(dataset_name=["x", "y"], dataset_config_name=configurations)
    assert [part.config_name for part in found] == expected


def test_options_arrive(files: list[str]) -> None:
    dataset, local = parts(
        dataset_name=["x"],
        train_file=files,
        text_column_name="body",
        document_separator="line",
        encoding="cp949",
        encoding_errors="replace",
        streaming=True,
        cache_dir="cache",
        split="validation",
    )
    assert (dataset.split, dataset.text_column_name, dataset.streaming) == ("validation", "body", True)
    assert dataset.cache_dir == "cache"
    options = local.options
    assert (options.text_column_name, options.document_separator) == ("body", "line")
    assert (options.encoding, options.encoding_errors) == ("cp949", "replace")


def test_nothing_named() -> None:
    with pytest.raises(UsageError, match="--train_file .*--dataset_name.*--corpus .python-docs"):
        open_corpora()


def test_weights_that_do_not_fit(files: list[str]) -> None:
    with pytest.raises(UsageError, match=r"2 values for 4 corpora: .*order: x, .*a\.txt, .*b\.txt, python-docs$"):
        open_corpora(dataset_name=["x"], train_file=files, corpus=["python-docs"], corpus_weights=[1, 2])
    with pytest.raises(UsageError, match="2 values for 1 corpora"):
        open_corpora(corpus=["python-docs"], corpus_weights=[1, 2])


def test_configurations_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="1 values for 2 data sets"):
        open_corpora(dataset_name=["x", "y"], dataset_config_name=["en"])
    with pytest.raises(UsageError, match="1 values for 0 data sets"):
        open_corpora(corpus=["python-docs"], dataset_config_name=["en"])


def test_unknown_corpus() -> None:
    with pytest.raises(UsageError, match="unknown corpus 'python_docs': did you mean python-docs?"):
        open_corpora(corpus=["python_docs"])


def test_unknown_stopping_strategy_is_found_with_one_corpus_too() -> None:
    with pytest.raises(UsageError, match="unknown stopping strategy"):
        open_corpora(corpus=["python-docs"], stopping_strategy="never")


def test_wrong_path_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        open_corpora(train_file=[str(tmp_path / "nothing")])
