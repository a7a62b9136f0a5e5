"""The exports that providers and clouds give of their bills: one function per layout, from a record to a charge.

In: a record as header → text. Out: a Charge, None for a row that charges nothing (an empty day), ELSEWHERE for another service;
RefusedError with a reason. Layouts as seen in public exports of 2025 and 2026, and FOCUS 1.0 to 1.3 (focus.finops.org). Knows nothing of
logs.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from planner.prices.contract_lines import CREDIT, FEE, SHORTFALL
from planner.prices.invoice_cells import RefusedError, count, dollars, period, usd_only
from planner.prices.invoice_names import KINDS, factor, token_kind

__all__ = ["ADJUSTMENT", "CALLS", "ELSEWHERE", "FORMATS", "TAX", "Charge", "Layout"]

CALLS, TAX, ADJUSTMENT = "calls", "tax", "adjustment"
Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of an invoice: [pUSD], UTC days from ``start`` to before ``end``, and what was used where it says so.

    ``texts`` may name the model, best first; ``tokens`` by kind, without those that the line does not count. ``effective``: ``pusd`` is the
    effective cost of FOCUS; else it is what was billed.
    """

    provider: str
    texts: tuple[str, ...]
    start: dt.date
    end: dt.date
    pusd: int
    kind: str = CALLS
    list_pusd: int | None = None
    contracted_pusd: int | None = None
    tokens: Mapping[str, float] = field(default_factory=dict)
    requests: float = math.nan
    effective: bool = False


#: A line of another service of the same cloud.
ELSEWHERE = Charge("", (), dt.date.min, dt.date.min, 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """``needs``: columns (lower case) by which it is recognised. ``read``: (record, cost) → charge. ``counts``: usage without money."""

    name: str
    needs: frozenset[str]
    read: Callable[[Record, str], Charge | None]
    counts: bool = False


def _openai_costs(r: Record, _: str) -> Charge | None:
    amount = dollars(r["amount_value"], "amount_value")
    if amount is None:
        return None
    usd_only(r.get("amount_currency", ""))
    item, quantity = r.get("line_item", ""), count(r.get("quantity", ""), "quantity")
    kind, times = token_kind(item.partition(",")[2] or item), factor(r.get("quantity_unit", ""))
    tokens = {kind: quantity * times} if kind and times and not math.isnan(quantity) else {}
    return Charge("openai", (item.split(",")[0], item), *_openai_days(r), amount, tokens=tokens)


def _openai_usage(r: Record, _: str) -> Charge | None:
    requests = count(r["num_model_requests"], "num_model_requests")
    if math.isnan(requests):
        return None
    whole, cached = count(r["input_tokens"], "input_tokens"), count(r.get("input_cached_tokens", ""), "input_cached_tokens")
    cached = 0.0 if math.isnan(cached) else cached
    if cached > whole:
        raise RefusedError("more cached input tokens than input tokens")
    tokens = {"input": whole - cached, "cache_read": cached, "output": count(r["output_tokens"], "output_tokens")}
    return Charge("openai", (r.get("model", ""),), *_openai_days(r), 0, tokens=_known(tokens), requests=requests)


def _openai_days(r: Record) -> tuple[dt.date, dt.date]:
    return period(r.get("start_time_iso") or r["start_time"], r.get("end_time_iso") or r.get("end_time", ""), "start_time")


def _anthropic_cost(r: Record, _: str) -> Charge | None:
    amount = dollars(r["cost_usd"], "cost_usd")
    if amount is None:
        return None
    texts = (r.get("model", ""), *([r["cost_type"]] if r.get("cost_type", "token") not in ("token", "tokens", "") else []))
    listed = dollars(r.get("list_price_usd", ""), "list_price_usd")
    return Charge("anthropic", texts, *period(r["usage_date_utc"], "", "usage_date_utc"), amount, list_pusd=listed)


def _anthropic_usage(r: Record, _: str) -> Charge | None:
    columns = {
        "input": ("usage_input_tokens_no_cache",),
        "cache_read": ("usage_input_tokens_cache_read",),
        "cache_write": ("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"),
        "output": ("usage_output_tokens",),
    }
    tokens = {kind: sum(count(r.get(name) or "0", name) for name in names) for kind, names in columns.items()}
    return Charge("anthropic", (r["model_version"],), *period(r["usage_date_utc"], "", "usage_date_utc"), 0, tokens=tokens)


_AI = re.compile(r"bedrock|openai|vertex|gemini|foundry|claude|anthropic|cognitive|generative|llm|mistral|ai model", re.IGNORECASE)
_TEXTS = (
    "skumeter", "x_skumetername", "x_skudescription", "x_usagetype", "chargedescription", "skupricedetails", "servicename",
    "servicesubcategory", "x_skumetersubcategory", "skuid", "skupriceid",
)  # fmt: skip
_PROVIDERS = ("serviceprovidername", "providername", "publishername", "invoiceissuername", "invoiceissuer")
_CATEGORIES = {"usage": CALLS, "purchase": FEE, "credit": CREDIT, "tax": TAX, "adjustment": ADJUSTMENT, "": CALLS}
_CLOUDS = {"amazon web services": "aws", "aws": "aws", "microsoft": "azure", "microsoft azure": "azure", "google cloud": "google"}


def _focus(r: Record, cost: str) -> Charge | None:
    service = f"{r.get('servicename', '')} {r.get('servicecategory', '')}"
    texts = tuple(r[name] for name in _TEXTS if r.get(name))
    if not _AI.search(f"{service} {' '.join(texts)}") and "machine learning" not in service.lower():
        return ELSEWHERE
    category = r.get("chargecategory", "").strip().lower()
    if category not in _CATEGORIES:
        raise RefusedError("ChargeCategory is none of FOCUS")
    unused = r.get("commitmentdiscountstatus", "").strip().lower() == "unused"
    kind = SHORTFALL if unused else _CATEGORIES[category]
    named = cost if r.get(cost, "").strip() else "billedcost"
    amount = dollars(r[named], named)
    if amount is None:
        raise RefusedError(f"{named} is empty")
    usd_only(r.get("billingcurrency", ""))
    days = period(r["chargeperiodstart"], r.get("chargeperiodend", ""), "ChargePeriodStart")
    provider = next((r[name] for name in _PROVIDERS if r.get(name)), "")
    listed, agreed = (dollars(r.get(name, ""), name) for name in ("listcost", "contractedcost"))
    provider = _CLOUDS.get(provider.strip().lower(), provider)
    tokens, requests = _consumed(r, " ".join(texts))
    return Charge(provider, texts, *days, amount, kind, listed, agreed, tokens, requests, effective=named == "effectivecost")


def _consumed(r: Record, text: str) -> tuple[dict[str, float], float]:
    """Return what a FOCUS row says was used: tokens of a kind, or requests."""
    quantity, unit = count(r.get("consumedquantity", ""), "ConsumedQuantity"), r.get("consumedunit", "")
    if math.isnan(quantity):
        return {}, math.nan
    if unit.strip().lower() in ("requests", "request", "calls", "count"):
        return {}, quantity
    kind, times = token_kind(text), factor(unit)
    return ({kind: quantity * times} if kind and times else {}), math.nan


def _plain(r: Record, _: str) -> Charge | None:
    amount = dollars(r["usd"], "usd")
    if amount is None:
        raise RefusedError("usd is empty")
    usd_only(r.get("currency", ""))
    kind = r.get("kind", "").strip().lower() or CALLS
    if kind not in _KINDS:
        raise RefusedError(f"kind is none of {', '.join(_KINDS)}")
    if not r["provider"].strip():
        raise RefusedError("provider is empty")
    tokens = _known({name: count(r.get(f"{name}_tokens", ""), f"{name}_tokens") for name in KINDS})
    listed, requests = dollars(r.get("list_usd", ""), "list_usd"), count(r.get("requests", ""), "requests")
    days = period(r["date"], r.get("end", ""), "date")
    return Charge(r["provider"], (r.get("model", ""),), *days, amount, kind, listed, tokens=tokens, requests=requests)


_KINDS = (CALLS, FEE, SHORTFALL, CREDIT, TAX, ADJUSTMENT)


def _known(tokens: Mapping[str, float]) -> dict[str, float]:
    return {kind: n for kind, n in tokens.items() if not math.isnan(n)}


#: First those that need most columns.
FORMATS = (
    Layout("FOCUS", frozenset({"billedcost", "chargeperiodstart"}), _focus),
    Layout("OpenAI costs", frozenset({"amount_value", "start_time"}), _openai_costs),
    Layout("OpenAI usage", frozenset({"num_model_requests", "input_tokens", "output_tokens", "start_time"}), _openai_usage, counts=True),
    Layout("Anthropic costs", frozenset({"usage_date_utc", "cost_usd"}), _anthropic_cost),
    Layout("Anthropic usage", frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}), _anthropic_usage, counts=True),
    Layout("plain", frozenset({"date", "provider", "usd"}), _plain),
)
