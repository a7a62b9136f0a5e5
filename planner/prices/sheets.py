"""Sheets: what one model costs in one service tier over time, as plain values.

In: prices by kind and the dates they start at. Out: for each moment the price of every token bucket, with the context
tiers that reprice a whole request. Knows nothing of where prices come from or of how rows are priced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from planner.schema import TOKEN_BUCKETS

__all__ = ["EPOCH", "TIERS", "Entry", "Price", "Sheet", "merged", "overlay", "rates_above", "starting", "thresholds"]

#: Service tiers, as ``schema.TRAFFIC`` spells them.
TIERS = ("standard", "batch", "flex", "priority", "fast")
#: A rate [USD per million tokens; for ``requests_kcount`` USD per thousand requests] and its repricings
#: ``(above_input_tokens, rate)``, in rising order.
Price: TypeAlias = "tuple[float, tuple[tuple[int, float], ...]]"
#: Prices by genai-prices' price key.
Sheet: TypeAlias = "Mapping[str, Price]"
#: A first era starts here: no request is older.
EPOCH = date(1970, 1, 1)

#: Which price a bucket pays, the first that the sheet has: the most specific unit wins, as in genai-prices.
_PAYS = (
    ("input_mtok",),
    ("cache_read_mtok", "input_mtok"),
    ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    ("output_mtok",),
    ("output_reasoning_mtok", "output_mtok"),
)
#: The price keys an override may set, by the bucket it names.
_OWN = dict(zip(TOKEN_BUCKETS, (keys[0] for keys in _PAYS), strict=True))


@dataclass(frozen=True, slots=True)
class Entry:
    """The prices of (``provider``, ``model``, ``tier``): ``sheets[era * len(times) + window]``.

    ``days`` are the UTC dates at which eras start (the first is EPOCH), ``times`` the starts of daily windows as offsets
    from UTC midnight (the first is zero). A sheet of None means that the tier has no rate in that era. ``assumed`` and
    ``sources`` are per era. ``begins`` is when a tier gets its first rate, None when it always had one.
    """

    provider: str
    model: str
    tier: str
    days: tuple[date, ...]
    times: tuple[timedelta, ...]
    sheets: tuple[Sheet | None, ...]
    assumed: tuple[bool, ...]
    sources: tuple[str, ...]
    begins: date | None = None

    def moments(self) -> Iterator[datetime]:
        """Yield one UTC moment inside every (era, window), in the order of ``sheets``."""
        for day in self.days:
            for offset in self.times:
                yield datetime(day.year, day.month, day.day, tzinfo=UTC) + offset


def rates_above(sheet: Sheet, input_tokens: int) -> list[float | None]:
    """Return what each token bucket pays [USD per million tokens] when a request has more than ``input_tokens`` input tokens.

    A seventh value is the fee per request [USD]. None: the sheet has no price for that bucket.

    >>> rates_above({"input_mtok": (2.0, ((200_000, 4.0),)), "output_mtok": (8.0, ())}, 200_000)
    [4.0, 4.0, 4.0, 4.0, 8.0, 8.0, 0.0]
    """
    rates = [next((_at(sheet[k], input_tokens) for k in keys if k in sheet), None) for keys in _PAYS]
    return [*rates, _at(sheet.get("requests_kcount", (0.0, ())), input_tokens) / 1_000]


def _at(price: Price, input_tokens: int) -> float:
    base, repricings = price
    return next((rate for above, rate in reversed(repricings) if input_tokens >= above), base)


def thresholds(sheet: Sheet) -> list[int]:
    """Return the input-token counts above which a price of ``sheet`` changes, rising."""
    keys = {k for keys in _PAYS for k in keys} | {"requests_kcount"}
    return sorted({above for key, (_, repricings) in sheet.items() if key in keys for above, _ in repricings})


def overlay(entry: Entry, start: date, prices: Mapping[str, Price], source: str, assumed: bool) -> Entry:
    """Return ``entry`` with ``prices`` (by token bucket) in force from ``start`` on, on top of what it has."""
    days = entry.days if start in entry.days else tuple(sorted((*entry.days, start)))
    own = {_OWN[bucket]: price for bucket, price in prices.items()}
    sheets: list[Sheet | None] = []
    flags, sources = [], []
    for day in days:
        era = sum(d <= day for d in entry.days) - 1
        width = len(entry.times)
        old: Sequence[Sheet | None] = entry.sheets[era * width : (era + 1) * width]
        sheets += [{**(s or {}), **own} for s in old] if day >= start else old
        flags.append(assumed if day >= start else entry.assumed[era])
        sources.append(source if day >= start else entry.sources[era])
    begins = min(entry.begins, start) if entry.begins else None
    return replace(entry, days=days, sheets=tuple(sheets), assumed=tuple(flags), sources=tuple(sources), begins=begins)


def merged(entry: Entry) -> Entry:
    """Return ``entry`` without the eras that only repeat the one before."""
    width = len(entry.times)
    eras = [(entry.sheets[i * width : (i + 1) * width], entry.assumed[i], entry.sources[i]) for i in range(len(entry.days))]
    keep = [i for i in range(len(eras)) if i == 0 or eras[i] != eras[i - 1]]
    return replace(
        entry,
        days=tuple(entry.days[i] for i in keep),
        sheets=tuple(s for i in keep for s in eras[i][0]),
        assumed=tuple(entry.assumed[i] for i in keep),
        sources=tuple(entry.sources[i] for i in keep),
    )


def starting(entry: Entry, start: date) -> Entry:
    """Return ``entry`` without any rate before ``start``."""
    width = len(entry.times)
    sheets = tuple(s if entry.days[i // width] >= start else None for i, s in enumerate(entry.sheets))
    return replace(entry, sheets=sheets, begins=start)
