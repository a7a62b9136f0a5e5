"""Laws of a simulation: the empty plan is the log, money is tokens × rates, a frontier is its simulations."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.errors import InputError, NeedsError, PriceError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook, audit
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.schema import LEDGER
from planner.simulation import World, ledger, price_date, run, simulate, trace
from planner.training import Training, train

DATE = dt.date(2026, 11, 1)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """The bundled catalogue."""
    return PriceBook.load()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, book: PriceBook) -> tuple[World, Training]:
    """A world with known truth, its router and outcomes."""
    traffic, labels = world_of(tmp_path_factory.mktemp("traffic"))
    training = train(labels, reference=MODELS[0], book=book, at=DATE)
    return World(traffic, fit_outcomes(traffic, labels, training), book, DATE), training


def always(model: str, tau: float = ALWAYS_TAU) -> Router:
    """A router that sends everything to ``model``."""
    k = len(MODELS)
    able = tuple(Capability(max_input_tokens=10**6) for _ in MODELS)
    rule = AlwaysRule.model(MODELS.index(model), 0, k)
    return Router(MODELS, MODELS[0], rule, Costs(np.array([3.0, 2, 1]), np.zeros(k), np.zeros(k), np.zeros(k)), able, tau=tau)


def test_empty_plan_at_logged_prices_is_the_audit(fitted: tuple[World, Training], book: PriceBook) -> None:
    """At as-logged prices the empty plan's integers are the audit's, request by request."""
    traffic = fitted[0].traffic
    today = simulate(traffic, book=book, at="as-logged")
    assert int(today.summary.measure("cost_pusd").sum()) == int(audit(traffic, book).cost_pusd.sum())
    assert today.cost().evidence == "measured"


def test_every_request_is_counted_once(fitted: tuple[World, Training]) -> None:
    """Any plan keeps all requests, and its groups add up to the whole."""
    world, training = fitted
    for plan in (Plan(), Plan((Route(training.router),), "routed"), Plan((Route(always(MODELS[2])),), "nano")):
        summary = run(world, plan).summary
        assert int(summary.measure("rows").sum()) == len(world.traffic)
        parts = sum(int(summary.measure("cost_pusd", g).sum()) for g in range(len(summary.groups)))
        assert parts == int(summary.measure("cost_pusd").sum())


def test_money_is_tokens_times_rates(tmp_path: Path, book: PriceBook) -> None:
    """Moving everything to another model costs the scaled tokens at that model's rates, computed here by hand."""
    traffic = traffic_of(
        tmp_path,
        {
            "provider": "openai",
            "model": MODELS[0],
            "input_tokens": [1000, 3000],
            "output_tokens": [200, 0],
            "messages": "hi",
            "text_state": "full",
        },
    )
    moved = simulate(traffic, Plan((Route(always(MODELS[1])),), "mini"), book=book, at=DATE)
    rates = book.quote(MODELS[1], at=DATE).usd_per_mtok
    assert moved.cost().value == pytest.approx((4000 * rates["input_tokens"] + 200 * rates["output_tokens"]) / 1e6, rel=1e-12)
    assert moved.cost().evidence == "assumed", "no labels say how many tokens the other model needs"


def test_a_route_to_the_logged_model_is_the_log(fitted: tuple[World, Training]) -> None:
    """A router that never moves anything gives the log itself: same integers, measured, nothing changed."""
    world, _ = fitted
    stay = always(MODELS[0], tau=-np.inf).with_references({"chat": MODELS[0], "search": MODELS[0]})
    only = world.rows.model.decode() == MODELS[0]
    summary = run(world, Plan((Route(stay),), "stay")).summary
    assert int(summary.pair("changed_micro").sum()) == int((~only).sum()) * 10**6


def test_frontier_equals_one_simulation_per_point(fitted: tuple[World, Training]) -> None:
    """Every point of the frontier has the integers of the simulation at its τ."""
    world, training = fitted
    curve = trace(world, training.router, points=21)
    for i in (0, len(curve.tau) // 2, len(curve.tau) - 1):
        summary = run(world, Plan((Route(training.router.with_tau(float(curve.tau[i]))),), "point")).summary
        width = summary.paired.shape[-1]
        np.testing.assert_array_equal(summary.measure("cost_difference_pusd"), curve.cost_difference[:, i])
        np.testing.assert_array_equal(summary.paired.sum(axis=0), curve.paired[:, i, :width])
        np.testing.assert_array_equal(summary.labelled.sum(axis=0), curve.paired[:, i, width:])


def test_the_ledger_adds_up_to_the_summary(fitted: tuple[World, Training]) -> None:
    """Per-request costs sum to the Summary's, in the columns of the contract, and only moved requests differ from the log."""
    world, training = fitted
    plan = Plan((Route(training.router.with_tau(0.05)),), "routed")
    moved, logged = ledger(world, plan), ledger(world, Plan())
    assert tuple(moved.columns) == LEDGER.names
    assert int(moved["cost_pusd"].sum()) == int(run(world, plan).summary.measure("cost_pusd").sum())
    same = moved["model"] == logged["model"]
    pd.testing.assert_frame_equal(moved[same], logged[same])
    assert not same.all()


def test_shares_of_the_frontier_are_choices(fitted: tuple[World, Training]) -> None:
    """The frontier's model shares equal counted choices, and sum to one."""
    world, training = fitted
    curve = trace(world, training.router, points=21)
    np.testing.assert_allclose(curve.shares.sum(axis=1), 1)
    scores = world.block.scores(training.router)
    codes, _ = training.router.choose(scores, float(curve.tau[-1]))
    steered = Route(training.router).steered(world.block, scores)
    expected = [float((codes[steered] == k).mean()) for k in range(len(MODELS))]
    np.testing.assert_allclose(curve.shares[-1], expected)


def test_same_seed_same_bytes(fitted: tuple[World, Training]) -> None:
    """Two runs of one plan agree in every integer; another seed redraws only what was drawn."""
    world, _ = fitted
    plan = Plan((Route(always(MODELS[2])),), "nano")
    a, b = (run(World(world.traffic, world.outcomes, world.book, DATE), plan).summary for _ in range(2))
    np.testing.assert_array_equal(a.sums, b.sums)
    assert a.header == b.header


def test_partial_summaries_merge_to_the_whole(tmp_path: Path, book: PriceBook) -> None:
    """Simulating two halves of a log and adding their integers equals simulating the log."""
    rng = np.random.default_rng(7)
    columns = {
        "user": [f"u{i % 40}" for i in range(200)],
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": rng.integers(1, 900, 200),
        "output_tokens": rng.integers(1, 90, 200),
        "messages": "hi",
        "text_state": "full",
    }
    columns["request_id"] = [f"r{i}" for i in range(200)]
    plan = Plan((Route(always(MODELS[1])),), "mini")
    parts = [(0, 90), (90, 200)]
    halves = [traffic_of(tmp_path / str(a), {k: v if isinstance(v, str) else v[a:b] for k, v in columns.items()}) for a, b in parts]
    whole = simulate(traffic_of(tmp_path / "all", columns), plan, book=book, at=DATE).summary
    split = [simulate(t, plan, book=book, at=DATE).summary for t in halves]
    np.testing.assert_array_equal(whole.sums, split[0].sums + split[1].sums)
    np.testing.assert_array_equal(whole.paired, split[0].paired + split[1].paired)
    np.testing.assert_array_equal(whole.latency, split[0].latency + split[1].latency)


def test_corrected_quality_covers_the_truth(tmp_path: Path, book: PriceBook) -> None:
    """Over twelve worlds, the 95 % interval of everything on nano holds its true quality (0.54) at least nine times."""
    hits = 0
    for seed in range(12):
        traffic, labels = world_of(tmp_path / str(seed), seed=seed)
        training = train(labels, reference=MODELS[0], book=book, at=DATE)
        world = World(traffic, fit_outcomes(traffic, labels, training), book, DATE)
        found = run(world, Plan((Route(always(MODELS[2])),), "nano")).quality()
        truth = np.where(["prove" in m for m in traffic.frame("messages")["messages"]], 0.15, 0.8).mean()
        assert found.evidence == "estimated"
        hits += bool(found.low is not None and found.high is not None and found.low <= truth <= found.high)
    assert hits >= 9


def test_noise_gives_no_routed_gain(tmp_path: Path, book: PriceBook) -> None:
    """Where labels are pure noise, a routed plan's quality differs from the reference's within its interval."""
    traffic, labels = world_of(tmp_path)
    shuffled = labels.outcomes.assign(quality=np.random.default_rng(8).integers(0, 2, len(labels.outcomes)).astype(float))
    noise = type(labels).of(labels.items, shuffled)
    training = train(noise, reference=MODELS[0], book=book, at=DATE)
    world = World(traffic, fit_outcomes(traffic, noise, training), book, DATE)
    found = run(world, Plan((Route(training.router.with_tau(0.0)),), "routed")).quality_difference()
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0 <= found.high


def test_excess_failures_are_charged(tmp_path: Path, book: PriceBook) -> None:
    """A model that fails more often than the logged one brings its excess failures, by kind, and never fewer than logged."""
    n = 4000
    model = np.where(np.arange(n) % 2 == 0, MODELS[0], MODELS[1])
    status = np.where((model == MODELS[1]) & (np.arange(n) % 10 == 1), "validation", "ok")
    traffic = traffic_of(
        tmp_path, {"provider": "openai", "model": model, "status": status, "input_tokens": 100, "messages": "hi", "text_state": "full"}
    )
    outcomes = fit_outcomes(traffic)
    up = simulate(traffic, Plan((Route(always(MODELS[1])),), "mini"), outcomes=outcomes, book=book, at=DATE)
    down = simulate(traffic, Plan((Route(always(MODELS[0], tau=-np.inf)),), "dear"), outcomes=outcomes, book=book, at=DATE)
    assert up.failures() == pytest.approx(0.2, abs=0.02), "one in five of mini's own calls fails"
    assert down.failures() == pytest.approx(0.1), "logged failures are kept"


def test_without_labels_quality_is_unknown(fitted: tuple[World, Training]) -> None:
    """Without labels no quality is reported, and the text says so."""
    world, _ = fitted
    moved = simulate(world.traffic, Plan((Route(always(MODELS[2])),), "nano"), outcomes=Outcomes(), book=world.book, at=DATE)
    assert np.isnan(moved.quality_difference().value)
    assert "unknown" in moved.text


def test_gateway_cache_hits_cost_nothing(tmp_path: Path, book: PriceBook) -> None:
    """A request answered from the gateway's cache has no call, no cost, and is not steered."""
    traffic = traffic_of(
        tmp_path,
        {
            "provider": "openai",
            "model": MODELS[0],
            "input_tokens": [1000, 1000],
            "cache_hit": [True, False],
            "messages": "hi",
            "text_state": "full",
        },
    )
    moved = simulate(traffic, Plan((Route(always(MODELS[1])),), "mini"), book=book, at=DATE)
    assert int(moved.summary.measure("calls").sum()) == 1
    assert moved.changed() == 0.5


@pytest.mark.parametrize("weight", [1.0, 50.0])
def test_weights_stand_for_requests(tmp_path: Path, book: PriceBook, weight: float) -> None:
    """A sampled log counts every row as many times as it stands for."""
    traffic = traffic_of(tmp_path, {"provider": "openai", "model": MODELS[0], "input_tokens": [1000] * 4, "weight": weight})
    today = simulate(traffic, book=book, at=DATE)
    one = book.quote(MODELS[0], at=DATE).usd_per_mtok["input_tokens"] * 1000 / 1e6
    assert today.cost().value == pytest.approx(4 * weight * one)
    assert today.requests() == 4 * weight


def test_bad_plans_are_refused_before_anything_runs(tmp_path: Path, book: PriceBook) -> None:
    """Two routes, an unknown group, a model without a rate and a log without rows: one sentence each."""
    traffic = traffic_of(
        tmp_path / "a", {"provider": "openai", "model": MODELS[0], "input_tokens": [10], "messages": "hi", "text_state": "full"}
    )
    with pytest.raises(InputError, match="two levers for lever route"):
        Plan((Route(always(MODELS[1])), Route(always(MODELS[2]))), "twice")
    with pytest.raises(InputError, match="by='hour'"):
        simulate(traffic, book=book, by=("hour",))
    strange = Router(
        ("gpt-5.4", "no-such-model"),
        "gpt-5.4",
        AlwaysRule.model(1, 0, 2),
        Costs(np.ones(2), *(np.zeros(2),) * 3),
        (Capability(10**6),) * 2,
        tau=ALWAYS_TAU,
    )
    with pytest.raises(PriceError, match="no-such-model"):
        simulate(traffic, Plan((Route(strange),), "strange"), book=book)
    with pytest.raises(InputError, match="no rows"):
        simulate(traffic_of(tmp_path / "b", {"model": [], "input_tokens": []}), book=book)


def test_price_date_is_stated(book: PriceBook) -> None:
    """The date of a plan's prices is the catalogue's own unless another is stated."""
    assert price_date(book, None) == book.date
    assert price_date(book, "2026-03-01") == dt.date(2026, 3, 1)


def test_a_lever_names_the_column_it_misses(tmp_path: Path, book: PriceBook) -> None:
    """A plan over a log without the column a lever needs says which."""
    traffic = traffic_of(tmp_path, {"provider": "openai", "model": MODELS[0], "input_tokens": [10]})
    with pytest.raises(NeedsError, match="messages"):
        simulate(traffic, Plan((Route(always(MODELS[1])),), "mini"), book=book)
