"""Plain text: what ends a document, and what ends a line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.corpora import decoding as decoding_module

Write = Callable[[str, str | bytes], Path]


def read(*patterns: Path | str, **options: Any) -> list[str]:
    return list(LocalFiles([str(pattern) for pattern in patterns], **options).documents())


class TestDocuments:
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

    def test_text_without_blank_lines_comes_in_pieces(self, write: Write) -> None:
        line = "a" * 999
        documents = read(write("a.txt", f"{line}\n" * 17_000))
        assert [len(document) <= 2**24 for document in documents] == [True, True]
        assert "\n".join(documents) == "\n".join([line] * 17_000)
