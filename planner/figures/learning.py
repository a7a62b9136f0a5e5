"""How far predictions can be believed, and what more labels bring, as pictures.

In: a Calibration, or a learning curve. Out: a Picture. Computes no result.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.ticker import FuncFormatter, NullLocator

from planner.figures.style import FAINT, HALO, INK, MEASURED, PROPOSAL, PROPOSALS, Picture, bare, over, points, styled
from planner.training.calibration import CHOSEN, Calibration

__all__ = ["learning_curve", "reliability"]


@styled
def reliability(found: Calibration, *, model: str = CHOSEN, note: str = "") -> Picture:
    """Draw realised over predicted quality of ``model``'s answers, by default of the chosen ones, in bins of equal weight.

    The band is where 19 of 20 bins of a perfectly calibrated model lie.
    """
    bins = found.bins[found.bins["model"] == model]
    line = found.table.loc[model]
    of = "the chosen answers" if model == CHOSEN else model
    apart = "not what was predicted" if line["holm"] < 0.05 else "what was predicted, within chance"
    error = f"expected calibration error {line['ece']:.4f}, a perfect model's 95 % limit {line['ece_limit']:.4f}"
    error += f"; p {line['holm']:.2g} over all models (Holm)"
    figure, axes = bare(f"Quality of {of} is {apart}", " · ".join([*([note] if note else []), f"{line['n']:,.0f} rows", error]), (6.4, 5.6))
    figure.numbers = bins
    predicted = bins["predicted"].to_numpy(float)
    axes.fill_between(predicted, bins["low"], bins["high"], color=MEASURED, alpha=0.15, linewidth=0)
    ends = (float(min(predicted.min(), bins["realised"].min())), float(max(predicted.max(), bins["realised"].max())))
    axes.plot(ends, ends, color=INK, linewidth=0.9)
    axes.plot(predicted, bins["realised"], "o-", color=MEASURED, markersize=5.5, linewidth=1.2)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Predicted quality", labelpad=8)
    over(axes, "Realised quality (measured)")
    return figure


@styled
def learning_curve(table: pd.DataFrame, *, note: str = "") -> Picture:
    """Draw how much better than a coin each method routes, over the number of labels it was fitted to."""
    learned = table[table["method"] == "learned"]
    last = learned.iloc[-1]
    title = f"{last['labels']:,.0f} labels route {points(last['lift'])} points better than a coin at equal cost"
    source = " · ".join([*([note] if note else []), "mean over draws; band: 80 % of the draws", "measured on rows that never fit"])
    figure, axes = bare(title, source, right=1.4)
    figure.numbers = table
    colours = {"learned": PROPOSAL, "per app": PROPOSALS[1], "length": MEASURED}
    for name, rows in table.groupby("method", sort=False):
        colour, style = colours[str(name)], "-" if name == "learned" else (0, (4, 2))
        axes.fill_between(rows["labels"], 100 * rows["low"], 100 * rows["high"], color=colour, alpha=0.12, linewidth=0)
        axes.plot(rows["labels"], 100 * rows["lift"], color=colour, linewidth=2.2, linestyle=style)
        end = (float(rows["labels"].iloc[-1]), 100 * float(rows["lift"].iloc[-1]))
        axes.annotate(
            str(name), end, (8, 0), textcoords="offset points", va="center", color=colour, annotation_clip=False, path_effects=HALO
        )
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    sizes = sorted(table["labels"].unique())
    axes.set_xticks(sizes, [f"{s:,.0f}" for s in sizes])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: points(y / 100)))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("Labelled requests that fit", labelpad=8)
    over(axes, "Quality above a coin of equal cost, points")
    return figure
