"""Summary: what a simulation keeps. Integers only, so partial results merge exactly and in any order.

In: per-request integers with their group, hash bucket and evidence. Out: sums per group × bucket × evidence, sums paired
with the log, sums over labelled rows for the correction, and log-histograms of latencies; where users share state, the like per
group × day. Everything that is reported is computed from Summaries. Knows nothing of how a plan works.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner import formats
from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS
from planner.stats import BUCKETS, position

__all__ = [
    "DAILY",
    "LABELLED",
    "MEASURES",
    "MICRO",
    "NANO",
    "PAIRED",
    "TIMES",
    "Summary",
    "SummaryHeader",
    "add_up",
    "count_up",
    "latency_bin",
    "latency_ms",
    "merge",
]

#: Quality is summed in 10⁻⁹ and weights in 10⁻⁶, as integers.
NANO, MICRO = 1_000_000_000, 1_000_000
#: Sums per group × bucket × evidence; the difference is to the log at the same prices.
MEASURES = (
    "rows", "requests_micro", "calls", *TOKEN_BUCKETS,
    "cost_pusd", "cost_difference_pusd", "failures_micro", "unpriced_micro", "hits_micro",
)  # fmt: skip
#: Sums per group × bucket, each request beside its own logged self; quality only where both sides are predicted.
PAIRED = (
    "quality_weight_micro", "quality_nano", "quality_logged_nano",
    "better_micro", "same_micro", "worse_micro", "changed_micro", "unmeasured_micro",
)  # fmt: skip
#: Sums per group × bucket over held-out labelled rows: weight, and weighted (measured − predicted) under plan and log.
LABELLED = ("label_rows", "label_weight_micro", "residual_nano", "residual_logged_nano")
#: Sums per group × block of time, where a plan shares state. Labels belong to users; days say nothing of them.
DAILY = ("requests_micro", "cost_difference_pusd", "cost_pusd", *PAIRED)
#: What has a histogram of weights [10⁻⁶]: the users' answered requests, until the whole answer and until it begins to show.
TIMES = ("latency_ms", "latency_logged_ms", "perceived_ms", "perceived_logged_ms")
#: What an integer cell holds: 9.2 million USD. Totals over cells are Python integers and have no limit.
_LARGEST = float(2**63 - 1)
#: 250 bins a decade from 0.1 ms to 10⁷ ms; the first and last take what lies beyond.
BINS_PER_DECADE, FIRST_DECADE, DECADES = 250, -1, 8
#: Per bucket, bins are wider: 10 a decade, 650 KB a group. They tell a quantile's variance, not its value.
FINE_PER_COARSE = 25


@dataclass(frozen=True, slots=True)
class SummaryHeader:
    """What a Summary is about; two that are compared must agree in all but plan, outcomes, and whether users share state under the plan."""

    traffic: str
    plan: str
    outcomes: str
    price_book: str
    price_date: str
    seed: int
    cluster_unit: str
    group_by: tuple[str, ...]
    days: float
    buckets: int = BUCKETS
    shared: bool = False

    def comparable(self, other: SummaryHeader) -> str:
        """Return what keeps the two from being compared, in words, or ``""``."""
        same = ("traffic", "price_book", "price_date", "seed", "cluster_unit", "group_by", "buckets")
        differ = [f"{n} ({getattr(self, n)!s:.24} and {getattr(other, n)!s:.24})" for n in same if getattr(self, n) != getattr(other, n)]
        return ", ".join(differ)


@dataclass(frozen=True, eq=False)
class Summary:
    """Integer sums of G groups, B buckets, P pairs of models, and D blocks of time.

    D is 0 unless users share state, under this plan or one that it is set against.
    ``sums`` (G, B, 3, MEASURES), ``paired`` (G, B, PAIRED), ``labelled`` (G, B, LABELLED); ``latency`` (G, TIMES, bins) and
    ``latency_buckets`` (G, B, TIMES, coarse bins); for the labels' own sampling ``exposure`` (G, P, noise.PARTS) [pUSD] and
    ``samples`` (P, B, ratios.SAMPLED); ``daily`` (G, D, DAILY) and ``latency_daily`` (G, D, TIMES, coarse bins).
    """

    header: SummaryHeader
    groups: tuple[tuple[str, ...], ...]
    sums: NDArray[np.int64]
    paired: NDArray[np.int64]
    labelled: NDArray[np.int64]
    latency: NDArray[np.int64]
    latency_buckets: NDArray[np.int64]
    exposure: NDArray[np.int64]
    samples: NDArray[np.int64]
    daily: NDArray[np.int64]
    latency_daily: NDArray[np.int64]

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz`` without objects; the same Summary gives the same content."""
        head = {**formats.header("summary"), **asdict(self.header), "groups": self.groups}
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("header", "groups")}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, header=np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8), **arrays)
        return Path(path)

    @classmethod
    def open(cls, path: str | Path) -> Summary:
        """Read what ``save`` wrote; another version is refused, since a Summary is cheap to make again."""
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = formats.migrate("summary", json.loads(stored["header"].tobytes()), str(path))
            arrays = {n: stored[n] for n in stored.files if n != "header"}
        groups = tuple(tuple(g) for g in head.pop("groups"))
        own: dict[str, Any] = {f.name: head[f.name] for f in fields(SummaryHeader)}
        header = SummaryHeader(**{**own, "group_by": tuple(own["group_by"])})
        return cls(header, groups, **arrays)

    def measure(self, name: str, group: int | None = None) -> NDArray[np.object_]:
        """Return the sums of one measure as Python integers, shape (buckets, evidence), of one group or of all."""
        values = self.sums[..., MEASURES.index(name)].astype(object)
        total: NDArray[np.object_] = values.sum(axis=0) if group is None else values[group]
        return total

    def by_group(self, name: str) -> NDArray[np.float64]:
        """Return the sum of one measure in each group, (groups,)."""
        total: NDArray[np.float64] = self.sums[..., MEASURES.index(name)].astype(float).sum(axis=(1, 2))
        return total

    def pair(self, name: str, group: int | None = None) -> NDArray[np.object_]:
        """Return a paired or labelled sum as Python integers, shape (buckets,), of one group or of all."""
        values = self.paired[..., PAIRED.index(name)] if name in PAIRED else self.labelled[..., LABELLED.index(name)]
        total: NDArray[np.object_] = values.astype(object).sum(axis=0) if group is None else values[group].astype(object)
        return total

    def latency_quantile(self, q: float, group: int | None = None, name: str = "latency_ms") -> float:
        """Return the ``q`` quantile of one of TIMES [ms], exact to the bin's 0.5 %; NaN when none was logged."""
        return latency_ms(position(self.histogram(name, group), q))

    def histogram(self, name: str, group: int | None = None) -> NDArray[np.int64]:
        """Return the weights [10⁻⁶] of one of TIMES, shape (bins,), of one group or of all."""
        counts = self.latency[:, TIMES.index(name)]
        found: NDArray[np.int64] = counts.sum(axis=0) if group is None else counts[group]
        return found


def latency_ms(position: int, at: float = 0.5) -> float:
    """Return the latency [ms] in the middle of a histogram's bin, or ``at`` another part of it; NaN for −1.

    >>> round(latency_ms(250), 4), round(latency_ms(250, 1.0), 4), latency_ms(-1)
    (1.0046, 1.0093, nan)
    """
    return float(10 ** (FIRST_DECADE + (position + at) / BINS_PER_DECADE)) if position >= 0 else float("nan")


def latency_bin(latency_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the histogram bin of each positive latency [ms].

    >>> latency_bin(np.array([0.1, 1.0, 1e9])).tolist()
    [0, 250, 1999]
    """
    bins = np.floor((np.log10(np.maximum(latency_ms, 1e-12)) - FIRST_DECADE) * BINS_PER_DECADE + 1e-9)
    return np.clip(bins, 0, BINS_PER_DECADE * DECADES - 1).astype(np.int64)


def add_up(values: NDArray[np.int64], cells: tuple[NDArray[np.integer[Any]], ...], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Sum the columns of ``values`` (n, m) into cells of ``shape``: exact in int64, the same in any order of rows.

    InputError when a cell would not fit.

    >>> add_up(np.array([[1], [2], [4]]), (np.array([0, 1, 1]),), (2,)).tolist()
    [[1], [6]]
    """
    flat = np.ravel_multi_index(cells, shape)
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
    out = np.zeros((int(np.prod(shape)), values.shape[1]), np.int64)
    if len(flat):
        out[flat[order][starts]] = np.add.reduceat(values[order], starts, axis=0)
        if (
            np.abs(values.astype(float)).sum() > _LARGEST
            and (np.add.reduceat(np.abs(values[order].astype(float)), starts, axis=0) > _LARGEST).any()
        ):
            raise InputError("one user with more than $9 million in one app", "sums that fit 64 bits", "split the log by time or by app")
    return out.reshape(*shape, values.shape[1])


def count_up(weights: NDArray[np.int64], cells: tuple[NDArray[np.integer[Any]], ...], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Sum ``weights`` (n,) into cells of ``shape``, like ``add_up``; without sorting, for weights whose total is far from 64 bits.

    >>> count_up(np.array([1, 2, 4]), (np.array([0, 1, 1]),), (2,)).tolist()
    [1, 6]
    """
    out = np.zeros(int(np.prod(shape)), np.int64)
    np.add.at(out, np.ravel_multi_index(cells, shape), weights)
    return out.reshape(shape)


def merge(a: Summary, b: Summary) -> Summary:
    """Add two Summaries of disjoint rows of one simulation; exact, in any order."""
    if a.header != b.header:
        raise InputError(f"parts that differ in {a.header.comparable(b.header) or 'plan or outcomes'}", "parts of one simulation")
    groups = tuple(sorted({*a.groups, *b.groups}))

    def spread(part: Summary, array: NDArray[np.int64]) -> NDArray[np.int64]:
        out = np.zeros((len(groups), *array.shape[1:]), np.int64)
        out[[groups.index(g) for g in part.groups]] = array
        return out

    names = ("sums", "paired", "labelled", "latency", "latency_buckets", "exposure", "daily", "latency_daily")
    added = {n: spread(a, getattr(a, n)) + spread(b, getattr(b, n)) for n in names}
    return Summary(a.header, groups, **added, samples=a.samples)
