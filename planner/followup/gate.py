"""Gate: may a prompt edit, another model version or another provider go live? Answers of the evaluation set, graded anew, against the old.

In: new and baseline Labels of the same items, and how much quality may be lost. Out: a Gate: pass, fail or inconclusive, with what it rests
on. Knows nothing of files or shells.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from planner.errors import InputError
from planner.followup.gate_bounds import bounds, grouped, needed
from planner.followup.gate_pairs import Pairs, pairs
from planner.followup.gate_result import Gate
from planner.followup.gate_slices import COLUMNS, beside, shown, slices
from planner.labels import Labels
from planner.stats import Estimate

__all__ = ["MARGIN", "Gate", "gate"]

#: Quality that may be lost where nothing is said.
MARGIN = 0.02


def gate(
    new: Labels,
    baseline: Labels,
    *,
    margin: float = MARGIN,
    model: str | None = None,
    against: str | None = None,
    variant: str | None = None,
    against_variant: str | None = None,
    seed: int = 0,
) -> Gate:
    """Test whether the ``new`` answers lose at most ``margin`` of quality against the ``baseline``'s, item by item.

    Parameters
    ----------
    new, baseline: graded answers to the same items. model, against: whose answers of either, where there are several models' (they may be
        the same Labels twice). variant, against_variant: to which prompt variant of either, where there are several.
    margin: above 0, below 1.
    seed: of the order in which units are bet on.

    Non-inferiority (ICH E9, 1998, §3.3.2): ``pass`` where the lower one-sided 97.5 % bound of new − baseline is at least −margin. Bounds
    are exact for any grades and size (``gate_bounds``), over units: sessions, duplicates and, where enough units are left, users are one. A
    slice that is shown to lose more than the margin, all slices together, makes it a ``fail``. Raises InputError where the two sides cannot
    be compared: other items, graders, references or models, or items without a grade.

    >>> items = pd.DataFrame({"request_id": [f"q{i}" for i in range(300)]})
    >>> old = Labels.of(items, items.assign(model="gpt-5.4", quality=1.0, grader="exact v1"))
    >>> found = gate(old.renamed({"gpt-5.4": "gpt-5.5"}), old)
    >>> found.verdict, found.exit_code, found.difference.value
    ('pass', 0, 0.0)
    """
    if not 0 < margin < 1:
        raise InputError(f"margin {margin:g}", "a loss of quality above 0 and below 1", "for example 0.02")
    found = pairs(new, baseline, model, against, variant=variant, against_variant=against_variant)
    difference, weight = found.difference, found.weight
    units = grouped(difference, weight, found.unit, margin, seed)
    low, high = bounds(units, margin)
    value = float(np.average(difference, weights=weight))
    parts = slices(found, margin, seed)
    verdict = "fail" if high < -margin or (parts["verdict"] == "worse").any() else "pass" if low >= -margin else "inconclusive"
    sides = (float(np.average(side["quality"], weights=weight)) for side in (found.baseline, found.new))
    whole = pd.DataFrame(
        [("all", "all", len(found), len(units), *sides, value, low, high, shown(low, high, margin))], columns=list(COLUMNS)
    )
    more = needed(units, margin) if verdict == "inconclusive" and value > -margin else math.nan
    return Gate(
        verdict,
        margin,
        Estimate(value, min(low, value), max(high, value), "estimated", n=len(found), source=f"grades by {found.grader}"),
        len(found),
        len(units),
        found.names,
        found.grader,
        more * len(found) / len(units),
        pd.concat([whole, parts], ignore_index=True) if len(parts) else whole,
        beside(found),
        _worse(found),
        int((difference > 0).sum()),
        _notes(found, units.trimmed),
    )


def _worse(found: Pairs) -> pd.DataFrame:
    """Return the items with a lower grade, the worst first."""
    table = pd.DataFrame(
        {
            "request_id": found.items["request_id"].astype(str),
            "app": found.items["app"].astype(str),
            "baseline": found.baseline["quality"],
            "new": found.new["quality"],
            "difference": found.difference,
        }
    )
    return table[table["difference"] < 0].sort_values(["difference", "request_id"], ignore_index=True)


def _notes(found: Pairs, trimmed: float) -> tuple[str, ...]:
    said = [found.note] if found.note else []
    if trimmed > 0:
        said.append(f"Units of great weight count for less, so that none decides alone: {trimmed:.1%} of the weight is not counted.")
    if "unknown" in found.grader.split(", "):
        said.append("Some grades do not say who gave them: make sure that one grader graded both sides.")
    return tuple(said)
