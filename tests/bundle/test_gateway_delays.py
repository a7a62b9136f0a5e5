"""What an export says of how soon harm would be found: near what simulated rollouts need, by app, holdout and volume."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guardrails import simulate
from benchmarks.guardrails_scenarios import Scenario, more
from planner.bundle.gateway_delays import HARMS, HOLDOUTS, delays, requests_to_alarm
from planner.router.guard_rule import DRIFT, LEAST
from planner.router.rollout import AppRollout, Guardrail, Rollout

LIMIT = Guardrail(margin=0.02, baseline=0.01)
#: How far the estimate may be from the median of simulated rollouts, as a factor.
FACTOR = 1.5


@pytest.mark.parametrize(
    ("points", "share", "rollouts"), [(5, 0.5, 40), (10, 0.95, 40), (30, 0.95, 100), (30, 0.1, 60), (60, 0.95, 100), (30, 1.0, 100)]
)
def test_it_is_near_what_rollouts_need(points: float, share: float, rollouts: int) -> None:
    """The median of simulated rollouts, five guardrails looked at after every request, is within FACTOR; 95 % need 2.5 times at most."""
    said = requests_to_alarm(points / 100, LIMIT, share, 5)
    assert said is not None
    found = simulate(Scenario("", round(3 * said), share, more(error=points)), rollouts, seed=2)
    late = np.where(found < 0, 10**9, found)
    assert said / FACTOR <= np.median(late) <= said * FACTOR
    assert np.quantile(late, 0.95) <= 2.5 * said


def test_more_left_alone_and_more_harm_are_found_sooner() -> None:
    """Down to half routed each holdout finds earlier than a smaller one, each harm earlier than a lesser one, none before LEAST are bad."""
    found = np.array([[requests_to_alarm(harm, LIMIT, 1 - holdout, 5) for harm in (0.03, 0.1, 0.3)] for holdout in (0.01, 0.05, 0.1, 0.5)])
    assert (np.diff(found, axis=0) < 0).all()
    assert (np.diff(found, axis=1) < 0).all()
    assert (found[:, -1] * np.array([0.99, 0.95, 0.9, 0.5]) * 0.31 >= LEAST - 1).all()


def test_what_never_comes_is_said() -> None:
    """Within the margin, without a baseline, with nobody routed, and within DRIFT where nobody is left alone there is no alarm."""
    assert requests_to_alarm(LIMIT.margin, LIMIT, 0.5, 5) is None
    assert requests_to_alarm(0.3, Guardrail(margin=0.02), 0.5, 5) is None
    assert requests_to_alarm(0.3, LIMIT, 0.0, 5) is None
    assert requests_to_alarm(DRIFT, LIMIT, 1.0, 5) is None
    assert requests_to_alarm(0.3, LIMIT, 1.0, 5) is not None
    assert requests_to_alarm(1.0, LIMIT, 0.95, 5) is not None


def test_every_guarded_app_has_its_own() -> None:
    """By app each holdout, the rollout's own too, at the app's volume; without guardrail or baseline none, without volume no days."""
    apps = {
        "chat": AppRollout("shadow", guardrails={"error": LIMIT, "slow": Guardrail(0.03, 0.05, 9_000.0)}),
        "mail": AppRollout("shadow", guardrails={"error": LIMIT}),
        "bare": AppRollout("shadow"),
        "new": AppRollout("shadow", guardrails={"error": Guardrail(0.02)}),
    }
    found = delays(Rollout("3f9a01c2", holdout=0.07, apps=apps), {"chat": 500.0})
    own = (*HOLDOUTS[:2], 0.07, *HOLDOUTS[2:])
    assert [(d.app, d.holdout, d.harm) for d in found] == [
        (app, holdout, harm) for app in ("chat", "mail") for holdout in own for harm in HARMS
    ]
    for one in found:
        guardrails = len(apps[one.app].guardrails)
        assert one.requests == requests_to_alarm(one.harm, LIMIT, 1 - one.holdout, guardrails)
        assert one.requests is not None
        assert one.days == (one.requests / 500.0 if one.app == "chat" else None)
        assert one.evidence == "estimated"
