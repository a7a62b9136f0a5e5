"""What drift found, as a value with its tables, and in words.

In: a row a measure and a row a rate that moved. Out: a Drift. Tests nothing itself.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Drift"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What changed.

    Parameters
    ----------
    table: a row a measure: ``measure, what`` (the column that changed most surely) ``, before, now, difference, low, high``
        (shares of requests, 95 % interval; estimated) ``, p_value, p_adjusted`` (Holm) ``, alarm, fix``.
    changes: a row a column of every measure: ``measure, what, before, now, difference, low, high, score``.
    prices: a row a rate that moved since the export, see ``drift_prices.moved``; measured.
    alpha: level of this look. look, planned: which of how many looks; both 1 without a file of looks.
    spans: what was compared, in words: before and now.
    notes: what could not be compared or allowed for, in sentences.
    """

    table: pd.DataFrame
    changes: pd.DataFrame = field(repr=False)
    prices: pd.DataFrame
    alpha: float
    look: int
    planned: int
    spans: tuple[str, str]
    notes: tuple[str, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """The measures that changed, and ``prices``."""
        return (*self.table.loc[self.table["alarm"], "measure"], *(["prices"] if len(self.prices) else []))

    @property
    def text(self) -> str:
        """What was compared, and each alarm with what to do, a line each."""
        tested = f"{len(self.table)} measures at {self.alpha:.2g} together"
        tested += f", look {self.look} of {self.planned}" if self.planned > 1 else ""
        head = f"Now: {self.spans[1]}. Before: {self.spans[0]}. Tested: {tested}."
        changed = self.table[self.table["alarm"]]
        found = [_sentence(row) for _, row in changed.iterrows()]
        found += [_price_sentence(self.prices)] if len(self.prices) else []
        lines = [f"Alarm: {', '.join(self.alarms)} changed."] if found else ["Quiet: nothing changed that chance would not explain."]
        return "\n".join([head, *lines, *found, *self.fixes, *self.notes])

    @property
    def fixes(self) -> tuple[str, ...]:
        """What to do, once however many measures call for it."""
        changed = self.table[self.table["alarm"]]
        said = [f"For {_listed(own['measure'])}: {fix}." for fix, own in changed.groupby("fix", sort=False)]
        return (*said, *(["For prices: the router weighs cost at the old ones: train and export again."] if len(self.prices) else []))

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True, index=False)}"


def _sentence(row: Any) -> str:
    was, now = (_share(row[c]) for c in ("before", "now"))
    points = " to ".join(f"{100 * row[c]:+.1f}" for c in ("low", "high"))
    shown = f"{100 * row['difference']:+.1f} points, 95 %: {points}; estimated, p {row['p_adjusted']:.1g}"
    return f"{row['measure'].capitalize()}: {row['what']} were {was} and are {now} ({shown})."


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _price_sentence(prices: pd.DataFrame) -> str:
    said = [f"{r['model']} {r['rate']} {_usd(r['was'])} to {_usd(r['now'])}" for _, r in prices.head(4).iterrows()]
    more = f" and {len(prices) - 4} more" if len(prices) > 4 else ""
    usd = prices["usd"].sum(min_count=1)
    on_now = "" if math.isnan(usd) else f"; {'+' if usd >= 0 else '-'}${abs(usd):,.2f} on the requests of now (estimated)"
    return f"Prices: {'; '.join(said)}{more} (USD per million tokens, or per request){on_now}."


def _listed(names: Any) -> str:
    return " and ".join(filter(None, (", ".join([*names][:-1]), [*names][-1])))


def _usd(rate: float) -> str:
    return "none" if math.isnan(rate) else f"{rate:g}"
