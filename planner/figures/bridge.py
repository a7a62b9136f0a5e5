"""From last month's bill to this month's: a bar for each change, hanging where the changes above it left the bill.

In: a Bridge. Out: a Picture. Blue is routing and what is estimated; of all else orange made the bill larger and grey smaller. A dashed
outline rests on assumptions. Computes no result.
"""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, money, styled
from planner.followup.bridge import Bridge

__all__ = ["bridge"]

#: Share of the larger bill below which a change is drawn together with the others as small.
_SMALL = 0.002


@styled
def bridge(found: Bridge, *, note: str = "") -> Picture:
    """Draw both bills and every change between them, with the 95 % interval of what routing saved."""
    was, now = found.usd
    table = found.table[["line", "usd", "low", "high", "evidence"]]
    small = table["usd"].abs() < _SMALL * max(was, now)
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in table[~small].to_dict("records")]
    rest = float(table.loc[small, "usd"].sum())
    if small.any() and rest:
        rows.append({"line": "all else", "usd": rest, "low": math.nan, "high": math.nan, "evidence": "measured"})
    more = f", {now / was - 1:+.0%}".replace("-", "−") if was else ""
    title = f"From {money(was)} to {money(now)}{more}: what changed the bill"
    a_day = " and ".join(money(usd) for usd in found.usd_per_day)
    source = [*([note] if note else []), "a change is its mean over every order in which they could have come"]
    source += [f"{found.days[0]} and {found.days[1]} days: {a_day} a day", found.prices]
    names = [found.spans[0], *(row["line"] for row in rows), found.spans[1]]
    left = 0.09 * max(map(len, names)) + 0.5
    figure, axes = bare(title, " · ".join(source), (9.4, 1.7 + 0.44 * len(names)), left=left, right=1.1)
    figure.numbers = found.table.drop(columns="pusd")
    _bar(axes, 0, names[0], 0.0, was, MEASURED, money(was))
    at = reach = was
    for i, row in enumerate(rows, 1):
        at = _step(axes, i, row, at)
        reach = max(reach, at)
    _bar(axes, len(rows) + 1, names[-1], 0.0, now, MEASURED, money(now))
    axes.set_ylim(len(rows) + 1.6, -0.6)
    axes.set_xlim(0, 1.12 * max(reach, now))
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Bill", labelpad=8)
    return figure


def _bar(axes: Axes, at: int, name: str, left: float, usd: float, colour: str, words: str, dashed: bool = False) -> None:
    face = "white" if dashed else colour
    axes.barh(at, usd, left=left, height=0.62, color=face, edgecolor=colour, linestyle="--" if dashed else "-")
    where = ("axes fraction", "data")
    axes.annotate(name, (0, at), (-8, 0), where, "offset points", ha="right", va="center")
    axes.annotate(words, (max(left, left + usd), at), (6, 0), textcoords="offset points", va="center", color=INK)


def _step(axes: Axes, at: int, row: dict[str, Any], left: float) -> float:
    """Draw one change from where the bill was, and return where it is."""
    usd = float(row["usd"])
    proposed = row["line"] == "routing" or row["evidence"] == "estimated"
    colour = PROPOSAL if proposed else CEILING if usd > 0 else MEASURED
    words = f"{'+' if usd > 0 else ''}{money(usd)}"
    _bar(axes, at, str(row["line"]), left, usd, colour, words, row["evidence"] == "assumed")
    if not math.isnan(row["low"]):
        axes.plot([left + row["low"], left + row["high"]], [at, at], color=INK, linewidth=1.4, solid_capstyle="butt", zorder=5)
    axes.plot([left + usd] * 2, [at + 0.31, at + 0.69], color=MEASURED, linewidth=0.8)
    return left + usd
