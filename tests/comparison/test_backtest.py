"""A back-test says yes where the second part of a log follows the first, no where it does not, and cannot peek."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparison.back_logs import columns, log_of

from planner.comparison.backtest import GIVEN, Backtest, backtest
from planner.comparison.backtest_levers import judge
from planner.comparison.backtest_periods import cut_at
from planner.errors import InputError, NeedsError
from planner.policies import ExactCache, Hedge, Plan, PromptCache, Retry
from planner.traffic import Traffic
from planner.traffic.sampling import sampled


def run(folder: Path, frame: pd.DataFrame, **options: object) -> Backtest:
    """Back-test a log quickly."""
    return backtest(log_of(folder, frame), runs=3, **options)  # type: ignore[arg-type]


def row(found: Backtest, app: str, measure: str) -> pd.Series:
    """Return one row of the table."""
    table = found.table
    (position,) = np.flatnonzero((table["app"] == app) & (table["measure"] == measure))
    return table.iloc[position]


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Return the back-test of a log that keeps its rule."""
    return run(tmp_path_factory.mktemp("steady"), columns())


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Return the back-test of a log whose app "chat" becomes slower, longer and fails more."""
    return run(tmp_path_factory.mktemp("drifted"), columns(slower=1.5, longer=1.4, failing=4.0))


def test_intervals_hold_where_nothing_changes(tmp_path: Path) -> None:
    """Over four logs that keep their rule, nine in ten intervals or more hold; the level of all apps together never misses much."""
    found = [run(tmp_path / str(seed), columns(4_000, seed)) for seed in range(4)]
    tested, hits = sum(f.tested for f in found), sum(f.hits for f in found)
    assert tested >= 40
    assert hits / tested >= 0.9
    assert all("miss" not in set(f.levers["verdict"]) for f in found)


def test_a_steady_log_proves_what_it_shows(steady: Backtest) -> None:
    """Retries, failures, lengths and latencies hold; money is right within three per cent; nothing is switched off."""
    assert [steady.verdict(part) for part in ("failures", "retries", "answer lengths", "latency")] == ["hit"] * 4
    money = row(steady, "all", "usd")
    assert money["predicted"] == pytest.approx(money["actual"], rel=0.03)
    assert money["low"] < money["actual"] < money["high"]
    assert steady.off(Plan((Retry({"transport": 2}), Hedge(1_000.0)))) == {}


def test_what_was_configured_is_read_off_the_first_period(steady: Backtest) -> None:
    """Two retries in both apps, and no cache."""
    assert [lever.key for lever in steady.plan.levers] == ["retry"]
    assert steady.plan.levers[0].payload()["retries"] == {"transport": 2, "rate_limit": 2}


@pytest.mark.parametrize(
    ("measure", "part"),
    [("output_tokens", "answer lengths"), ("failures", "failures"), ("latency_p50_ms", "latency"), ("latency_p95_ms", "latency")],
)
def test_planted_drift_is_a_miss(drifted: Backtest, measure: str, part: str) -> None:
    """What drifted in one app is told there, with the numbers, and not of the other app."""
    assert row(drifted, "chat", measure)["hit"] is False
    assert row(drifted, "chat", measure)["actual"] > row(drifted, "chat", measure)["high"]
    assert drifted.verdict(part, "chat") == "miss"
    assert drifted.verdict(part, "search") == "hit"
    assert drifted.verdict(part) == "miss"


def test_a_lever_that_missed_is_off_and_says_why(drifted: Backtest) -> None:
    """Levers that rest on what drifted are off by default, with the app and both numbers; others are not."""
    off = drifted.off(Plan((Retry({"transport": 2}), Hedge(1_000.0), PromptCache())))
    assert set(off) == {"retry", "hedge"}
    assert "off by default" in off["hedge"]
    assert "in chat: predicted" in off["hedge"]
    assert off["hedge"].split(" is off")[0] in drifted.text
    assert drifted.hits < drifted.tested


def test_money_follows_the_longer_answers(drifted: Backtest) -> None:
    """Longer answers cost more than was predicted, and the bill of their app is outside its interval."""
    assert row(drifted, "chat", "usd")["hit"] is False
    assert row(drifted, "search", "usd")["hit"] is True


def test_the_last_outcomes_enter_no_prediction(tmp_path: Path, steady: Backtest) -> None:
    """With all outcomes of the last period changed, every prediction and interval is the same to the last digit."""
    frame = columns()
    late = frame["timestamp"] >= pd.Timestamp(steady.cut, tz="UTC")
    given = frame[["input_tokens", "output_tokens", "latency_ms", "status", "attempts"]].copy()
    given.loc[late, "output_tokens"] = 5
    given.loc[late, "latency_ms"] = 77.0
    given.loc[late, "attempts"] = 1
    given.loc[late & (frame["input_tokens"] > 0), "status"] = "validation"
    other = run(tmp_path, frame.assign(**given))
    keys, told = ["app", "measure"], ["predicted", "low", "high", "low_together", "high_together"]
    both = steady.table.merge(other.table, on=keys, suffixes=("", "_other"))
    both = both[both["low"].notna()]
    assert len(both) >= 16
    for name in told:
        assert both[name].tolist() == both[f"{name}_other"].tolist(), name
    assert both["actual"].tolist() != both["actual_other"].tolist()


def test_the_response_cache_is_simulated(tmp_path: Path) -> None:
    """Hits of a cache whose lifetime is read off the first period come out as they happened in the last."""
    found = run(tmp_path, columns(6_000, questions=60))
    (cache,) = [lever for lever in found.plan.levers if isinstance(lever, ExactCache)]
    assert cache.apps == ("search",)
    assert 3_000 < cache.ttl_s <= 3_600
    hits = row(found, "search", "cache_hits")
    assert hits["predicted"] == pytest.approx(hits["actual"], rel=0.1)
    assert found.verdict("exact_cache") == "hit"


def test_what_a_log_lacks_is_said(tmp_path: Path) -> None:
    """Without latencies, failures, retries and texts these are unproven, with a sentence each, and no lever is proven by them."""
    frame = columns(2_000)
    frame = frame[frame["status"] == "ok"].drop(columns=["latency_ms", "attempts"])
    found = run(tmp_path, frame)
    for part in ("failures", "retries", "latency", "prompt cache", "exact cache", "model ratios"):
        assert found.verdict(part) == "unproven", part
        assert f"Not tested: {part}; the log has no" in found.text
    assert GIVEN in found.text
    assert set(found.levers["verdict"]) == {"unproven"}
    assert not found.table["measure"].str.startswith(("latency", "failures")).any()


def test_what_cannot_but_hold_is_not_counted(steady: Backtest) -> None:
    """Input that is given, and of which no cache reads any, is no success: failed requests alone make it unsure."""
    assert row(steady, "chat", "input_tokens")["predicted"] == pytest.approx(row(steady, "chat", "input_tokens")["actual"], rel=0.02)
    assert (steady.table["hit"].notna() == steady.table["low"].notna()).all()


@pytest.mark.parametrize(
    ("split", "says"),
    [("0", "share between 0 and 1"), ("1.5", "share between 0 and 1"), ("soon", "date like"), ("2026-10-01", "at least 100")],
)
def test_a_split_that_leaves_nothing_is_refused(tmp_path: Path, split: str, says: str) -> None:
    """A split that is none, or outside the log, is one error that says what would do."""
    with pytest.raises(InputError, match=says):
        run(tmp_path, columns(400), split=split)


def test_a_day_splits_where_it_begins(tmp_path: Path) -> None:
    """A date is the first day of the last period."""
    found = run(tmp_path, columns(1_500), split="2026-11-20")
    assert str(found.cut)[:19] == "2026-11-20T00:00:00"
    assert sum(found.requests) == 1_500


def test_an_unknown_lever_is_refused(steady: Backtest) -> None:
    """A verdict is asked for by name, and a name that is none is an error."""
    with pytest.raises(InputError, match="a lever or a part"):
        steady.verdict("teleport")


def test_the_azure_trace(real_data: Path, tmp_path: Path) -> None:
    """An hour without models, times or failures tests nothing but the length of answers, and says so."""
    from planner.traffic import read

    traffic: Traffic = read(real_data / "azure_llm_inference_conv_2023.csv", out=tmp_path / "azure", text=True)
    found = backtest(traffic, runs=2)
    assert set(found.table.loc[found.table["hit"].notna(), "measure"]) == {"output_tokens"}
    assert found.verdict("answer lengths") == "hit"
    for sentence in ("100% of the requests name no model", "The log covers", "Not tested: latency"):
        assert sentence in found.text


def test_too_few_requests_judge_no_tail(tmp_path: Path) -> None:
    """Of 300 requests of 20 users a p95 has no interval, nor is it a miss: what rests on it is unproven, and on."""
    frame = columns(300, failing=0.0).assign(user=[f"u{i % 20}" for i in range(300)])
    found = run(tmp_path, frame, split=0.6)
    tails = found.table[found.table["measure"] == "latency_p95_ms"]
    assert len(tails)
    assert tails["low"].isna().all()
    assert row(found, "all", "latency_p50_ms")["hit"] is True
    assert found.verdict("latency") == "unproven"
    assert "to judge latency_p95_ms" in found.text
    assert found.off(Plan((Hedge(1_000.0),))) == {}


def test_a_refused_split_names_one_that_works() -> None:
    """The advice after a split that leaves too little is one that leaves enough, or says that none does."""
    times = np.datetime64("2026-11-01", "us") + np.sort(np.random.default_rng(0).random(260)) ** 2 * np.timedelta64(
        20 * 86_400_000_000, "us"
    )
    with pytest.raises(InputError, match="--split") as refused:
        cut_at(times, 0.7)
    share = re.search(r"--split ([\d.]+) leaves ([\d,]+) before and ([\d,]+) after", str(refused.value))
    assert share is not None
    cut = cut_at(times, share[1])
    assert [int((times < cut).sum()), int((times >= cut).sum())] == [int(share[2]), int(share[3])]
    with pytest.raises(InputError, match="No split does: the log has 150 requests"):
        cut_at(times[:150], 0.7)


def test_two_predictions_of_cached_tokens_have_two_names() -> None:
    """A miss of the simulated cache says that it is that one's, in plain digits."""
    row = {"app": "ops", "requests": 900.0, "measure": "prompt_cache_tokens", "predicted": 1_312_044.0, "low": 1.2e6, "high": 1.4e6}
    table = pd.DataFrame([row | {"actual": 1_992_704.0, "hit": False, "hit_together": False}]).astype(
        {"hit": object, "hit_together": object}
    )
    parts = judge(table, pd.DataFrame(columns=["app", "measure", "predicted", "actual", "hit", "low"]))
    (told,) = parts[(parts["part"] == "prompt cache") & (parts["app"] == "ops")]["reason"]
    assert "by the simulated cache alone" in told
    assert "predicted 1,312,044 [1,200,000, 1,400,000], was 1,992,704" in told


def test_a_sample_is_not_back_tested(tmp_path: Path) -> None:
    """A cache misses in a sample what it hit in the log: rows are refused, and a share of the texts where a cache was configured."""
    log = log_of(tmp_path / "log", columns(2_000, questions=60))
    with pytest.raises(NeedsError, match="a sample whose rows stand for up to 2 requests; expected every request"):
        backtest(sampled(log, 0.5, tmp_path / "rows"))
    with pytest.raises(NeedsError, match="exact_cache needs the text of every request"):
        backtest(sampled(log, 0.5, tmp_path / "texts", text_only=True), runs=1)
    plain = log_of(tmp_path / "plain", columns(2_000).assign(messages="[]", text_state="full"))
    assert "exact cache" in str(backtest(sampled(plain, 0.5, tmp_path / "plain_texts", text_only=True), runs=1).untested)
