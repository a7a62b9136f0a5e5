"""How far people agree who compared the same pairs.

In: a folder of comparisons. Out: the share of agreement with its interval, Krippendorff's alpha, and what each rater did. Knows nothing of
how choices were made.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from planner.labels.ab import CHOICES, choices
from planner.labels.grade_noise import shares
from planner.stats import Estimate, buckets

__all__ = ["Agreement", "agreement", "krippendorff"]


@dataclass(frozen=True, eq=False)
class Agreement:
    """``share`` of rater pairs that chose alike on what both judged; ``alpha`` (1 is perfect, 0 is chance); None where nobody overlaps."""

    share: Estimate | None
    alpha: float | None
    table: pd.DataFrame = field(repr=False)

    @property
    def text(self) -> str:
        """The same in a sentence."""
        if self.share is None:
            return f"{_raters(len(self.table))}, and no pair that two of them judged: agreement is not known."
        between = "" if self.share.low is None or self.share.high is None else f" [{100 * self.share.low:.0f}, {100 * self.share.high:.0f}]"
        said = f"{_raters(len(self.table))} chose alike in {100 * self.share.value:.0f} %{between} of {self.share.n:,} pairs judged by two"
        return said + (f"; Krippendorff's alpha {self.alpha:.2f}. Measured." if self.alpha is not None else ". Measured.")

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True)}"


def _raters(n: int) -> str:
    return "No rater" if n == 0 else "One rater" if n == 1 else f"{n} raters"


def agreement(store: str | Path) -> Agreement:
    """Compare raters on the pairs that two or more of them judged; a tie and "both bad" are alike, skipped pairs are left out."""
    found = choices(store)
    table = pd.crosstab(found["rater"], found["choice"]).reindex(columns=list(CHOICES), fill_value=0).rename_axis(columns=None)
    table.insert(0, "judged", table.sum(axis=1) - table["skip"])
    judged = found[found["choice"] != "skip"].assign(quality=lambda f: f["quality"].astype(float), unit=lambda f: f["pair"] + f["texts"])
    alike = [(u, float(a == b)) for u, qs in judged.groupby("unit")["quality"] for a, b in combinations(qs.tolist(), 2)]
    units = [str(u) for u, _ in alike]
    bucket = buckets(units)
    share = shares(bucket, np.ones(len(units)), np.array([(same, 1.0) for _, same in alike]).reshape(-1, 2))
    return Agreement(share, krippendorff(judged["unit"], judged["quality"]), table)


def krippendorff(unit: pd.Series, value: pd.Series) -> float | None:
    """Return Krippendorff's alpha with squared differences: 1 − observed / expected disagreement; None where nothing varies or pairs.

    K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011. Over units with m ≥ 2 values, n values in all,
    observed = Σ over units of Σ (v − v')² / (m − 1) / n, expected = Σ over all pairs of (v − v')² / (n (n − 1)).

    >>> krippendorff(pd.Series([1, 1, 2, 2]), pd.Series([0.0, 0.0, 1.0, 1.0]))
    1.0
    """
    groups = value.groupby(unit.to_numpy())
    kept = value[(groups.transform("size") >= 2).to_numpy()]
    n = len(kept)
    if n < 2 or kept.nunique() < 2:
        return None
    observed = 2 * groups.var(ddof=1).mul(groups.size()).dropna().sum() / n
    return float(1 - observed / (2 * kept.var(ddof=1)))
