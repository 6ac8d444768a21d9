"""Files that are there whole or not at all."""

import os
import time
from pathlib import Path

import pytest

from electra_hf.corpora import storage


def test_published_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.publish(path, b"old")
    with pytest.raises(KeyboardInterrupt), storage.published(path) as temporary:
        temporary.write_bytes(b"ne")
        raise KeyboardInterrupt
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.json", b"old")]


def test_only_temporary_files_that_nobody_writes_any_more_are_removed(tmp_path: Path) -> None:
    for name in (".a.npy.1-aa.tmp", ".b.npy.2-bb.tmp", "c.npy"):
        (tmp_path / name).write_bytes(b"x")
    long_ago = time.time() - 2 * storage.ABANDONED_AFTER
    for name in (".a.npy.1-aa.tmp", "c.npy"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    storage.remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.npy.2-bb.tmp", "c.npy"]


def test_json_is_the_same_bytes_in_any_order_and_takes_any_file_name(tmp_path: Path) -> None:
    assert storage.to_json({"b": 1, "a": "é"}) == storage.to_json({"a": "é", "b": 1})
    odd = {"name": b"\xff.txt".decode("utf-8", "surrogateescape")}
    storage.publish(tmp_path / "a.json", storage.to_json(odd))
    assert storage.read_json(tmp_path / "a.json") == odd and len(storage.fingerprint(odd)) == 64


@pytest.mark.parametrize("content", [b"{half", b"[1]", b"\xff\xfe"])
def test_broken_json_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert storage.read_json(tmp_path / "a.json") is None is storage.read_json(tmp_path / "b.json")
