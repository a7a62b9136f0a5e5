"""How sure a prediction is, and whether what happened lies within: intervals from the first period alone.

In: what was predicted and observed of every request, and the two periods. Out: one row an app and measure. What differs between
requests of the first period, by user and by day, says how far the last period may lie from a prediction that is right; how many
requests it has is given. The outcomes of the last period are only looked at to compare. Knows nothing of levers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from planner.comparison.backtest_play import MEASURES, Played, Timed
from planner.simulation.summary import BINS_PER_DECADE, DECADES, latency_bin, latency_ms
from planner.stats import BUCKETS, LAGS, influence, position
from planner.stats.quantiles import limits
from planner.traffic.rows import Rows

__all__ = ["LEVEL", "QUANTILES", "Error", "Periods", "error_of", "mean_within", "quantile_within", "score"]

F64 = NDArray[np.float64]
LEVEL = 0.95
QUANTILES = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95}
#: Counts of requests: their limits are those of a share.
_COUNTS = tuple(m for m in MEASURES if m.startswith("failures") or m == "cache_hits")
#: What many logs have nothing of: where it is neither expected nor happens, there is nothing to compare.
_RARE = (*_COUNTS, "cache_read_tokens", "prompt_cache_tokens")
#: What is taken as given where no cache reads any of it, and where nothing is tried again.
_GIVEN = ("input_tokens", "calls")
_BINS = BINS_PER_DECADE * DECADES
_COLUMNS = ("app", "requests", "foreign", "measure", "predicted", "low", "high", "actual", "low_together", "high_together")
_US_PER_DAY = 86_400_000_000
#: Where the first period has fewer days, it is cut into this many equal parts.
_PARTS = 20


@dataclass(frozen=True, eq=False)
class Periods:
    """``first`` and ``last`` (n,) say which users' requests of the log are of which period; ``block`` (n,) the stretch of time."""

    rows: Rows
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    block: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows, cut: np.datetime64) -> Periods:
        """Cut ``rows``; blocks are UTC days, or twentieths of the first period where that is shorter than 20 days."""
        first = rows.demand & (rows.timestamp < cut)
        at = (rows.timestamp - rows.timestamp.min()).astype("timedelta64[us]").astype(np.int64)
        span = int(at[first].max(initial=0)) + 1
        width = _US_PER_DAY if span >= _PARTS * _US_PER_DAY else -(-span // _PARTS)
        return cls(rows, first, rows.demand & ~first, at // width)


@dataclass(frozen=True, slots=True)
class Error:
    """The variance of the mean of ``n`` requests' values, its degrees of freedom, and of ``m`` later requests' mean around it.

    ``clusters`` are too few for an interval where ``freedom`` is NaN.
    """

    variance: float
    freedom: float
    n: float

    def ahead(self, m: float) -> float:
        """The variance of the mean of ``m`` other requests minus this mean.

        Users who ask in both periods bring their manner to both, which makes this too wide, never too narrow.
        """
        return self.variance * (1 + self.n / max(m, 1e-9))


def error_of(values: F64, weight: F64, bucket: NDArray[np.int64], block: NDArray[np.int64]) -> Error:
    """Return the error of the weighted mean of ``values`` (n,): over users and over stretches of time, what both share counted once.

    Cameron, Gelbach & Miller, *JBES* 29 (2011), with single requests as what both share; never less than over users alone.
    """
    total = float(weight.sum())
    if not total:
        return Error(np.nan, np.nan, 0.0)
    mean = float(values @ weight) / total
    single = float(np.square(weight * (values - mean)).sum()) / total**2
    found = []
    for code, size, lags in ((bucket, BUCKETS, 0), (block, int(block.max()) + 1, LAGS)):
        sums = np.column_stack([np.bincount(code, weight * (values - mean), size), np.bincount(code, weight, size)])
        found.append(influence(sums, lambda s: np.asarray(s[:, 0] / np.maximum(s[:, 1], 1e-300)), sums[:, 1], lags=lags))
    users, days = found
    if not users.enough:
        return Error(np.nan, np.nan, total)
    if not days.enough:
        return Error(float(users.variance), float(users.freedom), total)
    both = max(float(users.variance), float(days.variance), float(users.variance) + float(days.variance) - single)
    heavier = users if users.variance >= days.variance else days
    return Error(both, max(float(heavier.freedom), 1.0), total)


def mean_within(mean: float, error: Error, m: float, level: float = LEVEL) -> tuple[float, float]:
    """Return between what the mean of ``m`` later requests lies if ``mean`` is right, NaN where nothing can be said."""
    if np.isnan(error.variance):
        return np.nan, np.nan
    half = float(stdtrit(error.freedom, 0.5 + level / 2)) * np.sqrt(error.ahead(m))
    return mean - half, mean + half


def share_within(share: float, error: Error, m: float, level: float = LEVEL) -> tuple[float, float]:
    """Return between what the share of ``m`` later requests lies; never surer than if every request stood for itself.

    Clopper and Pearson's limits at the number of independent requests that have this variance, fewer for few degrees of freedom (Korn &
    Graubard, *Survey Methodology* 24, 1998).

    >>> [round(x, 3) for x in share_within(0.1, Error(0.09 / 200, 1e6, 200.0), 200.0)]
    [0.049, 0.176]
    """
    if np.isnan(error.variance):
        return np.nan, np.nan
    p = min(max(share, 0.5 / (error.n + 1)), 1 - 0.5 / (error.n + 1))
    variance = max(error.ahead(m), p * (1 - p) * (1 / error.n + 1 / max(m, 1e-9)))
    tail = (1 - level) / 2
    n = max(p * (1 - p) / variance * float(stdtrit(np.inf, 1 - tail) / stdtrit(error.freedom, 1 - tail)) ** 2, 1.0)
    return float(np.nan_to_num(betaincinv(n * p, n * (1 - p) + 1, tail))), float(betaincinv(n * p + 1, n * (1 - p), 1 - tail))


def quantile_within(counts: NDArray[np.int64], q: float, error: Error, m: float, level: float = LEVEL) -> tuple[float, float]:
    """Return between what the ``q`` quantile of ``m`` later requests lies, read off the predicted histogram ``counts``.

    ``error`` is that of the share above the quantile. NaN where so few requests could all lie on one side of it by chance.
    """
    if np.isnan(error.variance) or not counts.any():
        return np.nan, np.nan
    variance = max(error.ahead(m), q * (1 - q) * (1 / error.n + 1 / max(m, 1e-9)))
    low, high = limits(q, variance, error.freedom, level)
    if np.isnan(low):
        return np.nan, np.nan
    return latency_ms(position(counts, low), 0.0), latency_ms(position(counts, high), 1.0)


def score(periods: Periods, predicted: Played, actual: Played) -> pd.DataFrame:
    """Return one row an app and measure: predicted, low, high, actual, hit, and the limits at the level of all apps together.

    ``requests`` are the users' own of the last period, ``foreign`` the share of them that no answer of their app and model in the first
    period stands for. ``app`` is "all" for all together. What cannot but hold, such as the input of a log without prompt caches, has no
    interval.
    """
    rows = periods.rows
    apps = [rows.app.values[c] for c in np.unique(rows.app.codes[periods.last])]
    where = {app: rows.app.codes == rows.app.code(app) for app in sorted(apps)} | {"all": np.ones(len(rows), bool)}
    level = 1 - (1 - LEVEL) / len(where)
    found = []
    for app, own in where.items():
        first, last = np.flatnonzero(periods.first & own), np.flatnonzero(periods.last & own)
        base = {"app": app, "requests": float(rows.weight[last].sum()), "foreign": float((predicted.source[last] > 0).mean())}
        found += [{**base, **_total(periods, predicted, actual, first, last, i, level)} for i in range(len(MEASURES))]
        found += [{**base, **_timed(periods, predicted, actual.times, own, name, level)} for name in QUANTILES]
    table = pd.DataFrame(found).reindex(columns=_COLUMNS)
    table["hit"] = _inside(table, "low", "high")
    table["hit_together"] = _inside(table, "low_together", "high_together")
    return table[table["predicted"].notna() & table["actual"].notna()].reset_index(drop=True)


def _inside(table: pd.DataFrame, low: str, high: str) -> pd.Series:
    """Say whether what happened lies within; None without an interval."""
    slack = 1e-9 * table["actual"].abs()
    inside = (table["actual"] >= table[low] - slack) & (table["actual"] <= table[high] + slack)
    return inside.astype(object).where(table[low].notna(), None)


def _total(
    periods: Periods, predicted: Played, actual: Played, first: NDArray[np.intp], last: NDArray[np.intp], measure: int, together: float
) -> dict[str, object]:
    rows, weight, name = periods.rows, periods.rows.weight, MEASURES[measure]
    counted = last[~predicted.unpriced[last]] if name == "usd" else last
    if name == "prompt_cache_tokens":
        first, counted = first[predicted.simulated[first]], counted[predicted.simulated[counted]]
    m = float(weight[counted].sum())
    error = error_of(
        (actual.mean - predicted.mean)[first, measure] if name not in _COUNTS else actual.mean[first, measure],
        weight[first], rows.bucket[first], periods.block[first],
    )  # fmt: skip
    ahead, seen = (float(weight[counted] @ p.mean[counted, measure]) for p in (predicted, actual))
    if not m or (name in _RARE and not (ahead or seen)):
        return {"measure": name, "predicted": np.nan, "actual": np.nan}
    if name in _GIVEN and not error.variance and ahead == seen:
        return {"measure": name, "predicted": ahead, "actual": seen}
    within = share_within if name in _COUNTS else mean_within
    low, high = (m * x for x in within(ahead / m, error, m))
    below, above = (m * x for x in within(ahead / m, error, m, together))
    if name in _COUNTS and np.isfinite(low):
        low, high, below, above = np.floor(low), np.ceil(high), np.floor(below), np.ceil(above)
    low, below = max(low, 0.0), max(below, 0.0)
    return {"measure": name, "predicted": ahead, "low": low, "high": high, "actual": seen, "low_together": below, "high_together": above}


def _timed(
    periods: Periods, predicted: Played, actual: Sequence[Timed], own: NDArray[np.bool_], name: str, together: float
) -> dict[str, object]:
    q, rows, last = QUANTILES[name], periods.rows, own & periods.last
    ahead, seen = (_histogram(times, last, rows.weight) for times in (predicted.times, actual))
    if not ahead.any() or not seen.any():
        return {"measure": name, "predicted": np.nan, "actual": np.nan}
    times = actual[0]
    mine = (own & periods.first)[times.row]
    row, ms = times.row[mine], times.ms[mine]
    m = float(rows.weight[last] @ (1 - predicted.mean[last, MEASURES.index("failures")]))
    usual = latency_ms(position(_histogram(actual, own & periods.first, rows.weight), q), 1.0)
    error = error_of((ms > usual).astype(float), rows.weight[row], rows.bucket[row], periods.block[row])
    low, high = quantile_within(ahead, q, error, m)
    below, above = quantile_within(ahead, q, error, m, together)
    below, above = min(low, below), max(high, above)
    found, happened = (latency_ms(position(h, q)) for h in (ahead, seen))
    return {
        "measure": name, "predicted": found, "low": low, "high": high, "actual": happened, "low_together": below, "high_together": above,
    }  # fmt: skip


def _histogram(times: Sequence[Timed], where: NDArray[np.bool_], weight: F64) -> NDArray[np.int64]:
    """Return the weights [10⁻⁶] by bin of the latencies of the rows in ``where``."""
    counts = np.zeros(_BINS)
    for one in times:
        mine = where[one.row]
        counts += np.bincount(latency_bin(one.ms[mine]), weight[one.row[mine]], _BINS)
    return np.rint(counts * 1e6).astype(np.int64)
