"""Files to lines of text: decompression, decoding, and an explanation of everything that can go wrong with them.

Lines end with a line feed only: form feeds, U+0085 and U+2028 are text in real corpora, so neither `str.splitlines`
nor universal newlines are used. Nothing here holds more than one line, or one piece of a very long line.
"""

import bz2
import codecs
import difflib
import encodings.aliases
import gzip
import io
import logging
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import zstandard

from electra_hf.corpora.parts import MAX_DOCUMENT_CHARACTERS
from electra_hf.corpora.remote import RemoteReader, explain_failure, is_remote, network_errors
from electra_hf.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
ENCODING_ERRORS = ("strict", "replace", "ignore", "backslashreplace")
LONG_LINE_CHARACTERS = 10_000_000
MAX_RECORD_CHARACTERS = 2**28
# Text shrinks to a third or a tenth, a file of one line over and over to a hundredth.
MAX_EXPANSION = 500
EXPANSION_FREE_BYTES = 2**28

_HEAD_BYTES = 2**16
_READ_BYTES = 2**16
# All that these bytes expand to is in memory at once: at most 128 KiB of four bytes.
_ZSTANDARD_BYTES = 2**12
# Encodings that text without a declared one is often in, each with the encoding of its everyday characters.
_LIKELY_ENCODINGS = {
    "cp949": "iso2022_kr",
    "shift_jis": "iso2022_jp",
    "cp932": "iso2022_jp",
    "gb18030": "gb2312",
    "cp1252": "ascii",
}
_WIDE_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

logger = logging.getLogger(__name__)


def check_encoding(encoding: str, encoding_errors: str) -> None:
    """Check the two options.

    Raises:
        UsageError: Python has no such text encoding, or no such way to treat invalid bytes.
    """
    try:
        codecs.lookup(encoding)
        b" ".decode(encoding, "ignore")
    except (LookupError, ValueError) as error:
        aliases = encodings.aliases.aliases
        near = difflib.get_close_matches(encoding.lower().replace("-", "_"), aliases, n=1)
        hint = f"did you mean {aliases[near[0]].replace('_', '-')}? " if near else ""
        raise UsageError(
            f"unknown text encoding {encoding!r}: {hint}Use a name such as utf-8, utf-16, cp949, shift_jis or gb18030"
        ) from error
    if encoding_errors not in ENCODING_ERRORS:
        raise UsageError(f"unknown encoding_errors {encoding_errors!r}: use one of {', '.join(ENCODING_ERRORS)}")


def read_head(path: Path, encoding: str, *, follow_mark: bool = False) -> str:
    """The beginning of a file, decompressed and decoded leniently; empty when the file is empty.

    Args:
        path: The file; its last suffix tells the compression.
        encoding: Name of a text encoding.
        follow_mark: Whether a byte order mark takes precedence over `encoding`, rather than being an error.

    Raises:
        CorpusError: The file cannot be opened or decompressed, or is UTF-16 or binary and was not declared so.
    """
    with reading_errors(path, encoding), _open_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES)
    if not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        for bom, wide in _WIDE_BOMS:
            if head.startswith(bom):
                if follow_mark:
                    return head.decode(wide, "replace")
                raise CorpusError(f"{path}: it begins with the mark of {wide}, not {encoding}: add --encoding {wide}")
        # One stray NUL is dirt in a text; UTF-16 has many, at its line feeds at least.
        if head.count(0) * 100 > len(head):
            raise CorpusError(
                f"{path}: NUL byte at offset {head.index(0)}: if this is UTF-16 text add --encoding "
                f"{_utf16_variant(head)}; if it is not text, leave it out"
            )
    return head.decode(encoding, "replace").removeprefix("\ufeff")


def text_lines(path: Path, encoding: str, encoding_errors: str, *, whole: bool = False) -> Iterator[str]:
    """Yield the lines of a (compressed) text file, without their line ends and without a byte order mark.

    Args:
        path: The file; its last suffix tells the compression.
        encoding: Name of a text encoding.
        encoding_errors: What to do with invalid bytes, one of `ENCODING_ERRORS`.
        whole: Whether a line is a record that must stay in one piece. Otherwise a line above
            `MAX_DOCUMENT_CHARACTERS` comes in several, cut at white space where there is some.

    Raises:
        CorpusError: Bytes that cannot be read, decompressed or decoded, or a record that is too long.
    """
    limit = MAX_RECORD_CHARACTERS if whole else MAX_DOCUMENT_CHARACTERS
    with (
        reading_errors(path, encoding),
        _open_bytes(path) as raw,
        io.TextIOWrapper(raw, encoding, encoding_errors, newline="\n") as stream,
    ):
        number = 1
        characters = 0
        carried = stream.readline(limit).removeprefix("\ufeff")
        while carried:
            line, carried = carried, ""
            ended = line.endswith("\n")
            if len(line) >= limit and not ended:
                if whole:
                    raise CorpusError(
                        f"{path}, line {number}: longer than {limit} characters: this format holds one record a line; "
                        "was it written as one big array? Write one record a line, or split the record"
                    )
                line, carried = _cut_at_space(line)
            if characters <= LONG_LINE_CHARACTERS < characters + len(line):
                logger.warning(
                    "%s, line %d: a line of more than %d characters: check that its line ends are line feeds",
                    path,
                    number,
                    LONG_LINE_CHARACTERS,
                )
            yield line.removesuffix("\n").removesuffix("\r")
            characters = 0 if ended else characters + len(line)
            number += ended
            carried += stream.readline(limit - len(carried))


def text_chunks(path: Path, encoding: str, encoding_errors: str, size: int = 2**20) -> Iterator[str]:
    """Yield the text of a (compressed) file in chunks of about `size` characters, whatever lines it has.

    A byte order mark of UTF-16 or UTF-32 takes precedence over `encoding`; none is part of the text.

    Raises:
        CorpusError: Bytes that cannot be read, decompressed or decoded.
    """
    with reading_errors(path, encoding), _open_bytes(path) as raw:
        beginning = raw.read(4)
    for bom, wide in _WIDE_BOMS:
        if beginning.startswith(bom):
            encoding = wide
            break
    with (
        reading_errors(path, encoding),
        _open_bytes(path) as raw,
        io.TextIOWrapper(raw, encoding, encoding_errors, newline="\n") as stream,
    ):
        chunk = stream.read(size).removeprefix("\ufeff")
        while chunk:
            yield chunk
            chunk = stream.read(size)


def _cut_at_space(line: str) -> tuple[str, str]:
    """Split an unfinished line before its last word; a very long "word" is text without spaces, and stays."""
    head, *tail = line.rsplit(None, 1)
    return (head, tail[0]) if tail and len(tail[0]) < len(line) // 2 else (line, "")


@contextmanager
def reading_errors(path: Path, encoding: str) -> Iterator[None]:
    """Turn what reading `path` can raise into a `CorpusError` that says where, what and how to go on."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise CorpusError(_explain_invalid_bytes(path, encoding)) from error
    except UnicodeError as error:
        raise CorpusError(f"{path}: it is not {encoding} ({error}): name its encoding with --encoding") from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise CorpusError(_explain_corruption(path, error)) from error
    except (OSError, *network_errors()) as error:
        if isinstance(error, FileNotFoundError) and not is_remote(path):
            raise CorpusError(f"{path}: no such file: check the name") from error
        # bz2 reports invalid data as an OSError without a number.
        broken = type(error) is OSError and error.errno is None
        raise CorpusError(_explain_corruption(path, error) if broken else explain_failure(error, path)) from error


def _explain_corruption(path: Path, error: BaseException) -> str:
    kind = path.suffix.lstrip(".")
    return f"{path}: the file is truncated or is not {kind} data ({error}): download or compress it again"


def _utf16_variant(head: bytes) -> str:
    """The UTF-16 flavour that NUL bytes in text without a byte order mark speak for."""
    return "utf-16-be" if head[0::2].count(0) > head[1::2].count(0) else "utf-16-le"


def _explain_invalid_bytes(path: Path, encoding: str) -> str:
    """Read the file a second time up to the bytes that are not `encoding`, and say what they could be instead."""
    decoder = codecs.getincrementaldecoder(encoding)()
    fed = 0
    number = 1
    with reading_errors(path, encoding), _open_bytes(path) as stream:
        while True:
            line = stream.readline(2**20)
            fed += len(line)
            try:
                number += decoder.decode(line, final=not line).count("\n")
            except UnicodeDecodeError as error:
                # What was decoded last is the end of what was fed: the decoder keeps unfinished characters back.
                offset = fed - len(error.object) + error.start
                found = " ".join(f"{byte:02x}" for byte in error.object[error.start : error.start + 4])
                likely = _likely_encodings(error.object, stream.read(_HEAD_BYTES))
                hint = f"the line is valid {' and '.join(likely)}: try --encoding {likely[0]}" if likely else ""
                return (
                    f"{path}, line {number}, byte offset {offset}: the bytes {found} are not {encoding} "
                    f"({error.reason}): " + (f"{hint}, or" if hint else "use") + " --encoding_errors replace"
                )
            if not line:
                return f"{path}: some bytes are not {encoding}: use --encoding_errors replace"


def _likely_encodings(line: bytes, following: bytes) -> list[str]:
    """Encodings in which a line is valid, if possible with the text that follows it, the most plausible first."""

    def valid(data: bytes) -> dict[str, int]:
        return {name: rarity for name in _LIKELY_ENCODINGS if (rarity := _rarity(data, name)) is not None}

    found = valid(line + following) or valid(line)
    if "shift_jis" in found:
        # It is shift_jis with more characters, worth a word only where shift_jis fails.
        found.pop("cp932", None)
    return sorted(found, key=lambda name: found[name])


def _rarity(data: bytes, encoding: str) -> int | None:
    """How many characters a language seldom uses if `data` is in `encoding`; None when it cannot be."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None
    everyday = _LIKELY_ENCODINGS[encoding]
    rare = len(text) - len(text.encode(everyday, "ignore").decode(everyday, "ignore"))
    # Chinese characters are everyday ones in Chinese and Japanese, not in Korean.
    return rare + (sum("\u4e00" <= character <= "\u9fff" for character in text) if encoding == "cp949" else 0)


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryIO]:
    with _open_raw(path) as raw, _decompressed(path, raw) as stream:
        yield stream if stream is raw else io.BufferedReader(_Expansion(stream, raw, path), _READ_BYTES)


def _open_raw(path: Path) -> BinaryIO:
    return io.BufferedReader(RemoteReader(path), _READ_BYTES) if is_remote(path) else path.open("rb")


def _decompressed(path: Path, raw: BinaryIO) -> Any:
    match path.suffix.lower():
        case ".gz":
            return gzip.GzipFile(fileobj=raw)
        case ".bz2":
            return bz2.BZ2File(raw)
        case ".xz":
            return lzma.LZMAFile(raw)
        case ".zst":
            return io.BufferedReader(_ZstandardFile(raw), _READ_BYTES)
    return raw


class _Expansion(io.RawIOBase):
    """What comes out of a compressed file, as long as it is in some proportion to what goes in.

    A few kilobytes can hold gigabytes of one character, on which a run would spend its time, its disk or its memory.
    """

    def __init__(self, stream: Any, raw: BinaryIO, path: Path) -> None:
        self._stream, self._raw, self._path = stream, raw, path
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = self._stream.readinto(buffer)
        self._bytes += count
        # Where the file itself is read to is ahead of what has come out by a buffer at most.
        if self._bytes > EXPANSION_FREE_BYTES and self._bytes > MAX_EXPANSION * self._raw.tell():
            raise CorpusError(
                f"{self._path}: {self._raw.tell():,} bytes of it expand to more than {self._bytes:,}, over "
                f"{MAX_EXPANSION} times as many, as no text does: leave it out, or decompress it if it is meant so"
            )
        return count


class _ZstandardFile(io.RawIOBase):
    """The decompressed bytes of a Zstandard file of any number of frames.

    `zstandard.open` takes a truncated file for a complete one, which would silently shorten a corpus.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside_frame = False
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        while not self._ready:
            data = self._compressed or self._source.read(_ZSTANDARD_BYTES)
            if not data:
                if self._inside_frame:
                    raise EOFError("it ends in the middle of a frame")
                return 0
            self._ready = memoryview(self._frame.decompress(data))
            self._inside_frame = not self._frame.eof
            self._compressed = b""
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
