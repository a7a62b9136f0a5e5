"""Features: hashed n-grams and the shape of a request, the same code in training and in production.

In: Requests. Out: a sparse matrix of hashed counts in compressed rows, and a few dense columns of structure. Tokens and words
(1- and 2-grams) and byte n-grams of the deciding turn, words of the template, and the app each have a hash block of their own.
Knows nothing of weights or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.router.hashing import I64, U64, Rows, Text, bucket, byte_grams, counted, id_hashes, pairs, stack, words
from planner.router.requests import Requests
from planner.router.structure import STRUCTURE, amounts, structure
from planner.text.tokens import token_ids

__all__ = ["STRUCTURE", "FeatureSpec", "Features", "features"]

#: Columns, and the turn each occurrence is in; None where there is one turn.
Gram: TypeAlias = tuple[I64, I64 | None]

#: Blocks of the deciding turn; those of the template and the app follow.
TURN = 3
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
    token_bits: log₂ of the size of the block of the tokenizer's own tokens.
    """

    word_bits: int = 18
    char_bits: int = 17
    system_bits: int = 13
    app_bits: int = 12
    char_n: tuple[int, ...] = (4,)
    token_bits: int = 0

    def __post_init__(self) -> None:
        bits = self._bits
        if not all(0 <= b <= 24 for b in bits) or not all(2 <= n <= 16 for n in self.char_n):
            raise InputError(f"hash blocks of 2^{bits}, n-grams of {self.char_n} bytes", "at most 2^24 buckets, and 2 to 16 bytes")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where the token, word, n-gram, template and app blocks begin, and where the last ends."""
        return (0, *np.cumsum([1 << bits if bits else 0 for bits in self._bits]).tolist())

    @property
    def _bits(self) -> tuple[int, ...]:
        return self.token_bits, self.word_bits, self.char_bits, self.system_bits, self.app_bits

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
    turns, sizes = [], []
    for found in occurrences(requests, spec):
        turns.append(counted(found.column, found.doc, found.n, np.array([0, spec.offsets[TURN]])))
        sizes.append(found.amounts)
    blocks = [stack(turns), _templates(requests.system, spec), _apps(requests.app, spec)]
    merged = _beside(blocks)
    shape = structure(requests, np.concatenate(sizes))
    return Features(merged.indptr, merged.indices, merged.values, shape, spec)


@dataclass(frozen=True, eq=False, slots=True)
class Occurrences:
    """What ``n`` deciding turns hold: every token, word and n-gram as a column and the turn it is in (None for one turn), and amounts."""

    column: I64
    doc: I64 | None
    amounts: NDArray[np.float64]
    n: int


def occurrences(requests: Requests, spec: FeatureSpec) -> Iterator[Occurrences]:
    """Yield what the deciding turns hold, some requests at a time."""
    for turns in _chunks([_clip(t, *_USER) for t in requests.user]):
        yield Occurrences(*_joined(_grams(turns, spec), len(turns)), amounts(turns), len(turns))


def _grams(turns: Sequence[str], spec: FeatureSpec) -> list[Gram]:
    """Return columns and turns, block after block."""
    found: list[Gram] = []
    if spec.token_bits:
        ids, bounds = token_ids(turns)
        of = np.repeat(np.arange(len(turns)), np.diff(bounds)) if len(turns) != 1 else None
        found += _with_pairs(id_hashes(ids), of, spec.token_bits, 0)
    if spec.word_bits or spec.char_bits:
        text = Text.of(turns)
        found += _with_pairs(*words(text)[:2], spec.word_bits, spec.offsets[1]) if spec.word_bits else []
        grams = [byte_grams(text, size) for size in spec.char_n if spec.char_bits]
        found += [(bucket(h, spec.char_bits) + spec.offsets[2], at) for h, at in grams]
    return found


def _with_pairs(hashes: U64, doc: I64 | None, bits: int, offset: int) -> list[Gram]:
    joined, at = pairs(hashes, doc)
    single, double = bucket(hashes, bits), bucket(joined, bits)
    return [(single + offset, doc), (double + offset, at)] if offset else [(single, doc), (double, at)]


def _joined(grams: Sequence[Gram], n: int) -> Gram:
    column = np.concatenate([c for c, _ in grams] or [np.zeros(0, np.int64)])
    if n == 1:
        return column, None
    return column, np.concatenate([d for _, d in grams if d is not None] or [np.zeros(0, np.int64)])


def clipped(template: str) -> str:
    """Return what is read of a template."""
    return _clip(template, *_SYSTEM)


@lru_cache(256)
def template(text: str, spec: FeatureSpec) -> Rows:
    """Count the words and pairs of one clipped template; the few that a service uses are hashed once."""
    grams = _with_pairs(words(Text.of([text]))[0], None, spec.system_bits, 0) if spec.system_bits else []
    found = counted(*_joined(grams, 1), 1, np.array([0, 1 << spec.system_bits]))
    return Rows(found.indptr, found.indices + spec.offsets[TURN], found.values)


def _templates(texts: Sequence[str], spec: FeatureSpec) -> Rows:
    unique = {t: i for i, t in enumerate(dict.fromkeys(texts))}
    found = stack([template(clipped(t), spec) for t in unique])
    return found.take(np.fromiter((unique[t] for t in texts), np.int64, len(texts)))


def app_column(app: str, spec: FeatureSpec) -> int:
    """Return the column of an app."""
    return spec.offsets[TURN + 1] + (crc32(app.encode("utf-8", "replace")) >> (32 - spec.app_bits))


def _apps(apps: Sequence[str], spec: FeatureSpec) -> Rows:
    n = len(apps)
    if not spec.app_bits:
        return Rows(np.zeros(n + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    codes = {a: app_column(a, spec) for a in dict.fromkeys(apps)}
    return Rows(np.arange(n + 1), np.fromiter((codes[a] for a in apps), np.int64, n), np.ones(n, np.float32))


def _beside(blocks: Sequence[Rows]) -> Rows:
    """Put the blocks side by side: within a row, the first block's entries come first."""
    counts = np.array([np.diff(b.indptr) for b in blocks])
    indptr = np.concatenate([[0], np.cumsum(counts.sum(0))])
    indices, values = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32)
    start = indptr[:-1].copy()
    for block, count in zip(blocks, counts, strict=True):
        at = np.arange(len(block.indices)) + np.repeat(start - block.indptr[:-1], count)
        indices[at], values[at] = block.indices, block.values
        start += count
    return Rows(indptr, indices, values)


def _clip(text: str, head: int, tail: int) -> str:
    return text if len(text) <= head + tail else text[:head] + " " + text[-tail:]


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ``texts`` into runs of about _CHUNK characters, at least one run."""
    sizes = [len(t) for t in texts]
    if sum(sizes) <= _CHUNK:
        yield texts
        return
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _CHUNK)) + 1
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True):
        yield texts[start:stop]
