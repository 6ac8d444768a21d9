"""The checkpoint format: what TensorFlow wrote is read, and what is damaged or unusual is told."""

import shutil

import numpy as np
import pytest

from electra_hf.errors import CheckpointError
from electra_hf.models.tf_checkpoint.bundle import TensorFlowCheckpoint, find_checkpoint, is_tensorflow_checkpoint
from electra_hf.models.tf_checkpoint.crc32c import crc32c

ARRAYS = {
    "a/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a/kernel/adam_m": np.zeros((3, 4), np.float32),
    "a/long": np.arange(7, dtype=np.int64),
    "b": np.array(2.5, np.float64),
    "c": np.array([True, False]),
    "d": np.array([1.5, -2.0], np.float16),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksum_of_the_standard(data, checksum):
    assert crc32c(data) == checksum


@pytest.mark.parametrize("size", [255, 256, 257, 1023, 2049, 70_001])
def test_checksum_of_long_data_is_that_of_a_loop(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(data) == state ^ 0xFFFFFFFF


def test_checksum_goes_on_over_chunks(monkeypatch):
    data = np.random.default_rng(0).integers(0, 256, 10_000, np.uint8).tobytes()
    whole = crc32c(data)
    monkeypatch.setattr("electra_hf.models.tf_checkpoint.crc32c._CHUNK", 3_333)
    assert crc32c(data) == whole


@pytest.mark.parametrize("shards", [1, 2])
def test_every_tensor_comes_back(write_checkpoint, shards):
    checkpoint = TensorFlowCheckpoint(write_checkpoint(ARRAYS, shards=shards))
    assert list(checkpoint.entries) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        found = checkpoint.read(name)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_bfloat16_becomes_float32(write_checkpoint):
    bits = np.array([0x3F80, 0xC040], np.uint16)  # 1 and -3
    prefix = write_checkpoint({"x": bits.view(np.float16)}, dtypes={"x": 14})
    found = TensorFlowCheckpoint(prefix).read("x")
    assert found.dtype == np.float32 and list(found) == [1.0, -3.0]


@pytest.mark.parametrize(
    ("options", "tensor", "message"),
    [
        ({"sliced": ["b"]}, "b", "b is stored in slices"),
        ({"dtypes": {"b": 7}}, "b", "b is text"),
        ({"dtypes": {"b": 8}}, "b", "b is of TensorFlow's type number 8"),
        ({"dtypes": {"b": 1}}, None, "b has 8 bytes, and its shape .* takes 4"),
        ({"header": b"\x08\x01\x10\x01"}, None, "big-endian"),
        ({"header": b""}, None, "0 data files"),
        ({"compression": 1}, None, r"compressed \(snappy\)"),
        ({"changed": {"b": b"\x08\x02\x20\xff\xff\x03\x28\x08"}}, None, "b reaches to byte"),
        ({"changed": {"b": b"\x08\x02\x18\x05\x28\x08"}}, None, "data file 5 of 1"),
        ({"changed": {"b": b"\x0b"}}, None, "no message of this format"),
        ({"changed": {"b": b"\x12\xff"}}, None, "does not end"),
        ({"changed": {"b": b"\x12\x7f"}}, None, "ends too early"),
        # A shape of 2**62 and a size that fits in no memory.
        ({"changed": {"b": b"\x08\x01\x12\x0c\x12\x0a\x08" + b"\x80" * 8 + b"\x40"}}, None, "impossible shape"),
        (
            {"changed": {"b": b"\x08\x01\x12\x06\x12\x04\x08\x80\x80\x01\x28\x80\x80\x04"}},
            None,
            "reaches to byte 65,536",
        ),
    ],
)
def test_what_is_not_supported_is_named(write_checkpoint, options, tensor, message):
    prefix = write_checkpoint(ARRAYS, **options)
    with pytest.raises(CheckpointError, match=message):
        checkpoint = TensorFlowCheckpoint(prefix)
        if tensor is not None:
            checkpoint.read(tensor)


@pytest.mark.parametrize(("name", "prefix"), [("google", "model.ckpt-1234"), ("nvidia", "ckpt-0")])
def test_a_flipped_byte_is_found_or_changes_nothing(data, tmp_path, name, prefix):
    shutil.copytree(data / name, tmp_path / name)
    prefix = tmp_path / name / prefix
    before = TensorFlowCheckpoint(prefix).entries
    index = prefix.with_name(f"{prefix.name}.index")
    content = index.read_bytes()
    harmless = []
    # Some of the blocks, all of the last one and of the footer.
    positions = [*range(0, len(content) - 100, 293), *range(len(content) - 100, len(content))]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        index.write_bytes(damaged)
        try:
            assert TensorFlowCheckpoint(prefix).entries == before
        except CheckpointError as error:
            assert str(index) in str(error)
        else:
            harmless.append(position)
    # An empty block that nobody reads, its handle, and what fills the footer up.
    assert len(content) - 100 < min(harmless) < max(harmless) < len(content) - 8
    assert len(harmless) <= 50


@pytest.mark.parametrize("kept", [0, 1, 7, 40, 47, 48, 500, 3_000])
def test_a_cut_index_is_found(data, tmp_path, kept):
    shutil.copytree(data / "google", tmp_path / "google")
    index = tmp_path / "google" / "model.ckpt-1234.index"
    content = index.read_bytes()
    for part in (content[:kept], content[-kept:] if kept else b""):
        index.write_bytes(part)
        with pytest.raises(CheckpointError, match=r"cut off|damaged"):
            TensorFlowCheckpoint(tmp_path / "google")


def test_damage_of_the_data_names_file_and_tensor(write_checkpoint):
    prefix = write_checkpoint(ARRAYS)
    file = prefix.with_name("model.ckpt-1.data-00000-of-00001")
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    checkpoint = TensorFlowCheckpoint(prefix)
    with pytest.raises(CheckpointError, match=rf"{file.name}: the checksum of a/kernel is wrong"):
        checkpoint.read("a/kernel")
    assert len(checkpoint.read("a/long")) == 7
    file.write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match=rf"{file.name} ends at byte"):
        TensorFlowCheckpoint(prefix)
    file.unlink()
    with pytest.raises(CheckpointError, match=rf"{file.name} is missing"):
        TensorFlowCheckpoint(prefix)


def test_a_shard_that_is_missing_is_named(write_checkpoint):
    prefix = write_checkpoint(ARRAYS, shards=2)
    prefix.with_name("model.ckpt-1.data-00001-of-00002").unlink()
    with pytest.raises(CheckpointError, match="data-00001-of-00002 is missing"):
        TensorFlowCheckpoint(prefix)


def test_a_checkpoint_is_found_by_any_of_its_names(write_checkpoint, tmp_path):
    prefix = write_checkpoint(ARRAYS)
    prefix.with_name("model.ckpt-1.meta").touch()
    names = [
        tmp_path,
        prefix,
        *(tmp_path / f"model.ckpt-1{end}" for end in (".index", ".meta", ".data-00000-of-00001")),
    ]
    assert {find_checkpoint(name) for name in names} == {prefix}
    assert all(is_tensorflow_checkpoint(name) for name in names)
    write_checkpoint(ARRAYS, name="model.ckpt-20")
    with pytest.raises(CheckpointError, match="holds 2 checkpoints"):
        find_checkpoint(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gs://gone/model.ckpt-20"\n')
    assert find_checkpoint(tmp_path).name == "model.ckpt-20"


def test_other_formats_are_called_by_their_names(write_checkpoint, tmp_path):
    prefix = write_checkpoint(ARRAYS)
    old = tmp_path / "old.ckpt"
    old.write_bytes(prefix.with_name("model.ckpt-1.index").read_bytes())
    keras = tmp_path / "tf_model.h5"
    keras.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for file, message in ((old, "first format"), (keras, "HDF5"), (tmp_path / "none", "there is no TensorFlow")):
        assert not is_tensorflow_checkpoint(file)
        with pytest.raises(CheckpointError, match=message):
            TensorFlowCheckpoint(file)


def test_an_entry_of_any_bytes_is_read_or_refused(write_checkpoint, tensor_entry):
    """Checksums keep accidents out, not a file that was made to harm."""
    random = np.random.default_rng(0)
    good = tensor_entry(ARRAYS["a/kernel"], 0, 0)
    refused = 0
    for _ in range(150):
        message = np.frombuffer(good, np.uint8).copy()
        places = random.integers(0, len(message), random.integers(1, 4))
        message[places] = random.integers(0, 256, len(places))
        prefix = write_checkpoint(ARRAYS, changed={"a/kernel": message.tobytes()})
        try:
            checkpoint = TensorFlowCheckpoint(prefix)
            for name in checkpoint.entries:
                checkpoint.read(name)
        except CheckpointError:
            refused += 1
    assert refused > 100
