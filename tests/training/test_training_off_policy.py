"""off_policy from a log and a router: support, refusals, sessions, what is left out, and bad input in one sentence each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import prompt, traffic_of

from planner import read
from planner.errors import InputError, NeedsError
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router, TableRule
from planner.traffic import Traffic
from planner.training import OffPolicy, off_policy

MODELS = ("large", "small")
DRAWN = {"large": 0.75, "small": 0.25}


def costs(k: int) -> Costs:
    """Return costs that fall with the code."""
    none = np.zeros(k)
    return Costs(none, none, none, np.arange(k, 0, -1.0))


def always(model: str, models: tuple[str, ...] = MODELS, unit: str = "session") -> Router:
    """Return the router that uses ``model`` for everything."""
    rule = AlwaysRule.model(models.index(model), 0, len(models))
    return Router(models, models[0], rule, costs(len(models)), (Capability(10**6),) * len(models), tau=ALWAYS_TAU, unit=unit)


def by_app() -> Router:
    """Return the router that uses small in chat and large in maths."""
    rule = TableRule(("chat", "maths"), np.array([[0, 1], [0, -1]], np.float32), np.zeros(2, np.float32))
    return Router(MODELS, "large", rule, costs(2), (Capability(10**6),) * 2).with_apps(["chat", "maths"])


def log_of(folder: Path, n: int = 1200, seed: int = 0, **columns: Any) -> Traffic:
    """Write ``n`` requests of ``n / 2`` sessions whose model was drawn once a session, small with probability 0.25.

    Large is right in 90 %; small in 85 % of chat and 40 % of maths.
    """
    rng = np.random.default_rng(seed)
    session = np.arange(n) // 2
    small = (rng.random(n) < DRAWN["small"])[session]
    maths = (rng.random(n) < 0.5)[session]
    right = np.where(small, np.where(maths, 0.4, 0.85), 0.9)
    made: dict[str, Any] = {
        "app": np.where(maths, "maths", "chat"),
        "session_id": [f"s{s}" for s in session],
        "model": np.where(small, "small", "large"),
        "action_propensities": json.dumps(DRAWN),
        "policy_version": "explore-1",
        "messages": [prompt(("prove " if m else "list ") + f"number {i % 37}") for i, m in enumerate(maths)],
        "text_state": "full",
        "quality": (rng.random(n) < right).astype(float),
        "source_cost_usd": np.where(small, 0.001, 0.01),
    }
    return traffic_of(folder, made | columns)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Return one such log."""
    return log_of(tmp_path_factory.mktemp("log"), 4000)


def values(found: OffPolicy) -> Mapping[str, float]:
    """Return the points by estimator."""
    return {str(k): float(v) for k, v in found.table["value"].items()}


def test_a_router_is_judged_by_what_the_log_drew(log: Traffic) -> None:
    """All four estimators find 0.875 for small in chat and large in maths, and the text says so against the log's own mean."""
    found = off_policy(log, by_app())
    for name in ("IPS", "SNIPS", "DM", "DR"):
        line = found.table.loc[name]
        assert line["low"] < 0.875 < line["high"]
        assert line["evidence"] == "estimated"
    assert found.verdict == "estimate"
    assert found.table.loc["logged", "evidence"] == "measured"
    assert found.table.loc["logged", "value"] == pytest.approx(log.frame("quality")["quality"].mean())
    assert found.difference().low is not None
    assert found.difference().low > 0
    assert "the router is better" in found.text
    assert "4,000 requests in 2,000 sessions of policy explore-1" in found.text
    assert found.support == 1
    assert found.max_weight == 4


def test_cost_is_estimated_from_the_same_draws(log: Traffic) -> None:
    """Cost per request of always-small is what small costs in the log, to the last digit where it never varies."""
    found = off_policy(log, always("small"), reward="cost")
    assert values(found)["SNIPS"] == pytest.approx(0.001)
    assert values(found)["DR"] == pytest.approx(0.001, rel=1e-3)
    assert "USD" in found.text
    assert "the router is cheaper" in found.text


def test_a_session_counts_its_propensity_once(log: Traffic) -> None:
    """Drawn and decided by session the weight of two turns is 1/p, drawn at every turn 1/p²; by request every turn has its own."""
    once = off_policy(log, always("small"))
    assert (once.drawn, once.max_weight) == ("session", 4)
    assert once.ess == pytest.approx((log.frame("model")["model"] == "small").sum() / 2)
    assert off_policy(log, always("small"), drawn="request").max_weight == 16
    assert off_policy(log, always("small"), unit="request").max_weight == 4


def test_draws_at_every_turn_are_recognised(tmp_path: Path) -> None:
    """A log whose sessions change their model as often as its propensities say was drawn by request; weights multiply."""
    rng = np.random.default_rng(1)
    small = rng.random(2400) < 0.25
    log = log_of(tmp_path, 2400, model=np.where(small, "small", "large"))
    held = off_policy(log, always("large"))
    assert held.drawn == "request"
    assert held.max_weight == pytest.approx((4 / 3) ** 2)
    pairs = small.reshape(-1, 2)
    assert held.ess == pytest.approx((~pairs.any(1)).sum())
    free = off_policy(log, always("large"), unit="request")
    assert free.max_weight == pytest.approx(4 / 3)


def test_a_few_changed_sessions_are_asked_about(tmp_path: Path) -> None:
    """Sessions that change their model now and then, as after a fallback, fit neither kind of draw: the log's owner must say."""
    model = np.repeat(np.where(np.random.default_rng(0).random(600) < 0.25, "small", "large"), 2)
    model[1:20:2] = "small"
    log = log_of(tmp_path, 1200, model=model)
    with pytest.raises(NeedsError, match=r"sessions that change their model.*Say which with drawn= \(--drawn\)"):
        off_policy(log, always("small"))
    with pytest.raises(InputError, match="drawn otherwise than its session's first"):
        off_policy(log, always("small"), drawn="session")
    assert off_policy(log, always("small"), drawn="request").drawn == "request"
    with pytest.raises(InputError, match="drawn 'week'; expected one of session, request"):
        off_policy(log, always("small"), drawn="week")


def test_the_logging_policy_itself_is_worth_what_it_measured(log: Traffic, tmp_path: Path) -> None:
    """A router that leaves everything as asked for, or a log without chance, gives the logged mean exactly and no difference."""
    elsewhere = always("small").with_apps(["other"])
    certain = log_of(tmp_path, 400, model="large", action_propensities='{"large": 1.0}')
    for traffic, router, kept in ((log, elsewhere, 1.0), (certain, always("large"), 0.0)):
        found = off_policy(traffic, router)
        own = traffic.frame("quality")["quality"].mean()
        assert found.kept == kept
        assert [values(found)[n] for n in ("IPS", "SNIPS", "DR")] == pytest.approx([own] * 3)
        assert found.table.loc["DR", ["diff", "diff_low", "diff_high"]].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
        assert "cannot be told apart" in found.text


def test_a_constant_reward_has_no_error(tmp_path: Path) -> None:
    """Where every answer is equally good SNIPS, DM and DR say exactly that, with an interval of no width."""
    found = off_policy(log_of(tmp_path, 1200, quality=0.5), always("small"))
    for name in ("SNIPS", "DM", "DR"):
        assert found.table.loc[name, ["value", "low", "high"]].tolist() == pytest.approx([0.5] * 3)


def test_few_effective_sessions_warn_and_fewer_refuse(tmp_path: Path) -> None:
    """Below 250 effective sessions the text warns; below 30 no number of the router is given, but the log's own."""
    few = off_policy(log_of(tmp_path / "few", 1200), always("small"))
    assert few.verdict == "few"
    assert "fewer than 250" in few.text
    none = off_policy(log_of(tmp_path / "none", 160), always("small"))
    assert none.verdict == "none"
    assert none.table.loc[["IPS", "SNIPS", "DM", "DR"], ["value", "low", "high", "diff"]].isna().all(axis=None)
    assert none.table.loc["logged", "value"] > 0
    assert none.text.startswith("No estimate for router")
    assert math.isnan(none.value().value)
    assert none.value().low is None


def test_a_log_that_lacks_its_heaviest_draws_is_found_out(tmp_path: Path) -> None:
    """Where no rare draw happens to be in the log, the propensities still tell that it holds too few effective sessions."""
    n = 1200
    rare = np.arange(n) % 8 < 2
    text = [json.dumps({"large": 0.999, "small": 0.001} if r else {"large": 0.01, "small": 0.99}) for r in rare]
    log = log_of(tmp_path, n, model=np.where(rare, "large", "small"), action_propensities=text)
    found = off_policy(log, always("small"))
    assert found.ess > 250
    assert found.expected_ess < 30
    assert found.verdict == "none"
    assert "by the propensities" in found.text


def test_without_support_there_are_bounds(tmp_path: Path) -> None:
    """A router that wants in chat what the log could not draw there gets bounds as wide as chat, no point, and the model's name."""
    n = 2000
    chat = (np.random.default_rng(0).random(n // 2) < 0.5).repeat(2)
    text = np.where(chat, '{"large": 1.0, "small": 0.0}', json.dumps(DRAWN))
    model = np.where(chat, "large", np.repeat(np.random.default_rng(2).random(n // 2) < 0.25, 2).astype(int).astype(str))
    model = np.where(model == "1", "small", "large")
    log = log_of(tmp_path, n, app=np.where(chat, "chat", "maths"), model=model, action_propensities=text)
    found = off_policy(log, always("small"))
    line = found.table.loc["DR"]
    assert found.verdict == "bounds"
    assert found.support == pytest.approx(1 - chat.mean())
    assert math.isnan(line["value"])
    assert line["high"] - line["low"] > chat.mean()
    assert "No point estimate" in found.text
    assert f"small {chat.mean():.1%}" in found.text


def test_nothing_supported_is_bounded_by_the_scale(log: Traffic) -> None:
    """A router that always uses what was never drawn may have any quality from 0 to 1, and any cost."""
    router = always("other", ("large", "small", "other"))
    found = off_policy(log, router)
    assert found.table.loc["DR", ["low", "high"]].tolist() == [0, 1]
    assert (found.support, found.missing) == (0, {"other": 1.0})
    assert np.isinf(float(off_policy(log, router, reward="cost").table.loc["DR", "high"]))
    assert "nothing limits the cost" in off_policy(log, router, reward="cost").text


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """Overhead, cache hits, rows without propensities and unrated answers are left out; with the others they are all rows."""
    n = 1600
    quality = np.random.default_rng(0).random(n)
    quality[:100] = np.nan
    text = np.array([json.dumps(DRAWN)] * n, object)
    text[100:250] = None
    purpose, hit = np.array(["user"] * n, object), np.zeros(n, bool)
    purpose[250:260], hit[260:280] = "overhead", True
    log = log_of(tmp_path, n, quality=quality, action_propensities=text, purpose=purpose, cache_hit=hit)
    found = off_policy(log, always("small"))
    assert found.left_out == {"not a user's own call, or answered from a cache": 30, "no propensities": 150, "no quality": 100}
    assert found.requests + sum(found.left_out.values()) == n
    assert "150 no propensities" in found.text


def test_actions_may_have_names_of_their_own(tmp_path: Path) -> None:
    """An action is the model that answered it, or what is stated; where several answered, the fix says what to state."""
    log = log_of(tmp_path / "one", 1200)
    renamed = {"action": log.frame("model")["model"].map({"large": "strong", "small": "cheap"}).to_numpy()}
    renamed |= {"action_propensities": '{"strong": 0.75, "cheap": 0.25}'}
    told = off_policy(log_of(tmp_path / "two", 1200, **renamed), always("small"))
    assert values(told) == pytest.approx(values(off_policy(log, always("small"))))
    mixed = log.frame("model")["model"].to_numpy().copy()
    mixed[0] = "small" if mixed[0] == "large" else "large"
    many = log_of(tmp_path / "three", 1200, **renamed | {"model": mixed})
    with pytest.raises(InputError, match=r"answered by large, small.*--action"):
        off_policy(many, always("small"))
    stated = off_policy(many, always("small"), actions={"strong": "large", "cheap": "small"})
    assert values(stated) == pytest.approx(values(told))
    with pytest.raises(InputError, match=r"action 'chep'.*Did you mean 'cheap'"):
        off_policy(many, always("small"), actions={"chep": "small"})


@pytest.mark.parametrize(
    ("columns", "error", "says"),
    [
        ({"action_propensities": None}, NeedsError, "without action_propensities.*log with every request action"),
        ({"quality": None}, NeedsError, "none with a quality.*Map it while reading"),
        ({"action_propensities": '{"large": 0.7, "small": 0.25}'}, InputError, "of request 'r0', which sum to 0.95"),
        ({"action_propensities": '{"large": 1.2, "small": -0.2}'}, InputError, "of request 'r0'.*probabilities from 0 to 1"),
        ({"action_propensities": '{"large": NaN, "small": 1}'}, InputError, "of request 'r0', which sum to nan"),
        ({"action_propensities": "[0.5, 0.5]"}, InputError, "of request 'r0'; expected a JSON object"),
        ({"action_propensities": '{"large": "much"}'}, InputError, "of request 'r0'; expected a JSON object"),
        ({"action_propensities": "{"}, InputError, "of request 'r0'; expected a JSON object"),
        ({"action": "huge"}, InputError, "request 'r0' with action 'huge'; expected an action that it could draw"),
        ({"model": "huge"}, InputError, "request 'r0' with action 'huge'.*Log as action the key"),
        (
            {"model": "a", "action_propensities": '{"a": 1.0}'},
            NeedsError,
            "actions a in the log; expected at least one of the router's candidates",
        ),
    ],
)
def test_what_was_logged_wrongly_is_named(tmp_path: Path, columns: dict[str, Any], error: type[Exception], says: str) -> None:
    """Each fault of a log is one sentence that names the request and the next step."""
    with pytest.raises(error, match=says):
        off_policy(log_of(tmp_path, 60, **columns), always("small"))


def test_arguments_are_checked(log: Traffic) -> None:
    """An unknown reward, unit or estimator is named with what is known."""
    with pytest.raises(InputError, match="reward 'speed'; expected one of quality, cost"):
        off_policy(log, always("small"), reward="speed")
    with pytest.raises(InputError, match="unit 'week'"):
        off_policy(log, always("small"), unit="week")
    with pytest.raises(InputError, match=r"estimator 'IP'.*Did you mean 'IPS'"):
        off_policy(log, always("small")).value("IP")


def test_one_session_is_refused(tmp_path: Path) -> None:
    """A log of one session is one unit: no estimate."""
    found = off_policy(log_of(tmp_path, 40, session_id="s", model="large"), always("large"))
    assert (found.sessions, found.verdict) == (1, "none")


def test_the_same_seed_gives_the_same_table(log: Traffic) -> None:
    """Nothing but the seed of the folds moves a number, and it moves only what rests on the outcome model."""
    first, again, other = (off_policy(log, by_app(), seed=s) for s in (0, 0, 1))
    assert first.table.equals(again.table)
    assert first.table.loc[["logged", "IPS", "SNIPS"]].equals(other.table.loc[["logged", "IPS", "SNIPS"]])


def test_notebooks_see_escaped_text(tmp_path: Path) -> None:
    """A policy version that holds markup stays text."""
    found = off_policy(log_of(tmp_path, 200, policy_version="<b>x</b>"), always("large"))
    assert "<b>x" not in found._repr_html_()
    assert "&lt;b&gt;x" in found._repr_html_()


@pytest.mark.parametrize("kind", ["litellm", "table"])
def test_propensities_come_through_reading(tmp_path: Path, kind: str) -> None:
    """A raw LiteLLM log with propensities in spend_logs_metadata, or a JSON-lines table with a JSON object, is judged as it is."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(400):
        model = "gpt-5-mini" if rng.random() < 0.4 else "gpt-5"
        own = {"action": model, "action_propensities": {"gpt-5": 0.6, "gpt-5-mini": 0.4}, "policy_version": "p1"}
        score, asked = float(rng.random() < 0.8), [{"role": "user", "content": f"List {i} things."}]
        at = 1_762_160_400.0 + 60 * i
        lines.append(
            {
                **{"id": f"r{i}", "call_type": "acompletion", "status": "success", "startTime": at, "endTime": at + 1},
                **{"model": model, "custom_llm_provider": "openai", "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
                **{"response_cost": 0.001, "model_parameters": {}, "messages": asked, "error_information": {"error_class": ""}},
                "metadata": {"spend_logs_metadata": {**own, "score": score}},
            }
            if kind == "litellm"
            else {"request_id": f"r{i}", "timestamp": at, "model": model, "messages": asked, "quality": score, **own}
        )
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    mapping = {"quality": "metadata.spend_logs_metadata.score"} if kind == "litellm" else None
    traffic = read(tmp_path / "log.jsonl", out=tmp_path / "out", mapping=mapping, text=True)
    found = off_policy(traffic, always("gpt-5-mini", ("gpt-5", "gpt-5-mini")))
    chosen = np.array([line["model"] == "gpt-5-mini" for line in lines]) if kind == "table" else None
    assert (found.requests, found.sessions, found.policies) == (400, 400, ("p1",))
    assert found.max_weight == pytest.approx(2.5)
    assert chosen is None or found.ess == pytest.approx(chosen.sum())
