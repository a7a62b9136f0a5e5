"""``planner plan``: what to change, ranked, without any labels.

In: a log, what its owners say about their apps, a price date. Out: the ranked changes with their evidence, what routing
could be worth at most, and what finding out would cost. Knows nothing of how changes are valued.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus
from planner.cli.bills import beside as billed
from planner.cli.common import At, Json, Log, Prices, Quiet, book_of, day, traffic_at
from planner.cli.output import Part, bar, beside, grid, show, usd, wrap
from planner.cli.speech import spoken

if TYPE_CHECKING:
    from planner.comparison import Recommendations
    from planner.comparison.recommendations import Ranked

__all__ = ["plan"]

_TOLD = 0.001


def plan(
    log: Log,
    apps: Annotated[Path | None, typer.Option("--apps", metavar="FILE", help="apps.yaml; without it a draft, every guess assumed.")] = None,
    at: At = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What to change, ranked, without any labels; what routing could be worth, and the labels that would decide it.

    [bold]Examples[/bold]

        planner plan proxy.jsonl.zst
        planner plan november --apps apps.yaml --at 2026-11-01
        planner plan november --at as-logged --json
    """
    from planner.comparison import recommend
    from planner.traffic.apps import Apps

    when, known = day(at), Apps.load(apps) if apps else None
    traffic, book = traffic_at(log, quiet or json), book_of(prices)
    dollars = billed(traffic, book, contract, invoice, invoice_cost, sku)
    with bar("looking for changes", quiet or json, unit=" requests") as progress:
        found = recommend(traffic, book=book, apps=known, at=when, progress=progress)
    parts = [
        Part("text", found.text, _head(found)),
        *dollars,
        Part("changes", found.table, _changes(found) if found.spend.n or found.ranked else ""),
        Part("combined", found.combined, _combined(found)),
        Part("routing", found.ceiling, _routing(found.ceiling)),
        Part("notes", found.notes, "\n".join(wrap(spoken(n)) for n in sorted(found.notes, key=lambda n: "have no price" not in n))),
    ]
    show(parts, json)


def _head(found: Recommendations) -> str:
    from planner.comparison.silence import period

    head = f"{found.requests:,} requests{found.standing} in {period(found.days)}"
    if not found.spend.n:
        return wrap(f"{head}. Nothing in this log has a price at {found.prices}, so no change can be valued.")
    return wrap(f"{head}; {found.spend.format(',.2f', '$')} a month at {found.prices}.")


def _changes(found: Recommendations) -> str:
    told = [r for r in found.ranked if r.saving.value >= _TOLD * found.spend.value or r.saving.value <= 0]
    if not told:
        return "No change that needs no label saves anything worth mentioning on this log."
    blocks = []
    for heading, combines in (("Alters no answer:", True), ("Test first, answers may differ:", False)):
        some = [r for r in told if r.change.combines is combines]
        blocks += [heading, *(_change(r) for r in some)] if some else []
    small = len(found.ranked) - len(told)
    more = [f"{small} changes of less than {_TOLD:.1%} of the spend each are left out here (--json has them)."] if small else []
    return "\n".join([*blocks, *more])


def _change(ranked: Ranked) -> str:
    saving, change = ranked.saving, ranked.change
    interval = ["no interval"] if saving.low is None or saving.high is None else [f"[{usd(saving.low)}, {usd(saving.high)}]"]
    steps = [f"{name}: {usd(value)} a month" for name, value in ranked.steps]
    what = change.what.removeprefix("test first: ")
    right = [what, *steps, f"Effort {change.effort}", f"Risk: {change.risk}"]
    return beside([f"{usd(saving.value)} a month", *interval, saving.evidence], right, 22)


def _combined(found: Recommendations) -> str:
    if found.combined.value <= 0:
        return ""
    parts = ", ".join(f"{usd(v)} {k}" for k, v in found.combined.shares.items() if v)
    return wrap(
        "Each is priced alone, and they do not add up. Those that alter no answer, applied one after another, save "
        f"{found.combined.format(',.2f', '$')} a month ({parts})."
    )


def _routing(ceiling: Any) -> str:
    if ceiling.empty:
        return ""
    columns: dict[str, Any] = {
        "app": ("app", str),
        "at_most_usd_per_month": ("$ a month", usd),
        "evidence": ("evidence", str),
        "labels": ("labels to decide", "{:,}".format),
        "labels_usd": ("cost of the answers", usd),
        "with_text": ("requests with text", "{:,}".format),
    }
    return f"What routing could save at most, an upper bound and not a saving:\n{grid(ceiling, columns)}"
