"""The audit of a sample: estimated with an interval, of the whole log; what only a whole log shows is not given."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import traffic_of

from planner.comparison import recommend
from planner.outcomes import Outcomes
from planner.policies import Plan
from planner.prices import Audit, PriceBook, audit
from planner.simulation import AS_LOGGED, World, run
from planner.traffic import Traffic, coverage
from planner.traffic.sampling import sampled

N = 4_000


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


def log(folder: Path, seed: int = 0, **columns: object) -> Traffic:
    """Write 4,000 requests of 300 users over 20 days; a tenth failed, one in twenty is a router's own."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 20 * 86_400, N)), unit="s"),
            "app": rng.choice(["chat", "code"], N),
            "user": [f"u{i}" for i in rng.integers(0, 300, N)],
            "provider": "openai",
            "model": "gpt-5-mini",
            "input_tokens": 1_000 + np.arange(N),
            "output_tokens": 100,
            "status": rng.choice(["ok", "transport"], N, p=[0.9, 0.1]),
            "attempts": rng.choice([1, 2], N, p=[0.9, 0.1]),
            "purpose": rng.choice(["user", "overhead"], N, p=[0.95, 0.05]),
            "cache_key": [f"k{i}" for i in rng.integers(0, 600, N)],
            **columns,
        }
    )
    return traffic_of(folder, frame)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Return the whole log."""
    return log(tmp_path_factory.mktemp("whole") / "log")


def losses(found: Audit) -> pd.DataFrame:
    """Return the losses by name."""
    return found.losses.set_index("loss")


def test_a_samples_total_is_estimated_and_its_interval_holds_the_truth(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Of 40 samples of 20 % at least 35 intervals hold what the whole log cost; each says estimated, as do all its parts."""
    true = audit(whole, book)
    hits = []
    for seed in range(40):
        found = audit(sampled(whole, 0.2, tmp_path / "s", seed=seed), book)
        for part, real in ((found.total, true.total), (found.overhead, true.overhead)):
            assert (part.evidence, set(part.shares)) == ("estimated", {"estimated"})
            assert part.low is not None
            assert part.high is not None
            hits.append(part.low <= real.value <= part.high)
    assert sum(hits[::2]) >= 35
    assert sum(hits[1::2]) >= 35
    assert (true.total.evidence, true.total.low, true.total.high) == ("measured", None, None)


def test_every_sum_of_a_sample_has_its_limits(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Groups have the interval of their own units, none below ten of them; those of a whole log have none, and no column for it."""
    found = audit(sampled(whole, 0.2, tmp_path / "s"), book)
    alone = found.estimate((found.traffic.frame("app")["app"] == "chat").to_numpy())
    row = found.by("app").set_index("app").loc["chat"]
    assert (row["usd"], row["low"], row["high"]) == pytest.approx((alone.value, alone.low, alone.high))
    users = found.by("user", "bucket")
    assert users["low"].isna().all()
    assert (users["usd"] > 0).any()
    assert found.by("day")["low"].notna().all()
    assert {"low", "high"} & {*audit(whole, book).by("app"), *audit(whole, book).losses} == set()


def test_losses_stand_for_the_log(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Requests of a loss are weighted as its dollars are, both are estimated, and both come near to those of the log."""
    true, found = losses(audit(whole, book)), losses(audit(sampled(whole, 0.5, tmp_path / "s"), book))
    for name in ("failed: transport", "retries"):
        assert found.loc[name, "requests"] == pytest.approx(true.loc[name, "requests"], rel=0.25)
        assert found.loc[name, "low"] <= true.loc[name, "usd"] <= found.loc[name, "high"]
    assert true.loc["failed: transport", "evidence"] == "measured"
    assert found["evidence"].to_dict() == {**true["evidence"].to_dict(), "failed: transport": "estimated"}


def test_what_only_a_whole_log_shows_is_not_given(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Who asked the same before is looked for among all: a sample has no figure, and says why; without any key there is nothing to say."""
    found = audit(sampled(whole, 0.5, tmp_path / "s"), book)
    missed = losses(found).loc["response-cache misses"]
    assert math.isnan(missed["usd"])
    assert math.isnan(missed["requests"])
    assert "Response-cache misses: not given, since who asked the same before may not be in the sample" in found.text
    assert losses(audit(whole, book)).loc["response-cache misses", "usd"] > 0
    keyless = audit(sampled(log(tmp_path / "keyless", cache_key=None), 0.5, tmp_path / "k"), book)
    assert losses(keyless).loc["response-cache misses", "usd"] == 0


def test_turns_are_compared_where_whole_conversations_were_drawn(book: PriceBook, tmp_path: Path) -> None:
    """Sessions that planner's own sample keeps whole tell prompt-cache misses; rows that some other sampling left do not."""
    turns = {"session_id": [f"s{i // 8}" for i in range(N)], "input_tokens": 3_000 + 100 * (np.arange(N) % 8), "cache_key": None}
    every = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.arange(N) * 60, unit="s")
    plain = log(tmp_path / "a", timestamp=every, purpose="user", status="ok", attempts=1, **turns)
    true = losses(audit(plain, book)).loc["prompt-cache misses"]
    found = losses(audit(sampled(plain, 0.5, tmp_path / "b"), book)).loc["prompt-cache misses"]
    assert found["low"] <= true["usd"] <= found["high"]
    assert found["evidence"] == "assumed"
    other = audit(log(tmp_path / "c", timestamp=every, purpose="user", status="ok", attempts=1, weight=10.0, **turns), book)
    assert math.isnan(losses(other).loc["prompt-cache misses", "usd"])
    assert "Prompt-cache misses: not given, since the turn before may not be in the sample" in other.text


def test_text_says_what_a_sample_stands_for(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """The total stands with its interval and as estimated, for as many requests as the weights add up to."""
    found = audit(sampled(whole, 0.2, tmp_path / "s"), book)
    total = found.total
    assert f"(standing for {found.weight.sum():,.0f})" in found.text
    assert f"cost ${total.value:,.2f} [${total.low:,.2f}, ${total.high:,.2f}] estimated" in found.text
    assert "standing for" in total.source


def test_a_sample_of_text_alone_stays_measured(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Where every row kept its tokens, the total is the log's own, measured."""
    found = audit(sampled(whole, 0.2, tmp_path / "s", text_only=True), book)
    assert found.total == audit(whole, book).total


def test_as_logged_is_the_audit_of_a_sample(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """The empty plan over a sample costs what its audit says, and is as estimated."""
    part = sampled(whole, 0.2, tmp_path / "s")
    today = run(World(part, Outcomes(), book, AS_LOGGED), Plan()).cost()
    total = audit(part, book).total
    assert (today.value, today.evidence) == (total.value, total.evidence)
    assert today.shares["measured"] == 0


def few_heavy(folder: Path) -> Traffic:
    """Write a log of 3,000 users, each in one request, of whom the twenty heaviest hold three quarters of the tokens."""
    tokens = np.full(3_000, 100)
    tokens[np.arange(20) * 150] = 42_000
    users = [f"u{i}" for i in range(3_000)]
    at = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.arange(3_000) * 10, unit="min")
    columns = {"user": users, "timestamp": at, "provider": "openai", "model": "gpt-5-mini", "input_tokens": tokens}
    return traffic_of(folder, {**columns, "messages": None, "app": "chat"})


def test_a_sample_that_few_heavy_users_decide_has_no_interval(book: PriceBook, tmp_path: Path) -> None:
    """Whatever was drawn: no total of it has one, and the text says why and which sample would do; that sample has one, which covers."""
    log = few_heavy(tmp_path / "log")
    true = audit(log, book).total.value
    for seed in range(10):
        thin = audit(sampled(log, 0.1, tmp_path / "thin", seed=seed), book)
        assert (thin.total.low, thin.total.high, thin.total.evidence) == (None, None, "estimated")
        assert thin.by("app")["low"].isna().all()
        assert thin.text.splitlines()[1].startswith("Totals have no interval: by what they spent the log has 37 effective conversations")
        assert coverage(thin.traffic, thin.cost_pusd / 1e12).limits is None
        assert coverage(thin.traffic).text.splitlines()[1] == thin.thin
    assert thin.thin.endswith("draw 28% or more with planner read --sample.")
    hits = []
    for seed in range(40):
        found = audit(sampled(log, 0.3, tmp_path / "enough", seed=seed), book)
        assert found.thin == ""
        assert found.total.low is not None
        assert found.total.high is not None
        hits.append(found.total.low <= true <= found.total.high)
    assert sum(hits) >= 35


def test_no_sample_of_a_log_of_few_users_is_enough(book: PriceBook, tmp_path: Path) -> None:
    """Where fewer than ten hold the spend, the whole log is what to read."""
    rows = {"user": [f"u{i % 9}" for i in range(900)], "provider": "openai", "model": "gpt-5-mini", "input_tokens": 100}
    found = audit(sampled(traffic_of(tmp_path / "log", rows), 0.9, tmp_path / "part"), book)
    assert found.total.low is None
    assert found.thin.endswith("; read the whole log.")


def test_each_draw_of_a_sample_counts(book: PriceBook, tmp_path: Path) -> None:
    """A sample of a sample is too thin where either draw was; text alone that is sampled leaves totals as they are."""
    log = few_heavy(tmp_path / "log")
    half = sampled(log, 0.5, tmp_path / "a")
    assert audit(half, book).thin == ""
    assert "are to be expected in a sample of 10%" in audit(sampled(half, 0.1, tmp_path / "b"), book).thin
    thin = sampled(log, 0.1, tmp_path / "c")
    assert "are to be expected in a sample of 10%" in audit(sampled(thin, 0.99, tmp_path / "d"), book).thin
    text = sampled(log, 0.01, tmp_path / "t", text_only=True)
    assert audit(text, book).thin == ""


def test_a_plan_gives_the_total_the_audits_interval(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """The spend that recommendations start from has the limits of the audit's total, or none and the reason where the sample is thin."""
    part = sampled(whole, 0.2, tmp_path / "s")
    found, total = recommend(part, book=book, at=AS_LOGGED), audit(part, book).total
    month = found.spend.value / total.value
    assert total.low is not None
    assert total.high is not None
    assert (found.spend.low, found.spend.high) == pytest.approx((total.low * month, total.high * month))
    thin = recommend(sampled(few_heavy(tmp_path / "log"), 0.1, tmp_path / "thin"), book=book, at=AS_LOGGED)
    assert thin.spend.low is None
    assert thin.notes[0].startswith("Totals have no interval")


def test_a_group_that_stands_for_itself_is_exact(book: PriceBook, tmp_path: Path) -> None:
    """Rows of weight 1 beside others that stand for many have both limits at their sum, be they few or the sample thin; none is no zero."""
    weight = np.where(np.arange(N) < 5, 1.0, 20.0)
    found = audit(log(tmp_path / "a", app=np.where(np.arange(N) < 5, "kept", "drawn"), weight=weight), book)
    kept = found.by("app").set_index("app").loc["kept"]
    assert kept["low"] == kept["high"] == kept["usd"] > 0
    alone = found.estimate(weight == 1)
    assert (alone.low, alone.high) == (alone.value, alone.value)
    assert found.by("app").set_index("app").loc["drawn", "low"] < found.by("app").set_index("app").loc["drawn", "usd"]
    assert found.estimate(np.zeros(N, bool)).low is None
    thin = sampled(few_heavy(tmp_path / "log"), 0.1, tmp_path / "thin")
    weight = np.where(np.arange(len(thin)) < 5, 1.0, 10.0)
    mixed = traffic_of(tmp_path / "mixed", {**thin.frame("user", "provider", "model", "input_tokens"), "weight": weight})
    mixed = Traffic(mixed.folder, {**mixed.meta, "samples": thin.meta["samples"]})
    assert audit(mixed, book).total.low is None
    assert audit(mixed, book).estimate(weight == 1).low is not None


def test_the_sources_difference_is_that_of_the_whole_log(book: PriceBook, tmp_path: Path) -> None:
    """Rows and dollars that differ are weighted, with what was drawn beside them; of 40 samples at least 35 intervals hold the truth."""
    ours = audit(log(tmp_path / "a"), book).cost_pusd / 1e12
    source = log(tmp_path / "b", source_cost_usd=np.where(np.arange(N) % 3, ours, ours * 1.5))
    true = audit(source, book).difference
    assert true.value < 0
    assert (true.low, true.evidence) == (None, "measured")
    hits = []
    for seed in range(40):
        found = audit(sampled(source, 0.2, tmp_path / "s", seed=seed), book)
        assert found.difference.low is not None
        assert found.difference.high is not None
        hits.append(found.difference.low <= true.value <= found.difference.high)
    assert sum(hits) >= 35
    apart, all_ = int(found.differs.sum()), len(found)
    much = f"${-found.difference.value:,.4f} [${-found.difference.high:,.4f}, ${-found.difference.low:,.4f}] less in all, estimated"
    said = f"differs in {5 * apart:,} ({apart:,} drawn) of {5 * all_:,} ({all_:,} drawn) rows, ours {much}. {5 * apart:,} ({apart:,} drawn)"
    assert f"{said} rows: the source charges 1.5 times our cost" in found.text


def test_the_same_call_again_is_no_cause(book: PriceBook, tmp_path: Path) -> None:
    """Six calls made a thousand times at other rates have six factors, of which none is a margin; nor is any of thousands of usages."""
    rng = np.random.default_rng(5)
    usages = rng.integers(50, 2_000, (6, 2))
    own = usages * [4e-6, 4e-6]
    at = rng.integers(0, 6, N)
    again = {"input_tokens": usages[at, 0], "output_tokens": usages[at, 1], "source_cost_usd": own.sum(1)[at] + 1e-4}
    assert set(audit(log(tmp_path / "a", **again), book).disagreements["cause"]) == {""}
    usages = rng.integers(50, 2_000, (N, 2))
    many = {
        "input_tokens": usages[:, 0],
        "output_tokens": usages[:, 1],
        "source_cost_usd": (usages * 4e-6).sum(1) + rng.uniform(0, 1e-3, N),
    }
    assert not audit(log(tmp_path / "b", **many), book).disagreements["cause"].str.contains("times our cost").any()


def test_a_cause_in_a_sample_is_one_that_ten_conversations_show(book: PriceBook, tmp_path: Path) -> None:
    """What one user's rows show has a cause in the whole log and none in a sample of it; what hundreds show has one in both."""
    plain = log(tmp_path / "a", status="ok")
    ours, user = audit(plain, book).cost_pusd / 1e12, plain.frame("user")["user"]
    of_one, of_all = np.where(user == user[0], ours * 1.2, ours), ours * 1.2
    for source, told in ((of_one, False), (of_all, True)):
        whole = log(tmp_path / "b", status="ok", source_cost_usd=source)
        assert set(audit(whole, book).disagreements["cause"]) == {"the source charges 1.2 times our cost (a margin or a discount)"}
        drawn = next(s for seed in range(99) if user[0] in set((s := sampled(whole, 0.5, tmp_path / "s", seed=seed)).frame("user")["user"]))
        assert (audit(drawn, book).disagreements["cause"] != "").all() == told


def test_counts_say_what_they_stand_for(book: PriceBook, tmp_path: Path) -> None:
    """Requests without a price, of overhead and from the cache are weighted in text and table, with what was drawn beside them."""
    kinds = {"model": np.where(np.arange(N) % 4, "gpt-5-mini", "mine-7b"), "cache_hit": np.arange(N) % 10 == 1}
    found = audit(sampled(log(tmp_path / "a", **kinds), 0.5, tmp_path / "s"), book)
    for rows, said in ((found.reason != 0, "requests have no price"), (found.hit, "came from the response cache")):
        assert f"{2 * rows.sum():,} ({rows.sum():,} drawn) {said}" in found.text
    assert found.by("app")["unpriced"].sum() == found.problems["requests"].sum() == 2 * (found.reason != 0).sum()
    assert found.problems["rows"].sum() == (found.reason != 0).sum()
