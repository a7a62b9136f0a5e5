"""How many answers are still in a context after it was compressed, as a picture.

In: the table of ``benchmarks.compression``, one dataset of it. Out: a Picture: retained answers over the ratio, a line a method.
Computes no result.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.errors import InputError
from planner.figures.bands import apart
from planner.figures.style import FAINT, GREYS, HALO, INK, PROPOSAL, Picture, bare, over, share, styled

__all__ = ["compression"]

#: The ratio of the headline.
_HEADLINE = 2.0
#: The top of the plot, and the least distance of two names [share of its height].
_TOP, _GAP = 1.02, 0.055


@styled
def compression(table: pd.DataFrame, *, dataset: str | None = None, note: str = "") -> Picture:
    """Draw the share of answers that stay over how many times fewer tokens the context has, the first method in colour.

    ``table`` has ``dataset, method, ratio, questions, retention, low, high``; ``dataset`` names which of several. InputError when it
    has none, or does not say which.
    """
    names = list(table["dataset"].unique())
    if dataset is None and len(names) != 1:
        raise InputError(f"a table of {', '.join(map(str, names)) or 'no dataset'}", "one dataset", "pass dataset=")
    rows = table if dataset is None else table[table["dataset"] == dataset]
    if rows.empty:
        raise InputError(f"dataset {dataset!r}", f"one of {', '.join(map(str, names))}")
    methods = list(rows["method"].unique())
    source = [*([note] if note else []), f"{rows['dataset'].iloc[0]}: {rows['questions'].max():,} questions, retention measured"]
    source.append("band: 95 % interval over contexts; that the model then answers as well is not measured here")
    figure, axes = bare(_headline(rows, methods[0]), " · ".join(source), right=1.7)
    figure.numbers = rows
    last = {m: rows[rows["method"] == m].sort_values("ratio") for m in methods}
    for i, line in enumerate(last.values()):
        colour, width = (PROPOSAL, 2.4) if i == 0 else (GREYS[min((i - 1) // 2, len(GREYS) - 1)], 1.3)
        if i == 0:
            axes.fill_between(line["ratio"], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(line["ratio"], line["retention"], "o-", color=colour, linewidth=width, markersize=4, zorder=3 - (i > 0))
    _name(axes, {m: float(line["retention"].iloc[-1]) for m, line in last.items()})
    ratios = sorted(rows["ratio"].unique())
    axes.set_xticks(ratios, [f"{r:g}×" for r in ratios])
    axes.set_ylim(0, _TOP)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Times fewer tokens in the context", labelpad=8)
    over(axes, "Answers that are still in the context")
    return figure


def _headline(rows: pd.DataFrame, first: str) -> str:
    at = rows[(rows["method"] == first) & (rows["ratio"] == _HEADLINE)]
    others = rows[(rows["method"] != first) & (rows["ratio"] == _HEADLINE)]
    if at.empty:
        return "Answers that stay as contexts are cut"
    said = f"At half the tokens {share(float(at['retention'].iloc[0]))} of the answers stay"
    if others.empty:
        return said
    best = others.sort_values("retention").iloc[-1]
    return f"{said}; {str(best['method']).replace('_', ' ')} keeps {share(float(best['retention']))}"


def _name(axes: Axes, ends: dict[str, float]) -> None:
    """Name every line at the right edge, from the lowest end to the highest; names keep their distance."""
    order = sorted(ends, key=lambda m: ends[m])
    heights = apart(np.array([ends[m] / _TOP for m in order]), _GAP)
    for name, height in zip(order, heights, strict=True):
        first = name == next(iter(ends))
        axes.text(
            1.02,
            height,
            name.replace("_", " "),
            transform=axes.transAxes,
            va="center",
            fontsize=9.5,
            weight="bold" if first else "normal",
            color=PROPOSAL if first else INK,
            path_effects=HALO,
        )
