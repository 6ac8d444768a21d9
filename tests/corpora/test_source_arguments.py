"""The shared options, and the corpus that they make."""

from collections.abc import Callable
from pathlib import Path

import pytest

from electra_hf.corpora.arguments import SourceArguments, open_source, split_names
from electra_hf.corpora.corpus import Interleaved, Limited
from electra_hf.corpora.hub import HubDataset
from electra_hf.errors import UsageError
from electra_hf.parser import ConfigArgumentParser

Write = Callable[[str, str | bytes], Path]


def parse(line: str) -> SourceArguments:
    return ConfigArgumentParser([SourceArguments]).parse(line.split())[0]


@pytest.mark.parametrize(
    "value", ["--corpus kowiki,namuwiki", "--corpus kowiki namuwiki", "--corpus kowiki, namuwiki"]
)
def test_names_by_spaces_and_commas(value: str) -> None:
    assert parse(value).named_corpora() == ["kowiki", "namuwiki"]


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("a=/x,y.txt", ["a=/x,y.txt"]),
        ("a=/x,b=/y", ["a=/x", "b=/y"]),
        ("wikipedia:ko,b", ["wikipedia:ko", "b"]),
        ("", []),
        ("a,", ["a"]),
    ],
)
def test_commas_inside_paths(value: str, items: list[str]) -> None:
    assert split_names(value) == items


def test_order_and_options(write: Write) -> None:
    path = write("a.txt", "a")
    corpus = open_source(
        parse(
            f"--dataset_name x/y --train_file {path} --corpus kowiki --corpus_weights 1 2 3 --streaming true "
            "--stopping_strategy first_exhausted"
        ),
        seed=7,
        cache_dir="cache",
    )
    assert isinstance(corpus, Interleaved)
    assert [part.name for part in corpus.corpora] == ["x/y", str(path), "kowiki"]
    assert (corpus.weights, corpus.seed, corpus.stopping_strategy) == ([1, 2, 3], 7, "first_exhausted")
    wikipedia = corpus.corpora[2]
    assert isinstance(wikipedia, HubDataset) and wikipedia.streaming and wikipedia.cache_dir == "cache"


class TestMaxDocuments:
    @pytest.fixture
    def files(self, write: Write) -> str:
        return " ".join(str(write(f"{name}.txt", f"{name}1\n\n{name}2\n\n{name}3")) for name in "ab")

    @pytest.mark.parametrize(
        ("options", "documents"),
        [
            ("--corpus_max_documents 2", ["a1", "a2"]),
            ("--corpus_max_documents 1 2", ["a1", "b1", "b2"]),
            ("--corpus_max_documents 0 1", ["a1", "a2", "a3", "b1"]),
            ("--corpus_max_documents 1 --corpus_weights 1 1", ["a1", "b1"]),
            ("--corpus_max_documents 0", ["a1", "a2", "a3", "b1", "b2", "b3"]),
        ],
    )
    def test_caps(self, files: str, options: str, documents: list[str]) -> None:
        corpus = open_source(parse(f"--train_file {files} {options}"), seed=0)
        assert sorted(corpus.documents()) == documents

    def test_numbers_that_do_not_fit(self, files: str) -> None:
        with pytest.raises(UsageError, match=r"3 values for 2 corpora: .*order: .*a\.txt, .*b\.txt$"):
            open_source(parse(f"--train_file {files} --corpus_max_documents 1 2 3"), seed=0)
        with pytest.raises(UsageError, match="--corpus_max_documents -1: give a number"):
            open_source(SourceArguments(train_file=files.split(), corpus_max_documents=[-1]), seed=0)

    def test_a_named_corpus(self) -> None:
        assert isinstance(open_source(parse("--corpus kowiki --corpus_max_documents 5"), seed=0), Limited)


def test_normalised_before_it_is_split(write: Write) -> None:
    path = write("a.txt", "Oneㆍ１． Ｔｗｏ．")
    source = parse(f"--train_file {path} --unicode_normalization NFKC --sentence_splitting en")
    assert list(open_source(source, seed=0).documents()) == ["One\u119e1.\nTwo."]
    assert list(open_source(parse(f"--train_file {path}"), seed=0).documents()) == ["Oneㆍ１． Ｔｗｏ．"]


def test_other_files_are_read_in_the_same_way(write: Write) -> None:
    path = write("a.jsonl", '{"body": "A first. Ｂ second."}'.encode("cp949"))
    source = parse(
        "--corpus kowiki --corpus_weights 1 --text_column_name body --encoding cp949 --sentence_splitting en "
        "--unicode_normalization NFKC"
    )
    assert list(open_source(source.for_files([str(path)]), seed=0).documents()) == ["A first.\nB second."]


def test_names_for_people(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    source = SourceArguments(
        dataset_name=["x/y", str(tmp_path / "data")],
        train_file=["/secret/a.txt"],
        corpus=["kowiki,petitions=/secret/p"],
    )
    assert source.source_names() == ["x/y", "data", "a.txt", "kowiki", "petitions"]
    assert source.is_given() and not SourceArguments(text_column_name="body").is_given()


def test_none_takes_the_sources_of_a_recipe_away() -> None:
    source = parse("--corpus none --dataset_name none --dataset_config_name none --train_file none")
    assert not source.is_given() and source.source_names() == []
    assert parse("--corpus none --train_file a.txt").source_names() == ["a.txt"]
