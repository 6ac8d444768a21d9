"""JSON Lines, JSON arrays, CSV, TSV and Parquet."""

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.corpora import decoding as decoding_module
from electra_hf.corpora.decoding import text_chunks
from electra_hf.corpora.formats import columns
from electra_hf.errors import CorpusError

Write = Callable[[str, str | bytes], Path]


def read(*patterns: Path | str, **options: Any) -> list[str]:
    return list(LocalFiles([str(pattern) for pattern in patterns], **options).documents())


def failure(*patterns: Path | str, **options: Any) -> str:
    with pytest.raises(CorpusError) as raised:
        read(*patterns, **options)
    return str(raised.value)


class TestReading:
    def test_json_lines(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        path = write("a.json", '{"body": "a"}\r\n\n{"body": null}\n{"body": "b"}')
        assert read(path, text_column_name="body") == ["a", "b"]
        assert "1 rows with a null" in caplog.text

    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("name", ["a.json", "a.jsonl", "dump", "a.json.gz"])
    def test_json_array(self, write: Write, name: str, indent: int | None, caplog: pytest.LogCaptureFixture) -> None:
        records = [{"text": "a\n\u0085나", "n": [1, {"x": 2.5}]}, {"text": None}, {"text": "b"}]
        content = json.dumps(records, indent=indent).encode()
        assert read(write(name, gzip.compress(content) if name.endswith("gz") else content)) == ["a\n\u0085나", "b"]
        assert "1 rows with a null" in caplog.text

    @pytest.mark.parametrize("size", [1, 2, 7, 1000])
    def test_half_a_surrogate_pair_in_an_array(self, write: Write, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(columns, "text_chunks", partial(text_chunks, size=size))
        content = r'[{"text": "a\ud83d b\ud83d\ude00"}, {"text": "\uDC00\ud55c, \\ud83d \\\ud83d"}]'
        assert read(write("a.json", content)) == ["a\ufffd b\U0001f600", "\ufffd한, \\ud83d \\\ufffd"]

    def test_json_array_in_another_encoding(self, write: Write) -> None:
        content = json.dumps([{"text": "한국어"}], ensure_ascii=False).encode("cp949")
        assert read(write("a.json", content), encoding="cp949") == ["한국어"]

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


class TestErrors:
    @pytest.mark.parametrize("broken", ['{"text": "b"', '{"text": "b"} x', '"b"', "3", '{"text": ' + "1" * 5000 + "}"])
    def test_broken_json_line(self, write: Write, broken: str) -> None:
        message = failure(write("a.jsonl", f'{{"text": "a"}}\n{broken}\n'))
        assert "a.jsonl, line 2: not one JSON object a line" in message
        assert "repair or remove the line" in message

    def test_one_json_object_over_many_lines(self, write: Write) -> None:
        message = failure(write("a.json", json.dumps({"text": "a"}, indent=2)))
        assert "line 1" in message and "JSON Lines" in message

    @pytest.mark.parametrize(
        "content", ['[{"text": "a"}, {"text": "b"', '[{"text": "a"} {"text": "b"}]', '[{"text": "a",}]']
    )
    def test_broken_json_array(self, write: Write, content: str) -> None:
        message = failure(write("a.json", content))
        assert "a.json, after record " in message and "truncated or damaged" in message

    def test_json_array_of_something_else(self, write: Write) -> None:
        assert "a.json, record 2: a str instead of an object" in failure(write("a.json", '[{"text": "a"}, "b"]'))
        assert "a.json, record 1: no column 'text'; found: body" in failure(write("a.json", '[{"body": "b"}]'))

    def test_quote_that_is_never_closed(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(columns, "MAX_RECORD_CHARACTERS", 100)
        assert "record 1: longer than 100 characters" in failure(write("a.json", '[{"text": "' + "a" * 200))

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

    def test_record_that_is_too_long(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_module, "MAX_RECORD_CHARACTERS", 100)
        message = failure(write("a.jsonl", '{"text": "b"}\n' + json.dumps({"text": "a" * 100})))
        assert "line 2: longer than 100 characters" in message

    def test_truncated_quote_does_not_swallow_the_file(self, write: Write) -> None:
        assert "line 3: not valid CSV" in failure(write("a.csv", 'text\n"a\nb\n'))
