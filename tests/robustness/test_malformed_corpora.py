"""Text that cannot be read: files that are empty, cut short, or in another encoding or format than they say."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from malformed import Cases, Kit, check, options, write

TEXT = "w1 w2 w3 w4 w5\n\nw6 w7 w8\n" * 400


def corpus(name: str, content: str | bytes, *more: str):
    return write(name, content, *more, "--train_file")


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def parquet(columns: dict) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def rows(*records: object) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def a_broken_link(folder: Path, _: Kit):
    (folder / "text.txt").symlink_to(folder / "nowhere.txt")
    return ("--train_file", folder / "text.txt")


def an_empty_folder(folder: Path, _: Kit):
    (folder / "corpus").mkdir()
    return ("--train_file", folder / "corpus")


def a_folder_without_text(folder: Path, _: Kit):
    (folder / "corpus").mkdir()
    (folder / "corpus" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return ("--train_file", folder / "corpus")


def a_good_and_a_bad_file(folder: Path, kit: Kit):
    (folder / "text.jsonl").write_text('{"text": "w1"}\n{"text":\n')
    return ("--train_file", kit.corpus / "a.txt", folder / "text.jsonl")


DUMP = "<mediawiki><siteinfo></siteinfo><page><title>W</title><ns>0</ns><revision><text>w1 w2</text></revision></page>"
RAGGED = "text,label\nw1,2\nw3\n"
CASES: Cases = {
    "nowhere": (options("--train_file", "nowhere/text.txt"), 1, ("nowhere/text.txt", "check the path")),
    "no match": (options("--train_file", "nowhere/*.txt"), 1, ("matches no file", "check the path")),
    "no protocol": (options("--train_file", "gopher://text"), 2, ("gopher",)),
    "broken link": (a_broken_link, 1, ("text.txt", "check the path")),
    "empty folder": (an_empty_folder, 1, ("holds no files", "supported are")),
    "folder without text": (a_folder_without_text, 1, ("no usable file", "supported are")),
    "empty": (corpus("text.txt", ""), 1, ("text.txt", "empty")),
    "only blanks": (corpus("text.txt", " \n\n\t\n" * 50), 1, ("text.txt", "every document is empty")),
    "only a mark": (corpus("text.txt", "\ufeff"), 1, ("text.txt", "empty")),
    "binary": (corpus("text.txt", bytes(range(256)) * 40), 1, ("text.txt", "line 2", "--encoding")),
    "zeros": (corpus("text.txt", bytes(4096)), 1, ("text.txt", "NUL", "leave it out")),
    "UTF-16": (corpus("text.txt", TEXT.encode("utf-16")), 1, ("text.txt", "--encoding utf-16")),
    "UTF-32": (corpus("text.txt", TEXT.encode("utf-32")), 1, ("text.txt", "--encoding utf-32")),
    "UTF-16 without a mark": (corpus("text.txt", TEXT.encode("utf-16-le")), 1, ("text.txt", "--encoding utf-16-le")),
    "Latin-1": (corpus("text.txt", ("caf\xe9 " * 50).encode("latin-1")), 1, ("line 1", "--encoding_errors replace")),
    "another encoding": (corpus("text.txt", TEXT + "\u00e9", "--encoding", "ascii"), 1, ("text.txt", "ascii")),
    "unknown suffix": (corpus("text.doc", TEXT), 1, ("text.doc", "unknown format")),
    "no gzip": (corpus("text.txt.gz", TEXT), 1, ("text.txt.gz", "truncated or is not gz")),
    "no bzip2": (corpus("text.txt.bz2", TEXT), 1, ("text.txt.bz2", "truncated or is not bz2")),
    "no xz": (corpus("text.txt.xz", TEXT), 1, ("text.txt.xz", "truncated or is not xz")),
    "no Zstandard": (corpus("text.txt.zst", TEXT), 1, ("text.txt.zst", "truncated or is not zst")),
    "cut gzip": (corpus("text.txt.gz", cut(gzip.compress(TEXT.encode()))), 1, ("text.txt.gz", "truncated")),
    "cut bzip2": (corpus("text.txt.bz2", cut(bz2.compress(TEXT.encode()))), 1, ("text.txt.bz2", "truncated")),
    "cut xz": (corpus("text.txt.xz", cut(lzma.compress(TEXT.encode()))), 1, ("text.txt.xz", "truncated")),
    "cut Zstandard": (
        corpus("text.txt.zst", cut(zstandard.compress(TEXT.encode()))),
        1,
        ("text.txt.zst", "truncated"),
    ),
    "flipped gzip": (corpus("text.txt.gz", flipped(gzip.compress(TEXT.encode()))), 1, ("text.txt.gz", "again")),
    "empty gzip": (corpus("text.txt.gz", gzip.compress(b"")), 1, ("text.txt.gz", "empty")),
    "cut Parquet": (corpus("text.parquet", cut(parquet({"text": [TEXT]}))), 1, ("text.parquet", "truncated")),
    "no Parquet": (corpus("text.parquet", TEXT), 1, ("text.parquet", "not a Parquet file")),
    "Parquet without the column": (
        corpus("text.parquet", parquet({"body": ["w1"]})),
        1,
        ("'text'", "body", "--text_column_name"),
    ),
    "Parquet of numbers": (corpus("text.parquet", parquet({"text": [1, 2]})), 1, ("text.parquet", "int")),
    "Parquet without rows": (corpus("text.parquet", parquet({"text": pa.array([], pa.string())})), 1, ("empty",)),
    "compressed Parquet": (corpus("text.parquet.gz", gzip.compress(b"PAR1")), 1, ("text.parquet.gz", "decompress")),
    "a line that is no JSON": (corpus("text.jsonl", rows({"text": "w1"}) + "w2\n"), 1, ("line 2", "repair")),
    "a cut line": (corpus("text.jsonl", rows({"text": "w1"}) + '{"text": "w'), 1, ("line 2", "repair")),
    "a list in JSON Lines": (corpus("text.jsonl", rows({"text": "w1"}, ["w2"])), 1, ("line 2", "repair")),
    "a pretty object": (corpus("text.jsonl", '{\n  "text": "w1"\n}\n'), 1, ("line 1", "JSON Lines")),
    "no such column": (corpus("text.jsonl", rows({"body": "w1"})), 1, ("line 1", "body", "--text_column_name")),
    "a number for a text": (corpus("text.jsonl", rows({"text": 5})), 1, ("line 1", "int")),
    "a list for a text": (corpus("text.jsonl", rows({"text": ["w1"]})), 1, ("line 1", "list")),
    "nothing but null": (corpus("text.jsonl", rows({"text": None})), 1, ("empty",)),
    "deep JSON": (corpus("text.jsonl", '{"text": ' + "[" * 10**5), 1, ("line 1", "repair")),
    "a cut array": (corpus("text.json", '[{"text": "w1"}, {"text": "w'), 1, ("text.json", "truncated")),
    "an array of words": (corpus("text.json", '["w1", "w2"]'), 1, ("record 1", "array of objects")),
    "an empty array": (corpus("text.json", "[]"), 1, ("text.json", "empty")),
    "a number of JSON": (corpus("text.json", "5"), 1, ("text.json", "line 1")),
    "deep array": (corpus("text.json", "[" * 10**5), 1, ("text.json", "nested")),
    "CSV without a header": (corpus("text.csv", "w1 w2,w3\nw4,w5\n"), 1, ("line 1", "--text_column_name")),
    "CSV with a header only": (corpus("text.csv", "text,label\n"), 1, ("text.csv", "empty")),
    "ragged CSV": (corpus("text.csv", RAGGED), 1, ("line 3", "1 columns where the header has 2")),
    "an open quote": (corpus("text.csv", 'text\n"w1 w2\n'), 1, ("text.csv", "not valid CSV", "quotes")),
    "ragged TSV": (corpus("text.tsv", RAGGED.replace(",", "\t")), 1, ("line 3", "columns")),
    "NUL in CSV": (corpus("text.csv", "text\n" + "w1\n" * 500 + "w\0\n"), 1, ("text.csv",)),
    "a cut dump": (corpus("dump.xml", DUMP[:-20]), 1, ("dump.xml", "empty")),
    "a dump without pages": (corpus("dump.xml", DUMP[:45]), 1, ("dump.xml", "empty")),
    "XML of another kind": (corpus("text.xml", "<html><body>w1</body></html>"), 1, ("text.xml", "unknown format")),
    "a cut dump in bzip2": (corpus("dump.xml.bz2", cut(bz2.compress(DUMP.encode() * 99))), 1, ("truncated",)),
    "a bad file after a good one": (a_good_and_a_bad_file, 1, ("text.jsonl", "line 2", "repair")),
    "too little": (corpus("text.txt", "w1\n\nw2\n\n" * 8), 1, ("training blocks", "add text")),
    "no data set": (options("--train_file", "none", "--dataset_name", "no/such"), 1, ("no/such", "HF_HUB_OFFLINE")),
}
VALIDATION: Cases = {
    "nowhere": (options("--do_eval", "--validation_file", "no.txt"), 1, ("no.txt", "check the path")),
    "empty": (write("dev.txt", "", "--do_eval", "--validation_file"), 1, ("dev.txt", "empty")),
    "broken": (write("dev.jsonl", "{", "--do_eval", "--validation_file"), 1, ("dev.jsonl", "line 1")),
}


@pytest.fixture(autouse=True)
def field_size_limit():
    """The readers raise it for the whole process."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_corpus_is_explained(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, CASES[name], kit, tmp_path)


@pytest.mark.parametrize("name", VALIDATION)
def test_a_malformed_text_for_evaluation_is_explained(name: str, sound_pretraining, kit: Kit, tmp_path: Path):
    check("run_pretraining", sound_pretraining, VALIDATION[name], kit, tmp_path)
