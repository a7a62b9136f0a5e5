"""How calls fail: by kind, model, hour of its provider and size of the input; and how they fail again.

In: Rows. Out: the share of each status by model, as requests ended; and CallFailures, what the first and the next calls of a request do.
Thin cells are drawn towards the model's own rate. Knows nothing of retry policies: those are a lever.
Calls that were given up are failures here, and times that were only exceeded in ``latency``: ``given_up`` says when they are which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from planner.outcomes.given_up import LEFT, GivenUp, fit_given_up
from planner.outcomes.hours import Hours, hour_of
from planner.outcomes.sizes import SIZES, size_class
from planner.schema import STATUSES
from planner.stats import Estimate
from planner.traffic.rows import Rows

__all__ = ["AGAIN_ASSUMED", "HISTORIES", "CallFailures", "failure_rates", "fit_call_failures"]

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Fewer calls than this cannot show a rate of one in a hundred.
MIN_CALLS = 300
#: Fewer calls after a failure than this do not show how often they fail again.
MIN_AGAIN = 30
#: Where nothing tells how often the next call fails too, results are shown at these three and stated at the middle one.
AGAIN_ASSUMED = (0.2, 0.5, 0.8)
KINDS = STATUSES[1:]
#: How a model has treated a request so far: no failure, or the last failure's kind and whether it was the first or a later one.
HISTORIES = 1 + 2 * len(KINDS)
#: Kinds that may go away by themselves. A refused text and an invalid call are refused again (``traffic.failures``).
_PASSING = np.array([k in ("transport", "rate_limit", "cancelled") for k in KINDS])
_RETRIED = np.array([k in ("transport", "rate_limit") for k in KINDS])
#: Fewer failed calls than this do not show how long they take; nothing known, a failure takes this long [ms].
_MIN_TOOK, _TOOK_MS = 10, 1000.0
#: No call is taken to fail more surely than this for its hour and size.
_MOST = 0.95


def failure_rates(rows: Rows) -> Mapping[str, NDArray[np.float64]]:
    """Return for every model with at least 300 logged calls the share of each of ``schema.STATUSES``, summing to 1."""
    own = rows.take(rows.billable)
    shape = (len(own.model.values), len(STATUSES))
    counts = np.zeros(shape)
    np.add.at(counts, (own.model.codes, own.status), 1)
    return {m: c / c.sum() for m, c in zip(own.model.values, counts, strict=True) if c.sum() >= MIN_CALLS}


@dataclass(frozen=True, eq=False)
class CallFailures:
    """Failures of calls, kinds in the order of KINDS.

    Parameters
    ----------
    first: model → probability that a request's first call fails, by kind (5,). other: of a model that the log hardly knows.
    providers: model → who serves it. hours: kind → factor per provider and hour. by_size: (size classes, 5) factors.
    again: probabilities that the call after one failure, and after two or more, fails too, where the kind may pass.
    given_up: which of the failures stay some where a plan gives calls up itself.
    took_ms: of all failures, and of all but timeouts: model → how long one of each of STATUSES takes [ms], (6,); "" of any other.
    """

    first: Mapping[str, F64]
    other: F64
    providers: Mapping[str, str]
    hours: tuple[Hours, ...]
    by_size: F64
    again: tuple[Estimate, Estimate]
    given_up: GivenUp
    took_ms: tuple[Mapping[str, F64], Mapping[str, F64]] = field(repr=False)

    def cells(self, rows: Rows) -> NDArray[np.int32]:
        """Return the cell of each row, (n,): its hour and the size of its input; rows of ``probabilities``.

        A request outside the hours of the log it was fitted on has the last cells: its size, in no particular hour.
        """
        hour, width = hour_of(rows.timestamp) - self.hours[0].first, self.hours[0].values.shape[1]
        known = (hour >= 0) & (hour < width)
        size = size_class(rows.tokens[:, :4].sum(axis=1))
        return (np.where(known, hour, width) * (len(SIZES) + 1) + size).astype(np.int32)

    def probabilities(self, model: str, again: float | None = None, limit_ms: float | None = None) -> F64:
        """Return the cumulative probabilities of the kinds given the history, (cells, HISTORIES, 5), for ``cells``.

        ``again`` puts one number in place of how often a call fails again: where that is assumed, see AGAIN_ASSUMED. ``limit_ms`` is
        after how long the plan gives a call up, None: never. With one, a call after another that was given up is as slow as two calls of
        one request are alike, which is latency's to say: being given up does not make it fail.
        """
        plain = self._plain(model, self.given_up.kept(model, limit_ms))
        out = np.repeat(plain[:, None, :], HISTORIES, axis=1)
        for kind in range(len(KINDS)):
            for later, estimate in enumerate(self.again):
                if kind == LEFT and limit_ms is not None:
                    continue
                chance = (estimate.value if again is None else again) if _PASSING[kind] else 1.0
                history = out[:, 1 + 2 * kind + later]
                history[:, kind] = np.maximum(history[:, kind], chance)
                others = history.sum(axis=1) - history[:, kind]
                history[:, np.arange(len(KINDS)) != kind] *= np.minimum(1, (1 - history[:, kind]) / np.maximum(others, 1e-300))[:, None]
        return np.asarray(np.minimum(np.cumsum(out, axis=2), 1.0))

    def _plain(self, model: str, kept: F64) -> F64:
        """Return the probabilities of the first call, (cells, 5)."""
        rate, provider = kept * self.first.get(model, self.other), self.providers.get(model, "")
        span = self.hours[0].first + np.arange(self.hours[0].values.shape[1] + 1)
        by_hour = np.column_stack([h.of(provider, span) for h in self.hours])
        chance = (rate * by_hour[:, None, :] * self.by_size[None, :, :]).reshape(-1, len(KINDS))
        return np.asarray(chance * np.minimum(1, _MOST / np.maximum(chance.sum(axis=1), 1e-300))[:, None])

    def took_us(self, model: str, limited: bool = False) -> Ints:
        """Return how long a failure of each of STATUSES takes [µs], (6,); ``limited``: where a plan gives calls up itself."""
        took = self.took_ms[limited]
        whole: Ints = np.rint(took.get(model, took[""]) * 1000).astype(np.int64)
        return whole

    def earlier_kind(self, rows: Rows, u: F64) -> NDArray[np.int8]:
        """Return a code of STATUSES for the calls that failed before each row's last: the row's own kind, else drawn by ``u`` (n,).

        The log counts earlier attempts but not how they failed: of what was answered at last, they failed as its model does.
        """
        out = rows.status.copy()
        for code, model in enumerate(rows.model.values):
            own = (rows.model.codes == code) & (rows.status == 0)
            share = np.where(_RETRIED, self.first.get(model, self.other), 0.0)
            bounds = np.cumsum(share / share.sum() if share.sum() else _RETRIED / _RETRIED.sum())
            out[own] = 1 + np.searchsorted(bounds, u[own] * (1 - 1e-12), side="right")
        return out

    @property
    def table(self) -> pd.DataFrame:
        """One row a model and kind: probability that a first call fails so, how long that takes [ms], and the evidence."""
        named = {**{m: (p, "estimated") for m, p in self.first.items()}, "any other model": (self.other, "assumed")}
        rows = []
        for model, (chance, evidence) in named.items():
            took = self.took_ms[0].get(model, self.took_ms[0][""])
            rows += [
                {"model": model, "kind": k, "chance": p, "took_ms": t, "evidence": evidence}
                for k, p, t in zip(KINDS, chance.tolist(), took[1:].tolist(), strict=True)
            ]
        return pd.DataFrame(rows)


def fit_call_failures(rows: Rows, providers: Mapping[str, str], timed_out: NDArray[np.bool_]) -> CallFailures:
    """Fit on the calls of a log that reached a provider; ``providers`` says who serves each model, ``timed_out`` (n,) who timed out.

    A timeout of unknown length is a failure like any other, since no latency can show it.
    """
    own, gave_up = rows.take(rows.billable), (timed_out & (rows.status > 0) & (rows.latency_ms > 0))[rows.billable]
    failed = _first_failures(own)
    total, n = failed.sum(axis=0), len(own)
    other = total / max(n, 1)
    first = {}
    for code, model in enumerate(own.model.values):
        mine = own.model.codes == code
        if mine.sum() >= MIN_CALLS:
            first[model] = failed[mine].sum(axis=0) / mine.sum()
    expected = np.array([first.get(m, other) for m in own.model.values]).reshape(-1, len(KINDS))[own.model.codes]
    names = tuple(sorted({providers.get(m, "") for m in own.model.values})) or ("",)
    served = np.array([names.index(providers.get(m, "")) for m in own.model.values] or [0])[own.model.codes]
    by_hour, by_size = _by_hour(failed, expected, served, own, names), _by_size(failed, expected, own)
    took = _took(own), _took(own.take(~gave_up))
    return CallFailures(first, other, dict(providers), by_hour, by_size, _again(own), fit_given_up(own, gave_up), took)


def _first_failures(rows: Rows) -> F64:
    """Return for each request the probability that its first call failed by each kind, (n, 5).

    A request that failed, failed so from the start; one that was answered after more attempts failed first as its model fails at last.
    """
    kinds = np.arange(1, len(STATUSES))
    failed: F64 = (rows.status[:, None] == kinds).astype(float)
    for code in np.unique(rows.model.codes):
        own = rows.model.codes == code
        ends = np.where(_RETRIED, failed[own].sum(axis=0), 0)
        if not ends.sum():
            ends = np.where(_RETRIED, failed.sum(axis=0), 0)
        share = ends / ends.sum() if ends.sum() else (np.array(KINDS) == "transport").astype(float)
        failed[own & (rows.status == 0) & (rows.attempts > 1)] = share
    return failed


def _drawn_in(observed: NDArray[Any], expected: NDArray[Any]) -> F64:
    """Return the factor of each cell over what was expected of it, drawn towards 1.

    Marshall, *Mapping disease and mortality rates using empirical Bayes estimators*, JRSS C 40 (1991): a gamma prior of mean 1, its
    variance by moments.
    """
    whole = expected.sum()
    if whole <= 0 or observed.sum() <= 0:
        return np.ones(len(expected))
    ratio = np.divide(observed, expected, out=np.ones(len(expected)), where=expected > 0)
    seen = expected > 0
    variance = float(expected @ np.square(ratio - 1) / whole) - seen.sum() / whole
    if variance <= 0:
        return np.ones(len(expected))
    return np.asarray((observed + 1 / variance) / (expected + 1 / variance))


def _by_hour(failed: F64, expected: F64, served: NDArray[np.int64], rows: Rows, names: tuple[str, ...]) -> tuple[Hours, ...]:
    hour = hour_of(rows.timestamp)
    first = int(hour.min()) if len(hour) else 0
    width = int(hour.max()) - first + 1 if len(hour) else 1
    cell = served * width + hour - first
    found = []
    for kind in range(len(KINDS)):
        seen, due = (np.bincount(cell, column[:, kind], minlength=len(names) * width) for column in (failed, expected))
        found.append(Hours(names, first, _drawn_in(seen, due).reshape(len(names), width), 1.0))
    return tuple(found)


def _by_size(failed: F64, expected: F64, rows: Rows) -> F64:
    """Return a factor by size class and kind; 1 for kinds whose failures were mostly logged without the size of what was asked."""
    size = rows.tokens[:, :4].sum(axis=1)
    counted, place = size > 0, size_class(size)
    out = np.ones((len(SIZES) + 1, len(KINDS)))
    for kind in range(len(KINDS)):
        if failed[counted, kind].sum() >= failed[~counted, kind].sum():
            seen, due = (np.bincount(place[counted], c[counted, kind], minlength=len(out)) for c in (failed, expected))
            out[:, kind] = _drawn_in(seen, due * (seen.sum() / due.sum() if due.sum() else 1.0))
    return out


def _again(rows: Rows) -> tuple[Estimate, Estimate]:
    """Return how often the second call fails after the first, and a later one after those before it, where the kind may pass.

    Many gateways log a request that failed as one attempt whatever was tried. Where none of those says more than one, the most that
    any answered request needed is taken as what each of them was given; the lower bound of the interval is without them.
    """
    ok = rows.status == 0
    lost = np.isin(rows.status, 1 + np.flatnonzero(_RETRIED))
    k = np.maximum(rows.attempts, 1)
    most = int(k[ok].max(initial=1))
    silent = lost.any() and most > 1 and int(k[lost].max()) == 1
    made = np.where(lost & silent, most, k)
    failures = made - ok
    second = _chance((ok | lost) & (made >= 2), failures >= 2, (lost & silent).sum())
    third = (ok | lost) & (made >= 3)
    later = _share(float((failures - 2)[third].sum()), float((made - 2)[third].sum()), float((lost & silent & (made >= 3)).sum()))
    return second, later if later.n >= MIN_AGAIN else second


def _chance(tried: NDArray[np.bool_], failed: NDArray[np.bool_], unsure: float) -> Estimate:
    return _share(float((tried & failed).sum()), float(tried.sum()), float(unsure))


def _share(failed: float, tried: float, unsure: float) -> Estimate:
    """Return failed / tried with Jeffreys' 95 % interval, its lower end without the ``unsure`` failures."""
    if tried < MIN_AGAIN:
        return Estimate(AGAIN_ASSUMED[1], evidence="assumed", n=int(tried), source="too few calls after a failure in the log")
    low = betaincinv(failed - unsure + 0.5, tried - failed + 0.5, 0.025)
    high = betaincinv(failed + 0.5, tried - failed + 0.5, 0.975)
    return Estimate(failed / tried, float(low), float(high), "estimated", n=int(tried), source="logged attempts")


def _took(rows: Rows) -> dict[str, F64]:
    """Return the median time of one failed call by model and status; what is thin, by status alone, and by nothing."""
    each = rows.latency_ms / np.maximum(rows.attempts, 1)
    timed = np.isfinite(each) & (each > 0) & (rows.status > 0)
    anything = float(np.median(each[timed])) if timed.sum() >= _MIN_TOOK else _TOOK_MS
    overall = np.array([_median(each[timed & (rows.status == s)], anything) for s in range(len(STATUSES))])
    models = {
        m: np.array([_median(each[timed & (rows.model.codes == c) & (rows.status == s)], overall[s]) for s in range(len(STATUSES))])
        for c, m in enumerate(rows.model.values)
    }
    return {**models, "": overall}


def _median(values: F64, otherwise: float) -> float:
    return float(np.median(values)) if len(values) >= _MIN_TOOK else otherwise
