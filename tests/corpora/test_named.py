"""Corpora that have a name, from the Hub and from files; and their table in the guide."""

import bz2
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from electra_hf.corpora import HubDataset, PythonDocs
from electra_hf.corpora.corpus import Converted
from electra_hf.corpora.named import NAMED_CORPORA, find_named_corpus, open_named_corpus
from electra_hf.errors import CorpusError, UsageError

GUIDE = Path(__file__).parents[2] / "docs" / "corpora.md"
Write = Callable[[str, str | bytes], Path]


def data_set(item: str, **options: Any) -> HubDataset:
    corpus = open_named_corpus(item, **options)
    corpus = corpus.corpus if isinstance(corpus, Converted) else corpus
    assert isinstance(corpus, HubDataset)
    return corpus


def texts(item: str, **options: Any) -> list[str]:
    return list(open_named_corpus(item, **options).documents())


def write_parquet(path: Path, column: str, values: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: values}), path)


class TestNames:
    @pytest.mark.parametrize("name", [name for name in NAMED_CORPORA if name != "wikipedia:LANGUAGE"])
    def test_every_name_opens(self, name: str) -> None:
        assert open_named_corpus(name).name == name

    def test_the_embedded_corpus(self) -> None:
        assert isinstance(open_named_corpus("python-docs"), PythonDocs)
        with pytest.raises(UsageError, match="comes with Python and has no files"):
            open_named_corpus("python-docs=/data")

    @pytest.mark.parametrize(
        ("name", "config"),
        [("kowiki", "ko"), ("wikipedia:ja", "ja"), ("zh_yuewiki", "zh-yue"), ("wikipedia:be-tarask", "be-tarask")],
    )
    def test_wikipedia(self, name: str, config: str) -> None:
        corpus = data_set(name)
        assert (corpus.name, corpus.path) == (name, "wikimedia/wikipedia")
        assert corpus.config_name == f"20231101.{config}"

    def test_options_reach_the_data_set(self) -> None:
        corpus = data_set("imdb-unsup", streaming=True, cache_dir="cache")
        assert (corpus.split, corpus.streaming, corpus.cache_dir) == ("unsupervised", True, "cache")
        assert data_set("petitions").text_column_name == "content"
        assert data_set("bookcorpus").revision == "refs/convert/parquet"
        assert [data_set(name).rows for name in ("bookcorpus", "wikitext-103")] == ["sentences", "wikitext"]

    @pytest.mark.parametrize(
        ("name", "near"), [("book-corpus", "bookcorpus"), ("kowki", "kowiki"), ("wikitext", "wikitext-103")]
    )
    def test_unknown(self, name: str, near: str) -> None:
        with pytest.raises(UsageError, match=f"unknown corpus '{name}': did you mean {near}"):
            find_named_corpus(name)

    @pytest.mark.parametrize("name", ["wikipedia:", "wikipedia:LANGUAGE", "wikipedia:../x", "x y"])
    def test_no_language(self, name: str) -> None:
        with pytest.raises(UsageError, match="with a language code such as ko"):
            find_named_corpus(name)

    def test_no_path(self) -> None:
        with pytest.raises(UsageError, match="no path after the equals sign: write petitions=PATH"):
            open_named_corpus("petitions=")


class TestFiles:
    def test_petitions(self, write: Write, tmp_path: Path) -> None:
        for month, content in (("2017-08", "청원"), ("2019-04", "")):
            write(f"petitions_{month}", json.dumps({"title": "t", "content": content}) + "\n")
        write("README.md", "# about")
        write("petitions_2020-01.bak", "")
        assert texts(f"petitions={tmp_path}") == ["청원"]
        assert open_named_corpus(f"petitions={tmp_path}/petitions_2017-08").name == "petitions"

    def test_imdb_of_the_original_folder(self, write: Write, tmp_path: Path) -> None:
        write("train/unsup/0_0.txt", "Good.<br /><br />Or\u0085not.")
        write("train/unsup/1_0.txt", "Bad. <BR>Or not.")
        write("train/pos/0_9.txt", "labelled")
        write("train/urls_unsup.txt", "http://a")
        expected = ["Good.\nOr\u0085not.", "Bad.\nOr not."]
        assert texts(f"imdb-unsup={tmp_path}") == expected
        assert texts(f"imdb-unsup={tmp_path}/train/unsup") == expected

    def test_imdb_without_the_unlabelled_reviews(self, write: Write, tmp_path: Path) -> None:
        write("test/pos/0_9.txt", "labelled")
        with pytest.raises(CorpusError, match=r"imdb-unsup=.*none of the 1 files .* \*unsup/\*\.txt: give"):
            open_named_corpus(f"imdb-unsup={tmp_path}")

    def test_imdb_of_the_hub(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "plain_text" / "unsupervised-00000-of-00001.parquet", "text", ["a<br />b"])
        write_parquet(tmp_path / "plain_text" / "train-00000-of-00001.parquet", "text", ["labelled"])
        assert texts(f"imdb-unsup={tmp_path}") == ["a\nb"]

    def test_wikipedia_of_the_hub(self, tmp_path: Path) -> None:
        for language in ("ko", "ja"):
            write_parquet(tmp_path / f"20231101.{language}" / "train-0.parquet", "text", [language])
        assert texts(f"kowiki={tmp_path}") == ["ko"]
        assert texts(f"kowiki={tmp_path}/20231101.ko") == ["ko"]

    def test_wikipedia_of_another_language(self, write: Write, tmp_path: Path) -> None:
        write_parquet(tmp_path / "20231101.en" / "train-0.parquet", "text", ["en"])
        write("enwiki-latest-pages-articles.xml", "<mediawiki>\n")
        for folder in (tmp_path, tmp_path / "20231101.en"):
            with pytest.raises(CorpusError, match=r"\*20231101\.ko/\* or kowiki-.*name a file or a glob"):
                open_named_corpus(f"kowiki={folder}")
        assert texts(f"kowiki={tmp_path}/20231101.en/*.parquet") == ["en"]

    def test_wikipedia_extracted(self, write: Write, tmp_path: Path) -> None:
        write("AA/wiki_00", '<doc id="1">\n수도\n\n서울()은 수도이다.\n</doc>\n')
        write("AA/README", "not an article")
        for folder in (tmp_path, tmp_path / "AA"):
            assert texts(f"kowiki={folder}") == ["수도\n서울은 수도이다."]

    def test_wikipedia_as_a_dump(self, write: Write, tmp_path: Path) -> None:
        page = "<page><title>수도</title><ns>0</ns><revision><text>'''[[서울]]'''은 수도이다.</text></revision></page>"
        page = page.replace("><", ">\n<")
        dump = bz2.compress(f"<mediawiki>\n{page}\n</mediawiki>\n".encode())
        path = write("kowiki.xml.bz2", dump)
        assert texts(f"kowiki={path}") == ["수도\n서울은 수도이다."]
        write("dumps/kowiki-latest-pages-articles1.xml-p1p9.bz2", dump)
        write("dumps/jawiki-latest-pages-articles.xml.bz2", dump + b"broken")
        assert texts(f"kowiki={tmp_path}/dumps") == ["수도\n서울은 수도이다."]

    def test_remote_folder(self, write: Write, tmp_path: Path) -> None:
        memory = fsspec.filesystem("memory")
        memory.pipe_file("/named/w/20231101.ja/train-0.jsonl", b'{"text": "ja"}')
        memory.pipe_file("/named/w/20231101.ko/train-0.jsonl", b'{"text": "ko"}')
        try:
            assert texts("kowiki=memory://named/w") == texts("kowiki=memory://named/w/20231101.ko") == ["ko"]
            with pytest.raises(CorpusError, match="none of the 1 files in this folder"):
                open_named_corpus("kowiki=memory://named/w/20231101.ja")
        finally:
            memory.rm("/named", recursive=True)
        write("20231101.ko/train-0.jsonl", '{"text": "ko"}')
        assert texts(f"kowiki=file://{tmp_path}") == ["ko"]

    @pytest.mark.parametrize("parquet", [False, True])
    def test_bookcorpus(self, write: Write, tmp_path: Path, parquet: bool) -> None:
        sentences = [f"sentence {index}" for index in range(300)]
        if parquet:
            write_parquet(tmp_path / "plain_text" / "train" / "0000.parquet", "text", sentences)
        else:
            write("books_large_p1.txt", "\n".join(sentences))
        assert texts(f"bookcorpus={tmp_path}") == ["\n".join(sentences[:256]), "\n".join(sentences[256:])]

    @pytest.mark.parametrize("parquet", [False, True])
    def test_wikitext(self, write: Write, tmp_path: Path, parquet: bool) -> None:
        lines = ["", " = A = ", "", " a @-@ b ", " = B = ", " c "]
        if parquet:
            write_parquet(tmp_path / "wikitext-103-raw-v1" / "train-00000-of-00002.parquet", "text", lines)
            write_parquet(tmp_path / "wikitext-103-raw-v1" / "test-00000-of-00001.parquet", "text", ["test"])
        else:
            write("wiki.train.raw", "\n".join(lines))
            write("wiki.test.raw", " = T = \n test")
        assert texts(f"wikitext-103={tmp_path}") == ["A\na-b", "B\nc"]

    def test_namuwiki(self, write: Write) -> None:
        pages = [{"title": "a", "text": "== 개요 ==\n[[b|나]]"}, {"title": "c", "text": "#redirect a"}]
        assert texts(f"namuwiki={write('namuwiki.json', json.dumps(pages))}") == ["개요\n나"]
        path = write("namuwikitext_20200302.dev", " = 가 = \n\n = = 나 = = \n다'''라\n")
        assert texts(f"namuwiki={path}") == ["가\n나\n다라"]

    def test_encoding(self, write: Write) -> None:
        path = write("books.txt", "한국어".encode("cp949"))
        assert texts(f"bookcorpus={path}", encoding="cp949") == ["한국어"]
        assert "\ufffd" in texts(f"bookcorpus={path}", encoding_errors="replace")[0]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="no such file or folder"):
            open_named_corpus(f"petitions={tmp_path / 'nothing'}")

    def test_no_text(self, write: Write) -> None:
        path = write("petitions_2019-04", '{"content": ""}')
        corpus = open_named_corpus(f"petitions={path}")
        with pytest.raises(CorpusError, match="check the path that follows petitions="):
            list(corpus.documents())

    def test_description_tells_the_cleaning(self, write: Write) -> None:
        path = write("a.txt", "text")
        descriptions = {name: open_named_corpus(f"{name}={path}").describe() for name in ("imdb-unsup", "namuwiki")}
        assert [each["conversion"] for each in descriptions.values()] == [
            {"cleaning": "line breaks 1"},
            {"cleaning": "namuwiki 1"},
        ]


def test_the_guide_has_the_same_table() -> None:
    lines = GUIDE.read_text(encoding="utf-8").split("\n")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| `[\w:-]+` \|", line)
    ]
    table = [
        [
            f"`{corpus.name}`",
            f"`{corpus.dataset}`" if corpus.dataset else "none, it comes with Python",
            f"`{corpus.config}`" if corpus.config else "",
            f"`{corpus.split}`" if corpus.dataset else "",
            f"`{corpus.column}`" if corpus.dataset else "",
            corpus.size,
            corpus.license,
        ]
        for corpus in NAMED_CORPORA.values()
    ]
    assert rows == table
