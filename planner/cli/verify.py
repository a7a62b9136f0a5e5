"""``planner verify``: what routing did, measured on those whom a lot kept, beside what was predicted.

In: a log of the time after, and the bundle that ran. Out: saving, quality, failures and p95 with intervals, as text and a table or JSON;
code 1 where a check says that the comparison does not mean what it should. Knows nothing of how anything is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus, beside
from planner.cli.common import Json, Log, Prices, Quiet, book_of, traffic_at
from planner.cli.output import Part, figure, grid, missing, percent, show, usd, wrap

if TYPE_CHECKING:
    from planner.followup.verify import Verification

__all__ = ["verify"]

_NAMES = {
    "saving_share": "saved a request",
    "saving_usd_per_month": "saved a month",
    "saving_usd_per_month_all": "… if all",
    "quality": "quality",
    "failures": "failures",
    "p95_ms": "p95 [ms]",
}


def verify(
    log: Log,
    bundle: Annotated[Path, typer.Option("--bundle", metavar="DIR", help="The bundle that ran, or the folder that the gateway runs.")],
    precision: Annotated[
        float, typer.Option("--precision", help="Half the width wanted for the share saved; says how many more days that takes.")
    ] = 0.05,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Write the savings as a picture; needs the extra lab.")
    ] = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the requests that were routed with those that a lot kept as asked, and both with the prediction in the bundle.

    Code 0: compared; 1: a check failed, and what is shown may mean something else.

    [bold]Examples[/bold]

        planner verify december --bundle production
        planner verify proxy.jsonl.zst --bundle production --precision 0.02 --json
        planner verify december --bundle production --invoice cost_2026-12.csv
    """
    from planner.followup.verify import manifest_of
    from planner.followup.verify import verify as verified
    from planner.traffic.sampling import refuse_part

    manifest_of(bundle, precision)
    book = book_of(prices)
    traffic = traffic_at(log, quiet or json)
    refuse_part(traffic, "the intervals of verify are over what the lot decided, not over what a sample left out")
    dollars = beside(traffic, book, contract, invoice, invoice_cost, sku)
    found = verified(traffic, bundle, book=book, precision=precision)
    if picture is not None:
        from planner.figures.verify import verify as drawn

        picture.write_bytes(drawn(found).png())
    alarm, text, *parts = _parts(found)
    show([alarm, text, *dollars, *parts], json)
    raise typer.Exit(1 if found.alarms else 0)


def _parts(found: Verification) -> list[Part]:
    return [
        Part("alarm", bool(found.alarms)),
        Part("text", found.text, wrap(found.text)),
        Part("table", found.table, _table(found.table)),
        Part(
            "checks", [{"name": c.name, "alarm": c.alarm, "words": c.words, "count": c.count, "p_value": c.p_value} for c in found.checks]
        ),
        Part("counts", found.counts),
        Part("left_out", dict(found.left_out)),
        Part("days", found.days),
        Part("precision", {"wanted": found.precision, "more_days": found.more_days}),
    ]


def _table(rows: Any) -> str:
    import pandas as pd

    shown = [
        {"app": r["app"], "what": _NAMES[r["measure"]], "difference": _number(r, "difference"), "between": _between(r)}
        | {"routed": _level(r, "routed"), "asked": _level(r, "asked"), "predicted": _number(r, "predicted"), "holds": _HOLDS[r["verdict"]]}
        for r in rows.to_dict("records")
    ]
    heads = {"app": "app", "what": "what", "difference": "difference", "between": "95 % interval", "routed": "routed", "asked": "as asked"}
    heads |= {"predicted": "predicted", "holds": "holds"}
    return grid(pd.DataFrame(shown, columns=list(heads)), {name: (heading, str) for name, heading in heads.items()})


_HOLDS = {"holds": "yes", "missed": "NO", "": "–"}


def _number(row: Any, name: str) -> str:
    value, measure = row[name], row["measure"]
    if missing(value):
        return "–"
    if "usd" in measure:
        return usd(value)
    return figure(value, 4) if measure == "p95_ms" else percent(value)


def _level(row: Any, name: str) -> str:
    return usd(row[name]) if row["measure"] == "saving_share" and not missing(row[name]) else _number(row, name)


def _between(row: Any) -> str:
    return "" if missing(row["low"]) else f"[{_number(row, 'low')}, {_number(row, 'high')}]"
