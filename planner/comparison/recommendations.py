"""Recommendations: what could be changed today without a single quality label, ranked by money.

In: priced changes, their combined figure, the ceiling of routing. Out: one table, prose, a notebook representation. All
numbers are computed elsewhere. Knows nothing of rows or rates.
"""

from __future__ import annotations

import html
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from planner.comparison.change import ORDER, RETIRING, Change
from planner.comparison.silence import period
from planner.prices.money import spanned
from planner.stats import Estimate

__all__ = ["Ranked", "Recommendations"]

_COLUMNS = ("change", "app", "owner", "usd_per_month", "low", "high", "evidence", "in_combined", "rows", "effort", "risk", "kind", "source")


@dataclass(frozen=True, eq=False)
class Ranked:
    """A change with what it saves a month on its own; ``steps`` are other strengths of it as (name, USD a month)."""

    change: Change = field(repr=False)
    owner: str
    saving: Estimate
    steps: tuple[tuple[str, float], ...] = ()

    @property
    def text(self) -> str:
        """The change in one line."""
        beside = "".join(f"; {name}: ${usd:{_spec(usd)}}" for name, usd in self.steps)
        return f"{self.change.what}: {_money(self.saving)} a month{beside}. {self.change.effort}. Risk: {self.change.risk}."


@dataclass(frozen=True, eq=False)
class Recommendations:
    """What can be decided from a log with one answer per request and no quality label.

    Parameters
    ----------
    ranked: every change, first those that alter no answer, then those to test first, by saving; each on its own: they do not add up.
    combined: all changes that alter no answer, applied in the order of ``change.ORDER`` [USD a month].
    spend: what the log costs [USD a month] at ``prices``.
    ceiling: per app the most that routing could save, and the labels that would decide; see ``comparison.ceiling``.
    notes: what this log cannot say, and why.
    standing: for how many requests those of a sample stand, in words to put after them; nothing of a log that is whole.
    """

    ranked: tuple[Ranked, ...]
    combined: Estimate
    spend: Estimate
    requests: int
    days: float
    prices: str
    ceiling: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    standing: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """One row per change in the order of ``ranked`` [USD a month]; ``in_combined``: it alters no answer. ``rows`` are the log's own."""
        rows = [
            (
                r.change.what, r.change.app, r.owner, r.saving.value, r.saving.low, r.saving.high, r.saving.evidence, r.change.combines,
                len(r.change.rows), r.change.effort, r.change.risk, r.change.kind, r.change.source,
            )
            for r in self.ranked
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    @property
    def text(self) -> str:
        """The list in words, with what it does not say; changes worth less than a thousandth of the spend are only counted."""
        cost = f"{_money(self.spend)} a month" if self.spend.n else "no request has a price"
        lines = [
            f"{self.requests:,} requests{self.standing} in {period(self.days)}; {cost} at {self.prices}.",
            "Nothing below needs a quality label, and nothing says how good an answer is.",
            *self._list(),
        ]
        return "\n".join([*lines, *self._combined(), *self._routing(), *self.notes])

    def _list(self) -> list[str]:
        told = [r for r in self.ranked if r.saving.value >= self.spend.value / 1_000 or r.change.kind == RETIRING]
        if not told:
            return ["No change that needs no label saves anything worth mentioning on this log."]
        lines = [f"{i}. {r.text}" for i, r in enumerate(told, 1)]
        small = len(self.ranked) - len(told)
        return [*lines, f"{small} smaller changes are in the table."] if small else lines

    def _combined(self) -> list[str]:
        if self.combined.value <= 0:
            return []
        parts = ", ".join(f"${v:{_spec(v)}} {k}" for k, v in self.combined.shares.items() if v)
        order = ", ".join(k for k in ORDER if any(r.change.kind == k for r in self.ranked))
        return [
            f"These do not add up: each is priced alone. Those that alter no answer, applied one after another ({order}), save "
            f"{_money(self.combined)} a month ({parts})."
        ]

    def _routing(self) -> list[str]:
        return [_bound(row, bool(self.standing)) for row in self.ceiling.to_dict("records")]

    def _repr_html_(self) -> str:
        body: str = self.table.drop(columns="source").to_html(index=False, escape=True, float_format="{:,.2f}".format)
        return f"<div class='mathjax_ignore'>{body}<p>{html.escape(self.text).replace(chr(10), '<br>')}</p></div>"


def _money(usd: Estimate) -> str:
    return usd.format(_spec(usd.value), "$")


def _spec(usd: float) -> str:
    """Show cents from a dollar on, two digits below."""
    return ",.2f" if abs(usd) >= 1 or usd == 0 else ".2g"


def _bound(row: dict[Hashable, Any], sampled: bool) -> str:
    spec = _spec(row["at_most_usd_per_month"])
    most = spanned(row["at_most_usd_per_month"], row["low"], row["high"], lambda usd: f"${usd:{spec}}")
    most += " (estimated from a sample, no interval)" if sampled and pd.isna(row["low"]) else ""
    text = (
        f"Routing {row['app']}: at most {most} a month, an upper bound and not a saving; {row['labels']:,} labels would decide "
        f"(${row['labels_usd']:,.2f} for the answers)"
    )
    enough = row["with_text"] >= row["labels"]
    return text + (
        "."
        if enough
        else f"; {row['with_text'] or 'none'} of its requests in this log {'have' if row['with_text'] else 'has'} the whole text."
    )
