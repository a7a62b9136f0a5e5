"""The audit: every row is priced or has a reason, sums add up, and the losses are what a slow reading finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from planner.errors import InputError
from planner.prices import PriceBook, audit
from planner.prices.money import pusd_sum, usd_by
from planner.schema import TOKEN_BUCKETS
from planner.traffic import Traffic, TrafficWriter

Make = Callable[..., Traffic]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that stores columns as traffic; request ids and a time are filled in."""

    def stored(n: int, **columns: Any) -> Traffic:
        given = {"request_id": [f"r{i}" for i in range(n)], "timestamp": pd.Timestamp("2026-11-01T12:00Z"), "model": "gpt-5-mini"}
        frame = pd.DataFrame({**given, **columns}, index=range(n))
        with TrafficWriter(tmp_path / "traffic") as writer:
            writer.accept(pa.Table.from_pandas(frame, preserve_index=False))
            return writer.close()

    return stored


def _random(make: Make, n: int = 3_000) -> Traffic:
    random = np.random.default_rng(11)
    tokens = {b: random.integers(0, 5_000, n) for b in TOKEN_BUCKETS}
    return make(
        n,
        timestamp=pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(random.integers(0, 40 * 86_400, n), unit="s"),
        model=random.choice(["gpt-5-mini", "claude-haiku-4-5", "gpt-5-mni"], n, p=[0.6, 0.35, 0.05]),
        service_tier=random.choice(["standard", "batch"], n),
        app=random.choice(["chat", "code"], n),
        user=random.choice(["ann", "bob", None], n),
        cache_hit=random.random(n) < 0.05,
        purpose=random.choice(["user", "overhead"], n, p=[0.9, 0.1]),
        status=random.choice(["ok", "transport", "content"], n, p=[0.9, 0.05, 0.05]),
        weight=random.choice([1.0, 2.5], n),
        **tokens,
    )


def test_every_row_is_priced_or_has_a_reason(make: Make, book: PriceBook) -> None:
    """Priced and unpriced rows add up to the log, and an unpriced row costs nothing in any sum."""
    traffic = _random(make)
    result = audit(traffic, book)
    assert result.total.n + len(result.unpriced) == len(traffic) == len(result)
    assert (result.unpriced["reason"] != "").all()
    assert set(result.unpriced["model"]) == {"gpt-5-mini", "claude-haiku-4-5", "gpt-5-mni"}
    assert not result.cost_pusd[result.reason != 0].any()


def test_each_request_is_priced_at_its_own_time(make: Make, book: PriceBook) -> None:
    """A row's cost is what the book says for its own provider, model, tier, tokens and timestamp."""
    traffic = _random(make, 200)
    result, frame, tokens = audit(traffic, book), traffic.frame(), traffic.tokens()
    for i, row in frame.iterrows():
        alone = book.price(None, row["model"], row["service_tier"], tokens[i : i + 1], row["timestamp"])
        assert result.cost_pusd[i] == (0 if row["cache_hit"] else alone.cost_pusd[0])


def test_unknown_tokens_never_change_a_cost(make: Make, book: PriceBook) -> None:
    """With or without tokens, the audit's cost is the book's to the integer; a fee per request is a cost that is known."""
    traffic = make(3, model=["gpt-5-mini", "sonar", "sonar"], provider=["openai", "perplexity", "perplexity"], input_tokens=[0, 0, 500])
    result, frame = audit(traffic, book), traffic.frame("provider", "model", "timestamp")
    priced = book.price(frame["provider"], frame["model"], "standard", traffic.tokens(), frame["timestamp"])
    assert result.cost_pusd.tolist() == priced.cost_pusd.tolist()
    assert (result.reason != 0).tolist() == [True, False, False]
    assert not result.cost_pusd[result.reason != 0].any()


def test_a_response_cache_hit_costs_nothing(make: Make, book: PriceBook) -> None:
    """A hit is free and counts as priced, even where its model has no price."""
    result = audit(make(2, cache_hit=True, input_tokens=1_000, model=["gpt-5-mini", "gpt-5-mni"]), book)
    assert result.cost_pusd.tolist() == [0, 0]
    assert result.unpriced.empty


def test_sums_add_up_however_they_are_grouped(make: Make, book: PriceBook) -> None:
    """Every grouping, and the token buckets within every grouping, sums to the total; shares sum to one."""
    result = audit(_random(make), book)
    by = ["app", "model"], ["user"], ["hour"], ["day", "bucket"], ["bucket"], ["prompt_version"], ["status", "purpose"]
    for columns in by:
        table = result.by(*columns)
        assert table["usd"].sum() == pytest.approx(result.total.value, rel=1e-12)
        assert table["share"].sum() == pytest.approx(1)
        assert table["usd"].is_monotonic_decreasing
    assert result.table.equals(result.by("app", "model"))
    assert (result.parts_pusd.sum(1) == result.spend_pusd).all()


def test_weights_count_as_that_many_requests(make: Make, book: PriceBook) -> None:
    """A row of weight 2.5 spends 2.5 times its cost, rounded once, and counts 2.5 requests."""
    result = audit(make(2, input_tokens=[1_001, 10], weight=[2.5, 1.0]), book)
    assert result.cost_pusd.tolist() == [250_250_000, 2_500_000]
    assert result.spend_pusd.tolist() == [625_625_000, 2_500_000]
    assert result.by("app")[["requests", "tokens"]].values.tolist() == [[3.5, 2_512]]
    assert "2 requests (standing for 4)" in result.text


def test_overhead_is_part_of_the_total_and_shown_apart(make: Make, book: PriceBook) -> None:
    """A router's own calls are in the total and named separately."""
    result = audit(make(2, input_tokens=[1_000, 4_000], purpose=["user", "overhead"]), book)
    assert result.total.value == pytest.approx(0.00125)
    assert result.overhead.value == pytest.approx(0.001)
    assert "1 of them are overhead" in result.text


def test_assumed_rates_are_a_share_of_the_total(make: Make) -> None:
    """Spend at assumed rates is kept apart from measured spend, and the total says assumed."""
    traffic = make(2, input_tokens=1_000, service_tier=["batch", "standard"], timestamp=pd.Timestamp("2026-09-01", tz="UTC"))
    total = audit(traffic, PriceBook.load(assume_tier_before_start=True)).total
    assert total.evidence == "assumed"
    assert total.shares == {"measured": pytest.approx(0.00025), "assumed": pytest.approx(0.000125)}


def _loss(result: Any, name: str) -> tuple[int, float]:
    row = result.losses.set_index("loss").loc[name]
    return int(row["requests"]), float(row["usd"])


def test_losses_by_hand(make: Make, book: PriceBook) -> None:
    """Failures, retries and repeats cost what their rows cost."""
    traffic = make(
        5,
        input_tokens=4_000,
        status=["ok", "content", "ok", "ok", "ok"],
        attempts=[1, 1, 3, 1, 1],
        cache_key=["a", "b", "c", "a", "a"],
        cache_hit=[False, False, False, False, True],
    )
    result = audit(traffic, book)
    assert _loss(result, "failed: content") == (1, pytest.approx(0.001))
    assert _loss(result, "retries") == (1, pytest.approx(0.002))
    assert _loss(result, "response-cache misses") == (1, pytest.approx(0.001))


def test_prompt_cache_misses_by_hand(make: Make, book: PriceBook) -> None:
    """A later turn of a session could have read the turn before it; what was paid above the read rate is the loss, at most."""
    traffic = make(
        4,
        session_id=["s", "s", "s", None],
        timestamp=pd.to_datetime(["2026-11-01T12:02Z", "2026-11-01T12:00Z", "2026-11-01T12:01Z", "2026-11-01T12:03Z"]),
        input_tokens=[3_000, 1_100, 500, 9_000],
        cache_read_tokens=[0, 0, 1_024, 0],
    )
    # The turn at 12:01 read all it could; the one at 12:02 could have read 1,524, in steps of 128: 1,408 at 0.025 instead of 0.25.
    result = audit(traffic, book)
    assert _loss(result, "prompt-cache misses") == (1, pytest.approx(1_408 * 0.225e-6))
    row = result.losses.set_index("loss").loc["prompt-cache misses"]
    assert (row["evidence"], row["meaning"].startswith("at most: ")) == ("assumed", True)


@pytest.mark.parametrize(
    ("model", "columns", "lost"),
    [
        ("gpt-5-mini", {}, True),
        ("gpt-5-mini", {"input_tokens": [1_000, 3_000]}, False),
        ("gpt-5-mini", {"minutes": 6}, False),
        ("claude-haiku-4-5", {"input_tokens": [5_000, 6_000], "minutes": 59}, True),
        ("claude-haiku-4-5", {"input_tokens": [4_000, 6_000]}, False),
        ("deepseek-chat", {}, False),
        ("gpt-5-mini", {"service_tier": "batch"}, False),
        ("gpt-5-mini", {"status": ["transport", "ok"]}, False),
        ("gpt-5-mini", {"cache_write_5m_tokens": [0, 10]}, False),
    ],
)
def test_a_prompt_cache_miss_keeps_the_providers_rule(make: Make, book: PriceBook, model: str, columns: dict[str, Any], lost: bool) -> None:
    """Below the minimum, after the lifetime, without a known cache, in a batch or after a failure nothing could be read."""
    minutes = columns.get("minutes", 4)
    start = pd.Timestamp("2026-11-01T12:00Z")
    given = {"input_tokens": [2_000, 3_000], **{k: v for k, v in columns.items() if k != "minutes"}}
    result = audit(make(2, session_id="s", model=model, timestamp=[start, start + pd.Timedelta(minutes=minutes)], **given), book)
    assert (_loss(result, "prompt-cache misses")[0] == 1) is lost


def test_an_answer_without_token_counts_has_no_cost(make: Make, book: PriceBook) -> None:
    """Zero tokens of an answered request are unknown tokens; a failure's and a cache hit's are a cost of zero."""
    traffic = make(4, status=["ok", "transport", "ok", "ok"], cache_hit=[False, False, True, False], input_tokens=[0, 0, 0, 1_000])
    result = audit(traffic, book)
    assert result.unpriced[["request_id", "reason"]].values.tolist() == [["r0", "no token counts: no cost"]]
    assert result.total.n + len(result.unpriced) == len(traffic)
    assert result.priced.problems[["reason", "rows"]].values.tolist() == [["no token counts: no cost", 1]]
    assert "1 requests have no token counts: no cost; they are not in the total" in result.text
    assert "Every request has a price" not in result.text
    nothing = audit(make(2), book)
    assert nothing.total.n == 0
    assert "2 requests have no token counts: no cost" in nothing.text
    assert "cost $0.00" not in nothing.text


MISTAKES = [
    (1_000 * 0.25 + 800 * 0.25 + 100 * 2, "the source charges cache reads as fresh input"),
    (1_000 * 0.25 + 100 * 2, "the source leaves out cache reads"),
    (0, "the source charges nothing"),
    (1_000 * 0.25 + 800 * 0.025 + 60 * 2, "the source leaves out reasoning"),
    (1_000 * 0.25 + 800 * 0.025 + 140 * 2, "the source counts reasoning twice"),
    (17.0, ""),
]


@pytest.mark.parametrize(("micro_usd", "cause"), MISTAKES)
def test_disagreements_name_their_cause(make: Make, book: PriceBook, micro_usd: float, cause: str) -> None:
    """Where one known mistake gives the source's figure, the disagreement says which; else it claims nothing."""
    columns = {"input_tokens": 1_000, "cache_read_tokens": 800, "output_tokens": 60, "reasoning_tokens": 40}
    result = audit(make(2, source_cost_usd=[micro_usd / 1e6, 470e-6], **columns), book)
    assert result.compared == 2
    assert result.disagreements["request_id"].tolist() == ["r0"]
    assert result.disagreements["cause"].tolist() == [cause]
    assert "differs in 1 of 2 rows" in result.text


def test_batch_billed_as_standard_and_a_margin_are_named(make: Make, book: PriceBook) -> None:
    """A batch row at standard rates, and a factor that recurs, are recognised."""
    tiers = ["batch", *["standard"] * 12]
    tokens = np.arange(13) * 1_000 + 1_000
    result = audit(
        make(13, input_tokens=tokens, service_tier=tiers, source_cost_usd=tokens * 0.25e-6 * np.where(np.arange(13), 1.12, 1)), book
    )
    causes = result.disagreements.set_index("request_id")["cause"]
    assert causes["r0"] == "the source charges the standard tier"
    assert set(causes.drop("r0")) == {"the source charges 1.12 times our cost (a margin or a discount)"}


def test_a_price_list_of_the_sources_own_is_named(make: Make, book: PriceBook) -> None:
    """Where other rates reproduce all of the source's figures for a model, the disagreement says which rates."""
    random = np.random.default_rng(3)
    fresh, out = random.integers(100, 5_000, 20), random.integers(10, 900, 20)
    result = audit(make(20, input_tokens=fresh, output_tokens=out, source_cost_usd=(fresh * 1.0 + out * 2.0) / 1e6), book)
    assert set(result.disagreements["cause"]) == {"the source has rates of its own (USD per million tokens: 1 input, 2 output)"}
    noisy = audit(make(20, input_tokens=fresh, output_tokens=out, source_cost_usd=random.random(20)), book)
    assert set(noisy.disagreements["cause"]) == {""}


def test_unpriced_rows_and_rows_without_a_source_cost_are_not_compared(make: Make, book: PriceBook) -> None:
    """Only rows with both costs can agree or disagree."""
    result = audit(make(3, input_tokens=1_000, source_cost_usd=[0.00025, None, 1.0], model=["gpt-5-mini", "gpt-5-mini", "gpt-5-mni"]), book)
    assert result.compared == 1
    assert result.disagreements.empty
    assert "agrees in all 1 rows" in result.text


def test_text_says_what_is_missing(make: Make, book: PriceBook) -> None:
    """The prose names the rows without a price and the first reason, and that there is nothing to compare."""
    text = audit(make(3, input_tokens=1_000, model=["gpt-5-mini", "gpt-5-mni", "gpt-5-mni"]), book).text
    assert "3 requests from 2026-11-01 to 2026-11-01 cost $0.000250 measured" in text
    assert "2 requests have no price and are not in the total. 2 of them: Got model 'gpt-5-mni'" in text
    assert "The source states no cost to compare with." in text


def test_names_from_the_log_are_escaped_in_html(make: Make, book: PriceBook) -> None:
    """A model's name cannot put markup into a notebook."""
    page = audit(make(1, input_tokens=1_000, model="<script>alert(1)</script>"), book)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_an_empty_log(make: Make, book: PriceBook) -> None:
    """No requests cost nothing, in words too."""
    result = audit(make(0), book)
    assert result.total.value == 0
    assert result.text.startswith("0 requests cost $0.00")


def test_unknown_column_is_refused(make: Make, book: PriceBook) -> None:
    """Grouping by a column that is not there names the nearest."""
    result = audit(make(1, input_tokens=1), book)
    with pytest.raises(InputError, match=r"column 'modle'; .*Did you mean 'model'"):
        result.by("modle")
    with pytest.raises(InputError, match="column ''"):
        result.by()


def test_sums_beyond_nine_million_usd() -> None:
    """Sums stay exact where int64 pico-USD would overflow."""
    pusd = np.full(5, 2**62 + 1)
    assert pusd_sum(pusd) == 5 * (2**62 + 1)
    assert usd_by(pusd, pd.DataFrame({"app": ["a", "a", "a", "b", None]})).tolist() == pytest.approx(
        [3 * 2**62 / 1e12, 2**62 / 1e12, 2**62 / 1e12]
    )


def test_the_benchmark_runs_and_agrees() -> None:
    """The pricing benchmark runs, agrees with genai-prices to 1e-9 USD, and prices every row."""
    from benchmarks.pricing import measure

    result = measure(2_000, sample=100, repeats=1)
    assert result["max_abs_diff_usd"] <= 1e-9
    assert result["unpriced"] == 0
