"""The first ``rollout.json``: every app in shadow, so that nothing changes until somebody turns it on.

In: a router, what the log says, what the training certified. Out: a Rollout. Knows nothing of how it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.bundle.gateway_log import GatewayLog
from planner.router import ALWAYS_TAU, AlwaysRule, Router
from planner.router.rollout import AppRollout, Guardrail, Mirroring, Rollout
from planner.training import Training
from planner.training.guarantee import certify
from planner.training.methods import judged

__all__ = ["apps_of", "first_rollout", "floor_passed"]

#: What an export proposes: shares of units held out, routed under canary and answered in the background, and what the last may cost.
HOLDOUT, SHARE, MIRRORED, MIRROR_USD_PER_DAY = 0.05, 0.1, 0.02, 5.0
#: Labelled units below which nothing is tested: a bet on fewer could not reach a small level.
_LEAST_UNITS = 20


def apps_of(router: Router, log: GatewayLog | None = None) -> tuple[str, ...]:
    """Return the apps that ``router`` may steer: those of the log, or those that it was trained for."""
    steered = router.support.apps
    known = tuple(app for app in (log.asks if log else ()) if steered is None or app in steered)
    return tuple(sorted(known or steered or [app for app, _ in router.references] or ["default"]))


def first_rollout(router: Router, digest: str, log: GatewayLog, passed: Mapping[str, Sequence[str]] | None = None) -> Rollout:
    """Return the first rollout of ``router``: every app that it may steer, in shadow.

    Parameters
    ----------
    digest: of the bundle; the salt of the draws is taken from it.
    passed: app → candidates that may be explored (``floor_passed``); without it each app's model of today alone.
    """
    home = dict(router.references)
    apps = {}
    for app in apps_of(router, log):
        today = (home.get(app, router.reference),)
        guardrails = {name: Guardrail(**own) for name, own in log.guardrails.get(app, {}).items()}
        asks, explored = log.asks.get(app, today), tuple((passed or {}).get(app, today))
        apps[app] = AppRollout("shadow", SHARE, 0.0, asks, explored, Mirroring(MIRRORED, MIRROR_USD_PER_DAY), guardrails)
    return Rollout(digest[:8], HOLDOUT, log.app_from, apps=apps)


def floor_passed(training: Training, router: Router, apps: Sequence[str], delta: float = 0.05) -> dict[str, list[str]]:
    """Return the candidates that could answer every request of an app and keep the floor of the training there, by app.

    Each is tested on the app's calibration rows as if it answered all of them, at ``delta`` over the number of tests (Bonferroni), so that
    with that confidence no named candidate fails the floor. The app's own model of today passes by itself.
    """
    problem, k = training.problem, len(router.candidates)
    rows = problem.rows("calibrate")
    rows = rows[problem.whole[rows]]
    named = np.array(problem.requests.app, object)[rows]
    tests = max(len(apps) * (k - 1), 1)
    found = {}
    for app in apps:
        mine = rows[named == app]
        home = router.home([app])[0]
        part, requests = judged(problem, mine, router), problem.requests.take(mine)
        names = [router.candidates[home]]
        for code in set(range(k)) - {home} if len(np.unique(part.unit)) >= _LEAST_UNITS else ():
            always = replace(router, scorer=AlwaysRule.model(code, router.reference_code, k), tau=ALWAYS_TAU)
            tested = certify(part, always.scores(requests, problem.day), np.array([ALWAYS_TAU]), training.floor, delta / tests)
            names += [router.candidates[code]] * (tested.certified and bool(problem.able[mine, code].all()))
        found[app] = sorted(names)
    return found
