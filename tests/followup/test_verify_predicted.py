"""A prediction beside what happened: how often it is called missed though it is right, and dollars at another number of requests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.exported import Office, office

from planner.bundle.prediction import predict
from planner.followup.verify_predicted import expected, of_routing, verdict
from planner.outcomes import fit_outcomes
from planner.policies import ExactCache, Plan, Retry, Route
from planner.prices import PriceBook
from planner.simulation import World, run


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


def test_without_an_interval_nothing_holds_or_is_missed() -> None:
    """A prediction or a measurement whose limits nobody knows has no verdict, however near or far the other is."""
    for told in (0.0, 100.0):
        assert verdict((told, math.nan, math.nan), (0.0, -1.0, 1.0))[0] == ""
        assert verdict((0.0, -1.0, 1.0), (told, math.nan, math.nan))[0] == ""


def test_one_app_has_one_prediction() -> None:
    """Where a single app of several was routed, the line of all apps has its prediction, with the interval, in every measure."""
    estimate = {"value": 10.0, "low": 5.0, "high": 20.0}
    own = dict.fromkeys(("saving_usd_per_month", "saving_share", "quality_difference"), estimate)
    own |= {"failure_share": {"log": 0.1, "plan": 0.2}, "p95_of_all_ms": {"log": 1.0, "plan": 2.0}, "requests_per_month": 100.0}
    for measure in ("saving_share", "saving_usd_per_month_all", "quality", "failures", "p95_ms"):
        alone, whole = (expected({"apps": {"a": own, "b": own}}, measure, ["a"], app, 200.0) for app in ("a", "all"))
        assert repr(whole) == repr(alone)
        assert not math.isnan(alone[0])


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return the office."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def world(made: Office) -> World:
    """Open it."""
    book = PriceBook.load()
    return World(made.traffic, fit_outcomes(made.traffic, made.labels, made.training), book, book.date)


def test_routing_is_predicted_beyond_the_other_levers(made: Office, world: World) -> None:
    """What is compared with arms is the plan's saving, failures and quality less those of the same plan without its route."""
    router = made.training.router
    levers = (Retry({"transport": 2}), ExactCache(3_600, apps=("desk",)))
    whole, kept = run(world, Plan((Route(router), *levers), "careful")), run(world, Plan(levers, "kept"))
    told = predict(world, Plan((Route(router), *levers), "careful"), router)
    found = of_routing(told)
    assert kept.saving().value != 0
    for app, group in [("all", None), *((name, whole.summary.groups.index((name,))) for name in ("chat", "desk"))]:
        saved = kept.cost(group).value - whole.cost(group).value
        assert expected(found, "saving_share", ["chat", "desk"], app)[0] == pytest.approx(saved / kept.cost(group).value)
        monthly = expected(found, "saving_usd_per_month_all", ["chat", "desk"], app, whole.requests(group) * whole.per_month)
        assert monthly[0] == pytest.approx(saved * whole.per_month)
        assert monthly[1] < monthly[0] < monthly[2]
        assert expected(found, "failures", ["chat", "desk"], app)[0] == pytest.approx(whole.failures(group) - kept.failures(group))
    assert found["saving_share"]["low"] < found["saving_share"]["value"] < found["saving_share"]["high"]
    assert told["saving_share"]["value"] != pytest.approx(found["saving_share"]["value"])


def test_a_route_alone_is_the_whole_prediction(made: Office, world: World) -> None:
    """A plan that only routes predicts of its arms what it predicts at all; beside a cache that hardly acts that hardly changes."""
    router = made.training.router
    alone = predict(world, Plan((Route(router),), "route"), router)
    assert alone["routing"] is None
    assert of_routing(alone) is alone
    idle = of_routing(predict(world, Plan((Route(router), ExactCache(1, capacity=1, apps=("desk",))), "route and idle"), router))
    for name in ("saving_share", "saving_usd_per_month", "quality_difference"):
        assert idle[name]["value"] == pytest.approx(alone[name]["value"], rel=0.01)


def test_p95_is_of_all_requests(made: Office, world: World) -> None:
    """With a share f that fails, p95 of all requests is the quantile 0.95 / (1 − f) of those answered, as in the log itself."""
    told = predict(world, Plan((Route(made.training.router),), "route"), made.training.router)
    frame = made.traffic.frame("status", "latency_ms")
    latency = np.where(frame["status"] == "ok", frame["latency_ms"], np.inf)
    assert 0 < (frame["status"] != "ok").mean() < 0.05
    assert told["p95_of_all_ms"]["log"] == pytest.approx(float(np.quantile(latency, 0.95, method="inverted_cdf")), rel=0.01)
    assert told["p95_of_all_ms"]["log"] > run(world, Plan()).summary.latency_quantile(0.95)
