"""A gate as a picture: the difference of quality in all and in every slice, beside the margin.

In: a Gate. Out: a Picture. Grey is not shown, colour is shown, one way or the other. Computes no result.
"""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator

from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, points, styled
from planner.followup.gate_result import Gate

__all__ = ["gate"]

_COLOURS = {"holds": PROPOSAL, "worse": CEILING, "not shown": MEASURED}


@styled
def gate(found: Gate, *, note: str = "") -> Picture:
    """Draw new minus baseline quality with its exact bounds: the whole first, then each slice; the dotted line is the margin."""
    new, baseline = found.names
    verdicts = {"pass": "passes", "fail": "fails", "inconclusive": "is not shown to be as good"}
    title = f"{new} {verdicts[found.verdict]} against {baseline}"
    source = " · ".join(
        [
            *([note] if note else []),
            f"{found.items:,} items in {found.units:,} units",
            f"grader: {found.grader}",
            "estimated; exact bounds: one-sided 97.5 % for all, those of slices hold together at 95 %",
        ]
    )
    table = found.table.iloc[::-1].reset_index(drop=True)
    names = ["all" if r["dimension"] == "all" else f"{r['dimension']}: {r['slice']}" for r in table.to_dict("records")]
    width = 0.085 * max(map(len, names)) + 0.4
    figure, axes = bare(title, source, (9.0, 1.8 + 0.42 * len(table)), left=width, right=0.9)
    figure.numbers = found.table
    for y, row in enumerate(table.to_dict("records")):
        colour = _COLOURS[row["verdict"]]
        axes.plot([100 * row["low"], 100 * row["high"]], [y, y], color=colour, linewidth=3 if names[y] == "all" else 1.6)
        axes.plot([100 * row["difference"]], [y], "s", color=colour, markersize=7)
        where = ("axes fraction", "data")
        axes.annotate(points(row["difference"]), (1.0, y), (8, 0), where, "offset points", va="center", annotation_clip=False)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.axvline(-100 * found.margin, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_yticks(range(len(table)), names)
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: points(x / 100)))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("New minus baseline quality, points (dotted: the margin)", labelpad=8)
    return figure
