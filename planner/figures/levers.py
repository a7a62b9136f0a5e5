"""What a log can answer: the share of spend, or of requests, that each lever can speak about.

In: a Coverage. Out: a Picture: a bar a lever, and beside it the setting that would open the rest. Computes no result.
"""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes

from planner.figures.style import FAINT, MEASURED, Picture, bare, share, styled, without_axes
from planner.traffic.coverage import Coverage

__all__ = ["coverage"]


@styled
def coverage(coverage: Coverage, *, note: str = "") -> Picture:
    """Draw the share of spend that each lever can speak about (of requests where the log has no costs)."""
    priced = bool(coverage.levers["share_usd"].notna().any())
    column, unit = ("share_usd", "spend") if priced else ("share_rows", "requests")
    levers = coverage.levers.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    whole = coverage.table[(coverage.table["app"] == "all") & (coverage.table["what"] == "requests")].iloc[0]
    title = f"What this log can answer: the share of {unit} each lever can speak about"
    source = " · ".join([*([note] if note else []), f"{whole['rows']:,.0f} requests", coverage.money])
    figure, axes = bare(title, source, (9.6, 1.3 + 0.38 * len(levers)), left=1.5, right=0.2, bottom=0.5)
    figure.numbers = levers[["lever", "share_rows", "share_usd", "needs", "setting"]]
    without_axes(axes)
    axes.set_xlim(0, 2.35)
    axes.set_ylim(len(levers) - 0.5, -0.6)
    axes.barh(levers.index, 1.0, height=0.6, color=FAINT)
    axes.barh(levers.index, levers[column], height=0.6, color=MEASURED)
    for i, (lever, part) in enumerate(zip(levers["lever"], levers[column], strict=True)):
        axes.text(-0.02, i, lever, va="center", ha="right")
        axes.text(1.03, i, share(part), va="center", weight="bold")
    _settings(axes, levers["setting"].tolist())
    return figure


def _settings(axes: Axes, settings: list[str]) -> None:
    """Write each setting once, beside a line along the levers that it opens."""
    starts = [i for i, setting in enumerate(settings) if setting and (i == 0 or settings[i - 1] != setting)]
    for first in starts:
        last = first
        while last + 1 < len(settings) and settings[last + 1] == settings[first]:
            last += 1
        axes.plot([1.2, 1.2], [first - 0.3, last + 0.3], color=MEASURED, linewidth=1.2)
        words = textwrap.fill(f"to open the rest: {settings[first]}", 46)
        axes.text(1.225, (first + last) / 2, words, va="center", fontsize=9, color=MEASURED, linespacing=1.35)
