"""What a gate found, as a value with its tables, and in words: plain, and as Markdown for a pull request.

In: the verdict with its bounds, slices, what else changed, and the items that got worse. Out: a Gate. Tests nothing itself.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from planner.stats import Estimate

__all__ = ["VERDICTS", "Gate"]

#: Verdict → exit code of the shell.
VERDICTS = {"pass": 0, "fail": 1, "inconclusive": 2}
#: Items that got worse and are named in words.
_NAMED = 10


@dataclass(frozen=True, eq=False)
class Gate:
    """Whether new answers are as good as the baseline's.

    Parameters
    ----------
    verdict: ``pass``: shown to lose no more than ``margin``; ``fail``: shown to lose more, in all or in a slice; else ``inconclusive``.
    difference: new minus baseline quality; low and high are exact one-sided 97.5 % bounds. Estimated.
    items, units: of the evaluation set; a unit is what depends on one another.
    names: the new side and the baseline. grader: who graded both.
    needed: items with which these answers would pass in four cases of five (estimated); NaN where none would, or none are needed.
    table: all items in the first row, a slice in each other, columns ``gate_slices.COLUMNS``. beside: see ``gate_slices``.
    worse: items with a lower grade, worst first: ``request_id, app, baseline, new, difference``.
    better: how many have a higher one.
    notes: what limits the statement, in sentences.
    """

    verdict: str
    margin: float
    difference: Estimate
    items: int
    units: int
    names: tuple[str, str]
    grader: str
    needed: float
    table: pd.DataFrame = field(repr=False)
    beside: pd.DataFrame = field(repr=False)
    worse: pd.DataFrame = field(repr=False)
    better: int
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 inconclusive."""
        return VERDICTS[self.verdict]

    @property
    def slices(self) -> pd.DataFrame:
        """The rows of ``table`` but the first."""
        return self.table.iloc[1:]

    @property
    def text(self) -> str:
        """The verdict with its bounds, what it rests on, slices that got worse, and what to do."""
        return "\n".join(w for w in (self._verdict(), self._slices(), self._worse(), self._needed(), *self.notes) if w)

    def _verdict(self) -> str:
        new, baseline = self.names
        low, high = self.difference.low, self.difference.high
        points = f"{_points(self.difference.value)} points [{_points(low)}, {_points(high)}]"
        on = f"{self.items:,} items in {self.units:,} units, graded by {self.grader}"
        claim = {
            "pass": f"{new} loses no more than {100 * self.margin:g} points against {baseline}",
            "fail": f"{new} loses more than {100 * self.margin:g} points against {baseline}" + ("" if self._whole_fails else " in a slice"),
            "inconclusive": f"it is not shown whether {new} loses more than {100 * self.margin:g} points against {baseline}",
        }[self.verdict]
        return f"{self.verdict.upper()}: {claim}: {points}, one-sided 97.5 % bounds, exact at this size ({on}; estimated)."

    @property
    def _whole_fails(self) -> bool:
        return self.difference.high is not None and self.difference.high < -self.margin

    def _slices(self) -> str:
        if not len(self.slices):
            return ""
        lost = self.slices[self.slices["verdict"] == "worse"]
        said = f"Of {len(self.slices)} slices {len(lost)} are shown to lose more than the margin, all bounds holding together at 95 %"
        named = ", ".join(f"{r['dimension']} {r['slice']} ({_points(r['difference'])})" for _, r in lost.iterrows())
        return f"{said}{': ' if named else ''}{named}."

    def _worse(self) -> str:
        if not len(self.worse):
            return f"No item got a lower grade, {self.better:,} a higher one."
        ids = ", ".join(self.worse["request_id"].head(_NAMED))
        more = ", …" if len(self.worse) > _NAMED else ""
        return f"{len(self.worse):,} items got a lower grade, {self.better:,} a higher one. The worst: {ids}{more}."

    def _needed(self) -> str:
        if self.verdict != "inconclusive":
            return ""
        if math.isnan(self.needed):
            return "No number of items would let it pass if the difference stays as it is."
        return (
            f"About {_round(self.needed):,} items like these would let it pass in four cases of five if the difference stays (estimated)."
        )

    @property
    def markdown(self) -> str:
        """The same for a pull request: a headline, the table of slices, what else changed, and the items that got worse."""
        head, *rest = self.text.split("\n")
        mark = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}[self.verdict]
        parts = [f"### {mark} {head}", *rest, _markdown(_readable(self.table))]
        parts += [_markdown(self.beside.map(_number))] if len(self.beside) else []
        return "\n\n".join(parts) + "\n"

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{html.escape(line)}</p>" for line in self.text.split("\n"))
        return f"{words}{self.table.to_html(escape=True, index=False)}{self.beside.to_html(escape=True, index=False)}"


def _points(quality: Any) -> str:
    return "–" if quality is None or math.isnan(quality) else f"{100 * quality:+.1f}"


def _number(value: Any) -> str:
    """Write a cell: a number to four digits.

    >>> _number(0.00487312), _number(math.nan), _number("cost"), _number(1234567.8)
    ('0.004873', '–', 'cost', '1,234,568')
    """
    if not isinstance(value, float):
        return str(value)
    return "–" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _round(n: float) -> int:
    """Return ``n`` to two digits, upwards.

    >>> _round(1234), _round(87)
    (1300, 87)
    """
    unit: int = 10 ** max(len(str(round(n))) - 2, 0)
    return math.ceil(n / unit) * unit


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return slices with differences in points."""
    shown = table.drop(columns="units")
    for name in ("difference", "low", "high"):
        shown[name] = [_points(x) for x in table[name]]
    return shown.assign(baseline=[f"{x:.3f}" for x in table["baseline"]], new=[f"{x:.3f}" for x in table["new"]])


def _markdown(table: pd.DataFrame) -> str:
    r"""Return a table as Markdown.

    >>> print(_markdown(pd.DataFrame({"a": ["x|y"], "b": [1.5]})))
    | a | b |
    |---|---|
    | x\|y | 1.5 |
    """
    rows = [[str(v).replace("|", "\\|") for v in row] for row in table.itertuples(index=False)]
    head, *body = (f"| {' | '.join(row)} |" for row in [[*map(str, table.columns)], *rows])
    return "\n".join([head, "|" + "---|" * table.shape[1], *body])
