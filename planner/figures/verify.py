"""What routing saved in every app, measured on those whom a lot kept, beside what was predicted.

In: a Verification. Out: a Picture: a line an app with its 95 % interval, and below it a diamond where the prediction is, with its own.
Computes no result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.errors import InputError
from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, share, styled
from planner.followup.verify import Verification

__all__ = ["verify"]


@styled
def verify(found: Verification, *, note: str = "") -> Picture:
    """Draw the share of the cost that routing saved, app by app where it is known; InputError where it is not."""
    table = found.table[(found.table["measure"] == "saving_share") & found.table["difference"].notna()].iloc[::-1]
    if table.empty:
        raise InputError("a verification without a saving", "one with routed and kept requests that have a price")
    whole = table.iloc[-1]
    within = "" if math.isnan(whole["low"]) else f" ({share(whole['low'])} to {share(whole['high'])})"
    title = f"Routing saved {share(whole['difference'])} of the cost{within}"
    if whole["app"] != "all":
        title = "What routing saved of the cost is known of some apps alone"
    said = [f"measured on {found.unit_kind}s that a lot kept as asked, {found.days:.0f} days", "lines: 95\u00a0%"]
    said += ["diamonds: predicted"] * int(table["predicted"].notna().any())
    said += ["orange: missed"] * int((table["verdict"] == "missed").any())
    alarms = [f"CHECK FAILED: {check.name}" for check in found.alarms]
    width = 0.085 * max(len(str(app)) for app in table["app"]) + 0.5
    source = " · ".join([*alarms, *([note] if note else []), *said, found.prices])
    figure, axes = bare(title, source, (9.0, 1.8 + 0.46 * len(table)), left=width, right=0.9)
    figure.numbers = found.table
    for y, row in enumerate(table.to_dict("records")):
        dot, low, high = (100 * float(row[name]) for name in ("difference", "low", "high"))
        if not math.isnan(low):
            axes.plot([low, high], [y, y], color=MEASURED, linewidth=5, alpha=0.5, solid_capstyle="butt")
        axes.plot([dot], [y], "o", markersize=8, color=INK)
        if not math.isnan(row["predicted"]):
            _predicted(axes, y - 0.26, row)
        words = share(dot / 100) if not math.isnan(low) else "no interval"
        axes.annotate(
            words, (1.0, y), (8, 0), ("axes fraction", "data"), "offset points", va="center", color=MEASURED, annotation_clip=False
        )
    axes.axvline(0, color=MEASURED, linewidth=0.8)
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.set_yticks(range(len(table)), [str(app) for app in table["app"]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f} %".replace("-", "−")))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Share of the cost saved", labelpad=8)
    return figure


def _predicted(axes: Axes, y: float, row: Mapping[Any, Any]) -> None:
    """Draw what was predicted, with its interval where it has one."""
    colour = CEILING if row["verdict"] == "missed" else PROPOSAL
    if not math.isnan(row["predicted_low"]):
        axes.plot([100 * row["predicted_low"], 100 * row["predicted_high"]], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([100 * row["predicted"]], [y], "D", markersize=6, color=colour)
