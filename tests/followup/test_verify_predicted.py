"""A prediction beside what happened: how often it is called missed though it is right, and dollars at another number of requests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from planner.followup.verify_predicted import expected, verdict


@pytest.mark.parametrize("widths", [(1.0, 1.0), (3.0, 1.0), (1.0, 4.0), (0.0, 1.0)])
def test_a_right_prediction_is_missed_one_time_in_twenty(widths: tuple[float, float]) -> None:
    """Where prediction and measurement err independently around the same truth, 5 % are called missed, whatever their widths."""
    rng = np.random.default_rng(11)
    told, seen = rng.normal(0, widths[0], 8_000), rng.normal(0, widths[1], 8_000)
    reach = [1.959964 * w for w in widths]
    found = [verdict((p, p - reach[0], p + reach[0]), (o, o - reach[1], o + reach[1]))[0] for p, o in zip(told, seen, strict=True)]
    assert 0.042 < found.count("missed") / len(found) < 0.058


def test_a_wrong_prediction_is_missed_by_what_is_sure() -> None:
    """Ten widths apart it is always missed, on the side that the sign says, by less than the whole distance."""
    assert verdict((10.0, 9.0, 11.0), (0.0, -1.0, 1.0)) == ("missed", pytest.approx(10 - math.sqrt(2)))
    assert verdict((-10.0, -11.0, -9.0), (0.0, -1.0, 1.0)) == ("missed", pytest.approx(-(10 - math.sqrt(2))))


def test_dollars_follow_the_requests_and_shares_do_not() -> None:
    """Twice the requests of the plan's month make twice its dollars, of one app and of several; the share saved stays."""
    apps = {
        name: {
            "saving_usd_per_month": {"value": usd, "low": usd / 2, "high": 2 * usd},
            "saving_share": {"value": 0.3, "low": 0.2, "high": 0.4},
            "usd_per_month": {"log": 3 * usd, "plan": 2 * usd},
            "requests": 50,
            "requests_per_month": 100.0,
        }
        for name, usd in (("a", 10.0), ("b", 30.0), ("c", 5.0))
    }
    money = "saving_usd_per_month_all"
    assert expected({"apps": apps}, money, ["a"], "a", 200.0) == (20.0, 10.0, 40.0)
    assert expected({"apps": apps}, "saving_share", ["a"], "a", 200.0) == (0.3, 0.2, 0.4)
    both = expected({"apps": apps}, money, ["a", "b"], "all", 400.0)
    assert both[0] == 80.0
    assert math.isnan(both[1])
