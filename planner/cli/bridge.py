"""``planner bridge``: from last month's bill to this month's, in parts that add up.

In: two logs, perhaps both invoices' totals, the bundle that routed, and this month's exports of bills. Out: a line for each change, as
text and a table or JSON. Knows nothing of how bills are split.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus, beside
from planner.cli.common import Json, Prices, Quiet, book_of, traffic_at
from planner.cli.output import Part, grid, missing, percent, show, usd, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.followup.bridge import Bridge

__all__ = ["bridge"]

#: What is said of the dollars of all lines, the saving of routing among them, where this month's exports of bills are given, too.
_DOLLARS = "Lines here, what routing saved among them, are in the dollars of the two totals above; this month's log beside its invoice:"


def bridge(
    last: Annotated[str, typer.Argument(metavar="LAST", help="Last month's log, as of all verbs.")],
    this: Annotated[str, typer.Argument(metavar="THIS", help="This month's log.")],
    invoice_last: Annotated[float | None, typer.Option("--invoice-last", metavar="USD", help="What was billed last month.")] = None,
    invoice_this: Annotated[float | None, typer.Option("--invoice-this", metavar="USD", help="What was billed this month.")] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="DIR", help="What routed this month: its saving is measured on those a lot kept.")
    ] = None,
    bundle_last: Annotated[
        Path | None, typer.Option("--bundle-last", metavar="DIR", help="What routed last month; default: the same.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="PNG", help="Write it as a waterfall; needs the extra lab.")] = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what changed the bill: days, volume, app mix, tokens per call, caches, failures, routing, list price, contract.

    [bold]Examples[/bold]

        planner bridge november december
        planner bridge november december --bundle production
        planner bridge november december --invoice-last 41200 --invoice-this 38950 --json
        planner bridge november december --bundle production --invoice cost_2026-12.csv
    """
    from planner.followup.bridge import bridge as bridged
    from planner.followup.bridge import checked
    from planner.followup.verify import manifest_of
    from planner.traffic.sampling import refuse_part

    if (invoice_last is None) != (invoice_this is None):
        given = "--invoice-last" if invoice_this is None else "--invoice-this"
        raise InputError(f"{given} alone", "--invoice-last and --invoice-this", "pass both or neither")
    invoices = None if invoice_last is None or invoice_this is None else (invoice_last, invoice_this)
    checked(invoices)
    for folder in (bundle, bundle_last):
        if folder is not None:
            manifest_of(folder)
    book, silent = book_of(prices), quiet or json
    logs = [traffic_at(log, silent) for log in (last, this)]
    for traffic in logs:
        refuse_part(traffic, "the lines of a bridge add up to the bill and do not say how far they may be from those of all requests")
    dollars = beside(logs[1], book, contract, invoice, invoice_cost, sku, _DOLLARS)
    found = bridged(logs[0], logs[1], book=book, invoices=invoices, bundle=bundle, bundle_last=bundle_last)
    if picture is not None:
        from planner.figures.bridge import bridge as drawn

        picture.write_bytes(drawn(found).png())
    text, *parts = _parts(found)
    show([text, *dollars, *parts], json)


def _parts(found: Bridge) -> list[Part]:
    columns: dict[str, Any] = {"line": ("what changed", str), "usd": ("difference", _signed), "share": ("of last", percent)}
    columns |= {"interval": ("95 % interval", str), "evidence": ("evidence", str)}
    shown = found.table.assign(interval=[_between(row) for row in found.table.to_dict("records")])
    return [
        Part("text", found.text, wrap(found.text)),
        Part("usd", {"last": found.usd[0], "this": found.usd[1]}),
        Part("pusd", {"last": found.bills[0], "this": found.bills[1]}),
        Part("usd_per_day", {"last": found.usd_per_day[0], "this": found.usd_per_day[1]}),
        Part("days", {"last": found.days[0], "this": found.days[1]}),
        Part("table", found.table, grid(shown, columns)),
        Part("apps", found.apps),
        Part("notes", list(found.notes)),
    ]


def _signed(value: float) -> str:
    return usd(value) if value <= 0 else f"+{usd(value)}"


def _between(row: Any) -> str:
    return "" if missing(row["low"]) else f"[{_signed(row['low'])}, {_signed(row['high'])}]"
