"""Which format a file is in, and what descriptions call it."""

from pathlib import Path

import pytest

from electra_hf.corpora.formats import PARQUET, choose_format


@pytest.mark.parametrize(
    ("path", "head", "name"),
    [
        ("a.txt", "text", "text"),
        ("a.txt.gz", "text", "text"),
        ("a.jsonl", '{"text": 1}', "json"),
        ("a.json", "[", "json"),
        ("a", "{", "json"),
        ("a.csv", "text", "csv"),
        ("a.tsv.zst", "text", "tsv"),
        ("wiki.xml.bz2", "<mediawiki>\n", "mediawiki"),
        ("wiki_00", '<doc id="1">\n', "wikiextractor"),
        ("wiki.train", " = A = \n", "wikitext"),
        ("a.txt", "題\n-----\n【テキスト中に現れる記号について】\n", "aozora"),
    ],
)
def test_formats_have_a_name_and_a_version(path: str, head: str, name: str) -> None:
    kind = choose_format(Path(path), head)
    assert kind is not None
    assert (kind.name, kind.version) == (name, 1)


def test_parquet_has_a_name() -> None:
    assert (PARQUET.name, PARQUET.version) == ("parquet", 1)


def test_unknown() -> None:
    assert choose_format(Path("README.md"), "# about") is None
