"""What a log can answer: the share of spend, or of requests, that each lever can speak about.

In: a Coverage. Out: a Picture: a bar a lever, and beside it the setting that would open the rest. Computes no result.
"""

from __future__ import annotations

import textwrap

from planner.figures.style import FAINT, MEASURED, Picture, bare, share
from planner.traffic.coverage import Coverage

__all__ = ["coverage"]


def coverage(coverage: Coverage, *, note: str = "") -> Picture:
    """Draw the share of spend that each lever can speak about (of requests where the log has no costs)."""
    priced = bool(coverage.levers["share_usd"].notna().any())
    column, unit = ("share_usd", "spend") if priced else ("share_rows", "requests")
    levers = coverage.levers.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    whole = coverage.table[(coverage.table["app"] == "all") & (coverage.table["what"] == "requests")].iloc[0]
    title = f"What this log can answer: the share of {unit} each lever can speak about"
    source = " · ".join([*([note] if note else []), f"{whole['rows']:,.0f} requests", coverage.money])
    figure, axes = bare(title, source, (9.6, 1.5 + 0.42 * len(levers)), left=0.15, right=0.98)
    figure.numbers = levers[["lever", "share_rows", "share_usd", "needs", "setting"]]
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, 2.35)
    axes.set_ylim(len(levers) - 0.4, -0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    for i, row in levers.iterrows():
        axes.barh(i, 1.0, height=0.56, color=FAINT)
        axes.barh(i, row[column], height=0.56, color=MEASURED)
        axes.text(-0.02, i, row["lever"], va="center", ha="right")
        axes.text(1.03, i, share(row[column]), va="center", weight="bold")
        if row["setting"]:
            axes.text(1.17, i, textwrap.fill(f"the rest: {row['setting']}", 58), va="center", fontsize=8.5, color=MEASURED)
    return figure
