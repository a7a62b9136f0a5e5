"""What a training says in words.

In: the table of methods on the rows that judged, and the router. Out: a paragraph that names its evidence and promises
nothing beyond it. Knows nothing of how the table came about.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from planner.router import Router

__all__ = ["decision", "verdict"]


def decision(table: pd.DataFrame, router: Router, rules: Collection[str], floor: float, judged_rows: int) -> str:
    """Return the paragraph; ``rules`` names the simple rules among the table's rows."""
    lines: dict[Any, Any] = table.to_dict("index")
    learned, home = lines["learned"], lines["reference"]
    words = [
        _lead(lines, rules, floor, judged_rows),
        _worth("the learned router", learned, home, router, judged_rows),
        "These are the held-out labels alone; planner.simulate weighs the whole log.",
    ]
    if np.isneginf(router.tau):
        words.append(f"No threshold kept the loss below {floor:g} on the fit rows, so it always answers with the reference.")
    fine = _kept(lines, rules, floor)
    if fine:
        words.append(
            f"The cheapest simple rule with its interval above −{floor:g}, {fine[0]!r}, costs {_change(lines[fine[0]], learned)} than the "
            f"learned router, at {_difference(lines[fine[0]])}."
        )
    else:
        words.append(f"No simple rule has its interval above −{floor:g}.")
    words.append("No guarantee is attached: the threshold was chosen, cross-fitted, on the rows that fitted the gains.")
    return " ".join(words)


def _kept(lines: dict[Any, Any], names: Collection[str], floor: float) -> list[str]:
    """Return those of ``names`` whose 95 % interval stays above ``−floor``, the cheapest first."""
    return sorted((n for n in names if lines[n]["diff_low"] >= -floor), key=lambda n: lines[n]["usd_per_1k"])


def _lead(lines: dict[Any, Any], rules: Collection[str], floor: float, judged_rows: int) -> str:
    """Return what to do: the cheapest method that is shown to keep the floor, or nothing; and what would show the learned one to."""
    home = lines["reference"]["usd_per_1k"]
    cheaper = [n for n in _kept(lines, ["learned", *rules], floor) if lines[n]["usd_per_1k"] < home]
    name = {"learned": "the learned router"}.get(cheaper[0], f"the simple rule {cheaper[0]!r}") if cheaper else ""
    saved = f", {_change(lines[cheaper[0]], lines['reference'])} than today" if cheaper else ""
    use = f"Within a loss of {floor:g} by its 95 % interval, use {name}{saved}."
    keep = f"Keep today's models: nothing cheaper has its 95 % interval above −{floor:g}."
    return f"{use if cheaper else keep} {_missing(lines['learned'], floor, judged_rows)}".strip()


def _missing(line: dict[str, Any], floor: float, judged_rows: int) -> str:
    """Return how many judging labels would show the learned router to keep the floor, were its difference what it seems."""
    room, half = line["quality_diff"] + floor, line["quality_diff"] - line["diff_low"]
    if not line["diff_low"] < -floor:
        return ""
    if room <= 0:
        return "The learned router seems to lose more than that."
    needed = math.ceil(judged_rows * (half / room) ** 2 / 100) * 100
    instead = f"about {needed:,} judging labels would, not {judged_rows:,}, if it loses what it seems to"
    return f"The learned router is not shown to keep it; {instead}."


def verdict(table: pd.DataFrame, method: str, router: Router, judged_rows: int) -> str:
    """Return the sentences on one simple rule of the table, whose router is given."""
    lines: dict[Any, Any] = table.to_dict("index")
    worth = _worth(f"the simple rule {method!r}", lines[method], lines["reference"], router, judged_rows)
    return f"{worth} No guarantee is attached."


def _worth(name: str, line: dict[str, Any], home: dict[str, Any], router: Router, judged_rows: int) -> str:
    """Return what a router costs, and loses, against today."""
    today = f"each app's model of today (else {router.reference})" if router.references else router.reference
    return (
        f"On {judged_rows:,} labelled requests that did not train it, {name} costs {_change(line, home)} than {today} "
        f"(rates: {router.costs.basis}) at a quality difference of {_difference(line)}."
    )


def _change(line: dict[str, Any], other: dict[str, Any]) -> str:
    """Return by how much ``line`` costs less or more than ``other``."""
    if other["usd_per_1k"] <= 0:
        return "no less"
    saved = 1 - line["usd_per_1k"] / other["usd_per_1k"]
    return f"{abs(saved):.1%} {'less' if saved >= 0 else 'more'}"


def _difference(line: dict[str, Any]) -> str:
    """Return the difference in quality with its interval and evidence."""
    if np.isnan(line["diff_low"]):
        return f"{line['quality_diff']:+.4f} (measured; too few units for an interval)"
    return f"{line['quality_diff']:+.4f} [{line['diff_low']:+.4f}, {line['diff_high']:+.4f}] (measured; 95 % jackknife by unit)"
