"""Draws that belong to a request, not to a loop: counter-based, vectorised random numbers.

In: a seed, 64-bit keys (hashes of request ids) and a purpose. Out: one number per key, the same whatever the order, the
split or what else is drawn. A number is a bijective mix (the finaliser of SplitMix64, Steele, Lea and Flood 2014, applied
twice) of the key and a stream constant derived from (seed, purpose). Knows nothing of what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["constants", "key", "normal", "uniform", "words"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def key(request_ids: Iterable[str]) -> NDArray[np.uint64]:
    """Return a stable 64-bit key for every id: the first 8 bytes of its BLAKE2b, little-endian.

    >>> key(["chatcmpl-1", "chatcmpl-2"]).dtype
    dtype('uint64')
    >>> int(key(["a"])[0]) == int(key(["b", "a"])[1])
    True
    """
    digests = b"".join(blake2b(i.encode(), digest_size=8).digest() for i in request_ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def constants(seed: int, purpose: str) -> NDArray[np.uint64]:
    """Return the two constants, stream and offset, that stand for (seed, purpose): uint64 (2,)."""
    digest = blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=16).digest()
    return np.frombuffer(digest, "<u8").astype(np.uint64)


def words(seed: int, keys: NDArray[np.uint64], purpose: str) -> NDArray[np.uint64]:
    """Return one 64-bit word per key; equal (seed, key, purpose) always give the equal word."""
    stream, offset = constants(seed, purpose)
    return _mix(_mix(keys.astype(np.uint64, copy=False) + stream) ^ offset)


def uniform(seed: int, keys: NDArray[np.uint64], purpose: str) -> NDArray[np.float64]:
    """Return one float64 in (0, 1) per key, on the grid of (k + ½)·2⁻⁵³, so that no logarithm or quantile is infinite.

    >>> u = uniform(7, key(["a", "b"]), "latency")
    >>> bool(u[1] == uniform(7, key(["b"]), "latency")[0])
    True
    """
    high = words(seed, keys, purpose) >> np.uint64(11)
    return np.minimum((high.astype(np.float64) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def normal(seed: int, keys: NDArray[np.uint64], purpose: str) -> NDArray[np.float64]:
    """Return one standard normal per key (Box–Muller, the cosine half, of two uniforms)."""
    radius = np.sqrt(-2.0 * np.log(uniform(seed, keys, purpose + "/radius")))
    wave: NDArray[np.float64] = radius * np.cos(2.0 * np.pi * uniform(seed, keys, purpose + "/angle"))
    return wave


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))
