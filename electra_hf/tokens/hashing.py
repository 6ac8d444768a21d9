"""Random numbers without a generator: SplitMix64 hashes (Steele, Lea and Flood, 2014) of where they are used."""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_WORD = 2**64 - 1


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's step: neighbouring uint64 become unrelated uint64."""
    values = values + GOLDEN
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def fractions(values: np.ndarray) -> np.ndarray:
    """uint64 hashes as float64 in [0, 1)."""
    return (values >> np.uint64(11)) * 2.0**-53


def row_keys(seed: int, epochs: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(batch,) uint64: one key per row, from (batch,) epochs and (batch,) samples."""
    start = mix(np.full(len(samples), seed & _WORD, dtype=np.uint64))
    return mix(mix(start ^ epochs.astype(np.uint64)) ^ samples.astype(np.uint64))
