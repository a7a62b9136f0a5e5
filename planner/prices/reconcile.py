"""Reconcile: the log's calls under the contract against what was billed, by provider, model and month, in parts that add up.

In: a Contracted log and an Invoice. Out: a Reconciliation. Every row: invoice = contract + calls outside the log + what the invoice itself
names (tax, credits, fees that no contract mentions) + unexplained, to the pico-dollar. Knows nothing of plans and savings.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.prices.contract_lines import CREDIT, FEE, SHORTFALL, Line, lines
from planner.prices.contracted import Contracted, spelled
from planner.prices.identity import groups
from planner.prices.invoice import COSTS, Invoice
from planner.prices.invoice_formats import CALLS
from planner.prices.invoice_names import KINDS
from planner.prices.money import pusd_sum, weighted
from planner.prices.reconcile_days import absent
from planner.prices.reconcile_usage import UNKNOWN, Billed, Logged, listed, outside
from planner.prices.reconciliation import ALL_MODELS, Reconciliation, Row
from planner.schema import EVIDENCE, TOKEN_BUCKETS

__all__ = ["reconcile"]

#: (provider, model, month).
Key = tuple[str, str, dt.date]
_MEMBERS = {
    "input": ("input_tokens",),
    "cache_read": ("cache_read_tokens",),
    "cache_write": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
    "output": ("output_tokens", "reasoning_tokens"),
}


def reconcile(log: Contracted, invoice: Invoice) -> Reconciliation:
    """Lay a log under its contract beside what was billed.

    Compared are the providers and UTC days whose use the invoice bills; the rest of the log is said apart. A charge counts in the month in
    which it starts. Where an invoice names no models, a provider's month is one row. Charges for days that the log lacks (``absent``), and
    for models that the log never called in that month, are calls outside the log; so is what the invoice counts beyond the log, priced as
    the log's own calls are. InputError where log and invoice share no provider.
    """
    periods = _spans(invoice, (CALLS, FEE, SHORTFALL))
    inside = _inside(log, {**periods, **_spans(invoice, (CALLS,))})
    if not set(periods) & set(log.provider.tolist()):
        got = f"an invoice of {_names(invoice.table['provider'])} and a log of {_names(log.provider)}"
        raise InputError(got, "a provider in both, billed for use or fees", "check the invoice's provider and the log's")
    charges = invoice.table[invoice.table["kind"] == CALLS]
    whole = {
        (p, _month(start)) for p, start in charges.loc[(charges["model"] == "") & (charges["sku"] == ""), ["provider", "start"]].values
    }
    logged, evidence = _logged(log, inside, whole)
    billed, beyond, unknown = _billed(log, charges, whole)
    rows = []
    usage: dict[tuple[str, dt.date], int] = defaultdict(int)
    for key in sorted({*logged, *billed, *beyond}):
        row = _row(log, key, logged.get(key), billed.get(key), beyond.get(key, 0), key in unknown, evidence.get(key, EVIDENCE[0]))
        usage[key[0], key[2]] += row.contract_pusd + row.outside_pusd
        rows.append(row)
    apart = [line for p, (first, last) in periods.items() for line in _lines(log, p, first, last, usage)]
    rows += _others(apart, invoice)
    beside = pusd_sum(log.audit.spend_pusd[~inside])
    return Reconciliation.of(
        rows, invoice=invoice, contract=log.contract, listed=log.listed, beside_pusd=beside, whole=not log.audit.sampled
    )


def _names(providers: Iterable[str]) -> str:
    return ", ".join(sorted(set(providers)))


def _spans(invoice: Invoice, kinds: Sequence[str]) -> dict[str, tuple[dt.date, dt.date]]:
    """Return the first and last UTC day for which each provider bills any of ``kinds``.

    A tax or a credit of a whole month says nothing of the days whose calls are billed, and neither does a fee, where calls are.
    """
    found = {}
    for provider, rows in invoice.table[invoice.table["kind"].isin(kinds)].groupby("provider"):
        found[str(provider)] = (min(rows["start"]), max(rows["end"]) - dt.timedelta(days=1))
    return found


def _inside(log: Contracted, spans: Mapping[str, tuple[dt.date, dt.date]]) -> NDArray[np.bool_]:
    found = np.zeros(len(log.provider), bool)
    for provider, (first, last) in spans.items():
        found |= (log.provider == provider) & (log.day >= np.datetime64(first)) & (log.day <= np.datetime64(last))
    return found


def _logged(log: Contracted, inside: NDArray[np.bool_], whole: set[tuple[str, dt.date]]) -> tuple[dict[Key, Logged], dict[Key, str]]:
    """Return what the compared part of the log holds, and the evidence of its contract dollars."""
    found, evidence = {}, {}
    at_all = np.flatnonzero(inside)
    month = log.month[at_all]
    merged = np.zeros(len(at_all), bool)
    for provider, when in whole:
        merged |= (log.provider[at_all] == provider) & (month == np.datetime64(when, "M"))
    model = np.where(merged, ALL_MODELS, log.model[at_all])
    tokens, parts = weighted(log.audit.tokens, log.audit.weight[:, None]), log.audit.parts_pusd
    codes = np.where(log.touched, len(EVIDENCE) - 1, log.audit.evidence)
    for (provider, name, when), own in groups(provider=log.provider[at_all], model=model, month=month):
        at = at_all[own]
        key = (provider, name, when.date())
        money = pusd_sum(log.audit.spend_pusd[at]), pusd_sum(log.cost_pusd[at])
        requests = math.fsum(log.audit.weight[at][~log.audit.hit[at]])
        unpriced = int((log.audit.reason[at] > 0).sum())
        found[key] = Logged(*money, _by_kind(tokens[at]), _by_kind(parts[at]), requests, unpriced)
        evidence[key] = EVIDENCE[int(codes[at].max())]
    return found, evidence


def _by_kind(values: NDArray[np.int64]) -> dict[str, int]:
    return {kind: sum(pusd_sum(values[:, TOKEN_BUCKETS.index(b)]) for b in members) for kind, members in _MEMBERS.items()}


def _billed(log: Contracted, charges: pd.DataFrame, whole: set[tuple[str, dt.date]]) -> tuple[dict[Key, Billed], dict[Key, int], set[Key]]:
    """Return what is billed for days of the log, for days that it lacks [pUSD], and the keys that name no model."""
    lacks = {
        provider: absent(log.day[(log.provider == provider) & ~log.audit.hit], log.first, log.last)
        for provider in charges["provider"].unique()
    }
    found: dict[Key, list[Any]] = defaultdict(list)
    beyond: dict[Key, int] = defaultdict(int)
    unknown: set[Key] = set()
    each: Any = charges.itertuples()
    for row in each:
        month = _month(row.start)
        key = (row.provider, ALL_MODELS if (row.provider, month) in whole else row.model or row.sku, month)
        if not row.model and key[1] != ALL_MODELS:
            unknown.add(key)
        if lacks[row.provider](row.start, row.end):
            beyond[key] += row.pusd
        else:
            found[key].append(row)
    return {key: _sum(rows) for key, rows in found.items()}, dict(beyond), unknown


def _sum(rows: list[Any]) -> Billed:
    """Add up charges; a list price is known where each of them that costs something states one."""
    counted = {kind: [n for row in rows if not math.isnan(n := getattr(row, kind))] for kind in KINDS}
    tokens = {kind: math.fsum(each) for kind, each in counted.items() if each}
    requests = [row.requests for row in rows if not math.isnan(row.requests)]
    stated = [row.list_pusd for row in rows if row.pusd or row.list_pusd is not None]
    known = bool(stated) and None not in stated
    return Billed(sum(r.pusd for r in rows), tokens, sum(stated) if known else None, math.fsum(requests) if requests else math.nan)


def _row(log: Contracted, key: Key, logged: Logged | None, billed: Billed | None, beyond: int, unknown: bool, evidence: str) -> Row:
    """Return the row of one provider, model and month."""
    mine, bill = logged or Logged(), billed or Billed()
    total = bill.pusd + beyond
    base = Row(key[0], key[1], key[2], CALLS, mine.list_pusd, mine.contract_pusd, 0, 0, total, evidence, EVIDENCE[0], "")
    if unknown:
        return replace(base, why="the text names no model: say which it means with models=, in the shell --sku")
    if logged is None:
        return replace(base, outside_pusd=total, why="no call of this model in the log")
    unpriced = [f"{mine.unpriced:,} calls of the log have no price"] if mine.unpriced else []
    if billed is None:
        return replace(base, outside_pusd=beyond, why="; ".join(["billed for other days only" if beyond else "not billed", *unpriced]))
    more, by = outside(mine, bill, listed(log.audit.book, key[0], key[1]))
    said = [f"{'' if by == UNKNOWN else 'compared by '}{by}", *(["some charges are of days without the log"] if beyond else []), *unpriced]
    sure = "estimated" if more else EVIDENCE[0]
    return replace(base, outside_pusd=more + beyond, outside_evidence=sure, why="; ".join(said))


def _lines(log: Contracted, provider: str, first: dt.date, last: dt.date, usage: Mapping[tuple[str, dt.date], int]) -> list[Line]:
    """Return the contract's lines of the days that the invoice bills; calls outside the log count towards a commitment."""
    own = {key: pusd for key, pusd in usage.items() if key[0] == provider}
    return lines(spelled(log.contract, log.audit.book).only(provider), own, first, last)


def _others(agreed: list[Line], invoice: Invoice) -> Iterator[Row]:
    """Yield a row per provider, kind and month of what is no call; what no contract mentions is what the invoice names it."""
    due: dict[tuple[str, str, dt.date], int] = defaultdict(int)
    paid: dict[tuple[str, str, dt.date], int] = defaultdict(int)
    untold = {line.provider: line.what for line in agreed if line.kind == CREDIT and not line.pusd}
    for line in (line for line in agreed if line.pusd):
        due[line.provider, line.kind, line.month] += line.pusd
    each: Any = invoice.table[invoice.table["kind"] != CALLS].itertuples()
    for row in each:
        paid[row.provider, row.kind, _month(row.start)] += row.pusd
    for key in sorted({*due, *paid}):
        provider, kind, month = key
        named = 0 if key in due else paid[key]
        why = "" if key in due and key in paid else "in the contract, not billed" if key in due else "billed, in no contract"
        if kind == CREDIT and key not in due:
            why = untold.get(provider, why)
        if kind == FEE and key in due and not paid.get(key) and invoice.cost.startswith(COSTS[0]):
            why = "the export spreads it over use: billed cost keeps it apart"
        evidence = EVIDENCE[-1] if key in due else EVIDENCE[0]
        yield Row(provider, "", month, kind, 0, due.get(key, 0), 0, named, paid.get(key, 0), evidence, EVIDENCE[0], why)


def _month(day: dt.date) -> dt.date:
    return day.replace(day=1)
