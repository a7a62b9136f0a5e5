"""Invoice: what providers billed, as a table of charges in one spelling; the third of the three dollars, and the only measured bill.

In: usage and cost exports as CSV (OpenAI, Anthropic, FOCUS of any cloud, or plain columns by mapping). Out: charges in integer pico-USD,
what was set aside with its reason, and counts that add up to the rows of the files. Knows nothing of logs and contracts.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import InputError, PriceError, did_you_mean
from planner.prices.book import PriceBook
from planner.prices.invoice_cells import RefusedError
from planner.prices.invoice_formats import ELSEWHERE, FORMATS, Charge, Layout
from planner.prices.invoice_names import KINDS, Models
from planner.units import pusd_to_usd

__all__ = ["COSTS", "Invoice", "read_invoice"]

#: Which cost of a FOCUS export is taken.
COSTS = ("effective", "billed")
_OURS = ("date", "end", "provider", "model", "usd", "list_usd", "currency", "kind", "requests", *(f"{kind}_tokens" for kind in KINDS))
_HOW_TO_MAP = (
    "columns={'date': 'Day', 'usd': 'Amount', 'provider': '=openai'}, in the shell --invoice-map date=Day --invoice-map usd=Amount "
    "--invoice-map provider==openai"
)
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
    cost: ``effective`` or ``billed``, which of FOCUS was taken.
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

    Raises InputError for a file that is no such CSV, and when no row of a file can be used.
    """
    if cost not in COSTS:
        raise InputError(f"cost {cost!r}", f"one of {', '.join(COSTS)}")
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    known, charges, aside = Models(book, models or {}), [], []
    formats, counts = {}, dict.fromkeys(("rows", "charges", "empty", "of other services", "quarantined"), 0)
    counting: set[str] = set()
    for file in files:
        if file.name in formats:
            raise InputError(f"{file.name} twice", "every file once", "give files of the same name other names")
        layout, records = _opened(file, columns)
        formats[file.name] = layout.name
        before = counts["charges"]
        for line, record in records:
            counts["rows"] += 1
            found, reason = _charge(layout, record, f"{cost}cost")
            if reason:
                aside.append((file.name, line, reason, ",".join(v for v in record.values() if v)[:200]))
            name = "quarantined" if reason else "empty" if found is None else "of other services" if found is ELSEWHERE else "charges"
            counts[name] += 1
            if found is not None and found is not ELSEWHERE:
                provider = _provider(book, found.provider)
                counting |= {provider} if layout.counts else set()
                charges.append((_row(known, provider, found), file.name, line, layout.counts))
        if counts["charges"] == before:
            why = f" ({aside[-1][2]})" if aside and aside[-1][0] == file.name else ""
            raise InputError(f"{file}: no row that can be used{why}", f"charges, as {layout.name} exports them")
    rows = [(*_counted(row, row[0] in counting and not counts_), file, line) for row, file, line, counts_ in charges]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    for name in ("pusd", "list_pusd", "contracted_pusd"):
        table[name] = pd.Series([row[_COLUMNS.index(name)] for row in rows], dtype=object)
    quarantine = pd.DataFrame(aside, columns=["file", "line", "reason", "text"])
    return Invoice(table, quarantine, counts, cost, formats)


def _opened(file: Path, columns: Mapping[str, str] | None) -> tuple[Layout, Iterator[tuple[int, dict[str, str]]]]:
    """Return a file's layout and its records with their lines; a record that does not fit the header has the key ``""``."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", "a readable CSV file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: bytes that are not UTF-8", "a CSV file, unpacked") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{file}: {error}", "a CSV file") from error
    if not any(header) or len(set(header)) != len(header):
        raise InputError(f"{file}: header {', '.join(header)[:200]!r}", "a CSV file whose first line names each column once")
    layout, rename = (FORMATS[-1], _mapped(file, header, columns)) if columns else (_recognised(file, header), {})
    return layout, _records(reader, header, rename)


def _records(reader: Any, header: list[str], rename: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, {"": "no CSV"}
            continue
        if not any(v.strip() for v in values):
            continue
        if len(values) != len(header):
            yield reader.line_num, {"": f"{len(values)} fields where the header has {len(header)}"}
            continue
        record = dict(zip(header, values, strict=True))
        ours = {name: source[1:] if source.startswith("=") else record[source.lower()] for name, source in rename.items()}
        yield reader.line_num, ours or record


def _recognised(file: Path, header: list[str]) -> Layout:
    for layout in FORMATS:
        if layout.needs <= set(header):
            return layout
    known = "; ".join(f"{layout.name}: {', '.join(sorted(layout.needs))}" for layout in FORMATS)
    fix = f"say what its columns are: {_HOW_TO_MAP}"
    raise InputError(f"{file}: columns {', '.join(header)[:300]}", f"those of a known export ({known})", fix)


def _mapped(file: Path, header: list[str], columns: Mapping[str, str]) -> Mapping[str, str]:
    for ours, theirs in columns.items():
        if ours not in _OURS:
            raise InputError(f"column {ours!r} of ours", f"one of {', '.join(_OURS)}", did_you_mean(ours, _OURS))
        if not theirs.startswith("=") and theirs.lower() not in header:
            raise InputError(f"{file}: no column {theirs!r}", f"one of {', '.join(header)}", did_you_mean(theirs.lower(), header))
    missing = sorted(FORMATS[-1].needs - set(columns))
    if missing:
        raise InputError(f"columns without {', '.join(missing)}", "at least date, provider and usd", f"for example {_HOW_TO_MAP}")
    return columns


def _charge(layout: Layout, record: Mapping[str, str], cost: str) -> tuple[Charge | None, str]:
    if "" in record:
        return None, record[""]
    try:
        return layout.read(record, cost), ""
    except RefusedError as refused:
        return None, str(refused)


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
