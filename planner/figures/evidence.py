"""The evidence for a router as pictures: how it compares at equal cost, and up to where its quality is certified.

In: a Training's verdict or guarantee. Out: a Picture. Grey is measured, colour is what is proposed. Computes no result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from planner.figures.style import CEILING, FAINT, HALO, INK, MEASURED, PROPOSAL, Picture, bare, over, points, share, styled
from planner.training.guarantee import Guarantee
from planner.training.verdict import Verdict

__all__ = ["certificate", "verdict"]

#: Comparisons shown: the closest.
_SHOWN = 8


@styled
def verdict(found: Verdict, *, note: str = "") -> Picture:
    """Draw how much better the learned router answers than each simpler way at the same cost, the closest first.

    The thick end of a line is the one-sided 97.5 % bound that has to be above 0 for all of them.
    """
    table = found.table[found.table["method"] == "learned"].head(_SHOWN)
    use = {"learned router": "Use the learned router", "simple rule": f"Use the simple rule {found.method!r}"}
    now = "today's models" if found.method == "today" else found.method
    title = use.get(found.kind, f"{'Not enough labels; for now keep to' if found.more_labels else 'Use'} {now}")
    width = 0.085 * max(len(str(v)) for v in table["vs"]) + 0.3
    source = " · ".join(
        [*([note] if note else []), "the learned router minus each at equal cost", "measured; 95 % intervals by unit, each bound 97.5 %"]
    )
    figure, axes = bare(title, source, (9.0, 1.7 + 0.42 * len(table)), left=width, right=0.9)
    figure.numbers = table
    place = np.arange(len(table))[::-1]
    low, high, diff = (100 * table[c].to_numpy(float) for c in ("low", "high", "diff"))
    for y, a, b, d in zip(place, low, high, diff, strict=True):
        axes.plot([a, b], [y, y], color=PROPOSAL if a > 0 else MEASURED, linewidth=1.6, solid_capstyle="butt")
        axes.plot([a, a], [y - 0.2, y + 0.2], color=PROPOSAL if a > 0 else MEASURED, linewidth=3)
        axes.plot([d], [y], "s", markersize=7, color=PROPOSAL if a > 0 else MEASURED)
        axes.annotate(points(d / 100), (1.0, y), (8, 0), ("axes fraction", "data"), "offset points", va="center", annotation_clip=False)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(place, [str(v) for v in table["vs"]])
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: points(x / 100)))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Advantage in quality at the same cost, points", labelpad=8)
    return figure


@styled
def certificate(found: Guarantee, *, note: str = "") -> Picture:
    """Draw the loss of quality over the saving on the calibration rows, and up to where it is certified to keep the floor."""
    table = found.table.sort_values("saving")
    title = (
        f"Certified: {share(found.saving)} saved at a loss of at most {points(found.floor).lstrip('+')} points"
        if found.certified
        else f"Nothing is certified to lose at most {points(found.floor).lstrip('+')} points"
    )
    source = " · ".join(
        [
            *([note] if note else []),
            f"{found.rows:,} calibration requests in {found.units:,} units",
            f"grader: {found.grader}",
            f"{1 - found.delta:.0%} confidence, exact at this size",
        ]
    )
    figure, axes = bare(title, source, right=0.9)
    figure.numbers = found.table
    saving, loss = 100 * table["saving"].to_numpy(float), 100 * table["loss"].to_numpy(float)
    axes.plot(saving, loss, color=MEASURED, linewidth=1.6, zorder=2)
    passed = table["certified"].to_numpy(bool)
    axes.plot(saving[passed], loss[passed], color=PROPOSAL, linewidth=3.2, zorder=3, solid_capstyle="round")
    axes.axhline(100 * found.floor, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.annotate("floor", (1.0, 100 * found.floor), (6, 0), ("axes fraction", "data"), "offset points", va="center", annotation_clip=False)
    if found.certified:
        at = table[table["tau"] == found.tau].iloc[0]
        x, y = 100 * float(at["saving"]), 100 * float(at["loss"])
        axes.plot([x], [y], "s", markersize=11, color=PROPOSAL, markeredgecolor="white", markeredgewidth=1.5, zorder=5)
        words: dict[str, Any] = {"color": PROPOSAL, "weight": "bold", "path_effects": HALO}
        axes.annotate("certified up to here", (x, y), (-10, -14), textcoords="offset points", ha="right", va="top", **words)
    if not passed.all():
        first = found.table[~found.table["certified"]].iloc[0]
        axes.plot([100 * first["saving"]], [100 * first["loss"]], "x", markersize=9, color=CEILING, markeredgewidth=2, zorder=6)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: share(v / 100)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: points(-v / 100)))
    axes.set_xlabel("Saving against today's models", labelpad=8)
    over(axes, "Quality on the calibration rows, points (grey: measured; blue: certified; ×: the first that failed)")
    return figure
