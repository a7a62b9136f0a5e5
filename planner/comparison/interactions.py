"""Interactions: whether two levers save more, or less, together than each on its own.

In: a world and a plan. Out: for every two levers that meet in an app, what both save less the sum of what each saves alone, and the same
of quality, with intervals and a test. A compressed prompt leaves a prompt cache less to save; a router that splits a conversation writes
its cache twice: where levers interact, their single savings do not add up. Knows nothing of why.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from planner.comparison.contrast import improves, saves
from planner.comparison.plays import Plays
from planner.comparison.waterfall import between, lever_names, part
from planner.errors import InputError, did_you_mean
from planner.policies import Plan
from planner.policies.base import Lever
from planner.simulation import World
from planner.stats import Estimate

__all__ = ["Interaction", "Interactions", "interactions"]

_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Interaction:
    """Two levers: ``together``, ``first`` and ``second`` are what both and each save [USD of the log's period].

    ``extra`` is together less the sum of the single ones; ``quality`` the same of quality. ``p``: how likely so large an extra is
    without any interaction, all pairs looked at (Holm); NaN without an interval.
    """

    levers: tuple[str, str]
    together: Estimate
    first: Estimate
    second: Estimate
    extra: Estimate
    quality: Estimate
    p: float

    @property
    def found(self) -> str:
        """``more together``, ``less together``, ``none shown``, or ``none`` where the two add up to the integer."""
        if self.extra.source == "nothing changes":
            return "none"
        if not self.p < _LEVEL:
            return "none shown"
        return "more together" if self.extra.value > 0 else "less together"


@dataclass(frozen=True, eq=False)
class Interactions:
    """All pairs that were tested; ``per_month`` takes the log's period to a month."""

    pairs: tuple[Interaction, ...]
    per_month: float = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row per pair: USD a month together, each alone, and what is over or lacking, with interval and test."""
        return pd.DataFrame([_row(pair, self.per_month) for pair in self.pairs], columns=[*_COLUMNS])

    @property
    def text(self) -> str:
        """Which levers do not simply add up, in words."""
        if not self.pairs:
            return "No two levers meet in an app: what they save adds up."
        said = [self._said(pair) for pair in self.pairs]
        return "\n".join([*said, "Each interval is read alone; the tests allow for all of them (Holm, 5 %)."])

    def _said(self, pair: Interaction) -> str:
        first, second = pair.levers
        if pair.found == "none":
            return f"{first} × {second}: they add up to the integer."
        words = {
            "none shown": "no interaction is shown",
            "less together": "they save less together than one by one",
            "more together": "they save more together than one by one",
        }
        extra = between(pair.extra, self.per_month)
        return f"{first} × {second}: {words[pair.found]}; together less the sum of both is {extra} a month."

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


def interactions(
    world: World,
    plan: Plan,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    plays: Plays | None = None,
    progress: Callable[[int], None] | None = None,
) -> Interactions:
    """Test the pairs of levers of ``plan`` for interaction.

    Parameters
    ----------
    world: the log, opened.
    pairs: names of levers as ``lever_names`` gives them; default all pairs that meet in an app.
    plays: simulations made before in this world. progress: called with the number of simulations made.
    """
    names = lever_names(plan)
    for name in (x for pair in pairs or () for x in pair):
        if name not in names:
            raise InputError(f"lever {name!r}", f"one of {', '.join(names)}", did_you_mean(name, names))
    chosen = [(names.index(a), names.index(b)) for a, b in pairs] if pairs is not None else _meeting(plan.levers)
    played = plays or Plays(world, [plan], progress)
    found = []
    for a, b in chosen:
        both, one, other = (played(part(plan, kept)) for kept in ({a, b}, {a}, {b}))
        terms = ((1, both), (-1, one), (-1, other))
        extra = saves(terms)
        found.append(
            Interaction((names[a], names[b]), both.saving(), one.saving(), other.saving(), extra, improves(terms), _p(extra, both.clusters))
        )
    return Interactions(_holm(found), played(Plan()).per_month)


def _meeting(levers: Sequence[Lever]) -> list[tuple[int, int]]:
    """Return the pairs of levers that are on in an app both have."""
    return [
        (i, j)
        for i, j in combinations(range(len(levers)), 2)
        if (a := levers[i].apps) is None or (b := levers[j].apps) is None or {*a} & {*b}
    ]


def _p(extra: Estimate, clusters: float) -> float:
    """Return the two-sided level at which the interval of ``extra`` would just reach 0, by Student's t; NaN without an interval.

    The side towards 0 tells the scale: intervals of totals lean.
    """
    if extra.low is None or extra.high is None:
        return float("nan")
    if extra.low == extra.high:
        return 1.0 if extra.value == 0 else 0.0
    freedom = max(clusters - 1, 1.0)
    reach = extra.value - extra.low if extra.value > 0 else extra.high - extra.value
    return float(2 * stdtr(freedom, float(-abs(extra.value) * stdtrit(freedom, 1 - _LEVEL / 2) / max(reach, 1e-300))))


def _holm(found: Sequence[Interaction]) -> tuple[Interaction, ...]:
    """Give every pair the level at which Holm's procedure would show it (*Scandinavian Journal of Statistics* 6, 1979)."""
    p = np.array([pair.p for pair in found])
    told = np.flatnonzero(np.isfinite(p))
    order = told[np.argsort(p[told], kind="stable")]
    adjusted = p.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return tuple(Interaction(**{**vars(pair), "p": float(x)}) for pair, x in zip(found, adjusted, strict=True))


_COLUMNS = (
    "levers", "together_usd_per_month", "first_usd_per_month", "second_usd_per_month", "extra_usd_per_month", "extra_low", "extra_high",
    "evidence", "quality_extra", "p", "found",
)  # fmt: skip


def _row(pair: Interaction, month: float) -> dict[str, Any]:
    low, high = (None if x is None else x * month for x in (pair.extra.low, pair.extra.high))
    money = [e.value * month for e in (pair.together, pair.first, pair.second, pair.extra)]
    values = [" × ".join(pair.levers), *money, low, high, pair.extra.evidence, pair.quality.value, pair.p, pair.found]
    return dict(zip(_COLUMNS, values, strict=True))
