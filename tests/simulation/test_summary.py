"""Summaries: exact sums, exact merges, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.simulation.summary import Summary, SummaryHeader, add_up, latency_bin, merge

HEADER = SummaryHeader("t", "p", "o", "book", "2026-11-01", 0, "user", ("app",), 7.0)


def summary(groups: tuple[tuple[str, ...], ...], seed: int, header: SummaryHeader = HEADER) -> Summary:
    """Make a summary of random integers."""
    rng = np.random.default_rng(seed)
    days = 256 if header.shared else 0
    shapes = {
        "sums": (256, 3, 13),
        "paired": (256, 7),
        "labelled": (256, 4),
        "latency": (4, 2000),
        "latency_buckets": (256, 4, 80),
        "exposure": (2, 3),
        "daily": (days, 10),
        "latency_daily": (days, 4, 80),
    }
    sums = {name: rng.integers(-(10**12), 10**12, (len(groups), *shape)) for name, shape in shapes.items()}
    return Summary(header, groups, samples=np.ones((2, 256, 5), np.int64), **sums)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**40), 2**40)), max_size=60))
def test_add_up_equals_a_loop(rows: list[tuple[int, int]]) -> None:
    """Adding into cells equals a Python loop, exactly, in any order."""
    cells, values = np.array([r[0] for r in rows], np.int64), np.array([[r[1]] for r in rows], np.int64).reshape(-1, 1)
    expected = [0, 0, 0, 0]
    for cell, value in rows:
        expected[cell] += value
    assert add_up(values, (cells,), (4,))[:, 0].tolist() == expected
    assert add_up(values[::-1], (cells[::-1],), (4,))[:, 0].tolist() == expected


def test_merge_is_exact_and_commutes() -> None:
    """Merging parts with different groups adds the integers, whatever the order."""
    a, b = summary((("chat",), ("code",)), 1), summary((("code",), ("rag",)), 2)
    ab, ba = merge(a, b), merge(b, a)
    assert ab.groups == ba.groups == (("chat",), ("code",), ("rag",))
    np.testing.assert_array_equal(ab.sums, ba.sums)
    np.testing.assert_array_equal(ab.sums[1], a.sums[1] + b.sums[0])
    np.testing.assert_array_equal(ab.latency[2], b.latency[1])


def test_merge_refuses_another_simulation() -> None:
    """Parts of different price dates are not parts of one simulation."""
    other = SummaryHeader("t", "p", "o", "book", "2026-10-01", 0, "user", ("app",), 7.0)
    with pytest.raises(InputError, match="price_date"):
        merge(summary((("chat",),), 1), summary((("chat",),), 1, other))


def test_saved_summary_comes_back(tmp_path) -> None:
    """A saved summary loads with the same header, groups and integers."""
    a = summary((("chat",), ("ünï",)), 5)
    b = Summary.open(a.save(tmp_path / "s.npz"))
    assert (a.header, a.groups) == (b.header, b.groups)
    for name in ("sums", "paired", "labelled", "latency"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_latency_quantile_is_within_half_a_percent() -> None:
    """The histogram's p50 and p99 agree with the sorted latencies to the width of a bin."""
    x = np.random.default_rng(6).lognormal(7, 1, 100_000)
    counts = np.bincount(latency_bin(x), minlength=2000)[None, None]
    s = replace(summary((("a",),), 1), latency=counts)
    for q in (0.5, 0.95, 0.99):
        assert s.latency_quantile(q) == pytest.approx(np.quantile(x, q), rel=0.006)
