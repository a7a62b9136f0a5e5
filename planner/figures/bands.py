"""Which model answers, along the levels of a router's family.

In: a Frontier and the position of the chosen level. Out: a Picture. Models that answer today are grey; those that a router
brings in have a colour. Computes no result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from planner.figures.curve import source_line
from planner.figures.style import GREYS, HALO, INK, PROPOSALS, Picture, bare, money, over, share, styled
from planner.simulation import Frontier

__all__ = ["apart", "shares"]

#: A band thinner than this share is too thin for a name inside.
_ROOM = 0.055


@styled
def shares(frontier: Frontier, chosen: int | None = None, *, note: str = "") -> Picture:
    """Draw the share of the steered requests that each model answers against the saving, with the chosen level marked."""
    table = frontier.table
    title = "Who answers, as routing saves more" if chosen is None else _headline(frontier, chosen)
    figure, axes = bare(title, source_line(frontier, note), right=2.15)
    figure.numbers = table[["tau", "saving_usd_per_month", *(f"share {m}" for m in frontier.candidates)]]
    saving = np.maximum.accumulate(table["saving_usd_per_month"].to_numpy())
    order = _order(frontier)
    bands = frontier.shares[:, order].T
    colours = _colours(frontier, order)
    axes.stackplot(saving, bands, colors=colours, edgecolor="white", linewidth=0.8)
    _name(axes, frontier, order, saving, colours)
    axes.set_xlim(saving[0], max(saving[-1], saving[0] + 1e-9))
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.set_xlabel("Saved per month", labelpad=8)
    over(axes, "Share of the requests that are routed")
    if chosen is not None:
        axes.axvline(saving[chosen], color=INK, linewidth=1.6)
        words: dict[str, Any] = {"textcoords": "offset points", "va": "center", "weight": "bold", "path_effects": HALO, "color": INK}
        beside = saving[chosen] < saving[0] + 0.75 * (saving[-1] - saving[0])
        axes.annotate("proposed", (saving[chosen], 0.035), (7 if beside else -7, 0), ha="left" if beside else "right", **words)
    return figure


def _headline(frontier: Frontier, chosen: int) -> str:
    row = frontier.table.iloc[chosen]
    return f"{share(row['changed_share'])} of all requests move, for {money(row['saving_usd_per_month'])} a month less"


def _order(frontier: Frontier) -> NDArray[np.int64]:
    """Put today's models at the bottom, the largest first, then the others by the most they ever get."""
    today, most = frontier.shares[0], frontier.shares.max(axis=0)
    ranked = np.lexsort((-most, -today))
    return np.asarray(ranked[most[ranked] > 0])


def _colours(frontier: Frontier, order: NDArray[np.int64]) -> list[str]:
    today = frontier.shares[0][order] > 0
    greys, others = np.cumsum(today) - 1, np.cumsum(~today) - 1
    return [GREYS[g % len(GREYS)] if t else PROPOSALS[o % len(PROPOSALS)] for t, g, o in zip(today, greys, others, strict=True)]


def _name(axes: Axes, frontier: Frontier, order: NDArray[np.int64], saving: NDArray[np.float64], colours: list[str]) -> None:
    """Name every band at the right edge; names keep their distance where bands are thin."""
    ends = np.cumsum(frontier.shares[-1, order])
    middles = ends - frontier.shares[-1, order] / 2
    for at, height in zip(range(len(order)), apart(np.maximum(middles, 0.03), _ROOM), strict=True):
        words = frontier.candidates[order[at]] + ("" if frontier.shares[0, order[at]] == 0 else " (today)")
        axes.plot([1.018], [height], "s", markersize=8, color=colours[at], transform=axes.transAxes, clip_on=False)
        axes.text(1.036, height, words, transform=axes.transAxes, va="center", fontsize=9.5)


def apart(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Push places (ascending) apart to at least ``gap``, inside [0, 1].

    >>> apart(np.array([0.5, 0.5]), 0.1).round(2).tolist()
    [0.5, 0.6]
    """
    out = places.copy()
    for i in range(1, len(out)):
        out[i] = max(out[i], out[i - 1] + gap)
    over = max(out[-1] - (1 - gap / 2), 0.0) if len(out) else 0.0
    out = out - over
    for i in range(len(out) - 2, -1, -1):
        out[i] = min(out[i], out[i + 1] - gap) if over else out[i]
    return out
