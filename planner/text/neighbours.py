"""Neighbours: for each request, in order of time, the most similar earlier questions of its group; exact, in bounded memory.

In: unit vectors of questions, the group of each, and which question each request asks. Out: lists, best first. Every pair in a group
is compared (blocked matrix products); groups are never compared with each other, which is the only short cut. Knows nothing of
what a group is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.text.embeddings import F32, alike, squares

__all__ = ["MOST", "Neighbours", "nearest"]

Ints: TypeAlias = NDArray[np.int64]
#: Questions kept per request. A list that is cut may miss the one that a cache still holds.
MOST = 128
#: Similarities held at a time: 512 × 8,192 float32, 16 MiB.
_ROWS, _COLUMNS = 512, 8192


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Lists of ``n`` requests: those of request i are ``near[start[i]:start[i + 1]]``, most similar first.

    Parameters
    ----------
    start: int64 (n + 1,). near: int64 (p,) questions. similarity: float32 (p,) in [floor, 1].
    floor: no less similar question is listed. cut: bool (n,) whether there were more than the list may hold.
    """

    start: Ints
    near: Ints
    similarity: F32
    floor: float
    cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.cut)

    def above(self, threshold: float) -> Neighbours:
        """Return the lists without what is less similar than ``threshold``; InputError below the floor they were made with.

        >>> v = np.array([[1, 0], [0.875, 0.4841], [0.5, 0.866]], np.float32)
        >>> nearest(v, np.arange(3), np.zeros(3, np.int64), 0.1).above(0.8).near.tolist()
        [0, 1]
        """
        if threshold < self.floor:
            raise InputError(f"threshold {threshold}", f"at least {self.floor}, the floor of these lists", "make them with a lower floor")
        kept = self.similarity >= np.float32(threshold)
        counts = np.bincount(np.repeat(np.arange(len(self)), np.diff(self.start))[kept], minlength=len(self))
        lowest = np.full(len(self), np.inf)
        filled = np.diff(self.start) > 0
        lowest[filled] = self.similarity[self.start[1:][filled] - 1]
        return Neighbours(_starts(counts), self.near[kept], self.similarity[kept], threshold, self.cut & (lowest >= threshold))

    def take(self, at: Ints) -> Neighbours:
        """Return the lists of the requests at ``at``, in that order.

        >>> v = np.array([[1, 0], [0.875, 0.4841], [0.5, 0.866]], np.float32)
        >>> found = nearest(v, np.arange(3), np.zeros(3, np.int64), 0.1).take(np.array([2, 0]))
        >>> found.start.tolist(), found.near.tolist()
        ([0, 2, 2], [1, 0])
        """
        counts = np.diff(self.start)[at]
        start = _starts(counts)
        place = np.arange(start[-1]) + np.repeat(self.start[at] - start[:-1], counts)
        return Neighbours(start, self.near[place], self.similarity[place], self.floor, self.cut[at])


def nearest(vectors: F32, asks: Ints, group: Ints, floor: float, most: int = MOST) -> Neighbours:
    """Return for each request up to ``most`` other questions of its group that were asked before it, at least ``floor`` similar.

    Parameters
    ----------
    vectors: (u, d) of ``embeddings.embed``. group: int64 (u,).
    asks: int64 (n,) the question of each request in order of time, −1: none; questions are numbered in the order of their first request.
    floor: in (0, 1]. most: at least 1. Of equal similarities the question that was asked first comes first.

    Time grows with the square of a group: 100,000 questions of one group take 40 (d = 256) to 80 (d = 512) core-seconds. Beside
    vectors and lists it holds at most 0.2 GiB.

    >>> v = np.array([[1, 0], [0.875, 0.4841], [0, 1]], np.float32)
    >>> found = nearest(v, np.array([0, 1, 2, 1, 0]), np.zeros(3, np.int64), 0.4)
    >>> found.start.tolist(), found.near.tolist()
    ([0, 0, 1, 2, 4, 5], [0, 1, 0, 2, 1])
    """
    if not 0 < floor <= 1 or most < 1:
        raise InputError(f"floor {floor}, most {most}", "a floor above 0 and at most 1, and at least one neighbour")
    known = np.maximum.accumulate(np.concatenate([[-1], asks]))[:-1] + 1  # questions seen before each request
    search = _Search(vectors, squares(vectors), asks, known, floor, most)
    parts = [search.block(*block) for block in _blocks(asks, group)]
    row, near, similarity, cut = (np.concatenate(p) for p in zip(*parts, strict=True)) if parts else _nothing()
    order = np.argsort(row, kind="stable")  # a request is in one block, where its list is already in order
    flags = np.zeros(len(asks), bool)
    flags[cut] = True
    return Neighbours(_starts(np.bincount(row, minlength=len(asks))), near[order], similarity[order], floor, flags)


def _nothing() -> tuple[Ints, Ints, F32, Ints]:
    none = np.zeros(0, np.int64)
    return none, none, np.zeros(0, np.float32), none


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _blocks(asks: Ints, group: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield (requests, questions) of each group with at least two questions, the requests in blocks, all in order."""
    code, size = np.unique(group, return_inverse=True, return_counts=True)[1:]
    asked = np.flatnonzero(asks >= 0)
    requests = asked[size[code[asks[asked]]] > 1]
    requests = requests[np.argsort(code[asks[requests]], kind="stable")]
    of_request = code[asks[requests]]
    questions = np.argsort(code, kind="stable")
    ends = np.cumsum(size)
    for g in np.flatnonzero(size > 1).tolist():
        left, right = np.searchsorted(of_request, [g, g + 1])
        for start in range(left, right, _ROWS):
            yield requests[start : min(start + _ROWS, right)], questions[ends[g] - size[g] : ends[g]]


@dataclass(frozen=True, eq=False)
class _Search:
    vectors: F32
    squares: NDArray[np.float64]
    asks: Ints
    known: Ints
    floor: float
    most: int

    def block(self, requests: Ints, questions: Ints) -> tuple[Ints, Ints, F32, Ints]:
        """Return (request, question, similarity) of the best pairs of one block, in order, and the requests whose list was cut."""
        earlier = questions[: np.searchsorted(questions, self.known[requests[-1]])]
        row, near, similarity, _ = _nothing()
        cut = np.zeros(len(requests), bool)
        for start in range(0, len(earlier), _COLUMNS):
            at, question, cosine = self._pairs(requests, earlier[start : start + _COLUMNS])
            row, near, similarity = np.concatenate([row, at]), np.concatenate([near, question]), np.concatenate([similarity, cosine])
            order = np.lexsort((near, -similarity, row))
            row, near, similarity = row[order], near[order], similarity[order]
            kept = np.arange(len(row)) - np.searchsorted(row, row) < self.most
            cut[row[~kept]] = True
            row, near, similarity = row[kept], near[kept], similarity[kept]
        return requests[row], near, similarity, requests[cut]

    def _pairs(self, requests: Ints, questions: Ints) -> tuple[Ints, Ints, F32]:
        """Return all pairs of ``requests`` (their positions) and ``questions`` that are similar enough and in order of time."""
        asked = self.asks[requests]
        left, right = self.squares[asked], self.squares[questions]
        # Lengths differ from 1 by little: what cannot reach the floor is left out before anything is divided.
        least = self.floor * float(np.sqrt(np.min(left[left > 0], initial=1) * np.min(right[right > 0], initial=1))) * (1 - 1e-6)
        products = self.vectors[asked] @ self.vectors[questions].T
        at, column = np.divmod(np.flatnonzero(products >= np.float32(least)), len(questions))
        found = alike(products[at, column], left[at], right[column])
        question = questions[column]
        fits = (found >= np.float32(self.floor)) & (question < self.known[requests[at]]) & (question != asked[at])
        return at[fits], question[fits], found[fits]
