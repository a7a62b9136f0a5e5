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

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.router import Requests, Router, features
from planner.router.capabilities import KEEP
from planner.training.learn import SPECS, design, weighting
from planner.training.ope_logged import Logged
from planner.training.ridge import fit_ridge

__all__ = ["Followed", "drawn_by", "follow", "predicted"]

F64 = NDArray[np.float64]
UNITS = ("session", "request")


@dataclass(frozen=True, eq=False)
class Followed:
    """What the router would do, by row; every array has shape (n,).

    Parameters
    ----------
    code: the model it would use, a position in ``Logged.models``.
    kept: it leaves the row as it is.
    ratio: target over logged probability of what was drawn, of the whole session where that was decided or drawn as one.
    supported: the log could have drawn what the router would use.
    """

    code: NDArray[np.int64]
    kept: NDArray[np.bool_]
    ratio: F64
    supported: NDArray[np.bool_]


def follow(router: Router, logged: Logged, requests: Requests, drawn: str, at: str = "") -> Followed:
    """Return what ``router`` would do with the rows whose text is ``requests``, decided by ``requests.unit``."""
    codes, why = router.choose(router.scores(requests, at))
    if requests.unit == "session":
        codes, why = codes[logged.first], why[logged.first]
    kept = why == KEEP
    code = np.where(kept, logged.action, codes)
    chance = np.where(kept, 1.0, logged.propensities[np.arange(len(code)), code])
    followed = (code == logged.action) & (chance > 0)
    ratio = np.where(followed, 1 / np.where(chance > 0, chance, 1.0), 0.0)
    if requests.unit == "request":
        return Followed(code, kept, ratio, chance > 0)
    if drawn == "session":
        return Followed(code, kept, ratio[logged.first], (chance > 0)[logged.first])
    product, able = np.ones(logged.session.max() + 1), np.ones(logged.session.max() + 1, bool)
    np.multiply.at(product, logged.session, ratio)
    np.logical_and.at(able, logged.session, chance > 0)
    return Followed(code, kept, product[logged.session], able[logged.session])


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
        raise InputError(f"request {row!r}, drawn otherwise than its session's first", "one draw a session", "leave drawn=session out")
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
            "say which with drawn=, and log as action what was drawn, not what answered after a fallback",
        )
    return "request"


def predicted(requests: Requests, logged: Logged, rows: NDArray[np.int64], seed: int = 0) -> F64:
    """Return q̂ (len(rows), models): each model's reward on each of ``rows``, by a ridge that has not seen the row's session.

    ``requests`` are the requests of those rows. Predictions stay within what was observed of the reward.
    """
    n, observed = len(rows), logged.reward[rows]
    found = features(requests, SPECS[0] if len(set(requests.app)) > 1 else replace(SPECS[0], app_bits=0))
    target = np.full((n, len(logged.models)), np.nan)
    target[np.arange(n), logged.action[rows]] = observed
    session = logged.session[rows]
    fit = fit_ridge(design(found, weighting(found, session)), target, logged.weight[rows], session, seed=seed)
    return np.clip(fit.oof, observed.min(), observed.max())
