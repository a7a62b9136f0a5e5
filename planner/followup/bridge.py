"""Bridge: from last month's bill to this month's, in parts that add up to the pico-dollar.

In: two logs; perhaps both invoices, and the bundle that routed. Out: a Bridge: days, volume, app mix, tokens per call, caches, failures,
routing and other model mix, list price, contract, apps that are new or gone. Knows nothing of gateways.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.followup.arms import routed_by
from planner.followup.bridge_cells import INPUT, OUTPUT, Ledger, cells
from planner.followup.bridge_ledger import Priced, ledgers
from planner.followup.bridge_result import OVERHEAD, Bridge
from planner.followup.bridge_shapley import FACTORS, split
from planner.followup.verify import manifest_of, verify
from planner.prices import PriceBook
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.stats import weakest
from planner.traffic import Traffic
from planner.traffic.rows import evidence_of
from planner.traffic.sampling import heaviest
from planner.units import PUSD_PER_USD, usd_to_pusd

__all__ = ["Bridge", "bridge", "checked"]

F64 = NDArray[np.float64]
_COLUMNS = ("app", "provider", "model", "service_tier", "timestamp", "status", "cache_hit", "weight", "purpose", "source_cost_usd")
_MONTHS = ("last", "this")
#: Share of the routed requests that another bundle may have routed, as in the minutes after an export, without a word.
_STRAYS = 0.01
_SAMPLED = "Rows stand for others: no line says how far it may be from that of the whole logs; planner bridge takes whole logs alone."


@dataclass(frozen=True, slots=True)
class _Routing:
    """What routing saved in a period [USD as billed], with its interval: nothing unless it ``ran``; ``note`` where it is not ``known``."""

    usd: float = 0.0
    low: float = 0.0
    high: float = 0.0
    ran: bool = False
    known: bool = True
    note: str = ""


def bridge(
    last: Traffic,
    this: Traffic,
    *,
    book: PriceBook | None = None,
    invoices: Sequence[float] | None = None,
    bundle: str | Path | None = None,
    bundle_last: str | Path | None = None,
) -> Bridge:
    """Split the difference of two bills.

    Parameters
    ----------
    last, this: logs of the two months, or of any two periods.
    book: list prices, each request at its own time, and at the same day and time of the other month.
    invoices: what was billed [USD], last and this; all parts are then in invoiced dollars, and what the logs do not explain is
        ``contract``. Without them a request costs what its log says, else the list price.
    bundle: what routed this month; what routing saved is then measured on those whom a lot kept (``verify``), each request at what it was
        billed. bundle_last: what routed last month, by default the same. Where other bundles than these routed, or nobody was kept, routing
        is no line, and a note says why.

    A part is the mean of what its change adds to the bill over every order in which the changes could have come (Shapley): no order is
    favoured, and from this month to the last every part has the opposite sign. Apps that only one month has are parts of their own. The
    saving of routing stands in place of as much of the model mix; ``other model mix`` is what is left, with what routing did to lengths.
    Raises InputError for an empty log or bad invoices.
    """
    book = book or PriceBook.load()
    priced = ledgers(_table(last), _table(this), book)
    scaled = [_invoiced(p, usd) for p, usd in zip(priced, checked(invoices), strict=True)]
    named = [set(side.app.tolist()) for side in scaled]
    shared = named[0] & named[1]
    parts, apps = _shared([side.take(pd.Series(side.app).isin(shared).to_numpy()) for side in scaled])
    lines: dict[str, dict[str, Any]] = {name: {"pusd": parts[name]} for name in FACTORS}
    for side, name, sign in ((scaled[1], "new app", 1), (scaled[0], "vanished app", -1)):
        for app in sorted(set(side.app.tolist()) - shared):
            usd = _total(side.bill[side.app == app])
            lines[f"{name}: {app}"] = {"pusd": sign * usd}
            apps.append({"app": app, "last_pusd": 0 if sign > 0 else usd, "this_pusd": usd if sign > 0 else 0, name: sign * usd})
    who = ((last, bundle_last or bundle), (this, bundle))
    costs = [_billed_usd(p, side) for p, side in zip(priced, scaled, strict=True)]
    routed = [_routed(month, *each, cost) for month, each, cost in zip(_MONTHS, who, costs, strict=True)]
    if routed[1].ran and all(r.known for r in routed):
        _insert_routing(lines, *routed)
    elif bundle is not None and not routed[1].ran and routed[1].known:
        routed[1] = replace(routed[1], note="This month the bundle routed nothing.")
    evidence = weakest(*(_evidence(log, p) for log, p in zip((last, this), priced, strict=True)))
    for name, line in lines.items():
        line["evidence"] = "measured" if name == "routing" else weakest(evidence, "estimated") if name == "other model mix" else evidence
    for name, pair in _drivers(*scaled).items():
        lines[name] |= dict(zip(("was", "now"), pair, strict=True))
    return Bridge.of(
        lines,
        apps,
        bills=(_total(scaled[0].bill), _total(scaled[1].bill)),
        days=(int(scaled[0].days), int(scaled[1].days)),
        spans=tuple(_span(log) for log in (last, this)),
        prices=book.name,
        notes=(
            *_notes(priced, invoices is not None, any(heaviest(log) is not None for log in (last, this))),
            *(r.note for r in routed if r.note),
        ),
    )


def _table(traffic: Traffic) -> pd.DataFrame:
    """Return a log's requests as ``ledgers`` takes them; a cost of 0 is what a gateway writes that knows no price or no tokens."""
    frame = traffic.frame(*_COLUMNS, *TOKEN_BUCKETS)
    stated, hit = frame["source_cost_usd"].to_numpy(float), frame["cache_hit"].to_numpy(bool)
    cost = np.where(hit, np.nan_to_num(stated), np.where(stated == 0, np.nan, stated))
    return frame.assign(app=frame["app"].where(frame["purpose"] == "user", OVERHEAD), cost_pusd=cost * PUSD_PER_USD)


def checked(invoices: Sequence[float] | None) -> tuple[float | None, float | None]:
    """Return both invoices [USD], None without; InputError unless they are two amounts above 0."""
    if invoices is None:
        return None, None
    if len(invoices) != 2 or not all(math.isfinite(x) and x > 0 for x in invoices):
        raise InputError(f"invoices {list(invoices)}", "two amounts above 0 [USD], last and this month's")
    return invoices[0], invoices[1]


def _invoiced(priced: Priced, usd: float | None) -> Ledger:
    """Scale what was billed to an invoice, exactly; what rounding leaves goes to the dearest request."""
    ledger = priced.ledger
    if usd is None:
        return ledger
    total, wanted = _total(ledger.bill), usd_to_pusd(usd)
    if not total:
        raise InputError(f"an invoice of ${usd:,.2f} and a log that costs nothing", "a log with prices", "planner audit says what has none")
    bill = np.rint(ledger.bill * (wanted / total)).astype(np.int64)
    bill[ledger.bill.argmax()] += wanted - _total(bill)
    return replace(ledger, bill=bill)


def _shared(sides: list[Ledger]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return the parts of all apps that both months have, and each app's own."""
    if not len(sides[0].app):
        return dict.fromkeys(FACTORS, 0), []
    taken = cells(sides[0], sides[1])
    split_up = split(taken)
    rows = [
        {"app": app, "last_pusd": was, "this_pusd": now, **own}
        for app, (was, now), own in zip(taken.apps, taken.bills, split_up, strict=True)
    ]
    return {name: sum(own[name] for own in split_up) for name in FACTORS}, rows


def _billed_usd(priced: Priced, ledger: Ledger) -> F64:
    """Return what each request was billed [USD], (n,); NaN where it has no cost."""
    requests = np.where(ledger.requests > 0, ledger.requests, 1.0)
    return np.asarray(np.where(priced.costed, ledger.bill / requests / PUSD_PER_USD, np.nan))


def _routed(month: str, traffic: Traffic, bundle: str | Path | None, cost_usd: F64) -> _Routing:
    """Measure what routing saved in a log, in dollars as they were billed."""
    if bundle is None:
        return _Routing()
    ran, own = routed_by(traffic), str(manifest_of(bundle)["digest"])[:8]
    routed, others = sum(ran.values()), [name for name in ran if name != own]
    if sum(ran[name] for name in others) > _STRAYS * routed:
        option = "--bundle-last" if month == "last" else "--bundle"
        why = (
            f"{routed - ran.get(own, 0):,} of {routed:,} routed requests of {month} month were routed by {', '.join(others)}, not by {own}"
        )
        return _unknown(f"{why}: what routing changed is not measured. Give the bundle that ran as {option}.")
    if own not in ran:
        return _Routing()
    try:
        found = verify(traffic, bundle, cost_usd=cost_usd)
    except NeedsError as error:
        return _unknown(f"What routing saved {month} month is not measured: {error}")
    alarms = " ".join(check.words for check in found.alarms)
    saved = found.saved_usd
    if saved is None:
        return _unknown(alarms or f"Nobody was kept to compare with in {month} month: what routing saved is not measured.")
    return _Routing(*saved, True, True, alarms)


def _unknown(note: str) -> _Routing:
    return _Routing(math.nan, math.nan, math.nan, True, False, note)


def _insert_routing(lines: dict[str, dict[str, Any]], last: _Routing, this: _Routing) -> None:
    """Put the measured saving, less last month's, in place of as much of the model mix."""
    change = this.usd - last.usd
    pusd = -usd_to_pusd(change)
    below, above = math.hypot(this.usd - this.low, last.high - last.usd), math.hypot(this.high - this.usd, last.usd - last.low)
    mix = lines.pop("model mix")["pusd"]
    lines["routing"] = {"pusd": pusd, "low": -change - above, "high": -change + below}
    lines["other model mix"] = {"pusd": mix - pusd}


def _evidence(traffic: Traffic, priced: Priced) -> str:
    logged = evidence_of(traffic, traffic.arrow("weight", "evidence"))
    return weakest(EVIDENCE[logged.max(initial=0)], EVIDENCE[-1] if priced.assumed else EVIDENCE[0])


def _drivers(last: Ledger, this: Ledger) -> dict[str, tuple[float, float]]:
    """Return what moved, last and this, over all apps."""
    found = [_driven(side) for side in (last, this)]
    return {name: (found[0][name], found[1][name]) for name in found[0]}


def _driven(side: Ledger) -> dict[str, float]:
    reached = ~side.hit
    requests, asked = float(side.requests.sum()), float(side.requests[reached].sum())
    tokens, calls = side.tokens[reached].sum(axis=0), float(side.calls[reached].sum())
    listed = float(side.own[side.listed].sum())
    ratios = {
        "response cache": (requests - asked, requests),
        "failures": (float(side.requests[side.failed & reached].sum()), asked),
        "input tokens": (float(tokens[INPUT].sum()), calls),
        "output tokens": (float(tokens[OUTPUT].sum()), calls),
        "prompt cache": (float(tokens[1]), float(tokens[INPUT].sum())),
        "contract": (float(_total(side.bill[side.listed])), listed),
    }
    shares = {name: top / bottom if bottom else math.nan for name, (top, bottom) in ratios.items()}
    return {"days": side.days, "volume": requests / side.days, **shares}


def _total(pusd: NDArray[np.int64]) -> int:
    return sum(pusd.tolist())


def _span(traffic: Traffic) -> str:
    times = traffic.frame("timestamp")["timestamp"]
    return f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"


def _notes(priced: Sequence[Priced], invoiced: bool, sampled: bool) -> list[str]:
    said = [_SAMPLED] if sampled else []
    for which, p in zip(_MONTHS, priced, strict=True):
        if p.uncosted:
            said.append(f"{p.uncosted:,} requests of {which} month have no cost and are in no figure.")
    if not invoiced and not any(p.stated for p in priced):
        said.append("Neither log states what was billed: list prices are taken as the bill.")
    return said
