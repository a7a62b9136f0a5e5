"""Hashed n-grams of many texts at once, without a loop over words.

In: texts. Out: the hashes of their words, word pairs and byte n-grams, and counted hash buckets as compressed rows. Everything
is computed over the UTF-8 bytes with prefix sums; one text goes the same way as many. Knows nothing of requests or weights.

A word's hash is a difference of prefix sums of byte · B^position modulo 2⁶⁴, divided by B^start (B is odd, so it has an
inverse), then mixed. Buckets: Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, ICML 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "Text", "bucket", "byte_grams", "counted", "hash_word", "id_hashes", "pairs", "stack", "words"]

_BASE = 0x9E3779B97F4A7C15
_MIX, _PAIR, _SEED = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA24BAED4963EE407), np.uint64(0x8EBC6AF09C88C6E3)
_HALF = np.uint64(32)
_B = np.uint64(_BASE)
_FIRST = np.zeros(1, np.int64)
#: 1 + ln of every count up to 4,095, beginning at 0, which never occurs.
_LN = (1 + np.log(np.maximum(np.arange(4_096), 1))).astype(np.float32)

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
#: Upper-case ASCII becomes lower case; other bytes stay.
_LOWER = bytes(b + 32 if ord("A") <= b <= ord("Z") else b for b in range(256))
#: 1 for the bytes that words are made of: letters, digits, and everything outside ASCII.
_WORD = bytes(b >= 128 or chr(b).isalnum() for b in range(256))


@dataclass(frozen=True, eq=False, slots=True)
class Text:
    """``n`` texts as bytes, each followed by a blank and the whole preceded by one; text i is ``data[ends[i] - size[i] : ends[i]]``."""

    data: bytes
    ends: I64
    size: I64

    @classmethod
    def of(cls, texts: Sequence[str]) -> Text:
        """Encode ``texts``; a lone surrogate becomes a question mark."""
        encoded = [t.encode("utf-8", "replace") for t in texts]
        size = np.array([len(e) for e in encoded], np.int64)
        return cls(b" " + b" ".join(encoded) + b" ", (size + 1).cumsum(), size)

    def __len__(self) -> int:
        return len(self.ends)

    def mapped(self, table: bytes, kind: type[np.generic] = np.uint8) -> NDArray[Any]:
        """Return ``table[b]`` for every byte b of ``data``."""
        return np.frombuffer(self.data.translate(table), kind)

    def doc(self, positions: I64) -> I64 | None:
        """Return the text that each of the ascending byte ``positions`` lies in; None where there is one text."""
        if len(self) == 1:
            return None
        return np.repeat(np.arange(len(self)), np.diff(positions.searchsorted(self.ends, "right"), prepend=0))


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Compressed sparse rows."""

    indptr: I64
    indices: NDArray[Any]
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
    """B^0, B^1 … B^(2^log2) and B^-1, B^-2 …, modulo 2⁶⁴."""
    size = (1 << log2) + 1
    up, down = np.full(size, _B), np.full(size, np.uint64(pow(_BASE, -1, 1 << 64)))
    up[0] = 1
    return np.cumprod(up), np.cumprod(down)


def _half_mix(h: U64) -> U64:
    """Mix; the leading 32 bits, which buckets are made of, are those of ``_mix``."""
    return (h ^ (h >> _HALF)) * _MIX


def _mix(h: U64) -> U64:
    h = _half_mix(h)
    return h ^ (h >> _HALF)


def words(text: Text) -> tuple[U64, I64 | None, I64]:
    """Return every word's hash, text (None for one text) and length [bytes], in order."""
    inside, lower = text.mapped(_WORD, np.bool_), text.mapped(_LOWER)
    edge = (inside[1:] != inside[:-1]).nonzero()[0]
    before, last = edge[::2], edge[1::2]
    up, down = _powers(max(12, len(lower).bit_length()))
    sums = (lower * up[: len(lower)]).cumsum()
    return _mix((sums.take(last) - sums.take(before)) * down.take(before)), text.doc(last), last - before


def hash_word(word: str) -> int:
    """Return the hash that ``words`` gives a single lower-case word.

    >>> hash_word("why") == int(words(Text.of(["so why not"]))[0][1])
    True
    """
    return int(words(Text.of([word]))[0][0])


def pairs(hashes: U64, doc: I64 | None) -> tuple[U64, I64 | None]:
    """Return the hashes of adjacent words of the same text, good for buckets, and the text; ``doc`` is None for one text."""
    joined = _half_mix(hashes[:-1] * _PAIR + hashes[1:])
    if doc is None:
        return joined, None
    same = (doc[1:] == doc[:-1]).nonzero()[0]
    return joined.take(same), doc.take(same)


def id_hashes(ids: I64) -> U64:
    """Return a hash, good for buckets and pairs, of each token id."""
    return _half_mix(ids.view(np.uint64) + _SEED)


def byte_grams(text: Text, n: int) -> tuple[U64, I64 | None]:
    """Return the bucket hashes of all ``n``-byte windows (n ≥ 2) inside each text, blanks at its edges included, and the text."""
    lower = text.mapped(_LOWER)
    size = len(lower) - n + 1
    if size <= 0:
        return np.zeros(0, np.uint64), text.doc(np.zeros(0, np.int64))
    h = lower[:size].astype(np.uint64)
    for k in range(1, n):
        h *= _B
        h += lower[k : k + size]
    h = _half_mix(h + _SEED)
    starts = np.arange(size)
    doc = text.doc(starts + 1)
    if doc is None:
        return h, None
    inside = (starts + n - 1 <= text.ends[doc]).nonzero()[0]
    return h.take(inside), doc.take(inside)


def bucket(hashes: U64, bits: int) -> I64:
    """Return the leading ``bits`` of each hash."""
    return (hashes >> np.uint64(64 - bits)).view(np.int64)


def counted(column: NDArray[Any], doc: I64 | None, n: int, cuts: I64) -> Rows:
    """Count columns into ``n`` rows of ascending columns; the value is 1 + ln count. ``doc`` is None for one row.

    ``cuts`` are ascending columns, the first 0, the last above all: every row is cut into the segments between them, and ``indptr``
    bounds the segments of all rows.
    """
    if doc is None:
        unique, values = _tallied(column)
        return Rows(unique.searchsorted(cuts), unique, values)
    bits = (int(cuts[-1]) - 1).bit_length()
    unique, values = _tallied((doc << bits) | column)
    bounds = unique.searchsorted(np.concatenate([((np.arange(n) << bits)[:, None] + cuts[:-1]).ravel(), [n << bits]]))
    return Rows(bounds, unique & ((1 << bits) - 1), values)


def _tallied(keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return the different keys in ascending order, and 1 + ln of how often each stands there."""
    keys = keys.copy()
    keys.sort()
    starts = np.concatenate([_FIRST[: len(keys)], (keys[1:] != keys[:-1]).nonzero()[0] + 1])
    count = np.concatenate([starts[1:], [len(keys)]]) - starts
    return keys.take(starts), _LN.take(count) if len(keys) < len(_LN) else (1 + np.log(count)).astype(np.float32)


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
