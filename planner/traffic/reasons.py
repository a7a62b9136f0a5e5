"""Why rows were set aside, counted: reasons that are alike but for a value count together, under the first of them.

In: one sentence a row. Out: sentences with counts, the most frequent first. Knows nothing of rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["COUNTED", "FOR_EXAMPLE", "Reasons", "earlier_calls", "unquoted"]

#: How the reason of a row ends that was set aside since it is an earlier call of a request.
COUNTED = "counted in its attempts"
#: How a reason ends that stands for others, which differ in a value.
FOR_EXAMPLE = " (for example)"
#: What differs from row to row in a reason.
_PARTICULAR = re.compile(r"'[^']*'|-?\d+(\.\d+)?(e[+-]?\d+)?")
#: A value as Python shows it; one that was cut short has no closing quote.
_QUOTED = re.compile(r"(?<!\w)b?(?:'(?:[^'\\]|\\.)*(?:'|\\?$)|\"(?:[^\"\\]|\\.)*(?:\"|\\?$))", re.DOTALL)
_TOLD = 20


class Reasons:
    """Counts of reasons.

    >>> reasons = Reasons(["a is 1, below zero", "a is 2, below zero", "no model"])
    >>> reasons.told(), len(reasons)
    ({'a is 1, below zero (for example)': 2, 'no model': 1}, 3)
    """

    def __init__(self, reasons: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._various: set[str] = set()
        for reason in reasons:
            self.add(reason)

    def add(self, reason: str) -> None:
        """Count one row."""
        kind = _PARTICULAR.sub("…", reason)
        self._counts[kind] += 1
        if self._examples.setdefault(kind, reason) != reason:
            self._various.add(kind)

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def first(self) -> str:
        """The reason that was met first, "" where there is none."""
        return next(iter(self._examples.values()), "")

    def told(self) -> dict[str, int]:
        """Return the most frequent reasons, each as it was met first, and how many rows it stands for."""
        return {self._examples[k] + FOR_EXAMPLE * (k in self._various): n for k, n in self._counts.most_common(_TOLD)}


def earlier_calls(told: Mapping[str, int]) -> int:
    """Return how many rows were set aside since they are earlier calls of requests, of a reading's reasons as ``told``.

    >>> earlier_calls({"an earlier attempt of request 'a', counted in its attempts (for example)": 3, "no model": 2})
    3
    """
    return sum(n for reason, n in told.items() if reason.removesuffix(FOR_EXAMPLE).endswith(COUNTED))


def unquoted(reason: str) -> str:
    """Return a reason without the values that it quotes.

    >>> unquoted("spend is 'call Ann', not a number"), unquoted("the source's total is 5")
    ("spend is '…', not a number", "the source's total is 5")
    """
    return _QUOTED.sub("'…'", reason)
