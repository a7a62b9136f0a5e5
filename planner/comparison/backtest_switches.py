"""Natural experiments: an app whose logged model changed, and what the ratios of the two models would have said about it beforehand.

In: Traffic, and labels where there are some. Out: one row a switch and measure: what a request costs after it, as predicted from the
requests before it and outcome models fitted before it, and as it happened. That the requests of both sides are alike is taken for
granted, and said. Knows nothing of levers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.comparison.backtest_periods import earlier
from planner.comparison.backtest_score import Error, error_of, mean_within, quantile_within
from planner.labels import Labels
from planner.outcomes import Calls, Outcomes, fit_outcomes
from planner.outcomes.ratios import SAMPLED
from planner.prices import PriceBook
from planner.simulation.accounting import price_calls
from planner.simulation.summary import BINS_PER_DECADE, DECADES, latency_bin, latency_ms
from planner.stats import influence, position
from planner.traffic import Traffic
from planner.traffic.rows import Coded, Rows
from planner.units import PUSD_PER_USD

__all__ = ["Switch", "effects", "find_switches"]

F64 = NDArray[np.float64]
#: Fewer answered requests than this on a side, and a change of model is none to learn from.
MIN_ANSWERED = 100
#: A day has a model of its own if that answered at least this share of it.
_MAIN = 0.5
_QUANTILES = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95}
_MEANS = ("usd", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Switch:
    """``app`` went from model ``before`` to ``after`` at the beginning of the UTC day ``when``; the stretches reach ``start`` … ``end``."""

    app: str
    before: str
    after: str
    start: np.datetime64
    when: np.datetime64
    end: np.datetime64


def find_switches(rows: Rows) -> list[Switch]:
    """Return every change of an app's main model with at least 100 answered requests on the one before it and the one after it."""
    found = []
    answered = rows.steerable & (rows.status == 0)
    for code, app in enumerate(rows.app.values):
        own = np.flatnonzero(answered & (rows.app.codes == code))
        runs = _runs(rows.timestamp[own], rows.model.codes[own], len(rows.model.values))
        for (a, start, when), (b, _, end) in pairwise(runs):
            model, time = rows.model.codes[own], rows.timestamp[own]
            counts = ((model == a) & (time >= start) & (time < when)).sum(), ((model == b) & (time >= when) & (time < end)).sum()
            if min(counts) >= MIN_ANSWERED:
                found.append(Switch(app, rows.model.values[a], rows.model.values[b], start, when, end))
    return found


def _runs(time: NDArray[np.datetime64], model: NDArray[np.int32], width: int) -> list[tuple[int, np.datetime64, np.datetime64]]:
    """Return stretches of days with one main model: (model, from, until)."""
    if not len(time):
        return []
    day = time.astype("datetime64[D]")
    days, place = np.unique(day, return_inverse=True)
    counts = np.zeros((len(days), width), np.int64)
    np.add.at(counts, (place, model), 1)
    clear = counts.max(axis=1) >= _MAIN * counts.sum(axis=1)
    main, days = counts.argmax(axis=1)[clear], days[clear]
    starts = np.flatnonzero(np.diff(main, prepend=-1))
    edges = [*days[starts].astype("datetime64[us]"), time.max() + np.timedelta64(1, "us")]
    return [(int(main[s]), edges[i], edges[i + 1]) for i, s in enumerate(starts)]


def effects(traffic: Traffic, rows: Rows, labels: Labels | None, book: PriceBook, seed: int) -> pd.DataFrame:
    """Return one row a switch and measure: app, before, after, when, measure, was, predicted, low, high, actual, hit, source.

    ``was`` is the mean (or quantile) before the switch; means are per answered request, money at the rates of the day of the switch.
    Where no label and no logged randomisation pairs the two models there is no prediction: only latency has one, if the log or the labels
    show how quick the new model is.
    """
    found: list[dict[str, Any]] = []
    for switch in find_switches(rows):
        with TemporaryDirectory() as folder:
            outcomes = fit_outcomes(earlier(traffic, switch.when, Path(folder) / "before"), labels, seed=seed)
        base = {"app": switch.app, "before": switch.before, "after": switch.after, "when": str(switch.when)[:10]}
        found += [{**base, **row} for row in _effect(rows, switch, outcomes, book, seed)]
    columns = ["app", "before", "after", "when", "measure", "was", "predicted", "low", "high", "actual", "hit", "source"]
    return pd.DataFrame(found, columns=columns).astype({"hit": object})


def _effect(rows: Rows, switch: Switch, outcomes: Outcomes, book: PriceBook, seed: int) -> Iterator[dict[str, Any]]:
    own = rows.steerable & (rows.status == 0) & (rows.app.codes == rows.app.code(switch.app))
    old = own & (rows.model.codes == rows.model.code(switch.before)) & (rows.timestamp >= switch.start) & (rows.timestamp < switch.when)
    new = own & (rows.model.codes == rows.model.code(switch.after)) & (rows.timestamp >= switch.when) & (rows.timestamp < switch.end)
    before, after = rows.take(old), rows.take(new)
    moved = outcomes.calls(before, _all(switch.after, before), seed)
    stayed, went = outcomes.calls(before, before.model, seed), outcomes.calls(after, after.model, seed)
    which = outcomes.tokens(before, _all(switch.after, before))[2]
    told = bool((which >= 0).any())
    noise = _ratio_noise(outcomes, which) if told else np.nan
    source = f"ratio of {_pairs(outcomes, which):,} pairs" if told else "no label and no logged randomisation pairs the two models"
    blocks = _days(before)
    was, predicted, actual = (_values(c, r, book, switch.when) for c, r in ((stayed, before), (moved, before), (went, after)))
    m = float(after.weight.sum())
    well = moved.outcome == 0
    for name in _MEANS:
        happened = _mean(actual[name], after.weight)
        row = {"measure": name, "was": _mean(was[name], before.weight), "actual": happened, "source": source}
        if told:
            error = error_of(predicted[name][well], before.weight[well], before.bucket[well], blocks[well])
            mean = _mean(predicted[name][well], before.weight[well])
            wider = Error(error.variance + (noise * mean) ** 2 / (1 + error.n / m), error.freedom, error.n)
            yield {**row, **_judged(mean, *mean_within(mean, wider, m), happened)}
        else:
            yield {**row, **_judged(np.nan, np.nan, np.nan, happened)}
    yield from _latencies(before, after, moved, outcomes, switch, blocks)


def _latencies(
    before: Rows, after: Rows, moved: Calls, outcomes: Outcomes, switch: Switch, blocks: NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    if outcomes.latency is None or not (after.latency_ms > 0).any() or not (before.latency_ms > 0).any():
        return
    speed = outcomes.latency.speed(switch.after)
    source = f"{speed.calls:,} calls of the {speed.source}" if speed.source != "all models" else "no calls of the new model beforehand"
    timed = np.isfinite(moved.end_ms) & (moved.outcome == 0) & (before.latency_ms > 0)
    ms, weight, part = moved.end_ms[timed], before.weight[timed], before.take(timed)
    new = after.latency_ms > 0
    for name, q in _QUANTILES.items():
        was, ahead, seen = (
            _counts(t, w) for t, w in ((before.latency_ms[timed], weight), (ms, weight), (after.latency_ms[new], after.weight[new]))
        )
        actual = latency_ms(position(seen, q))
        row = {"measure": name, "was": latency_ms(position(was, q)), "actual": actual, "source": source}
        if speed.source == "all models":
            yield {**row, **_judged(np.nan, np.nan, np.nan, actual)}
            continue
        usual = latency_ms(position(ahead, q), 1.0)
        error = error_of((ms > usual).astype(float), weight, part.bucket, blocks[timed])
        low, high = quantile_within(ahead, q, error, float(after.weight[new].sum()))
        yield {**row, **_judged(latency_ms(position(ahead, q)), low, high, actual)}


def _judged(predicted: float, low: float, high: float, actual: float) -> dict[str, Any]:
    hit = None if np.isnan(low) else bool(low <= actual <= high)
    return {"predicted": predicted, "low": low, "high": high, "hit": hit}


def _all(model: str, rows: Rows) -> Coded:
    return Coded(np.zeros(len(rows), np.int32), (model,))


def _values(calls: Calls, rows: Rows, book: PriceBook, when: np.datetime64) -> dict[str, F64]:
    priced = price_calls(calls, rows, book, when.astype("datetime64[D]").item())
    usd = np.where(priced.reason == 0, priced.cost_pusd / PUSD_PER_USD, np.nan)
    return {
        "usd": usd,
        "input_tokens": calls.tokens[:, :4].sum(axis=1).astype(float),
        "output_tokens": calls.tokens[:, 4:].sum(axis=1).astype(float),
    }


def _mean(values: F64, weight: F64) -> float:
    return float(values @ weight / weight.sum())


def _days(rows: Rows) -> NDArray[np.int64]:
    day = rows.timestamp.astype("datetime64[D]").astype(np.int64)
    return np.asarray(day - day.min())


def _counts(ms: F64, weight: F64) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.rint(np.bincount(latency_bin(ms), weight, BINS_PER_DECADE * DECADES) * 1e6).astype(np.int64)
    return counts


def _pairs(outcomes: Outcomes, which: NDArray[np.int64]) -> int:
    keys = sorted(outcomes.samples)
    return outcomes.ratios[keys[int(which[which >= 0][0])]].pairs


def _ratio_noise(outcomes: Outcomes, which: NDArray[np.int64]) -> float:
    """Return the relative standard error of the less certain of the two ratios, of input and of output."""
    sums = outcomes.samples[sorted(outcomes.samples)[int(which[which >= 0][0])]].astype(float)
    found = []
    for top, bottom in (("input_other", "input_logged"), ("output_other", "output_logged")):
        pair = sums[:, [SAMPLED.index(top), SAMPLED.index(bottom)]]
        one = influence(pair, lambda s: np.asarray(s[:, 0] / np.maximum(s[:, 1], 1e-300)), pair[:, 1])
        found.append(float(np.sqrt(one.variance)) / max(float(one.value), 1e-300))
    return max(found)
