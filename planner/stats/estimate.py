"""Estimate: a number that says where it comes from.

An end product: it has no arithmetic. Sums, differences and ratios are computed on counts and replicates before, and
summarised once. Knows nothing of what the number means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.errors import InputError
from planner.schema import EVIDENCE

__all__ = ["Estimate", "weakest"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """``value`` with the interval [``low``, ``high``] and its evidence.

    Parameters
    ----------
    value: the point.
    low, high: the 95 % interval; both None when there is none to give.
    evidence: the weakest of what the value rests on: ``measured``, ``estimated`` or ``assumed``.
    shares: for a sum, how much of it is measured, estimated and assumed (same unit as the value).
    n: observations behind it.
    source: one phrase: the log, the price book with its date, the model that estimated it.

    Examples
    --------
    >>> print(Estimate(0.25, 0.20, 0.31, "estimated", n=900, source="jackknife over 256 buckets"))
    0.25 [0.2, 0.31] estimated
    >>> print(Estimate(12.0))
    12 measured
    """

    value: float
    low: float | None = None
    high: float | None = None
    evidence: str = "measured"
    shares: Mapping[str, float] = field(default_factory=dict)
    n: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if self.evidence not in EVIDENCE:
            raise InputError(f"evidence {self.evidence!r}", f"one of {', '.join(EVIDENCE)}")
        if (self.low is None) != (self.high is None):
            raise InputError(f"low {self.low}, high {self.high}", "both bounds or neither")
        if self.low is not None and self.high is not None and not math.isnan(self.value) and self.low > self.high:
            raise InputError(f"low {self.low} above high {self.high}", "low ≤ high")

    def format(self, spec: str = ".4g", unit: str = "") -> str:
        """Return ``value [low, high] evidence`` with every number in ``spec`` and ``unit`` in front; a zero has no sign.

        >>> Estimate(1234.5, 1000.0, 1500.0, "estimated").format(",.0f", "$"), Estimate(-0.0).format(",.2f", "$")
        ('$1,234 [$1,000, $1,500] estimated', '$0.00 measured')
        """
        unsigned = spec if "+" in spec else f"z{spec}"
        value, low, high = (None if x is None else f"{unit}{x:{unsigned}}" for x in (self.value, self.low, self.high))
        return f"{value}{'' if low is None else f' [{low}, {high}]'} {self.evidence}"

    def __str__(self) -> str:
        return self.format()


def weakest(evidence: str, *others: str) -> str:
    """Return the weakest of the given evidence labels.

    >>> weakest("measured", "assumed", "estimated")
    'assumed'
    """
    return max((evidence, *others), key=EVIDENCE.index)
