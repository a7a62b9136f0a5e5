"""Recommend: every change's dollars by hand, nothing on a clean log, and laws that hold on all of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import prompt, traffic_of

from planner.comparison import Recommendations, recommend
from planner.comparison.ceiling import labels_needed
from planner.comparison.changes_model import family
from planner.errors import InputError
from planner.prices import PriceBook
from planner.traffic import App, Apps, Traffic, read
from planner.units import DAYS_PER_MONTH

DATE = dt.date(2026, 11, 1)
#: Nobody waits, nothing may be cached, no other model: only what a test asks for can be found.
STRICT = App(owner="me", interactive=True, side_effects=True, allowed_providers=("openai", "anthropic"))


def log(folder: Path, n: int, **columns: Any) -> Traffic:
    """Write ``n`` ok requests of one app to gpt-9 that were complete after a second, six hours apart unless stated."""
    base: dict[str, Any] = {
        "app": ["a"] * n,
        "provider": "openai",
        "model": "gpt-9",
        "latency_ms": 1000.0,
        "timestamp": pd.date_range("2026-10-01", periods=n, freq="6h", tz="UTC"),
        "output_tokens": 100,
        "input_tokens": 1000,
        "finish_reason": "stop",
    }
    return traffic_of(folder, base | columns)


def found(traffic: Traffic, book: PriceBook, app: App = STRICT) -> Recommendations:
    """Recommend at the tests' date with the same terms for every app."""
    return recommend(traffic, book=book, apps=Apps(dict.fromkeys(traffic.frame("app")["app"], app)), at=DATE)


def period_usd(result: Recommendations, kind: str) -> float:
    """Return what the only change of ``kind`` saves over the log's period [USD]."""
    (row,) = result.table[result.table["kind"] == kind].to_dict("records")
    return float(row["usd_per_month"] * result.days / DAYS_PER_MONTH)


def test_a_clean_log_gets_no_change(tmp_path: Path, book: PriceBook) -> None:
    """A log without waste ends with an empty list and says so."""
    texts = [prompt(f"question {i}") for i in range(30)]
    result = found(log(tmp_path, 30, messages=texts, text_state="full"), book)
    assert result.ranked == ()
    assert result.combined.value == 0
    assert "No change that needs no label saves anything" in result.text
    assert list(result.table.columns)[:3] == ["change", "app", "owner"]


def test_batch_halves_what_may_wait(tmp_path: Path, book: PriceBook) -> None:
    """A million of input and a tenth of output at half of $2 and $8 save $1.40; rows already in a batch stay out."""
    traffic = log(tmp_path, 1010, service_tier=["standard"] * 1000 + ["batch"] * 10)
    result = found(traffic, book, App(interactive=False, may_wait_hours=24))
    assert period_usd(result, "slow tier") == pytest.approx(1.40)
    assert result.table.loc[0, ["rows", "evidence"]].tolist() == [1000, "estimated"]
    assert "batch tier of gpt-9" in result.table.loc[0, "change"]
    guessed = found(traffic, book, App(interactive=False, may_wait_hours=24, assumed=("interactive",)))
    assert guessed.table.loc[0, "evidence"] == "assumed"


def test_patience_chooses_the_tier(tmp_path: Path, book: PriceBook) -> None:
    """Two hours of patience allow flex (a quarter of the bill here), none allow nothing, and no rate means no claim."""
    traffic = log(tmp_path / "a", 1000)
    assert period_usd(found(traffic, book, App(interactive=False, may_wait_hours=2)), "slow tier") == pytest.approx(0.70)
    assert found(traffic, book).ranked == ()
    other = log(tmp_path / "b", 1000, model="claude-sonnet-4-9", provider="anthropic")
    assert "slow tier" not in [*found(other, book, App(interactive=False, may_wait_hours=24)).table["kind"]]


def test_a_guessed_hurry_is_worth_a_question(tmp_path: Path, book: PriceBook) -> None:
    """An app only guessed to be interactive, without streams or talks, is named with the $1.40 a batch would save; a known one is not."""
    traffic = log(tmp_path / "a", 1000)
    guessed = App(side_effects=True, assumed=("interactive",))
    result = found(traffic, book, guessed)
    assert result.ranked == ()
    assert f"a day of patience would save at most a ${1.4 * DAYS_PER_MONTH / result.days:.2f} a month" in result.text
    assert "Ask the owners" not in found(traffic, book).text
    assert "Ask the owners" not in found(log(tmp_path / "b", 1000, stream=True), book, guessed).text


def test_a_batch_is_promised_no_cache_hits(tmp_path: Path, book: PriceBook) -> None:
    """With 900 of 1,000 input tokens cached, batch input is dearer ($1.00 for $0.38), which output ($0.40 for $0.80) cannot outweigh."""
    cached = log(tmp_path, 1000, input_tokens=100, cache_read_tokens=900)
    patient = found(cached, book, App(interactive=False, may_wait_hours=24))
    assert "flex tier" in patient.table.loc[0, "change"]
    assert period_usd(patient, "slow tier") == pytest.approx(0.1 * 0.5 + 0.9 * 0.1 + 0.1 * 2)


def _shared(n: int, tail: str = "question") -> list[str]:
    """Prompts that share their first 8,192 of 10,240 bytes: 1,600 of 2,000 tokens."""
    return [("s" * 8192 + f"{i:08d}" + tail).ljust(10240, ".") for i in range(n)]


def test_an_explicit_cache_pays_the_first_write(tmp_path: Path, book: PriceBook) -> None:
    """Ten prompts a minute apart: 1,600 tokens written once at $5 and read nine times at $0.40, instead of $4 each."""
    times = pd.date_range("2026-10-01", periods=10, freq="min", tz="UTC")
    columns = {"timestamp": times, "messages": _shared(10), "text_state": "full", "input_tokens": 2000}
    result = found(log(tmp_path, 10, provider="anthropic", model="claude-sonnet-4-9", **columns), book)
    assert period_usd(result, "prompt cache") == pytest.approx(1600e-6 * (9 * 3.6 - 1))
    assert (result.ranked[0].change.evidence, len(result.ranked[0].change.rows)) == ("estimated", 10)
    assert result.table.loc[0, "evidence"] == "assumed", "a month is more than these ten minutes tell"


def test_a_longer_lifetime_is_chosen_when_it_pays(tmp_path: Path, book: PriceBook) -> None:
    """Prompts twenty minutes apart outlive five minutes but not an hour: one write at $8, nine reads."""
    times = pd.date_range("2026-10-01", periods=10, freq="20min", tz="UTC")
    columns = {"timestamp": times, "messages": _shared(10), "text_state": "full", "input_tokens": 2000}
    result = found(log(tmp_path, 10, provider="anthropic", model="claude-sonnet-4-9", **columns), book)
    assert period_usd(result, "prompt cache") == pytest.approx(1600e-6 * (9 * 3.6 - 4))
    assert "60 min" in result.table.loc[0, "source"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"input_tokens": 1200}, "the shared part has 960 tokens, fewer than the provider's 1,024"),
        ({"timestamp": pd.date_range("2026-10-01", periods=10, freq="2h", tz="UTC")}, "the entry has expired"),
        ({"text_state": "cut"}, "the text was cut by the logger"),
        ({"latency_ms": 3_600_000.0}, "the first is still under way"),
        ({"input_tokens": 400, "cache_read_tokens": 1600}, "the log already read it from the cache"),
        ({"modalities": "text,image"}, "bytes of images are no measure of tokens"),
    ],
)
def test_no_prompt_cache_is_claimed(tmp_path: Path, book: PriceBook, change: dict[str, Any], why: str) -> None:
    """Nothing is claimed where the provider's rules or the log do not support it."""
    times = pd.date_range("2026-10-01", periods=10, freq="min", tz="UTC")
    columns: dict[str, Any] = {"timestamp": times, "messages": _shared(10), "text_state": "full", "input_tokens": 2000} | change
    assert found(log(tmp_path, 10, **columns), book).ranked == (), why


def test_automatic_caches_promise_nothing(tmp_path: Path, book: PriceBook) -> None:
    """OpenAI's cache reads steps of 128 tokens (1,536 of 1,600) nine times, at $0.20 for $2; hits are assumed."""
    times = pd.date_range("2026-10-01", periods=10, freq="min", tz="UTC")
    result = found(log(tmp_path, 10, timestamp=times, messages=_shared(10), text_state="full", input_tokens=2000), book)
    assert period_usd(result, "prompt cache") == pytest.approx(9 * 1536e-6 * 1.8)
    assert result.table.loc[0, "evidence"] == "assumed"


def test_trace_blocks_stand_for_text(tmp_path: Path, book: PriceBook) -> None:
    """Three equal blocks of 512 tokens and one of its own: 1,536 tokens read by the second request."""
    times = pd.date_range("2026-10-01", periods=2, freq="min", tz="UTC")
    result = found(log(tmp_path, 2, timestamp=times, prefix_blocks=[[1, 2, 3, 4], [1, 2, 3, 5]], input_tokens=2048), book)
    assert period_usd(result, "prompt cache") == pytest.approx(1536e-6 * 1.8)


def test_writes_that_nobody_reads_are_found(tmp_path: Path, book: PriceBook) -> None:
    """Two writes of 1,000 tokens at $5 instead of $4: the one that is read within five minutes is left alone."""
    minutes = [0, 2, 600]
    times = pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    tokens = {"cache_write_5m_tokens": [1000, 0, 1000], "cache_read_tokens": [0, 1000, 0], "input_tokens": 10}
    result = found(log(tmp_path, 3, timestamp=times, provider="anthropic", model="claude-sonnet-4-9", **tokens), book)
    assert period_usd(result, "unread cache writes") == pytest.approx(1000e-6)
    assert result.table.loc[0, "rows"] == 1


def test_repeats_hit_only_a_finished_answer(tmp_path: Path, book: PriceBook) -> None:
    """Of five equal requests the second is too early and the fourth a day too late; the third and fifth are free: $0.0056."""
    seconds = [0, 0.5, 60, 100_000, 100_060]
    times = pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(seconds, unit="s")
    traffic = log(tmp_path, 5, timestamp=times, messages=prompt("the same"), text_state="full")
    terms = App(interactive=True)
    result = found(traffic, book, terms)
    assert period_usd(result, "response cache") == pytest.approx(2 * 2.8e-3)
    assert found(traffic, book).ranked == (), "an app with side effects is never cached"
    tools = log(tmp_path / "t", 5, timestamp=times, messages=prompt("the same"), text_state="full", has_tools=True)
    assert found(tools, book, terms).ranked == ()


def test_other_parameters_are_no_repeat(tmp_path: Path, book: PriceBook) -> None:
    """Requests that differ in output limit or effort alone are not the same request."""
    columns = {"messages": prompt("x"), "text_state": "full", "max_tokens": [10, 20], "reasoning_effort": ["low", "low"]}
    times = pd.date_range("2026-10-01", periods=2, freq="h", tz="UTC")
    assert found(log(tmp_path, 2, timestamp=times, **columns), book, App()).ranked == ()


def test_a_failure_foretold_is_not_paid_again(tmp_path: Path, book: PriceBook) -> None:
    """Three identical invalid answers billed: the second and third are saved; once one succeeds, nothing is claimed."""
    times = pd.date_range("2026-10-01", periods=3, freq="h", tz="UTC")
    columns = {"timestamp": times, "messages": prompt("bad"), "text_state": "full"}
    result = found(log(tmp_path / "a", 3, status="validation", **columns), book)
    assert period_usd(result, "failed again") == pytest.approx(2 * 2.8e-3)
    assert "validation 3 ($" in result.text
    assert found(log(tmp_path / "b", 3, status=["validation", "validation", "ok"], **columns), book).ranked == ()
    assert found(log(tmp_path / "c", 3, status="transport", **columns), book).ranked == ()


def test_a_cheaper_sibling_is_named_with_a_warning(tmp_path: Path, book: PriceBook) -> None:
    """Of gpt-8-mini's siblings only 8.1 is newer, as roomy and nowhere dearer: $0.50 a million less; it is left out of the sum."""
    result = found(log(tmp_path, 1000, model="gpt-8-mini"), book)
    assert period_usd(result, "newer model") == pytest.approx(0.50)
    row = result.table.iloc[0]
    assert "with gpt-8.1-mini instead of gpt-8-mini" in row["change"]
    assert row["change"].startswith("test first")
    assert (row["evidence"], row["in_combined"], result.combined.value) == ("assumed", False, 0.0)


def test_the_same_model_elsewhere_needs_permission(tmp_path: Path, book: PriceBook) -> None:
    """Azure's gpt-9 is $1 and $7 instead of $2 and $8: $1.10 less, only where the app allows Azure."""
    traffic = log(tmp_path, 1000)
    allowed = App(side_effects=True, allowed_providers=("openai", "azure"))
    assert period_usd(found(traffic, book, allowed), "same model elsewhere") == pytest.approx(1.10)
    assert found(traffic, book).ranked == ()


def test_a_deprecated_model_is_named_without_money(tmp_path: Path, book: PriceBook) -> None:
    """A model that its provider has deprecated is listed, even when no cheaper successor is known."""
    result = found(log(tmp_path, 3, provider="cohere", model="command-light"), book)
    assert result.table.loc[0, ["kind", "usd_per_month"]].tolist() == ["retiring model", 0.0]
    assert "Deprecated 2025-09-15" in result.text


def test_runaway_answers_pay_for_what_is_beyond_the_limit(tmp_path: Path, book: PriceBook) -> None:
    """99 answers of 100 tokens and one of 5,000: the limit is 256 (twice 100, in steps of 64), 4,744 tokens at $8 are saved."""
    result = found(log(tmp_path, 100, output_tokens=[100] * 99 + [5000], finish_reason=["stop"] * 99 + ["length"]), book)
    assert period_usd(result, "output limit") == pytest.approx(4744 * 8e-6)
    assert "max_tokens of a to 256" in result.table.loc[0, "change"]
    assert "1 of the 1 were cut already" in result.text


def test_reasoning_is_shown_at_three_values_and_never_summed(tmp_path: Path, book: PriceBook) -> None:
    """Half of a million reasoning tokens at $8 are $4; a quarter and three quarters stand beside it."""
    result = found(log(tmp_path, 1000, reasoning_tokens=1000), book)
    assert period_usd(result, "reasoning effort") == pytest.approx(4.0)
    (ranked,) = result.ranked
    assert [(n, round(v * result.days / DAYS_PER_MONTH, 6)) for n, v in ranked.steps] == [("25% less", 2.0), ("75% less", 6.0)]
    assert result.combined.value == 0


def _wasteful(folder: Path) -> Traffic:
    """A day of a patient app whose every second request repeats the one before."""
    n = 600
    times = pd.date_range("2026-10-01", periods=n, freq="2min", tz="UTC")
    texts = [_shared(n)[i - i % 2] for i in range(n)]
    users = [f"u{i % 37}" for i in range(n)]
    return log(folder, n, timestamp=times, messages=texts, text_state="full", input_tokens=2000, user=users)


def test_the_combined_figure_is_no_sum(tmp_path: Path, book: PriceBook) -> None:
    """Half of the calls go (half the bill), the rest at half the price: three quarters in all, and less than the sum of both."""
    traffic = _wasteful(tmp_path)
    result = found(traffic, book, App(interactive=False, may_wait_hours=24, allowed_providers=("openai",)))
    bill = 600 * 4.8e-3
    assert result.combined.value * result.days / DAYS_PER_MONTH == pytest.approx(0.75 * bill)
    assert sum(result.combined.shares.values()) == pytest.approx(result.combined.value)
    assert result.combined.value < result.table.loc[result.table["in_combined"], "usd_per_month"].sum()
    assert (result.combined.low, result.combined.evidence) == (None, "assumed"), "a day tells nothing about a month's ups and downs"
    assert result.combined.value < result.spend.value
    assert "do not add up" in result.text


def test_each_saving_is_at_most_its_rows_cost(tmp_path: Path, book: PriceBook) -> None:
    """No change saves more than its rows cost, and the table counts them."""
    result = found(_wasteful(tmp_path), book, App(interactive=False, may_wait_hours=24))
    for ranked in result.ranked:
        assert len(np.unique(ranked.change.rows)) == len(ranked.change.rows) <= 600
        assert 0 <= ranked.saving.value <= len(ranked.change.rows) * 4.8e-3 * DAYS_PER_MONTH / result.days + 1e-9


def _messy(folder: Path, seed: int) -> Traffic:
    """A log with everything that logs have: failures, gaps, tiers, caches, repeats, unknown models, weights."""
    rng, n = np.random.default_rng(seed), 400
    texts = [_shared(40)[i] for i in rng.integers(0, 40, n)]
    bad = rng.random(n) < 0.1
    return log(
        folder,
        n,
        app=rng.choice(["a", "b"], n),
        model=rng.choice(["gpt-9", "gpt-8-mini", "claude-sonnet-4-9", "nobody-knows"], n),
        provider=rng.choice(["openai", "anthropic", None], n),
        user=[f"u{u}" for u in rng.integers(0, 90, n)],
        timestamp=pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 300_000, n), unit="s"),
        messages=[None if rng.random() < 0.1 else t for t in texts],
        text_state=rng.choice(["full", "full", "full", "cut", "none"], n),
        service_tier=rng.choice(["standard", "standard", "batch", "flex", "priority"], n),
        input_tokens=rng.integers(0, 3000, n) * ~bad,
        cache_read_tokens=rng.choice([0, 0, 1500], n),
        cache_write_5m_tokens=rng.choice([0, 0, 0, 1500], n),
        output_tokens=rng.integers(0, 300, n),
        reasoning_tokens=rng.choice([0, 0, 200], n),
        latency_ms=np.where(rng.random(n) < 0.2, np.nan, rng.exponential(5000, n)),
        status=np.where(bad, rng.choice(["validation", "content", "transport"], n), "ok"),
        cache_hit=rng.random(n) < 0.05,
        weight=rng.choice([1.0, 2.5], n),
        purpose=rng.choice(["user", "user", "user", "overhead"], n),
    )


@pytest.mark.parametrize("seed", range(6))
def test_laws_hold_on_messy_logs(tmp_path: Path, book: PriceBook, seed: int) -> None:
    """Savings are non-negative, at most their rows' cost, and touch only priced requests of users; so does their combination."""
    traffic = _messy(tmp_path, seed)
    terms = App(interactive=False, may_wait_hours=24, allowed_providers=("openai", "azure"), candidates=("gpt-9", "gpt-8-mini"))
    result = found(traffic, book, terms)
    frame = traffic.frame("app", "provider", "model", "service_tier", "purpose", "cache_hit", "weight")
    priced = book.price(frame["provider"], frame["model"], frame["service_tier"], traffic.tokens(), DATE)
    usd = priced.cost_pusd * frame["weight"].to_numpy() / 1e12 * DAYS_PER_MONTH / result.days
    own = ((frame["purpose"] == "user") & ~frame["cache_hit"]).to_numpy() & (priced.reason == 0)
    for ranked in result.ranked:
        rows = ranked.change.rows
        assert own[rows].all()
        assert (frame["app"].to_numpy()[rows] == ranked.change.app).all()
        assert 0 <= ranked.saving.value <= usd[rows].sum() + 1e-9
    touched = np.unique(np.concatenate([r.change.rows for r in result.ranked if r.change.combines]))
    assert 0 < result.combined.value <= usd[touched].sum()
    assert sum(result.combined.shares.values()) == pytest.approx(result.combined.value)
    assert result.spend.value == pytest.approx(usd[~frame["cache_hit"].to_numpy() & (priced.reason == 0)].sum())
    assert (result.ceiling["at_most_usd_per_month"] <= usd[own].sum()).all()


def test_parts_of_the_combined_saving_say_its_evidence(tmp_path: Path, book: PriceBook) -> None:
    """Three days of log make a month an assumption: the parts beside the combined saving say so as the saving itself does."""
    times = pd.date_range("2026-10-01", periods=72, freq="h", tz="UTC")
    result = found(log(tmp_path, 72, timestamp=times), book, App(interactive=False, may_wait_hours=24))
    assert result.combined.evidence == "assumed"
    assert dict(result.combined.shares) == {"assumed": pytest.approx(result.combined.value)}


def test_weights_stand_for_requests(tmp_path: Path, book: PriceBook) -> None:
    """A row that stands for ten requests saves ten times as much."""
    one, ten = (found(log(tmp_path / str(w), 100, weight=float(w), model="gpt-8-mini"), book) for w in (1, 10))
    assert one.table["kind"].tolist() == ten.table["kind"].tolist() == ["newer model"]
    assert ten.table.loc[0, "usd_per_month"] == pytest.approx(10 * one.table.loc[0, "usd_per_month"])


def test_few_users_give_no_interval(tmp_path: Path, book: PriceBook) -> None:
    """Nine users support no interval, and the text says why."""
    result = found(log(tmp_path, 900, user=[f"u{i % 9}" for i in range(900)]), book, App(interactive=False, may_wait_hours=24))
    assert result.table.loc[0, ["low", "high"]].isna().all()
    assert "effective users: no intervals" in result.text


def test_routing_has_a_ceiling_and_a_price_of_knowing(tmp_path: Path, book: PriceBook) -> None:
    """Everything on gpt-8-mini halves the bill, at most; 2,944 answers of 1,000 and 100 tokens on it cost $4.1216."""
    terms = App(side_effects=True, allowed_providers=("openai",), candidates=("gpt-9", "gpt-8-mini", "claude-sonnet-4-9"))
    result = found(log(tmp_path, 1000), book, terms)
    (row,) = result.ceiling.to_dict("records")
    assert row["at_most_usd_per_month"] * result.days / DAYS_PER_MONTH == pytest.approx(1.4)
    assert row["candidates"] == "gpt-9, gpt-8-mini"
    assert (row["labels"], round(row["labels_usd"], 4)) == (2944, 4.1216)
    assert "an upper bound and not a saving" in result.text
    assert "none of its requests in this log has the whole text" in result.text
    too_long = found(log(tmp_path / "long", 100, model="gpt-9", input_tokens=100_001), book, terms)
    assert too_long.ceiling.empty


def test_labels_needed_follow_the_formula() -> None:
    """Twice the discordance needs twice the labels, half the margin four times."""
    assert labels_needed(0.02, 0.30) == pytest.approx(2 * labels_needed(), abs=1)
    assert labels_needed(0.01) == pytest.approx(4 * labels_needed(), abs=3)


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("claude-3-5-haiku-latest", "claude-#-haiku", (3, 5)),
        ("claude-haiku-4-5-20251001", "claude-haiku-#", (4, 5)),
        ("llama-3.1-405b", "llama-#-405b", (3, 1)),
        ("gpt-4o", "gpt-4o", ()),
    ],
)
def test_families_are_names_without_versions(model: str, name: str, version: tuple[int, ...]) -> None:
    """A size is part of the name, a date is not."""
    assert family(model) == (name, version)


def test_quality_in_the_log_is_never_read(tmp_path: Path, book: PriceBook) -> None:
    """A log with scores gets the same answer as without."""
    patient = App(interactive=False, may_wait_hours=24)
    plain = found(log(tmp_path / "a", 50), book, patient)
    scored = found(log(tmp_path / "b", 50, quality=0.1, quality_source="x"), book, patient)
    assert plain.text == scored.text


def test_an_app_missing_from_the_terms_is_named(tmp_path: Path, book: PriceBook) -> None:
    """Terms that lack an app of the log are refused by name."""
    with pytest.raises(InputError, match="no entry for a"):
        recommend(log(tmp_path, 3), book=book, apps=Apps({"b": App()}), at=DATE)


def test_progress_reaches_its_end(tmp_path: Path, book: PriceBook) -> None:
    """Progress never goes back and ends at the whole."""
    seen: list[tuple[int, int]] = []
    recommend(log(tmp_path, 40, messages=prompt("x"), text_state="full"), book=book, progress=lambda done, n: seen.append((done, n)))
    assert seen == sorted(seen)
    assert seen[-1] == (80, 80)


def test_the_notebook_view_hides_nothing_unescaped(tmp_path: Path, book: PriceBook) -> None:
    """An app called like a tag is shown as text."""
    traffic = log(tmp_path, 50, app=["<b>x</b>"] * 50)
    shown = found(traffic, book, App(interactive=False, may_wait_hours=24))._repr_html_()
    assert "<b>x</b>" not in shown
    assert "&lt;b&gt;x" in shown


def test_each_request_can_be_priced_at_its_own_time(tmp_path: Path, book: PriceBook) -> None:
    """Priced as logged, the year before these rates began has no batch rate to claim."""
    patient = Apps({"a": App(interactive=False, may_wait_hours=24)})
    times = pd.date_range("2026-10-01", periods=50, freq="6h", tz="UTC")
    now = recommend(log(tmp_path / "a", 50, timestamp=times), book=book, apps=patient, at="as-logged")
    assert period_usd(now, "slow tier") == pytest.approx(0.07)
    before = recommend(log(tmp_path / "b", 50, timestamp=times - pd.Timedelta(days=365)), book=book, apps=patient, at="as-logged")
    assert before.ranked == ()


def test_a_recorded_litellm_log_is_read_and_ranked(tmp_path: Path, repository: Path) -> None:
    """Payloads of a real proxy are enough; its model that no book knows is named, not guessed."""
    result = recommend(read(repository / "tests" / "data" / "litellm_payloads.jsonl", out=tmp_path, text=True), at=DATE)
    assert result.requests == len(read(tmp_path, text=True))
    assert "have no price and are in no figure" in result.text
    assert "a month is assumed to be like it" in result.text


def test_azure_trace_needs_a_stated_model(real_data: Path, tmp_path: Path) -> None:
    """Without a model nothing is priced and the way to state one is named; with one, 100 % of spend has no text to speak about."""
    path = real_data / "azure_llm_inference_conv_2023.csv"
    silent = recommend(read(path, out=tmp_path / "a", text=True))
    assert silent.ranked == ()
    assert "no request has a price" in silent.text
    assert "mapping={'model': '=NAME'}" in silent.text
    stated = recommend(read(path, out=tmp_path / "b", mapping={"model": "=gpt-5-mini"}, text=True), at=DATE)
    assert stated.spend.value > 0
    assert "nothing can be said for 100% of spend" in stated.text


def test_mooncake_shows_prompt_cache_misses(real_data: Path, tmp_path: Path) -> None:
    """A trace of block ids alone is enough to see what a prompt cache would have held."""
    traffic = read(real_data / "mooncake_conversation.jsonl", out=tmp_path, mapping={"model": "=gpt-5-mini"}, text=True)
    result = recommend(traffic, at=DATE)
    top = result.ranked[0]
    assert (top.change.kind, top.saving.evidence) == ("prompt cache", "assumed")
    assert 0 < top.saving.value < 0.9 * result.spend.value


def test_the_sample_names_the_nightly_batch(sample: tuple[Traffic, Any]) -> None:
    """The SYNTHETIC sample's first change is its nightly summaries in a batch, at half of what they cost."""
    traffic, _ = sample
    result = recommend(traffic)
    first = result.table.iloc[0]
    assert (first["kind"], first["app"], first["owner"], first["evidence"]) == ("slow tier", "nightly-summary", "insight", "assumed")
    own = traffic.frame("app", "source_cost_usd").groupby("app")["source_cost_usd"].sum()["nightly-summary"]
    assert first["usd_per_month"] * result.days / DAYS_PER_MONTH == pytest.approx(own / 2, rel=0.01)
    assert "nightly-summary through the batch tier" in result.text
