"""The money map: where the money goes, by app and model.

In: an Audit. Out: a Picture: squares whose area is money, with sums at the edges. Computes no result beyond summing what
does not fit into ``other``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from planner.figures.style import FAINT, MEASURED, Picture, bare, money, share, styled, without_axes
from planner.prices import Audit
from planner.stats import Estimate

__all__ = ["dearest", "money_map"]

_APPS, _MODELS = 9, 6


@styled
def money_map(audit: Audit, *, note: str = "") -> Picture:
    """Draw the spend of the log's period: apps down, models across, dearest first, area for dollars."""
    spend = _grid(audit.by("app", "model"))
    total = audit.total.value
    apps, models = spend.sum(axis=1), spend.sum(axis=0)
    by, on = (f"{share(sums.iloc[0] / (total or 1))} {word} {sums.index[0]}" for word, sums in (("by", apps), ("on", models)))
    title = f"{money(total)} spent: {by}, {on}"
    size = (9.6, 1.3 + 0.52 * len(spend))
    figure, axes = bare(title, _source(audit, note), size, left=1.6, right=0.2, bottom=0.45)
    figure.numbers = audit.by("app", "model")
    without_axes(axes)
    axes.set_xlim(-0.5, len(models) + 0.75)
    axes.set_ylim(len(apps) - 0.5, -1.2)
    _squares(axes, spend, size)
    _edges(axes, apps, models, total)
    return figure


def _source(audit: Audit, note: str) -> str:
    times = audit.traffic.frame("timestamp")["timestamp"]
    sure = ", ".join(f"{money(usd)} {name}" for name, usd in audit.total.shares.items())
    days = f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
    parts = [*([note] if note else []), f"{len(audit):,} requests{audit.standing}, {days}", f"{audit.book.name}, prices of each day", sure]
    return " · ".join([*parts, *([_between(audit.total)] if audit.sampled else [])])


def _between(total: Estimate) -> str:
    """Say how far the total of a sample may be off, which is all that is drawn with it."""
    limits = "no interval of the total"
    if total.low is not None and total.high is not None:
        limits = f"95\u00a0% interval of the total [{money(total.low)}, {money(total.high)}]"
    return f"estimated from a sample, {limits}; none is drawn of its parts"


def _grid(spend: pd.DataFrame) -> pd.DataFrame:
    """Lay out dollars as apps × models, dearest first; what is beyond the page is summed as ``other``."""
    table = spend.pivot_table(index="app", columns="model", values="usd", aggfunc="sum", fill_value=0.0)
    return dearest(dearest(table, _APPS).T, _MODELS).T


def dearest(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep the dearest rows, at most ``most`` with the one that sums the rest."""
    sums = table.sum(axis="columns").sort_values(ascending=False, kind="stable")
    sums = sums[sums > 0]
    if len(sums) <= most:
        return table.loc[sums.index]
    kept = sums.index[: most - 1]
    rest = table.drop(index=kept).sum().rename("other")
    return pd.concat([table.loc[kept], rest.to_frame().T])


def _squares(axes: Axes, spend: pd.DataFrame, size: tuple[float, float]) -> None:
    """Draw one square a cell, its area its share of the largest, its amount beside it."""
    box = axes.get_position()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across = box.width * size[0] / (right - left)
    down = box.height * size[1] / (bottom - top)
    largest = float(spend.to_numpy().max(initial=0.0)) or 1.0
    for (row, column), usd in np.ndenumerate(spend.to_numpy()):
        if usd <= 0:
            continue
        side = 0.46 * np.sqrt(usd / largest)
        wide, high = side / across, side / down
        axes.add_patch(Rectangle((column - 0.22 - wide / 2, row - high / 2), wide, high, color=MEASURED, linewidth=0))
        axes.text(column - 0.22 + wide / 2 + 0.04, row, money(usd), va="center", fontsize=10)


def _edges(axes: Axes, apps: pd.Series, models: pd.Series, total: float) -> None:
    """Write names and sums along both edges, with a line above each row."""
    for i in range(len(apps) + 1):
        axes.axhline(i - 0.5, color=FAINT, linewidth=0.8, zorder=0)
    for i, (name, usd) in enumerate(apps.items()):
        axes.text(len(models) - 0.05, i, f"{money(usd)}", va="center", ha="left", weight="bold")
        axes.text(len(models) + 0.72, i, share(usd / (total or 1)), va="center", ha="right", color=MEASURED)
        axes.text(-0.62, i, str(name), va="center", ha="right")
    for i, (name, usd) in enumerate(models.items()):
        axes.text(i - 0.45, -0.97, str(name), va="baseline")
        axes.text(i - 0.45, -0.64, f"{money(usd)}, {share(usd / (total or 1))}", va="baseline", color=MEASURED)
    axes.text(len(models) - 0.05, -0.97, "all", va="baseline", weight="bold")
