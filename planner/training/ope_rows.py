"""What a router would have chosen on a log, and how much each logged row says about that.

In: a log of draws and a router. Out: the model it would choose for each row, importance ratios, which choices the log could have
drawn, and cross-fitted predictions of every model's reward. Knows nothing of estimators.

A decision covers a session or a request, and so does a draw. Where the router decides by session and the log drew once a session,
the first row's propensity is the session's, once. Where the log drew at every turn, a session follows the router only if every
turn does, and its propensities multiply. Where the router decides by request, every turn has its own ratio: the turns before it
are taken as given, whichever model answered them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.router import Requests, Router, features
from planner.router.capabilities import KEEP
from planner.training.learn import SPECS, design, weighting
from planner.training.ope_estimators import Weighed
from planner.training.ope_logged import Logged
from planner.training.ridge import fit_ridge

__all__ = ["Followed", "drawn_by", "follow", "predicted", "weighed"]

F64 = NDArray[np.float64]
UNITS = ("session", "request")
#: Penalties tried: coarse and not small, since followed rows are few.
_ALPHAS = (10.0, 100.0, 1000.0)
#: What a row that the router would send elsewhere counts in the fit, where a followed one counts at least 1.
_ELSEWHERE = 0.01


@dataclass(frozen=True, eq=False)
class Followed:
    """What the router would do, by row; every array has shape (n,).

    Parameters
    ----------
    code: the model it would use, a position in ``Logged.models``.
    kept: it leaves the row as it is.
    chance: the probability that the log drew what the router would use; of a whole session where the router decides by session;
        1 where it is kept, 0 where the log could not have drawn it.
    ratio: 1 / chance where the log drew that, else 0.
    """

    code: NDArray[np.int64]
    kept: NDArray[np.bool_]
    chance: F64
    ratio: F64


def follow(router: Router, logged: Logged, requests: Requests, drawn: str, at: str = "") -> Followed:
    """Return what ``router`` would do with the rows whose text is ``requests``, decided by ``requests.unit``."""
    codes, why = router.choose(router.scores(requests, at))
    if requests.unit == "session":
        codes, why = codes[logged.first], why[logged.first]
    kept = why == KEEP
    code = np.where(kept, logged.action, codes)
    chance = np.where(kept, 1.0, logged.propensities[np.arange(len(code)), code])
    same = code == logged.action
    if requests.unit == "session" and drawn == "session":
        chance, same = chance[logged.first], same[logged.first]
    elif requests.unit == "session":
        chance, same = _product(chance, logged.session), _product(same, logged.session) > 0
    return Followed(code, kept, chance, np.where(same & (chance > 0), 1 / np.where(chance > 0, chance, 1.0), 0.0))


def _product(values: NDArray[Any], session: NDArray[np.int64]) -> F64:
    """Return for each row the product over its session."""
    out = np.ones(session.max() + 1)
    np.multiply.at(out, session, values)
    return out[session]


def drawn_by(logged: Logged, stated: str | None = None) -> str:
    """Return what one draw of the log covers: as stated, else as sessions of several turns show.

    A log that drew at every turn changes models within sessions about as often as its propensities say; one that drew by session
    never does. InputError where a session changes its model though ``stated`` says it cannot; NeedsError where neither fits.
    """
    if stated is not None and stated not in UNITS:
        raise InputError(f"drawn {stated!r}", f"one of {', '.join(UNITS)}")
    changed = logged.action != logged.action[logged.first]
    changing = np.unique(logged.session[changed])
    if stated == "session" and len(changing):
        row = logged.request_id[np.argmax(changed)]
        raise InputError(f"request {row!r}, drawn otherwise than its session's first", "one draw a session", "leave drawn= (--drawn) out")
    if stated is not None:
        return stated
    if not len(changing):
        return "session"
    with np.errstate(divide="ignore"):
        same = np.zeros((logged.session.max() + 1, logged.propensities.shape[1]))
        np.add.at(same, logged.session, np.log(logged.propensities))
    expected = float((1 - np.exp(same).sum(1)).sum())
    if len(changing) < expected / 2:
        raise NeedsError(
            f"{len(changing):,} sessions that change their model, where draws at every turn would change about {expected:,.0f}",
            "a log that draws by session or by request",
            "say which with drawn= (--drawn), and log as action what was drawn, not what answered after a fallback",
        )
    return "request"


def predicted(requests: Requests, logged: Logged, followed: Followed, rows: NDArray[np.int64], seed: int = 0) -> F64:
    """Return q̂ (len(rows), models): each model's reward on each of ``rows``, by a ridge that has not seen the row's session.

    ``requests`` are the requests of those rows. The ridge counts a row by its importance ratio, so that it fits best where the
    router would use a model and shrinks towards the model's mean there (Kang & Schafer, *Demystifying double robustness*, 2007,
    §3.4); rows that the router would send elsewhere keep a small part. Predictions stay within what was observed of the reward.
    """
    n, observed = len(rows), logged.reward[rows]
    found = features(requests, SPECS[0] if len(set(requests.app)) > 1 else replace(SPECS[0], app_bits=0))
    target = np.full((n, len(logged.models)), np.nan)
    target[np.arange(n), logged.action[rows]] = observed
    session = logged.session[rows]
    fit = fit_ridge(
        design(found, weighting(found, session)), target, logged.weight[rows] * (followed.ratio[rows] + _ELSEWHERE), session, seed=seed
    )
    return np.clip(fit.oof, observed.min(), observed.max())


def weighed(logged: Logged, followed: Followed, rated: NDArray[np.int64], q: F64) -> Weighed:
    """Bring the rated rows to what the estimators sum."""
    each, chance = np.arange(len(rated)), followed.chance[rated]
    return Weighed(
        reward=logged.reward[rated],
        ratio=followed.ratio[rated],
        chance=chance,
        direct=np.where(chance > 0, q[each, followed.code[rated]], 0.0),
        own=q[each, logged.action[rated]],
        session=np.unique(logged.session[rated], return_inverse=True)[1],
        weight=logged.weight[rated],
    )
