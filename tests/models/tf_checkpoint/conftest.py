"""A writer of TensorFlow's checkpoint format, for what TensorFlow would not write, and the checkpoints it wrote."""

import struct
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest

from electra_hf.models.tf_checkpoint.bundle import TensorFlowCheckpoint
from electra_hf.models.tf_checkpoint.crc32c import crc32c

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


def masked(data: bytes) -> bytes:
    checksum = crc32c(data)
    return struct.pack("<I", (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def nested(field: int, message: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(message)) + message


def block(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """Keys share what they have in common with the one before; one restart."""
    body, before = b"", b""
    for key, value in entries:
        shared = next((i for i, pair in enumerate(zip(key, before, strict=False)) if pair[0] != pair[1]), None)
        shared = min(len(key), len(before)) if shared is None else shared
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    body += struct.pack("<II", 0, 1) + bytes([compression])
    return body + masked(body)


def table(entries: list[tuple[bytes, bytes]], *, compression: int = 0, entries_per_block: int = 3) -> bytes:
    data, handles = b"", []
    for start in range(0, len(entries), entries_per_block):
        piece = block(entries[start : start + entries_per_block], compression)
        handles.append((entries[start : start + entries_per_block][-1][0], varint(len(data)) + varint(len(piece) - 5)))
        data += piece
    index = block(handles)
    handle = varint(0) + varint(0) + varint(len(data)) + varint(len(index) - 5)
    return data + index + handle.ljust(40, b"\0") + MAGIC


def entry(array: np.ndarray, shard: int, offset: int, *, dtype: int | None = None, sliced: bool = False) -> bytes:
    data = array.tobytes()
    shape = b"".join(nested(2, integer(1, size)) for size in array.shape)
    message = integer(1, dtype or DTYPES[array.dtype.name]) + nested(2, shape) + integer(3, shard)
    message += integer(4, offset) + integer(5, len(data)) + varint(6 << 3 | 5) + masked(data)
    return message + (nested(7, b"") if sliced else b"")


Write = Callable[..., Path]


@pytest.fixture
def write_checkpoint(tmp_path) -> Write:
    """Write arrays as a checkpoint and return its name; keyword arguments make it unusual."""

    def write(
        tensors: dict[str, np.ndarray],
        *,
        name: str = "model.ckpt-1",
        shards: int = 1,
        header: bytes | None = None,
        dtypes: dict[str, int] | None = None,
        sliced: Collection[str] = (),
        changed: dict[str, bytes] | None = None,
        compression: int = 0,
    ) -> Path:
        prefix = tmp_path / name
        data = [b""] * shards
        entries = [(b"", integer(1, shards) if header is None else header)]
        for number, (key, array) in enumerate(sorted(tensors.items())):
            shard = number % shards
            kind = (dtypes or {}).get(key)
            message = entry(array, shard, len(data[shard]), dtype=kind, sliced=key in sliced)
            entries.append((key.encode(), (changed or {}).get(key, message)))
            data[shard] += array.tobytes()
        Path(f"{prefix}.index").write_bytes(table(entries, compression=compression))
        for number, content in enumerate(data):
            Path(f"{prefix}.data-{number:05d}-of-{shards:05d}").write_bytes(content)
        return prefix

    return write


@pytest.fixture
def tensor_entry() -> Callable[..., bytes]:
    """What a table says of an array: (array, shard, offset) to bytes."""
    return entry


@pytest.fixture(scope="session")
def data() -> Path:
    return Path(__file__).parent / "data"


@pytest.fixture
def google_arrays(data) -> dict[str, np.ndarray]:
    """The tensors of the checkpoint with both halves, to be written again with changes."""
    checkpoint = TensorFlowCheckpoint(data / "google")
    return {name: checkpoint.read(name) for name in checkpoint.entries if "/adam_" not in name}
