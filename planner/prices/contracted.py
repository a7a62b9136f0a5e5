"""A log under a contract: the second of the three dollars, beside the list price it was made from.

In: an Audit and a Contract. Out: the cost of every call and the lines that are no call, in integer pico-USD. List prices keep their own
evidence; what a term touched, and every line, is ``assumed``. Knows nothing of invoices.
"""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import NeedsError
from planner.prices.audit import Audit
from planner.prices.book import UNTIERED, PriceBook
from planner.prices.contract import Capacity, Contract, Discount
from planner.prices.contract_lines import CREDIT, Line, lines
from planner.prices.contract_rows import Rows, under
from planner.prices.identity import groups, identities, months, short
from planner.prices.money import pusd_sum, spanned
from planner.schema import EVIDENCE
from planner.stats import Estimate
from planner.units import pusd_to_usd, usd_to_pusd

__all__ = ["Contracted", "contracted", "spelled"]


@dataclass(frozen=True, eq=False)
class Contracted:
    """A log's calls and lines under ``contract``, calls in traffic order.

    Parameters
    ----------
    provider, model: (n,) in the one spelling of ``identity``. month: datetime64[M] (n,).
    cost_pusd: int64 (n,) [pUSD], weighted; 0 for cache hits, calls without a price and calls that a deployment took.
    touched: (n,) whether a term of the contract changed or could have changed the row.
    day: datetime64[D] (n,), UTC.
    lines: fees, shortfalls and credits of the days from ``first`` to ``last``.
    """

    audit: Audit = field(repr=False)
    contract: Contract
    provider: NDArray[np.object_] = field(repr=False)
    model: NDArray[np.object_] = field(repr=False)
    month: NDArray[np.datetime64] = field(repr=False)
    day: NDArray[np.datetime64] = field(repr=False)
    cost_pusd: NDArray[np.int64] = field(repr=False)
    touched: NDArray[np.bool_] = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)
    first: dt.date
    last: dt.date

    @cached_property
    def listed(self) -> Estimate:
        """What the calls cost at list prices [USD]; the audit's own total."""
        return self.audit.total

    @cached_property
    def total(self) -> Estimate:
        """What calls and lines cost under the contract [USD]; ``shares`` splits it by evidence.

        Of a sample it has an interval where there are no lines: these do not grow with the calls.
        """
        codes = np.where(self.touched, len(EVIDENCE) - 1, self.audit.evidence)
        sums = {name: pusd_sum(self.cost_pusd[codes == i]) for i, name in enumerate(EVIDENCE)}
        sums[EVIDENCE[-1]] += sum(line.pusd for line in self.lines)
        shares = {name: pusd_to_usd(pusd) for name, pusd in sums.items() if pusd}
        lined = any(line.pusd for line in self.lines)
        assumed = lined or bool(self.touched.any())
        weakest = EVIDENCE[-1] if assumed else self.listed.evidence
        source = f"{self.listed.source}; {self.contract.name or 'no contract'}"
        low, high = (None, None) if lined else self.audit.limits(np.ones(len(codes), bool), self.cost_pusd)
        return Estimate(pusd_to_usd(sum(sums.values())), low, high, weakest, shares, self.listed.n, source)

    @cached_property
    def free(self) -> Estimate:
        """What calls that cost nothing at the margin are worth at list prices [USD]: moving them elsewhere saves nothing."""
        at = self.touched & (self.cost_pusd == 0)
        return Estimate(pusd_to_usd(pusd_sum(self.audit.spend_pusd[at])), evidence=EVIDENCE[-1], n=int(at.sum()), source=self.contract.name)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per provider, model and month, then the lines: ``provider, model, month, kind, list_usd, contract_usd, evidence, what``.

        With ``list_pusd`` and ``contract_pusd``, integers that add up to the totals exactly; dollars are NaN where no call has a price.
        Dearest first within their kind.
        """
        rows = []
        for (provider, model, month), at in groups(provider=self.provider, model=self.model, month=self.month):
            code = int(np.where(self.touched[at], len(EVIDENCE) - 1, self.audit.evidence[at]).max())
            sums = pusd_sum(self.audit.spend_pusd[at]), pusd_sum(self.cost_pusd[at])
            lost = int((self.audit.reason[at] > 0).sum())
            what = f"{lost:,} of {len(at):,} calls have no price" if lost else ""
            rows.append((provider, model, f"{month:%Y-%m}", "calls", *sums, EVIDENCE[code], what, lost < len(at)))
        rows.sort(key=lambda row: -row[4])
        for line in self.lines:
            rows.append((line.provider, "", f"{line.month:%Y-%m}", line.kind, 0, line.pusd, EVIDENCE[-1], line.what, True))
        names = ["provider", "model", "month", "kind", "list_pusd", "contract_pusd", "evidence", "what", "known"]
        table = pd.DataFrame(rows, columns=names, dtype=object)
        for name in ("list", "contract"):
            table[f"{name}_usd"] = [
                pusd_to_usd(x) if known else np.nan for x, known in zip(table[f"{name}_pusd"], table["known"], strict=True)
            ]
        return table[[*names[:4], "list_usd", "contract_usd", "evidence", "what", "list_pusd", "contract_pusd"]]

    @property
    def text(self) -> str:
        """Both dollars, apart, and every line."""
        listed, total = (spanned(e.value, e.low, e.high, "${:,.2f}".format) for e in (self.listed, self.total))
        credited = sum(line.pusd for line in self.lines if line.kind == CREDIT)
        before = f", {_usd(usd_to_pusd(self.total.value) - credited)} before credits" if credited else ""
        said = f"{self.contract.text} The log's calls are {listed} at list prices ({self.listed.evidence})"
        said += f" and, with {self.first} to {self.last} billed, {total} under the contract ({self.total.evidence}){before}."
        if self.free.n:
            said += (
                f" {self.free.n:,} calls, ${self.free.value:,.2f} at list, cost nothing at the margin: no saving there is real (assumed)."
            )
        each = [f"{line.kind.capitalize()} {_usd(line.pusd)} in {line.month:%Y-%m}: {line.provider}, {line.what}." for line in self.lines]
        return "\n".join([said, *each])

    def _repr_html_(self) -> str:
        head = "".join(f"<p class='mathjax_ignore'>{html.escape(line)}</p>" for line in self.text.split("\n"))
        shown = self.table.drop(columns=["list_pusd", "contract_pusd"])
        return head + shown.to_html(index=False, escape=True, float_format="{:,.2f}".format)


def contracted(audit: Audit, contract: Contract) -> Contracted:
    """Price an audited log under ``contract``, each call at its own time.

    NeedsError for a log without requests, and for a sample of calls to a deployment of fixed capacity.

    Lines are of the log's days, first to last. A contract without terms costs what the list says, to the integer.
    """
    frame = audit.traffic.frame("provider", "model", "service_tier", "timestamp", *(["request_id"] if contract.capacities else []))
    if not len(frame):
        raise NeedsError("a log without requests", "at least one", "check the log with planner read")
    provider, model = identities(audit.book, frame["provider"], frame["model"])
    times = frame["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    tiers = frame["service_tier"].astype(object).fillna("").str.lower().replace(UNTIERED).to_numpy(object)
    ids = frame["request_id"].to_numpy(object) if contract.capacities else np.zeros(0, object)
    rows = Rows(provider, model, tiers, times, audit.tokens, audit.weight, audit.spend_pusd, ids)
    terms = spelled(contract, audit.book)
    cost, touched = under(terms, rows)
    month, days = months(frame["timestamp"]), times.astype("datetime64[D]")
    first, last = days.min().item(), days.max().item()
    found = lines(terms, _usage(provider, month, cost), first, last)
    return Contracted(audit, contract, provider, model, month, days, cost, touched & (audit.spend_pusd > 0), tuple(found), first, last)


def _usage(provider: NDArray[np.object_], month: NDArray[np.datetime64], cost: NDArray[np.int64]) -> dict[tuple[str, dt.date], int]:
    return {(p, m.date()): pusd_sum(cost[at]) for (p, m), at in groups(provider=provider, month=month)}


def spelled(contract: Contract, book: PriceBook) -> Contract:
    """Return the contract with the book's names; PriceError for a provider or a model that the book does not know."""
    named = {name: book.provider(name) for name in contract.providers}

    def model(term: Discount | Capacity) -> str:
        return short(book.resolve(term.model, term.provider)[1]) if term.model else ""

    return Contract(
        contract.name,
        tuple(replace(t, provider=named[t.provider], model=model(t)) for t in contract.discounts),
        tuple(replace(t, provider=named[t.provider]) for t in contract.commitments),
        tuple(replace(t, provider=named[t.provider], model=model(t)) for t in contract.capacities),
        tuple(replace(t, provider=named[t.provider]) for t in contract.credits),
    )


def _usd(pusd: int) -> str:
    usd = pusd_to_usd(pusd)
    return f"{'−' if round(usd, 2) < 0 else ''}${abs(usd):,.2f}"
