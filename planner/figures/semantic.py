"""What a semantic cache serves, and what of it is false, along the threshold.

In: a Choice (or FalseHits alone). Out: a Picture of two plots that share their thresholds: hit rate above, false hits with
their interval below. Computes no result.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from planner.figures.style import FAINT, HALO, INK, MEASURED, PROPOSAL, Picture, bare, over, share, styled
from planner.outcomes.semantic import Choice, FalseHits

__all__ = ["semantic_cache"]

#: Of the plots' height, what the upper one and the gap between them take.
_UPPER, _GAP = 0.42, 0.14


@styled
def semantic_cache(result: Choice | FalseHits, *, note: str = "") -> Picture:
    """Draw hit rate and false hits against the threshold, strict on the left; with a Choice its limit and the chosen threshold.

    Dots are thresholds with an interval. The later period is drawn: the chosen threshold has not seen it.
    """
    choice = result if isinstance(result, Choice) else None
    shown = result.later if isinstance(result, Choice) else result
    table = shown.table.sort_values("threshold", ascending=False, ignore_index=True)
    figure, lower = bare(_title(table, choice), _source(shown, choice, note), (9.0, 6.2), right=1.5)
    figure.numbers = table if choice is None else choice.table
    box = lower.get_position()
    upper = figure.add_axes((box.x0, box.y1 - _UPPER * box.height, box.width, _UPPER * box.height), sharex=lower)
    lower.set_position((box.x0, box.y0, box.width, (1 - _UPPER - _GAP) * box.height))
    for axes, words in ((upper, "Requests served from the cache"), (lower, "False among the answers to a similar question")):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0, pad=6)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: share(y) if y else "0"))
        over(axes, words)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(f"Least similarity (cosine of {shown.embedding})", labelpad=8)
    lower.invert_xaxis()
    _hits(upper, table)
    _false(lower, table, None if choice is None else choice.limit)
    if choice is not None and choice.threshold is not None:
        _chosen((upper, lower), table[table["threshold"] == choice.threshold].iloc[0])
    return figure


def _title(table: pd.DataFrame, choice: Choice | None) -> str:
    if choice is None:
        return "What a semantic cache would serve, and what of it would be false"
    if choice.threshold is None:
        return f"No similarity is known to keep false hits within {share(choice.limit)}"
    row = table[table["threshold"] == choice.threshold].iloc[0]
    hits, false = share(row["hit_rate"]), share(max(row["false_hits"], 0.0))
    return f"At {choice.threshold:g} a semantic cache serves {hits} of the requests, and {false} of the similar ones falsely"


def _source(shown: FalseHits, choice: Choice | None, note: str) -> str:
    parts = [
        *([note] if note else []),
        f"{shown.table['asked'].max():,.0f} requests from {shown.since:%Y-%m-%d} to {shown.until:%Y-%m-%d}",
        *([f"threshold chosen on those before {choice.earlier.until:%Y-%m-%d}"] if choice else []),
        "false: disagreement beyond that of repeats of the same question"
        if shown.unknown < 1
        else "false: all disagreement, an upper bound",
        "estimated; 95\u00a0% intervals over users and questions",
    ]
    return " · ".join(parts)


def _hits(axes: Axes, table: pd.DataFrame) -> None:
    x, whole = table["threshold"].to_numpy(), table["hit_rate"].to_numpy()
    exact = table["exact_hits"].to_numpy() / np.maximum(table["asked"].to_numpy(), 1)
    axes.fill_between(x, 0, exact, color=MEASURED, alpha=0.25, linewidth=0)
    axes.plot(x, whole, color=PROPOSAL, linewidth=2.2, solid_capstyle="round")
    axes.set_ylim(0, max(1.15 * float(whole.max()), 1e-3))
    for height, words, colour in ((whole[-1], "same or similar", PROPOSAL), (exact[-1] / 2, "the same question", MEASURED)):
        axes.annotate(words, (x[-1], height), (8, 0), textcoords="offset points", va="center", color=colour, annotation_clip=False)


def _false(axes: Axes, table: pd.DataFrame, limit: float | None) -> None:
    known = table[table["low"].notna()]
    x, y = known["threshold"].to_numpy(), known["false_hits"].to_numpy()
    axes.fill_between(x, known["low"].to_numpy(), known["high"].to_numpy(), color=PROPOSAL, alpha=0.13, linewidth=0)
    axes.plot(x, y, "o-", color=PROPOSAL, linewidth=2.2, markersize=4)
    axes.axhline(0, color=MEASURED, linewidth=0.8, zorder=1)
    if limit is not None:
        axes.axhline(limit, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
        where = ("axes fraction", "data")
        words = f"limit {share(limit)}"
        axes.annotate(words, (1, limit), (8, 0), xycoords=where, textcoords="offset points", va="center", annotation_clip=False)


def _chosen(both: tuple[Axes, Axes], row: pd.Series) -> None:
    for axes, column in zip(both, ("hit_rate", "false_hits"), strict=True):
        axes.axvline(row["threshold"], color=PROPOSAL, linewidth=0.8, zorder=1)
        axes.plot(
            [row["threshold"]], [row[column]], "s", markersize=11, color=PROPOSAL, markeredgecolor="white", markeredgewidth=1.5, zorder=8
        )
    words = f"chosen {row['threshold']:g}"
    both[0].annotate(
        words,
        (row["threshold"], row["hit_rate"]),
        (-10, 10),
        textcoords="offset points",
        ha="right",
        color=PROPOSAL,
        weight="bold",
        path_effects=HALO,
    )
