"""A rollout verified end to end: from tags in a log to a saving that holds the truth, and every way to spoil the comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from followup.made_rollout import World, columns, digest, made_bundle
from hypothesis import given
from hypothesis import strategies as st
from support.small import traffic_of
from support.steered import BIG, MINI, NANO

from planner.errors import InputError, NeedsError
from planner.followup.arms import tags_said
from planner.followup.verify import Verification, verify
from planner.prices.audit import audit
from planner.units import DAYS_PER_MONTH

#: What a request costs of what it cost as asked: list prices of the three models are in proportion.
RATIO = {BIG: 1.0, MINI: 0.2, NANO: 0.04}
#: An expected saving, as in a manifest.
HALF = {"saving_share": {"value": 0.5, "low": 0.4, "high": 0.6}}
PREDICTION = {"saving_share": {"value": 0.8, "low": 0.7, "high": 0.9}, "plan": {"levers": ["route", "response_cache"]}, "routing": HALF}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bundle that decides by session and expects to save a half."""
    return made_bundle(tmp_path_factory.mktemp("production"), PREDICTION)


Verified = Callable[..., Verification]


@pytest.fixture
def verified(bundle: Path, tmp_path: Path) -> Verified:
    """Return a function that makes a log, changes it, and verifies it."""

    def run(world: World | None = None, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda log: log, **options: Any) -> Verification:
        log = change(columns(world or World(), digest(bundle)))
        return verify(traffic_of(tmp_path / "log", log.reset_index(drop=True)), options.pop("bundle", bundle), **options)

    return run


def said(log: pd.DataFrame, name: str) -> np.ndarray:
    """Return what the tags of every row say under ``name``."""
    codes, lists = pd.factorize(log["tags"])
    return np.array([tags_said(tags).get(name, "") for tags in lists], object)[codes]


def check(found: Verification, name: str) -> Any:
    """Return the check of this name."""
    return next(c for c in found.checks if c.name == name)


def test_the_saving_is_that_of_the_traffic(bundle: Path, tmp_path: Path) -> None:
    """The interval holds what was truly saved, in share and in dollars; both bills are the log's own."""
    log = traffic_of(tmp_path / "log", columns(World(seed=4), digest(bundle)))
    found = verify(log, bundle)
    frame = log.frame("model", "tags")
    usd, routed = audit(log).cost_pusd / 1e12, said(frame, "arm") == "routed"
    asked = usd / frame["model"].map(RATIO).to_numpy(float)
    share, month = found.estimate("saving_share"), found.estimate("saving_usd_per_month")
    assert share is not None
    assert month is not None
    assert share.low is not None
    assert share.high is not None
    assert share.low < 1 - usd[routed].sum() / asked[routed].sum() < share.high
    assert share.evidence == "measured"
    row = found.table.set_index(["app", "measure"]).loc[("all", "saving_usd_per_month")]
    assert row["routed"] == pytest.approx(usd[routed].sum() * (365.25 / 12) / found.days, rel=1e-6)
    assert row["asked"] - row["routed"] == pytest.approx(month.value)
    assert row["difference"] / row["asked"] == pytest.approx(share.value)
    assert not found.alarms
    assert set(found.table["app"]) == {"all", "chat", "search"}


def test_intervals_hold_from_tags_on(tmp_path: Path, bundle: Path) -> None:
    """Of 200 rollouts, each an app with a lot of its own, 95 % of intervals hold what was saved of their routed traffic.

    Less 2.6 binomial deviations of 200 (one in 200 sound methods is rejected); more than 99 % would be a waste.
    """
    world = World(sessions=300, shares=(0.5, 0.5))
    logs = [columns(replace(world, seed=i, salt=f"{i:08x}"), digest(bundle)).assign(app=f"w{i}") for i in range(200)]
    log = pd.concat(logs, ignore_index=True)
    log["session_id"] = log["app"] + log["session_id"]
    log["request_id"] = log["app"] + log["request_id"]
    traffic = traffic_of(tmp_path / "log", log)
    found = verify(traffic, bundle).table
    usd = pd.Series(audit(traffic).cost_pusd / 1e12)[said(log, "arm") == "routed"]
    truth = 1 - usd.groupby(log["app"]).sum() / (usd / log["model"].map(RATIO)).groupby(log["app"]).sum()
    rows = found[(found["measure"] == "saving_share") & (found["app"] != "all") & found["low"].notna()].set_index("app")
    assert len(rows) >= 195
    assert 0.91 <= float(((rows["low"] <= truth[rows.index]) & (truth[rows.index] <= rows["high"])).mean()) <= 0.99


def test_every_row_is_counted(verified: Verified) -> None:
    """Rows of another bundle, of shadow, of overhead and without a word from us are left out with their reason, and no row is lost."""

    def mixed(log: pd.DataFrame) -> pd.DataFrame:
        tags, purpose = log["tags"].to_numpy(object).copy(), np.full(len(log), "user", object)
        tags[:10] = json.dumps(["planner:00000000", "planner-arm:routed"])
        tags[10:30] = None
        tags[30:35] = [x.replace("planner-arm:", "planner-arm:un") for x in tags[30:35]]
        tags[35:75] = [json.dumps([*json.loads(x), "planner-arm:shadow"]) for x in tags[35:75]]
        purpose[75:80] = "judge"
        rows.append(len(log))
        return log.assign(tags=tags, purpose=purpose)

    rows: list[int] = []
    found = verified(None, mixed)
    assert sum(found.left_out.values()) + found.counts["requests"].sum() == rows[0]
    assert sorted(found.left_out.values()) == [5, 10, 25, 40]
    assert found.left_out["no arm: nothing was on for them"] == 25
    assert found.left_out["decided by another bundle"] == 10
    assert "In no figure: 40 in shadow" in found.text


def test_a_prediction_holds_or_is_missed(verified: Verified, tmp_path: Path) -> None:
    """What the bundle expects of routing alone stands beside what was measured; levers that the kept have too are named."""
    held = verified()
    row = held.table.set_index(["app", "measure"]).loc[("all", "saving_share")]
    assert (row["predicted"], row["verdict"], row["missed_by"]) == (0.5, "holds", 0.0)
    assert "It is of routing alone; who is kept has the plan's other levers too (response_cache)" in held.text
    missed, words = verify_with(tmp_path / "b", {"saving_share": {"value": 0.9, "low": 0.85, "high": 0.95}})
    assert missed == "missed"
    assert "points less was saved" in words
    met, words = verify_with(tmp_path / "d", {"saving_share": {"value": 0.9, "low": 0.4, "high": 1.0}})
    assert met == "holds"
    assert "the difference to what was measured may be chance" in words
    whole = {name: value for name, value in PREDICTION.items() if name != "routing"}
    unsaid, words = verify_with(tmp_path / "e", whole)
    assert unsaid == ""
    assert "predicts the whole plan alone, with response_cache" in words
    assert verify_with(tmp_path / "c", None) == ("", "The bundle holds no prediction to compare with: export it with --log.")


def verify_with(folder: Path, prediction: dict[str, Any] | None) -> tuple[str, str]:
    """Return the verdict and the line about the prediction of a log that this prediction stands beside."""
    bundle = made_bundle(folder / "production", prediction)
    found = verify(traffic_of(folder / "log", columns(World(), digest(bundle))), bundle)
    row = found.table.set_index(["app", "measure"]).loc[("all", "saving_share")]
    return str(row["verdict"]), next(line for line in found.text.splitlines() if "predict" in line.lower())


def test_a_sample_ratio_mismatch_is_an_alarm(verified: Verified) -> None:
    """A log that lacks half of the kept sessions is found out, and said first; the whole log is as drawn."""

    def lacking(log: pd.DataFrame) -> pd.DataFrame:
        kept = said(log, "arm") != "routed"
        return log[~(kept & (log["session_id"].str[-1].isin(list("02468"))))]

    assert not check(verified(), "arm sizes").alarm
    found = verified(None, lacking)
    assert check(found, "arm sizes").alarm
    assert check(found, "arm sizes").p_value < 0.001
    assert found.text.splitlines()[1].startswith("Sample-ratio mismatch: ")


def test_sessions_in_two_arms_are_an_alarm(verified: Verified) -> None:
    """Where one in ten sessions ends in the other arm, as after a changed salt, the leak is counted."""

    def leaking(log: pd.DataFrame) -> pd.DataFrame:
        last = ~log["session_id"].duplicated(keep="last") & log["session_id"].duplicated(keep="first")
        picked = last & log["session_id"].str.endswith("3")
        arm = np.where(said(log, "arm") == "routed", "holdout", "routed")
        other = [json.dumps([*json.loads(t), f"planner-arm:{a}"]) for t, a in zip(log["tags"], arm, strict=True)]
        return log.assign(tags=np.where(picked, other, log["tags"]))

    assert check(verified(), "leaks").count == 0
    found = verified(World(shares=(0.5, 0.5)), leaking)
    assert check(found, "leaks").alarm
    assert check(found, "leaks").count > 20
    assert "both routed and kept" in found.text


def test_too_few_kept_units_have_no_interval(verified: Verified) -> None:
    """With a handful of sessions held out there is a value without interval, and how long to wait; with none there is no saving."""
    few = verified(World(sessions=80, shares=(1.0, 1.0)))
    share = few.estimate("saving_share")
    assert share is not None
    assert share.low is None
    assert few.more_days is not None
    assert "too few for an interval" in few.text
    none = verified(World(sessions=80, holdout=0.0, shares=(1.0, 1.0)))
    assert none.estimate("saving_share") is None
    assert "Nobody was kept to compare with" in none.text


def test_more_days_make_the_wanted_precision(verified: Verified) -> None:
    """Four times the precision asks for sixteen times the time; a precision that is reached for none."""
    found = verified()
    row = found.table.set_index(["app", "measure"]).loc[("all", "saving_share")]
    half = (row["high"] - row["low"]) / 2
    assert verified(precision=min(1.01 * half, 0.99)).more_days is None
    wait = verified(precision=half / 4).more_days
    assert wait is not None
    assert wait == math.ceil(15 * found.days)


def test_quality_failures_and_p95_are_compared(verified: Verified) -> None:
    """A rollout that fails twice as often, takes 20 points of quality and is three times as slow is shown to, on its own side of 0."""
    found = verified(World(failing=2.0, graded=0.5, worse=0.2, slower=3.0, shares=(0.5, 0.5), sessions=3_000))
    rows = found.table[found.table["app"] == "all"].set_index("measure")
    assert rows.loc["quality", "high"] < 0
    assert rows.loc["failures", "low"] > 0
    assert rows.loc["p95_ms", "low"] > 0
    none = verified(World(sessions=300, shares=(0.5, 0.5)))
    assert none.estimate("quality") is None
    assert "No answer was graded" in none.text


def test_a_model_without_a_price_leaves_no_saving(verified: Verified) -> None:
    """Where what requests were moved to has no price, the saving is NaN and the check, an alarm, names the model; others stand."""
    found = verified(World(shares=(0.5, 0.5)), lambda log: log.assign(model=log["model"].replace(MINI, "mystery")))
    assert check(found, "prices").alarm
    assert "answered by mystery; give rates with --prices" in check(found, "prices").words
    money = found.table[found.table["measure"].str.startswith("saving")]
    assert len(money)
    assert money[["difference", "low", "high", "missed_by"]].isna().all(axis=None)
    assert found.estimate("saving_share") is None
    assert found.more_days is None
    assert "What routing saved is not known" in found.text
    assert "Routing saved" not in found.text
    assert found.estimate("failures") is not None


def test_a_few_requests_without_a_price_are_counted(verified: Verified) -> None:
    """A request in two hundred without a price, in both arms alike, is a number beside the saving; as many in one arm are an alarm."""
    every = np.arange(20_000) % 200 == 0

    def unknown(log: pd.DataFrame) -> pd.DataFrame:
        return log.assign(model=np.where(every[: len(log)], "mystery", log["model"]))

    def unknown_moved(log: pd.DataFrame) -> pd.DataFrame:
        return log.assign(model=np.where((log["model"] != BIG) & (np.arange(len(log)) % 50 == 0), "mystery", log["model"]))

    few = verified(World(shares=(0.5, 0.5)), unknown)
    assert not check(few, "prices").alarm
    assert few.estimate("saving_share") is not None
    moved = verified(World(shares=(0.5, 0.5)), unknown_moved)
    assert check(moved, "prices").count < 0.01 * len(every)
    assert check(moved, "prices").alarm


def test_slow_answers_that_become_failures_are_not_faster(verified: Verified) -> None:
    """Where the slowest moved requests fail, p95 of all requests is what it was; where more than 5 % fail, it is not known."""

    def cut(at_ms: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return lambda log: log.assign(status=np.where((log["model"] != BIG) & (log["latency_ms"] > at_ms), "transport", "ok"))

    world = World(shares=(0.5, 0.5), slower=1.3)
    whole, few, many = (verified(world, cut(at)).table for at in (np.inf, 5_500.0, 2_500.0))
    rows = [t[t["app"] == "all"].set_index("measure").loc["p95_ms"] for t in (whole, few, many)]
    assert rows[0]["low"] > 0
    assert (rows[1]["routed"], rows[1]["asked"]) == (rows[0]["routed"], rows[0]["asked"])
    assert math.isnan(rows[2]["difference"])
    assert rows[2]["asked"] == rows[0]["asked"]
    assert "more than 5% of the routed fail" in verified(world, cut(2_500.0)).text


def test_a_failure_counts_as_much_as_the_latencies_that_are_known(verified: Verified) -> None:
    """Where a log knows the latency of one answer in ten, failures do not crowd them out: p95 is known, about where it was."""

    def sparse(log: pd.DataFrame) -> pd.DataFrame:
        known = (np.arange(len(log)) % 10 == 0) | (log["status"] != "ok")
        return log.assign(latency_ms=log["latency_ms"].where(known))

    world = World(shares=(0.5, 0.5), sessions=3_000)
    rows = [verified(world, change).table.set_index(["app", "measure"]).loc[("all", "p95_ms")] for change in (lambda log: log, sparse)]
    assert rows[1]["routed"] == pytest.approx(rows[0]["routed"], rel=0.1)


def test_something_else_between_the_arms_is_an_alarm(verified: Verified) -> None:
    """Where requests that keep their model cost more when routed, the arms differ by more than routing, and all are compared."""

    def dearer(log: pd.DataFrame) -> pd.DataFrame:
        times = np.where((said(log, "arm") == "routed") & (said(log, "decided") == BIG), 4, 1)
        return log.assign(input_tokens=log["input_tokens"] * times, output_tokens=log["output_tokens"] * times)

    assert not check(verified(), "kept models").alarm
    found = verified(None, dearer)
    assert check(found, "kept models").alarm
    assert "all requests are compared" in found.text


def test_a_group_of_deployments_is_the_model_behind_it(verified: Verified) -> None:
    """Where apps ask for a group by its own name, as an exported gateway has them, everything is as if they named the model behind it."""
    plain, grouped = verified(), verified(World(group=True))
    pd.testing.assert_frame_equal(plain.table, grouped.table)
    assert plain.text == grouped.text


def test_what_the_router_abstained_from_is_not_moved(verified: Verified) -> None:
    """A request that a router abstained from has its reference as decided and no chance of it: it counts as kept model, not explored."""

    def abstained(log: pd.DataFrame) -> pd.DataFrame:
        kept = said(log, "decided") == BIG
        return log.assign(
            tags=[t.replace(f"planner-decided:{BIG}", "planner-decided:else") if k else t for t, k in zip(log["tags"], kept, strict=True)]
        )

    plain, other = verified(), verified(None, abstained)
    pd.testing.assert_frame_equal(plain.table, other.table)
    assert check(other, "exploration").count == 0


def test_fallbacks_and_explorations_count_as_routed(verified: Verified) -> None:
    """Who was drawn stays in the arm, whatever answered: fallbacks and explorations are counted, and no alarm."""

    def fell_back(log: pd.DataFrame) -> pd.DataFrame:
        picked = (log["action"] == MINI) & (np.arange(len(log)) % 10 == 0)
        return log.assign(model=np.where(picked, BIG, log["model"]))

    found = verified(None, fell_back)
    assert check(found, "fallbacks").count > 50
    assert not found.alarms
    assert check(verified(World(explore=0.2)), "exploration").count > 50


def test_an_outage_does_not_hide_itself(verified: Verified) -> None:
    """Where every request sent to a model was answered by another, all of them fell back, and both models are named with the count."""

    def out(log: pd.DataFrame) -> pd.DataFrame:
        return log.assign(model=log["model"].replace(MINI, NANO))

    sent = [0]

    def counted(log: pd.DataFrame) -> pd.DataFrame:
        sent[0] = int(((log["action"] == MINI) & (said(log, "arm") == "routed")).sum())
        return out(log)

    found = check(verified(None, counted), "fallbacks")
    assert found.count == sent[0] > 1_000
    assert f"{NANO} for {MINI} ({sent[0]:,})" in found.words
    dated = check(verified(None, lambda log: log.assign(model=log["model"] + "-2026-01-01")), "fallbacks")
    assert (dated.count, dated.words) == (0, "No routed request fell back to another model."), "a dated name is the same model"


def test_what_stands_behind_an_unknown_name_is_a_guess_that_is_said(verified: Verified) -> None:
    """Where no price book knows the name that was sent to, its usual answer is taken for it, and the words say so."""

    def aliased(log: pd.DataFrame) -> pd.DataFrame:
        mine = {"action": log["action"].replace(MINI, "our-small"), "tags": log["tags"].str.replace(f':{MINI}"', ':our-small"')}
        return log.assign(**mine, action_propensities=log["action_propensities"].str.replace(f'"{MINI}"', '"our-small"'))

    found = check(verified(None, aliased), "fallbacks")
    assert found.count == 0
    assert f"{MINI} is taken for what stands behind our-small" in found.words


def test_less_than_a_day_has_no_dollars_a_month(verified: Verified) -> None:
    """Of a log of minutes the share saved is given, dollars a month are not, and the words say how long it is; of a day they are."""

    def within(hours: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(log: pd.DataFrame) -> pd.DataFrame:
            start = log["timestamp"].min()
            return log.assign(timestamp=start + (log["timestamp"] - start) * (hours / 24 / 27))

        return change

    short, long = verified(None, within(0.2)), verified(None, within(30))
    assert short.estimate("saving_share") is not None
    assert short.estimate("saving_usd_per_month") is short.estimate("saving_usd_per_month_all") is None
    assert "no dollars a month are given of less than a day" in short.text
    assert " days:" not in short.text.splitlines()[0]
    month, saved = long.estimate("saving_usd_per_month"), long.saved_usd
    assert month is not None
    assert saved == pytest.approx([x * long.days / DAYS_PER_MONTH for x in (month.value, month.low, month.high)])
    assert short.saved_usd == pytest.approx(saved, rel=1e-6)


def test_failures_and_p95_are_predicted_without_an_interval(verified: Verified, tmp_path: Path) -> None:
    """Failures and p95 that the simulation gives no interval stand beside what happened, without a verdict, and the words say why."""
    pairs = {"failure_share": {"log": 0.02, "plan": 0.9}, "p95_of_all_ms": {"log": 1.0, "plan": 9_000.0}}
    bundle = made_bundle(tmp_path / "production", {"plan": {"levers": ["route"]}, **HALF, **pairs})
    found = verify(traffic_of(tmp_path / "mine", columns(World(), digest(bundle))), bundle)
    rows = found.table.set_index(["app", "measure"]).loc["all"]
    assert rows.loc["failures", "predicted"] == pytest.approx(0.88)
    assert rows.loc[["failures", "p95_ms"], "verdict"].tolist() == ["", ""]
    assert rows.loc["saving_share", "verdict"] == "holds"
    assert "The prediction of failures and p95 is estimated without an interval" in found.text


def test_what_cannot_be_verified_is_refused(verified: Verified, tmp_path: Path) -> None:
    """A log that was not routed, another bundle, and a precision that is no share are one sentence each."""

    def shadow(log: pd.DataFrame) -> pd.DataFrame:
        return log.assign(tags=[json.dumps([*json.loads(x), "planner-arm:shadow"]) for x in log["tags"]])

    with pytest.raises(NeedsError, match="in shadow: decided, sent as asked"):
        verified(None, shadow)
    with pytest.raises(NeedsError, match="decided by another bundle"):
        verified(bundle=made_bundle(tmp_path / "other", {"saving_share": {"value": 0.1}}))
    with pytest.raises(InputError, match="precision"):
        verified(precision=0.0)
    with pytest.raises(InputError, match="saving_share"):
        verified(World(sessions=300)).estimate("saving")


@given(st.lists(st.text(max_size=20), max_size=8))
def test_the_callers_own_tags_say_nothing(tags: list[str]) -> None:
    """Tags of any text beside ours neither fail nor change what ours say, which stand last."""
    ours = ["planner:01234567", "planner-arm:holdout", "planner-asked:a:b"]
    found = tags_said(json.dumps([*tags, *ours]))
    assert {k: found[k] for k in ("bundle", "arm", "asked")} == {"bundle": "01234567", "arm": "holdout", "asked": "a:b"}
