"""What verbs share about contracts and invoices: their options, and the parts that keep the three dollars apart.

In: files from the command line. Out: a contracted log, a reconciliation, and what is said of both. Knows nothing of file formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import pairs
from planner.cli.output import Part, grid, usd, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.prices import Audit, Contracted, PriceBook, Reconciliation
    from planner.traffic import Traffic

__all__ = ["ContractFile", "InvoiceCost", "InvoiceMap", "Invoices", "Skus", "beside", "bills", "parts"]

ContractFile = Annotated[
    Path | None,
    typer.Option("--contract", metavar="FILE", help="contracts.yaml: discounts, commitments, fixed capacity, credits. Assumed dollars."),
]
Invoices = Annotated[
    list[Path] | None,
    typer.Option("--invoice", metavar="CSV", help="What was billed: an export of OpenAI, Anthropic or a cloud (FOCUS). Repeatable."),
]
InvoiceCost = Annotated[
    str, typer.Option("--invoice-cost", metavar="effective|billed", help="Of FOCUS: with fees spread over use, or as they are paid.")
]
Skus = Annotated[
    list[str] | None, typer.Option("--sku", metavar="TEXT=MODEL", help="Invoice: what it calls a model, where that is unclear. Repeatable.")
]
InvoiceMap = Annotated[
    list[str] | None,
    typer.Option(
        "--invoice-map", metavar="OURS=THEIRS", help="Invoice of another layout: date, provider, usd, … from its columns or =CONSTANT."
    ),
]
_SHOWN = 20


def bills(
    audited: Audit,
    contract: Path | None,
    invoices: Sequence[Path] | None,
    cost: str = "effective",
    sku: Sequence[str] | None = None,
    mapping: Sequence[str] | None = None,
) -> tuple[Contracted | None, Reconciliation | None]:
    """Price an audited log under its contract, and lay it beside the invoice; None for what was not asked for."""
    from planner.prices import Contract, contracted, read_invoice, reconcile

    if not invoices and (sku or mapping):
        raise InputError(f"{'--sku' if sku else '--invoice-map'} without --invoice", "the invoice it is about", "add --invoice FILE")
    if not contract and not invoices:
        return None, None
    log = contracted(audited, Contract.load(contract) if contract else Contract())
    if not invoices:
        return log, None
    billed = read_invoice(invoices, audited.book, cost=cost, models=pairs(sku, "--sku"), columns=pairs(mapping, "--invoice-map") or None)
    return log, reconcile(log, billed)


def parts(log: Contracted | None, found: Reconciliation | None) -> list[Part]:
    """Return the second and the third dollar as parts; nothing where nobody asked."""
    said = []
    if log is not None and log.contract.name:
        value = {"text": log.text, "listed": log.listed, "total": log.total, "table": log.table}
        said.append(Part("contract", value, f"{wrap(log.text)}\n\n{_contract(log.table)}" if found is None else wrap(log.contract.text)))
    if found is not None:
        said.append(Part("reconciliation", _value(found), f"{wrap(found.text)}\n\n{_table(found)}"))
    return said


def beside(
    traffic: Traffic,
    book: PriceBook,
    contract: Path | None,
    invoices: Sequence[Path] | None,
    cost: str,
    sku: Sequence[str] | None,
    dollars: str = "Savings here are list dollars.",
) -> list[Part]:
    """Return what belongs beside a saving: in which ``dollars`` it is, and the note where the invoice is not understood."""
    from planner.prices import audit
    from planner.prices.money import spanned

    if not contract and not invoices:
        return []
    log, found = bills(audit(traffic, book), contract, invoices, cost, sku)
    if log is None:
        return []
    lines = [dollars]
    if log.free.n:
        lines.append(
            f"{usd(log.free.value)} of the log, at list, are calls that cost nothing at the margin: nothing is saved there (assumed)."
        )
    if found is None:
        listed, agreed = (spanned(e.value, e.low, e.high, usd) for e in (log.listed, log.total))
        lines.append(f"The log: {listed} at list ({log.listed.evidence}), {agreed} under the contract ({log.total.evidence}).")
        return [Part("dollars", {"text": " ".join(lines), "list": log.listed, "contract": log.total}, wrap(" ".join(lines)))]
    lines += [found.text.split("\n")[0], *([found.note] if found.note else [])]
    return [Part("dollars", {"text": " ".join(lines), **found.dollars, "note": found.note}, wrap(" ".join(lines)))]


def _value(found: Reconciliation) -> dict[str, Any]:
    return {
        "text": found.text,
        "note": found.note,
        "unexplained_share": found.unexplained_share,
        "outside_share": found.outside_share,
        "dollars": found.dollars,
        "table": found.table,
        "rows": found.invoice.counts,
        "quarantine": found.invoice.quarantine,
    }


def _contract(table: Any) -> str:
    shown = table.assign(model=[m or f"({k})" for m, k in zip(table["model"], table["kind"], strict=True)])
    names: dict[str, Any] = {name: (name, str) for name in ("provider", "model", "month")}
    return _cut(shown, {**names, "list_usd": ("list $", usd), "contract_usd": ("contract $", usd), "evidence": ("contract is", str)})


def _table(found: Reconciliation) -> str:
    """Lay out the rows, each amount with the first letter of its evidence in the heading."""
    table = found.table
    shown = table.assign(model=[m or f"({k})" for m, k in zip(table["model"], table["kind"], strict=True)])
    columns: dict[str, Any] = {name: (name, str) for name in ("provider", "model", "month")}
    for part, estimate in found.dollars.items():
        columns[f"{part}_usd"] = (f"{part} {estimate.evidence[0]}", usd)
    legend = "Dollars; m measured, e estimated, a assumed. Outside: calls that the log lacks; named: by the invoice alone."
    return f"{wrap(legend)}\n{_cut(shown, columns)}"


def _cut(table: Any, columns: dict[str, Any]) -> str:
    more = f"\n… and {len(table) - _SHOWN:,} more rows (all of them with --json)" if len(table) > _SHOWN else ""
    return grid(table.head(_SHOWN), columns) + more
