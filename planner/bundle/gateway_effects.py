"""How much the bad answers of a log come in sessions: the design effect that the guardrails divide their counts by.

In: per app which answers were bad, and whose they were: a session's, else a user's, as the gateway draws its arms. Out: per app how many
times as much their number varies as if each were bad by itself, rather too high than too low. Knows nothing of guardrails or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answers", "design_effects"]

F64 = NDArray[np.float64]
#: Units with a bad answer that tell enough by themselves; standard errors that are added (a one-sided 95 % limit).
_TELL, _ERRORS = 20, 1.645


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of one app that count in one guardrail.

    Parameters
    ----------
    bad: (n,) whether each was bad. unit: (n,) codes of what arms are drawn for. share: of all answers that these are, drawn by answer.
    """

    bad: NDArray[np.bool_]
    unit: NDArray[np.int64]
    share: float = 1.0


class _Units(NamedTuple):
    """What the units of an app say.

    ``squares``, ``variances``: of each unit the squared residual and its part of the binomial variance. ``bad``: units with a bad answer.
    ``size``: of the mean answer's unit. ``share``: of all answers that were looked at.
    """

    squares: F64
    variances: F64
    bad: int
    size: float
    share: float


def design_effects(apps: Mapping[str, Answers]) -> dict[str, float]:
    """Return app → design effect, 1 or more: the variance of the bad answers of units over that of as many single ones.

    The estimate is the ratio estimator's (Kish, Survey Sampling, 1965), raised by 1.645 standard errors of its logarithm. An app in which
    fewer than 20 units had a bad answer takes the correlation within units from all apps together, and where these are fewer than 20 too,
    units count as if each failed as a whole. It is 1 where every unit has one answer.

    Examples
    --------
    >>> alone, whole = np.arange(3_000), np.repeat(np.arange(300), 10)
    >>> rng = np.random.default_rng(0)
    >>> single, session = rng.random(3_000) < 0.1, np.repeat(rng.random(300) < 0.1, 10)
    >>> {k: round(v, 1) for k, v in design_effects({"a": Answers(single, alone), "b": Answers(session, whole)}).items()}
    {'a': 1.0, 'b': 10.0}
    >>> design_effects({"few": Answers(session[:100], whole[:100])})
    {'few': 10.0}
    """
    units = {app: _units(own) for app, own in apps.items() if len(own.bad)}
    together = _within([*units.values()])
    within = {app: _within([own]) if own.bad >= _TELL else together for app, own in units.items()}
    return {app: 1 + within[app] * (own.size - 1) / own.share for app, own in units.items()}


def _units(answers: Answers) -> _Units:
    n, bad = np.bincount(answers.unit), np.bincount(answers.unit, answers.bad)
    rate = bad.sum() / n.sum()
    variances = (1 - 2 * rate) * bad + rate**2 * n  # of a count with this mean, by how much each unit adds to it
    return _Units((bad - rate * n) ** 2, variances, int((bad > 0).sum()), float((n**2).sum() / n.sum()), answers.share)


def _within(several: Sequence[_Units]) -> float:
    """Return how much of the way from 1 to the size of units the design effect of ``several`` apps goes; 1 where too few units tell."""
    if sum(own.bad for own in several) < _TELL:
        return 1.0
    squares, variances = (np.concatenate([getattr(own, name) for own in several]) for name in ("squares", "variances"))
    room = sum(own.variances.sum() * (own.size - 1) for own in several)
    if not room > 0:
        return 1.0
    effect = squares.sum() / variances.sum()
    error = np.sqrt(((squares / squares.sum() - variances / variances.sum()) ** 2).sum())
    return max(float((effect * np.exp(_ERRORS * error) - 1) * variances.sum() / room), 0.0)
