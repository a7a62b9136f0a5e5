"""The verdict: equal cost means equal cost, every simpler method counts, and what is not known is said with its price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.verdict import tau_at
from planner.errors import InputError
from planner.router import AlwaysRule, Capability, Costs, LengthRule, Router, Scores
from planner.training import Judged
from planner.training.equal_cost import Mix, coins, compare, curve_mix, spend
from planner.training.judge import mixed, onehot
from planner.training.verdict import TODAY, Verdict, verdict

MODELS = ("dear", "middle", "small")
USD = (0.020, 0.005, 0.001)


def judged(n: int, seed: int = 0, hard_loss: tuple[float, float, float] = (0.0, 0.3, 0.6), tag: str = "u") -> tuple[Judged, np.ndarray]:
    """Return rows of three models and which of them are hard: there the answers are worse by ``hard_loss``."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.4
    truth = 0.9 - hard[:, None] * np.array(hard_loss)
    cost = np.array(USD) * rng.lognormal(0, 0.2, (n, 1))
    unit = np.array([f"{tag}{i}" for i in range(n)])
    return Judged((rng.random(truth.shape) < truth).astype(float), cost, np.ones(n), unit, np.zeros(n, np.int64)), hard


def scored(rows: Judged, gains: np.ndarray) -> Scores:
    """Return scores with these gains (n, 3) and everything feasible."""
    n, k = rows.quality.shape
    full = gains.astype(np.float32)
    full[:, 0] = 0
    return Scores(full, np.tile(USD, (n, 1)), np.ones((n, k), bool), np.zeros(n, np.int8), rows.reference)


def router(tau: float, rule: bool = False) -> Router:
    """Return a router of the three models; its scorer is never asked, only whether it is an AlwaysRule."""
    none = np.zeros(3)
    costs = Costs(none, none, none, np.array(USD))
    scorer = AlwaysRule(np.zeros(3, np.float32)) if rule else LengthRule(np.zeros(3, np.float32), np.zeros(3, np.float32))
    return Router(MODELS, "dear", scorer, costs, (Capability(10**6),) * 3, tau=tau)


def decided(
    n: int, knows: float, *, tau: float | None = None, seed: int = 0, rule_knows: float = 0.0, hope: bool = False, **more: object
) -> Verdict:
    """Judge a router whose gains see a hard request with weight ``knows`` amid noise, and a rule that sees ``rule_knows`` of it."""
    rows, hard = judged(n, seed)
    rng = np.random.default_rng(seed + 1)
    lost = hard[:, None] * np.array([0, 0.3, 0.6])
    gains = {
        "learned": -knows * lost - (1 - knows) * rng.uniform(0, 0.2, (n, 3)),
        "length": -rule_knows * lost - (1 - rule_knows) * rng.uniform(0, 0.2, (n, 3)),
        "cheapest": np.zeros((n, 3)),
    }
    scores = {name: scored(rows, g) for name, g in gains.items()}
    routers = {name: router(tau_at(scores[name], 0.6)) for name in ("learned", "length")} | {"cheapest": router(np.inf, rule=True)}
    routers["learned"] = routers["learned"] if tau is None else router(tau)
    fit_rows, _ = judged(500, seed + 99, tag="f")
    if hope:
        more["hoped_tau"] = tau_at(scores["learned"], 0.6)
    return verdict(rows, scores, routers, fit_rows, floor=0.03, **more)


def test_a_router_that_knows_is_used():
    """Gains that see the hard requests beat every mixture of models and a blind rule, and the text gives the bound."""
    found = decided(600, 1.0)
    assert (found.kind, found.method, found.more_labels) == ("learned router", "learned", 0)
    own = found.table[found.table["method"] == "learned"]
    assert (own["low"] > 0).all()
    assert "length at its cost" in set(own["vs"])
    assert f"at least {own['low'].iloc[0]:+.4f}" in found.text
    assert "600 labelled requests" in found.text
    assert "<table" in found._repr_html_()


def test_always_today_is_never_the_learned_router():
    """At τ = −∞ nothing is learned; with the τ one hoped for, the verdict is that labels are missing, and it says so."""
    assert decided(600, 1.0, tau=-np.inf).kind == "constant model"
    hoped = decided(600, 1.0, tau=-np.inf, hope=True)
    assert hoped.kind == "not enough labels"
    assert "No threshold of the learned router is certified" in hoped.text


def test_a_router_that_knows_nothing_leaves_today_alone():
    """Noise is not used; where no single model keeps the floor, today's models stay."""
    found = decided(600, 0.0)
    assert found.kind in ("constant model", "not enough labels")
    assert found.method == TODAY
    assert "Keep today's models" in found.text


def test_a_rule_that_knows_as_much_wins_over_the_router():
    """Where a simple rule decides alike, the router does not beat it, and the rule is named with its saving."""
    found = decided(900, 1.0, rule_knows=1.0)
    assert (found.kind, found.method) == ("simple rule", "length")
    assert "Use the simple rule 'length'" in found.text
    assert "less than today" in found.text


def test_a_router_shown_to_break_the_floor_is_not_used():
    """Whatever was certified elsewhere: where these rows show a loss beyond the floor, neither router nor rule is named."""
    rows, hard = judged(900, hard_loss=(0.0, 0.9, 0.9))
    gains = -np.where(np.random.default_rng(0).random((900, 3)) < 0.2, 0, 1.0 * hard[:, None])
    scores = {"learned": scored(rows, gains), "length": scored(rows, gains)}
    routers = {name: router(tau_at(s, 0.65)) for name, s in scores.items()}
    found = verdict(rows, scores, routers, rows, floor=0.01)
    assert (found.kind, found.method) == ("constant model", TODAY)
    assert verdict(rows, scores, routers, rows, floor=0.5).kind == "simple rule"


def test_a_cheap_model_that_keeps_the_floor_is_named():
    """Where the cheapest model loses nothing, it is used alone: chosen on the fit rows, confirmed on those that judge."""
    rows, _ = judged(800, hard_loss=(0.0, 0.0, 0.0))
    fit_rows, _ = judged(800, 5, hard_loss=(0.0, 0.0, 0.0), tag="f")
    noise = np.random.default_rng(1).normal(0, 0.1, (800, 3))
    learned = {"learned": router(tau_at(scored(rows, noise), 0.5))}
    found = verdict(rows, {"learned": scored(rows, noise)}, learned, fit_rows, floor=0.06)
    assert (found.kind, found.method) == ("constant model", "small")
    worse = replace(rows, quality=rows.quality * np.array([1, 1, 0.5]))
    again = verdict(worse, {"learned": scored(rows, noise)}, learned, fit_rows, floor=0.06)
    assert again.method == TODAY, "the rows that judge do not confirm what the fit rows chose"


def test_a_router_that_costs_more_than_today_is_not_used():
    """Better answers at a higher price are no reason to leave today's cheap models."""
    rows, hard = judged(600)
    rows = replace(rows, reference=np.full(600, 2))
    home = -1.0 * hard[:, None] * np.array([-0.6, -0.3, 0.0])
    scores = replace(scored(rows, home), gains=home.astype(np.float32))
    found = verdict(rows, {"learned": scores}, {"learned": router(tau_at(scores, 0.3))}, rows, floor=0.03)
    assert found.kind != "learned router"


def test_missing_labels_are_counted_and_priced():
    """The labels asked for, had they the same mean and spread, would show the difference; a hundred is the least."""
    found = next(v for v in (decided(150, 0.6, seed=s, usd_per_label=0.25) for s in range(40)) if v.kind == "not enough labels")
    assert found.more_labels % 100 == 0
    assert found.more_labels >= 100
    price = f"(about ${found.more_labels * 0.25:,.0f}, with those that fit and certify beside them)"
    assert f"{found.more_labels:,} more judging labels {price} would" in found.text
    assert "Until then, keep today's models" in found.text


def test_as_many_labels_as_needed_would_show_it():
    """With labels_needed rows like those seen, the same difference is above 0."""
    rows, hard = judged(200, 3)
    own = onehot(np.where(hard ^ (np.random.default_rng(0).random(200) < 0.3), 0, 2), 3)
    mix = [
        m for m in coins({"a": onehot(rows.reference, 3), "b": onehot(rows.reference + 2, 3)}, spend(rows, own), rows) if "coin" in m.name
    ]
    line = compare("own", own, mix, rows).iloc[0]
    times = int(np.ceil(line["labels_needed"] / 200))
    assert line["diff"] > 0
    quality, cost, weight, home = (np.concatenate([x] * times) for x in (rows.quality, rows.cost_usd, rows.weight, rows.reference))
    many = Judged(quality, cost, weight, np.arange(200 * times).astype(str), home)
    wide = [Mix(m.name, np.tile(m.cheap, (times, 1)), np.tile(m.dear, (times, 1))) for m in mix]
    assert compare("own", np.tile(own, (times, 1)), wide, many)["low"].iloc[0] > 0


@given(seed=st.integers(0, 10**6), first=st.integers(0, 2), second=st.integers(0, 2))
def test_equal_cost_is_the_coin_of_the_table(seed, first, second):
    """The difference is that to the coin which costs the same, as ``judge.mixed`` computes it."""
    rows, _ = judged(80, seed)
    rng = np.random.default_rng(seed)
    rows = replace(rows, weight=rng.uniform(0.5, 3, 80))
    own = onehot(rng.choice([first, second], 80), 3)
    cheap, dear = sorted((first, second), key=lambda m: -m)
    mix = Mix("coin", onehot(np.full(80, cheap), 3), onehot(np.full(80, dear), 3))
    coin = mixed(rows, cheap, dear, spend(rows, own))
    assert spend(rows, coin) == pytest.approx(spend(rows, own))
    expected = np.average((own * rows.quality).sum(1) - (coin * rows.quality).sum(1), weights=rows.weight)
    assert compare("own", own, [mix], rows)["diff"].iloc[0] == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10**6), share=st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_no_mixture_of_models_beats_every_coin(seed, share):
    """Whatever the shares, a cost-matched shuffle among them, some coin between two models is at least as good at its cost."""
    rows, _ = judged(60, seed)
    own = np.tile(np.array(share) / np.sum(share), (60, 1))
    models = {m: onehot(np.full(60, k), 3) for k, m in enumerate(MODELS)}
    assert compare("mixture", own, coins(models, spend(rows, own), rows), rows)["diff"].min() <= 1e-9


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_a_rules_coin_costs_the_same_and_sees_no_label(seed, share):
    """The coin between two points of a rule's curve costs what is asked for, and is the same whatever the grades are."""
    rows, hard = judged(90, seed)
    scores = scored(rows, -np.random.default_rng(seed).random((90, 3)) * (1 + hard[:, None]))
    low, high = rows.cost_usd.mean(0)[[2, 0]]
    usd = low + share * (high - low)
    mix = curve_mix("rule", router(0.0), scores, usd, rows)
    a, b = spend(rows, mix.cheap), spend(rows, mix.dear)
    assert a <= usd + 1e-12
    assert b >= usd - 1e-12 or b == a
    turned = curve_mix("rule", router(0.0), scores, usd, replace(rows, quality=1 - rows.quality))
    assert np.array_equal(mix.cheap, turned.cheap)
    assert np.array_equal(mix.dear, turned.dear)


def test_too_few_units_say_nothing():
    """With fewer than ten units no bound is given, so nothing is claimed."""
    rows, hard = judged(200)
    rows = replace(rows, unit=np.array([f"u{i % 6}" for i in range(200)]))
    gains = -1.0 * hard[:, None] * np.array([0, 0.3, 0.6])
    scores = {"learned": scored(rows, gains)}
    found = verdict(rows, scores, {"learned": router(tau_at(scores["learned"], 0.6))}, rows, floor=0.03)
    assert found.kind != "learned router"
    assert np.isneginf(found.table["low"]).any()


def test_the_learned_router_must_be_there():
    """Without a router called learned, or without its scores, the error names both."""
    rows, _ = judged(60)
    with pytest.raises(InputError, match="'learned' among them"):
        verdict(rows, {}, {"learned": router(0.0)}, rows, floor=0.01)
