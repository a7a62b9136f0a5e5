"""The slow reference against probabilities and distributions on paper, within Monte Carlo error (4.5 standard errors, fixed seeds)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulation.made_worlds import KINDS, SECOND, neutral, not_logged
from simulation.slow_events import MINUTE, slow

from planner.schema import PURPOSES, STATUSES
from planner.simulation.events.inputs import CANCELLED, HISTORIES, OK, SCORES, Limits, World

N = 4000
RETRY, HEDGE, FALLBACK, ESCALATION = (PURPOSES.index(p) for p in ("retry", "hedge", "fallback", "escalation"))
TRANSPORT = STATUSES.index("transport")
SIGMA = 0.5


def assert_share(hits: Any, p: float) -> None:
    """Compare a share of independent trials with its probability."""
    hits = np.asarray(hits)
    assert abs(hits.mean() - p) <= 4.5 * np.sqrt(p * (1 - p) / hits.size)


def assert_mean(values: Any, mean: float) -> None:
    """Compare the mean of independent values with its expectation."""
    values = np.asarray(values, float)
    assert abs(values.mean() - mean) <= 4.5 * values.std() / np.sqrt(values.size)


def failing(p: Any, n: int = N, lanes: int = 2, seed: int = 1, most: int = 0) -> World:
    """Return far-apart requests whose calls fail with probability ``p`` (a number, by lane, or by lane and history); latency lognormal."""
    world = not_logged(neutral(1000 * SECOND * np.arange(n), seed, lanes, attempts=8))
    chance = np.broadcast_to(np.asarray(p, float).reshape(-1, 1) if np.ndim(p) < 2 else p, (lanes, HISTORIES))
    return replace(
        world,
        lanes=replace(
            world.lanes,
            failure=np.broadcast_to(chance[None, :, :, None], (1, lanes, HISTORIES, KINDS - 1)),
            residual=np.exp(SIGMA * SCORES)[None, :].repeat(lanes, 0),
            whole_us=np.full((n, lanes), SECOND),
            first_us=np.full((n, lanes), SECOND // 4),
        ),
        retries=replace(world.retries, most=np.full((1, KINDS), most), fallback=np.ones((1, KINDS), bool)),
    )


def of_requests(world: World, **columns: Any) -> World:
    """Return the world with these columns of its requests; a single value holds for all."""
    n = len(world.requests)
    full = {k: np.full(n, v, getattr(world.requests, k).dtype) if np.ndim(v) == 0 else v for k, v in columns.items()}
    return replace(world, requests=replace(world.requests, **full))


def chain(world: World, *lanes: int) -> World:
    """Send every request along these lanes."""
    return of_requests(world, chain=np.tile(np.array(lanes, np.int16), (len(world.requests), 1)))


def slower(seconds: Any) -> Any:
    """Return the probability that a call takes longer than this."""
    return stats.lognorm.sf(seconds, SIGMA)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_retries_succeed_as_a_geometric_law(most: int) -> None:
    """P(ok) = 1 − p^(r+1) and the calls made are (1 − p^(r+1)) / (1 − p) in the mean."""
    p = 0.4
    h = slow(failing(p, most=most))
    assert_share(h.end == OK, 1 - p ** (most + 1))
    assert_mean(np.bincount(h.row, minlength=N), (1 - p ** (most + 1)) / (1 - p))


def test_failures_depend_on_those_before() -> None:
    """With P(fail) of 0.5 at first, 0.8 after one failure and 0.9 after more, four calls all fail with 0.5 · 0.8 · 0.9²."""
    chance = np.full((2, HISTORIES), 0.9)
    chance[:, 0], chance[:, 1] = 0.5, 0.8
    h = slow(failing(chance, most=3))
    assert_share(h.end != OK, 0.5 * 0.8 * 0.9**2)


def test_kinds_fall_by_their_own_chances() -> None:
    """One uniform draw splits into kinds by the differences of the cumulative chances."""
    world = failing(0.0)
    cumulative = np.cumsum([0.1, 0.05, 0.2, 0.0, 0.15])
    h = slow(replace(world, lanes=replace(world.lanes, failure=np.broadcast_to(cumulative, world.lanes.failure.shape))))
    for kind, p in enumerate([0.5, 0.1, 0.05, 0.2, 0.0, 0.15]):
        assert_share(h.end == kind, p)


def test_a_retry_is_for_its_kind_and_a_fallback_for_its_own() -> None:
    """Kinds without retries end at once; the next lane is tried only after kinds that may fall back."""
    world = failing(0.0)
    cumulative = np.cumsum([0.2, 0.2, 0.2, 0.0, 0.0])
    most, fallback = np.zeros((1, KINDS), int), np.zeros((1, KINDS), bool)
    most[0, 1], fallback[0, 2] = 1, True
    failure = np.broadcast_to(cumulative, world.lanes.failure.shape)
    world = replace(
        world,
        lanes=replace(world.lanes, failure=failure),
        retries=replace(world.retries, most=most, fallback=fallback),
    )
    h = slow(chain(world, 0, 1))
    assert_share(h.purpose[h.attempt == 1] == RETRY, 0.5)
    # A kind-2 failure, at once or after a retry of kind 1, moves on: 0.2 + 0.2 · 0.2; there it has its own retry of kind 1.
    moved = 0.2 + 0.2 * 0.2
    assert_share(np.bincount(h.row[h.purpose == FALLBACK], minlength=N), moved)
    at_first = 0.4 + 0.2 * 0.4
    assert_share(h.end == OK, at_first + moved * at_first)


@pytest.mark.parametrize("most", [0, 2])
def test_retries_and_fallbacks_multiply(most: int) -> None:
    """On three lanes that always fail, (r + 1) · 3 calls are made; at p = 0.8 all of them fail with p^(3(r+1))."""
    h = slow(chain(failing(1.0, 50, 3, most=most), 0, 1, 2))
    assert (np.bincount(h.row) == 3 * (most + 1)).all()
    np.testing.assert_array_equal(np.bincount(h.purpose, minlength=4)[[RETRY, FALLBACK]], [50 * 3 * most, 50 * 2])
    h = slow(chain(failing(0.8, lanes=3, most=most), 0, 1, 2))
    assert_share(h.end != OK, 0.8 ** (3 * (most + 1)))


@pytest.mark.parametrize("after", [0.0, 0.6, 1.5])
def test_hedged_latency_is_the_earlier_of_two(after: float) -> None:
    """Without correlation latency is min(X1, d + X2): P(> t) = S(t) · S(t − d); the extra calls are S(d)."""
    world = failing(0.0)
    h = slow(of_requests(world, hedge=0, hedge_after_us=int(after * SECOND)))

    def cdf(t: Any) -> Any:
        return 1 - slower(t) * slower(t - after)

    assert stats.kstest((h.done_us - h.arrived_us) / SECOND, cdf).pvalue > 1e-4
    assert_share(np.bincount(h.row[h.purpose == HEDGE], minlength=N), float(slower(after)))
    assert (h.kind[h.answer] == OK).all()
    assert ((h.kind == OK).sum(), (h.kind == CANCELLED).sum()) == (N, (h.purpose == HEDGE).sum())


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 1.0])
def test_scores_of_two_calls_correlate_as_said(rho: float) -> None:
    """The logarithms of both latencies correlate with rho and keep their spread; at rho = 1 a hedge on an equal lane never gains."""
    world = failing(0.0)
    h = slow(of_requests(replace(world, lanes=replace(world.lanes, rho=rho)), hedge=1))
    first, second = (np.log(h.whole_us[h.attempt == k][np.argsort(h.row[h.attempt == k])] / SECOND) for k in (0, 1))
    assert abs(np.arctanh(min(np.corrcoef(first, second)[0, 1], 0.99999)) - np.arctanh(min(rho, 0.99999))) < 4.5 / np.sqrt(N)
    assert stats.kstest(second / SIGMA, "norm").pvalue > 1e-4
    assert rho < 1 or (h.done_us - h.arrived_us == h.whole_us[h.attempt == 0]).all()


def test_a_logged_success_sets_the_score_on_other_lanes() -> None:
    """A request whose log answered quickly answers quickly elsewhere: correlation rho with the logged score, and 1 at rho = 1."""
    base = failing(0.0)
    for rho in (0.5, 1.0):
        world = replace(base, log=replace(base.log, lane=np.zeros(N, np.int16)), lanes=replace(base.lanes, rho=rho))
        h = slow(chain(world, 1))
        took = np.log(h.whole_us / SECOND) / SIGMA
        if rho == 1:
            np.testing.assert_allclose(took, world.log.score, atol=1e-3)  # the factor is interpolated every 0.05
        else:
            assert abs(np.arctanh(np.corrcoef(took, world.log.score)[0, 1]) - np.arctanh(rho)) < 4.5 / np.sqrt(N)


def test_timeout_then_fallback() -> None:
    """P(ok) = F(T) + S(T) · F(T) on two lanes; who falls back waited T first; no latency is beyond 2 T."""
    timeout = 1.2
    h = slow(chain(of_requests(failing(0.0), timeout_us=int(timeout * SECOND)), 0, 1))
    late = float(slower(timeout))
    assert_share(h.end == OK, 1 - late**2)
    assert_share(h.end == CANCELLED, late**2)
    assert_share(np.bincount(h.row[h.purpose == FALLBACK], minlength=N), late)
    second = h.done_us[h.row[h.purpose == FALLBACK]] - h.arrived_us[h.row[h.purpose == FALLBACK]]
    within = second[h.end[h.row[h.purpose == FALLBACK]] == OK] / SECOND - timeout
    assert stats.kstest(within, lambda t: np.minimum((1 - slower(t)) / (1 - late), 1)).pvalue > 1e-4
    assert (h.done_us - h.arrived_us).max() <= 2 * timeout * SECOND


def test_cascade_escalates_what_is_not_accepted() -> None:
    """Those who are refused wait for both calls and the validator; where the second fails (q), the first answer is kept."""
    q, rng = 0.3, np.random.default_rng(5)
    accepted = rng.random(N) < 0.7
    world = of_requests(failing([0.0, q]), escalate=1, accepted=accepted, verify_us=2000)
    h = slow(world)
    first = h.whole_us[h.attempt == 0][np.argsort(h.row[h.attempt == 0])]
    assert (h.end == OK).all()
    np.testing.assert_array_equal(np.bincount(h.row[h.purpose == ESCALATION], minlength=N), ~accepted)
    np.testing.assert_array_equal((h.done_us - h.arrived_us)[accepted], first[accepted] + 2000)
    assert_share(h.purpose[h.answer][~accepted] == ESCALATION, 1 - q)
    better = h.answer[h.purpose[h.answer] == ESCALATION]
    rows = h.row[better]
    np.testing.assert_array_equal((h.done_us - h.arrived_us)[rows], first[rows] + 2000 + h.whole_us[better])
    np.testing.assert_array_equal(h.answer_us[rows], h.first_us[better])


def test_pauses_grow_and_are_shortened_at_random() -> None:
    """The r-th pause is the smaller of most and base · factor^(r − 1), less a uniform part of up to jitter of it."""
    world = failing(1.0, 1500, most=4)
    world = replace(
        world,
        retries=replace(
            world.retries,
            base_us=np.array([SECOND]),
            factor=np.array([3.0]),
            most_us=np.array([10 * SECOND]),
            jitter=np.array([0.25]),
            fallback=np.zeros((1, KINDS), bool),
        ),
    )
    h = slow(world)
    for r, pause in enumerate([1, 3, 9, 10], start=1):
        gap = h.start_us[h.attempt == r] - h.end_us[h.attempt == r - 1]
        assert stats.kstest(gap / SECOND, stats.uniform(0.75 * pause, 0.25 * pause).cdf).pvalue > 1e-4


def test_a_budget_caps_the_retries_of_an_outage() -> None:
    """When everything fails, retries are what was saved up and a tenth of what was sent, however many would be allowed."""
    world = failing(1.0, 1001, most=9)
    world = replace(
        world,
        retries=replace(world.retries, budget=np.array([0.125]), budget_most=np.array([8.0]), fallback=np.zeros((1, KINDS), bool)),
    )
    h = slow(world)
    assert (h.purpose == RETRY).sum() == 8 + 1000 // 8


def test_keeping_retry_after_is_enough() -> None:
    """Who is alone, refused, and comes back when it was told to, is let through: nothing is lost by rounding."""
    rng, n = np.random.default_rng(7), 600
    began = 3 * MINUTE * np.arange(n // 2)
    for limit in (1, 7, 997):
        after = rng.integers(1, MINUTE // limit, n // 2)  # the first took all, and the one token that the second needs is not there yet
        need = np.tile([limit, 1], n // 2)[:, None].repeat(2, 1)
        world = neutral(np.column_stack([began, began + after]).ravel())
        world = replace(
            world,
            lanes=replace(world.lanes, input_tokens=need, failed_us=np.zeros((2, KINDS), np.int64)),
            limits=Limits(np.zeros(2, np.int16), np.array([[np.inf, limit, np.inf]])),
            retries=replace(world.retries, most=np.full((1, KINDS), 1), retry_after=np.array([True])),
        )
        h = slow(world)
        assert (np.bincount(h.row) == np.tile([1, 2], n // 2)).all()
        np.testing.assert_array_equal(h.start_us[h.attempt == 1], began + -(-MINUTE // limit))


def test_throughput_under_load_is_the_limit() -> None:
    """Many who all come at once get through at the bucket's rate: one minute's worth at once, then 60 a minute."""
    n = 300
    world = neutral(np.zeros(n, int))
    world = replace(
        world,
        limits=Limits(np.zeros(2, np.int16), np.array([[60.0, np.inf, np.inf]])),
        lanes=replace(world.lanes, failed_us=np.zeros((2, KINDS), np.int64)),
        retries=replace(world.retries, most=np.full((1, KINDS), n), retry_after=np.array([True])),
    )
    h = slow(world)
    through = np.sort(h.start_us[h.drawn >= 0])
    np.testing.assert_array_equal(through, np.maximum(0, np.arange(n) - 59) * SECOND)


def asked(key: Any, capacity: int, lru: bool = True) -> Any:
    """Return whether each request hits a cache of this size; each is over before the next comes."""
    world = neutral(10 * SECOND * np.arange(len(key)))
    h = slow(replace(world, responses=replace(world.responses, key=key, capacity=capacity, lru=lru)))
    return h.source >= 0


POPULAR = np.array([0.5, 0.3, 0.15, 0.05])


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_hit_rates_under_independent_references(capacity: int) -> None:
    """LRU: King's formula over ordered contents; FIFO: contents in proportion to the product of their probabilities (King 1971)."""
    key = np.random.default_rng(11).choice(4, 20_000, p=POPULAR)
    lru = fifo = weight = 0.0
    for held in permutations(range(4), capacity):
        p = POPULAR[list(held)]
        missed_before = 1 - np.concatenate([[0.0], np.cumsum(p)[:-1]])
        lru += float(np.prod(p / missed_before) * p.sum())
        fifo, weight = fifo + float(np.prod(p) * p.sum()), weight + float(np.prod(p))
    for hits, expected in ((asked(key, capacity), lru), (asked(key, capacity, lru=False), fifo / weight)):
        blocks = hits.reshape(100, -1).mean(1)  # neighbours depend on each other, blocks hardly
        assert_mean(blocks, expected)


def poisson(rate_per_s: float, n: int = 20_000) -> World:
    """Return Poisson arrivals of one question with an answer that takes a microsecond."""
    gaps = np.random.default_rng(13).exponential(SECOND / rate_per_s, n)
    world = neutral(np.cumsum(gaps).astype(np.int64))
    one = np.ones(n, np.int64)
    return replace(
        world,
        log=replace(world.log, first_us=one, whole_us=one),
        responses=replace(world.responses, key=np.zeros(n, np.int64), capacity=1),
    )


def test_hit_rate_of_a_lifetime() -> None:
    """One question asked at rate λ with lifetime T is answered from the cache λT / (1 + λT) of the time: hits do not prolong it."""
    world = poisson(0.5)
    h = slow(replace(world, responses=replace(world.responses, ttl_us=np.full(len(world.requests), 3 * SECOND))))
    assert_mean((h.source >= 0).reshape(100, -1).mean(1), 1.5 / 2.5)


def test_calls_of_a_question_under_way() -> None:
    """If all who ask within D wait for the answer, the calls per request are 1 / (1 + λD); without waiting everybody calls."""
    world = poisson(0.5)
    n = len(world.requests)
    once = replace(world.responses, ttl_us=np.ones(n, np.int64))
    long = replace(world, log=replace(world.log, whole_us=np.full(n, 4 * SECOND)))
    h = slow(replace(long, responses=replace(once, coalesce=True)))
    assert_mean((h.source < 0).reshape(100, -1).mean(1), 1 / 3)
    waited = h.source >= 0
    np.testing.assert_array_equal(h.done_us[waited], h.done_us[h.source[waited]])
    assert (slow(replace(long, responses=once)).source < 0).all()
