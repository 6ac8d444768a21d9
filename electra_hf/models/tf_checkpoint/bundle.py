"""TensorFlow checkpoints (format V2, "tensor bundle") without TensorFlow.

A checkpoint `model.ckpt-100` is a table `model.ckpt-100.index` of names, dtypes, shapes and places, and one or more
files `model.ckpt-100.data-00000-of-00001` with the bytes of the tensors. `TensorFlowCheckpoint` reads the table at
once and a tensor when it is asked for; sizes are compared with those of the files before anything is allocated,
checksums are verified, and nothing is executed. The messages of the table are those of TensorFlow's
tensor_bundle.proto; the few fields that are needed are read here.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from electra_hf.errors import CheckpointError, UsageError, explain_os_error
from electra_hf.models.tf_checkpoint.crc32c import crc32c, unmask
from electra_hf.models.tf_checkpoint.table import MAGIC, Damaged, read_table, read_varint

INDEX_SUFFIX = ".index"
_SIBLINGS = (INDEX_SUFFIX, ".meta", ".data-")
_STATE_FILE = "checkpoint"
_STRING = 7
_BFLOAT16 = 14
# Numbers of TensorFlow's types.proto; bfloat16 is read as its 16 bits.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", _BFLOAT16: "<u2", 19: "<f2"}
# Types that weights may have.
FLOATS = (1, 2, _BFLOAT16, 19)
_MOST_DIMENSIONS = 254


@dataclass(frozen=True)
class TensorEntry:
    """What the table says of one tensor.

    Attributes:
        dtype: Number in types.proto.
        shape: Sizes of its dimensions.
        shard: Number of the data file.
        offset: Its first byte there.
        size: Bytes.
        checksum: Masked CRC-32C of the bytes.
        sliced: It is stored in parts under other names.
    """

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    sliced: bool = False


class TensorFlowCheckpoint:
    """The tensors of one checkpoint by name.

    Args:
        path: The checkpoint as TensorFlow calls it (`.../model.ckpt-100`), one of its files, or a folder of them.

    Attributes:
        prefix: The checkpoint as TensorFlow calls it.
        entries: {name: what the table says}, in the order of the names.

    Raises:
        CheckpointError: If there is no checkpoint, a file is missing or damaged, or it is not of this format.
    """

    def __init__(self, path: str | Path):
        self.prefix = find_checkpoint(Path(path))
        index = Path(f"{self.prefix}{INDEX_SUFFIX}")
        table = read_table(index)
        try:
            shards = _shard_count(table.pop(b"", b""))
            self.entries = {
                # The parts of a sliced tensor have keys that are no text.
                key.decode("utf-8", errors="backslashreplace"): _entry(value, shards)
                for key, value in table.items()
            }
        except Damaged as error:
            raise CheckpointError(f"{index} is damaged: {error}; copy the checkpoint again") from error
        used = sorted({entry.shard for entry in self.entries.values()})
        self._shards = {number: Path(f"{self.prefix}.data-{number:05d}-of-{shards:05d}") for number in used}
        self._check_places()

    def _check_places(self) -> None:
        sizes = {}
        for number, path in self._shards.items():
            if not path.is_file():
                raise CheckpointError(
                    f"{path} is missing: {self.prefix.name}{INDEX_SUFFIX} names it, and the weights are in it; copy "
                    "all files of the checkpoint into one folder"
                )
            sizes[number] = path.stat().st_size
        for name, entry in self.entries.items():
            if entry.dtype in _DTYPES and not entry.sliced:
                expected = math.prod(entry.shape) * np.dtype(_DTYPES[entry.dtype]).itemsize
                if expected != entry.size:
                    raise CheckpointError(
                        f"{self.prefix}{INDEX_SUFFIX} is damaged: {name} has {entry.size:,} bytes, and its shape "
                        f"{entry.shape} takes {expected:,}; copy the checkpoint again"
                    )
            if entry.offset + entry.size > sizes[entry.shard]:
                raise CheckpointError(
                    f"{self._shards[entry.shard]} ends at byte {sizes[entry.shard]:,}, and {name} reaches to byte "
                    f"{entry.offset + entry.size:,}: the file is cut off or of another checkpoint; copy it again"
                )
        if sum(entry.size for entry in self.entries.values()) > sum(sizes.values()):
            raise CheckpointError(f"{self.prefix}{INDEX_SUFFIX} is damaged: its tensors overlap; copy it again")

    def read(self, name: str) -> np.ndarray:
        """One tensor, bfloat16 as float32.

        Args:
            name: A key of `entries`.

        Raises:
            CheckpointError: If it has no numbers, is stored in slices, or its bytes are damaged.
        """
        entry = self.entries[name]
        where = f"{self.prefix}: {name}"
        if entry.sliced:
            raise CheckpointError(f"{where} is stored in slices (a partitioned variable), which is not supported")
        if entry.dtype not in _DTYPES:
            kind = "text" if entry.dtype == _STRING else f"of TensorFlow's type number {entry.dtype}"
            raise CheckpointError(f"{where} is {kind}, and numbers are expected")
        path = self._shards[entry.shard]
        try:
            with path.open("rb") as file:
                file.seek(entry.offset)
                data = file.read(entry.size)
        except OSError as error:
            raise CheckpointError(explain_os_error(error, path)) from error
        if len(data) != entry.size or crc32c(data) != unmask(entry.checksum):
            raise CheckpointError(f"{path}: the checksum of {name} is wrong: the file is damaged; copy it again")
        array = np.frombuffer(data, _DTYPES[entry.dtype]).reshape(entry.shape)
        if entry.dtype == _BFLOAT16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def find_checkpoint(path: Path) -> Path:
    """The name that the files of a checkpoint have in common.

    Args:
        path: That name, one of the files, or a folder, whose `checkpoint` says which is the latest unless it is alone.

    Raises:
        CheckpointError: If there is none, or several and nothing says which.
    """
    for suffix in _SIBLINGS:
        # "model.ckpt-100.data-00000-of-00001" and the like, from completing a name in a shell.
        stem, found, _ = path.name.rpartition(suffix)
        if found and path.with_name(f"{stem}{INDEX_SUFFIX}").is_file():
            return path.with_name(stem)
    if Path(f"{path}{INDEX_SUFFIX}").is_file():
        return path
    if path.is_dir():
        return _latest(path)
    if path.is_file():
        raise CheckpointError(f"{path}: {_other_format(path)}")
    raise CheckpointError(
        f"there is no TensorFlow checkpoint {path}: {path.name}{INDEX_SUFFIX} is expected, and {path.name}.data-… "
        "beside it; give the name without .index, as in model.ckpt-1000000"
    )


def is_tensorflow_checkpoint(path: str | Path) -> bool:
    """Whether a local path is a TensorFlow checkpoint, one of its files, or a folder that holds nothing but that."""
    path = Path(path)
    if path.is_dir():
        return not (path / "config.json").exists() and any(path.glob(f"*{INDEX_SUFFIX}"))
    names = [path.name, *(path.name.rpartition(suffix)[0] for suffix in _SIBLINGS)]
    return any(name and path.with_name(f"{name}{INDEX_SUFFIX}").is_file() for name in names)


def refuse_tensorflow_checkpoint(path: str | None, option: str) -> None:
    """Say how to import a checkpoint that was given where a model of transformers is expected.

    Raises:
        UsageError: If it is one.
    """
    if path is not None and is_tensorflow_checkpoint(path):
        raise UsageError(
            f"--{option} {path} is a TensorFlow checkpoint: import it first with `electra-hf import {path} "
            "--output_dir FOLDER`, and give that folder"
        )


def _latest(folder: Path) -> Path:
    names = sorted(path.name.removesuffix(INDEX_SUFFIX) for path in folder.glob(f"*{INDEX_SUFFIX}"))
    state = folder / _STATE_FILE
    if state.is_file():
        try:
            lines = state.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise CheckpointError(explain_os_error(error, state)) from error
        for line in lines:
            key, _, value = line.partition(":")
            # The folder it was written in may be gone.
            if key.strip() == "model_checkpoint_path" and Path(value.strip().strip('"')).name in names:
                return folder / Path(value.strip().strip('"')).name
    if len(names) != 1:
        found = f"holds {len(names)} checkpoints ({', '.join(names[:5])})" if names else "holds none"
        raise CheckpointError(f"{folder} {found}: name one TensorFlow checkpoint, such as {folder}/model.ckpt-1000000")
    return folder / names[0]


def _other_format(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        tail = file.read()
    if tail == MAGIC:
        return (
            "a TensorFlow checkpoint in the first format (V1: one file, no .index beside it), which is not supported; "
            "restore it in TensorFlow and save it again with tf.compat.v1.train.Saver, which writes V2"
        )
    if head == b"\x89HDF\r\n\x1a\n":
        return "a Keras file (HDF5), not a TensorFlow checkpoint; load it in Keras and save its weights as one"
    return f"not a TensorFlow checkpoint: there is no {path.name}{INDEX_SUFFIX} beside it"


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a Protocol Buffers message: bytes for nested ones, else an integer."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        wire = key & 7
        if wire == 0:
            value, position = read_varint(data, position)
            yield key >> 3, value
            continue
        if wire == 2:
            length, position = read_varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise Damaged("an entry is no message of this format")
        content = data[position : position + length]
        position += length
        if position > len(data):
            raise Damaged("an entry ends too early")
        yield key >> 3, content if wire == 2 else int.from_bytes(content, "little")


def _shard_count(header: bytes) -> int:
    fields = dict(_fields(memoryview(header)))
    shards, big_endian = fields.get(1, 0), fields.get(2, 0)
    if not isinstance(shards, int) or not 0 < shards < 100_000:
        raise Damaged(f"it says that there are {shards} data files")
    if big_endian:
        raise Damaged("its numbers are big-endian, which is not supported")
    return shards


def _entry(value: bytes, shards: int) -> TensorEntry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    sliced = False
    for field, content in _fields(memoryview(value)):
        if field == 2 and isinstance(content, memoryview):
            shape = _shape(content)
        elif field == 7:
            sliced = True
        elif field in numbers and isinstance(content, int):
            numbers[field] = content
    if numbers[3] >= shards:
        raise Damaged(f"a tensor is in data file {numbers[3]} of {shards}")
    return TensorEntry(numbers[1], shape, numbers[3], numbers[4], numbers[5], numbers[6], sliced)


def _shape(message: memoryview) -> tuple[int, ...]:
    sizes = []
    for field, dimension in _fields(message):
        if field == 2 and isinstance(dimension, memoryview):
            size = dict(_fields(dimension)).get(1, 0)
            if not isinstance(size, int) or size >= 1 << 62 or len(sizes) >= _MOST_DIMENSIONS:
                raise Damaged("a tensor has an impossible shape")
            sizes.append(size)
    return tuple(sizes)
