"""Prepared folders at URLs: in fsspec's memory, and over HTTP from a server in this process."""

import errno
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from electra_hf.corpora import storage
from electra_hf.corpora.remote import as_path
from electra_hf.errors import PreparationError, UsageError
from electra_hf.tokens import remote
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.folders import start
from electra_hf.tokens.preparation import (
    default_prepared_folder,
    finish,
    preparation_settings,
    prepare,
    shard_task,
)
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.shares import prepare_share

SETTINGS = PackingSettings(max_seq_length=32)
SMALL = {"shard_characters": 4000, "progress": False}
URL = "memory://bucket/prepared"


@pytest.fixture(autouse=True)
def store() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Where the copies are."""
    monkeypatch.setattr(remote.constants, "HF_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "electra_hf" / "prepared"


@pytest.fixture
def published(monkeypatch) -> list[str]:
    """The names of the files that are written, to the store and to the copy."""
    names = []
    publish = storage.publish

    def counting(path, data):
        names.append(str(path))
        publish(path, data)

    monkeypatch.setattr(storage, "publish", counting)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bytes_as_in_a_local_folder(corpus, tokenizer, folder, cache):
    blocks = prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    local = prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert contents(as_path(URL)) == contents(folder)
    assert blocks.folder == cache / blocks.manifest["fingerprint"]
    names = {"manifest.json", *(name for shard in blocks.manifest["shards"] for name in shard["files"])}
    assert contents(blocks.folder) == {name: (folder / name).read_bytes() for name in names}
    assert [example["input_ids"].tolist() for example in blocks] == [e["input_ids"].tolist() for e in local]


def test_again_is_a_no_op(corpus, tokenizer, published):
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    published.clear()
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    BlockDataset(URL, verify=True)
    assert published == []


def test_interrupted_goes_on(corpus, tokenizer, folder, published, monkeypatch):
    counting = storage.publish

    def no_connection(path, data):
        if path.name == "lengths-00000-00002.npy":
            raise ConnectionError("reset by peer")
        counting(path, data)

    monkeypatch.setattr(storage, "publish", no_connection)
    with pytest.raises(PreparationError, match=r"cannot be reached \(ConnectionError: reset.*shards are kept"):
        prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    monkeypatch.setattr(storage, "publish", counting)
    (as_path(URL) / "blocks-00000-00001.npy").write_bytes(b"half")
    published.clear()
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    made = {Path(name).name for name in published if name.startswith("memory") and "blocks" in name}
    assert made == {f"blocks-00000-0000{shard}.npy" for shard in (1, 2, 3)}
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert contents(as_path(URL)) == contents(folder)


def test_shares(make_corpus, documents, tokenizer, folder):
    corpus = make_corpus(documents, parts=2)
    asked = preparation_settings(corpus, tokenizer, SETTINGS, shard_characters=1500)
    task = shard_task(tokenizer, as_path(URL), SETTINGS, asked)
    for share in (2, 0, 1):
        assert start(task.folder, asked)
        prepare_share(corpus.name, corpus.parts(), task, share=share, shares=3, progress=False)
    finish(corpus.name, corpus.parts(), task.folder, asked)
    prepare(corpus, tokenizer, folder, SETTINGS, shard_characters=1500, progress=False)
    assert contents(task.folder) == contents(folder)


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_left_alone(corpus, tokenizer, overwrite, store):
    store.pipe_file("/bucket/prepared/thesis.tex", b"precious")
    with pytest.raises(PreparationError, match=r"memory://bucket/prepared: holds files .*thesis\.tex"):
        prepare(corpus, tokenizer, URL, SETTINGS, overwrite=overwrite, **SMALL)
    assert store.find("/bucket") == ["/bucket/prepared/thesis.tex"]


def test_other_settings_are_refused_by_name(corpus, tokenizer):
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    other = PackingSettings(max_seq_length=64)
    with pytest.raises(PreparationError, match=r"max_seq_length = 32, and 64 .*--overwrite_cache"):
        prepare(corpus, tokenizer, URL, other, **SMALL)
    assert prepare(corpus, tokenizer, URL, other, overwrite=True, **SMALL).max_length == 64
    assert BlockDataset(URL).max_length == 64


def test_no_text(make_corpus, tokenizer, store):
    with pytest.raises(PreparationError, match="no block can be made"):
        prepare(make_corpus([""]), tokenizer, URL, SETTINGS, **SMALL)
    assert store.find("/bucket") == []


def test_only_what_is_missing_is_copied(corpus, tokenizer, published):
    copy = prepare(corpus, tokenizer, URL, SETTINGS, **SMALL).folder
    (copy / "blocks-00000-00001.npy").unlink()
    (copy / "lengths-00000-00002.npy").write_bytes(b"short")
    published.clear()
    BlockDataset(URL, verify=True)
    assert sorted(published) == [str(copy / "blocks-00000-00001.npy"), str(copy / "lengths-00000-00002.npy")]


def test_an_interrupted_copy_has_no_manifest_and_goes_on(corpus, tokenizer, published, monkeypatch):
    copy = prepare(corpus, tokenizer, URL, SETTINGS, **SMALL).folder
    for path in copy.iterdir():
        path.unlink()
    counting = storage.publish

    def full_disk(path, data):
        if path.name == "lengths-00000-00002.npy":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        counting(path, data)

    monkeypatch.setattr(storage, "publish", full_disk)
    monkeypatch.setattr(remote, "COPYING_THREADS", 1)
    with pytest.raises(PreparationError, match="disk is full.*is kept"):
        BlockDataset(URL)
    kept = {str(path) for path in copy.iterdir()}
    assert kept and str(copy / "manifest.json") not in kept
    monkeypatch.setattr(storage, "publish", counting)
    published.clear()
    BlockDataset(URL, verify=True)
    assert published[-1] == str(copy / "manifest.json") and not kept & set(published)


def test_processes_of_a_machine_copy_once(corpus, tokenizer, published):
    copy = prepare(corpus, tokenizer, URL, SETTINGS, **SMALL).folder
    for path in copy.iterdir():
        path.unlink()
    published.clear()
    with ThreadPoolExecutor(4) as pool:
        lengths = set(pool.map(lambda url: len(BlockDataset(url)), [URL] * 4))
    assert len(lengths) == 1 and len(set(published)) == len(published) == len(list(copy.iterdir()))


def test_a_copy_of_other_files_is_replaced(corpus, make_corpus, documents, tokenizer, cache):
    """Equal settings with another text behind them, whose files may have the same sizes."""
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    prepare(make_corpus(documents[::-1]), tokenizer, "memory://other", SETTINGS, **SMALL)
    for url in (URL, "memory://other", URL):
        blocks = BlockDataset(url, verify=True)
        assert blocks.manifest == json.loads((as_path(url) / "manifest.json").read_bytes())
    assert [path for path in cache.iterdir() if path.is_dir()] == [blocks.folder]


def test_the_copy_is_where_the_corpus_would_be_prepared(corpus, tokenizer):
    blocks = prepare(corpus, tokenizer, URL, SETTINGS, progress=False)
    assert default_prepared_folder(corpus, tokenizer, SETTINGS) == blocks.folder
    prepare(corpus, tokenizer, blocks.folder, SETTINGS, progress=False)


def test_a_damaged_file(corpus, tokenizer, store):
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    path = as_path(URL) / "blocks-00000-00001.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    copy = BlockDataset(URL).folder  # the copy is good
    (copy / path.name).unlink()
    with pytest.raises(PreparationError, match=r"memory://bucket/prepared/blocks-00000-00001\.npy: damaged"):
        BlockDataset(URL)
    path.unlink()
    with pytest.raises(PreparationError, match=r"no such file|No such file"):
        BlockDataset(URL)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "../../somewhere"},
        {"shards": [{"name": "../00000", "blocks": 1, "files": {}}]},
        {"shards": [{"name": "00000-00000", "blocks": 1, "files": {"../../.bashrc": {"bytes": 1, "sha256": ""}}}]},
    ],
)
def test_a_manifest_that_names_other_places(corpus, tokenizer, change):
    prepare(corpus, tokenizer, URL, SETTINGS, **SMALL)
    path = as_path(URL) / "manifest.json"
    path.write_bytes(storage.to_json(json.loads(path.read_bytes()) | change))
    said = r"names files that no preparation makes|is damaged \(.* is not listed\)"
    with pytest.raises(PreparationError, match=said):
        BlockDataset(URL)


def test_nothing_there():
    with pytest.raises(PreparationError, match=r"^memory://nothing/manifest\.json: is not there: .*prepare it first"):
        BlockDataset("memory://nothing")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_folder_on_a_web_server(corpus, tokenizer, folder):
    local = prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    handler = functools.partial(QuietHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        blocks = BlockDataset(f"{url}/{folder.name}", verify=True)
        with pytest.raises(PreparationError, match=r"/nothing/manifest\.json: is not there"):
            BlockDataset(f"{url}/nothing")
        server.shutdown()
        thread.join()
    assert blocks.manifest == local.manifest and len(blocks) == len(local)
    with pytest.raises(PreparationError, match=r"manifest\.json: cannot be reached \(ClientConnectorError"):
        BlockDataset(f"{url}/{folder.name}")


@pytest.mark.parametrize("url", ["https://host.example/prepared", "hf://datasets/someone/prepared"])
def test_folders_that_cannot_be_written(corpus, tokenizer, url):
    with pytest.raises(UsageError, match=f"^{url}: "):
        prepare(corpus, tokenizer, url, SETTINGS, **SMALL)


def test_a_missing_package_is_named(corpus, tokenizer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    for use in (BlockDataset, lambda url: prepare(corpus, tokenizer, url, SETTINGS, **SMALL)):
        with pytest.raises(UsageError, match="s3://bucket/prepared: .*pip install s3fs"):
            use("s3://bucket/prepared")
