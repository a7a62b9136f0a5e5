"""Features: hashed n-grams and the shape of a request, the same code in training and in production.

In: Requests. Out: a sparse matrix of hashed counts in compressed rows, and a few dense columns of structure. The deciding turn
and the template, each read as tokens and pairs of neighbouring tokens, and the app have a hash block of their own. Tokens are
those that are counted anyway; they know case, punctuation, code and languages without blanks. Knows nothing of weights or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.router.hashing import I64, MOST_BITS, MOST_ROWS, U32, Rows, counted, grams, stack
from planner.router.requests import Requests
from planner.router.structure import STRUCTURE, amounts, structure
from planner.text.tokens import token_ids

__all__ = ["STRUCTURE", "TEMPLATE", "TURN", "Ends", "FeatureSpec", "Features", "Part", "app_column", "features", "parts"]

#: [tokens] hashed at once: the work arrays stay in cache.
_CHUNK = 1 << 14


@dataclass(frozen=True)
class FeatureSpec:
    """Which features there are: log₂ of the size of each hash block; 0 leaves the block out."""

    token_bits: int = 18
    template_bits: int = 13
    app_bits: int = 12

    def __post_init__(self) -> None:
        if not all(0 <= b <= MOST_BITS for b in self._bits):
            raise InputError(f"hash blocks of 2^{self._bits}", f"at most 2^{MOST_BITS} buckets")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where the token, template and app blocks begin, and where the last ends."""
        return (0, *np.cumsum([1 << bits if bits else 0 for bits in self._bits]).tolist())

    @property
    def _bits(self) -> tuple[int, ...]:
        return self.token_bits, self.template_bits, self.app_bits

    @property
    def dim(self) -> int:
        """Columns of the sparse part."""
        return self.offsets[-1]

    def state(self) -> dict[str, Any]:
        """Return the settings as plain values, for a manifest."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> FeatureSpec:
        """Build from ``state()``."""
        return cls(**state)


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Compressed rows of 1 + ln count (``indptr, indices, values``), ordered by block, and ``structure`` (n, len(STRUCTURE))."""

    indptr: I64
    indices: I64
    values: NDArray[np.float32]
    structure: NDArray[np.float32]
    spec: FeatureSpec

    def __len__(self) -> int:
        return len(self.indptr) - 1


def features(requests: Requests, spec: FeatureSpec) -> Features:
    """Compute the features of ``requests``: deterministic, and total, since any text has features.

    >>> f = features(Requests.of(["What is 2+2?", ""]), FeatureSpec())
    >>> len(f), f.structure.shape == (2, len(STRUCTURE)), len(f.indices) > 0
    (2, True, True)
    """
    unique = {t: i for i, t in enumerate(dict.fromkeys(requests.system))}
    templates = _rows(tuple(unique), TEMPLATE, spec.template_bits)
    templates = templates.take(np.fromiter((unique[t] for t in requests.system), np.int64, len(requests)))
    turns = _rows(requests.user, TURN, spec.token_bits)
    merged = _beside([turns, templates, _apps(requests.app, spec)], spec.offsets)
    sizes = np.concatenate([amounts(p.ids, p.bounds) for p in parts(requests.user, TURN)])
    return Features(merged.indptr, merged.indices, merged.values, structure(requests, sizes), spec)


@dataclass(frozen=True, slots=True)
class Ends:
    """[tokens] read of a text: head and tail of what is longer, so that the time of one decision is bounded."""

    head: int
    tail: int

    def of(self, ids: U32, bounds: I64) -> tuple[U32, I64]:
        """Return the tokens that are read of each text, and where each text's begin and the last one's end."""
        size = np.diff(bounds)
        if size.max(initial=0) <= self.head + self.tail:
            return ids, bounds
        place = np.arange(len(ids)) - bounds[:-1].repeat(size)
        kept = (place < self.head) | (place >= (size - self.tail).repeat(size))
        return ids[kept], np.append(0, np.minimum(size, self.head + self.tail).cumsum())


TURN, TEMPLATE = Ends(3_072, 1_024), Ends(768, 256)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Some texts: the ids of their tokens as far as these are read, and where each text's begin and the last one's end."""

    ids: U32
    bounds: I64

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def grams(self, bits: int) -> tuple[I64, U32 | None]:
        """Return the bucket of every token and pair of neighbours, and the text it is in; None where there is one text."""
        return grams(self.ids, self.bounds, bits)


def parts(texts: Sequence[str], read: Ends) -> Iterator[Part]:
    """Yield the tokens of ``texts``, some texts at a time, at least once."""
    ids, bounds = read.of(*token_ids(texts))
    cuts = [0, *_cuts(bounds), len(texts)]
    if len(cuts) == 2:
        yield Part(ids, bounds)
        return
    for start, stop in pairwise(cuts):
        yield Part(ids[bounds[start] : bounds[stop]], bounds[start : stop + 1] - bounds[start])


def _cuts(bounds: I64) -> list[int]:
    """Return where to cut texts into runs of about _CHUNK tokens and less than MOST_ROWS texts."""
    if len(bounds) <= MOST_ROWS and bounds[-1] <= _CHUNK:
        return []
    run = bounds[:-1] // _CHUNK + np.arange(len(bounds) - 1) // (MOST_ROWS // 2)
    cuts: list[int] = ((run[1:] != run[:-1]).nonzero()[0] + 1).tolist()
    return cuts


def _rows(texts: Sequence[str], read: Ends, bits: int) -> Rows:
    """Count the buckets of each text."""
    if not bits:
        return Rows(np.zeros(len(texts) + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    return stack([counted(*p.grams(bits), len(p), bits) for p in parts(texts, read)])


def app_column(app: str, spec: FeatureSpec) -> int:
    """Return the column of an app."""
    return spec.offsets[2] + (crc32(app.encode("utf-8", "replace")) >> (32 - spec.app_bits))


def _apps(apps: Sequence[str], spec: FeatureSpec) -> Rows:
    n = len(apps)
    if not spec.app_bits:
        return Rows(np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    codes = {a: app_column(a, spec) - spec.offsets[2] for a in dict.fromkeys(apps)}
    return Rows(np.arange(n + 1), np.fromiter((codes[a] for a in apps), np.int64, n), np.ones(n, np.float32))


def _beside(blocks: Sequence[Rows], offsets: Sequence[int]) -> Rows:
    """Put the blocks side by side, each at its offset: within a row, the first block's entries come first."""
    counts = np.array([np.diff(b.indptr) for b in blocks])
    indptr = np.concatenate([[0], np.cumsum(counts.sum(0))])
    indices, values = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32)
    start = indptr[:-1].copy()
    for block, count, offset in zip(blocks, counts, offsets[:-1], strict=True):
        at = np.arange(len(block.indices)) + np.repeat(start - block.indptr[:-1], count)
        indices[at], values[at] = block.indices, block.values
        indices[at] += offset
        start += count
    return Rows(indptr, indices, values)
