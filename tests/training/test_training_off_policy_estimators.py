"""Off-policy estimators on arrays: a slow reference, Open Bandit Pipeline's numbers, laws, and what their intervals cover."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.off_policy import measure
from planner.training.ope_estimators import ESTIMATORS, Weighed, effective_sessions, expected_sessions, interval, lacking, table

GOLDEN = Path(__file__).parents[1] / "data" / "off_policy_golden.json"


def weighed(n: int = 120, sessions: int = 40, seed: int = 0, missing: bool = False) -> Weighed:
    """Return random rows: three actions, sessions of any size, weights, and a target that follows no propensity."""
    rng = np.random.default_rng(seed)
    propensity = rng.dirichlet([1, 1, 1], n) * 0.9 + 1 / 30
    action, code, each = rng.integers(0, 3, n), rng.integers(0, 3, n), np.arange(n)
    q, chance = rng.random((n, 3)), propensity[each, code]
    chance = np.where(rng.random(n) < 0.2, 0.0, chance) if missing else chance
    able = chance > 0
    return Weighed(
        reward=rng.random(n),
        ratio=np.where((action == code) & able, 1 / np.where(able, chance, 1), 0.0),
        chance=chance,
        direct=np.where(able, q[each, code], 0.0),
        own=q[each, action],
        session=np.unique(rng.integers(0, sessions, n), return_inverse=True)[1],
        weight=rng.uniform(0.5, 3, n),
    )


def slow_values(rows: list[dict[str, float]]) -> dict[str, float]:
    """Compute every estimator in one plain loop over rows."""
    sums: dict[str, float] = dict.fromkeys(("n", "logged", "hit", "ratio", "direct", "own", "able"), 0.0)
    for r in rows:
        sums["n"] += r["weight"]
        sums["logged"] += r["weight"] * r["reward"]
        sums["hit"] += r["weight"] * r["ratio"] * r["reward"]
        sums["ratio"] += r["weight"] * r["ratio"]
        sums["direct"] += r["weight"] * r["direct"]
        sums["own"] += r["weight"] * r["ratio"] * r["own"]
        sums["able"] += r["weight"] if r["chance"] > 0 else 0.0
    n = sums["n"]
    return {
        "logged": sums["logged"] / n,
        "IPS": sums["hit"] / n,
        "SNIPS": sums["hit"] / sums["ratio"] * sums["able"] / n,
        "DM": sums["direct"] / n,
        "DR": (sums["direct"] + sums["hit"] - sums["own"]) / n,
    }


def slow_se(rows: list[dict[str, float]], name: str, less: str | None = None) -> float:
    """Leave out one session after the other and compute everything again."""

    def value(kept: list[dict[str, float]]) -> float:
        found = slow_values(kept)
        return found[name] - (found[less] if less else 0.0)

    sessions = sorted({r["session"] for r in rows})
    left_out = [value([r for r in rows if r["session"] != s]) for s in sessions]
    mean = sum(left_out) / len(left_out)
    return math.sqrt((len(sessions) - 1) / len(sessions) * sum((x - mean) ** 2 for x in left_out))


def plain(rows: Weighed) -> list[dict[str, float]]:
    """Return rows as plain Python numbers."""
    return [{name: float(column[i]) for name, column in vars(rows).items()} for i in range(len(rows.reward))]


@pytest.mark.parametrize("seed", range(5))
def test_values_and_errors_equal_a_slow_reference(seed: int) -> None:
    """Every value and jackknife standard error agrees with plain loops to 1e-9; DM's error also holds the fit of its model."""
    rows = weighed(seed=seed)
    found, slow = table(rows), plain(rows)
    for name, value in slow_values(slow).items():
        assert found.loc[name, "value"] == pytest.approx(value, abs=1e-9)
        if name != "DM":
            assert found.loc[name, "se"] == pytest.approx(slow_se(slow, name), abs=1e-9)
            assert found.loc[name, "diff_se"] == pytest.approx(slow_se(slow, name, "logged"), abs=1e-9)
    assert found.loc["DM", "se"] > slow_se(slow, "DM")


def test_effective_sessions_equal_a_slow_reference() -> None:
    """(Σω)² / Σω² over sessions agrees with plain loops to 1e-9."""
    rows = weighed(seed=7)
    total: dict[float, float] = {}
    for r in plain(rows):
        total[r["session"]] = total.get(r["session"], 0.0) + r["weight"] * r["ratio"]
    assert effective_sessions(rows) == pytest.approx(sum(total.values()) ** 2 / sum(w * w for w in total.values()), abs=1e-9)


@pytest.mark.parametrize("independent", [True, False])
def test_expected_sessions_are_what_draws_average_to(independent: bool) -> None:
    """Over 4,000 redraws the mean squared weight of sessions gives the expected effective sessions, within 3 %."""
    rng = np.random.default_rng(0)
    session, chance = np.repeat(np.arange(50), 3), np.repeat(rng.uniform(0.2, 0.9, 50), 3)
    one = np.ones(150)
    rows = Weighed(one, one, chance, one, one, session, one)
    coin = rng.random((4_000, 150)) if independent else np.repeat(rng.random((4_000, 50)), 3, axis=1)
    ratio = (coin < chance) / chance
    square = np.square(ratio.reshape(4_000, 50, 3).sum(2)).mean(0).sum()
    assert expected_sessions(rows, independent) == pytest.approx(150**2 / square, rel=0.03)


def test_values_equal_open_bandit_pipeline() -> None:
    """On 200 fixed rows with a stochastic target IPS, SNIPS, DM and DR are those of sb-obp to 1e-9."""
    golden: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
    reward, action, propensity, target, q = (np.array(golden[n]) for n in ("reward", "action", "propensity", "target", "predicted"))
    each, one = np.arange(len(reward)), np.ones(len(reward))
    ratio = target[each, action] / propensity[each, action]
    rows = Weighed(reward, ratio, one, (target * q).sum(1), q[each, action], each, one)
    assert golden["made_by"].startswith("sb-obp 0.5.10")
    assert set(golden["estimates"]) == set(ESTIMATORS)
    for name, value in golden["estimates"].items():
        assert table(rows).loc[name, "value"] == pytest.approx(value, abs=1e-9)


@given(st.integers(0, 10_000), st.floats(-0.5, 0.5), st.floats(0.1, 3))
def test_self_normalised_values_move_with_the_reward(seed: int, shift: float, scale: float) -> None:
    """SNIPS, the logged mean and their intervals are equivariant to shifting and scaling rewards; IPS only to scaling."""
    rows = weighed(60, 30, seed)
    moved = Weighed(**vars(rows) | {"reward": shift + scale * rows.reward})
    before, after = table(rows), table(moved)
    for name in ("logged", "SNIPS"):
        for column in ("value", "low", "high"):
            assert after.loc[name, column] == pytest.approx(shift + scale * before.loc[name, column], rel=1e-7, abs=1e-7)
    scaled = table(Weighed(**vars(rows) | {"reward": scale * rows.reward}))
    assert scaled.loc["IPS", "value"] == pytest.approx(scale * before.loc["IPS", "value"], abs=1e-9)


@given(st.integers(0, 10_000))
def test_order_of_rows_does_not_matter(seed: int) -> None:
    """Rows and session codes in any order give the same table."""
    rows = weighed(60, 30, seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(60)
    names = rng.permutation(rows.session.max() + 1)
    mixed = Weighed(**{n: (names[v] if n == "session" else v)[order] for n, v in vars(rows).items()})
    assert np.allclose(table(rows).to_numpy(float), table(mixed).to_numpy(float), atol=1e-9, equal_nan=True)


@given(st.integers(0, 10_000))
def test_bounds_hold_every_filling_of_what_is_missing(seed: int) -> None:
    """Where the target lacks support there is no value, and the interval reaches from that with reward 0 there to that with 1."""
    rows = weighed(80, 40, seed, missing=True)
    found, share = table(rows), float(np.average(rows.chance <= 0, weights=rows.weight))
    slow = slow_values(plain(rows))
    for name in ESTIMATORS:
        line = found.loc[name]
        assert math.isnan(line["value"])
        assert line["low"] < slow[name]
        assert line["high"] > slow[name] + share
    assert found.loc["logged", "value"] == pytest.approx(slow["logged"])


def test_a_cost_has_no_upper_bound_without_support() -> None:
    """With nothing to limit the reward, the missing part opens the interval upwards only."""
    found = table(weighed(missing=True), top=math.inf)
    assert np.isinf(found.loc["DR", ["high", "diff_high"]].to_numpy(float)).all()
    assert np.isfinite(found.loc["DR", ["low", "diff_low"]].to_numpy(float)).all()


def test_interval_leans_to_the_long_tail() -> None:
    """Skewed units widen the interval on the side of their tail and keep its centre out of the middle; no tail, no lean."""
    rng = np.random.default_rng(1)
    skewed, even = rng.exponential(1, 300) ** 2, np.tile([-1.0, 1.0], 150)
    low, high, se = interval(float(skewed.mean()), skewed)
    assert high - skewed.mean() > 1.2 * (skewed.mean() - low)
    assert se == pytest.approx(skewed.std(ddof=1) / math.sqrt(300))
    low, high, _ = interval(0.0, even)
    assert low == pytest.approx(-high)


def test_one_session_has_no_interval() -> None:
    """A single unit gives a value and no error."""
    assert all(math.isnan(x) for x in interval(0.5, np.array([0.5])))


@pytest.mark.parametrize(("name", "logs"), [("even", 80), ("every turn, held", 40)])
def test_intervals_cover(name: str, logs: int) -> None:
    """In synthetic logs with 250 effective sessions or more no interval misses the truth more often than 95 % allow (p < 0.001)."""
    for line in measure(name, logs, seed=50_000):
        assert line["logs"] > 0.9 * logs
        least = binom.ppf(0.001, line["logs"], 0.95) / line["logs"]
        assert line["coverage"] >= least
        assert line["coverage_difference"] >= least
        assert abs(line["bias"]) < 4 * line["rmse"] / math.sqrt(line["logs"])


def test_what_a_log_lacks_widens_all_but_the_logged_line() -> None:
    """Standard errors grow by the root of effective over expected sessions; the log's own mean has no weights to lack."""
    rows = weighed(seed=3)
    plainly, wider = table(rows), table(rows, widen=lacking(200, 50))
    assert wider.loc["logged", "se"] == plainly.loc["logged", "se"]
    for name in ESTIMATORS:
        assert wider.loc[name, ["se", "diff_se"]].tolist() == pytest.approx((2 * plainly.loc[name, ["se", "diff_se"]]).tolist())
