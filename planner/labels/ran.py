"""Run: how far asking has come, what it cost, and what failed.

In: work and what its journal says. Out: a table by model and a sentence. Knows nothing of how calls are made.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import pandas as pd

from planner.labels.journal import Past
from planner.labels.quotes import dollars
from planner.labels.work import Work
from planner.schema import STATUSES
from planner.units import PUSD_PER_USD

__all__ = ["Run", "run_of"]


@dataclass(frozen=True, eq=False)
class Run:
    """The state of asking.

    Parameters
    ----------
    table: per model: ``asked`` = ``ok`` + each kind of failure that occurred + ``open``; ``usd`` [USD] of calls that ended.
    spent_usd: [USD] of all runs of this work, with the most that calls without an end may have cost.
    lost: calls that were begun and never ended: the run was killed.
    stopped: why the run ended before all was asked; empty when all was.
    """

    table: pd.DataFrame = field(repr=False)
    spent_usd: float
    lost: int
    stopped: str

    @property
    def complete(self) -> bool:
        """Whether every ask is over."""
        return int(self.table["open"].sum()) == 0

    @property
    def text(self) -> str:
        """The same in a few sentences."""
        sums = self.table.drop(columns="usd").sum()
        failed = ", ".join(f"{n:,} {k.replace('_', ' ')}" for k, n in sums.items() if k in STATUSES[1:])
        said = f"{sums['ok']:,} of {sums['asked']:,} answered for {dollars(self.spent_usd)}; {sums['open']:,} still to ask"
        said += f"; failed: {failed}" if failed else ""
        said += f"; {self.lost:,} calls were broken off and count as paid in full (assumed)" if self.lost else ""
        return f"{said}. Stopped: {self.stopped}." if self.stopped else f"{said}."

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True)}"


def run_of(work: Work, done: Past, stopped: str) -> Run:
    """Count what the journal says about the asks of ``work``."""
    ends = pd.DataFrame([(a, e["status"]) for a, e in done.ended.items()], columns=["ask_id", "status"])
    asks = work.asks[["ask_id", "model"]].merge(ends, how="left", on="ask_id")
    asks["cost_pusd"] = asks["ask_id"].map(done.paid.pusd)
    counts = pd.crosstab(asks["model"], asks["status"].fillna("open"))
    kinds = ["ok", *(s for s in STATUSES[1:] if s in counts), "open"]
    table = counts.reindex(columns=kinds, fill_value=0).rename_axis(columns=None)
    table.insert(0, "asked", table.sum(axis=1))
    table["usd"] = asks.groupby("model")["cost_pusd"].sum() / PUSD_PER_USD
    return Run(table, done.spent_pusd / PUSD_PER_USD, done.lost, stopped)
