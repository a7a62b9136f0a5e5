"""Kernel: rows of tokens × a table of rates → integer pico-USD, column by column.

In: Entries, flattened once into arrays; then for every row a code of its (provider, model, tier), its tokens and its
time. Out: per row the rates that hold for it, the cost, and where a rate is missing. A row's result depends on that row
alone, so any split of the rows gives the same bytes. Knows nothing of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.prices.sheets import EPOCH, Entry, rates_above, thresholds
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.units import PUSD_PER_TOKEN_PER_USD_MTOK, PUSD_PER_USD

__all__ = ["ABSENT", "NEGATIVE", "NO_TIME", "Chosen", "RateTable", "choose", "cost", "parts"]

#: Why a row has no price: 0 priced, 1 + i bucket i has no rate, then these.
ABSENT, NO_TIME, NEGATIVE = len(TOKEN_BUCKETS) + 1, len(TOKEN_BUCKETS) + 2, len(TOKEN_BUCKETS) + 3
_BLOCK = 8_192
_NEVER, _NAT = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_DAY_US = 86_400_000_000
_ASSUMED = EVIDENCE.index("assumed")


@dataclass(frozen=True, eq=False)
class RateTable:
    """All entries as arrays.

    Entry e has eras starting at ``days[e]`` and daily windows starting at ``times[e]`` [µs]; its slots begin at
    ``first[e]``, era by era. Slot s has input-token ``steps[:, s]``, and its rates for step k are column
    ``s * len(steps + 1) + k`` of ``rates`` [pUSD per token; last row pUSD per request]; ``missing`` marks those that the
    book does not have (their rate is 0). Entry 0 has one slot without any rate: what cannot be resolved points there.
    """

    first: NDArray[np.int64]
    days: tuple[NDArray[np.int64], ...]
    times: tuple[NDArray[np.int64], ...]
    steps: NDArray[np.int64]
    rates: NDArray[np.float64]
    missing: NDArray[np.bool_]
    absent: NDArray[np.bool_]
    assumed: NDArray[np.bool_]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> RateTable:
        """Flatten ``entries``; entry i becomes code i + 1."""
        sheets = [None, *(s for e in entries for s in e.sheets)]
        steps = [thresholds(s) if s else [] for s in sheets]
        width = max(map(len, steps))
        above = [[-1, *x, *[_NEVER] * (width - len(x))] for x in steps]
        rows = [[None] * 7 if s is None else rates_above(s, k) for s, row in zip(sheets, above, strict=True) for k in row]
        rates = np.array(rows, float).T
        unit = np.array([PUSD_PER_TOKEN_PER_USD_MTOK] * 6 + [PUSD_PER_USD], float)[:, None]
        counts = [1, *(len(e.sheets) for e in entries)]
        assumed = [False, *(flag for e in entries for flag in e.assumed for _ in e.times)]
        return cls(
            first=np.cumsum([0, *counts[:-1]]),
            days=(_us([EPOCH]), *(_us(e.days) for e in entries)),
            times=(np.zeros(1, np.int64), *(np.array([t.total_seconds() * 1e6 for t in e.times], np.int64) for e in entries)),
            steps=np.array(above, np.int64).T[1:].copy(),
            rates=np.ascontiguousarray(np.nan_to_num(rates) * unit),
            missing=np.ascontiguousarray(np.isnan(rates)),
            absent=np.array([s is None for s in sheets]),
            assumed=np.array(assumed),
        )

    def slot(self, entry: int, at_us: int) -> int:
        """Return the slot of ``entry`` at a time [µs since 1970, UTC]."""
        era = max(int(np.searchsorted(self.days[entry], at_us, "right")) - 1, 0)
        window = int(np.searchsorted(self.times[entry], at_us % _DAY_US, "right")) - 1
        return int(self.first[entry]) + era * len(self.times[entry]) + window


def _us(days: Sequence[date]) -> NDArray[np.int64]:
    return np.array([np.datetime64(d, "us") for d in days]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Chosen:
    """For every row the column of ``RateTable.rates``, whether it has a price (``trouble`` 0) and its evidence code."""

    column: NDArray[np.int64]
    trouble: NDArray[np.int8]
    evidence: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class _Codes:
    """What the codes of one call mean, cut to the eras its times reach; ``later[j]`` are the starts of further eras."""

    first: NDArray[np.int64]
    later: NDArray[np.int64]
    times: NDArray[np.int64]
    windows: NDArray[np.int64]
    reachable: NDArray[np.int64]


def _codes(table: RateTable, entries: NDArray[np.int64], low_us: int, high_us: int) -> _Codes:
    spans = []
    for e in entries.tolist():
        days = table.days[e]
        spans.append((max(int(np.searchsorted(days, low_us, "right")) - 1, 0), int(np.searchsorted(days, high_us, "right"))))
    windows = np.array([len(table.times[e]) for e in entries], np.int64)
    lows = np.array([s for s, _ in spans], np.int64)
    first = table.first[entries] + lows * windows
    later = _padded([table.days[e][s + 1 : stop] for e, (s, stop) in zip(entries, spans, strict=True)])
    times = _padded([table.times[e][1:] for e in entries])
    eras = np.maximum(np.array([stop - s for s, stop in spans], np.int64), 1)
    reachable = np.concatenate([np.arange(f, f + n) for f, n in zip(first, eras * windows, strict=True)])
    return _Codes(first, later, times, windows, reachable)


def _padded(lists: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    out = np.full((max(map(len, lists)), len(lists)), _NEVER)
    for i, values in enumerate(lists):
        out[: len(values), i] = values
    return out


def choose(
    table: RateTable, entries: NDArray[np.int64], code: NDArray[Any] | None, tokens: NDArray[np.int64], at_us: NDArray[np.int64] | int
) -> Chosen:
    """Find every row's rates. ``entries[code[i]]`` is row i's entry; ``code`` None means that all rows have the first.

    ``at_us`` [µs since 1970, UTC] is one time, or one per row; NaT (the smallest integer) has no price.
    """
    n = len(tokens)
    column, trouble, evidence = np.zeros(n, np.int64), np.zeros(n, np.int8), np.zeros(n, np.int8)
    if not n:
        return Chosen(column, trouble, evidence)
    known = at_us if isinstance(at_us, int) else at_us[at_us != _NAT]
    low, high = (known, known) if isinstance(known, int) else (int(known.min(initial=_NEVER)), int(known.max(initial=0)))
    codes = _codes(table, entries, low, high)
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        own = np.zeros(len(tokens[block]), np.int64) if code is None else code[block]
        slot = _slots(codes, own, at_us if isinstance(at_us, int) else at_us[block])
        column[block] = _columns(table, codes, slot, tokens[block])
        if table.assumed[codes.reachable].any():
            evidence[block] = table.assumed[slot] * _ASSUMED
        _find_trouble(table, codes, slot, column[block], tokens[block], trouble[block])
    trouble[(np.asarray(at_us) == _NAT) & (trouble != ABSENT)] = NO_TIME
    return Chosen(column, trouble, evidence)


def _slots(codes: _Codes, own: NDArray[Any], at_us: NDArray[np.int64] | int) -> NDArray[np.int64]:
    slot = codes.first.take(own)
    if len(codes.later):
        eras = sum((at_us >= starts.take(own)).astype(np.int64) for starts in codes.later)
        slot += eras * codes.windows.take(own) if len(codes.times) else eras
    if len(codes.times):
        time = at_us % _DAY_US
        slot += sum((time >= starts.take(own)).astype(np.int64) for starts in codes.times)
    return slot


def _columns(table: RateTable, codes: _Codes, slot: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    column = slot * (len(table.steps) + 1)
    lowest = table.steps[:, codes.reachable].min(initial=_NEVER)
    if lowest < _NEVER:
        total = tokens[:, 0] + tokens[:, 1] + tokens[:, 2] + tokens[:, 3]
        if int(total.max()) > lowest:
            column += sum((total > step.take(slot)).astype(np.int64) for step in table.steps)
    return column


def _find_trouble(
    table: RateTable,
    codes: _Codes,
    slot: NDArray[np.int64],
    column: NDArray[np.int64],
    tokens: NDArray[np.int64],
    trouble: NDArray[np.int8],
) -> None:
    """Write why a row has no price into ``trouble``; most blocks have none, and then nothing is computed."""
    if tokens.min() < 0:
        trouble[(tokens < 0).any(1)] = NEGATIVE
    width = len(table.steps) + 1
    reachable = (codes.reachable[:, None] * width + np.arange(width)).ravel()
    for bucket in range(len(TOKEN_BUCKETS)):
        if table.missing[bucket, reachable].any():
            trouble[table.missing[bucket].take(column) & (tokens[:, bucket] > 0) & (trouble == 0)] = 1 + bucket
    if table.absent[codes.reachable].any():
        trouble[table.absent.take(slot)] = ABSENT


def cost(table: RateTable, chosen: Chosen, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cost of every row [pUSD], 0 where it has no price: Σ tokens × rate in float64, rounded once per row."""
    out = np.zeros(len(tokens), np.int64)
    fee = table.rates[-1].any()
    for start in range(0, len(tokens), _BLOCK):
        block = slice(start, start + _BLOCK)
        column = chosen.column[block]
        total = table.rates[-1].take(column) if fee else np.zeros(len(column))
        for bucket, count in enumerate(tokens[block].T.astype(np.float64)):
            total += count * table.rates[bucket].take(column)
        out[block] = np.rint(total)
    out[chosen.trouble != 0] = 0
    return out


def parts(table: RateTable, chosen: Chosen, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cost per token bucket [pUSD], shape (n, 6); every row sums to its cost exactly.

    The running sum of ``cost`` is rounded after each bucket and differenced. A fee per request counts as input.
    """
    running = table.rates[-1].take(chosen.column)
    before, out = np.zeros(len(tokens), np.int64), np.zeros((len(tokens), len(TOKEN_BUCKETS)), np.int64)
    for bucket in range(len(TOKEN_BUCKETS)):
        running = running + tokens[:, bucket] * table.rates[bucket].take(chosen.column)
        after = np.rint(running).astype(np.int64)
        out[:, bucket], before = after - before, after
    out[chosen.trouble != 0] = 0
    return out
