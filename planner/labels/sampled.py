"""Sample: what was chosen for labelling, what it costs, and what became of every request of the log.

In: work and accounts. Out: tables and a few sentences. Knows nothing of how requests were chosen.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner.labels.asking import Terms
from planner.labels.draw import Drawn
from planner.labels.eligible import REASONS, UNREACHED
from planner.labels.quotes import dollars
from planner.labels.work import Work
from planner.units import PUSD_PER_USD

__all__ = ["CHOSEN", "Sample", "account", "by_app"]

CHOSEN = "to be labelled"
_TURN, _DUPLICATE, _REST = "a later turn of a session", "a near duplicate", "could be labelled, not drawn"


@dataclass(frozen=True, eq=False)
class Sample:
    """Chosen requests.

    Parameters
    ----------
    work: what is to be asked; ``work.save(folder)`` for ``planner labels run``.
    table: what became of every request: ``what, requests, usd, share_of_spend``; the requests add up to the log's.
    apps: per app that is labelled: units, items, ``stake_usd`` (spend beyond the price of the cheapest candidate), ``price_usd``.
    """

    work: Work
    table: pd.DataFrame = field(repr=False)
    apps: pd.DataFrame = field(repr=False)

    @property
    def items(self) -> pd.DataFrame:
        """The chosen requests with ``weight`` and ``probability``."""
        return self.work.items

    @property
    def price_usd(self) -> float:
        """What answers and grading are expected to cost [USD]; estimated: answers are assumed as long as today's."""
        graded = len(self.work.asks) + len(self.work.logged)
        return int(self.work.asks["price_pusd"].sum()) / PUSD_PER_USD + graded * float(self.work.meta["grader_usd"])

    @property
    def at_most_usd(self) -> float:
        """What the answers cost if every one is as long as its limit [USD]."""
        return float(self.work.asks["at_most_pusd"].astype(float).sum()) / PUSD_PER_USD

    @property
    def text(self) -> str:
        """The choice in a few sentences, with what is left out and why."""
        first = self.apps.iloc[0]
        lines = [
            f"{len(self.items):,} requests of {len(self.apps)} app{'s' * (len(self.apps) != 1)}, "
            f"{len(self.work.asks):,} answers to ask for: {dollars(self.price_usd)} (estimated: answers as long as today's) "
            f"of {dollars(self.work.meta['budget_usd'])}; "
            f"{len(self.work.logged):,} answers of today are reused.",
            f"Most is at stake in {first['app']}: {dollars(first['stake_usd'])} of this log's spend is above the price of its cheapest "
            "candidate.",
        ]
        left = self.table[~self.table["what"].isin((CHOSEN, _TURN, _DUPLICATE, _REST))]
        lines += [f"Not labelled: {r.what}: {r.requests:,} requests, {r.share_of_spend:.1%} of spend." for r in left.itertuples()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>{self.apps.to_html(escape=True, index=False)}"


def account(frame: pd.DataFrame, terms: Terms, found: Drawn) -> pd.DataFrame:
    """Say of every request what became of it."""
    state = found.units.keep(found.probability > 0, UNREACHED)
    what = np.array(REASONS, object)[state.reason]
    inside = state.unit >= 0
    what[inside] = _REST
    what[inside & state.turn] = _TURN
    what[inside & state.duplicate] = _DUPLICATE
    what[found.units.row[found.picked]] = CHOSEN
    usd = np.where(terms.priced, terms.spend_pusd, 0) * frame["weight"].to_numpy(float) / PUSD_PER_USD
    table = pd.DataFrame({"what": what, "requests": 1, "usd": usd}).groupby("what", sort=False).sum()
    order = [CHOSEN, _REST, _TURN, _DUPLICATE, *REASONS[1:]]
    table = table.reindex([w for w in order if w in table.index]).reset_index()
    return table.assign(share_of_spend=table["usd"] / max(table["usd"].sum(), 1e-300))


def by_app(frame: pd.DataFrame, terms: Terms, found: Drawn, work: Work) -> pd.DataFrame:
    """Return one row per app that is labelled, most at stake first."""
    units = found.units
    weight = frame["weight"].to_numpy(float)
    table = pd.DataFrame(
        {"app": frame["app"].to_numpy()[units.row], "units": 1, "stake_usd": units.total(terms.stake_pusd * weight) / PUSD_PER_USD}
    )
    table["items"] = 0
    table.loc[found.picked, "items"] = 1
    table = table.groupby("app", as_index=False)[["units", "items", "stake_usd"]].sum()
    app = work.items.set_index("request_id")["app"]
    price = work.asks["price_pusd"].groupby(work.asks["request_id"].map(app)).sum() / PUSD_PER_USD
    graded = pd.concat([work.asks["request_id"], work.logged["request_id"]]).map(app).value_counts()
    table["price_usd"] = table["app"].map(price).fillna(0.0) + float(work.meta["grader_usd"]) * table["app"].map(graded).fillna(0)
    return table[table["items"] > 0].sort_values("stake_usd", ascending=False, ignore_index=True)
