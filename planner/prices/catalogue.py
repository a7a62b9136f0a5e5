"""Catalogue: the bundled genai-prices data as Entries.

In: the installed genai-prices package (its bundled data, never an update fetched at run time). Out: one Entry per
provider, model and service tier it prices, its date and its name. Where a tier's rates start late, the time before has
no rate, or, when asked for, the first rate marked assumed; genai-prices itself would silently charge standard there.
Knows nothing of overrides, names in logs or rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import genai_prices
from genai_prices.data import providers as PROVIDERS  # noqa: N812 - a constant of theirs
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from planner.prices.sheets import EPOCH, TIERS, Entry, Price, Sheet

__all__ = ["CONTEXTS", "NAME", "PROVIDERS", "catalogue_date", "entries"]

NAME = f"genai-prices {genai_prices.__version__}"
#: How genai-prices spells our service tiers: its ``price_context``.
CONTEXTS: dict[str, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}


def catalogue_date() -> date:
    """Return the catalogue's date: the newest start date among OpenRouter's prices.

    The package states no date. OpenRouter's prices are read from its live list, so their start dates are days on which
    the maintainers looked; other providers' start dates may lie ahead (announced prices).
    """
    observed: list[date] = [c.start_date for p in PROVIDERS if p.id == "openrouter" for m in p.models for c in _constraints(m) if _dated(c)]
    return max(observed)


def entries(assume_tier_before_start: bool = False) -> Iterator[Entry]:
    """Yield an Entry for every model and tier of the catalogue."""
    for provider in PROVIDERS:
        for model in provider.models:
            for tier in TIERS:
                if tier == "standard" or _variants(model, tier):
                    yield _entry(provider.id, model, tier, assume_tier_before_start)


def _entry(provider: str, model: ModelInfo, tier: str, assume: bool) -> Entry:
    limits = _constraints(model)
    days = tuple(sorted({EPOCH, *(c.start_date for c in limits if _dated(c))}))
    daily = [t for c in limits if isinstance(c, TimeOfDateConstraint) for t in (c.start_time, c.end_time)]
    times = tuple(sorted({timedelta(0), *map(_offset, daily)}))
    blank = Entry(provider, model.id, tier, days, times, (), (False,) * len(days), (NAME,) * len(days))
    sheets = tuple(_sheet(model, at, tier) for at in blank.moments())
    if None not in sheets:
        return replace(blank, sheets=sheets)
    first = next(at for at, sheet in zip(blank.moments(), sheets, strict=True) if sheet is not None)
    if not assume:
        return replace(blank, sheets=sheets, begins=first.date())
    filled = tuple(s or _with_variants(model, at, tier, first) for at, s in zip(blank.moments(), sheets, strict=True))
    return replace(blank, sheets=filled, begins=first.date(), assumed=tuple(day < first.date() for day in days))


def _sheet(model: ModelInfo, at: datetime, tier: str) -> Sheet | None:
    active = [v for v in _variants(model, tier) if v.constraint is None or v.constraint.active(at)]
    return _plain(model.get_prices(at, CONTEXTS[tier])) if tier == "standard" or active else None


def _with_variants(model: ModelInfo, at: datetime, tier: str, first: datetime) -> Sheet:
    """Return the standard prices of ``at`` under the tier's rates as they first were."""
    standard, reduced = (_plain(model.get_prices(first, context)) for context in ({}, CONTEXTS[tier]))
    changed = {k: v for k, v in reduced.items() if standard.get(k) != v}
    return {**_plain(model.get_prices(at)), **changed}


def _plain(prices: ModelPrice) -> Sheet:
    return {k: _price(v) for k, v in vars(prices).items() if v is not None}


def _price(value: Any) -> Price:
    if isinstance(value, TieredPrices):
        return float(value.base), tuple((t.start, float(t.price)) for t in value.tiers)
    return float(value), ()


def _variants(model: ModelInfo, tier: str) -> list[Any]:
    context = CONTEXTS[tier]
    return [v for v in model.price_variants or () if all(context.get(k) == x for k, x in v.when.items())]


def _constraints(model: ModelInfo) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    return [x.constraint for x in (*prices, *(model.price_variants or ()))]


def _dated(constraint: Any) -> bool:
    return isinstance(constraint, StartDateConstraint)


def _offset(time: Any) -> timedelta:
    moment = datetime.combine(EPOCH, time)
    moment = moment.astimezone(UTC) if time.tzinfo else moment
    return timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond)
