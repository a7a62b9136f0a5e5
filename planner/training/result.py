"""What a training found: the routers, what is certified of each, how they were judged, and which of them to use.

In: the parts a training made. Out: one frozen value with its table and its decision in words. Learns nothing.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import Router
from planner.training.by_app import AppGuarantees
from planner.training.certificate import Guarantee
from planner.training.harm import Harm
from planner.training.problem import Problem
from planner.training.prose import worth
from planner.training.verdict import Verdict

__all__ = ["Training"]


@dataclass(frozen=True, eq=False)
class Training:
    """What training found.

    Parameters
    ----------
    router: the learned router, at the largest τ certified for ``floor``; −∞ where none is.
    rules: the simple rules as routers: ``cheapest``, ``best``, ``per app``, ``length``; each at its own τ, certified likewise.
    guarantees: what is certified of ``learned`` and of each rule, on rows that neither fit nor judge.
    by_app: what is certified of the learned router app by app, where an owner states a floor; else None.
    verdict: which of them to use.
    harm: how many more answers a month the learned router gets wrong; None where no log tells the volume.
    split: ``fit``, ``calibrate`` or ``judge`` for each label item, in their order.
    oof_gains: predicted gains on the fit rows by a fit without their unit, (fit rows, K).
    gains: predicted gains of the router on the rows that judge, (judge rows, K).
    table: each method on the fully labelled rows that judge.
    frontier: quality and cost over τ of the rules that have one, on the same rows.
    apgr: for two models: ``fit`` (out of fold) and ``judge``; empty for more.
    """

    router: Router
    rules: Mapping[str, Router]
    guarantees: Mapping[str, Guarantee] = field(repr=False)
    by_app: AppGuarantees | None = field(repr=False)
    verdict: Verdict = field(repr=False)
    harm: Harm | None = field(repr=False)
    problem: Problem = field(repr=False)
    oof_gains: NDArray[np.float64] = field(repr=False)
    gains: NDArray[np.float32] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    frontier: pd.DataFrame = field(repr=False)
    apgr: Mapping[str, float]
    floor: float
    labels_hash: str
    notes: Mapping[str, Any]

    @property
    def split(self) -> NDArray[np.str_]:
        """The part of each label item."""
        return self.problem.part

    @property
    def routers(self) -> dict[str, Router]:
        """All methods by name, ``learned`` first."""
        return {"learned": self.router, **self.rules}

    @property
    def text(self) -> str:
        """The decision in words, a line each: what to use, what is certified and measured of it and of the learned router, harm."""
        use = self.verdict.method
        lines = [self.verdict.text, *([self._of(use, self.rules[use])] if use in self.rules else []), self._of("learned", self.router)]
        if self.harm is not None and not np.isneginf(self.router.tau):
            lines.append(" ".join(w for w in (self.harm.text, self._worse()) if w))
        return "\n".join([*lines, *(w for w in (self.problem.left_out, self.problem.note) if w)])

    def _worse(self) -> str:
        """Name the apps that are shown to lose, and seem to lose more than the floor, though all together keep it."""
        if self.harm is None:
            return ""
        table = self.harm.table
        loss = (table["wrong"] / table["requests_per_month"])[(table["low"] > 0).to_numpy()]
        worse = ", ".join(f"{app} ({100 * lost:.1f} points)" for app, lost in loss[loss > self.floor].items())
        return f"By themselves these lose more than {self.floor:g}: {worse}; state a floor of their own in apps.yaml." if worse else ""

    def method(self, router: Router) -> str | None:
        """Return the method of ``table`` whose router this is, τ included; None when no row judged it.

        Two methods that are the same router (the cheapest model may be the best) have the same row.
        """
        return next((name for name, own in self.routers.items() if own.version == router.version), None)

    def statement(self, router: Router) -> str:
        """Return what is certified and measured of ``router``; without numbers for any other router than those of ``table``.

        The learned router is certified at every τ that passed, not only at the one chosen.
        """
        name = self.method(router)
        if name == "learned":
            return self.text
        if name is not None:
            return " ".join(w for w in (self._of(name, router), self._together(name), self.problem.left_out, self.problem.note) if w)
        own = self.guarantees["learned"]
        if self.by_app is None and router.family == self.router.family and own.holds(router.tau):
            return f"{own.at(router.tau).text} Not judged at this level."
        return "Not judged at this level, and nothing is certified of it."

    def _of(self, name: str, router: Router) -> str:
        """Return what is certified and what is measured of a method."""
        called = "the learned router" if name == "learned" else f"the simple rule {name!r}"
        measured = worth(called, self.table.loc[name].to_dict(), self.table.loc["reference"].to_dict(), router, self.notes["judged_rows"])
        own = self.guarantees[name]
        loose = f"Not certified: it is not shown to keep the loss of quality within {own.floor:g} at {1 - own.delta:.0%} confidence."
        certain = own.text if router.tau == own.tau else loose
        if name == "learned" and self.by_app is not None:
            certain = self.by_app.text
        return f"{called[0].upper()}{called[1:]}: {certain} {measured}"

    def _together(self, name: str) -> str:
        """Return with what confidence all certificates hold, since somebody may choose among them."""
        several = sum(g.certified for g in self.guarantees.values())
        if several < 2 or not self.guarantees[name].certified:
            return ""
        families = len(self.guarantees) + (self.by_app is not None)
        confidence = max(0.0, 1 - families * self.guarantees[name].delta)
        return (
            f"This certificate holds by itself; those of all {len(self.guarantees)} methods hold together with {confidence:.0%} confidence."
        )

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(line)}</p>" for line in self.text.splitlines())
        return f"{said}{self.table.round(4).to_html()}"
