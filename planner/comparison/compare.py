"""Compare: several plans over one log, side by side.

In: Simulations of the same traffic at the same prices. Out: one table and a sentence; Summaries that differ in traffic,
seed, price date or bucket version are refused. Knows nothing of how the plans were made.
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
    """Plans in the order given, the first usually as logged."""

    simulations: tuple[Simulation, ...]
    _rows: pd.DataFrame = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row per plan: money per month with interval and evidence, quality, failures, latency, and whether it is on the Pareto set."""
        return self._rows

    @property
    def text(self) -> str:
        """Which plan saves most without losing quality, in words."""
        return "\n".join(s.text for s in self.simulations)

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


def compare(*simulations: Simulation) -> Comparison:
    """Put simulations side by side.

    Raises InputError when there are none, when two have the same name, or when they are not about the same thing.
    """
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
    rows["pareto"] = _pareto(rows["usd_per_month"].to_numpy(float), rows["quality_difference"].to_numpy(float))
    return Comparison(simulations, rows)


def _pareto(cost: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Say of each plan whether no other is at least as good on both and better on one; unknown quality is off the set."""
    better = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strictly = better & ((cost[None] < cost[:, None]) | (quality[None] > quality[:, None]))
    on: np.ndarray = ~strictly.any(axis=1) & np.isfinite(quality)
    return on
