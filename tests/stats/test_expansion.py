"""Totals of samples: the published variance, limits that cover, and nothing uncertain where everything was drawn."""

import numpy as np
import pytest

from planner.stats import expanded


def drawn(amount: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw units of ``amount`` one by one with the chance ``share``; two rows a unit."""
    kept = np.flatnonzero(rng.random(len(amount)) < share).repeat(2)
    return amount[kept] / 2 / share, np.full(len(kept), 1 / share), kept


def test_the_variance_is_that_of_a_poisson_sample() -> None:
    """Over all samples of a small population the squared standard error averages to the true variance of the total."""
    amount = np.arange(1.0, 31.0)
    share = 0.5
    rng = np.random.default_rng(0)
    found = [expanded(*drawn(amount, share, rng)) for _ in range(4_000)]
    true = (1 / share - 1) * np.square(amount).sum()
    values = np.array([float(f.value) for f in found])
    assert values.mean() == pytest.approx(amount.sum(), rel=0.01)
    assert values.var() == pytest.approx(true, rel=0.06)
    assert np.nanmean([float(f.se) ** 2 for f in found]) == pytest.approx(true, rel=0.02)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_intervals_cover(share: float) -> None:
    """At any share about 95 of 100 intervals of a skewed total hold the truth, and no lower limit is below what was seen."""
    rng = np.random.default_rng(1)
    amount = rng.lognormal(0, 1, 1_000)
    hits = tried = 0
    for _ in range(1_000):
        brought, weight, unit = drawn(amount, share, rng)
        found = expanded(brought, weight, unit)
        if np.isnan(found.low):
            continue
        tried += 1
        hits += bool(found.low <= amount.sum() <= found.high)
        assert found.low >= (brought / weight).sum()
    assert tried > 980
    assert 0.92 <= hits / tried <= 0.985


def test_what_was_drawn_together_counts_once() -> None:
    """A hundred rows of one unit are one observation: no interval; the same rows one by one have one."""
    brought, weight = np.full(100, 20.0), np.full(100, 20.0)
    assert np.isnan(expanded(brought, weight, np.zeros(100, np.int64)).low)
    assert np.isfinite(expanded(brought, weight, np.arange(100)).low)


def test_rows_that_stand_for_themselves_are_certain() -> None:
    """A certain row moves total and limits by its own amount, and alone leaves nothing uncertain; of no row nothing is known."""
    rng = np.random.default_rng(2)
    brought, weight, unit = drawn(rng.lognormal(0, 1, 400), 0.1, rng)
    part = expanded(brought, weight, unit)
    both = expanded(np.append(brought, 1_000.0), np.append(weight, 1.0), np.append(unit, 9_999))
    assert [float(getattr(both, n) - getattr(part, n)) for n in ("value", "low", "high")] == pytest.approx([1_000.0] * 3)
    alone = expanded(np.ones(50), np.ones(50), np.arange(50))
    assert (float(alone.value), float(alone.low), float(alone.high)) == (50.0, 50.0, 50.0)
    assert np.isnan(expanded(np.zeros(0), np.zeros(0), np.zeros(0, np.int64)).low)
