"""Wrong answers in a month, and what they cost beside what the same apps save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.labels import COST, made_labels
from support.small import MODELS, world_of

from planner.errors import InputError
from planner.prices import PriceBook
from planner.traffic import App, Apps
from planner.traffic.sampling import sampled
from planner.training import train
from planner.training.harm import harm, priced, requests_per_month


def test_harm_is_loss_times_requests():
    """Per app the harm is its weighted mean loss times its requests; the total is their sum, and the worst app is named."""
    rng = np.random.default_rng(0)
    apps = np.array(["chat", "mail", "code"])[rng.integers(0, 3, 3000)]
    loss, weight = rng.choice([-1.0, 0.0, 1.0], 3000, p=[0.05, 0.85, 0.1]), rng.uniform(0.5, 2, 3000)
    months = {"chat": 90_000.0, "mail": 1000.0, "code": 10.0, "quiet": 5.0}
    found = harm(loss, apps, weight, np.arange(3000).astype(str), months)
    each = {a: months[a] * np.average(loss[apps == a], weights=weight[apps == a]) for a in ("chat", "mail", "code")}
    assert found.table["wrong"].to_dict() == pytest.approx(each)
    assert found.total.value == pytest.approx(sum(each.values()))
    assert found.total.low < found.total.value < found.total.high
    assert found.text.startswith(
        f"About {sum(each.values()):,.0f} [{found.total.low:,.0f}, {found.total.high:,.0f}] more wrong answers a month"
    )
    assert f"mostly in chat ({each['chat']:,.0f})" in found.text
    assert "estimated" in found.text
    assert "stay as they are: quiet." in found.text
    better = harm(-loss, apps, weight, np.arange(3000).astype(str), months)
    assert f"About {sum(each.values()):,.0f} [{found.total.low:,.0f}, {found.total.high:,.0f}] fewer wrong answers" in better.text
    with pytest.raises(InputError, match="Name the apps as the labels do"):
        harm(loss, apps, weight, np.arange(3000).astype(str), {"other": 1.0})


def test_the_interval_of_harm_covers():
    """In 200 worlds the 95 % interval of the total holds the truth 92 to 99 % of the time."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        apps, lost = np.where(rng.random(4000) < 0.3, "a", "b"), rng.random(4000)
        loss = (lost < np.where(apps == "a", 0.1, 0.02)).astype(float)
        total = harm(loss, apps, np.ones(4000), np.arange(4000).astype(str), {"a": 100.0, "b": 1000.0}).total
        hits += total.low <= 30 <= total.high
    assert 184 <= hits <= 198


def test_requests_a_month_are_those_of_users(tmp_path: Path):
    """A log's rate by app, scaled to a mean month; what is not a user's request is not counted."""
    traffic, _ = world_of(tmp_path / "log", n=2880, labelled=50)
    found = requests_per_month(traffic)
    assert sum(found.values()) == pytest.approx(2880 * 365.25 / 12 / (2879 / 1440))
    assert set(found) == {"chat", "search"}


def test_the_volume_of_a_sample_is_estimated(tmp_path: Path):
    """Requests a month of a sample have limits that hold the log's, also of some apps alone, and the sentence says so; of a log none."""
    traffic, _ = world_of(tmp_path / "log", n=2880, labelled=50)
    true, part = requests_per_month(traffic), requests_per_month(sampled(traffic, 0.3, tmp_path / "s"))
    loss, unit = np.tile([1.0, 0.0], 100), np.arange(200).astype(str)
    for apps in (["chat"], ["chat", "search"]):
        low, high = (float(x.replace(",", "")) for x in part.between(apps).split("]")[0].removeprefix(" [").split(", "))
        assert low < sum(true[a] for a in apps) < high
        named = np.resize(apps, 200)
        asked = sum(part[a] for a in apps)
        assert (
            f", of {asked:,.0f} [{low:,.0f}, {high:,.0f}] (estimated from a sample) requests"
            in harm(loss, named, unit != "", unit, part).text
        )
        assert f", of {sum(true[a] for a in apps):,.0f} requests" in harm(loss, named, unit != "", unit, true).text
    few = requests_per_month(sampled(traffic, 0.02, tmp_path / "few"))
    assert few.between(["chat"]) == " (estimated from a sample, no interval)"


MONTHS = {"chat": 90_000.0, "mail": 1000.0, "code": 10.0}


def drawn(seed=0, n=3000):
    """Return loss, app, weight, unit and saving of ``n`` rows."""
    rng = np.random.default_rng(seed)
    apps = np.array([*MONTHS])[rng.integers(0, 3, n)]
    loss, weight = rng.choice([-1.0, 0.0, 1.0], n, p=[0.05, 0.85, 0.1]), rng.uniform(0.5, 2, n)
    return loss, apps, weight, np.arange(n).astype(str), rng.exponential(0.01, n)


def test_wrong_answers_cost_what_owners_state():
    """Cost, saving and net are sums over the apps with a stated cost; an app without one is named and in none of them."""
    loss, apps, weight, unit, saved = drawn()
    stated = {"chat": 0.05, "code": 2.0, "elsewhere": 9.0}
    found = harm(loss, apps, weight, unit, MONTHS, usd_per_wrong_answer=stated, saved_usd=saved)
    wrong, spared = (
        {a: MONTHS[a] * np.average(values[apps == a], weights=weight[apps == a]) for a in ("chat", "code")} for values in (loss, saved)
    )
    cost = 0.05 * wrong["chat"] + 2.0 * wrong["code"]
    assert found.usd.value == pytest.approx(cost)
    assert found.saved_usd.value == pytest.approx(sum(spared.values()))
    assert found.net_usd.value == pytest.approx(sum(spared.values()) - cost)
    assert (found.usd.evidence, found.saved_usd.evidence, found.net_usd.evidence) == ("assumed", "estimated", "assumed")
    assert found.table["wrong_usd"].dropna().to_dict() == pytest.approx({"chat": 0.05 * wrong["chat"], "code": 2.0 * wrong["code"]})
    assert "Where a wrong answer costs $0.05 in chat, $2.00 in code, that is about" in found.text
    assert "Not stated for mail." in found.text


def test_the_net_has_an_interval_of_its_own():
    """Loss and saving of a unit move together, so the interval of their difference is not the difference of their intervals."""
    loss, apps, weight, unit, _ = drawn()
    found = harm(loss, apps, weight, unit, MONTHS, usd_per_wrong_answer=dict.fromkeys(MONTHS, 0.5), saved_usd=0.5 * loss)
    assert found.saved_usd.high - found.saved_usd.low > 100
    assert (found.net_usd.low, found.net_usd.high) == pytest.approx((0, 0), abs=1e-6)


def test_a_statement_leaves_wrong_answers_as_they_were():
    """Wrong answers and their intervals are the same whether anybody states a cost or not; without one nothing is said of money."""
    loss, apps, weight, unit, saved = drawn(1)
    silent, told = (harm(loss, apps, weight, unit, MONTHS, usd_per_wrong_answer=usd, saved_usd=saved) for usd in (None, {"chat": 1.0}))
    assert told.total == silent.total
    assert told.text.startswith(silent.text)
    assert "$" not in silent.text
    assert silent.usd is silent.saved_usd is silent.net_usd is None


def test_fewer_wrong_answers_and_a_dearer_router_are_said_so():
    """Below zero the words turn, not the figures: less to pay for wrong answers, more for calls."""
    loss, apps, weight, unit, saved = drawn(2)
    found = harm(-loss, apps, weight, unit, MONTHS, usd_per_wrong_answer={"chat": 1.0}, saved_usd=-100 * saved)
    assert f"that is about ${-found.usd.value:,.0f} [" in found.text
    assert "] less a month (assumed), beside about" in found.text
    assert "] more spent in calls of the same apps (estimated)" in found.text
    assert "] lost together (assumed)." in found.text


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory):
    """Make a log and labels of two apps."""
    return world_of(tmp_path_factory.mktemp("world") / "log")


def test_a_training_is_priced_by_its_apps(logged):
    """Cost and saving are those of the router's own decisions on the rows that judged, times the requests of the log."""
    traffic, labels = logged
    found = train(labels, traffic, book=PriceBook.load(), expected_output=dict.fromkeys(MODELS, 200.0), floor=0.5)
    assert priced(found, Apps({"chat": App()})) is found
    told = priced(found, Apps({"chat": App(usd_per_wrong_answer=3.0)}))
    assert told.harm.total == found.harm.total
    assert told.harm.text in told.text
    assert told.harm.usd.value == pytest.approx(3 * found.harm.table.loc["chat", "wrong"])
    problem = found.problem
    chosen, _ = found.router.choose(found.router.scores(problem.requests, problem.day))
    saved = [
        problem.cost_usd[i, problem.home[i]] - problem.cost_usd[i, chosen[i]]
        for i in problem.rows("judge")
        if problem.requests.app[i] == "chat"
    ]
    assert told.harm.saved_usd.value == pytest.approx(np.mean(saved) * requests_per_month(traffic)["chat"])
    assert told.harm.saved_usd.value > 0


def test_a_ranking_saves_no_dollars(logged):
    """With stated costs, which are only a ranking, wrong answers cost what is stated and nothing is said of a saving."""
    traffic, labels = logged
    found = train(labels, traffic, cost=dict(zip(MODELS, (20, 5, 1), strict=True)), floor=0.5)
    told = priced(found, Apps({"chat": App(usd_per_wrong_answer=3.0)})).harm
    assert told.usd.value == pytest.approx(3 * told.table.loc["chat", "wrong"])
    assert told.saved_usd is told.net_usd is None
    assert "calls of the same apps" not in told.text


def test_without_a_log_nothing_is_priced():
    """Nobody knows how many requests a month there are, so a stated cost says nothing."""
    found = train(made_labels(400), reference="large", cost=COST, floor=0.2)
    assert priced(found, Apps({"chat": App(usd_per_wrong_answer=3.0)})) is found
