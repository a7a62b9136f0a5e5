"""Features: hashed n-grams and the shape of a request, the same code in training and in production.

In: Requests. Out: a sparse matrix of hashed counts in compressed rows, and a few dense columns of structure. Words (1- and
2-grams) and byte n-grams of the deciding turn, words of the template, and the app each have a hash block of their own. Knows
nothing of weights or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.router.hashing import I64, Rows, Text, bucket, byte_grams, pairs, rows, stack, words
from planner.router.requests import Requests
from planner.router.structure import STRUCTURE, request_structure, text_structure

__all__ = ["STRUCTURE", "FeatureSpec", "Features", "features"]

#: [characters] read of a turn and of a template: head and tail of what is longer. Bounds the time of one decision.
_USER, _SYSTEM = (12_288, 4_096), (3_072, 1_024)
#: [characters] hashed at once: the work arrays stay in cache.
_CHUNK = 1 << 19


@dataclass(frozen=True)
class FeatureSpec:
    """Which features there are, and how large their hash blocks.

    Parameters
    ----------
    word_bits, char_bits, system_bits, app_bits: log₂ of each block's size; 0 leaves the block out.
    char_n: lengths [bytes] of the byte n-grams, each at least 2.
    """

    word_bits: int = 18
    char_bits: int = 17
    system_bits: int = 13
    app_bits: int = 12
    char_n: tuple[int, ...] = (4,)

    def __post_init__(self) -> None:
        bits = (self.word_bits, self.char_bits, self.system_bits, self.app_bits)
        if not all(0 <= b <= 24 for b in bits) or not all(2 <= n <= 16 for n in self.char_n):
            raise InputError(f"hash blocks of 2^{bits}, n-grams of {self.char_n} bytes", "at most 2^24 buckets, and 2 to 16 bytes")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where the word, n-gram, template and app blocks begin, and where the last ends."""
        sizes = [1 << bits if bits else 0 for bits in (self.word_bits, self.char_bits, self.system_bits, self.app_bits)]
        return (0, *np.cumsum(sizes).tolist())

    @property
    def dim(self) -> int:
        """Columns of the sparse part."""
        return self.offsets[-1]

    def state(self) -> dict[str, Any]:
        """Return the settings as plain values, for a manifest."""
        return {**asdict(self), "char_n": list(self.char_n)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> FeatureSpec:
        """Build from ``state()``."""
        return cls(**{**state, "char_n": tuple(state["char_n"])})


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
    parts = [_user(chunk, spec) for chunk in _chunks([_clip(t, *_USER) for t in requests.user])]
    blocks = [stack([p[0] for p in parts]), stack([p[1] for p in parts]), _system(requests.system, spec), _apps(requests.app, spec)]
    shape = np.concatenate([np.concatenate([p[2] for p in parts]), request_structure(requests)], axis=1)
    merged = _beside(blocks, spec.offsets)
    return Features(merged.indptr, merged.indices, merged.values, shape, spec)


def _user(texts: Sequence[str], spec: FeatureSpec) -> tuple[Rows, Rows, NDArray[np.float32]]:
    text = Text.of(texts)
    hashes, doc, length = words(text)
    grams = [byte_grams(text, n) for n in spec.char_n] if spec.char_bits else []
    return (
        _rows([(hashes, doc), pairs(hashes, doc)], spec.word_bits, len(text)),
        _rows(grams, spec.char_bits, len(text)),
        text_structure(text, hashes, doc, length),
    )


def _rows(grams: Sequence[tuple[Any, I64]], bits: int, n: int) -> Rows:
    return rows([(bucket(h, bits), doc) for h, doc in grams], bits, n) if bits else _empty(n)


def _empty(n: int) -> Rows:
    return Rows(np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def _system(texts: Sequence[str], spec: FeatureSpec) -> Rows:
    """Words of the templates; each different template is hashed once."""
    if not spec.system_bits or not any(texts):
        return _empty(len(texts))
    if len(texts) == 1:
        return _template(_clip(texts[0], *_SYSTEM), spec.system_bits)
    unique = {t: i for i, t in enumerate(dict.fromkeys(texts))}
    found = stack([_template(_clip(t, *_SYSTEM), spec.system_bits) for t in unique])
    return found.take(np.fromiter((unique[t] for t in texts), np.int64, len(texts)))


@lru_cache(256)
def _template(template: str, bits: int) -> Rows:
    """Hash one template; the few that a service uses are hashed once."""
    text = Text.of([template])
    hashes, doc, _ = words(text)
    return _rows([(hashes, doc), pairs(hashes, doc)], bits, 1)


def _apps(apps: Sequence[str], spec: FeatureSpec) -> Rows:
    n = len(apps)
    if not spec.app_bits:
        return _empty(n)
    codes = {a: crc32(a.encode("utf-8", "replace")) >> (32 - spec.app_bits) for a in dict.fromkeys(apps)}
    return Rows(np.arange(n + 1), np.fromiter((codes[a] for a in apps), np.int64, n), np.ones(n, np.float32))


def _beside(blocks: Sequence[Rows], offsets: Sequence[int]) -> Rows:
    """Put the blocks side by side: within a row, the first block's entries come first."""
    n = len(blocks[0])
    if n == 1:
        indices = np.concatenate([b.indices + o for b, o in zip(blocks, offsets, strict=False)])
        return Rows(np.array([0, len(indices)]), indices, np.concatenate([b.values for b in blocks]))
    counts = np.array([np.diff(b.indptr) for b in blocks])
    indptr = np.concatenate([[0], np.cumsum(counts.sum(0))])
    indices, values = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32)
    start = indptr[:-1].copy()
    for block, offset, count in zip(blocks, offsets, counts, strict=False):
        at = np.arange(len(block.indices)) + np.repeat(start - block.indptr[:-1], count)
        indices[at], values[at] = block.indices + offset, block.values
        start += count
    return Rows(indptr, indices, values)


def _clip(text: str, head: int, tail: int) -> str:
    return text if len(text) <= head + tail else text[:head] + " " + text[-tail:]


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ``texts`` into runs of about _CHUNK characters, at least one run."""
    ends = np.cumsum([len(t) for t in texts])
    cuts = np.flatnonzero(np.diff(ends // _CHUNK)) + 1 if len(texts) else np.zeros(0, np.int64)
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True):
        yield texts[start:stop]
