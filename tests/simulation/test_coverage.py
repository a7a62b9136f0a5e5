"""Intervals of whole simulations: a small run of the benchmark, and shared state with shocks on sums made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import coverage_shared
from benchmarks.coverage import MODELS, SHORT, ask, estimates, main, truth, world
from benchmarks.coverage_common import PRICED, book, bounds, score
from planner.simulation import Simulation, Summary, SummaryHeader
from planner.simulation.intervals import any_weekday, together
from planner.simulation.summary import DAILY, MEASURES


def test_made_worlds_are_what_they_say() -> None:
    """Over 40 worlds: 28 days, 10,000 requests and 400 users on average, the same world for the same seed; users alike are few."""
    made = [world(s) for s in range(40)]
    assert np.mean([len(m.user) for m in made]) == pytest.approx(10_000, rel=0.12)
    assert np.mean([m.user.max() + 1 for m in made]) == pytest.approx(400, rel=0.03)
    assert min(len(np.unique(m.user)) for m in made) >= 200
    assert all(len(np.unique(m.timestamp.astype("datetime64[D]"))) == 28 for m in made)
    assert (world(3).asked.input == made[3].asked.input).all()
    largest = np.mean([np.bincount(m.user).max() / len(m.user) for m in made])
    assert 0.08 < largest < 0.25, "the first of Zipf's ranks asks one in seven"


def test_truth_is_that_of_the_population() -> None:
    """The truth agrees with a sum over other requests, drawn and priced here one by one."""
    rng = np.random.default_rng(99)
    asked = ask(rng, rng.normal(size=(200_000, 3)) * np.hypot([0.5, 0.6, 0.3], [0.05, 0.1, 0.1]))
    moved = asked.input < SHORT
    zero = np.zeros(len(moved), np.int64)
    usd = []
    for k, model in enumerate(MODELS):
        tokens = np.column_stack([asked.input, zero, zero, zero, asked.output[:, k], zero])
        usd.append(book().price("openai", model, "standard", tokens, PRICED).cost_pusd / 1e12)
    found = truth()
    assert found["saving"] == pytest.approx(10_000 * float((usd[0] - usd[1])[moved].sum()) / 200_000, rel=0.02)
    assert found["quality_difference"] == pytest.approx(float(np.diff(asked.quality)[moved].sum()) / 200_000, abs=0.005)
    assert found["p95"] == pytest.approx(np.quantile(np.where(moved, asked.latency_ms[:, 1], asked.latency_ms[:, 0]), 0.95), rel=0.02)


def test_scores_count() -> None:
    """Coverage is of the intervals that were given; the oracle's width is that of a normal interval with the estimates' own spread."""
    found = np.array([[1.0, 0.0, 2.0], [3.0, 2.5, 4.0], [1.0, np.nan, np.nan], [3.0, 2.9, 3.1]])
    judged = score(found, 2.75)
    assert judged["coverage"] == pytest.approx(1 / 3)
    assert (judged["too_low"], judged["too_high"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (judged["refused"], judged["median_width"], judged["oracle_width"]) == (0.25, 1.5, pytest.approx(3.92))


def test_a_dozen_worlds_are_covered(capsys: pytest.CaptureFixture[str]) -> None:
    """The benchmark's own command gives every key, and of 12 worlds each interval holds its truth in at least nine of those given."""
    assert main(["--worlds", "12", "--shared-worlds", "12", "--jobs", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shared = found.pop("shared")
    assert set(found) >= {"saving", "quality_difference", "p95"}
    assert set(shared) >= {"saving", "saving_share", "p95", "saving_by_users_alone"}
    few = {name: shared.pop(name) for name in list(shared) if name.endswith("_of_9_days")}
    assert {name: one["refused"] for name, one in few.items()} == dict.fromkeys(few, 1.0)
    assert {"saving_of_9_days", "p95_of_9_days"} <= set(few)
    alone = shared.pop("saving_by_users_alone")
    assert alone["width_ratio"] < 0.6 * shared["saving"]["width_ratio"]
    for one in (*found.values(), *shared.values()):
        assert {"coverage", "median_width", "width_ratio", "refused"} <= set(one)
        assert one["coverage"] >= 0.75
        assert one["refused"] <= 0.3
    again = bounds(estimates, 12, 1)["saving"]
    assert score(again, truth()["saving"]) == found["saving"], "one process gives what two give"


def test_worlds_with_a_shared_cache_have_shocks() -> None:
    """Over 40 months: 6,000 usual requests and those about events, of 300 users; hits by day move twice as much as by chance."""
    made = [coverage_shared.month((s, 24)) for s in range(40)]
    assert np.mean([len(m) for m in made]) == pytest.approx(6_000 * (1 + 0.3 * 0.175 * 1.75), rel=0.04)
    assert np.mean([m.user.max() + 1 for m in made]) == pytest.approx(300, rel=0.03)
    assert all((np.diff(m.at_us) >= 0).all() for m in made)
    hit = [coverage_shared.hits(m) for m in made]
    share = np.array([[h[m.at_us // coverage_shared.DAY_US == d].mean() for d in range(28)] for m, h in zip(made, hit, strict=True)])
    assert share.std(axis=1).mean() > 2 * np.sqrt(share.mean() * (1 - share.mean()) / 214)
    assert (coverage_shared.month((3, 24)).question == made[3].question).all()


def test_the_walk_through_the_cache_is_the_planner_to_the_cent() -> None:
    """For five worlds the saving is what the requests cost that the benchmark's own walk answers from the cache."""
    for seed in range(5):
        made = coverage_shared.month((seed, 22))
        own = float(coverage_shared.usd(made)[coverage_shared.hits(made)].sum())
        assert coverage_shared.estimates(seed)["saving"].value == pytest.approx(own, abs=1e-9)


def test_users_bring_more_than_their_own_hits() -> None:
    """Without one of 30 sets of users a shared cache saves less by more than their own hits, and by no more than ``together`` says."""
    own = brought = saved = cost = 0.0
    for seed in range(6):
        made = coverage_shared.month((seed, 25))
        dollars = coverage_shared.usd(made)
        hit = coverage_shared.hits(made)
        saved, cost = saved + float(dollars[hit].sum()), cost + float(dollars.sum())
        for part in range(30):
            left = made.user % 30 != part
            fewer = replace(made, **{name: values[left] for name, values in vars(made).items()})
            own += float(dollars[hit & ~left].sum())
            brought += float(dollars[hit].sum() - dollars[left][coverage_shared.hits(fewer)].sum())
    assert own == pytest.approx(saved)
    assert 1.2 * own < brought <= together(saved / cost) * own


def test_the_week_is_no_shock() -> None:
    """Days that cost what their weekday costs, at one share, differ in nothing; one that costs twice does; in a single week all count."""
    filled = np.arange(256) < 28
    cost = np.where(filled, np.resize([12.0, 12.0, 12.0, 12.0, 12.0, 5.0, 5.0], 256), 0.0)
    usual = any_weekday(np.column_stack([-0.3 * cost, cost]), filled)
    np.testing.assert_allclose(usual[:28, 0], -0.3 * cost[:28].mean())
    assert not usual[28:].any()
    cost[9] *= 2
    moved = any_weekday(np.column_stack([-0.3 * cost, cost]), filled)
    assert moved[:, 0].sum() == pytest.approx(-0.3 * cost.sum())
    assert abs(moved[9, 0] - np.delete(moved[:28, 0], 9).mean()) > 0.3 * 12
    week = np.arange(256) < 7
    alone = any_weekday(np.column_stack([-0.3 * cost, cost]) * week[:, None], week)
    np.testing.assert_allclose(alone[:7, 0], -0.3 * cost[:7])


def summary(rng: np.random.Generator, shock: float, shared: bool, days: int = 28) -> Summary:
    """Sum one log of about 300 users with a cache they share: on each day a share of the cost is saved, 30 % on average.

    What everybody asks comes and goes: the day's share is moved by shocks that last two days, of standard deviation ``shock``.
    """
    fresh = rng.normal(0, shock, days + 1)
    saved = 0.3 + fresh[1:] + 0.5 * fresh[:-1]
    users = rng.poisson(300)
    volume = rng.poisson(40 / rng.integers(1, 301, users) ** 0.5 * 9, (days, users)).T
    cost = volume * rng.lognormal(-0.08, 0.4, users)[:, None] * 1e9
    gone = -cost * (saved + rng.normal(0, 0.1, (users, days)))
    header = SummaryHeader("t", "p", "o", "book", "2026-11-01", 0, "user", ("app",), float(days), shared=shared)
    sums, daily = np.zeros((1, 256, 3, len(MEASURES)), np.int64), np.zeros((1, 256 * shared, len(DAILY)), np.int64)
    bucket = rng.integers(0, 256, users)
    columns = {"requests_micro": volume * 1e6, "cost_pusd": cost + gone, "cost_difference_pusd": gone}
    for name, values in columns.items():
        np.add.at(sums[0, :, 1, MEASURES.index(name)], bucket, np.rint(values.sum(axis=1)).astype(np.int64))
        if shared:
            daily[0, :days, DAILY.index(name)] = np.rint(values.sum(axis=0)).astype(np.int64)
    shapes = {"paired": (256, 7), "labelled": (256, 4), "latency": (4, 2000), "latency_buckets": (256, 4, 80), "exposure": (0, 3)}
    zeros = {name: np.zeros((1, *shape), np.int64) for name, shape in shapes.items()}
    nothing = np.zeros((1, 256 * shared, 4, 80), np.int64)
    return Summary(header, (("chat",),), sums=sums, daily=daily, latency_daily=nothing, samples=np.zeros((0, 256, 5), np.int64), **zeros)


#: What such a log saves on average [USD]: users × days × requests × cost of each × share.
EXPECTED = 300 * 28 * 360 * float(np.mean(np.arange(1, 301) ** -0.5)) * 1e-3 * 0.3


def test_shocks_to_a_shared_cache_are_covered() -> None:
    """Over 250 logs with popularity shocks, users alone hold the expected saving in less than 80 %, users and days in at least 92 %."""
    rng = np.random.default_rng(11)
    hits = {True: 0, False: 0}
    for _ in range(250):
        whole = summary(rng, 0.15, True)
        for shared in hits:
            found = Simulation("x", replace(whole, header=replace(whole.header, shared=shared))).saving()
            assert found.low is not None
            assert found.high is not None
            hits[shared] += found.low <= EXPECTED <= found.high
    assert hits[False] / 250 < 0.8
    assert hits[True] / 250 >= 0.92


def test_a_week_of_a_shared_cache_is_refused() -> None:
    """Seven days cannot tell how a shared cache fares on others: the saving has a value and no interval."""
    found = Simulation("x", summary(np.random.default_rng(12), 0.1, True, days=7)).saving()
    assert found.value > 0
    assert (found.low, found.high) == (None, None)
