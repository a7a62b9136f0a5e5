"""The sizes of arms are tested at the level that is said: even p-values where the lot was as drawn, an alarm where an arm lost requests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from planner.followup.arms import Arms
from planner.followup.verify_checks import ALARM, Check, checks


def lot(seed: int, units: int, chances: tuple[float, ...] = (0.27, 0.9), lost: float = 0.0) -> Arms:
    """Return units of 1 to 5 requests, drawn at one of these chances each; a share of those that were kept is lost."""
    rng = np.random.default_rng(seed)
    chance = rng.choice(chances, units)
    routed = rng.random(units) < chance
    there = np.flatnonzero(routed | (rng.random(units) >= lost))
    of = np.repeat(there, rng.integers(1, 6, len(there)))
    n = len(of)
    app, mode, asked, decided = (np.full(n, name, object) for name in ("chat", "canary", "big", "mini"))
    arm, sent = (np.where(routed[of], *names).astype(object) for names in (("routed", "holdout"), ("mini", "big")))
    when = np.datetime64("2026-11-01", "us") + np.arange(n)
    return Arms(np.arange(n), when, app, mode, asked, decided, sent, arm, of, chance[of], "session", {})


def sizes(arms: Arms) -> Check:
    """Return the check of arm sizes."""
    return next(c for c in checks(arms, arms.action) if c.name == "arm sizes")


def test_p_values_are_even_where_the_lot_was_as_drawn() -> None:
    """Of 200 sound rollouts p-values are uniform (Kolmogorov–Smirnov), whatever sessions' sizes are."""
    assert kstest([sizes(lot(seed, 1_000)).p_value for seed in range(200)], "uniform").pvalue > 0.01


@pytest.mark.parametrize("lost", [0.1, 0.2, 0.3])
def test_one_setting_is_the_binomial_test(lost: float) -> None:
    """At one chance the p-value is that of the exact binomial test, but for the chi-square's approximation, deep in the tail too."""
    arms = lot(7, 2_000, (0.5,), lost)
    found, routed = sizes(arms), len(np.unique(arms.unit[arms.routed]))
    exact = binomtest(routed, found.count, 0.5).pvalue
    assert found.count == len(np.unique(arms.unit))
    assert np.log(found.p_value) == pytest.approx(np.log(exact), rel=0.05)


@pytest.mark.parametrize(("units", "lost", "found"), [(1_000, 1 / 2, 0.98), (4_000, 1 / 3, 0.98), (1_000, 1 / 3, 0.6)])
def test_an_arm_that_lost_requests_is_found(units: int, lost: float, found: float) -> None:
    """Half of the kept lost of 1,000 units, or a third of 4,000, is an alarm nearly always; a third of 1,000 more often than not."""
    assert np.mean([sizes(lot(seed, units, lost=lost)).alarm for seed in range(100)]) >= found
    assert ALARM == 0.001
