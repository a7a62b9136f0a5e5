"""How long another model, or another call, would have taken: request × provider-hour × residual.

In: rows of a log, which of its calls were cut short, and labels. Out: a Latency: per model the numbers of ``speed.TERMS`` and the
residual's table, per provider-hour a factor, and how alike two calls of one request are. What was observed gives the request's own
normal score, so that a slow request stays slow elsewhere as far as that holds. Knows nothing of plans or prices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from planner.labels import Labels
from planner.outcomes.alike import Alike, fit_alike
from planner.outcomes.censored import still
from planner.outcomes.hours import Hours, fit_hours, hour_of
from planner.outcomes.speed import TERMS, Seen, fit_terms, mixed, sizes, whole_and_first
from planner.outcomes.tails import Residual, fit_residual
from planner.schema import STATUSES, TOKEN_BUCKETS
from planner.stats import draws
from planner.traffic.rows import Rows

__all__ = ["Latency", "Speed", "fit_latency"]

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]
_OK = STATUSES.index("ok")
#: Fewer calls than this give a model no numbers of its own. With this many in the log, it is not asked whether labels have more.
MIN_CALLS, PLENTY = 100, 1_000
#: Calls of a model that are read, evenly over time.
_READ = 20_000
_US = 1000.0


@dataclass(frozen=True, eq=False)
class Speed:
    """How quick one model is: ``terms`` [ms] as ``speed.TERMS``, its ``residual``, who serves it, and where that was seen.

    ``source`` is "log", "labels", or "all models" where neither has enough calls of this one: then it is assumed.
    """

    terms: F64
    residual: Residual
    provider: str
    source: str
    calls: int
    censored: int

    @property
    def evidence(self) -> str:
        """``estimated``, or ``assumed`` where other models stand in."""
        return "assumed" if self.source == "all models" else "estimated"


@dataclass(frozen=True, eq=False)
class Latency:
    """Fitted latencies.

    Parameters
    ----------
    models: model → Speed. other: what stands in for a model that neither log nor labels know.
    hours: log factor per provider and hour. alike: correlation of the normal scores of two calls of one request.
    cut: keys of the rows of the log that were cut short, ascending: cancelled by the caller or timed out.
    """

    models: Mapping[str, Speed]
    other: Speed
    hours: Hours
    alike: Alike
    cut: NDArray[np.uint64] = field(repr=False)

    def speed(self, model: str) -> Speed:
        """Return the Speed of ``model``, or what stands in for it."""
        return self.models.get(model, self.other)

    def expected_us(self, rows: Rows, model: str, tokens: NDArray[np.int64], provider: str | None = None) -> tuple[Ints, Ints]:
        """Return the time [µs] to the first token and to the end, (n,) each, of ``tokens`` (n, 6) on ``model`` at a residual of 1.

        Each at least 1 µs, and in the hour in which its request arrived; ``provider`` is who serves it, by default as in the log.
        """
        whole, first = self._expected_us(hour_of(rows.timestamp), model, tokens, provider)
        last = np.maximum(np.rint(whole), 1).astype(np.int64)
        return np.clip(np.rint(first).astype(np.int64), 1, last), last

    def _expected_us(self, hour: Ints, model: str, tokens: NDArray[np.int64], provider: str | None) -> tuple[F64, F64]:
        speed = self.speed(model)
        effect = np.exp(self.hours.of(speed.provider if provider is None else provider, hour)) * _US
        whole, first = whole_and_first(tokens, speed.terms)
        return whole * effect, first * effect

    def scores(self, rows: Rows, seed: int) -> F64:
        """Return the normal score of each row's residual on its logged model, (n,).

        Seen where one call answered. A call cut short has a score above the one it had reached, drawn; of what failed, was tried
        again or has no latency, it is drawn from all.
        """
        cut = np.zeros(len(rows), bool)
        if len(self.cut):
            cut = self.cut[np.minimum(np.searchsorted(self.cut, rows.key), len(self.cut) - 1)] == rows.key
        u = draws.uniform(seed, rows.key, "latency:unseen")
        factor = rows.latency_ms * _US / np.maximum(rows.attempts, 1) / self._on_own_us(rows)[0]
        timed, score = np.isfinite(factor) & (factor > 0), ndtri(u)
        for code, model in enumerate(rows.model.values):
            own = timed & rows.billable & (rows.model.codes == code)
            reached, residual = own & cut, self.speed(model).residual
            seen = own & ~cut & (rows.status == _OK) & (rows.attempts == 1)
            score[seen] = residual.score(factor[seen])
            beyond = ndtr(-residual.score(factor[reached]))
            score[reached] = -ndtri(np.maximum(u[reached] * beyond, 1e-12))
        return score

    def logged_us(self, rows: Rows, score: F64) -> tuple[Ints, Ints]:
        """Return the time [µs] to the first token and to the end of the last call of each row, as logged.

        Of a request that was tried again the log knows the sum alone: its last call is what its ``score`` says, within that sum.
        Where no first token was logged, it comes at the share of the whole that it has at this model.
        """
        whole, first = rows.latency_ms * _US, rows.ttft_ms * _US
        usual, start = self._on_own_us(rows)
        for code, model in enumerate(rows.model.values):
            again = np.flatnonzero((rows.model.codes == code) & ((rows.attempts > 1) | ~np.isfinite(whole)))
            last = usual[again] * self.speed(model).residual.at(score[again])
            whole[again], first[again] = np.fmin(last, whole[again]), np.nan
        whole = np.maximum(np.rint(whole), 1)
        first = np.where(np.isfinite(first), first, whole * start / usual)
        return np.clip(np.rint(first), 1, whole).astype(np.int64), whole.astype(np.int64)

    def elsewhere_ms(self, rows: Rows, model: str, tokens: NDArray[np.int64], score: F64, provider: str, seed: int) -> F64:
        """Return how long ``model`` would have taken for each row [ms], given the ``score`` on the logged one.

        Its draws are those of a request's first call in the event phase, so that a request meets the same fate under every plan.
        """
        rho = self.alike.value
        radius, angle = (draws.uniform(seed, rows.key, f"{what}:{model}/0") for what in ("radius", "angle"))
        other = rho * score + np.sqrt(1 - rho**2) * np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
        return self.expected_us(rows, model, tokens, provider)[1] / _US * self.speed(model).residual.at(other)

    def _on_own_us(self, rows: Rows) -> tuple[F64, F64]:
        """Return the expected time [µs] to the end and to the first token of each row on its own model."""
        hour, tokens = hour_of(rows.timestamp), rows.tokens
        whole, first = np.ones(len(rows)), np.ones(len(rows))
        for code, model in enumerate(rows.model.values):
            own = np.flatnonzero(rows.model.codes == code)
            whole[own], first[own] = self._expected_us(hour[own], model, tokens[own], None)
        return np.maximum(whole, 1.0), first

    @property
    def table(self) -> pd.DataFrame:
        """One row a model: the numbers of ``speed.TERMS`` [ms], p95 and p99 of the residual, calls, cut short, tail, source, evidence."""
        named = {**self.models, "any other model": self.other}
        quantiles = {m: s.residual.at(ndtri(np.array([0.95, 0.99]))) for m, s in named.items()}
        return pd.DataFrame(
            [
                {
                    "model": m,
                    **dict(zip(TERMS, s.terms, strict=True)),
                    "residual_p95": quantiles[m][0],
                    "residual_p99": quantiles[m][1],
                    "calls": s.calls,
                    "cut_short": s.censored,
                    "tail": s.residual.tail.family,
                    "tail_evidence": s.residual.evidence,
                    "source": s.source,
                    "evidence": s.evidence,
                }
                for m, s in named.items()
            ]
        )


def fit_latency(
    rows: Rows,
    cut: NDArray[np.bool_],
    labels: Labels | None = None,
    providers: Mapping[str, str] | None = None,
    arrived: pd.Series | None = None,
) -> Latency | None:
    """Fit latencies on the calls of a log and, for models that it has seen too rarely, on those of labels; None without any.

    ``cut`` (n,) says which rows were cut short, ``providers`` who serves each model. ``arrived`` is when the log's own labelled requests
    arrived, by request id; None: as ``rows`` say.

    A request that was tried again says nothing of one call and is left out; one that was cut short is not. Labels that
    show the hours of the log's own requests were asked in them, and are freed of them; others were asked later, and are not.
    """
    served = dict(providers or {})
    log = _of_log(rows, cut)
    asked, asked_in = _of_labels(labels) if labels is not None else ({}, {})
    known = {m: (seen, "log") for m, (seen, _) in log.items() if len(seen) >= min(PLENTY, len(asked.get(m, ())))}
    known = {m: found for m, found in ({m: (seen, "labels") for m, seen in asked.items()} | known).items() if _enough(found[0])}
    everything = [seen for seen, _ in log.values()] or list(asked.values())
    if not everything or not _enough(both := mixed(everything)):
        return None
    terms, hours = _in_turn({m: seen for m, (seen, source) in known.items() if source == "log"}, log, served)
    speeds, effect = {}, _asked_in(pd.Series(rows.timestamp, rows.request_id) if arrived is None else arrived, hours)
    for model, (seen, source) in known.items():
        provider = served.get(model, "")
        if source == "log":
            speeds[model] = _speed(seen.without(hours.of(provider, log[model][1])), terms[model], provider, source)
        else:
            freed = seen.without(effect(provider, asked_in[model]))
            both_ways = [_speed(s, fit_terms(s.few(_READ)), provider, source) for s in (seen, freed)]
            speeds[model] = min(both_ways, key=lambda s: float(np.ptp(np.log(s.residual.at(np.array([-1.0, 1.0]))))))
    other = _speed(both, fit_terms(both.few(_READ)), "", "all models")
    speeds = {m: replace(s, residual=other.residual) if s.calls < 2 * MIN_CALLS else s for m, s in speeds.items()}
    alike = fit_alike(labels, served, {p: partial(effect, p) for p in hours.providers})
    return Latency(speeds, other, hours, alike, np.sort(rows.key[cut]))


def _asked_in(arrived: pd.Series, hours: Hours) -> Callable[[str, pd.Series], F64]:
    """Return a function from a provider and request ids to the log effect of the hour in which the log has each; 0 for others."""

    def effect(provider: str, request_id: pd.Series) -> F64:
        when = arrived.reindex(pd.Index(request_id))
        return np.where(when.notna(), hours.of(provider, hour_of(when.to_numpy())), 0.0)

    return effect


def _of_log(rows: Rows, cut: NDArray[np.bool_]) -> dict[str, tuple[Seen, Ints]]:
    """Return for every logged model its calls in order of time, and the hour of each."""
    cut, once = cut & rows.steerable, rows.steerable & (rows.status == _OK) & (rows.attempts == 1)
    timed = np.isfinite(rows.latency_ms) & (rows.latency_ms > 0)
    order = np.argsort(rows.timestamp, kind="stable")
    found = {}
    for code, model in enumerate(rows.model.values):
        own = order[((rows.model.codes == code) & timed & (once | cut))[order]]
        if len(own):
            part = rows.take(own)
            first = np.where((part.ttft_ms > 0) & (part.ttft_ms < part.latency_ms) & ~cut[own], part.ttft_ms, np.nan)
            size = _filled(sizes(part.tokens), cut[own], part.app.codes)
            found[model] = Seen(size, part.latency_ms / np.maximum(part.attempts, 1), first, cut[own]), hour_of(part.timestamp)
    return found


def _filled(size: F64, cut: NDArray[np.bool_], app: NDArray[np.int32]) -> F64:
    """Give calls that were cut short, and so were billed for less or nothing, what an answered call of their app usually has."""
    out = size.copy()
    for code in np.unique(app[cut]):
        answered = size[(app == code) & ~cut]
        usual = np.median(answered if len(answered) else size[~cut] if (~cut).any() else size, axis=0)
        own = np.flatnonzero((app == code) & cut)
        bare = size[own][:, 1:3].sum(axis=1) == 0
        out[own[bare], 1:3] = usual[1:3]
        out[own, 3:] = np.maximum(size[own, 3:], usual[3:])
    return out


def _of_labels(labels: Labels) -> tuple[dict[str, Seen], dict[str, pd.Series]]:
    """Return the calls behind the labels of each model, and their request ids."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["latency_ms"] > 0)]
    counted = plain[plain[list(TOKEN_BUCKETS[:5])].sum(axis=1) > 0]
    found, ids = {}, {}
    for model, part in counted.groupby("model"):
        whole = part["latency_ms"].to_numpy(float)
        size = sizes(part[list(TOKEN_BUCKETS)].fillna(0).to_numpy().astype(np.int64))
        found[str(model)] = Seen(size, whole, np.full(len(whole), np.nan), np.zeros(len(whole), bool))
        ids[str(model)] = part["request_id"]
    return found, ids


def _enough(seen: Seen) -> bool:
    return int((~seen.censored).sum()) >= MIN_CALLS


def _in_turn(own: Mapping[str, Seen], log: Mapping[str, tuple[Seen, Ints]], served: Mapping[str, str]) -> tuple[dict[str, F64], Hours]:
    """Fit terms and hours in turn, each given the other."""
    names = tuple(sorted({served.get(m, "") for m in own})) or ("",)
    hours = Hours(names, 0, np.zeros((len(names), 1)))
    terms: dict[str, F64] = {}
    for _ in range(2):
        left: list[F64] = []
        for model, seen in own.items():
            terms[model] = fit_terms(seen.without(hours.of(served.get(model, ""), log[model][1])).few(_READ))
            left.append(_residual(seen, terms[model]))
        if left:
            code = np.concatenate([np.full(len(seen), names.index(served.get(model, ""))) for model, seen in own.items()])
            hours = fit_hours(np.concatenate(left), code, np.concatenate([log[model][1] for model in own]), names)
    return terms, hours


def _residual(seen: Seen, terms: F64) -> F64:
    """Return the log residual of each call; of one cut short, what is to be expected beyond what it reached."""
    found = np.log(seen.whole_ms) - np.log(np.maximum(seen.sizes @ terms, 1e-9))
    if seen.censored.any():
        found[seen.censored] = still(found[seen.censored], float(np.std(found[~seen.censored])))
    return np.asarray(found)


def _speed(seen: Seen, terms: F64, provider: str, source: str) -> Speed:
    part = seen.few(_READ)
    factor = part.whole_ms / np.maximum(part.sizes @ terms, 1e-9)
    return Speed(terms, fit_residual(factor, part.censored), provider, source, len(seen), int(seen.censored.sum()))
