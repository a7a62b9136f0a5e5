"""What a router would have been worth on a log in which every request shows the answer of one model only.

In: traffic whose models were drawn with logged propensities, and a router. Out: OffPolicy: the router's value by IPS, SNIPS, DM
and DR with 95 % intervals by session, beside what the logged policy earned itself. Too few effective sessions give no estimate,
choices that were never logged give bounds. Knows nothing of files or gateways.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.router import Router
from planner.stats import Estimate
from planner.traffic import Traffic
from planner.training.ope_estimators import effective_sessions, expected_sessions, lacking, table
from planner.training.ope_logged import Logged, load_logged
from planner.training.ope_prose import told
from planner.training.ope_rows import Followed, drawn_by, follow, predicted, weighed

__all__ = ["FEW", "NONE", "OffPolicy", "off_policy"]

#: Below FEW effective sessions an estimate carries a warning, below NONE there is none.
FEW, NONE = 250.0, 30.0
#: The most that a reward can be where nothing was logged.
TOP = {"quality": 1.0, "cost": float("inf")}


@dataclass(frozen=True, eq=False)
class OffPolicy:
    """What logged draws say of a router.

    Parameters
    ----------
    table: a line for ``logged`` (measured) and for IPS, SNIPS, DM and DR (estimated): value per request, 95 % interval, standard
        error, the difference to ``logged`` with its own, effective sessions, largest weight.
    verdict: ``estimate``; ``few``: with a warning; ``none``: too few effective sessions, no estimate; ``bounds``: the router
        chooses what was never drawn, no point estimate.
    reward: ``quality`` [0, 1] or ``cost`` [USD], per request.
    unit, drawn: what one decision of the router, and one draw of the log, covers: ``session`` or ``request``.
    ess: (Σw)² / Σw² of the weights of the sessions that the router decides.
    expected_ess: the same as the propensities lead one to expect it; the smaller of the two decides the verdict.
    support: share of the rated requests whose model, as the router would choose it, the log could have drawn.
    missing: model that the router would use although the log could not have drawn it → share of the rated requests.
    kept: share that the router leaves as it is, so that its outcome is the logged one.
    left_out: why → rows of the log that are not among ``requests``.
    """

    table: pd.DataFrame = field(repr=False)
    verdict: str
    reward: str
    unit: str
    drawn: str
    router: str
    policies: tuple[str, ...]
    requests: int
    sessions: int
    ess: float
    expected_ess: float
    support: float
    missing: Mapping[str, float]
    kept: float
    max_weight: float
    left_out: Mapping[str, int]

    @property
    def text(self) -> str:
        """The decision in words."""
        return told(self)

    def value(self, estimator: str = "DR") -> Estimate:
        """Return the router's value per request, by default doubly robust; NaN where there is none to give."""
        return self._estimate(estimator, "value", "low", "high")

    def difference(self, estimator: str = "DR") -> Estimate:
        """Return the router's value less the logged policy's own, paired by session."""
        return self._estimate(estimator, "diff", "diff_low", "diff_high")

    def _estimate(self, estimator: str, *names: str) -> Estimate:
        if estimator not in self.table.index:
            raise InputError(f"estimator {estimator!r}", f"one of {', '.join(self.table.index)}", did_you_mean(estimator, self.table.index))
        line: dict[Any, Any] = self.table.loc[estimator].to_dict()
        value, low, high = (float(line[n]) for n in names)
        known = not np.isnan(low)
        source = f"{estimator} from logged propensities, by session"
        return Estimate(value, low if known else None, high if known else None, str(line["evidence"]), n=self.requests, source=source)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(float_format='{:.4g}'.format)}"


def off_policy(
    traffic: Traffic,
    router: Router,
    *,
    reward: str = "quality",
    unit: str | None = None,
    drawn: str | None = None,
    actions: Mapping[str, str] | None = None,
    at: date | None = None,
    seed: int = 0,
) -> OffPolicy:
    """Estimate what ``router`` would have earned on ``traffic``, whose models were drawn with logged propensities.

    Parameters
    ----------
    traffic: a log with action_propensities, and a quality or cost of some answers.
    router: the router to be judged; what it abstains from goes to its reference, and what it leaves as asked for stays as logged.
    reward: ``quality`` or ``cost`` (as the log states it).
    unit: what one decision covers; by default the router's own unit. ``session``: the first logged turn decides for all.
        ``request``: every turn decides for itself, and an answer is taken to change no later turn.
    drawn: what one draw of the log covers. ``session``: drawn once, so that a session's propensity counts once; ``request``: drawn
        at every turn, so that those of a session multiply where the router decides by session. By default as the log shows.
    actions: {logged action: model} where the log calls its actions otherwise.
    at: the day on which it is settled which models have retired; by default none has.
    seed: of the folds of the outcome model.

    NeedsError without propensities or rewards; InputError where they contradict what was logged.
    """
    logged = load_logged(traffic, router.candidates, reward, actions)
    how, requests = drawn_by(logged, drawn), logged.requests(router.unit if unit is None else unit)
    followed = follow(router, logged, requests, how, "" if at is None else at.isoformat())
    rated = np.flatnonzero(~np.isnan(logged.reward))
    rows = weighed(logged, followed, rated, predicted(requests.take(rated), logged, followed, rated, seed))
    kept = followed.kept[rated]
    decided = rows if kept.all() else rows.take(~kept)
    ess, expected = effective_sessions(decided), expected_sessions(decided, requests.unit == how == "request")
    support, least = float(np.average(rows.chance > 0, weights=rows.weight)), min(ess, expected)
    verdict = "bounds" if support < 1 else "none" if least < NONE else "few" if least < FEW else "estimate"
    found = table(rows, TOP[reward], least >= NONE, lacking(ess, expected))
    return OffPolicy(
        found.assign(ess=ess, max_weight=rows.ratio.max(), evidence=["measured", *["estimated"] * (len(found) - 1)]),
        verdict,
        reward,
        requests.unit,
        how,
        router.version,
        logged.policies,
        len(rated),
        int(rows.session.max()) + 1,
        ess,
        expected,
        support,
        _missing(logged, followed, rated),
        float(np.average(kept, weights=rows.weight)),
        float(rows.ratio.max()),
        logged.left_out,
    )


def _missing(logged: Logged, followed: Followed, rated: NDArray[np.int64]) -> dict[str, float]:
    """Return each model that the log could not have drawn where the router wants it, with its share."""
    lost = np.bincount(followed.code[rated], logged.weight[rated] * (followed.chance[rated] <= 0), len(logged.models))
    return {m: float(x) for m, x in zip(logged.models, lost / logged.weight[rated].sum(), strict=True) if x > 0}
