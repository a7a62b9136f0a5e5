"""The frontier as a picture: what every level of a router's family costs and does to quality, the log beside the proposal.

In: a Frontier, the position of the chosen level, and, for the SYNTHETIC sample, the best that is reachable. Out: a Picture.
What moves with the choice is kept apart from what stays, so that a slider redraws only the former. Computes no result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from planner.figures.style import CEILING, FAINT, HALO, INK, MEASURED, PROPOSAL, Picture, bare, money, over, points, share, styled
from planner.simulation import Frontier

__all__ = ["Marks", "frontier", "mark", "move", "scene", "source_line"]

#: The window shows losses down to this many points; what lies below is named, not drawn.
DEEPEST = -6.5


@dataclass(frozen=True)
class Marks:
    """The artists that move with the choice."""

    axes: Axes
    floor: Line2D
    interval: Line2D
    square: Line2D
    floor_label: Annotation
    label: Annotation

    def draw(self) -> None:
        """Draw them, and nothing else, where they are now."""
        for artist in (self.floor, self.interval, self.square, self.floor_label, self.label):
            self.axes.draw_artist(artist)


@styled
def frontier(
    frontier: Frontier, *, chosen: int | None = None, ceiling: pd.DataFrame | None = None, floor: float | None = None, note: str = ""
) -> Picture:
    """Draw monthly cost against quality difference, with 95 % band, the log as a circle and the chosen level as a square.

    Parameters
    ----------
    frontier: the family to draw.
    chosen: position of a level in ``frontier.table``; none is marked without it.
    ceiling: ``usd_per_month`` and ``quality_difference`` of the best that is reachable, where the truth is known.
    floor: quality one is willing to lose, drawn as a limit.
    note: what the reader must know of the data, for example that it is SYNTHETIC.
    """
    title = "What routing costs and what it does to quality" if chosen is None else headline(frontier.table.iloc[chosen])
    figure, axes = scene(frontier, title, ceiling=ceiling, note=note)
    if chosen is not None:
        move(mark(axes), frontier, chosen, floor)
    return figure


def headline(row: pd.Series) -> str:
    """Say what one level saves and loses, in one line."""
    low, high = points(row["quality_low"]), points(row["quality_high"])
    usd = row["saving_usd_per_month"]
    saved = f"{money(abs(usd))} a month {'less' if usd >= 0 else 'more'} ({share(abs(row['saving_share']))})"
    return f"{saved} at {points(row['quality_difference'])} points of quality [{low}, {high}]"


def source_line(frontier: Frontier, note: str = "") -> str:
    """Say what the numbers rest on: prices and their date, requests, period, kind of interval."""
    head = frontier.header
    parts = [
        *([note] if note else []),
        *([f"app {frontier.app}"] if frontier.app else []),
        f"{frontier.requests.sum() / 1e6:,.0f} requests in {head.days:,.0f} days{'' if frontier.drawn is None else ', told by a sample'}",
        f"{head.price_book} prices of {head.price_date}",
        f"estimated; 95\u00a0% intervals over {head.cluster_unit}s",
    ]
    return " · ".join(parts)


@styled
def scene(
    frontier: Frontier, title: str, *, ceiling: pd.DataFrame | None = None, note: str = "", size: tuple[float, float] = (9.0, 5.2)
) -> tuple[Picture, Axes]:
    """Draw all that stays when the choice moves."""
    table = frontier.table
    figure, axes = bare(title, source_line(frontier, note), size, right=0.75)
    figure.numbers = table
    cost, quality = table["usd_per_month"].to_numpy(), 100 * table["quality_difference"].to_numpy()
    low, high = 100 * table["quality_low"].to_numpy(), 100 * table["quality_high"].to_numpy()
    logged = float(cost[0] + table["saving_usd_per_month"].iloc[0])
    _window(axes, np.append(cost, logged), np.append(quality, 0.0), np.append(high, 0.0), ceiling)
    axes.fill_between(cost, low, high, color=PROPOSAL, alpha=0.13, linewidth=0)
    axes.plot(cost, quality, color=PROPOSAL, linewidth=2.2, solid_capstyle="round", solid_joinstyle="round")
    axes.axhline(0, color=MEASURED, linewidth=0.8, zorder=1)
    axes.plot([logged], [0], "o", markersize=11, color=MEASURED, markeredgecolor="white", markeredgewidth=1.5, zorder=6, clip_on=False)
    below: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top", "path_effects": HALO}
    axes.annotate(f"as logged {money(logged)}", (logged, 0), (0, -11), color=MEASURED, weight="bold", zorder=6, **below)
    if ceiling is not None:
        _ceiling(axes, ceiling)
    _name_curve(axes, cost, quality)
    return figure, axes


def _window(
    axes: Axes, cost: NDArray[np.float64], quality: NDArray[np.float64], high: NDArray[np.float64], ceiling: pd.DataFrame | None
) -> None:
    """Choose what is seen, and label the axes."""
    inside = quality >= DEEPEST
    if ceiling is not None:
        near = 100 * ceiling["quality_difference"].to_numpy()
        reach = near >= DEEPEST
        cost, high = np.append(cost[inside], ceiling["usd_per_month"].to_numpy()[reach]), np.append(high[inside], near[reach])
        inside = np.ones(len(cost), bool)
    left, right = float(cost[inside].min()), float(cost.max())
    pad = 0.07 * max(right - left, 1e-9)
    axes.set_xlim(left - pad, right + pad)
    axes.set_ylim(DEEPEST - 0.5, max(float(np.nanmax(high[inside], initial=0.0)), 1.0) + 1.2)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+.0f}".replace("-", "−") if y else "0"))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Cost per month", labelpad=8)
    over(axes, "Quality against the log, points")


def _ceiling(axes: Axes, ceiling: pd.DataFrame) -> None:
    cost, quality = ceiling["usd_per_month"].to_numpy(), 100 * ceiling["quality_difference"].to_numpy()
    axes.plot(cost, quality, color=CEILING, linewidth=1.1, zorder=2)
    bottom, top = axes.get_ylim()
    at = int(np.argmin(np.abs(quality - (bottom + 0.6 * (top - bottom)))))
    words = "best reachable\n(synthetic truth)"
    axes.annotate(words, (cost[at], quality[at]), (-9, 2), textcoords="offset points", ha="right", va="bottom", color=CEILING)


def _name_curve(axes: Axes, cost: NDArray[np.float64], quality: NDArray[np.float64]) -> None:
    """Name the curve beside its lower part, and say where it ends when that is out of sight."""
    words = "learned router"
    if quality.min() < DEEPEST:
        end = int(np.argmin(cost))
        words += f"\n(goes on to {money(cost[end])} at {points(quality[end] / 100)})"
    bottom, top = axes.get_ylim()
    at = int(np.argmin(np.abs(quality - (bottom + 0.3 * (top - bottom)))))
    axes.annotate(words, (cost[at], quality[at]), (16, -14), textcoords="offset points", va="top", color=PROPOSAL, path_effects=HALO)


@styled
def mark(axes: Axes, animated: bool = False) -> Marks:
    """Add what moves: the floor, the chosen level's square with its interval, and their labels."""
    (floor,) = axes.plot([], [], color=INK, linewidth=1.0, linestyle=(0, (1, 2)), animated=animated)
    (interval,) = axes.plot([], [], color=PROPOSAL, linewidth=2.2, solid_capstyle="butt", animated=animated, zorder=7)
    (square,) = axes.plot(
        [], [], "s", markersize=11, color=PROPOSAL, markeredgecolor="white", markeredgewidth=1.5, animated=animated, zorder=8
    )
    words: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False, "animated": animated, "path_effects": HALO}
    floor_label = axes.annotate("", (0, 0), (6, 0), ha="left", va="center", fontsize=9.5, color=INK, **words)
    label = axes.annotate("", (0, 0), (0, 0), color=PROPOSAL, weight="bold", zorder=9, **words)
    return Marks(axes, floor, interval, square, floor_label, label)


def move(marks: Marks, frontier: Frontier, chosen: int, floor: float | None = None) -> None:
    """Put the marks on the level at ``chosen``, and the limit at ``floor``."""
    row = frontier.table.iloc[chosen]
    x, y = float(row["usd_per_month"]), 100 * float(row["quality_difference"])
    marks.square.set_data([x], [y])
    marks.interval.set_data([x, x], [100 * row["quality_low"], 100 * row["quality_high"]])
    marks.label.xy = (x, y)
    marks.label.set_text(f"proposed\n{money(x)}, {points(y / 100)}")
    left, right = marks.axes.get_xlim()
    beside = (x - left) / (right - left) < 0.2
    marks.label.set(ha="left" if beside else "right", va="top" if beside else "bottom", position=(12, -8) if beside else (-11, 7))
    if floor is not None:
        marks.floor.set_data([left, right], [-100 * floor] * 2)
        marks.floor_label.xy = (right, -100 * floor)
        marks.floor_label.set_text(f"floor\n{points(-floor)}")
