"""What a contract bills that is no call: fixed fees, the shortfall of commitments, credits. Credits come last and never below zero.

In: a contract, what use cost by provider and month [pUSD], and the UTC days that are billed. Out: lines in integers. Of a month or a
period that is billed in part, fees, commitments and credits count by its days. What a credit paid before those days is known to nobody
here: it counts from the day on for which it says what was left. Knows nothing of single calls.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from planner.prices.contract import FOREVER, Capacity, Commitment, Contract, Credit
from planner.units import pusd_to_usd

__all__ = ["CREDIT", "FEE", "SHORTFALL", "Line", "lines"]

FEE, SHORTFALL, CREDIT = "fixed fee", "shortfall", "credit"


@dataclass(frozen=True, slots=True)
class Line:
    """``pusd`` [pUSD] that ``provider`` bills in ``month`` (its first day) as ``kind``; ``what`` says which and of which source."""

    provider: str
    month: dt.date
    kind: str
    pusd: int
    what: str


def lines(contract: Contract, usage: Mapping[tuple[str, dt.date], int], first: dt.date, last: dt.date) -> list[Line]:
    """Return the lines of all months from ``first`` to ``last`` (UTC days, both billed).

    usage: (provider, first day of a month) → what calls cost under the contract [pUSD].

    Use and fixed fees count towards a commitment. Credits pay the earliest bill first, those that end soonest before others, and of a month
    that is billed in part at most their share by its days. One whose remainder is stated for a day before ``first`` pays nothing, and has
    a line of 0 that says so.
    """
    found = [line for term in contract.capacities for line in _fees(term, first, last)]
    bill = dict(usage)
    _add(bill, found)
    short = [line for term in contract.commitments for line in _shortfalls(term, bill, first, last)]
    _add(bill, short)
    return [*found, *short, *_credits(contract.credits, bill, first, last)]


def _add(bill: dict[tuple[str, dt.date], int], found: Sequence[Line]) -> None:
    for line in found:
        bill[line.provider, line.month] = bill.get((line.provider, line.month), 0) + line.pusd


def _fees(term: Capacity, first: dt.date, last: dt.date) -> Iterator[Line]:
    for month in _months(max(first, term.start), min(last, term.end)):
        days, of = _overlap(month, _end(month, 1), max(first, term.start), min(last, term.end)), _length(month, 1)
        yield Line(term.provider, month, FEE, _part(term.fee_pusd, days, of), f"{term.name}, {days} of {of} days ({term.source})")


def _shortfalls(term: Commitment, bill: Mapping[tuple[str, dt.date], int], first: dt.date, last: dt.date) -> Iterator[Line]:
    """Return what each period lacks, in its last month that is billed."""
    start = term.start
    while start <= min(last, term.end):
        end = min(_end(start, term.months), term.end)
        days, of = _overlap(start, end, first, last), _length(start, term.months)
        if days:
            inside = _months(max(start, first), min(end, last))
            lacking = _part(term.pusd, days, of) - sum(bill.get((term.provider, m), 0) for m in inside)
            if lacking > 0:
                yield Line(term.provider, inside[-1], SHORTFALL, lacking, f"period from {start}, {days} of {of} days ({term.source})")
        start = _end(start, term.months) + dt.timedelta(days=1)


def _credits(terms: Sequence[Credit], bill: dict[tuple[str, dt.date], int], first: dt.date, last: dt.date) -> Iterator[Line]:
    """Take credits off what is left of each month's bill; ``bill`` is used up."""
    for term in terms:
        if term.pusd and term.start < first <= term.end:
            yield Line(term.provider, first.replace(day=1), CREDIT, 0, _untold(term, first))
    left = {i: term.pusd for i, term in enumerate(terms) if term.start >= first}
    soonest = sorted(left, key=lambda i: (terms[i].end, terms[i].start, i))
    for month in _months(first, last):
        for i in soonest:
            term = terms[i]
            days, of = (_overlap(month, _end(month, 1), max(term.start, a), min(term.end, b)) for a, b in ((first, last), (month, FOREVER)))
            due = bill.get((term.provider, month), 0)
            paid = min(_part(left[i], days, of), due) if days else 0
            if paid > 0:
                left[i] -= paid
                bill[term.provider, month] = due - paid
                share = "" if days == of else f"at most its share of {days} of {of} days, "
                yield Line(term.provider, month, CREDIT, -paid, f"{share}{_left(left[i])} ({term.source})")


def _untold(term: Credit, first: dt.date) -> str:
    return (
        f"not taken: {_left(term.pusd)} on {term.start}, and what of it is left on {first}, when the bill begins, is not said; "
        f"give the credit usd and from as of that day ({term.source})"
    )


def _left(pusd: int) -> str:
    return f"${pusd_to_usd(pusd):,.2f} left"


def _part(pusd: int, days: int, of: int) -> int:
    """Return ``pusd`` × days / of, rounded half up."""
    return (2 * pusd * days + of) // (2 * of)


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the first days of all months that have a day from ``first`` to ``last``."""
    found, month = [], first.replace(day=1)
    while month <= last:
        found.append(month)
        month = _end(month, 1) + dt.timedelta(days=1)
    return found


def _end(start: dt.date, months: int) -> dt.date:
    """Return the last day of ``months`` calendar months, of which the first is that of ``start``."""
    years, month = divmod(start.year * 12 + start.month - 1 + months - 1, 12)
    return dt.date(years, month + 1, calendar.monthrange(years, month + 1)[1])


def _length(start: dt.date, months: int) -> int:
    return (_end(start, months) - start.replace(day=1)).days + 1


def _overlap(start: dt.date, end: dt.date, first: dt.date, last: dt.date) -> int:
    return max((min(end, last) - max(start, first)).days + 1, 0)
