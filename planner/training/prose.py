"""What the rows that judged say of one method, in words.

In: its line of the table, and today's. Out: a sentence that names its evidence and promises nothing beyond it. Knows nothing
of how the table came about.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.router import Router

__all__ = ["worth"]


def worth(name: str, line: dict[Any, Any], home: dict[Any, Any], router: Router, judged_rows: int) -> str:
    """Return what a method costs, and loses, against today."""
    today = f"each app's model of today (else {router.reference})" if router.references else router.reference
    idle = " at the threshold −∞ it always answers with the reference:" if np.isneginf(router.tau) else ""
    return (
        f"On {judged_rows:,} labelled requests that neither fitted nor certified it,{idle} {name} costs {_change(line, home)} than {today} "
        f"(rates: {router.costs.basis}) at a quality difference of {_difference(line)}. "
        "These are labels alone; planner.simulate weighs the whole log."
    )


def _change(line: dict[Any, Any], other: dict[Any, Any]) -> str:
    """Return by how much ``line`` costs less or more than ``other``."""
    if other["usd_per_1k"] <= 0:
        return "no less"
    saved = 1 - line["usd_per_1k"] / other["usd_per_1k"]
    return f"{abs(saved):.1%} {'less' if saved >= 0 else 'more'}"


def _difference(line: dict[Any, Any]) -> str:
    """Return the difference in quality with its interval and evidence."""
    if np.isnan(line["diff_low"]):
        return f"{line['quality_diff']:+.4f} (measured; too few units for an interval)"
    return f"{line['quality_diff']:+.4f} [{line['diff_low']:+.4f}, {line['diff_high']:+.4f}] (measured; 95 % jackknife by unit)"
