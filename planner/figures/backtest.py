"""A back-test as a picture: what happened in every app, beside what was predicted and how sure that was.

In: a Backtest. Out: a Picture: one line an app, in parts of the prediction, so that small and large apps stand side by side. Computes
no result.
"""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator

from planner.comparison.backtest import Backtest
from planner.errors import InputError
from planner.figures.style import CEILING, FAINT, INK, MEASURED, PROPOSAL, Picture, bare, share, styled

__all__ = ["NAMES", "backtest"]

#: Measure → what the picture calls it.
NAMES = {
    "usd": "dollars",
    "input_tokens": "uncached input tokens",
    "cache_read_tokens": "cached tokens",
    "output_tokens": "output tokens",
    "failures": "failures",
    "calls": "calls to providers",
    "cache_hits": "answers from the cache",
    "latency_p50_ms": "median latency",
    "latency_p95_ms": "p95 latency",
}


@styled
def backtest(found: Backtest, measure: str = "usd", *, note: str = "") -> Picture:
    """Draw what happened against what was predicted, app by app: the line is the 95 % interval, the dot what happened.

    InputError for a measure that this back-test does not have.
    """
    table = found.table[(found.table["measure"] == measure) & (found.table["predicted"] > 0)]
    if table.empty or measure not in NAMES:
        known = [m for m in NAMES if m in set(found.table["measure"])]
        raise InputError(f"measure {measure!r}", f"one that this back-test has: {', '.join(known)}")
    table = table.iloc[::-1]
    tested, held = int(table["hit"].notna().sum()), int((table["hit"] == True).sum())  # noqa: E712 – objects: True, False or None
    title = f"Back-test of {NAMES[measure]}: {held} of {tested} intervals hold" if tested else f"Back-test of {NAMES[measure]}"
    source = " · ".join(
        [
            *([note] if note else []),
            f"fitted on {found.requests[0]:,} requests before {str(found.cut)[:16]} UTC",
            f"compared with the {found.requests[1]:,} after it",
            "lines: estimated, 95 %; dots: measured",
        ]
    )
    width = 0.085 * max(len(str(app)) for app in table["app"]) + 0.4
    figure, axes = bare(title, source, (9.0, 1.7 + 0.42 * len(table)), left=width, right=0.9)
    figure.numbers = table.iloc[::-1]
    for y, row in enumerate(table.to_dict("records")):
        low, high, dot = (100 * (row[c] / row["predicted"] - 1) for c in ("low", "high", "actual"))
        missed = row["hit"] is False
        if row["hit"] is not None:
            axes.plot([low, high], [y, y], color=PROPOSAL, linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot([dot], [y], "x" if missed else "o", markersize=8, color=CEILING if missed else INK, markeredgewidth=2)
        words = share(dot / 100) if missed or row["hit"] else "no interval"
        where = ("axes fraction", "data")
        axes.annotate(words, (1.0, y), (8, 0), where, "offset points", va="center", color=MEASURED, annotation_clip=False)
    axes.axvline(0, color=PROPOSAL, linewidth=1.2)
    axes.set_yticks(range(len(table)), [str(app) for app in table["app"]])
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: share(x / 100)))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("What happened, against the prediction (×: outside its interval)", labelpad=8)
    return figure
