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

import pytest
import zstandard

from electra_hf.corpora import LocalFiles
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
WIKI_DOCUMENTS = ["A & B\nFirst\n.\nSecond.", "C\nThird."]


Write = Callable[[str, str | bytes], Path]


def read(*patterns: Path | str, **options: Any) -> list[str]:
    return list(LocalFiles([str(pattern) for pattern in patterns], **options).documents())


def failure(*patterns: Path | str, **options: Any) -> str:
    with pytest.raises(CorpusError) as raised:
        read(*patterns, **options)
    return str(raised.value)


class TestBytes:
    @pytest.mark.parametrize("suffix", COMPRESS)
    def test_compressed(self, write: Write, suffix: str) -> None:
        compress = COMPRESS[suffix]
        assert read(write("a.txt" + suffix, compress(b"a\n\nb"))) == ["a", "b"]
        assert read(write("a.jsonl" + suffix, compress(b'{"text": "a"}\n'))) == ["a"]
        assert read(write("wiki_00" + suffix, compress(WIKI.encode()))) == WIKI_DOCUMENTS
        # Several members in one file, as parallel compressors write them.
        assert read(write("b.txt" + suffix, compress(b"a\n") + compress(b"b"))) == ["a\nb"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949", "shift_jis"])
    def test_encodings(self, write: Write, encoding: str) -> None:
        text = "日本"
        assert read(write("a.txt", f"{text}\r\n\r\nb".encode(encoding)), encoding=encoding) == [text, "b"]

    @pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "wiki_00"])
    def test_byte_order_mark_is_no_text(self, write: Write, name: str) -> None:
        content = {"a.txt": "A\nb", "a.jsonl": '{"text": "A\\nb"}', "a.csv": 'text\n"A\nb"\n'}
        content["wiki_00"] = '<doc id="1">\nA\n\nb\n</doc>'
        assert read(write(name, b"\xef\xbb\xbf" + content[name].encode())) == ["A\nb"]


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

    @pytest.mark.parametrize("suffix", COMPRESS)
    @pytest.mark.parametrize(
        "damage", [lambda data: data[:-9], lambda data: b"plain text\n" * 50, lambda data: data[:3]]
    )
    def test_damaged_compression(self, write: Write, suffix: str, damage: Callable[[bytes], bytes]) -> None:
        content = os.urandom(20_000).hex().encode()
        message = failure(write("a.txt" + suffix, damage(COMPRESS[suffix](content))))
        assert f"a.txt{suffix}: the file is truncated or is not {suffix[1:]} data" in message

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
