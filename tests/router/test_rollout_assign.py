"""Assignment: sticky draws, a permanent holdout, exact propensities."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from planner.router import REASONS, Decision
from planner.router.assign import Assignment, assign, draw
from planner.router.rollout import AppRollout, Mirroring, Rollout

ASKED, MINI, NANO = "gpt-5", "gpt-5-mini", "gpt-5-nano"
DECIDED = Decision(MINI, 0.1, REASONS[0], "v")
KEYS = [f"session-{i}" for i in range(20_000)]


def rollout(mode: str, share: float = 0.3, explore: float = 0.0, holdout: float = 0.1, salt: str = "3f9a01c2") -> Rollout:
    """Return a rollout with one app ``chat``."""
    app = AppRollout(mode, share, explore, (ASKED,), (ASKED, MINI, NANO), Mirroring(0.2, 5.0))
    return Rollout(salt, holdout, apps={"chat": app})


def drawn(on: Rollout, decision: Decision = DECIDED, app: str = "chat") -> list[Assignment]:
    """Assign all KEYS."""
    return [assign(on, app, key, decision, ASKED) for key in KEYS]


def test_the_draw_is_the_hash_of_its_parts() -> None:
    """A unit's number is SHA-256 of salt, purpose, app and key, computed here without our code."""
    for key in ("session-1", "", "ü", "a|b"):
        whole = int(sha256(f"salt|share|chat|{key}".encode()).hexdigest()[:16], 16)
        assert draw("salt", "share", "chat", key) == pytest.approx(whole / 2**64, abs=2**-53)


@given(*[st.text(max_size=20)] * 4)
@settings(max_examples=300, deadline=None)
def test_a_draw_is_a_share_of_one(salt: str, purpose: str, app: str, key: str) -> None:
    """Whatever the names are, lone surrogates among them, the number is in [0, 1) and the same again."""
    found = draw(salt, purpose, app, key + "\ud800")
    assert 0 <= found < 1
    assert found == draw(salt, purpose, app, key + "\ud800")


def test_draws_are_uniform_and_independent() -> None:
    """Draws fill [0, 1) evenly, and those of two purposes, apps or salts have nothing to do with each other."""
    first = np.array([draw("a", "share", "chat", k) for k in KEYS])
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    for salt, purpose, app in (("b", "share", "chat"), ("a", "holdout", "chat"), ("a", "share", "search")):
        other = np.array([draw(salt, purpose, app, k) for k in KEYS])
        table = np.histogram2d(first, other, bins=5)[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("explore", [0.0, 0.4])
@pytest.mark.parametrize("decided", [MINI, ASKED])
@pytest.mark.parametrize("mode", ["canary", "active"])
def test_shares_are_the_propensities(mode: str, decided: str, explore: float) -> None:
    """Over 20,000 sessions models come as often as the propensities written with each of them say (chi-square)."""
    found = drawn(rollout(mode, explore=explore), replace(DECIDED, model=decided))
    chances = found[0].propensities
    assert chances is not None
    assert all(a.propensities == chances for a in found)
    assert sum(chances.values()) == pytest.approx(1, abs=1e-12)
    seen = Counter(a.model for a in found)
    assert set(seen) == set(chances)
    names = list(chances)
    if len(names) > 1:
        assert stats.chisquare([seen[m] for m in names], [chances[m] * len(found) for m in names]).pvalue > 1e-3


def test_propensities_by_hand() -> None:
    """10 % held out, 30 % routed of the rest, of which 40 % drawn among three: the sums written out."""
    chances = drawn(rollout("canary", explore=0.4))[0].propensities
    routed = 0.9 * 0.3
    assert chances == pytest.approx({MINI: routed * (0.6 + 0.4 / 3), NANO: routed * 0.4 / 3, ASKED: routed * 0.4 / 3 + 1 - routed})


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.lists(st.sampled_from([ASKED, MINI, NANO, "x"]), unique=True))
@settings(max_examples=200, deadline=None)
def test_propensities_sum_to_one(share: float, explore: float, holdout: float, able: list[str]) -> None:
    """Whatever shares are set and whatever can answer, propensities are positive, sum to 1 and hold the model sent."""
    on = rollout("canary", share, explore, holdout)
    for key in KEYS[:20]:
        found = assign(on, "chat", key, DECIDED, ASKED, able)
        assert found.propensities is not None
        assert sum(found.propensities.values()) == pytest.approx(1, abs=1e-12)
        assert min(found.propensities.values()) > 0
        assert found.model in found.propensities


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
@settings(max_examples=20, deadline=None)
def test_the_routed_set_only_grows(shares: list[float]) -> None:
    """With a larger share all stay routed that were, active routes all but the holdout, and the holdout never changes."""
    keys, before = KEYS[:1500], frozenset[str]()
    for on in (*(rollout("canary", s) for s in sorted(shares)), rollout("active")):
        found = {key: assign(on, "chat", key, DECIDED, ASKED).arm for key in keys}
        routed = frozenset(k for k, arm in found.items() if arm == "routed")
        assert before <= routed
        assert {k for k, arm in found.items() if arm == "holdout"} == {k for k in keys if draw(on.salt, "holdout", "chat", k) < on.holdout}
        before = routed
    assert set(found.values()) == {"routed", "holdout"}


def test_every_turn_of_a_session_goes_to_the_same_model() -> None:
    """A session keeps its arm and model under exploration too, whatever else is set for other apps."""
    on = rollout("canary", 0.5, 0.5)
    more = replace(on, apps={**on.apps, "search": AppRollout("active")})
    assert drawn(on) == drawn(on) == drawn(more)


def test_another_salt_draws_anew() -> None:
    """Two salts hold different sessions out."""
    one, two = ([a.arm == "holdout" for a in drawn(rollout("active", salt=s))] for s in ("a", "b"))
    assert 0.005 < np.mean(np.logical_and(one, two)) < 0.02


@pytest.mark.parametrize("mode", ["off", "shadow", "mirror"])
def test_modes_that_only_watch_send_everything_as_asked(mode: str) -> None:
    """Off, shadow and mirror never change a model and draw nothing that had to be logged."""
    assert {(a.model, a.propensities) for a in drawn(rollout(mode))} == {(ASKED, None)}


def test_stop_sends_everything_as_asked() -> None:
    """With stop set, every request of every mode goes as asked, in the arm stopped, and nothing is mirrored."""
    for mode in ("shadow", "mirror", "canary", "active"):
        found = drawn(replace(rollout(mode), stop=True))
        assert set(map(repr, found)) == {repr(Assignment(ASKED, "stopped"))}


def test_an_unlisted_app_is_off() -> None:
    """An app without a rollout goes as asked."""
    assert {a.model for a in drawn(rollout("active"), app="search")} == {ASKED}


def test_mirror_answers_a_share_in_the_background() -> None:
    """A fifth of the sessions is mirrored by the decided model or the one set; never by the model that answers anyway."""
    on = rollout("mirror")
    found = [a.mirror for a in drawn(on)]
    assert set(found) == {MINI, None}
    assert stats.binomtest(found.count(MINI), len(found), 0.2).pvalue > 1e-3
    assert {a.mirror for a in drawn(on, replace(DECIDED, model=ASKED))} == {None}
    fixed = replace(on.apps["chat"], mirror=Mirroring(1.0, 5.0, NANO))
    assert {a.mirror for a in drawn(replace(on, apps={"chat": fixed}))} == {NANO}
    assert {a.mirror for a in drawn(rollout("canary"))} == {None}


@pytest.mark.parametrize("reason", REASONS)
def test_nothing_is_explored_where_nothing_was_decided(reason: str) -> None:
    """Where nothing was decided there is no floor to explore under, and the request goes as asked."""
    found = drawn(rollout("active", explore=1.0), Decision(ASKED, 0.0, reason, "v"))
    explored = {a.model for a in found} != {ASKED}
    assert explored == (reason in REASONS[:2])


def test_exploration_stays_among_those_that_can_answer() -> None:
    """Only candidates that passed the floor and can answer the request are drawn, each equally often."""
    on = rollout("active", explore=1.0, holdout=0.0)
    found = Counter(assign(on, "chat", k, DECIDED, ASKED, [NANO, ASKED, "unproved"]).model for k in KEYS)
    assert set(found) == {NANO, ASKED}
    assert stats.binomtest(found[NANO], len(KEYS), 0.5).pvalue > 1e-3
    assert {assign(on, "chat", k, DECIDED, ASKED, []).model for k in KEYS[:200]} == {MINI}
