"""Sorted string tables as LevelDB and TensorFlow write them: the format of a checkpoint's `.index`.

From the end: 48 bytes of footer say where the index block is; that says where the blocks of the table are. A block is
a run of entries, each a key whose beginning may be that of the key before, and a value; behind it are one byte for its
compression and a masked CRC-32C. Everything is checked before it is used, as files get damaged on their way.
"""

from collections.abc import Iterator
from pathlib import Path

from electra_hf.errors import CheckpointError, explain_os_error
from electra_hf.models.tf_checkpoint.crc32c import crc32c, unmask

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5
# Names and shapes of a few thousand tensors are a few hundred kB.
_LARGEST_TABLE = 1 << 26
_LARGEST_KEYS = 1 << 26
_COMPRESSIONS = {1: "snappy"}


class Damaged(Exception):
    """What is wrong with some bytes; the caller knows the file."""


def read_table(path: Path) -> dict[bytes, bytes]:
    """All entries of a table, in the order of their keys.

    Raises:
        CheckpointError: If the file cannot be read, is none or is damaged.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_TABLE:
            raise CheckpointError(f"{path}: {size:,} bytes are too many for the index of a TensorFlow checkpoint")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(explain_os_error(error, path)) from error
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        raise CheckpointError(
            f"{path}: not the index of a TensorFlow checkpoint, or cut off ({len(data):,} bytes, and the last eight "
            "are not the format's); copy it again"
        )
    try:
        return _read_entries(data)
    except Damaged as error:
        raise CheckpointError(f"{path} is damaged: {error}; copy the checkpoint again") from error


def _read_entries(data: bytes) -> dict[bytes, bytes]:
    footer = memoryview(data)[-_FOOTER:]
    position = 0
    handle = []
    for _ in range(4):  # offset and size of a block that nothing uses, then of the index block
        number, position = read_varint(footer, position)
        handle.append(number)
    entries: dict[bytes, bytes] = {}
    last, keys = None, 0
    for _, value in _entries(_block(data, handle[2], handle[3])):
        offset, position = read_varint(value, 0)
        size, _ = read_varint(value, position)
        for key, content in _entries(_block(data, offset, size)):
            if last is not None and key <= last:
                raise Damaged("its names are not in order")
            keys += len(key)
            if keys > _LARGEST_KEYS:
                raise Damaged(f"its names take more than {_LARGEST_KEYS:,} bytes")
            last = key
            entries[key] = bytes(content)
    return entries


def _block(data: bytes, offset: int, size: int) -> memoryview:
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise Damaged(f"a block from byte {offset} to {end} is outside of the file")
    stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    if crc32c(memoryview(data)[offset : end + 1]) != unmask(stored):
        raise Damaged(f"the checksum of the block at byte {offset} is wrong")
    if compression := data[end]:
        name = _COMPRESSIONS.get(compression, f"method {compression}")
        raise Damaged(f"the block at byte {offset} is compressed ({name}), which TensorFlow does not do")
    return memoryview(data)[offset:end]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if len(block) < 4:
        raise Damaged("a block is empty")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise Damaged("a block is shorter than its list of restarts")
    block = block[:end]
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        added, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or position + added + length > end:
            raise Damaged("an entry is longer than its block")
        key = key[:shared] + bytes(block[position : position + added])
        position += added
        yield key, block[position : position + length]
        position += length


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number in base 128, the lowest seven bits first, and the position behind it.

    Raises:
        Damaged: If it does not end within ten bytes or within the data.
    """
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise Damaged("a number does not end")
