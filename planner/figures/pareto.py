"""Plans as points: what each costs and what it does to quality, the ones that no other beats joined by a line.

In: a Comparison. Out: a Picture; p95 is written beside each plan, since a plan may be on the set for its latency alone. Computes no
result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.comparison import Comparison
from planner.figures.style import FAINT, INK, MEASURED, PROPOSAL, Picture, bare, money, over, points, styled

__all__ = ["pareto"]


@styled
def pareto(comparison: Comparison, *, note: str = "") -> Picture:
    """Draw cost a month against quality with 95 % intervals; full points are on the Pareto set of cost, quality and p95.

    Of a sample the cost has its interval too. Points carry the number under which the plan stands in the list at the right. A plan whose
    quality is unknown is not drawn, and named below.
    """
    table = comparison.table
    known = table[table["quality_difference"].notna()].sort_values("usd_per_month", kind="stable", ignore_index=True)
    header, drawn = comparison.simulations[0].summary.header, comparison.simulations[0].drawn
    on = known[known["pareto"]]
    title = f"{len(on)} of {len(table)} plans are beaten by no other in cost, quality and p95"
    lacking = table[table["quality_difference"].isna()]["plan"].tolist()
    source = [
        *([note] if note else []),
        *([] if drawn is None else [drawn.source()]),
        f"{header.price_book} prices of {header.price_date}",
        f"95\u00a0% intervals over {header.cluster_unit}s",
        *([f"of unknown quality: {', '.join(lacking)}"] if lacking else []),
    ]
    figure, axes = bare(title, " · ".join(source), (10.4, 5.2), right=4.3)
    figure.numbers = table
    axes.plot(on["usd_per_month"], 100 * on["quality_difference"], color=PROPOSAL, linewidth=1.2, alpha=0.5, zorder=2)
    for number, row in enumerate(known.to_dict("records"), 1):
        _plan(axes, number, row, len(known))
    axes.axhline(-100 * comparison.floor, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "fontsize": 9.5}
    axes.annotate(f"floor\n{points(-comparison.floor)}", (1, -100 * comparison.floor), (6, 0), annotation_clip=False, **beside)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.margins(0.08)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Cost per month", labelpad=8)
    over(axes, "Quality against the log, points")
    return figure


def _plan(axes: Axes, number: int, row: dict[Any, Any], count: int) -> None:
    """Draw one plan, and write it into the list."""
    x, y = row["usd_per_month"], 100 * row["quality_difference"]
    colour = PROPOSAL if row["changed_share"] else MEASURED
    if np.isfinite(row["quality_low"]):
        axes.plot([x, x], [100 * row["quality_low"], 100 * row["quality_high"]], color=colour, linewidth=1.4, alpha=0.6, zorder=3)
    if pd.notna(row.get("usd_low")):
        axes.plot([row["usd_low"], row["usd_high"]], [y, y], color=colour, linewidth=1.4, alpha=0.6, zorder=3)
    axes.plot([x], [y], "o", markersize=14, color=colour, markerfacecolor=colour if row["pareto"] else "white", zorder=4)
    axes.text(x, y, str(number), ha="center", va="center", fontsize=8.5, color="white" if row["pareto"] else colour, zorder=5)
    slow = "" if np.isnan(row["p95_ms"]) else f", p95 {row['p95_ms'] / 1000:,.1f} s"
    words = f"{number}  {row['plan']}\n    {money(x)}, {points(y / 100)} points{slow}"
    top = 1 - (number - 1) / max(count, 6)
    axes.text(1.14, top, words, transform=axes.transAxes, va="top", fontsize=9, color=INK if row["pareto"] else MEASURED, linespacing=1.4)
