"""The reconciliation as a value with its table and words: three dollars that stay apart, and what lies between them.

In: rows in pico-dollars. Out: text and tables for whoever pays the bill, and the note that other verbs repeat beside a saving. Computes no
part of a bill.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from planner.prices.contract import Contract
from planner.prices.invoice import Invoice
from planner.prices.invoice_formats import CALLS
from planner.prices.money import spanned
from planner.schema import EVIDENCE
from planner.stats import Estimate, weakest
from planner.units import pusd_to_usd

__all__ = ["ALL_MODELS", "MOST_UNEXPLAINED", "Reconciliation", "Row"]

#: Share of what was billed beyond which what is unexplained is repeated beside every saving.
MOST_UNEXPLAINED = 0.03
#: The model of a provider's month whose invoice names none.
ALL_MODELS = "(all models)"
_PARTS = ("list", "contract", "outside", "named", "unexplained", "invoice")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One provider, model and month, or one line that is no call; [pUSD]. ``invoice = contract + outside + named + unexplained``."""

    provider: str
    model: str
    month: dt.date
    kind: str
    list_pusd: int
    contract_pusd: int
    outside_pusd: int
    named_pusd: int
    invoice_pusd: int
    contract_evidence: str
    outside_evidence: str
    why: str

    @property
    def unexplained_pusd(self) -> int:
        """What is left."""
        return self.invoice_pusd - self.contract_pusd - self.outside_pusd - self.named_pusd


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """A log under its contract beside what was billed.

    Parameters
    ----------
    table: a row per provider, model and month, then lines that are no call: ``provider, model, month, kind``, six amounts [USD] ``list_usd,
        contract_usd, outside_usd, named_usd, unexplained_usd, invoice_usd``, ``contract_evidence, outside_evidence, why``, and the same six
        amounts as integers ``*_pusd``, which add up exactly. Largest bill first.
    invoice, contract: what was compared.
    listed: the whole log at list prices [USD], with its evidence. beside_pusd: how much of it the invoice is not about.
    whole: whether the log holds every request; of a sample every part but the invoice has a sampling error.
    """

    table: pd.DataFrame = field(repr=False)
    invoice: Invoice = field(repr=False)
    contract: Contract
    listed: Estimate
    beside_pusd: int
    whole: bool

    @classmethod
    def of(
        cls, rows: Iterable[Row], *, invoice: Invoice, contract: Contract, listed: Estimate, beside_pusd: int, whole: bool
    ) -> Reconciliation:
        """Lay out rows."""
        order = sorted(rows, key=lambda r: (r.kind != CALLS, -abs(r.invoice_pusd), -abs(r.contract_pusd), r.provider, r.model, r.month))
        found = []
        for row in order:
            money = {part: getattr(row, f"{part}_pusd") for part in _PARTS}
            found.append(
                {"provider": row.provider, "model": row.model, "month": f"{row.month:%Y-%m}", "kind": row.kind}
                | {f"{part}_usd": pusd_to_usd(pusd) for part, pusd in money.items()}
                | {"contract_evidence": row.contract_evidence, "outside_evidence": row.outside_evidence, "why": row.why}
                | {f"{part}_pusd": pusd for part, pusd in money.items()}
            )
        table = pd.DataFrame(found)
        for part in _PARTS:
            table[f"{part}_pusd"] = pd.Series([row[f"{part}_pusd"] for row in found], dtype=object)
        return cls(table, invoice, contract, listed, beside_pusd, whole)

    def pusd(self, part: str) -> int:
        """Return the sum of a part: ``list, contract, outside, named, unexplained`` or ``invoice`` [pUSD]."""
        return sum(self.table[f"{part}_pusd"].tolist())

    @cached_property
    def dollars(self) -> dict[str, Estimate]:
        """The three dollars and what lies between them [USD], each with its own evidence.

        ``list`` and ``contract`` of the compared part of the log; ``outside`` the log, ``named`` by the invoice alone, ``unexplained``;
        ``invoice``, which is always measured.
        """
        calls = self.table["contract_pusd"] != 0
        agreed = weakest(EVIDENCE[0], *self.table.loc[calls, "contract_evidence"])
        beyond = weakest(EVIDENCE[0], *self.table.loc[self.table["outside_pusd"] != 0, "outside_evidence"])
        evidence = {
            "list": self.listed.evidence,
            "contract": agreed,
            "outside": beyond,
            "named": EVIDENCE[0],
            "unexplained": weakest(agreed, beyond),
            "invoice": EVIDENCE[0],
        }
        source = {"list": self.listed.source, "contract": self.contract.name or "no contract"}
        return {
            part: Estimate(pusd_to_usd(self.pusd(part)), evidence=e, source=source.get(part, ", ".join(self.invoice.formats)))
            for part, e in evidence.items()
        }

    @cached_property
    def unexplained_share(self) -> float:
        """Unexplained dollars of all rows, whichever their sign, as a share of all charges."""
        return self._share("unexplained")

    @cached_property
    def outside_share(self) -> float:
        """Calls outside the log as a share of all charges."""
        return self._share("outside")

    def _share(self, part: str) -> float:
        charges = sum(max(pusd, 0) for pusd in self.table["invoice_pusd"])
        off = sum(abs(pusd) for pusd in self.table[f"{part}_pusd"])
        return off / charges if charges else float(off > 0)

    @property
    def note(self) -> str:
        """What to repeat beside every saving: nothing, unless more than MOST_UNEXPLAINED of the charges are not understood."""
        lines = []
        if self.unexplained_share > MOST_UNEXPLAINED:
            off = pusd_to_usd(sum(abs(pusd) for pusd in self.table["unexplained_pusd"]))
            lines.append(
                f"{self.unexplained_share:.1%} of the invoice ({_usd(off)}) is explained neither by the log nor by the contract: "
                "a saving of list dollars may be another one on the bill."
            )
        if self.outside_share > MOST_UNEXPLAINED:
            lines.append(f"{self.outside_share:.1%} of the invoice is for calls outside the log, on which nothing here saves.")
        if lines and not self.whole:
            all_of_it = spanned(self.listed.value, self.listed.low, self.listed.high, _usd)
            lines.append(f"The log is a sample, at list {all_of_it} in all: this may be its error alone; reconcile the whole log.")
        return " ".join(lines)

    @property
    def text(self) -> str:
        """The three dollars, what lies between the last two, the rows where most is unexplained, and the note."""
        d = self.dollars
        head = (
            f"Three dollars, kept apart: list {_usd(d['list'].value)} ({d['list'].evidence}), contract {_usd(d['contract'].value)} "
            f"({d['contract'].evidence}), invoice {_usd(d['invoice'].value)} ({self.invoice.cost}, measured)."
        )
        between = (
            f"Invoice = contract {_usd(d['contract'].value)} + calls outside the log {_usd(d['outside'].value)} ({d['outside'].evidence}) "
            f"+ named by the invoice alone {_usd(d['named'].value)} + unexplained {_usd(d['unexplained'].value)}, to the cent and below."
        )
        if self.beside_pusd:
            between += f" {_usd(pusd_to_usd(self.beside_pusd))} of the log, at list prices, are of providers or days not on it."
        return "\n".join([head, between, *self._worst(), *self._aside(), *([self.note] if self.note else [])])

    def _worst(self) -> list[str]:
        """Say where most is unexplained: a hundredth of a cent is not."""
        rows = self.table[self.table["unexplained_pusd"].map(abs) >= 10**8].sort_values("unexplained_pusd", key=lambda s: -s.map(abs))
        return [_unexplained(row) for row in rows.head(_SHOWN).to_dict("records")]

    def _aside(self) -> list[str]:
        states = [pusd for pusd in self.invoice.table["contracted_pusd"] if pusd is not None]
        agreed = [f"The invoice itself states {_usd(pusd_to_usd(sum(states)))} at contract prices (measured)."] if states else []
        return [*agreed, *self.invoice.text.split("\n")[1:]]

    def _repr_html_(self) -> str:
        head = "".join(f"<p class='mathjax_ignore'>{html.escape(line)}</p>" for line in self.text.split("\n"))
        shown = self.table.drop(columns=[f"{part}_pusd" for part in _PARTS])
        return head + shown.to_html(index=False, escape=True, float_format="{:,.2f}".format)


def _unexplained(row: Mapping[Hashable, Any]) -> str:
    why = f" ({row['why']})" if row["why"] else ""
    return f"Unexplained {_usd(row['unexplained_usd'])}: {row['provider']} {row['model'] or row['kind']} {row['month']}{why}."


def _usd(value: float) -> str:
    return f"{'−' if value < 0 else ''}${abs(value):,.{2 if abs(value) >= 1 or value == 0 else 4}f}"
