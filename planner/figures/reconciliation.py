"""Three dollars side by side, and what lies between the contract and the invoice.

In: a Reconciliation. Out: a Picture. Grey is measured, blue estimated, a dashed outline assumed, orange what nothing explains. Computes no
result.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from planner.figures.style import CEILING, FAINT, MEASURED, PROPOSAL, Picture, bare, money, share, styled
from planner.prices import Reconciliation
from planner.prices.reconciliation import MOST_UNEXPLAINED

__all__ = ["reconciliation"]

_NAMES = {
    "list": "log, list prices",
    "contract": "log, contract",
    "outside": "calls outside the log",
    "named": "taxes, credits, fees\nin no contract",
    "unexplained": "unexplained",
    "invoice": "invoice",
}
_COLOURS = {"measured": MEASURED, "estimated": PROPOSAL, "assumed": MEASURED}


@styled
def reconciliation(found: Reconciliation, *, note: str = "") -> Picture:
    """Draw list, contract and invoice as bars from zero, and between the last two the steps that add up to the invoice."""
    dollars = found.dollars
    part = found.unexplained_share
    verdict = "understood" if part <= MOST_UNEXPLAINED else "not understood"
    title = f"The invoice of {money(dollars['invoice'].value)} is {verdict}: {share(part)} of it unexplained"
    said = [*([note] if note else []), f"invoice: {found.invoice.cost} cost, measured", found.contract.name or "no contract"]
    said += ["dashed: assumed, blue: estimated, orange: unexplained", dollars["list"].source]
    figure, axes = bare(title, " · ".join(said), (9.4, 4.6), left=2.0, right=1.1)
    figure.numbers = found.table[[c for c in found.table.columns if not c.endswith("_pusd")]]
    at = 0.0
    reach, low = 0.0, 0.0
    for i, (name, estimate) in enumerate(dollars.items()):
        whole = name in ("list", "contract", "invoice")
        left = 0.0 if whole else at
        at = estimate.value if whole else at + estimate.value
        colour = CEILING if name == "unexplained" else _COLOURS[estimate.evidence]
        _bar(axes, i, _NAMES[name], left, estimate.value, colour, estimate.evidence)
        reach, low = max(reach, left, at), min(low, left, at)
    axes.set_ylim(len(dollars) - 0.4, -0.6)
    axes.set_xlim(1.12 * low, 1.18 * reach or 1.0)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: money(x).removesuffix(".00")))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("US dollars of the period", labelpad=8)
    return figure


def _bar(axes: Axes, at: int, name: str, left: float, usd: float, colour: str, evidence: str) -> None:
    assumed = evidence == "assumed"
    axes.barh(at, usd, left=left, height=0.62, color="white" if assumed else colour, edgecolor=colour, linestyle="--" if assumed else "-")
    axes.annotate(name, (0, at), (-8, 0), ("axes fraction", "data"), "offset points", ha="right", va="center")
    words = f"{money(usd)} {evidence}"
    axes.annotate(words, (max(left, left + usd), at), (6, 0), textcoords="offset points", va="center")
