"""Compare: several plans over one log, side by side.

In: Simulations of the same traffic at the same prices, and the quality one is willing to lose. Out: one table, and which
plan saves most within that loss; Summaries that differ in traffic, seed, price date or bucket version are refused. Knows
nothing of how the plans were made.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner.errors import InputError
from planner.simulation import Simulation

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Plans in the order given, the first usually as logged; ``floor``: quality one is willing to lose."""

    simulations: tuple[Simulation, ...]
    floor: float
    _rows: pd.DataFrame = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row per plan: money per month with interval and evidence, quality, failures, latency, and whether it is on the Pareto set."""
        return self._rows

    @property
    def best(self) -> Simulation | None:
        """The plan that saves most of those that surely save money and surely lose less quality than ``floor``; None without one.

        Surely: at the unfavourable end of a 95 % interval, each read alone. A plan without an interval is not sure.
        """
        sure = np.flatnonzero((self._rows["quality_low"] >= -self.floor) & (self._rows["saving_low"] > 0))
        saving = self._rows["saving_usd_per_month"].to_numpy(float)[sure]
        return self.simulations[sure[saving.argmax()]] if len(sure) else None

    @property
    def verdict(self) -> str:
        """Which plan is the best, in one sentence."""
        changed = self._rows[self._rows["changed_share"] > 0]
        if len(changed) and changed["quality_difference"].isna().all():
            return "Nothing can be chosen: without labels the quality of no plan is known."
        limit = f"loses less than {self.floor:g} of quality by its 95 % interval (each read alone)"
        if self.best is None:
            return f"Keep today's models: no plan saves money by its 95 % interval and {limit}."
        return f"Of the plans of which each {limit}, '{self.best.name}' saves most."

    @property
    def text(self) -> str:
        """Which plan saves most of those that surely lose less quality than ``floor``, and what each would do."""
        return "\n".join([self.verdict, *(s.text for s in self.simulations)])

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


def compare(*simulations: Simulation, floor: float = 0.02) -> Comparison:
    """Put simulations side by side.

    Parameters
    ----------
    simulations: of one log at the same prices, each with a name of its own.
    floor: quality one is willing to lose, 0 to 1: what the verdict holds each plan to.

    Raises InputError when there are none, when two have the same name, or when they are not about the same thing.
    """
    if not 0 <= floor <= 1:
        raise InputError(f"floor {floor}", "quality one is willing to lose, 0 to 1")
    if not simulations:
        raise InputError("no simulations", "at least one", "pass the results of planner.simulate")
    names = [s.name for s in simulations]
    if len({*names}) < len(names):
        raise InputError(f"plans named {', '.join(names)}", "a name each", "give each Plan its own name")
    for other in simulations[1:]:
        reason = simulations[0].summary.header.comparable(other.summary.header)
        if reason:
            raise InputError(
                f"{names[0]!r} and {other.name!r} with different {reason}",
                "plans over the same log at the same prices",
                "simulate both again",
            )
    rows = pd.DataFrame([{"plan": s.name, **s.table.iloc[-1].drop(list(s.summary.header.group_by)).to_dict()} for s in simulations])
    rows["evidence"] = [s.cost().evidence for s in simulations]
    sure = ["saving_low", "quality_low"]
    rows[sure] = rows[sure].astype(float)
    rows["pareto"] = _pareto(rows["usd_per_month"].to_numpy(float), rows["quality_difference"].to_numpy(float))
    return Comparison(simulations, floor, rows)


def _pareto(cost: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Say of each plan whether no other is at least as good on both and better on one; unknown quality is off the set."""
    better = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strictly = better & ((cost[None] < cost[:, None]) | (quality[None] > quality[:, None]))
    on: np.ndarray = ~strictly.any(axis=1) & np.isfinite(quality)
    return on
