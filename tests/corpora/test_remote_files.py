"""Text at URLs: over HTTP from a server in this process, in fsspec's memory, and what is said when it fails."""

import bz2
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfFileSystem

from electra_hf.corpora import LocalFiles, remote
from electra_hf.corpora.remote import RemoteReader, as_path, is_remote
from electra_hf.errors import CorpusError, UsageError

MEBIBYTE = 2**20


class Server(ThreadingHTTPServer):
    """Serves `files`; with `ranges` also parts of them. The first `to_break` answers end in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.to_break = 0
        self.requests: list[str | None] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        data = self.server.files.get(self.path[1:])
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        data = self.server.files.get(self.path[1:])
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if data is None:
            self.send_error(403 if self.path == "/secret.txt" else 404)
            return
        if wanted and self.server.ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            total, data = len(data), data[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{total}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.server.to_break:
            self.server.to_break -= 1
            data = data[: len(data) // 2]
            self.close_connection = True
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def memory() -> Iterator[Callable[[str, bytes], None]]:
    """Writes a file into fsspec's memory, which is emptied afterwards."""
    system = fsspec.filesystem("memory")
    yield lambda name, content: system.pipe_file(f"/{name}", content)
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def read(*patterns: str, **options: Any) -> list[str]:
    return list(LocalFiles(patterns, **options).documents())


def failure(*patterns: str) -> str:
    with pytest.raises(CorpusError) as raised:
        read(*patterns)
    return str(raised.value)


def long_text() -> bytes:
    """More than what is asked for at once, and not compressible to less."""
    return b"\n\n".join(b"document %d %s" % (number, b"x" * 4000) for number in range(1700))


@pytest.mark.parametrize("ranges", [True, False])
def test_http(server: Server, ranges: bool):
    server.ranges = ranges
    server.files["dump/a.txt.bz2"] = bz2.compress("één\n\ntwee\n".encode())
    corpus = LocalFiles([server.url("dump/a.txt.bz2")] * 2)
    assert list(corpus.documents()) == ["één", "twee"]
    assert corpus.describe()["files"] == [
        {
            "name": "a.txt.bz2",
            "size": len(server.files["dump/a.txt.bz2"]),
            "url": server.url("dump/a.txt.bz2"),
        }
    ]


@pytest.mark.parametrize("ranges", [True, False])
def test_http_file_of_several_requests(server: Server, ranges: bool):
    server.ranges = ranges
    server.files["a.txt"] = long_text()
    assert len(server.files["a.txt"]) > 6 * MEBIBYTE
    documents = read(server.url("a.txt"))
    assert len(documents) == 1700
    assert "\n\n".join(documents).encode() == server.files["a.txt"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_made_again(server: Server, ranges: bool, monkeypatch, caplog):
    monkeypatch.setattr(remote, "RETRY_SECONDS", 0)
    server.ranges = ranges
    server.files["a.txt"] = long_text()
    corpus = LocalFiles([server.url("a.txt")])
    corpus.parts()
    server.to_break = 2
    assert "\n\n".join(corpus.documents()).encode() == server.files["a.txt"]
    assert server.to_break == 0 and "trying again" in caplog.text
    server.to_break = 100
    assert f"{server.url('a.txt')}: cannot be reached (Client" in failure(server.url("a.txt"))


def test_a_refused_file_is_not_asked_for_again(server: Server, monkeypatch):
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: pytest.fail("waits for a file that is gone"))
    server.files["a.txt"] = long_text()
    with RemoteReader(as_path(server.url("a.txt"))) as reader:
        del server.files["a.txt"]
        with pytest.raises(remote.network_errors(), match="404"):
            reader.read(1)


def test_what_a_server_says(server: Server):
    url = server.url("a.txt")
    assert failure(url) == f"{url}: no such file: check the address and your access to it"
    assert "403" in failure(server.url("secret.txt")) and "your access" in failure(server.url("secret.txt"))
    server.files["b.txt.gz"] = gzip.compress(b"text" * 999)[:-9]
    assert "b.txt.gz: the file is truncated" in failure(server.url("b.txt.gz"))
    server.server_close()
    assert "cannot be reached (ClientConnectorError" in failure(url)


def test_a_question_mark_in_an_address_is_no_glob(server: Server):
    server.files["get?name=a.txt"] = b"a"
    assert read(server.url("get?name=a.txt")) == ["a"]


def test_folders_and_globs(memory):
    for name, content in {
        "c/b.txt": b"b",
        "c/a.txt": b"a",
        "c/.hidden.txt": b"no",
        "c/.git/x.txt": b"no",
        "c/sub/c.jsonl.gz": gzip.compress(b'{"text": "c"}'),
        "c/README.md": b"# about",
    }.items():
        memory(name, content)
    assert read("memory://c") == ["a", "b", "c"]
    assert read("memory://c/b.txt", "memory://c/*.txt") == ["b", "a"]
    assert read("memory://c/**/*.gz") == ["c"]
    assert read("memory://c/.hidden.txt") == ["no"]
    for nothing in ("memory://d", "memory://c/*.zip", "memory://c/s*", "memory://c/d.txt"):
        assert failure(nothing) == f"{nothing}: no such file or folder: check the address and your access to it"


def test_parquet(memory):
    content = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"text {index}" for index in range(600)]}), content)
    memory("a.parquet", content.getvalue().to_pybytes())
    assert read("memory://a.parquet") == [f"text {index}" for index in range(600)]
    memory("b.parquet", content.getvalue().to_pybytes()[:-9])
    assert "memory://b.parquet: the file is truncated" in failure("memory://b.parquet")


def test_a_file_that_is_gone(memory):
    memory("a.txt", b"a")
    corpus = LocalFiles(["memory://a.txt"])
    fsspec.filesystem("memory").rm("/a.txt")
    with pytest.raises(CorpusError, match=r"memory://a\.txt: no such file"):
        list(corpus.documents())


def test_a_file_url_is_a_local_path(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")
    for url in (f"file://{tmp_path}/a.txt", f"file://{tmp_path}", f"file://{tmp_path}/*.txt"):
        corpus = LocalFiles([url])
        assert list(corpus.documents()) == ["a"] and corpus.files == [tmp_path / "a.txt"]
        assert "mtime_ns" in json.dumps(corpus.describe())
    assert "no such file or folder" in failure(f"file://{tmp_path}/b.txt")


def test_addresses_are_not_mangled():
    url = "https://host.example/a//b/c.txt?x=1"
    assert str(as_path(url)) == url and is_remote(as_path(url))
    assert str(as_path("memory://bucket/folder") / "a.npy") == "memory://bucket/folder/a.npy"
    assert as_path("a/b") == Path("a/b") and not is_remote(as_path(Path("a")))


@pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")])
def test_a_missing_package_is_named(protocol: str, package: str, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UsageError, match=f"{protocol}://b/a.txt: .*pip install {package}"):
        LocalFiles([f"{protocol}://b/a.txt"])


def test_an_unknown_protocol():
    with pytest.raises(UsageError, match=r"nope://a\.txt: cannot be opened .*check the part before ://"):
        LocalFiles(["nope://a.txt"])


@pytest.mark.parametrize("kind", ["HTTPError", "ConnectionError"])
def test_the_hub_out_of_reach(kind: str, monkeypatch):
    kinds = (*remote.network_errors(), ConnectionError)
    error = next(error for error in kinds if error.__name__ == kind)("no route")

    def fail(self: object, *args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(HfFileSystem, "info", fail)
    monkeypatch.setattr(HfFileSystem, "find", fail)
    monkeypatch.setattr(HfFileSystem, "isfile", fail)
    url = "hf://datasets/someone/something/a.txt"
    said = failure(url)
    assert said.startswith(f"{url}: cannot be reached ({type(error).__name__}: {error})")
