"""Drift as a picture: of every measure, what changed most surely, from where to where.

In: a Drift. Out: a Picture: a line a measure, from before (grey) to now, with the interval of now; alarms stand out. Computes no result.
"""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator

from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, share, styled
from planner.followup.drift_result import Drift

__all__ = ["drift"]


@styled
def drift(found: Drift, *, note: str = "") -> Picture:
    """Draw the column of each measure that changed most surely: before, now, and the 95 % interval of the change laid at before."""
    alarms = [m for m in found.alarms if m != "prices"]
    title = f"Changed: {', '.join(found.alarms)}" if found.alarms else "Nothing changed that chance would not explain"
    source = " · ".join(
        [
            *([note] if note else []),
            f"now: {found.spans[1]}",
            f"before: {found.spans[0]}",
            f"estimated, 95 % intervals by user and day; alarms at {found.alpha:.2g} over all measures",
        ]
    )
    table = found.table.iloc[::-1].reset_index(drop=True)
    width = 0.085 * max(len(str(m)) for m in table["measure"]) + 0.4
    figure, axes = bare(title, source, (9.0, 1.9 + 0.5 * len(table)), left=width, right=0.9)
    figure.numbers = found.table.drop(columns="fix")
    for y, row in enumerate(table.to_dict("records")):
        was, now = 100 * row["before"], 100 * row["now"]
        colour = CEILING if row["alarm"] else PROPOSAL
        axes.plot([was + 100 * row["low"], was + 100 * row["high"]], [y, y], color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot([was, now], [y, y], color=colour, linewidth=1.2)
        axes.plot([was], [y], "o", color=MEASURED, markersize=7)
        axes.plot([now], [y], "s", color=colour, markersize=7)
        axes.annotate(str(row["what"]), (0, y), (0, 9), ("axes fraction", "data"), "offset points", size=8.5, color=INK)
        words = f"p {row['p_adjusted']:.1g}"
        axes.annotate(words, (1.0, y), (8, 0), ("axes fraction", "data"), "offset points", va="center", annotation_clip=False)
    axes.set_yticks(range(len(table)), [str(m) for m in table["measure"]])
    for label in axes.get_yticklabels():
        if label.get_text() in alarms:
            label.set_color(CEILING)
    axes.set_ylim(-0.7, len(table) - 0.2)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: share(x / 100)))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Share, before (grey) and now (square)", labelpad=8)
    return figure
