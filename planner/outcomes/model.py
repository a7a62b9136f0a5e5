"""Outcomes: what a request would have cost in tokens and time, how good its answer and how it would have ended, elsewhere.

In: rows as logged and the model each would be sent to. Out: one main call a request with its evidence, and the expected
quality under the plan and as logged. Where nothing changes the observed outcome is kept, so the empty plan is the log.
Potential outcomes are pure functions of (seed, request, model). Knows nothing of prices or of why a model was chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.calls import Calls
from planner.outcomes.ratios import Ratio
from planner.router import Requests
from planner.schema import EVIDENCE, STATUSES
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

__all__ = ["Holdout", "Outcomes", "Quality"]

_, ESTIMATED, ASSUMED = range(len(EVIDENCE))


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
class Outcomes:
    """Fitted outcome models; ``Outcomes()`` knows nothing of other models and assumes all of them alike.

    Parameters
    ----------
    ratios: (logged model, other model) → token and latency factors.
    samples: (logged model, other model) → the sums behind its ratio per hash bucket, (buckets, ``ratios.SAMPLED``).
    failures: model → probability of each status.
    providers: model → who serves it, for models that the log has not seen.
    predicted: q̂ of every row of the log; None without labels.
    holdout: the labelled requests that correct it; None without labels.
    """

    ratios: Mapping[tuple[str, str], Ratio] = field(default_factory=dict)
    samples: Mapping[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)
    failures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    predicted: Quality | None = None
    holdout: Holdout | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of the fitted numbers."""
        parts = (sorted(self.ratios.items()), sorted((m, p.tolist()) for m, p in self.failures.items()), sorted(self.providers.items()))
        digest = hashlib.sha256(repr(parts).encode())
        for quality in (self.predicted, *((self.holdout.measured, self.holdout.predicted) if self.holdout else ())):
            digest.update(quality.values.tobytes() if quality else b"")
        return digest.hexdigest()

    def quality(self, sent: Coded) -> NDArray[np.float64]:
        """Return q̂ of each row of the log under the model it is sent to, NaN where no label speaks about that model."""
        return self.predicted.of(sent) if self.predicted else np.full(len(sent.codes), np.nan)

    def calls(self, rows: Rows, sent: Coded, seed: int) -> Calls:
        """Return one main call per row to the model ``sent`` names; rows sent to their logged model stay as observed.

        A request that fails only elsewhere is assumed to be billed for its input, and gives no answer.
        """
        changed = sent.differs(rows.model)
        tokens, latency = rows.tokens.copy(), rows.latency_ms.copy()
        evidence = rows.evidence.copy()
        outcome = rows.status.copy()
        provider = rows.provider.decode()
        for source, target, where in _pairs(rows.model, sent, changed):
            ratio = self.ratios.get((source, target), Ratio(None, None, None, None, 0))
            tokens[where] = _scaled(rows.tokens[where], rows.max_tokens[where], ratio)
            latency[where] *= 1.0 if ratio.latency is None else ratio.latency
            evidence[where] = np.maximum(evidence[where], _evidence(rows.tokens[where], rows.later[where], ratio))
            provider[where] = self.providers.get(target, "")
            outcome[where] = self._ends(rows.status[where], rows.key[where], source, target, seed)
        fails = changed & (outcome != rows.status)
        tokens[fails, 4:] = 0
        evidence[fails] = ASSUMED
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
    width = len(sent.values)
    pair = np.where(changed, logged.codes.astype(np.int64) * width + sent.codes, -1)
    order = np.argsort(pair, kind="stable")
    values, starts = np.unique(pair[order], return_index=True)
    groups = np.split(order, starts[1:])
    return [(logged.values[v // width], sent.values[v % width], g) for v, g in zip(values.tolist(), groups, strict=True) if v >= 0]


def _scaled(tokens: NDArray[np.int64], max_tokens: NDArray[np.float64], ratio: Ratio) -> NDArray[np.int64]:
    """Scale input buckets alike, visible output by its ratio up to max_tokens, and derive reasoning from visible output."""
    out = tokens.copy()
    out[:, :4] = np.rint(tokens[:, :4] * (1.0 if ratio.input is None else ratio.input))
    visible = tokens[:, 4].astype(float)
    cap = np.where(np.isnan(max_tokens), np.inf, max_tokens)
    out[:, 4] = np.minimum(np.rint(visible * (1.0 if ratio.output is None else ratio.output)), cap)
    if ratio.reasoning is not None:
        out[:, 5] = np.rint(visible * ratio.reasoning)
    return out


def _evidence(tokens: NDArray[np.int64], later: NDArray[np.bool_], ratio: Ratio) -> NDArray[np.int8]:
    """Estimated where paired labels give the ratios; else assumed, as is a warm prompt cache and a turn after a changed one."""
    known = ratio.input is not None and ratio.output is not None
    told = known & ((tokens[:, 5] == 0) | (ratio.reasoning is not None))
    return np.where(told & ~later & (tokens[:, 1:4].sum(axis=1) == 0), ESTIMATED, ASSUMED).astype(np.int8)


def _code(values: NDArray[np.object_]) -> Coded:
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Coded(codes.astype(np.int32), tuple(map(str, names)))
