"""Local files of every format, and what is said when they cannot be read."""

import bz2
import gzip
import json
import logging
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from electra_hf.corpora import LocalFiles
from electra_hf.corpora import decoding as decoding_module
from electra_hf.errors import CorpusError, UsageError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
WIKI = (
    '<doc id="1" url="u" title="A &amp; B">\nA &amp; B\n\nFirst &lt;br&gt;.\n\nSecond.\n\n</doc>\n'
    '<doc id="2" url="u" title="Empty">\nEmpty\n\n\n</doc>\n'
    '<doc id="3" url="u" title="C">\nC\n\nThird.\n</doc>\n'
)
WIKI_DOCUMENTS = ["A & B\nFirst &lt;br&gt;.\nSecond.", "C\nThird."]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


Write = Callable[[str, str | bytes], Path]


def read(*patterns: Path | str, **options: Any) -> list[str]:
    return list(LocalFiles([str(pattern) for pattern in patterns], **options).documents())


def failure(*patterns: Path | str, **options: Any) -> str:
    with pytest.raises(CorpusError) as raised:
        read(*patterns, **options)
    return str(raised.value)


class TestFormats:
    @pytest.mark.parametrize(
        ("separator", "documents"),
        [("blank_line", ["a\nb", "c"]), ("line", ["a", "b", "c"]), ("file", ["a\nb\nc"])],
    )
    def test_text(self, write: Write, separator: str, documents: list[str]) -> None:
        path = write("a.txt", "\n\na\r\nb\n \n\u3000\nc")
        assert read(path, document_separator=separator) == documents

    def test_only_line_feeds_end_lines(self, write: Write) -> None:
        assert read(write("a.txt", "a\rb\nc"), document_separator="line") == ["a\rb", "c"]
        line = "a\u0085b\u2028c\x0cd\x1ce"
        assert read(write("a.txt", f"{line}\nf"), document_separator="line") == [line, "f"]
        assert read(write("a.tsv", f"text\n{line}\n")) == [line]
        assert read(write("a.csv", f"text\n{line}\n")) == [line]
        assert read(write("a.jsonl", json.dumps({"text": line}, ensure_ascii=False))) == [line]

    @pytest.mark.parametrize("suffix", COMPRESS)
    def test_compressed(self, write: Write, suffix: str) -> None:
        compress = COMPRESS[suffix]
        assert read(write("a.txt" + suffix, compress(b"a\n\nb"))) == ["a", "b"]
        assert read(write("a.jsonl" + suffix, compress(b'{"text": "a"}\n'))) == ["a"]
        assert read(write("wiki_00" + suffix, compress(WIKI.encode()))) == WIKI_DOCUMENTS
        # Several members in one file, as parallel compressors write them.
        assert read(write("b.txt" + suffix, compress(b"a\n") + compress(b"b"))) == ["a\nb"]

    @pytest.mark.parametrize("name", ["wiki_00", "wiki_00.txt", "AA/wiki_07"])
    def test_wikiextractor(self, write: Write, name: str) -> None:
        assert read(write(name, WIKI)) == WIKI_DOCUMENTS

    def test_wikiextractor_without_an_end(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        assert read(write("wiki_00", WIKI.removesuffix("</doc>\n") + "More.\n")) == [
            WIKI_DOCUMENTS[0],
            WIKI_DOCUMENTS[1] + "\nMore.",
        ]
        assert "line 14: this <doc ...> has no </doc>" in caplog.text

    def test_text_outside_of_articles_is_reported(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        assert read(write("wiki_00", WIKI + "stray\n")) == WIKI_DOCUMENTS
        assert "1 lines outside" in caplog.text

    def test_wikiextractor_json_and_unknown_suffixes(self, write: Write) -> None:
        assert read(write("wiki_01", '\n{"id": "1", "text": "a\\nb"}\n{"id": "2", "text": ""}\n')) == ["a\nb"]

    def test_json_lines(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        path = write("a.json", '{"body": "a"}\r\n\n{"body": null}\n{"body": "b"}')
        assert read(path, text_column_name="body") == ["a", "b"]
        assert "1 rows with a null" in caplog.text

    def test_half_a_surrogate_pair_is_replaced(self, write: Write) -> None:
        documents = read(write("a.jsonl", r'{"text": "a\ud83d b\ud83d\ude00"}'))
        assert documents == ["a\ufffd b\U0001f600"]
        documents[0].encode()

    def test_csv(self, write: Write) -> None:
        content = 'id,text\r\n1,"a, ""b""\r\nc"\r\n2,d\r\n\r\n3,\r\n'
        assert read(write("a.csv", content)) == ['a, "b"\nc', "d"]

    def test_csv_field_above_the_default_limit(self, write: Write) -> None:
        assert read(write("a.csv", "text\n" + "a" * 200_000)) == ["a" * 200_000]

    def test_tsv_knows_no_quotes(self, write: Write) -> None:
        content = 'id\ttext\n1\t"open\n2\tb" "\n3\t\n'
        assert read(write("a.tsv", content)) == ['"open', 'b" "']

    @pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
    def test_parquet(self, tmp_path: Path, kind: pa.DataType, caplog: pytest.LogCaptureFixture) -> None:
        texts = [f"text {index}" for index in range(600)]
        pq.write_table(pa.table({"n": range(601), "text": pa.array([*texts, None], kind)}), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet") == texts
        assert "1 rows with a null" in caplog.text

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949", "shift_jis"])
    def test_encodings(self, write: Write, encoding: str) -> None:
        text = "日本"
        assert read(write("a.txt", f"{text}\r\n\r\nb".encode(encoding)), encoding=encoding) == [text, "b"]

    @pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "wiki_00"])
    def test_byte_order_mark_is_no_text(self, write: Write, name: str) -> None:
        content = {"a.txt": "A\nb", "a.jsonl": '{"text": "A\\nb"}', "a.csv": 'text\n"A\nb"\n'}
        content["wiki_00"] = '<doc id="1">\nA\n\nb\n</doc>'
        assert read(write(name, b"\xef\xbb\xbf" + content[name].encode())) == ["A\nb"]


class TestLargeInput:
    def test_line_of_20_megabytes(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        text = ("word " * 4_000_000).strip()
        path = write("a.txt", f"first\n{text}\nlast")
        documents = read(path)
        assert [len(document) <= 2**24 for document in documents] == [True] * len(documents)
        assert " ".join(" ".join(documents).split("\n")).replace("  ", " ") == f"first {text} last"
        assert f"{path}, line 2: a line of more than 10000000 characters" in caplog.text
        assert caplog.text.count("line 2") == 1

    @pytest.mark.parametrize("separator", ["blank_line", "file", "line"])
    @pytest.mark.parametrize("content", ["aa bbb c dddd eeeee ff\ng\n", "a" * 100, "aaaa\n" * 10, "aaaaaaa b\n" * 5])
    def test_pieces_keep_every_character(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, separator: str, content: str
    ) -> None:
        monkeypatch.setattr(decoding_module, "MAX_DOCUMENT_CHARACTERS", 10)
        documents = read(write("a.txt", content), document_separator=separator)
        assert "".join("".join(documents).split()) == "".join(content.split())

    def test_pieces_of_a_line_end_at_white_space(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_module, "MAX_DOCUMENT_CHARACTERS", 12)
        documents = read(write("a.txt", "aaa bbb cccc dddd eeeeeeeeeeeeeeeeee"), document_separator="line")
        assert documents == ["aaa bbb", "cccc dddd", "eeeeeeeeeeee", "eeeeee"]

    def test_warning_counts_lines_not_pieces(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(decoding_module, "MAX_DOCUMENT_CHARACTERS", 10)
        monkeypatch.setattr(decoding_module, "LONG_LINE_CHARACTERS", 20)
        read(write("a.txt", "\n".join(["a" * 45, "b" * 19, "c " * 20])))
        assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 3]

    def test_article_comes_in_pieces_with_one_title(self, write: Write) -> None:
        body = f"{'a' * 999}\n" * 17_000
        documents = read(write("wiki_00", f'<doc id="1">\nTitle\n\n{body}</doc>\n'))
        assert len(documents) == 2
        assert "\n".join(documents) == f"Title\n{body.rstrip()}"

    def test_text_without_blank_lines_comes_in_pieces(self, write: Write) -> None:
        line = "a" * 999
        documents = read(write("a.txt", f"{line}\n" * 17_000))
        assert [len(document) <= 2**24 for document in documents] == [True, True]
        assert "\n".join(documents) == "\n".join([line] * 17_000)

    def test_record_that_is_too_long(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_module, "MAX_RECORD_CHARACTERS", 100)
        message = failure(write("a.jsonl", '{"text": "b"}\n' + json.dumps({"text": "a" * 100})))
        assert "line 2: longer than 100 characters" in message

    def test_truncated_quote_does_not_swallow_the_file(self, write: Write) -> None:
        assert "line 3: not valid CSV" in failure(write("a.csv", 'text\n"a\nb\n'))


class TestFinding:
    def test_folder_in_sorted_order_without_hidden_files(self, write: Write, tmp_path: Path) -> None:
        for name in ("b/2.txt", "b/1.txt", "a.txt", ".hidden.txt", ".git/x.txt", "c.jsonl"):
            write(name, '{"text": "c"}' if name.endswith("jsonl") else name)
        assert read(tmp_path) == ["a.txt", "b/1.txt", "b/2.txt", "c"]

    def test_globs_and_duplicates(self, write: Write, tmp_path: Path) -> None:
        for name in ("a.txt", "b.txt", "sub/c.txt"):
            write(name, name)
        assert read(f"{tmp_path}/*.txt") == ["a.txt", "b.txt"]
        assert read(f"{tmp_path}/**/*.txt") == ["a.txt", "b.txt", "sub/c.txt"]
        assert read(tmp_path / "b.txt", f"{tmp_path}/*.txt", tmp_path / "sub" / ".." / "a.txt") == ["b.txt", "a.txt"]

    def test_file_whose_name_looks_like_a_glob(self, write: Write) -> None:
        assert read(write("a[1].txt", "a")) == ["a"]

    def test_unusable_files_of_a_folder_are_left_out_with_a_warning(
        self, write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write("README.md", "# about")
        write("_SUCCESS", "")
        write("a.txt", "a")
        assert read(tmp_path) == ["a"]
        assert "README.md was left out: unknown format" in caplog.text
        assert "_SUCCESS was left out: the file is empty" in caplog.text

    def test_nothing_found(self, write: Write, tmp_path: Path) -> None:
        assert "no such file or folder" in failure(tmp_path / "nothing.txt")
        assert "matches no file" in failure(f"{tmp_path}/*.txt")
        assert "the folder holds no files" in failure(tmp_path)
        write("sub/README.md", "# about")
        assert "matches folders only" in failure(f"{tmp_path}/s*")
        assert "no usable file in this folder; supported are .txt" in failure(tmp_path)

    def test_a_wrong_path_is_reported_before_reading(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError):
            LocalFiles([str(tmp_path / "nothing.txt")])

    def test_description_follows_content_and_options(self, write: Write) -> None:
        path = write("a.txt", "a")
        corpus = LocalFiles([str(path)])
        before = json.dumps(corpus.describe())
        assert json.dumps(corpus.describe()) == before
        assert str(path.parent) not in before
        assert json.dumps(LocalFiles([str(path)], document_separator="line").describe()) != before
        os.utime(path, ns=(1, 1))
        assert json.dumps(corpus.describe()) != before
        path.unlink()
        with pytest.raises(CorpusError, match="No such file"):
            corpus.describe()


class TestErrors:
    @pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.parquet", "a", "a.txt.gz"])
    def test_empty_file(self, write: Write, name: str) -> None:
        message = failure(write(name, gzip.compress(b"") if name.endswith("gz") else b""))
        assert message.startswith(str(write(name, "")))
        assert "empty" in message or "truncated" in message

    def test_file_of_white_space_only(self, write: Write) -> None:
        assert "every document is empty" in failure(write("a.txt", " \n\n"))

    def test_unknown_format(self, write: Write) -> None:
        assert "supported are .txt, .jsonl" in failure(write("a.md", "# text"))

    @pytest.mark.parametrize(
        ("content", "encoding"),
        [
            ("text".encode("utf-16"), "utf-16"),
            ("text\n".encode("utf-16-le"), "utf-16-le"),
            ("text\n".encode("utf-16-be"), "utf-16-be"),
            ("text".encode("utf-32"), "utf-32"),
        ],
    )
    def test_utf16(self, write: Write, content: bytes, encoding: str) -> None:
        path = write("a.txt", content)
        assert f"--encoding {encoding}" in failure(path)
        assert read(path, encoding=encoding) == ["text"]

    def test_one_nul_is_not_utf16(self, write: Write) -> None:
        assert read(write("a.txt", "a\0b" + "c" * 200)) == ["a\0b" + "c" * 200]

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("마음이 따뜻하다", "cp949"),
            ("我们从今天开始学习", "gb18030"),
            ("été à Orléans", "cp1252"),
            ("羅生門。下人が雨やみを待っていた。", "shift_jis"),
        ],
    )
    def test_invalid_bytes(self, write: Write, text: str, encoding: str) -> None:
        # Beyond the first buffer, after characters of several bytes.
        before = ("é" * 70 + "\n") * 1000
        path = write("a.txt", before.encode() + b"ok " + text.encode(encoding) + b"\nmore\n")
        message = failure(path)
        assert f"{path}, line 1001, byte offset {len(before.encode()) + 3}: " in message
        assert f"the line is valid {encoding}" in message and f"--encoding {encoding}" in message
        assert "--encoding_errors replace" in message
        assert read(write("b.txt", text.encode(encoding)), encoding=encoding) == [text]
        assert "\ufffd" in read(path, encoding_errors="replace")[0]

    def test_invalid_bytes_in_a_compressed_file_and_at_its_end(self, write: Write) -> None:
        assert "line 2, byte offset 2: " in failure(write("a.txt.gz", gzip.compress(b"a\n\xff\xfea")))
        assert "line 1, byte offset 1: " in failure(write("a.txt", b"a\xe3\x81"))

    def test_unknown_encoding(self, write: Write) -> None:
        path = str(write("a.txt", "a"))
        with pytest.raises(UsageError, match="unknown text encoding 'utf-9': did you mean utf-8"):
            LocalFiles([path], encoding="utf-9")
        with pytest.raises(UsageError, match="unknown text encoding 'base64'"):
            LocalFiles([path], encoding="base64")
        with pytest.raises(UsageError, match="strict, replace"):
            LocalFiles([path], encoding_errors="surrogateescape")

    def test_wrong_options(self, write: Write) -> None:
        with pytest.raises(UsageError, match="blank_line, file, line"):
            LocalFiles([str(write("a.txt", "a"))], document_separator="page")
        with pytest.raises(UsageError, match="at least one path"):
            LocalFiles([])

    @pytest.mark.parametrize("broken", ['{"text": "b"', '{"text": "b"} x', '"b"', "3", '{"text": ' + "1" * 5000 + "}"])
    def test_broken_json_line(self, write: Write, broken: str) -> None:
        message = failure(write("a.jsonl", f'{{"text": "a"}}\n{broken}\n'))
        assert "a.jsonl, line 2: not one JSON object a line" in message
        assert "repair or remove the line" in message

    @pytest.mark.parametrize("indent", [None, 2])
    def test_json_array(self, write: Write, indent: int | None) -> None:
        message = failure(write("a.json", json.dumps([{"text": "a"}], indent=indent)))
        assert "line 1" in message and "JSON Lines" in message and "jq" in message
        assert "JSON Lines" in failure(write("b.json", json.dumps({"text": "a"}, indent=2)))

    def test_missing_column(self, write: Write, tmp_path: Path) -> None:
        assert "line 2: no column 'text'; found: body, id" in failure(
            write("a.jsonl", '{"text": "a"}\n{"body": "b", "id": 1}')
        )
        assert "no column 'text'; found: id, body" in failure(write("a.csv", "id,body\n1,b"))
        assert "no column 'text'; found: id, body" in failure(write("a.tsv", "id\tbody\n1\tb"))
        pq.write_table(pa.table({"id": [1], "body": ["b"]}), tmp_path / "a.parquet")
        message = failure(tmp_path / "a.parquet")
        assert "no column 'text'; found: body, id" in message and "--text_column_name" in message

    def test_value_that_is_no_text(self, write: Write, tmp_path: Path) -> None:
        message = failure(write("a.jsonl", '{"text": "a"}\n{"text": 3}'))
        assert "line 2, column 'text' holds 3 of type int, not text" in message
        pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
        assert "holds 1 of type int" in failure(tmp_path / "a.parquet")

    def test_rows_that_do_not_fit_the_header(self, write: Write) -> None:
        assert "line 3: 3 columns where the header has 2" in failure(write("a.csv", "id,text\n1,a\n2,b,c\n"))
        assert "line 2: 1 columns where the header has 2" in failure(write("a.tsv", "id\ttext\n1\n"))

    @pytest.mark.parametrize("suffix", COMPRESS)
    @pytest.mark.parametrize(
        "damage", [lambda data: data[:-9], lambda data: b"plain text\n" * 50, lambda data: data[:3]]
    )
    def test_damaged_compression(self, write: Write, suffix: str, damage: Callable[[bytes], bytes]) -> None:
        content = os.urandom(20_000).hex().encode()
        message = failure(write("a.txt" + suffix, damage(COMPRESS[suffix](content))))
        assert f"a.txt{suffix}: the file is truncated or is not {suffix[1:]} data" in message

    @pytest.mark.parametrize(
        "damage", [lambda data: data[:-9], lambda data: b"text", lambda data: data[:4] + data[90:]]
    )
    def test_damaged_parquet(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": [str(index) for index in range(1000)]}), path)
        path.write_bytes(damage(path.read_bytes()))
        assert f"{path}: the file is truncated or is not" in failure(path)

    def test_compressed_parquet(self, write: Write) -> None:
        assert "decompress the file" in failure(write("a.parquet.gz", gzip.compress(b"PAR1")))

    def test_permission_denied(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write("a.txt", "a")

        def deny(*_: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", deny)  # file modes do not stop the superuser that tests may run as
        assert f"{path}: permission denied" in failure(path)


def test_no_warning_for_ordinary_files(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        read(write("a.txt", "a\n" * 1000), write("wiki_00", WIKI))
    assert caplog.text == ""
