"""Any change of a checkpoint is noticed, in its files and in its manifest."""

import hashlib
import json

import pytest

from electra_hf.errors import CheckpointError
from electra_hf.training.checkpoints import MANIFEST_NAME, read_manifest, verify


def test_what_is_in_it(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint(tmp_path, 3, data_seed=4, train_rows=64, milestone=12.5)
    content = json.loads((checkpoint / MANIFEST_NAME).read_text())
    assert content["files"] == {
        name: {"bytes": 11, "sha256": hashlib.sha256(b'{"step": 3}').hexdigest()}
        for name in ("config.json", "generator/config.json", "trainer_state.json")
    }
    facts = ("step", "world_size", "global_batch_size", "seed", "data_seed", "train_rows", "row_length", "milestone")
    assert [content[name] for name in facts] == [3, 1, 8, 1, 4, 64, None, 12.5]
    assert verify(checkpoint).total_bytes == 33


def test_manifests_of_before_masks_were_noted_are_whole(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint(tmp_path, 3)
    assert "masking" not in json.loads((checkpoint / MANIFEST_NAME).read_text())
    assert verify(checkpoint).masking is None
    masks = {"masking": "span", "mlm_probability": 0.15}
    assert verify(make_checkpoint(tmp_path, 4, masking=masks)).masking == masks


def test_a_flipped_bit_in_any_byte_of_the_manifest(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 3) / MANIFEST_NAME
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(CheckpointError, match="manifest.json"):
            read_manifest(path.parent)
    path.write_bytes(data)
    read_manifest(path.parent)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"format": 1}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_manifest(tmp_path, make_checkpoint, content):
    path = make_checkpoint(tmp_path, 3) / MANIFEST_NAME
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="manifest.json"):
        read_manifest(path.parent)


def test_a_newer_version_says_so(tmp_path, make_checkpoint):
    path = make_checkpoint(tmp_path, 3) / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(CheckpointError, match="version 2, and this program reads 1"):
        read_manifest(path.parent)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "generator/config.json: No such file"),
        (lambda path: path.write_bytes(b""), "generator/config.json has 0 bytes instead of 11"),
        (lambda path: path.write_bytes(b'{"step": 4}'), "generator/config.json was changed"),
        (lambda path: (path.unlink(), path.mkdir()), "generator/config.json"),
    ],
    ids=["removed", "emptied", "changed", "a folder"],
)
def test_damaged_files(tmp_path, make_checkpoint, damage, said):
    checkpoint = make_checkpoint(tmp_path, 3)
    damage(checkpoint / "generator/config.json")
    with pytest.raises(CheckpointError, match=f"checkpoint-3 is damaged: {said}"):
        verify(checkpoint)


def test_what_others_put_beside_it_does_not_matter(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint(tmp_path, 3)
    (checkpoint / "notes.txt").write_text("mine")
    verify(checkpoint)
