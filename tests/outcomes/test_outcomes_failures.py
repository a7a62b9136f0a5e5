"""Failures of calls: rates, bad hours and repeated failures are found as they were made; thin cells fall to the model's rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of

from planner.labels import Labels
from planner.outcomes.failures import AGAIN_ASSUMED, HISTORIES, KINDS, CallFailures, fit_call_failures
from planner.outcomes.sizes import SIZES
from planner.schema import STATUSES
from planner.synthetic.calls import _AGAIN
from planner.traffic import Traffic
from planner.traffic.rows import Rows, load_rows

A, B = MODELS[:2]
LIMIT = KINDS.index("rate_limit")


def rows_of(folder: Path, **columns: object) -> Rows:
    """Make rows of model A at one provider."""
    return load_rows(traffic_of(folder, {"provider": "openai", "model": A, "input_tokens": 100, **columns}))


def fit(rows: Rows) -> CallFailures:
    """Fit with A and B at one provider."""
    return fit_call_failures(rows, {A: "openai", B: "openai"}, np.zeros(len(rows), bool))


def made(n: int, seed: int = 0, first: float = 0.1, again: float = 0.4, most: int = 4) -> dict[str, object]:
    """Draw requests whose first call fails with ``first`` and later ones with ``again``, up to ``most`` calls."""
    rng = np.random.default_rng(seed)
    fails = np.column_stack([rng.random(n) < first, rng.random((n, most - 1)) < again])
    run = np.cumprod(fails, axis=1).sum(axis=1)
    return {"status": np.where(run == most, "rate_limit", "ok"), "attempts": np.minimum(run + 1, most)}


def test_rates_are_those_of_first_calls(tmp_path: Path) -> None:
    """A request that was answered after a retry counts as a first failure, of the kind the model fails with at last."""
    rows = rows_of(tmp_path, status=["ok"] * 360 + ["rate_limit"] * 40, attempts=[1] * 340 + [2] * 20 + [3] * 40)
    found = fit(rows)
    assert found.first[A].tolist() == pytest.approx([0, 60 / 400, 0, 0, 0])
    assert B not in found.first


def test_how_often_it_fails_again(tmp_path: Path) -> None:
    """The chance of a second failure, and of a later one, are within their intervals, which are measured on retried calls alone."""
    second, later = fit(rows_of(tmp_path, **made(20_000))).again
    for found in (second, later):
        assert found.low < 0.4 < found.high
        assert found.evidence == "estimated"
    assert second.n == int((np.asarray(made(20_000)["attempts"]) > 1).sum())


def test_a_log_that_hides_attempts_of_failed_requests(tmp_path: Path) -> None:
    """Where failed requests all say one attempt, they are taken to have had what others had; the interval allows for none."""
    columns = made(20_000)
    columns["attempts"] = np.where(np.asarray(columns["status"]) == "ok", columns["attempts"], 1)
    second, _ = fit(rows_of(tmp_path, **columns)).again
    assert second.value == pytest.approx(0.4, abs=0.03)
    assert second.low < second.value - 0.02


def test_nothing_retried_is_assumed_and_shown_at_three(tmp_path: Path) -> None:
    """Without retried calls the chance of failing again is assumed, and can be set to each of three values."""
    found = fit(rows_of(tmp_path, status=["ok"] * 380 + ["transport"] * 20))
    assert found.again[0].evidence == "assumed"
    assert found.again[0].value == AGAIN_ASSUMED[1]
    for value in AGAIN_ASSUMED:
        assert found.probabilities(A, again=value)[0, 1, 0] == pytest.approx(value)


def test_probabilities_are_cumulative_and_keep_the_kind(tmp_path: Path) -> None:
    """Rows rise and end at most at 1; after a refusal by a limit the next fails so with ``again``, after a refused text surely so."""
    columns = made(5000)
    columns["status"] = np.where(np.arange(5000) % 100 == 7, "content", columns["status"])
    found = fit(rows_of(tmp_path, **columns))
    table = found.probabilities(A)
    assert table.shape[1:] == (HISTORIES, len(KINDS))
    assert (np.diff(table, axis=2) >= -1e-12).all()
    assert table.max() <= 1.0
    single = np.diff(table, axis=2, prepend=0)
    content = KINDS.index("content")
    assert single[:, 1 + 2 * LIMIT, LIMIT] == pytest.approx(found.again[0].value)
    assert single[:, 2 + 2 * LIMIT, LIMIT] == pytest.approx(found.again[1].value)
    assert single[:, 1 + 2 * content, content] == pytest.approx(1.0)
    assert table[0, 0, -1] == pytest.approx(found.first[A].sum())


def test_a_bad_hour_is_drawn_towards_the_usual(tmp_path: Path) -> None:
    """One hour in fifty fails ten times as often: its factor is found within a third, the others' err less than raw rates do."""
    rng = np.random.default_rng(0)
    hour = np.repeat(np.arange(50), 400)
    failed = rng.random(20_000) < np.where(hour == 20, 0.3, 0.03)
    time = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(hour * 3600 + np.arange(20_000) % 400, unit="s")
    rows = rows_of(tmp_path, timestamp=time, status=np.where(failed, "rate_limit", "ok"))
    found = fit(rows)
    values = found.hours[LIMIT].values[0] * found.first[A][LIMIT] / 0.03
    assert values[20] == pytest.approx(10, rel=0.33)
    raw = np.bincount(hour, failed) / 400 / 0.03
    assert np.square(np.delete(values - 1, 20)).mean() < 0.97 * np.square(np.delete(raw - 1, 20)).mean()
    table, cell = found.probabilities(A), found.cells(rows)
    assert table[cell[hour == 20][0], 0, -1] > 5 * table[cell[hour == 21][0], 0, -1]


def test_cells_are_hour_and_size(tmp_path: Path) -> None:
    """Requests of another hour or size class are in another cell, and one from outside the log in a cell of no hour."""
    columns = {"timestamp": pd.to_datetime(["2026-11-01 00:10", "2026-11-01 00:50", "2026-11-01 02:00", "2026-11-01 00:10"], utc=True)}
    rows = rows_of(tmp_path, **columns, input_tokens=[100, 100, 100, SIZES[1]])
    found = fit(rows)
    cell = found.cells(rows)
    assert cell[0] == cell[1]
    assert len(set(cell.tolist())) == 3
    later = rows.take(np.arange(4))
    later.timestamp[:] = np.datetime64("2027-01-01")
    assert found.cells(later).max() == len(found.probabilities(A)) - len(SIZES) - 1 + 2
    assert found.probabilities(B)[found.cells(later)[0]].tolist() == found.probabilities(B)[-1].tolist()


def test_large_requests_that_fail_more(tmp_path: Path) -> None:
    """Where large inputs time out five times as often, their cells say so; where failures carry no size, none differs."""
    rng = np.random.default_rng(0)
    large = np.arange(20_000) % 2 == 0
    failed = rng.random(20_000) < np.where(large, 0.1, 0.02)
    size = np.where(large, 10_000, 100)
    status = np.where(failed, "transport", "ok")
    told = fit(rows_of(tmp_path / "a", input_tokens=size, status=status)).by_size[:, 0]
    assert told[3] / told[0] == pytest.approx(5, rel=0.25)
    assert fit(rows_of(tmp_path / "b", input_tokens=np.where(failed, 0, size), status=status)).by_size.tolist() == np.ones((5, 5)).tolist()


def test_earlier_failures_are_of_a_likely_kind(tmp_path: Path) -> None:
    """A failed row's earlier calls failed as it did; those of answered rows by the model's own shares of passing kinds."""
    rows = rows_of(tmp_path, status=["ok"] * 340 + ["rate_limit"] * 45 + ["transport"] * 15, attempts=[2] * 400)
    kinds = fit(rows).earlier_kind(rows, np.linspace(0.001, 0.999, 400))
    assert (kinds[340:] == rows.status[340:]).all()
    assert (kinds[:340] == STATUSES.index("rate_limit")).mean() == pytest.approx(0.75, abs=0.2)
    assert set(kinds[:340].tolist()) <= {STATUSES.index("rate_limit"), STATUSES.index("transport")}


def test_how_long_a_failure_takes(tmp_path: Path) -> None:
    """The median time of one call by model and kind; a kind that was hardly seen takes what all failures take."""
    columns = {"status": ["ok"] * 300 + ["rate_limit"] * 21 + ["transport"] * 21, "attempts": [1] * 300 + [2] * 42}
    rows = rows_of(tmp_path, **columns, latency_ms=[900.0] * 300 + [400.0] * 21 + [5000.0] * 21)
    took = fit(rows).took_us(A)
    assert took[STATUSES.index("rate_limit")] == 200_000
    assert took[STATUSES.index("transport")] == 2_500_000
    assert took[STATUSES.index("content")] == 1_350_000


def test_the_samples_truth_is_found(sample: tuple[Traffic, Labels]) -> None:
    """On the SYNTHETIC sample the chance to fail again covers the generator's, and hours of incidents stand out in rate limits."""
    rows = load_rows(sample[0])
    served = {m: "openai" if m.startswith("gpt") else "anthropic" for m in rows.model.values}
    found = fit_call_failures(rows, served, np.zeros(len(rows), bool))
    for again in found.again:
        assert again.low < _AGAIN < again.high
    limits = found.hours[LIMIT].values
    assert limits.max() > 2.5
    assert np.median(limits) == pytest.approx(1.0, abs=0.2)
