"""What of a text is compared: a digest, and for near duplicates the band keys of MinHash (pure).

MinHash (Broder, 1997) draws a random order of all shingles and keeps the first one of a text; two texts agree in it
with the probability of their Jaccard similarity s: how many shingles both have, divided by how many either has. Orders
are gathered in bands of a few rows. Two texts are near duplicates if they agree in all rows of some band, which
happens with probability 1 - (1 - s^rows)^bands: with 14 bands of 8 rows (those of FineWeb; Penedo et al., 2024) 0.001
at s = 0.3, 0.05 at 0.5, 0.56 at 0.7, 0.92 at 0.8 and 0.9996 at 0.9. Matches are not verified beyond that.

An order is the product with a random odd number plus a random number, modulo 2^32; the shingles are mixed before. This
is written in numpy rather than taken from a package because it then works on many texts at once, needs no model of a
language to find words, and gives the same numbers on every machine; `benchmarks/deduplication.py` compares the speed.
"""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from electra_hf.corpora.deduplication.shingles import BATCH_CHARACTERS, mix, shingles
from electra_hf.corpora.parts import pieces
from electra_hf.errors import UsageError

METHODS = ("exact", "minhash")
# The rows of an array of signatures: uint64, a column for each record.
DIGEST = (0, 1)  # both 0: no text
CHARACTERS = 2
PREVIEW = slice(3, 13)  # the first bytes of the text in UTF-8
BANDS = 13  # the first of them; a key of 0 stands for a text without words
_PREVIEW_BYTES = 80
_NONE_YET = 2**32 - 1


@dataclass(frozen=True)
class DeduplicationSettings:
    """Which records are duplicates.

    Attributes:
        method: "exact" for equal texts, whatever their white space and Unicode composition; "minhash" for those that
            also have most of their shingles in common.
        bands: of "minhash"; more of them find less similar texts, at 8 bytes a record each.
        rows: of a band; more of them find only more similar texts.
        shingle_words: consecutive words that are compared as one.
    """

    method: Literal["exact", "minhash"] = "exact"
    bands: int = 14
    rows: int = 8
    shingle_words: int = 5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method: {self.method!r} is unknown; choose {' or '.join(METHODS)}")
        for name, limit in (("bands", 1000), ("rows", 1000), ("shingle_words", 100)):
            if not 1 <= getattr(self, name) <= limit:
                raise UsageError(f"{name}: {getattr(self, name)} is out of range; choose 1 to {limit}")

    @property
    def threshold(self) -> float:
        """About the similarity at which two texts are found in half of the cases."""
        return (1 / self.bands) ** (1 / self.rows)

    @property
    def numbers(self) -> int:
        """Numbers in the signature of a record."""
        return BANDS + (self.bands if self.method == "minhash" else 0)

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result: "exact" knows no shingles."""
        return asdict(self) if self.method == "minhash" else {"method": self.method}


def sign(texts: Sequence[str], settings: DeduplicationSettings) -> NDArray[np.uint64]:
    """The signatures of texts, (numbers, texts), uint64. Each depends on its own text only; no text has only zeros."""
    normal = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
    signatures = np.zeros((settings.numbers, len(texts)), np.uint64)
    signatures[:BANDS] = np.frombuffer(b"".join(map(_head, normal)), "<u8").reshape(-1, BANDS).T
    if settings.method == "minhash":
        signatures[BANDS:] = _band_keys(normal, settings)
    return signatures


def preview(numbers: NDArray[np.uint64]) -> str:
    """The beginning of a text, from the numbers at `PREVIEW`."""
    return numbers.astype("<u8").tobytes().rstrip(b"\0").decode("utf-8", "ignore")


def _head(text: str) -> bytes:
    if not text:
        return bytes(8 * BANDS)
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return digest + len(text).to_bytes(8, "little") + data[:_PREVIEW_BYTES].ljust(_PREVIEW_BYTES, b"\0")


def _band_keys(texts: Sequence[str], settings: DeduplicationSettings) -> NDArray[np.uint64]:
    """Band keys, (bands, texts), of normal texts."""
    minima = np.full((settings.bands * settings.rows, len(texts)), _NONE_YET, np.uint32)
    worded = np.zeros(len(texts), bool)
    for owners, batch in _batches(texts):
        found = shingles(batch, settings.shingle_words)
        if len(found.hashes) == 0:
            continue
        owner = owners[found.texts]
        starts = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
        smallest = _minima(found.hashes, starts, len(minima))
        minima[:, owner[starts]] = np.minimum(minima[:, owner[starts]], smallest)
        worded[owner[starts]] = True
    # A sum of products with random odd numbers; a band is compared only with the same band of other texts.
    factors = _random(settings.rows, 2) | np.uint64(1)
    rows = minima.reshape(settings.bands, settings.rows, len(texts)).astype(np.uint64) + np.uint64(1)
    keys = mix((rows * factors[:, None]).sum(axis=1, dtype=np.uint64))
    return np.where(worded, keys, np.uint64(0))


def _minima(hashes: NDArray[np.uint32], starts: NDArray[np.int64], orders: int) -> NDArray[np.uint32]:
    """The smallest image of each run of hashes under every order, (orders, runs)."""
    factors = (_random(orders, 0) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    terms = (_random(orders, 1) >> np.uint64(32)).astype(np.uint32)
    smallest = np.empty((orders, len(starts)), np.uint32)
    image = np.empty_like(hashes)
    for order in range(orders):
        np.multiply(hashes, factors[order], out=image)
        np.add(image, terms[order], out=image)
        np.minimum.reduceat(image, starts, out=smallest[order])
    return smallest


@cache
def _random(size: int, stream: int) -> NDArray[np.uint64]:
    """Numbers that are the same with every version of numpy."""
    return mix(mix(np.arange(1, size + 1, dtype=np.uint64)) + np.uint64(stream))


def _batches(texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """The texts, oversized ones in pieces, up to `BATCH_CHARACTERS` together, and the number of each one's text."""
    owners: list[int] = []
    batch: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        for piece in pieces(text, BATCH_CHARACTERS - 1):
            if batch and size + len(piece) + 1 > BATCH_CHARACTERS:
                yield np.array(owners), batch
                owners, batch, size = [], [], 0
            owners.append(number)
            batch.append(piece)
            size += len(piece) + 1
    if batch:
        yield np.array(owners), batch
