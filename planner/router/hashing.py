"""Hashed n-grams of many texts at once, without a loop over words.

In: texts. Out: per text the hash buckets of its words, word pairs and byte n-grams, counted, as compressed rows. Everything is
computed over the UTF-8 bytes with prefix sums. Knows nothing of requests or weights.

A word's hash is a difference of prefix sums of byte · B^position modulo 2⁶⁴, divided by B^start (B is odd, so it has an
inverse), then mixed. Buckets: Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, ICML 2009.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "Text", "bucket", "byte_grams", "hash_word", "pairs", "rows", "stack", "words"]

_BASE = 0x9E3779B97F4A7C15
_MIX, _PAIR, _SEED = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA24BAED4963EE407), np.uint64(0x8EBC6AF09C88C6E3)
_HALF = np.uint64(32)
_B = np.uint64(_BASE)

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
#: Upper-case ASCII becomes lower case; other bytes stay.
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
#: Bytes that words are made of: letters, digits, and everything outside ASCII.
_WORD = np.array([b >= 128 or chr(b).isalnum() for b in range(256)])


@dataclass(frozen=True, eq=False, slots=True)
class Text:
    """``n`` texts as bytes, each followed by a blank and the whole preceded by one; text i is ``data[ends[i] - size[i] : ends[i]]``."""

    data: NDArray[np.uint8]
    lower: NDArray[np.uint8]
    ends: I64
    size: I64

    @classmethod
    def of(cls, texts: Sequence[str]) -> Text:
        """Encode ``texts``; a lone surrogate becomes a question mark."""
        encoded = [t.encode("utf-8", "replace") for t in texts]
        data = np.frombuffer(b" " + b" ".join(encoded) + b" ", np.uint8)
        size = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(data, _LOWER[data], np.cumsum(size + 1), size)

    def __len__(self) -> int:
        return len(self.ends)

    def doc(self, positions: I64) -> I64:
        """Return the text that each byte position lies in."""
        return np.searchsorted(self.ends, positions) if len(self) > 1 else np.zeros(len(positions), np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Compressed sparse rows."""

    indptr: I64
    indices: I64
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, at: I64) -> Rows:
        """Return the rows at ``at``, repeated as asked."""
        count = np.diff(self.indptr)[at]
        indptr = np.concatenate([[0], np.cumsum(count)])
        source = np.arange(indptr[-1]) + np.repeat(self.indptr[at] - indptr[:-1], count)
        return Rows(indptr, self.indices[source], self.values[source])


@cache
def _powers(log2: int) -> tuple[U64, U64]:
    """B^0 … B^(2^log2) and their inverses, modulo 2⁶⁴."""
    size = (1 << log2) + 1
    up, down = np.full(size, _B), np.full(size, np.uint64(pow(_BASE, -1, 1 << 64)))
    up[0] = down[0] = 1
    return np.cumprod(up), np.cumprod(down)


def _mix(h: U64) -> U64:
    h = (h ^ (h >> _HALF)) * _MIX
    return h ^ (h >> _HALF)


def words(text: Text) -> tuple[U64, I64, I64]:
    """Return every word's hash, text and length [bytes], in order."""
    inside = _WORD[text.data]
    edge = inside[1:] != inside[:-1]
    at = np.flatnonzero(edge) + 1
    starts, ends = at[::2], at[1::2]
    up, down = _powers(max(12, len(text.data).bit_length()))
    sums = np.cumsum(text.lower * up[: len(text.data)])
    return _mix((sums[ends - 1] - sums[starts - 1]) * down[starts]), text.doc(starts), ends - starts


def hash_word(word: str) -> int:
    """Return the hash that ``words`` gives a single lower-case word.

    >>> hash_word("why") == int(words(Text.of(["so why not"]))[0][1])
    True
    """
    return int(words(Text.of([word]))[0][0])


def pairs(hashes: U64, doc: I64) -> tuple[U64, I64]:
    """Return the hashes of adjacent words of the same text, and the text."""
    same = doc[1:] == doc[:-1]
    return _mix(hashes[:-1][same] * _PAIR + hashes[1:][same]), doc[1:][same]


def byte_grams(text: Text, n: int) -> tuple[U64, I64]:
    """Return the hashes of all ``n``-byte windows (n ≥ 2) inside each text, blanks at its edges included, and the text."""
    size = len(text.lower) - n + 1
    if size <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    h = text.lower[:size].astype(np.uint64)
    for k in range(1, n):
        h *= _B
        h += text.lower[k : k + size]
    h = _mix(h + _SEED)
    if len(text) == 1:
        return h, np.zeros(size, np.int64)
    starts = np.arange(size)
    doc = text.doc(starts + 1)
    inside = starts + n - 1 <= text.ends[np.minimum(doc, len(text) - 1)]
    return h[inside], doc[inside]


def bucket(hashes: U64, bits: int) -> I64:
    """Return the leading ``bits`` of each hash."""
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def rows(parts: Iterable[tuple[I64, I64]], bits: int, n: int) -> Rows:
    """Count ``(buckets, texts)`` into ``n`` rows of 2^bits columns; the value is 1 + ln count."""
    keys = np.concatenate([(doc << bits) | at for at, doc in parts] or [np.zeros(0, np.int64)])
    keys.sort()
    first = np.flatnonzero(np.concatenate([[len(keys) > 0], keys[1:] != keys[:-1]]))
    count = np.diff(first, append=len(keys))
    unique = keys[first]
    indptr = np.searchsorted(unique, np.arange(n + 1) << bits)
    return Rows(indptr, unique & ((1 << bits) - 1), (1 + np.log(count)).astype(np.float32))


def stack(parts: Sequence[Rows]) -> Rows:
    """Put rows under each other."""
    if len(parts) == 1:
        return parts[0]
    counts = [np.zeros(1, np.int64), *(np.diff(p.indptr) for p in parts)]
    return Rows(
        np.cumsum(np.concatenate(counts)),
        np.concatenate([np.zeros(0, np.int64), *(p.indices for p in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(p.values for p in parts)]),
    )
