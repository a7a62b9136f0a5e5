"""The timeline: what each day cost by model, how many of its requests failed, and what changed when.

In: a Timeline. Out: a Picture: bars of dollars a day, failures below, changes marked at their day. Computes no result beyond summing what
does not fit into ``other``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from planner.figures.spend import dearest
from planner.figures.style import CEILING, FAINT, GREYS, HALO, INK, MEASURED, Picture, bare, money, over, share, styled
from planner.prices.timeline import Timeline
from planner.schema import EVIDENCE

__all__ = ["timeline"]

_MODELS, _MARKS = 4, 12


@styled
def timeline(found: Timeline, *, note: str = "") -> Picture:
    """Draw dollars a day as bars, the share that failed as a line below them, and each change of a model or prompt as a mark above."""
    spend = dearest(found.table.pivot_table(index="model", columns="day", values="usd", aggfunc="sum", fill_value=0.0), _MODELS)
    marks = found.changes.head(_MARKS)
    first, last = (spend.columns[0], spend.columns[-1]) if len(spend.columns) else ("", "")
    title = f"{money(float(spend.sum(axis=0).mean()))} a day, {len(found.changes)} changes of models and prompts"
    left_out = f" · {len(found.changes) - len(marks)} more changes below" if len(found.changes) > len(marks) else ""
    sample = "" if found.counted == EVIDENCE[0] else " from a sample, no interval of a day"
    known = f"dollars {found.evidence}, failures {found.counted}{sample}{left_out}"
    source = " · ".join([*([note] if note else []), f"{first} to {last}, days in UTC", known])
    height = 4.6 + 0.24 * len(marks)
    figure, axes = bare(title, source, (9.6, height), left=0.75, right=1.75, bottom=1.35)
    figure.numbers = found.table
    _bars(axes, spend)
    _marks(axes, marks, list(spend.columns), 0.24 * len(marks) / (height - 2.03))
    _failures(figure, axes, found.table, list(spend.columns))
    over(axes, "US dollars a day")
    return figure


def _bars(axes: Axes, spend: pd.DataFrame) -> None:
    low = np.zeros(len(spend.columns))
    for i, (name, usd) in enumerate(spend.iterrows()):
        colour = GREYS[min(i, len(GREYS) - 1)]
        axes.bar(np.arange(len(low)), usd.to_numpy(float), bottom=low, width=0.86, color=colour, linewidth=0)
        axes.text(1.035, 0.28 + 0.075 * (len(spend) - 1 - i), str(name), color=INK, transform=axes.transAxes, va="center", fontsize=9.5)
        axes.text(1.02, 0.28 + 0.075 * (len(spend) - 1 - i), "■", color=colour, transform=axes.transAxes, va="center", ha="center")
        low += usd.to_numpy(float)
    axes.set_xlim(-0.6, len(low) - 0.4)
    axes.set_ylim(0, (low.max(initial=0.0) or 1.0) * 1.05)
    axes.yaxis.set_major_formatter(lambda usd, _: money(usd))
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)


def _marks(axes: Axes, marks: pd.DataFrame, days: list[str], room: float) -> None:
    """Write each change on a line of its own above the bars, and a line down to its day."""
    top = axes.get_ylim()[1]
    axes.set_yticks([usd for usd in axes.get_yticks() if 0 <= usd <= top])
    axes.set_ylim(0, top / max(1 - room, 0.2))
    for i, row in enumerate(marks.to_dict("records")):
        at = days.index(row["day"]) - 0.5
        high = top * (1 + (i + 0.6) * (1 / max(1 - room, 0.2) - 1) / max(len(marks), 1))
        axes.plot([at, at], [0, high], color=CEILING, linewidth=0.8, alpha=0.8)
        words = f"{row['app']}: {row['before']} → {row['after']}"
        right = at > len(days) / 2
        axes.text(
            at + (-0.25 if right else 0.25),
            high,
            words,
            ha="right" if right else "left",
            va="center",
            fontsize=8.5,
            color=INK,
            path_effects=HALO,
            zorder=5,
        )


def _failures(figure: Picture, axes: Axes, table: pd.DataFrame, days: list[str]) -> None:
    """Draw the share of each day's requests that failed below the bars, on the same days."""
    sums = table.groupby("day")[["requests", "failed"]].sum().reindex(days)
    failed = (sums["failed"] / sums["requests"].clip(lower=1e-12)).to_numpy(float)
    box = axes.get_position()
    inches = float(figure.get_size_inches()[1])
    below = figure.add_axes((box.x0, 0.62 / inches, box.width, 0.5 / inches), sharex=axes)
    below.spines[["top", "right"]].set_visible(False)
    below.fill_between(np.arange(len(days)), failed, color=MEASURED, alpha=0.35, linewidth=0)
    below.plot(np.arange(len(days)), failed, color=MEASURED, linewidth=1.2)
    below.set_ylim(0, max(failed.max(initial=0.0) * 1.2, 1e-3))
    below.set_yticks([failed.max(initial=0.0)], [share(failed.max(initial=0.0))])
    step = max(len(days) // 7, 1)
    axes.tick_params(labelbottom=False)
    below.set_xticks(np.arange(0, len(days), step), [d[5:] for d in days[::step]])
    below.tick_params(length=0, pad=4)
    below.text(1.035, 0.5, "failed requests", transform=below.transAxes, va="center", fontsize=9.5)
