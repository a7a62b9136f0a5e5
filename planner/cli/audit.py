"""``planner audit``: what a log cost and where the money goes.

In: a log, perhaps its contract and its invoice. Out: the audit, and the three dollars kept apart, as text and tables, or as JSON. Knows
nothing of prices, contracts and invoices beyond their files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, InvoiceMap, Invoices, Skus, bills
from planner.cli.bills import parts as billed_parts
from planner.cli.common import Json, Log, Prices, Quiet, book_of, traffic_at
from planner.cli.compare import span
from planner.cli.output import Part, beside, grid, missing, percent, show, usd, wrap
from planner.cli.speech import spoken
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.prices import Audit

__all__ = ["audit"]

_SHOWN = 20


def audit(
    log: Log,
    by: Annotated[
        str, typer.Option("--by", metavar="COL,COL", help="What to sum by: app, model, user, day, hour, bucket, …")
    ] = "app,model",
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    invoice_map: InvoiceMap = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Draw the reconciliation; needs --invoice and the extra lab.")
    ] = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What the log cost, each request at the prices of its own time, and what was lost; beside it the contract and the invoice.

    [bold]Examples[/bold]

        planner audit proxy.jsonl.zst
        planner audit proxy.jsonl.zst --by day
        planner audit proxy.jsonl.zst --by app,bucket --prices rates.yaml --json
        planner audit november --contract contracts.yaml --invoice cost_2026-11.csv --invoice usage_2026-11.csv
        planner audit november --invoice focus.csv --invoice-cost billed --sku 'gpt4o-prod=gpt-4o' --picture bill.png
        planner audit november --invoice bill.csv --invoice-map date=Day --invoice-map usd=Amount --invoice-map provider==openai
    """
    from planner.prices import audit as audit_log

    if picture is not None and not invoice:
        raise InputError("--picture without --invoice", "an invoice to reconcile", "add --invoice FILE")
    found = audit_log(traffic_at(log, quiet or json), book_of(prices))
    under, reconciled = bills(found, contract, invoice, invoice_cost, sku, invoice_map)
    if picture is not None and reconciled is not None:
        from planner.figures.reconciliation import reconciliation

        picture.write_bytes(reconciliation(reconciled).png())
    spent, lost = found.by(*[c.strip() for c in by.split(",") if c.strip()]), found.losses
    parts = [
        Part("text", found.text, wrap(spoken(found.text))),
        *billed_parts(under, reconciled),
        Part("total", found.total),
        Part("prices", {"book": found.book.name, "date": found.book.date}),
        Part("spend", spent, _spend(spent, found.total.evidence, found.thin)),
        Part("losses", lost, _losses(lost[lost["usd"] > 0], found.thin)),
        Part("unpriced", found.problems, _unpriced(found)),
    ]
    show(parts, json)


def _spend(spent: Any, evidence: str, thin: str) -> str:
    named = [c for c in spent.columns if c not in ("requests", "tokens", "usd", "low", "high", "share", "unpriced")]
    columns: dict[str, Any] = {c: (c, str) for c in named} | {
        "requests": ("requests", "{:,.0f}".format),
        "tokens": ("tokens", "{:,}".format),
        "usd": (f"{evidence} spend", str),
        "share": ("share", percent),
    }
    if spent["unpriced"].any():
        columns["unpriced"] = ("no price", "{:,}".format)
    spent = spent.assign(usd=spent["usd"].where((spent["usd"] > 0) | (spent["unpriced"] == 0)))
    rest = len(spent) - _SHOWN
    more = f"\n… and {rest:,} more, {usd(spent['usd'][_SHOWN:].sum())} together (all of them with --json)" if rest > 0 else ""
    return _explained(grid(_spanned(spent.head(_SHOWN)), columns), thin) + more


def _spanned(rows: Any) -> Any:
    """Write dollars, those of a sample with their limits."""
    known = "low" in rows
    said = [span(r, "usd", "low", "high", usd) if known and not missing(r["usd"]) else usd(r["usd"]) for r in rows.to_dict("records")]
    return rows.assign(usd=said)


def _explained(table: str, thin: str) -> str:
    why = "as said above" if thin else "since fewer than ten conversations tell"
    return f"{table}\n[–]: no interval, {why}." if "[–]" in table else table


def _losses(lost: Any, thin: str) -> str:
    if lost.empty:
        return ""
    columns: dict[str, Any] = {
        "loss": ("lost to", str),
        "requests": ("requests", "{:,.0f}".format),
        "usd": ("spend", str),
        "evidence": ("evidence", str),
    }
    return _explained(grid(_spanned(lost), columns), thin)


def _unpriced(found: Audit) -> str:
    from planner.traffic.sampling import counted

    if not found.lacking:
        return ""
    told = [(f"{counted(weight)} rows", spoken(reason)) for reason, weight in found.lacking.items()]
    lines = [beside([rows], [reason], max(14, *(len(rows) + 2 for rows, _ in told))) for rows, reason in told]
    return "\n".join(["No price, and not in any sum:", *lines[:_SHOWN]])
