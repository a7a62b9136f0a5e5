"""What needs no label, told from a sample: nothing that only a whole log shows, and every count says what it stands for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import prompt, traffic_of

from planner.comparison import Recommendations, recommend
from planner.prices import PriceBook
from planner.traffic import Traffic
from planner.traffic.apps import App, Apps
from planner.traffic.sampling import sampled

N = 3_000
DATE = dt.date(2026, 11, 1)
LEFT_OUT = {"response cache", "failed again", "prompt cache", "unread cache writes"}
NAMED = ("exact repeats", "failures that were sent again", "what prompt caches missed", "cache writes that nobody read", "batches")


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Write three weeks of 300 users: long shared beginnings, few questions asked again, failures sent again, writes nobody reads."""
    rng = np.random.default_rng(0)
    kind = np.arange(N) % 10
    failed = kind == 0
    question = np.where(failed, rng.integers(0, 20, N), rng.integers(100, 1_000, N))
    model = np.where(kind == 5, "claude-haiku-4-5", np.where(kind == 6, "mine-7b", "gpt-5-mini"))
    columns = {
        "timestamp": pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 21 * 86_400, N)), unit="s"),
        "app": "chat",
        "user": [f"u{i}" for i in rng.integers(0, 300, N)],
        "provider": np.where(kind == 5, "anthropic", "openai"),
        "model": model,
        "messages": [prompt(("the same long beginning " * 900) + f"question {q} {f}") for q, f in zip(question, failed, strict=True)],
        "text_state": "full",
        "status": np.where(failed, "validation", "ok"),
        "input_tokens": 4_000,
        "cache_write_5m_tokens": np.where(kind == 5, 2_000, 0),
        "output_tokens": 100,
        "attempts": np.where(kind == 2, 2, 1),
        "latency_ms": 900.0,
        "finish_reason": "stop",
    }
    return traffic_of(tmp_path_factory.mktemp("whole") / "log", columns)


def found(traffic: Traffic, book: PriceBook, hours: float = 24) -> Recommendations:
    """Recommend for an app that may wait and be cached."""
    return recommend(traffic, book=book, apps=Apps({"chat": App(interactive=False, may_wait_hours=hours)}), at=DATE)


def kinds(result: Recommendations) -> set[str]:
    """Return the kinds of change that were found."""
    return set(result.table["kind"])


def notes(result: Recommendations) -> list[str]:
    """Return what is said of what was left out."""
    return [n for n in result.notes if n.startswith("Left out")]


def test_a_sample_leaves_out_what_needs_every_row_and_says_so_once(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """All kinds that the whole log shows and a sample cannot are gone from list and sum, named in one line with what to do."""
    true, part = found(whole, book), found(sampled(whole, 0.1, tmp_path / "s"), book)
    assert kinds(true) > LEFT_OUT
    assert "through the batch tier" in true.text
    assert notes(true) == []
    assert not kinds(part) & LEFT_OUT
    assert "batch tier" not in part.text
    (said,) = notes(part)
    assert said.startswith("Left out, since they need every request, and in this log a row stands for up to 10: ")
    assert all(name in said for name in NAMED)
    assert said.endswith("To have them, read the log without --sample.")
    assert "flex tier" in part.text
    assert "Prompt caches:" not in part.text


def test_a_log_with_weights_of_its_own_is_a_sample_too(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Where rows stand for others without planner's doing, the same is left out, and what to do names no option."""
    result = found(traffic_of(tmp_path / "w", {**whole.frame(), "weight": 3.0}), book)
    assert not kinds(result) & LEFT_OUT
    assert notes(result)[0].endswith("To have them, give a log of every request.")


def test_sampled_text_leaves_out_what_needs_text(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Tiers and writes need rows alone and stay as they are; what compares texts is left out."""
    true, part = found(whole, book), found(sampled(whole, 0.1, tmp_path / "t", text_only=True), book)
    assert kinds(true) - kinds(part) == {"response cache", "failed again", "prompt cache"}
    for kind in ("unread cache writes", "slow tier"):
        usd = [r.table.set_index("kind").loc[kind, "usd_per_month"] for r in (true, part)]
        assert usd[0] == usd[1]
    (said,) = notes(part)
    assert said == (
        "Left out, since they need the text of every request, and this log kept a part: exact repeats, failures that were sent again and "
        "what prompt caches missed. To have them, read the log without --sample-text."
    )
    assert "Exact repeats:" not in part.text


def test_counts_say_what_they_stand_for(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """The headline, failures, retries and requests without a price are those of the whole log, with what was drawn beside them."""
    part = sampled(whole, 0.5, tmp_path / "s")
    frame, text = part.frame("status", "model", "attempts"), found(part, book).text
    n = len(frame)
    assert text.startswith(f"{n:,} requests (standing for {2 * n:,}) in ")
    for count, said in (
        (int((frame["status"] == "validation").sum()), "validation {} ($"),
        (int((frame["attempts"] == 2).sum()), "; {} retries"),
        (int((frame["model"] == "mine-7b").sum()), f"{{}} of {2 * n:,} ({n:,} drawn) requests have no price"),
    ):
        assert said.format(f"{2 * count:,} ({count:,} drawn)") in text
    assert found(whole, book).text.startswith(f"{N:,} requests in ")


def test_the_most_that_routing_could_save_has_its_interval(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """In words as in the table; a sample that is too thin for one says that the bound is estimated from a sample."""
    for share, told in ((1.0, True), (0.5, True), (0.03, False)):
        part = recommend(sampled(whole, share, tmp_path / str(share)), book=book, at=DATE)
        row = part.ceiling.iloc[0]
        limits = f"[${row['low']:,.2f}, ${row['high']:,.2f}]" if told else "(estimated from a sample, no interval)"
        assert f"Routing chat: at most ${row['at_most_usd_per_month']:,.2f} {limits} a month" in part.text


def test_a_change_in_an_app_of_many_has_limits_beside_one_of_few(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """What is saved on an app whose users are alike has limits though few users of another one hold the spend; that one's has none."""
    frame = whole.frame("timestamp", "user", "provider", "model", "messages", "text_state", "status", "input_tokens", "output_tokens")
    heavy = frame["user"].isin(["u1", "u2", "u3"])
    apps = np.where(heavy, "heavy", "chat")
    log = traffic_of(tmp_path / "log", frame.assign(app=apps, input_tokens=np.where(heavy, 400_000, 4_000)).to_dict("series"))
    part = recommend(sampled(log, 0.3, tmp_path / "s"), book=book, at=DATE)
    assert part.spend.low is None
    told = part.ceiling.set_index("app")
    assert np.isfinite(told.loc["chat", "low"])
    assert "heavy" not in told.index or np.isnan(told.loc["heavy", "low"])
