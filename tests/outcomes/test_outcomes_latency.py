"""Latency: known numbers are found again, slow hours are told apart, and what was observed stays observed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of

from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.outcomes.latency import Latency, fit_latency
from planner.outcomes.tails import SCORES
from planner.schema import STATUSES
from planner.stats.draws import uniform
from planner.synthetic.world import MODELS as TRUE_MODELS
from planner.traffic import Traffic
from planner.traffic.rows import Coded, Rows, load_rows

A, B = MODELS[:2]
#: [ms] a call, per input token, per output token.
TRUE = (400.0, 0.2, 9.0)
CANCELLED = STATUSES.index("cancelled")


def log_of(folder: Path, n: int = 6000, seed: int = 0, patience: float = np.inf, slow_hour: float = 1.0) -> Rows:
    """Make a log of model A with TRUE latency and a lognormal residual of 0.3; calls beyond ``patience`` times the usual are cancelled."""
    rng = np.random.default_rng(seed)
    tokens, answer = rng.integers(20, 6000, n), rng.integers(5, 600, n)
    hour = np.arange(n) * 100 // n
    usual = TRUE[0] + TRUE[1] * tokens + TRUE[2] * answer
    factor = rng.lognormal(0, 0.3, n) * np.where(hour % 10 == 3, slow_hour, 1.0)
    cut = factor > patience
    columns = {
        "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(hour * 3600 + np.arange(n) % 3600, unit="s"),
        "provider": "openai",
        "model": A,
        "app": "chat",
        "input_tokens": tokens,
        "output_tokens": np.where(cut, 0, answer),
        "status": np.where(cut, "cancelled", "ok"),
        "latency_ms": usual * np.minimum(factor, patience),
        "ttft_ms": np.where(cut, np.nan, (usual - TRUE[2] * answer) * factor),
    }
    return load_rows(traffic_of(folder, columns))


def fit(rows: Rows, labels: Labels | None = None) -> Latency:
    """Fit with cancelled rows as cut short."""
    found = fit_latency(rows, rows.status == CANCELLED, labels, {A: "openai", B: "openai"})
    assert found is not None
    return found


def test_known_numbers_are_found_again(tmp_path: Path) -> None:
    """Time a call, per input token and per output token are right within 5 per cent, and p95 of the residual within 3."""
    speed = fit(log_of(tmp_path)).models[A]
    assert speed.terms[[0, 1, 4]] == pytest.approx(TRUE, rel=0.05)
    assert speed.residual.at(np.array([1.645]))[0] == pytest.approx(np.exp(0.3 * 1.645), rel=0.03)
    assert (speed.source, speed.evidence) == ("log", "estimated")


def test_cancelled_calls_are_not_dropped(tmp_path: Path) -> None:
    """Where callers leave at 1.5 times the usual, the spread is right within 12 per cent; without those calls, too small by 20."""
    rows = log_of(tmp_path, patience=1.5)
    dropped = fit(rows.take(rows.status == 0)).models[A].residual.at(np.array([2.0]))[0]
    kept = fit(rows).models[A]
    assert kept.censored > 300
    assert np.log(kept.residual.at(np.array([2.0]))[0]) == pytest.approx(0.6, rel=0.12)
    assert np.log(dropped) < 0.8 * 0.6


def test_a_slow_hour_is_the_providers(tmp_path: Path) -> None:
    """Every tenth hour takes twice as long: found within 15 per cent, on average within 6; others stay near 1, other providers at 1."""
    rows = log_of(tmp_path, slow_hour=2.0)
    hours = fit(rows).hours
    start = int(rows.timestamp.min().astype("datetime64[h]").astype(int))
    effect = np.exp(hours.of("openai", start + np.arange(100)))
    effect /= np.median(effect)
    assert effect[3::10] == pytest.approx(2.0, rel=0.15)
    assert effect[3::10].mean() == pytest.approx(2.0, rel=0.06)
    assert np.delete(effect, np.arange(3, 100, 10)) == pytest.approx(1.0, rel=0.15)
    assert hours.of("anthropic", start + np.arange(3)).tolist() == [0.0, 0.0, 0.0]


def test_hours_that_differ_by_chance_have_no_effect(tmp_path: Path) -> None:
    """Without slow hours, hours of 60 calls that differ by up to 10 per cent are drawn within 4 per cent of none."""
    assert np.abs(fit(log_of(tmp_path)).hours.values).max() < 0.04


def test_an_observed_call_has_its_own_score(tmp_path: Path) -> None:
    """Expected time × the residual at the row's score is the logged latency, to the microsecond's rounding; a cut call's is above it."""
    rows = log_of(tmp_path, patience=1.8)
    found = fit(rows)
    score = found.scores(rows, seed=0)
    _, whole = found.expected_us(rows, A, rows.tokens)
    drawn = whole * found.models[A].residual.at(score) / 1000
    ok = rows.status == 0
    inside = ok & (np.abs(score) < 3)
    assert drawn[inside] == pytest.approx(rows.latency_ms[inside], rel=1e-5)
    assert (drawn[~ok] > 0.999 * rows.latency_ms[~ok]).all()
    assert abs(score[ok].mean()) < 0.2
    first, last = found.logged_us(rows, score)
    assert last[ok] == pytest.approx(rows.latency_ms[ok] * 1000, abs=1)
    assert first[ok] == pytest.approx(rows.ttft_ms[ok] * 1000, abs=1)


def test_a_retried_request_knows_its_last_call_only_by_the_sum(tmp_path: Path) -> None:
    """Its last call lasts no longer than the logged sum, its score is drawn by its key, the same in any subset of rows."""
    rows = log_of(tmp_path)
    rows.attempts[:100] = 3
    found = fit(rows)
    score = found.scores(rows, seed=4)
    assert (found.logged_us(rows, score)[1][:100] <= np.rint(rows.latency_ms[:100] * 1000)).all()
    assert found.scores(rows.take(np.arange(50)), seed=4).tolist() == score[:50].tolist()
    assert score[:100].std() > 0.5


def asked(n: int, repeats: int = 1, rho: float = 0.6, reasons: int = 0) -> Labels:
    """Make labels of A and B: B takes 100 ms and 3 ms a token; residuals of one request correlate by ``rho``.

    Every answer is thought over for up to ``reasons`` tokens.
    """
    rng = np.random.default_rng(5)
    items = pd.DataFrame({"request_id": [f"q{i}" for i in range(n)], "messages": "hi"})
    shared, parts = rng.normal(size=n), []
    for model, call, per in ((A, TRUE[0], TRUE[2]), (B, 100.0, 3.0)):
        for repeat in range(repeats):
            answer, thought = rng.integers(5, 600, n), rng.integers(0, reasons + 1, n) if reasons else 0
            z = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=n)
            latency = (call + per * (answer + thought)) * np.exp(0.3 * z)
            columns = {"request_id": items["request_id"], "model": model, "repeat": repeat, "quality": 1.0}
            columns |= {"input_tokens": 100, "output_tokens": answer, "reasoning_tokens": thought, "latency_ms": latency}
            parts.append(pd.DataFrame(columns))
    return Labels.of(items, pd.concat(parts))


def test_a_model_that_was_not_logged_is_learned_from_labels(tmp_path: Path) -> None:
    """Its numbers come from its labels, within 10 per cent; one without either is assumed to be like all together."""
    found = fit(log_of(tmp_path), asked(1500))
    assert found.models[B].source == "labels"
    assert found.models[B].terms[4] == pytest.approx(3.0, rel=0.1)
    assert found.speed("unheard-of").evidence == "assumed"
    assert found.table["evidence"].tolist() == ["estimated", "estimated", "assumed"]


@pytest.mark.parametrize(("repeats", "source"), [(2, "repeats"), (1, "models")])
def test_how_alike_two_calls_are(tmp_path: Path, repeats: int, source: str) -> None:
    """Repeats, else pairs of models, give the correlation of scores: the true 0.6 within 0.06, with an interval around it."""
    alike = fit(log_of(tmp_path), asked(1500, repeats)).alike
    assert alike.source == source
    assert alike.value == pytest.approx(0.6, abs=0.06)
    assert alike.low < alike.value < alike.high
    assert alike.estimate.evidence == "estimated"
    assert fit(log_of(tmp_path)).alike.estimate.evidence == "assumed"


def test_what_the_log_never_saw_does_not_make_calls_less_alike(tmp_path: Path) -> None:
    """Where the labels ask for reasoning, which the log has none of, two calls are as alike as without: 0.6 within 0.06."""
    assert fit(log_of(tmp_path), asked(1500, reasons=900)).alike.value == pytest.approx(0.6, abs=0.06)


def test_without_times_there_is_no_latency(tmp_path: Path) -> None:
    """A log without latencies fits none, and a moved request keeps none."""
    traffic = traffic_of(tmp_path, {"model": [A] * 300, "input_tokens": 5, "output_tokens": 5})
    outcomes = fit_outcomes(traffic)
    rows = load_rows(traffic)
    assert outcomes.latency is None
    assert np.isnan(outcomes.calls(rows, Coded(np.zeros(300, np.int32), (B,)), 0).end_ms).all()


def test_a_moved_request_takes_what_the_other_model_takes(tmp_path: Path) -> None:
    """Sent to B, the median time is that of B's numbers within 5 per cent, slow requests stay slower, the same seed draws the same."""
    rows = log_of(tmp_path)
    outcomes = Outcomes(latency=fit(rows, asked(1500)))
    sent = Coded(np.zeros(len(rows), np.int32), (B,))
    moved = outcomes.calls(rows, sent, seed=1).end_ms
    usual = 100 + 3 * rows.tokens[:, 4]
    assert np.median(moved / usual) == pytest.approx(1.0, rel=0.05)
    before = rows.latency_ms / (TRUE[0] + TRUE[1] * rows.tokens[:, 0] + TRUE[2] * rows.tokens[:, 4])
    assert np.corrcoef(np.log(moved / usual), np.log(before))[0, 1] == pytest.approx(0.6, abs=0.06)
    assert moved.tolist() == outcomes.calls(rows, sent, seed=1).end_ms.tolist()


def test_the_samples_truth_is_found(sample: tuple[Traffic, Labels]) -> None:
    """On the SYNTHETIC sample, every model's time a call and per token are right within 10 per cent, p95 of its residual within 5."""
    traffic, labels = sample
    latency = fit_outcomes(traffic, labels).latency
    assert latency is not None
    for model in TRUE_MODELS:
        speed = latency.models[model.name]
        assert speed.terms[0] == pytest.approx(model.first_ms, rel=0.1)
        assert speed.terms[4] == pytest.approx(1000 / model.per_second, rel=0.1)
        if model.name != "claude-haiku-4-5":  # its provider was logged in few hours
            assert speed.residual.at(np.array([1.645]))[0] == pytest.approx(np.exp(1.645 * np.hypot(0.22, 0.18)), rel=0.05)
    assert latency.alike.low < 0.22**2 / (0.22**2 + 0.18**2) < latency.alike.high


def test_row_phase_and_event_phase_draw_alike(tmp_path: Path) -> None:
    """A moved request's time is what the event phase computes for its first call: residual at rho · score + sqrt(1 − rho²) · its draw."""
    rows = log_of(tmp_path, n=400)
    found = fit(rows, asked(1500))
    score = found.scores(rows, seed=3)
    u = [uniform(3, rows.key, f"{what}:{B}/0") for what in ("radius", "angle")]
    z = found.alike.value * score + np.sqrt(1 - found.alike.value**2) * np.sqrt(-2 * np.log(u[0])) * np.cos(2 * np.pi * u[1])
    whole = found.expected_us(rows, B, rows.tokens, "openai")[1] * np.interp(z, SCORES, found.speed(B).residual.at(SCORES))
    assert found.elsewhere_ms(rows, B, rows.tokens, score, "openai", 3) * 1000 == pytest.approx(whole, rel=1e-9)
