"""Keyed draws: uniform, independent, and the same whatever the order or the split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from planner.stats.draws import key, normal, uniform, words

KEYS = key(f"request-{i}" for i in range(100_000))


def test_keys_are_distinct_and_stable() -> None:
    """A hundred thousand ids give as many keys, and one of them is the literal written here."""
    assert len(np.unique(KEYS)) == len(KEYS)
    assert int(key(["request-0"])[0]) == int(KEYS[0]) == 0xFF2A6C38E8526020


@pytest.mark.parametrize("keys", [KEYS, np.arange(100_000, dtype=np.uint64), np.arange(100_000, dtype=np.uint64) << np.uint64(40)])
def test_uniform_is_uniform(keys: np.ndarray) -> None:
    """Hashed, consecutive and high-bit keys all pass Kolmogorov–Smirnov and a chi-square over 256 cells."""
    u = uniform(11, keys, "latency")
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert stats.chisquare(np.bincount((u * 256).astype(int), minlength=256)).pvalue > 1e-4
    assert 0 < u.min() < u.max() < 1


def test_normal_is_standard() -> None:
    """Normal draws pass Kolmogorov–Smirnov against the standard normal."""
    assert stats.kstest(normal(11, KEYS, "residual"), "norm").pvalue > 1e-4


def test_purposes_seeds_and_neighbours_are_independent() -> None:
    """Another purpose, another seed and the next key are uncorrelated with this draw (within 4 standard errors)."""
    u = uniform(1, np.arange(100_000, dtype=np.uint64), "a")
    others = [uniform(1, np.arange(100_000, dtype=np.uint64), "b"), uniform(2, np.arange(100_000, dtype=np.uint64), "a"), np.roll(u, 1)]
    for other in others:
        assert abs(np.corrcoef(u, other)[0, 1]) < 4 / np.sqrt(len(u))


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50), st.integers(0, 2**31), st.data())
@settings(max_examples=60, deadline=None)
def test_draws_do_not_depend_on_order_or_split(values: list[int], seed: int, data: st.DataObject) -> None:
    """Permuting or splitting the keys permutes or splits the draws."""
    keys = np.array(values, np.uint64)
    order = np.array(data.draw(st.permutations(range(len(values)))))
    cut = data.draw(st.integers(0, len(values)))
    whole = normal(seed, keys, "p")
    assert np.array_equal(normal(seed, keys[order], "p"), whole[order])
    assert np.array_equal(np.concatenate([normal(seed, keys[:cut], "p"), normal(seed, keys[cut:], "p")]), whole)


def test_words_are_a_bijection_of_the_key() -> None:
    """Distinct keys never collide for one seed and purpose."""
    assert len(np.unique(words(3, KEYS, "p"))) == len(KEYS)
