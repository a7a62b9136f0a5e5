"""The prediction in a manifest: what simulation says, in plain JSON, with counts of the log that a later one can be set beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exported import Office, office
from support.small import MODELS, prompt, traffic_of

from planner.bundle.gateway_readme import expected
from planner.bundle.prediction import busiest, predict
from planner.bundle.preflight import peaks_of
from planner.bundle.profile import profile
from planner.errors import NeedsError
from planner.outcomes import fit_outcomes
from planner.policies import Plan, Retry, Route
from planner.prices import PriceBook
from planner.router.structure import STRUCTURE
from planner.simulation import World, run
from planner.stats import draws
from planner.traffic.sampling import sampled

PIECES = ("features", "scores")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return the office."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def world(made: Office) -> World:
    """Open it."""
    book = PriceBook.load()
    return World(made.traffic, fit_outcomes(made.traffic, made.labels, made.training), book, book.date)


@pytest.fixture(scope="module")
def plan(made: Office) -> Plan:
    """Route, and retry what fails."""
    return Plan((Route(made.training.router), Retry({"transport": 2})), "careful")


@pytest.fixture(scope="module")
def found(world: World, plan: Plan, made: Office) -> dict[str, Any]:
    """Predict once."""
    return predict(world, plan, made.training.router)


def test_it_is_what_simulate_says(world: World, plan: Plan, found: dict[str, Any]) -> None:
    """Saving, quality, failures and requests, in all and by app, are those of ``simulate``, interval included."""
    said = run(world, plan)
    table = said.table.set_index("app")
    for app, own in {"all": found, **found["apps"]}.items():
        line = table.loc[app]
        assert own["saving_usd_per_month"]["value"] == pytest.approx(line["saving_usd_per_month"])
        assert own["saving_usd_per_month"]["low"] == pytest.approx(line["saving_low"])
        assert own["saving_usd_per_month"]["high"] == pytest.approx(line["saving_high"])
        assert own["usd_per_month"]["log"] - own["usd_per_month"]["plan"] == pytest.approx(line["saving_usd_per_month"])
        assert own["quality_difference"]["value"] == pytest.approx(line["quality_difference"])
        assert own["requests_per_month"] == pytest.approx(line["requests_per_month"])
        assert own["changed_share"] == line["changed_share"]
        assert own["failure_share"]["plan"] == line["failure_share"] < own["failure_share"]["log"]
        assert own["usd_per_1k"]["log"] == pytest.approx(1_000 * own["usd_per_month"]["log"] / own["requests_per_month"])
        assert sum(own["mix"]["plan"].values()) == pytest.approx(1)
        assert own["mix"]["log"] == {MODELS[0]: 1.0}
    assert found["saving_usd_per_month"]["evidence"] in ("estimated", "assumed")
    assert found["plan"] == {"name": "careful", "hash": plan.hash, "levers": ["route", "retry"], "words": [x.words() for x in plan.levers]}


def test_it_is_plain_json_without_text(made: Office, found: dict[str, Any]) -> None:
    """Everything is JSON without NaN, the same the second time, and holds no word of any request."""
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert not [w for w in ("orchard", "kettle", "Summarise", "python") if w in text]


def test_rates_are_the_books(found: dict[str, Any]) -> None:
    """The rates written down are the book's at the plan's date, for every model of the log and of the plan."""
    book = PriceBook.load()
    assert {*found["prices"]["rates"]} >= {*found["mix"]["log"], *found["mix"]["plan"]}
    for model, own in found["prices"]["rates"].items():
        assert own["usd_per_mtok"] == dict(book.quote(model, at=book.date).usd_per_mtok)
    assert found["prices"]["date"] == str(book.date)


def test_features_used_are_counted(made: Office, found: dict[str, Any]) -> None:
    """Shares of requests with a format, a stream or tools are the log's own."""
    frame = made.traffic.frame("response_format", "stream", "has_tools")
    assert found["used"]["json_object"] == pytest.approx((frame["response_format"] == "json_object").mean())
    assert found["used"]["stream"] == pytest.approx(frame["stream"].mean())
    assert (found["used"]["tools"], found["used"]["max_tokens"]) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50)), max_size=40))
def test_the_busiest_minute_is_the_largest_of_all(arrivals: list[tuple[int, int]]) -> None:
    """No window of 60 seconds, wherever it begins, holds more than is said, and one holds exactly that."""
    at, amount = (np.array([a[j] for a in arrivals], np.int64) for j in (0, 1))
    wanted = max((int(amount[(at >= start) & (at < start + 60)].sum()) for start in range(301)), default=0)
    assert busiest(at * 1_000_000, amount) == wanted


def test_peaks_move_with_the_requests(made: Office, found: dict[str, Any]) -> None:
    """Under the plan a model's peak is that of the requests it answers; a log alone gives the same, but for retries and token ratios."""
    cheap, dear = found["peaks"][MODELS[2]], found["peaks"][MODELS[0]]
    assert cheap["rpm"]["log"] == 0 < cheap["rpm"]["plan"]
    assert dear["input_tpm"]["plan"] <= dear["input_tpm"]["log"]
    alone = peaks_of(made.traffic, made.training.router, PriceBook.load())
    assert alone[MODELS[0]]["rpm"] == {"log": dear["rpm"]["log"], "plan": 1}
    assert dear["rpm"]["plan"] == 3, "one request, and the plan's two retries"
    assert alone[MODELS[2]]["input_tpm"]["log"] == 0 < alone[MODELS[2]]["input_tpm"]["plan"]


def test_a_sample_has_no_peaks_and_a_thin_one_no_limits(made: Office, plan: Plan, tmp_path: Path) -> None:
    """No busiest minute is made up of what a sample's rows stand for, nor given for one; where it is too thin, no saving has limits."""
    router, book = made.training.router, PriceBook.load()
    for share, told in ((0.5, True), (0.008, False)):
        part = sampled(made.traffic, share, tmp_path / str(share))
        said = predict(World(part, fit_outcomes(part, made.labels, made.training), book, book.date), plan, router)
        assert said["peaks"] == {}
        costs = {who: one for who, one in said["usd_per_month_limits"].items() if one is not None}
        assert {*costs} == ({"log", "plan"} if told else set())
        assert all(low < said["usd_per_month"][who] < high for who, (low, high) in costs.items())
        shown = f"[{costs['plan'][0]:,.2f}, {costs['plan'][1]:,.2f}]" if told else "(no interval)"
        assert expected(said).startswith(f"{said['usd_per_month']['plan']:,.2f} {shown} USD a month instead of ")
        assert ", estimated from a sample of the log." in expected(said)
        for one in (said, said["routing"]):
            for name in ("saving_usd_per_month", "saving_share"):
                assert (one[name]["low"] is not None) == told
    with pytest.raises(NeedsError, match="a sample whose rows stand for up to 125 requests; expected every request, since the busiest"):
        peaks_of(part, router, book)


def test_a_profile_counts_every_request_once(made: Office, found: dict[str, Any]) -> None:
    """Every feature's bins, and the counts of decisions, reasons, models, apps and versions, add up to the requests, group by group."""
    said = found["profile"]
    group = [sum(own[g] for own in said["models"].values()) for g in range(said["groups"])]
    assert sum(group) == said["rows"] == len(made.traffic)
    assert {*said["features"]} == {*STRUCTURE}
    for name in PIECES:
        for own in said[name].values():
            assert [sum(row) for row in own["counts"]] == group
            assert all(len(row) == len(own["edges"]) + 1 for row in own["counts"])
            assert not any(row[0] or row[-1] for row in own["counts"]), "bins of what was never seen"
    for name in ("decisions", "reasons", "apps", "prompt_versions"):
        assert [sum(own[g] for own in said[name].values()) for g in range(said["groups"])] == group
    assert sum(said["prompt_versions"]["code:2"]) == made.traffic.frame("prompt_version")["prompt_version"].notna().sum()
    assert said["rows"] / said["groups"] >= 10


def test_decisions_are_the_routers(made: Office, found: dict[str, Any]) -> None:
    """The mix of decisions is what the router decides one request after another."""
    router = made.training.router
    apps = made.traffic.frame("app", "response_format").to_dict("records")
    day = str(made.traffic.frame("timestamp")["timestamp"].max().date())
    models = [router.decide(prompt(t), row, at=day).model for t, row in zip(made.texts, apps, strict=True)]
    assert {m: sum(n) for m, n in found["profile"]["decisions"].items()} == {m: models.count(m) for m in {*models}}


def test_a_later_log_stands_in_the_same_bins(made: Office, found: dict[str, Any], tmp_path: Path) -> None:
    """The same log gives the same counts in the first one's bins; longer requests with tools fall where none was."""
    before, router = found["profile"], made.training.router
    assert profile(made.traffic, router, like=before) == before
    later = traffic_of(
        tmp_path,
        {
            "user": [f"v{i}" for i in range(40)],
            "app": "chat",
            "provider": "openai",
            "model": MODELS[1],
            "messages": [prompt("word " * 400 + str(i)) for i in range(40)],
            "text_state": "full",
            "has_tools": True,
        },
    )
    after = profile(later, router, like=before)
    assert after["groups"] == before["groups"]
    assert after["features"]["ln_tokens"]["edges"] == before["features"]["ln_tokens"]["edges"]
    for name in ("ln_tokens", "tools"):
        assert sum(row[-1] for row in after["features"][name]["counts"]) == 40
    assert {*after["models"]} == {MODELS[1]}


def test_a_long_log_is_drawn_by_request_id(made: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a longer log than is read, the requests with the least draws are, so that the choice depends on no order."""
    monkeypatch.setattr("planner.bundle.profile.MOST_ROWS", 100)
    said = profile(made.traffic, made.training.router)
    frame = made.traffic.frame("request_id", "app")
    order = np.argsort(draws.uniform(0, draws.key(frame["request_id"]), "profile"), kind="stable")[:100]
    wanted = frame["app"].iloc[order].value_counts()
    assert {app: sum(n) for app, n in said["apps"].items()} == wanted.to_dict()


def test_a_log_without_users_has_no_profile(tmp_path: Path, made: Office) -> None:
    """A log in which nothing reached a provider is refused in one sentence."""
    empty = traffic_of(tmp_path, {"model": ["a"], "cache_hit": [True]})
    with pytest.raises(NeedsError, match="no request of a user that reached a provider"):
        profile(empty, made.training.router)
