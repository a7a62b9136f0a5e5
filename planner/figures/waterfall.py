"""What each lever of a plan takes off the bill, from the logged cost to the planned one, with what it saves alone and last beside it.

In: a Waterfall. Out: a Picture: a bar a lever hangs where the levers before it left the cost. A dashed outline rests on assumptions.
Computes no result.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.comparison import Waterfall
from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, money, styled
from planner.stats import Estimate

__all__ = ["waterfall"]


@styled
def waterfall(waterfall: Waterfall, *, note: str = "") -> Picture:
    """Draw the monthly cost as logged, what each lever takes off in the stated order with its 95 % interval, and the planned cost.

    Both costs of a sample have an interval too, where there is one.

    A lever that costs more than it saves stands in orange. To the right of each bar: what the lever saves as the only one, and as the
    last one.
    """
    table, header = waterfall.table, waterfall.logged.summary.header
    month, drawn = waterfall.logged.per_month, waterfall.planned.drawn
    first, last = (s.cost() for s in (waterfall.logged, waterfall.planned))
    start, end = first.value * month, last.value * month
    levers = table.iloc[:-1]
    title = f"{waterfall.planned.name}: {money(start)} a month becomes {money(end)}"
    source = [*([note] if note else []), f"in this order: {', then '.join(levers['lever'])}; another order gives other steps"]
    source += [] if drawn is None else [drawn.source()]
    source += [f"{header.price_book} prices of {header.price_date}", f"95\u00a0% intervals over {header.cluster_unit}s"]
    figure, axes = bare(title, " · ".join(source), (9.4, 1.7 + 0.52 * len(table)), left=1.75, right=2.3)
    figure.numbers = table
    _whole(axes, 0, "as logged", first, month, MEASURED)
    left = start
    for i, row in enumerate(levers.to_dict("records"), 1):
        left = _step(axes, i, row, left)
    _whole(axes, len(levers) + 1, "planned", last, month, PROPOSAL)
    axes.set_ylim(len(levers) + 1.6, -0.9)
    axes.set_xlim(0, 1.08 * max(start, end, *(month * x for x in (first.high, last.high) if x is not None), *_reach(levers, start)))
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Cost per month", labelpad=8)
    _beside(axes, -0.62, ("alone", "last"), weight="bold")
    return figure


def _whole(axes: Axes, at: int, name: str, cost: Estimate, month: float, colour: str) -> None:
    """Draw the cost a month as a bar, with its interval where a sample has one."""
    usd, end = cost.value * month, cost.value * month
    axes.barh(at, usd, height=0.62, color=colour)
    if cost.low is not None and cost.high is not None:
        end = cost.high * month
        axes.plot([cost.low * month, end], [at, at], color=INK, linewidth=1.4, solid_capstyle="butt", zorder=5)
    _name(axes, at, name)
    axes.annotate(money(usd), (end, at), (5, 0), textcoords="offset points", va="center", weight="bold")


def _step(axes: Axes, at: int, row: dict[Any, Any], left: float) -> float:
    """Draw one lever's bar from where the cost was, and return where it is."""
    saving, right = row["saving_usd_per_month"], left - row["saving_usd_per_month"]
    colour = PROPOSAL if saving >= 0 else CEILING
    dashed = row["evidence"] == "assumed"
    axes.barh(at, -saving, left=left, height=0.62, color="white" if dashed else colour, edgecolor=colour, linestyle="--" if dashed else "-")
    if not pd.isna(row["saving_low"]) and row["saving_low"] != row["saving_high"]:
        ends = [left - row["saving_low"], left - row["saving_high"]]
        axes.plot(ends, [at, at], color=MEASURED, linewidth=1.4, solid_capstyle="butt", zorder=5)
    _name(axes, at, row["lever"])
    axes.annotate(_change(saving), (max(left, right), at), (5, 9), textcoords="offset points", va="center", fontsize=9, color=colour)
    _beside(axes, at, tuple(_change(row[f"{name}_usd_per_month"]) for name in ("alone", "last")))
    axes.plot([right, right], [at + 0.31, at + 0.69], color=MEASURED, linewidth=0.8)
    return float(right)


def _change(saving: float) -> str:
    """Write what a lever does to the cost.

    >>> _change(12.0), _change(-3.0), _change(0.0)
    ('−$12.00', '+$3.00', '$0.00')
    """
    return "$0.00" if saving == 0 else f"−{money(saving)}" if saving > 0 else f"+{money(-saving)}"


def _name(axes: Axes, at: float, words: str) -> None:
    axes.annotate(words, (0, at), (-8, 0), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", va="center")


def _beside(axes: Axes, at: float, words: tuple[str, ...], **how: Any) -> None:
    for x, text in zip((1.17, 1.36), words, strict=True):
        axes.text(x, at, text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9.5, color=MEASURED, **how)


def _reach(levers: pd.DataFrame, start: float) -> list[float]:
    """Return how far to the right any bar or interval comes [USD]."""
    before = start - levers["saving_usd_per_month"].cumsum().shift(fill_value=0.0)
    lows = levers["saving_low"].astype(float).fillna(levers["saving_usd_per_month"])
    return [float(x) for x in (before - lows)]
