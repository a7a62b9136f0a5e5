"""Outcomes: what a request would have cost in tokens and time, how good its answer and how it would have ended, elsewhere.

In: rows as logged and the model each would be sent to. Out: one main call a request with its evidence, and the expected
quality under the plan and as logged. Where nothing changes the observed outcome is kept, so the empty plan is the log.
Potential outcomes are pure functions of (seed, request, model). Knows nothing of prices or of why a model was chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.calls import Calls
from planner.outcomes.evidence import Evidence
from planner.outcomes.failures import CallFailures
from planner.outcomes.latency import Latency
from planner.outcomes.lengths import Lengths
from planner.outcomes.ratios import Key, Ratio, levels
from planner.outcomes.tokens import ASSUMED, NO_EFFORTS, UNKNOWN, Efforts, scaled, told
from planner.router import Requests
from planner.schema import STATUSES
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

__all__ = ["Graded", "Holdout", "Outcomes", "Quality"]


@dataclass(frozen=True, eq=False)
class Quality:
    """Predicted quality q̂ of every request on every labelled model: ``values`` (n, K) for ``models``; NaN is unknown."""

    models: tuple[str, ...]
    values: NDArray[np.float32]

    def of(self, names: Coded) -> NDArray[np.float64]:
        """Return q̂ of each request under the model named for it, NaN where that model has no labels."""
        column = np.array([self.models.index(v) if v in self.models else -1 for v in names.values], np.int64)[names.codes]
        picked = np.take_along_axis(self.values, np.maximum(column, 0)[:, None], axis=1)[:, 0].astype(float)
        return np.where(column >= 0, picked, np.nan)


@dataclass(frozen=True, eq=False)
class Holdout:
    """Labelled requests that neither trained nor calibrated the router: what corrects every predicted quality.

    ``rows`` and ``requests`` describe the same ``h`` requests; ``measured`` and ``predicted`` have shape (h, K).
    """

    rows: Rows
    requests: Requests
    measured: Quality
    predicted: Quality


@dataclass(frozen=True, eq=False)
class Graded:
    """Labels by request: ``key`` (m,) of their draws, ascending, and the mean grade of each model's answers, ``quality`` (m, K)."""

    key: NDArray[np.uint64]
    quality: Quality

    def of(self, key: NDArray[np.uint64], names: Coded) -> NDArray[np.float64]:
        """Return the grade of each request's answer by the model named for it, NaN without one."""
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        grade = Quality(self.quality.models, self.quality.values[at]).of(names)
        return np.where(self.key[at] == key, grade, np.nan)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Fitted outcome models; ``Outcomes()`` knows nothing of other models and assumes all of them alike.

    Parameters
    ----------
    ratios: (logged model, other model), and an app, and an effort → token and latency factors.
    samples: the same keys → the sums behind each ratio per hash bucket, (buckets, ``ratios.SAMPLED``).
    failures: model → probability of each status, as requests end. call_failures: how single calls fail.
    providers: model → who serves it, for models that the log has not seen.
    predicted: q̂ of every row of the log; None without labels.
    holdout: the labelled requests that correct it; None without labels.
    graded: the grades of labelled requests by the keys of their draws; None without labels.
    answers: the held-out labels themselves: what validators said of their answers makes a cascade's gate.
    latency: how long calls take; None where neither log nor labels have times.
    lengths: (model, app) → the law of its answers' lengths, where a limit cut some in the log.
    efforts: the reasoning effort that requests of the log asked for.
    cells: what stands behind each (model, app, size); None is no restriction.
    """

    ratios: Mapping[Key, Ratio] = field(default_factory=dict)
    samples: Mapping[Key, NDArray[np.int64]] = field(default_factory=dict)
    failures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    predicted: Quality | None = None
    holdout: Holdout | None = None
    graded: Graded | None = None
    answers: Labels | None = None
    latency: Latency | None = None
    call_failures: CallFailures | None = None
    lengths: Lengths = field(default_factory=dict)
    efforts: Efforts = NO_EFFORTS
    cells: Evidence | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of the fitted numbers."""
        parts = (sorted(self.ratios.items()), sorted((m, p.tolist()) for m, p in self.failures.items()), sorted(self.providers.items()))
        digest = hashlib.sha256(repr(parts).encode())
        samples = (self.samples[key] for key in sorted(self.samples))
        fitted = (_arrays(model) for model in (self.latency, self.call_failures, self.cells, self.efforts))
        for array in (*samples, *(array for arrays in fitted for array in arrays)):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((sorted(self.lengths.items()), self.answers.hash if self.answers else "")).encode())
        for quality in (self.predicted, *((self.holdout.measured, self.holdout.predicted) if self.holdout else ())):
            digest.update(np.ravel(quality.values).data if quality else b"")
        return digest.hexdigest()

    def at(self, positions: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes of these rows of the log alone; what is known by request, or fitted, stays."""
        return replace(self, predicted=Quality(self.predicted.models, self.predicted.values[positions])) if self.predicted else self

    def quality(self, sent: Coded) -> NDArray[np.float64]:
        """Return q̂ of each row of the log under the model it is sent to, NaN where no label speaks about that model."""
        return self.predicted.of(sent) if self.predicted else np.full(len(sent.codes), np.nan)

    def calls(self, rows: Rows, sent: Coded, seed: int) -> Calls:
        """Return one main call per row to the model ``sent`` names; rows sent to their logged model stay as observed.

        A request that fails only elsewhere is assumed to be billed for its input, and gives no answer.
        """
        changed = sent.differs(rows.model)
        tokens, evidence, _ = self.tokens(rows, sent)
        outcome, latency = rows.status.copy(), rows.latency_ms.copy()
        provider = rows.provider.decode()
        for source, target, where in _pairs(rows.model, sent, changed):
            ratio = self.ratios.get((source, target), UNKNOWN)
            latency[where] *= 1.0 if ratio.latency is None else ratio.latency
            provider[where] = self.providers.get(target, "")
            outcome[where] = self._ends(rows.status[where], rows.key[where], source, target, seed)
        fails = changed & (outcome != rows.status)
        tokens[fails, 4:] = 0
        evidence[fails] = ASSUMED
        self._retime(latency, rows, sent, changed & (outcome == 0), tokens, seed)
        return Calls(
            row=np.arange(len(rows)),
            attempt=np.zeros(len(rows), np.int32),
            purpose=np.zeros(len(rows), np.int8),
            provider=_code(provider),
            model=sent,
            tier=rows.tier,
            tokens=tokens,
            start_ms=np.zeros(len(rows)),
            end_ms=latency,
            outcome=outcome,
            evidence=evidence,
        )

    def tokens(self, rows: Rows, sent: Coded) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]]:
        """Return the tokens (n, 6) of each row on the model ``sent`` names, their evidence (n,), and which ratio they rest on (n,).

        The last is a position in ``sorted(samples)``, −1 where the row stays or no label tells its ratio.
        """
        tokens, evidence = rows.tokens.copy(), rows.evidence.copy()
        which = np.full(len(rows), -1, np.int64)
        place = {key: i for i, key in enumerate(sorted(self.samples))}
        effort = self.efforts.find(rows.key)
        for source, target, moved in _pairs(rows.model, sent, sent.differs(rows.model)):
            for app, name, where in _within(rows.app, effort, moved):
                key = next((k for k in levels(source, target, app, name) if k in self.ratios), None)
                ratio = UNKNOWN if key is None else self.ratios[key]
                tokens[where] = scaled(rows.tokens[where], rows.max_tokens[where], ratio, self.lengths.get((source, app)))
                evidence[where] = np.maximum(evidence[where], told(rows.tokens[where], rows.later[where], ratio))
                which[where] = -1 if key is None else place.get(key, -1)
            if self.cells is not None:
                app_of, size = Coded(rows.app.codes[moved], rows.app.values), rows.tokens[moved, :4].sum(axis=1)
                evidence[moved[self.cells.assumed(target, app_of, size)]] = ASSUMED
        return tokens, evidence, which

    def measured(self, rows: Rows, sent: Coded) -> NDArray[np.float64]:
        """Return the grade that a label gave each row's answer on the model it is sent to, (n,), NaN where there is none.

        For one request at a time. Means take it in by their correction on held-out labels, and would count it twice.
        """
        return np.full(len(rows), np.nan) if self.graded is None else self.graded.of(rows.key, sent)

    @property
    def evidence(self) -> pd.DataFrame:
        """One row per (model, app, size of the input): paired labels, logged requests, and what may be said of it."""
        return pd.DataFrame() if self.cells is None else self.cells.table

    def _retime(
        self, latency: NDArray[np.float64], rows: Rows, sent: Coded, where: NDArray[np.bool_], tokens: NDArray[np.int64], seed: int
    ) -> None:
        """Put into ``latency`` how long the rows at ``where`` take on the model they are sent to, if the log says how long they took."""
        if self.latency is None:
            return
        at = np.flatnonzero(where & np.isfinite(rows.latency_ms))
        part = rows.take(at)
        score = self.latency.scores(part, seed)
        for code in np.unique(sent.codes[at]).tolist():
            own, target = np.flatnonzero(sent.codes[at] == code), sent.values[code]
            mine = part.take(own)
            provider = self.providers.get(target, "")
            latency[at[own]] = self.latency.elsewhere_ms(mine, target, tokens[at[own]], score[own], provider, seed)

    def _ends(self, logged: NDArray[np.int8], key: NDArray[np.uint64], source: str, target: str, seed: int) -> NDArray[np.int8]:
        """Charge what the target fails more often than the source, by kind; never credit fewer failures than were logged."""
        before, after = self.failures.get(source), self.failures.get(target)
        if before is None or after is None:
            return logged
        excess = np.maximum(after - before, 0.0) / max(before[0], 1e-9)
        excess[0] = 0.0
        drawn = np.searchsorted(np.cumsum(excess), draws.uniform(seed, key, f"failure:{target}"), side="right")
        kind = np.where(drawn < len(STATUSES), drawn, 0).astype(np.int8)
        ends: NDArray[np.int8] = np.where(logged == 0, kind, logged)
        return ends


def _pairs(logged: Coded, sent: Coded, changed: NDArray[np.bool_]) -> list[tuple[str, str, NDArray[np.int64]]]:
    """Group the changed rows by (logged model, model sent to)."""
    if not changed.any():
        return []
    width = len(sent.values)
    pair = np.where(changed, logged.codes.astype(np.int64) * width + sent.codes, -1)
    order = np.argsort(pair, kind="stable")
    values, starts = np.unique(pair[order], return_index=True)
    groups = np.split(order, starts[1:])
    return [(logged.values[v // width], sent.values[v % width], g) for v, g in zip(values.tolist(), groups, strict=True) if v >= 0]


def _within(app: Coded, effort: Coded, where: NDArray[np.int64]) -> list[tuple[str, str, NDArray[np.int64]]]:
    """Group the rows at ``where`` by (app, effort)."""
    width = len(effort.values)
    cell = app.codes[where].astype(np.int64) * width + effort.codes[where]
    order = np.argsort(cell, kind="stable")
    values, starts = np.unique(cell[order], return_index=True)
    groups = np.split(where[order], starts[1:])
    return [(app.values[v // width], effort.values[v % width], g) for v, g in zip(values.tolist(), groups, strict=True)]


def _arrays(found: Latency | CallFailures | Evidence | Efforts | None) -> list[NDArray[Any]]:
    """Return the fitted numbers of a model, for its hash."""
    if isinstance(found, Latency):
        speeds = [found.other, *(found.models[m] for m in sorted(found.models))]
        return [*(a for s in speeds for a in (s.terms, s.residual.factors)), found.hours.values, np.array([found.alike.value])]
    if isinstance(found, CallFailures):
        first = [found.other, *(found.first[m] for m in sorted(found.first))]
        given_up = [*found.given_up.timed_out.values(), found.given_up.left_ms]
        return [*first, *(h.values for h in found.hours), found.by_size, np.array([e.value for e in found.again]), *given_up]
    if isinstance(found, Efforts):
        return [found.key, found.effort.codes, np.frombuffer(repr(found.effort.values).encode(), np.uint8)]
    return [] if found is None else [found.codes]


def _code(values: NDArray[np.object_]) -> Coded:
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Coded(codes.astype(np.int32), tuple(map(str, names)))
