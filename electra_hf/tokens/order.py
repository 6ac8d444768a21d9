"""A random order of any length, of which any part can be computed without the rest.

Shuffling a list takes time and memory for all of it, and a run that goes on in the middle would have to do it again.
Here the place of every element is a function of (seed, epoch, position): a Feistel network on the pairs (left, right)
with left < height and right < width, where height x width is hardly more than the size (Black and Rogaway, Ciphers
with Arbitrary Finite Domains, 2002). Each round adds a hash of one half to the other, which can be undone, so the
network is a permutation of all pairs; a result past the size is sent through again until it is below it.
"""

import math

import numpy as np

from electra_hf.tokens.hashing import mix

# Four rounds would do for large halves. With 12, all orders of 3, 4 and 5 elements are equally likely (chi-square over
# 20,000 seeds); with 8, those of 5 are not.
_ROUNDS = 12
_WORD = 2**64 - 1


def permuted(positions: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """What stands at some positions of a random order of 0 ... size - 1, in time and memory of the positions.

    Args:
        positions: (n,) integers from 0 to size - 1.
        size: Of the whole, at most 2^62.
        seed: With `epoch` the key of the order.
        epoch: Another order for each.

    Returns:
        (n,) int64, each below `size`; over all positions every number comes once.

    >>> permuted(np.arange(10), 10, seed=1, epoch=0).tolist()
    [3, 1, 9, 8, 2, 6, 0, 4, 7, 5]
    >>> permuted(np.array([999_999_999_999]), 10**12, seed=1, epoch=0).tolist()
    [15912111167]
    """
    keys = _round_keys(seed, epoch)
    height = max(1, math.isqrt(size - 1) + 1)
    width = -(-size // height)
    places = _network(positions.astype(np.uint64), height, width, keys)
    while (outside := np.flatnonzero(places >= size)).size:
        places[outside] = _network(places[outside], height, width, keys)
    return places.astype(np.int64)


def _round_keys(seed: int, epoch: int) -> np.ndarray:
    start = mix(mix(np.array([seed & _WORD], dtype=np.uint64)) ^ np.uint64(epoch))
    return mix(start ^ np.arange(1, _ROUNDS + 1, dtype=np.uint64))


def _network(places: np.ndarray, height: int, width: int, keys: np.ndarray) -> np.ndarray:
    left, right = np.divmod(places, np.uint64(width))
    for left_key, right_key in zip(keys[::2], keys[1::2], strict=True):
        left = (left + mix(right ^ left_key) % np.uint64(height)) % np.uint64(height)
        right = (right + mix(left ^ right_key) % np.uint64(width)) % np.uint64(width)
    return left * np.uint64(width) + right
