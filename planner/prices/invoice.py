"""Invoice: what providers billed, as a table of charges in one spelling; the third of the three dollars, and the only measured bill.

In: usage and cost exports as CSV (OpenAI, Anthropic, FOCUS of any cloud, or plain columns by mapping). Out: charges in integer pico-USD,
what was set aside with its reason, and counts that add up to the rows of the files. Knows nothing of logs and contracts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import InputError, PriceError
from planner.prices.book import PriceBook
from planner.prices.invoice_cells import RefusedError
from planner.prices.invoice_file import Record, opened
from planner.prices.invoice_formats import ELSEWHERE, Charge, Layout
from planner.prices.invoice_names import KINDS, Models
from planner.units import pusd_to_usd

__all__ = ["COSTS", "Invoice", "read_invoice"]

#: Which cost of a FOCUS export is taken.
COSTS = ("effective", "billed")
#: What a row of a file may be.
_KINDS_OF_ROW = ("charges", "empty", "of other services", "quarantined")
_COLUMNS = ("provider", "model", "kind", "start", "end", "pusd", "list_pusd", "contracted_pusd", *KINDS, "requests", "sku", "file", "line")


@dataclass(frozen=True, eq=False)
class Invoice:
    """What was billed.

    Parameters
    ----------
    table: a row per charge: ``provider, model`` (in the spelling of ``identity``; "" where the text names none, then ``sku``), ``kind,
        start, end`` (UTC days, end excluded), ``pusd`` (Python integers), ``list_pusd, contracted_pusd`` (what the export itself states, or
        None), tokens by kind and ``requests`` (NaN where not counted), ``sku, file, line``.
    quarantine: ``file, line, reason, text`` of what was not understood, in no sum.
    counts: ``rows = charges + empty + other services + quarantined``.
    cost: ``effective`` (of FOCUS: fees spread over use) or ``billed``, and of how many charges where an export does not state what was
        asked for; other exports than FOCUS state what was billed.
    formats: file name → layout.
    """

    table: pd.DataFrame = field(repr=False)
    quarantine: pd.DataFrame = field(repr=False)
    counts: Mapping[str, int]
    cost: str
    formats: Mapping[str, str]

    @cached_property
    def pusd(self) -> int:
        """Everything that was billed [pUSD], credits off and taxes in."""
        return sum(self.table["pusd"].tolist())

    @property
    def text(self) -> str:
        """What was read and set aside."""
        files = ", ".join(f"{name} ({layout})" for name, layout in self.formats.items())
        said = ", ".join(f"{n:,} {name}" for name, n in self.counts.items() if name != "rows" and (n or name == "charges"))
        lines = [f"Invoice {files}: {self.counts['rows']:,} rows = {said}; ${pusd_to_usd(self.pusd):,.2f} {self.cost} (measured)."]
        for reason, n in self.quarantine["reason"].value_counts().items():
            lines.append(f"Set aside, in no sum: {n:,} rows, {reason}.")
        return "\n".join(lines)


def read_invoice(
    paths: str | Path | Sequence[str | Path],
    book: PriceBook,
    *,
    cost: str = COSTS[0],
    models: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Invoice:
    """Read exports of bills as one Invoice.

    Parameters
    ----------
    paths: CSV files; a usage file beside a cost file adds what was used to what it cost.
    cost: of FOCUS, ``effective`` (fees spread over use) or ``billed`` (as it is paid).
    models: text of an invoice (a SKU, a line item) → model, where its name says too little.
    columns: for any other CSV, our column → its column, or ``=CONSTANT``: ``date, provider, usd`` and, where it has them, ``end, model,
        list_usd, currency, kind, requests, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens``.

    Raises InputError for a file that is no such CSV, when no row of a file can be used, and when two files hold the same line.
    """
    if cost not in COSTS:
        raise InputError(f"cost {cost!r}", f"one of {', '.join(COSTS)}")
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    if twice := [name for name, n in Counter(file.name for file in files).items() if n > 1]:
        raise InputError(f"{twice[0]} twice", "every file once", "give files of the same name other names")
    parts = [_part(file, columns, cost) for file in files]
    _refuse_twice(parts)
    known, money = Models(book, models or {}), [charge for part in parts if not part.layout.counts for *_, charge in part.charges]
    counting = {_provider(book, charge.provider) for part in parts if part.layout.counts for *_, charge in part.charges}
    rows = []
    for part in parts:
        for line, _, charge in part.charges:
            row = _row(known, _provider(book, charge.provider), charge)
            rows.append((*_counted(row, row[0] in counting and not part.layout.counts), part.name, line))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    for name in ("pusd", "list_pusd", "contracted_pusd"):
        table[name] = pd.Series([row[_COLUMNS.index(name)] for row in rows], dtype=object)
    quarantine = pd.DataFrame([row for part in parts for row in part.aside], columns=["file", "line", "reason", "text"])
    counts = {name: sum(part.counts[name] for part in parts) for name in ("rows", *_KINDS_OF_ROW)}
    return Invoice(table, quarantine, counts, _cost_of(money), {part.name: part.layout.name for part in parts})


@dataclass(frozen=True, slots=True)
class _Part:
    """What one file holds: its charges with line and mark, and ``aside``: file, line, reason and text of what is none."""

    name: str
    layout: Layout
    charges: list[tuple[int, int, Charge]]
    aside: list[tuple[str, int, str, str]]
    counts: Counter[str]


def _part(file: Path, columns: Mapping[str, str] | None, cost: str) -> _Part:
    layout, records = opened(file, columns)
    part = _Part(file.name, layout, [], [], Counter())
    for record in records:
        part.counts["rows"] += 1
        found, reason = _charge(layout, record, f"{cost}cost")
        part.counts[
            "quarantined" if reason else "empty" if found is None else "of other services" if found is ELSEWHERE else "charges"
        ] += 1
        if reason:
            part.aside.append((file.name, record.line, reason, record.text))
        elif found is not None and found is not ELSEWHERE:
            part.charges.append((record.line, record.mark, found))
    if not part.charges:
        why = f" ({part.aside[-1][2]})" if part.aside else ""
        raise InputError(f"{file}: no row that can be used{why}", f"charges, as {layout.name} exports them")
    return part


def _charge(layout: Layout, record: Record, cost: str) -> tuple[Charge | None, str]:
    if record.problem:
        return None, record.problem
    try:
        return layout.read(record.cells, cost), ""
    except RefusedError as refused:
        return None, str(refused)


def _refuse_twice(parts: Sequence[_Part]) -> None:
    """Raise InputError where two files hold the same line: one export under two names, or two that overlap, would be summed."""
    seen: dict[int, tuple[str, int]] = {}
    for part in parts:
        own = {mark: line for line, mark, charge in part.charges if charge.pusd or charge.tokens or charge.requests > 0}
        if again := [mark for mark in own if mark in seen]:
            name, line = seen[again[0]]
            raise InputError(
                f"{part.name}, line {own[again[0]]}: the same charge as {name}, line {line} ({len(again):,} such lines)",
                "every charge in one file",
                "leave one of the files out; if both do bill it, put them into one file, or add a column that tells them apart",
            )
        seen |= {mark: (part.name, line) for mark, line in own.items()}


def _cost_of(charges: Sequence[Charge]) -> str:
    """Say which cost was taken of the charges, and of how many the other."""
    billed = sum(not charge.effective for charge in charges)
    if billed in (0, len(charges)):
        return COSTS[1] if billed or not charges else COSTS[0]
    return f"{COSTS[0]}, of {billed:,} in {len(charges):,} charges {COSTS[1]}"


def _provider(book: PriceBook, name: str) -> str:
    try:
        return book.provider(name)
    except PriceError:
        return name.strip() or "unknown"


def _row(models: Models, provider: str, charge: Charge) -> tuple[Any, ...]:
    texts = [text.strip() for text in charge.texts if text.strip()]
    model = next((found for text in texts if (found := models.find(provider, text))), "") if charge.kind == "calls" else ""
    tokens = [charge.tokens.get(kind, math.nan) for kind in KINDS]
    days: tuple[dt.date, dt.date] = (charge.start, charge.end)
    money = (charge.pusd, charge.list_pusd, charge.contracted_pusd)
    return (provider, model, charge.kind, *days, *money, *tokens, charge.requests, texts[0] if texts else "")


def _counted(row: tuple[Any, ...], elsewhere: bool) -> tuple[Any, ...]:
    """Drop a cost row's own counts where a usage file counts the same provider: nothing is counted twice."""
    at = _COLUMNS.index(KINDS[0])
    return (*row[:at], *([math.nan] * (len(KINDS) + 1)), *row[at + len(KINDS) + 1 :]) if elsewhere else row
