"""How far out latency goes: the survival of residuals, the laws that were compared, and the later calls that chose among them.

In: a Residual. Out: a Picture. Computes no result.
"""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, NullLocator

from planner.figures.style import FAINT, INK, MEASURED, PROPOSAL, Picture, bare, over, styled
from planner.outcomes.tails import Residual

__all__ = ["tail"]

#: How laws that were not chosen are drawn.
_DASHES: Any = {
    "empirical": (0, (1, 1.5)),
    "lognormal": (0, (3, 2)),
    "generalised Pareto": (0, (6, 2)),
    "Weibull": (0, (6, 2, 1, 2)),
}
#: Ticks.
_FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@styled
def tail(found: Residual, *, model: str = "", note: str = "") -> Picture:
    """Draw which share of calls takes longer than so many times the usual time, and the law that was chosen for the longest of them.

    Circles are the later calls, which chose the law; they fitted none. Dashed laws were compared and not chosen.
    """
    chosen, start = found.tail.family, found.tail.start
    who = f" of {model}" if model else ""
    title = f"The longest calls{who} follow a {chosen} tail" if chosen != "empirical" else f"The longest calls{who} follow no simple law"
    why = "chosen by the likelihood of later calls" if found.likelihood else "assumed: too few calls to choose"
    cut = f"{found.n:,} calls, {found.censored:,} of them cut short and counted for as long as they lasted (Kaplan–Meier)"
    figure, axes = bare(title, " · ".join([*([note] if note else []), why, cut]), right=0.4)
    figure.numbers = found.table
    for name, rows in found.table.groupby("line", sort=False):
        at, left = rows["factor"].to_numpy(float), rows["survival"].to_numpy(float)
        if name == "fitted":
            axes.plot(at, left, color=MEASURED, linewidth=2.2, drawstyle="steps-post", zorder=2)
        elif name == "later":
            axes.plot(at, left, "o", color=INK, markersize=3.5, markerfacecolor="none", markeredgewidth=0.9, zorder=4)
        else:
            own = name == chosen
            style = "-" if own else _DASHES[name]
            label = f"{name}, {found.likelihood[str(name)]:+.3f}"
            axes.plot(at, left, color=PROPOSAL if own else MEASURED, linewidth=2.4 if own else 1.2, linestyle=style, zorder=3, label=label)
    if found.likelihood:
        axes.legend(loc="upper right", frameon=False, title="Mean log-likelihood of later calls", alignment="left")
    axes.axvline(start, color=FAINT, linewidth=1.2, zorder=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    seen = found.table[found.table["line"].isin(["fitted", "later"])]
    axes.set_ylim(0.3 * float(seen["survival"].min()) if len(seen) else 1e-4, 1.3)
    low, high = axes.get_xlim()[0], 3 * float(seen["factor"].max()) if len(seen) else 10.0
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    shown = [f for f in _FACTORS if low <= f <= high]
    axes.set_xticks(shown, [f"{f:g}×" for f in shown])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Time of a call over what its size, model and hour say", labelpad=8)
    over(axes, "Share of calls that take longer; line: earlier calls, circles: later ones (measured)")
    return figure
