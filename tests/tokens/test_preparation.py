import errno
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from electra_hf.corpora import storage
from electra_hf.corpora.parts import Part, SkippedRecord
from electra_hf.errors import PreparationError, UsageError
from electra_hf.tokens import remote, shards
from electra_hf.tokens.folders import start
from electra_hf.tokens.preparation import (
    default_prepared_folder,
    finish,
    preparation_settings,
    prepare,
    prepare_folder,
    shard_task,
)
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.shares import prepare_share

SETTINGS = PackingSettings(max_seq_length=32)
SMALL = {"shard_characters": 4000, "progress": False}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def encoded(monkeypatch):
    """The names of the shards that are tokenised."""
    names = []
    make_shard = shards.make_shard

    def counting(packer, backend, chunk, *rest):
        names.append(chunk.name)
        return make_shard(packer, backend, chunk, *rest)

    monkeypatch.setattr(shards, "make_shard", counting)
    return names


@pytest.mark.parametrize("packing", ["electra", "full"])
def test_counts_and_text(corpus, documents, tokenizer, folder, packing):
    blocks = prepare(corpus, tokenizer, folder, PackingSettings(packing=packing, max_seq_length=32), **SMALL)
    lines = [line for text in documents for line in text.split("\n")]
    expected = [token for line in lines for token in tokenizer(line, add_special_tokens=False)["input_ids"]]
    found = [token for example in blocks for token in example["input_ids"][: example["length"]].tolist()]
    assert [token for token in found if token not in (2, 3)] == expected
    assert blocks[0]["input_ids"].dtype == np.uint16
    counts = blocks.manifest["counts"]
    assert counts["documents"] == len(documents) and counts["characters"] == counts["bytes"] == sum(
        map(len, documents)
    )
    assert counts["tokens"] == len(expected) and counts["blocks"] == len(blocks)
    assert counts["block_tokens"] == len(found) and counts["unknown_tokens"] == expected.count(1)
    names = {path.name for path in folder.iterdir()}
    assert {"manifest.json", "blocks-00000-00000.npy", "lengths-00000-00001.npy", "part-00000.json"} < names
    assert not [name for name in names if name.endswith(".tmp")]


def test_workers_do_not_change_a_byte(corpus, tokenizer, tmp_path):
    for workers in (1, 3):
        prepare(corpus, tokenizer, tmp_path / str(workers), SETTINGS, num_workers=workers, **SMALL)
    assert len(contents(tmp_path / "1")) == 4 * 4 + 3  # four files for each of four shards
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_seed_and_shard_change_the_segments(make_corpus, documents, tokenizer, tmp_path):
    twice = make_corpus(documents + documents)
    size = sum(map(len, documents))
    blocks = prepare(twice, tokenizer, tmp_path / "a", SETTINGS, shard_characters=size, progress=False)
    first, second = (np.load(tmp_path / "a" / f"first_lengths-00000-0000{shard}.npy") for shard in (0, 1))
    assert len(blocks.manifest["shards"]) == 2 and first.tolist() != second.tolist()
    other = PackingSettings(max_seq_length=32, seed=1)
    prepare(twice, tokenizer, tmp_path / "b", other, shard_characters=size, progress=False)
    assert np.load(tmp_path / "b" / "first_lengths-00000-00000.npy").tolist() != first.tolist()


def test_again_is_a_no_op(corpus, tokenizer, folder, encoded):
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    before, corpus.handed_out = contents(folder), 0
    encoded.clear()
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert corpus.handed_out == 0 and not encoded and contents(folder) == before


def test_interrupted_goes_on(corpus, documents, tokenizer, folder, encoded, monkeypatch):
    real_publish = storage.publish

    def full_disk(path, data):
        if path.name == "lengths-00000-00002.npy":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real_publish(path, data)

    monkeypatch.setattr(storage, "publish", full_disk)
    with pytest.raises(PreparationError, match=r"disk is full.*[Ff]inished shards are kept"):
        prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    monkeypatch.setattr(storage, "publish", real_publish)
    assert not (folder / "manifest.json").exists()
    (folder / "blocks-00000-00001.npy").write_bytes(b"half")  # damaged meanwhile: made again
    encoded.clear()
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert encoded == ["00000-00001", "00000-00002", "00000-00003"]
    fresh = folder.with_name("fresh")
    prepare(corpus, tokenizer, fresh, SETTINGS, **SMALL)
    assert contents(folder) == contents(fresh)


def test_changed_text_behind_the_same_description(make_corpus, documents, tokenizer, folder, encoded):
    prepare(make_corpus(documents), tokenizer, folder, SETTINGS, **SMALL)
    (folder / "manifest.json").unlink()
    (folder / "part-00000.json").unlink()
    encoded.clear()
    prepare(make_corpus([*documents[:-1], "river"]), tokenizer, folder, SETTINGS, **SMALL)
    assert encoded == ["00000-00003"]


def test_a_write_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(storage.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        storage.publish(target, b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_folder_that_may_not_be_written(corpus, tokenizer, folder, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PreparationError, match="permission denied.*choose a folder"):
        prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)


def test_other_settings_are_refused_by_name(corpus, make_corpus, documents, tokenizer, folder):
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    with pytest.raises(PreparationError, match=r"packing\.max_seq_length = 32, and 64 .*--overwrite_cache"):
        prepare(corpus, tokenizer, folder, PackingSettings(max_seq_length=64), **SMALL)
    (folder / "manifest.json").unlink()  # an unfinished folder knows too
    with pytest.raises(PreparationError, match=r"corpus\.name = 'list', and 'other'"):
        prepare(make_corpus(documents, "other"), tokenizer, folder, SETTINGS, **SMALL)
    blocks = prepare(corpus, tokenizer, folder, PackingSettings(max_seq_length=64), overwrite=True, **SMALL)
    assert blocks.max_length == 64


def test_settings_of_a_start_that_came_to_nothing_are_no_obstacle(corpus, make_corpus, tokenizer, folder):
    with pytest.raises(PreparationError, match="no block can be made"):
        prepare(make_corpus([""]), tokenizer, folder, PackingSettings(max_seq_length=64), **SMALL)
    asked = preparation_settings(corpus, tokenizer, PackingSettings(max_seq_length=64))
    assert start(folder, asked)
    assert prepare(corpus, tokenizer, folder, SETTINGS, **SMALL).max_length == 32


def test_verifying_makes_what_is_damaged_anew(corpus, tokenizer, folder, encoded, caplog):
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    before = contents(folder)
    damaged = folder / "blocks-00000-00001.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    encoded.clear()
    prepare_folder(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert not encoded, "unasked, a finished folder is not read"
    prepare_folder(corpus, tokenizer, folder, SETTINGS, verify=True, **SMALL)
    assert encoded == ["00000-00001"] and contents(folder) == before
    assert "damaged, and made anew: shards 00000-00001" in caplog.text


def test_files_that_another_process_is_writing_are_left(corpus, tokenizer, folder):
    folder.mkdir()
    (folder / ".blocks-00000-00000.npy.77-abcd.tmp").write_bytes(b"half")
    prepare(corpus, tokenizer, folder, SETTINGS, **SMALL)
    assert (folder / ".blocks-00000-00000.npy.77-abcd.tmp").exists()


def test_full_packing_ignores_the_settings_of_electra(corpus, tokenizer, folder):
    prepare(corpus, tokenizer, folder, PackingSettings(packing="full", seed=1), **SMALL)
    prepare(corpus, tokenizer, folder, PackingSettings(packing="full", seed=2, overflow="drop"), **SMALL)


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_left_alone(corpus, tokenizer, folder, overwrite):
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(PreparationError, match=r"thesis\.tex"):
        prepare(corpus, tokenizer, folder, SETTINGS, overwrite=overwrite, **SMALL)
    (folder / "thesis.tex").unlink()
    (folder / "manifest.json").write_text(json.dumps({"name": "a web app"}))
    with pytest.raises(PreparationError, match="no prepared corpus"):
        prepare(corpus, tokenizer, folder, SETTINGS, overwrite=overwrite, **SMALL)
    assert json.loads((folder / "manifest.json").read_text()) == {"name": "a web app"}


def test_no_text(make_corpus, tokenizer, folder):
    with pytest.raises(PreparationError, match=r"empty one.* 0 documents, 0 characters and 0 tokens"):
        prepare(make_corpus(["", " \n "], "empty one"), tokenizer, folder, SETTINGS, **SMALL)
    assert contents(folder) == {}


def test_tiny_documents_are_counted(make_corpus, tokenizer, folder):
    blocks = prepare(make_corpus(["river", "", "the old stone walks"]), tokenizer, folder, SETTINGS, **SMALL)
    assert blocks.manifest["counts"]["documents_below_3_tokens"] == 1
    assert len(blocks) == 2


def test_chunks_are_runs_of_records():
    part = Part("p", lambda: iter(["aaa", "bb", "c", "dddd", "e"]))
    assert [(chunk.name, chunk.first_record, chunk.records) for chunk in shards.chunks(3, part, 4)] == [
        ("00003-00000", 0, ["aaa", "bb"]),
        ("00003-00001", 2, ["c", "dddd"]),
        ("00003-00002", 4, ["e"]),
    ]


def test_a_long_corpus_that_became_short_leaves_no_shards_behind(make_corpus, documents, tokenizer, folder):
    prepare(make_corpus(documents), tokenizer, folder, SETTINGS, **SMALL)
    for name in ("manifest.json", "part-00000.json"):
        (folder / name).unlink()
    shorter = [document[:30] for document in documents]
    prepare(make_corpus(shorter), tokenizer, folder, SETTINGS, **SMALL)
    fresh = folder.with_name("fresh")
    prepare(make_corpus(shorter), tokenizer, fresh, SETTINGS, **SMALL)
    assert {path.name for path in folder.iterdir()} == {path.name for path in fresh.iterdir()}


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
def test_shares_do_not_change_a_byte(make_corpus, documents, tokenizer, tmp_path, shares):
    """As many tasks as parts, fewer and more, in any order; all in the same folder."""
    corpus = make_corpus(documents, parts=3)
    whole = tmp_path / "whole"
    blocks = prepare(corpus, tokenizer, whole, SETTINGS, shard_characters=1500, progress=False)
    assert blocks.manifest["counts"]["documents"] == len(documents)
    folder = tmp_path / "shares"
    asked = preparation_settings(corpus, tokenizer, SETTINGS, shard_characters=1500)
    task = shard_task(tokenizer, folder, SETTINGS, asked)
    for share in reversed(range(shares)):
        assert start(folder, asked)
        prepare_share(corpus.name, corpus.parts(), task, share=share, shares=shares, progress=False)
    finish(corpus.name, corpus.parts(), folder, asked)
    assert contents(folder) == contents(whole)
    assert not start(folder, asked)


def test_a_missing_share_is_named(make_corpus, documents, tokenizer, folder):
    corpus = make_corpus(documents, parts=2)
    asked = preparation_settings(corpus, tokenizer, SETTINGS, shard_characters=1500)
    task = shard_task(tokenizer, folder, SETTINGS, asked)
    start(folder, asked)
    prepare_share(corpus.name, corpus.parts(), task, share=0, shares=4, progress=False)
    with pytest.raises(PreparationError, match="shard 00000-00001 of part 0 is missing: run the same command"):
        finish(corpus.name, corpus.parts(), folder, asked)
    prepare_share(corpus.name, corpus.parts(), task, share=2, shares=4, progress=False)
    with pytest.raises(PreparationError, match="part 30 is not prepared to its end"):
        finish(corpus.name, corpus.parts(), folder, asked)


def _refuse_winter(record):
    if "winter" in record:
        raise SkippedRecord(f"a page about winter ({record[:6]})")
    return [record.upper()]


@pytest.mark.parametrize("workers", [1, 2])
def test_records_are_converted_and_skipped_where_the_shard_is_made(
    make_corpus, tokenizer, folder, workers, caplog: pytest.LogCaptureFixture
):
    corpus = make_corpus(["river stone", "old winter", "small stone"])
    parts = [part.then(_refuse_winter) for part in corpus.parts()]
    corpus.parts = lambda: parts if workers == 1 else [replace(parts[0], records=partial(iter, corpus.texts))]
    blocks = prepare(corpus, tokenizer, folder, SETTINGS, num_workers=workers, progress=False)
    counts = blocks.manifest["counts"]
    assert (counts["documents"], counts["skipped_records"]) == (2, 1)
    assert "Left out: a page about winter (old wi)" in caplog.text
    assert tokenizer.decode(blocks[1]["input_ids"], skip_special_tokens=True) == "small stone"


def test_statistics(make_corpus, tokenizer, folder):
    texts = ["river " * 5, "the é and é 漢 lantern", "old " * 20]
    blocks = prepare(make_corpus(texts), tokenizer, folder, SETTINGS, **SMALL)
    statistics = blocks.manifest["statistics"]
    assert sum(statistics["document_lengths"].values()) == 3
    assert statistics["document_lengths"]["3"] == 1  # 5 tokens
    unknown = statistics["unknown_characters"]
    assert unknown["é"] == 2 and unknown["漢"] == 1 and "r" not in unknown
    assert blocks.manifest["counts"]["full_blocks"] == sum(example["length"] == 32 for example in blocks)


def test_default_folder(corpus, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(remote.constants, "HF_HOME", str(tmp_path))
    folders = {
        default_prepared_folder(corpus, tokenizer, settings)
        for settings in (SETTINGS, SETTINGS, PackingSettings(max_seq_length=64))
    }
    assert len(folders) == 2 and {path.parent for path in folders} == {tmp_path / "electra_hf" / "prepared"}
    folder = default_prepared_folder(corpus, tokenizer, SETTINGS)
    assert prepare(corpus, tokenizer, folder, SETTINGS, progress=False).manifest["fingerprint"] == folder.name


@pytest.mark.parametrize(
    "wrong",
    [{"packing": "tight"}, {"overflow": "keep"}, {"max_seq_length": 4}, {"short_probability": 2}],
)
def test_wrong_settings(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}.*choose"):
        PackingSettings(**wrong)
