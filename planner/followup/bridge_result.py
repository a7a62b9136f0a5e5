"""The bridge as a value with its tables, and in words.

In: lines in pico-dollars. Out: text for whoever pays the bill. Computes no result.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from planner.followup.bridge_shapley import FACTORS
from planner.units import pusd_to_usd

__all__ = ["OVERHEAD", "WORDS", "Bridge"]

#: What calls that are no user's are listed as.
OVERHEAD = "(overhead)"
#: Line → what it means to a reader, and how its driver is written.
WORDS: Mapping[str, tuple[str, str]] = {
    "days": ("days in the month", "{:,.0f}"),
    "volume": ("requests a day", "{:,.0f}"),
    "app mix": ("which apps asked", ""),
    "routing": ("requests sent to other models by the router, measured against those a lot kept", ""),
    "other model mix": ("which models answered, routing apart", ""),
    "model mix": ("which models answered", ""),
    "input tokens": ("input per call of each app and model; over all", "{:,.0f} tokens"),
    "output tokens": ("output per call of each app and model; over all", "{:,.0f} tokens"),
    "prompt cache": ("share of the input that providers had cached, of each app and model; over all", "{:.1%}"),
    "response cache": ("share of the requests that the gateway's cache answered", "{:.1%}"),
    "failures": ("share of the requests that failed", "{:.2%}"),
    "list price": ("what providers ask for the same", ""),
    "contract": ("what was billed, in parts of list price", "{:.1%}"),
    "new app": ("asked nothing last month", ""),
    "vanished app": ("asked nothing this month", ""),
}


@dataclass(frozen=True, eq=False)
class Bridge:
    """Last month's bill, what changed it, and this month's.

    Parameters
    ----------
    table: a row a line, in this order: ``line, usd, low, high`` (95 %, of routing alone) ``, share`` (of last month's bill) ``, was, now``
        (what moved, where it is one number) ``, evidence, what, pusd``; the last column holds integers that add up to the difference.
    apps: a row an app: ``app, last_pusd, this_pusd`` and a column [pUSD] for each kind of change, integers.
    bills: last and this [pUSD]. days: UTC days of each. spans: from when to when.
    prices: the price book. notes: what a reader should know, in sentences.
    """

    table: pd.DataFrame
    apps: pd.DataFrame = field(repr=False)
    bills: tuple[int, int]
    days: tuple[int, int]
    spans: tuple[str, str]
    prices: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, lines: Mapping[str, Mapping[str, Any]], apps: Sequence[Mapping[str, Any]], **rest: Any) -> Bridge:
        """Lay out ``lines`` (name → pusd, evidence and perhaps low, high, was, now) in the order of WORDS."""
        kinds = [*WORDS]
        order = sorted(lines, key=lambda name: (kinds.index(name.partition(":")[0]), -abs(lines[name]["pusd"])))
        last = rest["bills"][0]
        rows = [_row(name, lines[name], last) for name in order]
        columns = ["app", "last_pusd", "this_pusd", *FACTORS, "new app", "vanished app"]
        table = pd.DataFrame(apps, columns=columns, dtype=object).fillna(0).sort_values("app", ignore_index=True)
        return cls(pd.DataFrame(rows), table, **rest)

    @property
    def usd(self) -> tuple[float, float]:
        """Last and this month's bill [USD]."""
        return pusd_to_usd(self.bills[0]), pusd_to_usd(self.bills[1])

    @property
    def usd_per_day(self) -> tuple[float, float]:
        """The same a day."""
        return self.usd[0] / self.days[0], self.usd[1] / self.days[1]

    @property
    def text(self) -> str:
        """Both bills, a line for each change, largest first, and what to know."""
        (was, now), (was_day, now_day) = self.usd, self.usd_per_day
        more = f"{_signed(now - was)}" + (f", {(now / was - 1):+.1%}".replace("-", "−") if was else "")
        head = f"{self.spans[0]} ({self.days[0]} days): {_usd(was)}. {self.spans[1]} ({self.days[1]} days): {_usd(now)} ({more})."
        per_day = f"A day: {_usd(was_day)}, then {_usd(now_day)}."
        shown = self.table[self.table["pusd"].map(abs) >= _SHOWN].sort_values("pusd", key=lambda x: x.map(abs), ascending=False)
        how = "Each line is the mean over every order in which the changes could have come; together they are the difference exactly."
        lines = [f"{_said(row)}." for row in shown.to_dict("records")]
        return "\n".join([head, per_day, *lines, *([how] if lines else ["Nothing changed the bill."]), *self.notes])

    def _repr_html_(self) -> str:
        body: str = self.table.drop(columns="pusd").to_html(index=False, escape=True, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


#: [pUSD] below which a line is in the table alone: a hundredth of a cent.
_SHOWN = 100_000_000


def _row(name: str, line: Mapping[str, Any], last: int) -> dict[str, Any]:
    usd = pusd_to_usd(line["pusd"])
    extra = {key: line.get(key, math.nan) for key in ("low", "high")}
    moved = {key: line.get(key, math.nan) for key in ("was", "now")}
    share = line["pusd"] / last if last else math.nan
    what = WORDS[name.partition(":")[0]][0]
    return {"line": name, "usd": usd, **extra, "share": share, **moved, "evidence": line["evidence"], "what": what, "pusd": line["pusd"]}


def _said(row: Mapping[Any, Any]) -> str:
    name = str(row["line"])
    what, pattern = WORDS[name.partition(":")[0]]
    between = "" if math.isnan(row["low"]) else f" [{_signed(row['low'])}, {_signed(row['high'])}]"
    moved = f": {pattern.format(row['was'])} to {pattern.format(row['now'])}" if pattern and not math.isnan(row["was"] + row["now"]) else ""
    return f"{name[0].upper()}{name[1:]} {_signed(row['usd'])}{between} {row['evidence']} ({what}{moved})"


def _usd(value: float) -> str:
    return f"{'−' if value < 0 else ''}${abs(value):,.{0 if abs(value) >= 1000 else 2 if abs(value) >= 1 else 4}f}"


def _signed(value: float) -> str:
    return f"+{_usd(value)}" if value >= 0 else _usd(value)
