"""Tallies: one measure of two periods as sums by day and group of users, in the same columns.

In: columns of the requests of either period: numbers, words, or a part of a whole. Out: for each period the part and the whole of every
column by day and group, and what each column is in words. A number becomes the shares of requests that reach each of a few levels, a
word the share of each word. Knows nothing of logs, tests or alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.traffic.rows import Coded

__all__ = ["LEVELS", "Cells", "Column", "Kin", "Numbers", "Pair", "Parts", "Tally", "Words"]
__all__ += ["among_kin", "beside", "by_level", "by_part", "by_word", "frequent", "levels", "mass", "reached"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Names the kind of a word.
Kin: TypeAlias = Callable[[str], str]
#: Levels of a number: its deciles in the first period, and whatever is above its largest.
LEVELS = 10
#: Words with a smaller share in both periods are counted together.
_RARE = 0.005


@dataclass(frozen=True, eq=False)
class Cells:
    """Where each of ``n`` requests is counted: its day of the period (``day`` codes into ``days``), its group, and its weight.

    ``days`` (D,) are UTC days, ascending; NaT stands for a period whose days are not known. ``groups``: how many there are.
    """

    day: I64
    days: NDArray[np.datetime64]
    group: I64
    groups: int
    weight: F64

    def sums(self, at: I64, values: F64) -> F64:
        """Sum ``values`` (k,) of the requests at ``at`` (k,), each times its weight: (D, groups)."""
        place, size = self.day[at] * self.groups + self.group[at], len(self.days) * self.groups
        total: F64 = np.bincount(place, self.weight[at] * values, size).astype(float)
        return total.reshape(len(self.days), self.groups)

    def counts(self, at: I64, codes: I64, width: int) -> F64:
        """Count the requests at ``at`` (k,) by their codes below ``width``, weighted: (D, groups, width)."""
        place = (self.day[at] * self.groups + self.group[at]) * width + codes
        flat: F64 = np.bincount(place, self.weight[at], len(self.days) * self.groups * width).astype(float)
        return flat.reshape(len(self.days), self.groups, width)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A number of the requests at ``at``: what is not finite is left out. ``said(level)`` names "reaches this level"."""

    at: I64
    values: F64
    said: Callable[[float], str]


@dataclass(frozen=True, eq=False)
class Words:
    """A word of the requests at ``at``; with ``kin``, which names a word's kind, shares are among the requests of a kind."""

    at: I64
    values: Coded
    said: Callable[[str], str]
    kin: Kin | None = None


@dataclass(frozen=True, eq=False)
class Parts:
    """A part and the whole it belongs to, of the requests at ``at``."""

    at: I64
    part: F64
    whole: F64
    said: str


Column: TypeAlias = Numbers | Words | Parts


@dataclass(frozen=True, eq=False)
class Tally:
    """One period: ``part`` and ``whole``, both (D, groups, columns), and its ``days`` (D,); NaT, a single one, ``covers`` so many."""

    part: F64
    whole: F64
    days: NDArray[np.datetime64]
    covers: float = 1.0

    @property
    def groups(self) -> F64:
        """What each group holds on average of the columns, (groups,)."""
        return np.asarray(self.whole.sum(0).mean(1))


@dataclass(frozen=True, eq=False)
class Pair:
    """A measure in both periods: columns in the same order, and each in words."""

    before: Tally
    now: Tally
    said: tuple[str, ...]


def beside(pairs: Sequence[Pair]) -> Pair:
    """Return the columns of several pairs of the same periods as one measure."""

    def side(own: Sequence[Tally]) -> Tally:
        part, whole = (np.concatenate([getattr(t, n) for t in own], 2) for n in ("part", "whole"))
        return Tally(part, whole, own[0].days, own[0].covers)

    return Pair(side([p.before for p in pairs]), side([p.now for p in pairs]), tuple(s for p in pairs for s in p.said))


def levels(values: F64) -> F64:
    """Return the levels of a number: the deciles above its least value, each once, and the next number above its largest.

    >>> levels(np.array([0, 0, 0, 1.0])).tolist(), levels(np.arange(5.0))[:2].tolist()
    ([1.0, 1.0000000000000002], [1.0, 2.0])
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0)
    inside = np.quantile(known, np.arange(1, LEVELS) / LEVELS, method="higher")
    found: F64 = np.unique(np.append(inside, [known.max(), np.nextafter(known.max(), np.inf)]))
    above: F64 = found[found > known.min()]
    return above


def reached(bins: F64) -> tuple[F64, F64]:
    """Return from counts by bin (…, m + 1) how many reach each of m edges, and how many there are, both (…, m).

    >>> part, whole = reached(np.array([5.0, 3, 2]))
    >>> part.tolist(), whole.tolist()
    ([5.0, 2.0], [10.0, 10.0])
    """
    above = np.asarray(np.flip(np.flip(bins, -1).cumsum(-1), -1), float)
    part: F64 = above[..., 1:]
    return part, np.broadcast_to(above[..., :1], part.shape)


def by_level(cells: Cells, column: Numbers, edges: F64) -> Tally:
    """Tally which requests reach each of ``edges`` (m,), ascending."""
    known = np.isfinite(column.values)
    bins = cells.counts(column.at[known], np.searchsorted(edges, column.values[known], side="right"), len(edges) + 1)
    return Tally(*reached(bins), cells.days)


def by_part(cells: Cells, column: Parts) -> Tally:
    """Tally a part of a whole, in a single column."""
    return Tally(cells.sums(column.at, column.part)[..., None], cells.sums(column.at, column.whole)[..., None], cells.days)


def mass(cells: Cells, column: Words) -> dict[str, float]:
    """Return the weight of the requests with each word."""
    total = np.bincount(column.values.codes, cells.weight[column.at], max(len(column.values.values), 1))
    return {word: float(total[k]) for k, word in enumerate(column.values.values) if total[k]}


def frequent(masses: Sequence[Mapping[str, float]], kin: Kin | None = None) -> tuple[str, ...]:
    """Return the words that are not rare in each of ``masses``; with ``kin`` those that have kin among them.

    >>> frequent([{"a": 999, "b": 1}, {"c": 1000}]), frequent([{"a-1": 5, "b-1": 5}, {"a-2": 5, "b-1": 5}], lambda w: w[0])
    (('a', 'c'), ('a-1', 'a-2'))
    """
    found = sorted({w for m in masses for w, x in m.items() if x >= _RARE * sum(m.values())})
    if kin is None:
        return tuple(found)
    return tuple(w for w in found if any(other != w and kin(other) == kin(w) for other in found))


def by_word(cells: Cells, column: Words, names: Sequence[str]) -> Tally:
    """Tally which requests have each of ``names``, and which another word, the last column."""
    place = {name: k for k, name in enumerate(names)}
    codes = np.array([place.get(w, len(names)) for w in column.values.values] or [0])[column.values.codes]
    part = cells.counts(column.at, codes, len(names) + 1)
    return Tally(part, np.broadcast_to(part.sum(-1, keepdims=True), part.shape), cells.days)


def among_kin(tally: Tally, names: Sequence[str], kin: Kin) -> Tally:
    """Return the shares of each of ``names`` among its kin, without the last column."""
    kinds = [kin(name) for name in names]
    alike = np.array([[a == b for b in kinds] for a in kinds], float).reshape(len(names), len(names))
    part = tally.part[..., :-1]
    return Tally(part, part @ alike, tally.days, tally.covers)
