"""A sample keeps whole conversations, stands for the log, and says what it cannot tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import prompt, traffic_of

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic
from planner.traffic.sampling import needs_every_row, sampled

N = 600


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """A log whose rows have a session, else a user, else neither, and weights of their own."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, N)
    columns = {
        "session_id": np.where(kind == 0, [f"s{k}" for k in rng.integers(0, 60, N)], None),
        "user": np.where(kind <= 1, [f"u{k}" for k in rng.integers(0, 30, N)], None),
        "model": "m",
        "messages": [prompt(f"q {i}") for i in range(N)],
        "response": "a",
        "text_state": "full",
        "input_tokens": rng.integers(1, 1_000, N),
        "source_cost_usd": rng.lognormal(0, 1, N),
        "weight": rng.choice([1.0, 2.0], N),
    }
    return traffic_of(tmp_path_factory.mktemp("log") / "log", columns)


def _frame(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names)


def test_everything_is_the_log(log: Traffic, tmp_path: Path) -> None:
    """A sample of 100 % has the same rows, columns and weights, and the same quarantine."""
    whole = sampled(log, 1.0, tmp_path / "s")
    pd.testing.assert_frame_equal(_frame(whole), _frame(log))
    pd.testing.assert_frame_equal(whole.quarantine, log.quarantine)


def test_conversations_are_never_split(log: Traffic, tmp_path: Path) -> None:
    """Of every session, and of every user's requests without one, all rows are kept or none; the order stays."""
    kept = set(_frame(sampled(log, 0.3, tmp_path / "s"))["request_id"])
    whole = _frame(log)
    unit = whole["session_id"].fillna("user " + whole["user"]).fillna("request " + whole["request_id"])
    inside = whole["request_id"].isin(kept)
    assert set(inside.groupby(unit).nunique()) == {1}
    assert 0 < inside.sum() < N


def test_a_smaller_sample_is_part_of_a_larger(log: Traffic, tmp_path: Path) -> None:
    """With one seed, 5 % lies in 20 % and 20 % in 60 %; another seed draws other rows."""
    rows = [set(_frame(sampled(log, s, tmp_path / str(s)))["request_id"]) for s in (0.05, 0.2, 0.6)]
    assert rows[0] < rows[1] < rows[2]
    assert rows[1] != set(_frame(sampled(log, 0.2, tmp_path / "other", seed=1))["request_id"])


def test_expected_sums_are_the_logs(log: Traffic, tmp_path: Path) -> None:
    """Over many seeds the weighted requests, tokens and cost of a 20 % sample average to those of the log, within four standard errors."""
    whole = _frame(log)
    columns = ["one", "input_tokens", "source_cost_usd"]
    truth = (whole.assign(one=1.0)[columns].mul(whole["weight"], axis=0)).sum().to_numpy()
    sums = []
    for seed in range(150):
        part = sampled(log, 0.2, tmp_path / "s", seed=seed).frame("input_tokens", "source_cost_usd", "weight").assign(one=1.0)
        sums.append(part[columns].mul(part["weight"], axis=0).sum().to_numpy())
    error = np.std(sums, axis=0, ddof=1) / np.sqrt(len(sums))
    assert (np.abs(np.mean(sums, axis=0) - truth) < 4 * error).all()
    assert (error / truth < 0.05).all()


def test_a_sample_of_a_sample_draws_anew(log: Traffic, tmp_path: Path) -> None:
    """Half of a 40 % sample with the same seed keeps about half of it, and its weights are those of 20 %."""
    first = sampled(log, 0.4, tmp_path / "a")
    second = sampled(first, 0.5, tmp_path / "b")
    assert 0.25 < len(second) / len(first) < 0.75
    whole = _frame(log).set_index("request_id")["weight"]
    own = _frame(second).set_index("request_id")["weight"]
    assert (own / whole[own.index]).tolist() == pytest.approx([5.0] * len(own))


def test_text_alone_can_be_sampled(log: Traffic, tmp_path: Path) -> None:
    """With ``text_only`` every row keeps weight, tokens and cost; text stays where the row sample would have been."""
    texts, rows = sampled(log, 0.3, tmp_path / "t", text_only=True), sampled(log, 0.3, tmp_path / "r")
    before, after = _frame(log), _frame(texts)
    other = [c for c in TRAFFIC.names if c not in ("messages", "response", "text_state")]
    pd.testing.assert_frame_equal(after[other], before[other])
    kept = after["messages"].notna()
    assert set(after["request_id"][kept]) == set(_frame(rows)["request_id"])
    assert after["text_state"].tolist() == np.where(kept, "full", "none").tolist()
    assert after["response"].notna().tolist() == kept.tolist()


def test_levers_that_need_every_row_say_so(log: Traffic, tmp_path: Path) -> None:
    """Caches, batches and limits speak up on a sampled log and are silent on a whole one; routing needs no neighbours."""
    levers = ("route", "exact_cache", "batch", "rate_limit", "prompt_cache")
    plain = traffic_of(tmp_path / "plain", {"model": "m", "input_tokens": [1, 2], "messages": prompt("x"), "text_state": "full"})
    assert needs_every_row(plain, levers) == []
    said = needs_every_row(sampled(plain, 1.0, tmp_path / "p1"), levers)
    assert said == []
    thin = needs_every_row(sampled(log, 0.5, tmp_path / "half"), levers)
    assert [s.split()[0] for s in thin] == ["exact_cache", "batch", "rate_limit", "prompt_cache"]
    assert all("up to 4 requests" in s and s.endswith(".") for s in thin)
    texts = needs_every_row(sampled(plain, 0.999, tmp_path / "t", text_only=True), levers)
    assert [s.split()[0] for s in texts] == ["exact_cache", "prompt_cache"]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_shares_that_are_none_are_refused(log: Traffic, tmp_path: Path, share: float) -> None:
    """A share outside (0, 1] is refused, and so are a sample without rows and one over the log itself."""
    with pytest.raises(InputError, match="share="):
        sampled(log, share, tmp_path / "s")
    with pytest.raises(InputError, match="which is none"):
        sampled(log, 1e-12, tmp_path / "s")
    with pytest.raises(InputError, match="the log itself"):
        sampled(log, 0.5, log.folder)
