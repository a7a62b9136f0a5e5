"""Days that a log lacks: lost days of a busy provider are told from quiet days of one who is called seldom or in bunches."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from planner.prices.reconcile_days import absent

FIRST, LAST = dt.date(2026, 11, 1), dt.date(2026, 11, 30)
DAYS = np.arange("2026-11-01", "2026-12-01", dtype="datetime64[D]")


def lacking(counts: np.ndarray) -> list[int]:
    """Return the days of the month that a log with so many calls a day lacks."""
    lacks = absent(np.repeat(DAYS, counts), FIRST, LAST)
    return [day.day for day in DAYS.tolist() if lacks(day, day + dt.timedelta(days=1))]


def month(calls: int, *gaps: int) -> np.ndarray:
    """Return about so many calls every day, none on the days ``gaps``."""
    counts = np.random.default_rng(4).poisson(calls, 30)
    counts[np.array(gaps, int) - 1] = 0
    return counts


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        (month(50, 10, 11, 12), [10, 11, 12]),
        (month(50, 10), [10]),
        (month(50, *range(12, 31)), [*range(12, 31)]),
        (np.where(np.arange(30) % 7 < 5, 40, 0), []),
        (np.where(np.arange(30) % 7 == 0, 1_000, 0), []),
        (np.where(np.arange(30) % 3 == 0, 1, 0), []),
        (np.zeros(30, int), []),
        (np.full(30, 5), []),
    ],
    ids=["three lost days", "one lost day", "lost weeks", "weekends", "a batch a week", "a call every third day", "no call", "every day"],
)
def test_lost_days_are_told_from_quiet_ones(counts: np.ndarray, found: list[int]) -> None:
    """A silent run is lost where the provider's own pace, bunches counted as one, makes silence a chance of less than 1 in 1,000."""
    assert lacking(counts) == found


def test_chance_loses_no_day() -> None:
    """Of a thousand months with one to four calls a day, drawn independently, hardly any has a day that is taken for lost."""
    rng = np.random.default_rng(5)
    lost = sum(bool(lacking(rng.poisson(rng.integers(1, 5), 30))) for _ in range(1_000))
    assert lost <= 10


def test_a_charge_is_of_lost_days_alone_or_not_at_all() -> None:
    """A period with one day that the log has is not lost; one outside of the log is, whatever happened within."""
    lacks = absent(np.repeat(DAYS, month(50, 10, 11)), FIRST, LAST)
    assert lacks(dt.date(2026, 11, 10), dt.date(2026, 11, 12))
    assert not lacks(dt.date(2026, 11, 10), dt.date(2026, 11, 13))
    assert lacks(dt.date(2026, 12, 1), dt.date(2027, 1, 1))
    assert lacks(dt.date(2026, 10, 1), dt.date(2026, 11, 1))
    assert not lacks(dt.date(2026, 10, 1), dt.date(2026, 11, 2))
