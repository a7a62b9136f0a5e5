"""Calls outside the log: how much more an invoice counts than the log holds, and what that is worth.

In: what a log and an invoice count for one provider, model and month. Out: dollars [pUSD], and by which count they were found. Knows
nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from planner.errors import PriceError
from planner.prices.book import PriceBook
from planner.prices.invoice_names import KINDS

__all__ = ["INPUTS", "UNKNOWN", "Billed", "Logged", "outside"]

INPUTS = KINDS[:3]
#: Why calls outside the log cannot be told from another price.
UNKNOWN = "the export counts no usage: give the usage export, too"
_BUCKETS = {"input": "input_tokens", "cache_read": "cache_read_tokens", "cache_write": "cache_write_5m_tokens", "output": "output_tokens"}


@dataclass(frozen=True)
class Logged:
    """What the log holds: [pUSD] at list prices and under the contract, tokens and list price by kind, requests, calls without a price."""

    list_pusd: int = 0
    contract_pusd: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict)
    parts_pusd: Mapping[str, int] = field(default_factory=dict)
    requests: float = 0.0
    unpriced: int = 0

    @property
    def scale(self) -> float:
        """Contract dollars per list dollar."""
        return self.contract_pusd / self.list_pusd if self.list_pusd else 1.0


@dataclass(frozen=True)
class Billed:
    """What the invoice holds of the log's days: ``pusd``; tokens by kind, ``list_pusd`` and requests where it states them."""

    pusd: int = 0
    tokens: Mapping[str, float] = field(default_factory=dict)
    list_pusd: int | None = None
    requests: float = math.nan


def outside(log: Logged, bill: Billed, price: Mapping[str, float]) -> tuple[int, str]:
    """Return what calls that the log lacks are worth under the contract [pUSD], and what they were found by.

    ``price``: list price [pUSD per token] by kind, for kinds that the log never used. Usage is compared before list prices, and these
    before requests. Tokens count in all: where an invoice only counts another kind (cached input that the log took for fresh), no call is
    missing. An invoice that counts less than the log gives 0.
    """
    counted = [bool(set(kinds) & set(bill.tokens)) for kinds in (INPUTS, KINDS[3:])]
    if all(counted):
        more = {kind: bill.tokens.get(kind, 0.0) - log.tokens.get(kind, 0) for kind in KINDS}
        if sum(more.values()) <= 0:
            return 0, "tokens"
        worth = sum(n * _rate(log, kind, price) for kind, n in more.items())
        return max(round(worth * log.scale), 0), "tokens"
    if any(counted):
        kinds = INPUTS if counted[0] else KINDS[3:]
        return _in_proportion(log.contract_pusd, _sum(bill.tokens, kinds), _sum(log.tokens, kinds)), "tokens"
    if bill.list_pusd is not None:
        return max(round((bill.list_pusd - log.list_pusd) * log.scale), 0), "the invoice's own list prices"
    if not math.isnan(bill.requests):
        return _in_proportion(log.contract_pusd, bill.requests, log.requests), "requests"
    return 0, UNKNOWN


def _in_proportion(pusd: int, billed: float, logged: float) -> int:
    return max(round(pusd * (billed / logged - 1)), 0) if logged else 0


def _sum(tokens: Mapping[str, float] | Mapping[str, int], kinds: Sequence[str]) -> float:
    return math.fsum(tokens.get(kind, 0) for kind in kinds)


def _rate(log: Logged, kind: str, price: Mapping[str, float]) -> float:
    """Return the log's own mean list price of a kind [pUSD per token], the book's where the log has none of it."""
    tokens = log.tokens.get(kind, 0)
    return log.parts_pusd.get(kind, 0) / tokens if tokens else price.get(kind, 0.0)


def listed(book: PriceBook, provider: str, model: str) -> dict[str, float]:
    """Return the book's list price of every kind of token of a model [pUSD per token]; what it does not know is left out."""
    try:
        rates = book.quote(model, provider or None).usd_per_mtok
    except PriceError:
        return {}
    return {kind: rates[bucket] * 1e6 for kind, bucket in _BUCKETS.items() if bucket in rates}
