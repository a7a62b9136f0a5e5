"""What a number must not do: overflow, drop labels, borrow another app's quality, or turn failures into savings."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.errors import InputError
from planner.labels import Labels
from planner.outcomes import Outcomes, Ratio, fit_outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook, audit
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.simulation import World, run, simulate, trace
from planner.simulation.summary import add_up
from planner.training import Training, train

DATE = dt.date(2026, 11, 1)
DEAR, MINI, NANO = MODELS


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """The bundled catalogue."""
    return PriceBook.load()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, book: PriceBook) -> tuple[World, Training, Labels]:
    """A world with known truth, its training and its labels."""
    traffic, labels = world_of(tmp_path_factory.mktemp("traffic"))
    training = train(labels, reference=DEAR, book=book, at=DATE)
    return World(traffic, fit_outcomes(traffic, labels, training), book, DATE), training, labels


def always(model: str) -> Router:
    """A router that sends everything to ``model``."""
    costs = Costs(np.array([3.0, 2, 1]), *(np.zeros(3) for _ in range(3)))
    return Router(MODELS, DEAR, AlwaysRule.model(MODELS.index(model), 0, 3), costs, (Capability(10**6),) * 3, tau=ALWAYS_TAU)


def asked(n: int, **columns: object) -> dict[str, object]:
    """Columns of ``n`` plain requests to the dear model."""
    return {"provider": "openai", "model": DEAR, "input_tokens": [1000] * n, "messages": "hi", "text_state": "full", **columns}


def test_a_bill_of_tens_of_millions_adds_up(tmp_path: Path, book: PriceBook) -> None:
    """More than 64 bits of pico-dollars in all are summed exactly: the simulation is still the audit."""
    columns = asked(400, input_tokens=[1_000_000] * 400, output_tokens=[100_000] * 400, user=[f"u{i}" for i in range(400)], weight=20_000.0)
    traffic = traffic_of(tmp_path, columns)
    whole = simulate(traffic, book=book, at="as-logged").cost().value
    assert whole > 2e7
    assert whole == pytest.approx(audit(traffic, book).total.value, rel=1e-12)


def test_a_cell_that_cannot_hold_its_sum_is_refused() -> None:
    """One cell beyond 64 bits is an error, never a wrapped number."""
    with pytest.raises(InputError, match="64 bits"):
        add_up(np.full((3, 1), 2**62), (np.zeros(3, np.int64),), (1,))


def test_labels_of_other_users_still_correct(fitted: tuple[World, Training, Labels], book: PriceBook, tmp_path: Path) -> None:
    """Labels whose users are not in the log count in full: the corrected quality is that of their plug-in plus all residuals."""
    _, training, labels = fitted
    few = traffic_of(
        tmp_path, asked(300, app="chat", user=[f"other{i % 12}" for i in range(300)], messages='[{"role":"user","content":"list the sum"}]')
    )
    outcomes = fit_outcomes(few, labels, training)
    found = run(World(few, outcomes, book, DATE), Plan((Route(always(NANO)),), "nano")).quality()
    held = outcomes.holdout
    assert held is not None
    assert outcomes.predicted is not None
    column = outcomes.predicted.models.index(NANO)
    residual = np.average(held.measured.values[:, column] - held.predicted.values[:, column], weights=held.rows.weight)
    assert found.value == pytest.approx(float(outcomes.predicted.values[:, column].mean()) + residual, abs=1e-6)
    assert found.n == len(held.rows)


@pytest.mark.parametrize("by", [("provider",), ("tier",), ("model",), ()])
def test_grouping_changes_no_total(fitted: tuple[World, Training, Labels], by: tuple[str, ...]) -> None:
    """However the summary is grouped, the corrected quality of the whole is the same."""
    world, training, _ = fitted
    plan = Plan((Route(training.router.with_tau(0.1)),), "routed")
    other = World(world.traffic, world.outcomes, world.book, DATE, by)
    a, b = run(world, plan).quality_difference(), run(other, plan).quality_difference()
    assert (a.value, a.low, a.high, a.n) == (b.value, b.low, b.high, b.n)


def test_frontier_is_simulation_with_labels_from_elsewhere(fitted: tuple[World, Training, Labels], book: PriceBook) -> None:
    """Labels of apps that the log does not know correct the frontier and the simulation alike."""
    world, _, labels = fitted
    strange = Labels.of(
        labels.items.assign(app="default", request_id="x" + labels.items["request_id"]),
        labels.outcomes.assign(request_id="x" + labels.outcomes["request_id"]),
    )
    training = train(strange, reference=DEAR, book=book, at=DATE)
    other = World(world.traffic, fit_outcomes(world.traffic, strange, training), book, DATE)
    curve = trace(other, training.router, points=11)
    level = len(curve.tau) // 2
    simulated = run(other, Plan((Route(training.router.with_tau(float(curve.tau[level]))),), "x")).quality_difference()
    row = curve.table.iloc[level]
    assert simulated.n > 0
    assert [row["quality_difference"], row["quality_low"], row["quality_high"]] == pytest.approx(
        [simulated.value, simulated.low, simulated.high]
    )


def test_an_apps_frontier_is_about_that_app(fitted: tuple[World, Training, Labels]) -> None:
    """Looking at one app, money and quality are its own: as in the simulation's row of that app."""
    world, training, _ = fitted
    curve = trace(world, training.router, app="chat", points=11)
    level = len(curve.tau) - 1
    simulated = run(world, Plan((Route(training.router.with_tau(float(curve.tau[level]))),), "x"))
    own = simulated.table.set_index("app").loc["chat"]
    row = curve.table.iloc[level]
    for name in ("usd_per_month", "saving_usd_per_month", "quality_difference"):
        assert row[name] == pytest.approx(own[name])


def test_nothing_moves_means_no_difference(fitted: tuple[World, Training, Labels], book: PriceBook, tmp_path: Path) -> None:
    """Where every app keeps its model of today, labels from outside the log move no quality either."""
    _, training, labels = fitted
    outside = Labels.of(
        labels.items.assign(request_id="x" + labels.items["request_id"]),
        labels.outcomes.assign(request_id="x" + labels.outcomes["request_id"]),
    )
    traffic = traffic_of(
        tmp_path, asked(200, app=["chat", "search"] * 100, model=[MINI, DEAR] * 100, user=[f"u{i % 40}" for i in range(200)])
    )
    again = train(outside, reference=DEAR, references={"chat": MINI, "search": DEAR}, book=book, at=DATE)
    world = World(traffic, fit_outcomes(traffic, outside, again), book, DATE)
    row = trace(world, again.router).table.iloc[0]
    assert (row["changed_share"], row["quality_difference"], row["quality_low"]) == (0.0, 0.0, 0.0)
    assert training.router.family != again.router.family


def test_without_labels_no_floor_clears(fitted: tuple[World, Training, Labels]) -> None:
    """Without labels the frontier has money but no quality bound, no level for a floor, and says why."""
    world, training, _ = fitted
    curve = trace(World(world.traffic, Outcomes(), world.book, DATE), training.router, points=11)
    assert curve.for_floor(0.02) is None
    assert "no label" in curve.text
    assert curve.table["quality_low"].isna().iloc[-1]


def test_an_app_without_labels_has_no_interval(fitted: tuple[World, Training, Labels], book: PriceBook) -> None:
    """Where no held-out label corrects a mean of predictions, it is assumed and has no interval."""
    world, _, labels = fitted
    chat = labels.take((labels.items["app"] == "chat").to_numpy())
    training = train(chat, reference=DEAR, book=book, at=DATE)
    other = World(world.traffic, fit_outcomes(world.traffic, chat, training), book, DATE)
    result = run(other, Plan((Route(always(NANO)),), "nano"))
    search = result.summary.groups.index(("search",))
    found = result.quality(search)
    assert (found.low, found.high, found.evidence, found.n) == (None, None, "assumed", 0)


def test_few_labelled_users_widen_or_refuse(fitted: tuple[World, Training, Labels], book: PriceBook) -> None:
    """Labels of three users give a corrected value but no interval, however many users the log has."""
    world, training, labels = fitted
    few = Labels.of(
        labels.items.assign(user=[f"l{i % 3}" for i in range(len(labels))], request_id="x" + labels.items["request_id"]),
        labels.outcomes.assign(request_id="x" + labels.outcomes["request_id"]),
    )
    outcomes = fit_outcomes(world.traffic, few, replace(training))
    found = run(World(world.traffic, outcomes, book, DATE), Plan((Route(always(NANO)),), "nano")).quality()
    assert (found.low, found.high) == (None, None)


def test_failing_saves_nothing(tmp_path: Path, book: PriceBook) -> None:
    """A model that fails more often is billed for the input of what fails: with no answers logged, failing changes no cost."""
    traffic = traffic_of(tmp_path, asked(2000))
    rates = {DEAR: np.array([1.0, 0, 0, 0, 0, 0]), MINI: np.array([0.6, 0, 0, 0, 0.4, 0])}
    same = {(DEAR, MINI): Ratio(1.0, 1.0, 0.0, 1.0, 99)}
    plan = Plan((Route(always(MINI)),), "mini")
    sound, failing = (simulate(traffic, plan, outcomes=o, book=book, at=DATE) for o in (Outcomes(same), Outcomes(same, failures=rates)))
    assert failing.failures() > 0.3
    assert failing.cost().value == sound.cost().value
    assert failing.saving().shares["assumed"] > 0


def test_failed_requests_keep_their_bill(tmp_path: Path, book: PriceBook) -> None:
    """A request that failed as logged, and was billed, is billed elsewhere too."""
    status = ["ok", "validation"] * 50
    good, bad = (traffic_of(tmp_path / n, asked(100, status=s)) for n, s in (("a", "ok"), ("b", status)))
    plan = Plan((Route(always(MINI)),), "mini")
    assert simulate(good, plan, book=book, at=DATE).cost().value == simulate(bad, plan, book=book, at=DATE).cost().value


def test_unpriced_rows_are_in_no_figure(tmp_path: Path, book: PriceBook) -> None:
    """A logged model without a price makes neither a saving nor a loss, and is counted in words."""
    traffic = traffic_of(tmp_path, asked(100, model=[DEAR, "my-own-model"] * 50))
    moved = simulate(traffic, Plan((Route(always(MINI)),), "mini"), book=book, at=DATE)
    half = simulate(traffic_of(tmp_path / "half", asked(50)), Plan((Route(always(MINI)),), "mini"), book=book, at=DATE)
    assert moved.saving().value == pytest.approx(half.saving().value)
    assert "50 rows of the log have no price" in moved.text


def test_overhead_is_cost_not_demand(tmp_path: Path, book: PriceBook) -> None:
    """A judge's own failing calls cost money, but are neither requests nor failures of the users'."""
    columns = asked(100, purpose=["user", "overhead"] * 50, status=["ok", "transport"] * 50)
    today = simulate(traffic_of(tmp_path, columns), book=book, at=DATE)
    assert (today.requests(), today.failures()) == (50, 0)
    assert today.cost().value == pytest.approx(2 * simulate(traffic_of(tmp_path / "half", asked(50)), book=book, at=DATE).cost().value)


def test_a_tier_that_is_not_sold_stays(tmp_path: Path, book: PriceBook) -> None:
    """One request in a tier that the other model does not sell stays as logged; the others move."""
    tiers = ["standard"] * 9 + ["no-such-tier"]
    book_has = simulate(traffic_of(tmp_path, asked(10, service_tier=tiers)), Plan((Route(always(MINI)),), "mini"), book=book, at=DATE)
    assert book_has.changed() == pytest.approx(0.9)


def test_later_turns_of_a_moved_session_are_assumed(tmp_path: Path, book: PriceBook) -> None:
    """The first turn of a moved session is estimated; what follows answers another history, and is assumed."""
    times = pd.date_range("2026-10-20", periods=4, freq="min", tz="UTC")
    traffic = traffic_of(tmp_path, asked(4, session_id=["s", "s", "t", None], timestamp=times))
    known = Outcomes({(DEAR, MINI): Ratio(1.0, 1.0, 0.0, 1.0, 99)})
    saving = simulate(traffic, Plan((Route(always(MINI)),), "mini"), outcomes=known, book=book, at=DATE).saving()
    assert saving.shares["estimated"] == pytest.approx(3 * saving.shares["assumed"])
