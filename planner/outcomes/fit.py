"""Fit outcome models from a log and, where there are some, labels.

In: traffic, and a Training with the labels it was trained on. Out: Outcomes: token ratios from paired labels, latency and failures
from the log, predicted quality for every logged request, the held-out labels that correct it, and what stands behind each cell. Knows
nothing of plans or prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.chance import dealt, ratios_by_chance
from planner.outcomes.evidence import fit_evidence
from planner.outcomes.failures import failure_rates, fit_call_failures
from planner.outcomes.latency import fit_latency
from planner.outcomes.lengths import fit_lengths, was_cut
from planner.outcomes.model import Graded, Holdout, Outcomes, Quality
from planner.outcomes.quality import QualityModel, fit_quality
from planner.outcomes.ratios import sample_ratios
from planner.outcomes.tokens import Efforts
from planner.router import LinearScorer, Requests, Router
from planner.schema import STATUSES, TOKEN_BUCKETS
from planner.stats import BUCKETS, draws
from planner.traffic import Traffic
from planner.traffic.rows import Coded, Rows, load_rows
from planner.training import Training

__all__ = ["fit_outcomes", "requests_of"]

#: Requests read at a time: enough to be quick, few enough to stay small.
_PIECE = 4096
_CANCELLED = STATUSES.index("cancelled")


def fit_outcomes(
    traffic: Traffic,
    labels: Labels | None = None,
    training: Training | None = None,
    *,
    providers: Mapping[str, str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Outcomes:
    """Fit what another model would have done with each request of ``traffic``.

    Parameters
    ----------
    traffic: the log. labels, training: the labels and what was trained on them; without both, quality stays unknown and
        token counts under another model are assumed equal.
    providers: {model: provider id} for candidates that the log has not seen.
    progress: called with requests read so far and in all, while the text of the log is read.

    The quality model is fitted on the rows that trained the router, and predicts these out of fold; the labels that it held out
    correct every mean.
    """
    rows = load_rows(traffic)
    bare = _unjudged(traffic, rows, labels, _served(rows) | dict(providers or {}))
    if labels is None or training is None:
        return bare
    model = fit_quality(training.problem, _scorer(training), training.split == "fit", seed)
    unit = training.router.unit
    stored = traffic.derived(f"quality-{model.version}-{unit}", lambda: {"values": model.predict_all(requests_of(traffic, unit, progress))})
    predicted = _cross_fitted(rows, labels, training, model, stored["values"])
    held = _holdout(rows, labels, training, model)
    return replace(bare, predicted=Quality(model.models, predicted), holdout=held, answers=labels.take(training.split == "judge"))


def _unjudged(traffic: Traffic, rows: Rows, labels: Labels | None, served: Mapping[str, str]) -> Outcomes:
    """Fit all but quality."""
    said = traffic.frame("reasoning_effort", "error_class", "action_propensities")
    effort = said["reasoning_effort"].fillna("").to_numpy(object)
    timed_out = said["error_class"].fillna("").str.contains("timeout", case=False).to_numpy(bool)
    asked = dict(zip(rows.request_id[effort != ""], effort[effort != ""], strict=True))
    ratios, samples = sample_ratios(labels, _bucket(rows, labels.items), asked) if labels else ({}, {})
    chance = dealt(said["action_propensities"], rows.model.decode())
    by_chance, dealt_samples = ratios_by_chance(rows, chance)
    unpaired = [key for key in by_chance if key[:2] not in ratios]
    visible, reasoning = rows.tokens[:, 4].astype(float), rows.tokens[:, 5].astype(float)
    return Outcomes(
        {**{key: by_chance[key] for key in unpaired}, **ratios},
        {**{key: dealt_samples[key] for key in unpaired}, **samples},
        failure_rates(rows),
        served,
        graded=_graded(labels) if labels else None,
        latency=fit_latency(rows, (rows.status == _CANCELLED) | timed_out, labels, served),
        call_failures=fit_call_failures(rows, served),
        lengths=fit_lengths(visible, was_cut(visible, reasoning, rows.max_tokens), rows.model, rows.app),
        efforts=Efforts.of(rows.key, effort),
        cells=fit_evidence(rows, np.isfinite(chance), labels, ratios),
    )


def _graded(labels: Labels) -> Graded:
    key = draws.key(labels.items["request_id"])
    order = np.argsort(key)
    return Graded(key[order], Quality(labels.models, labels.quality()[order].astype(np.float32)))


def _cross_fitted(rows: Rows, labels: Labels, training: Training, model: QualityModel, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put out-of-fold predictions in place of those of rows that trained both the router and the predictions.

    A router leaves its reference where its own training rows were lucky, and a prediction fitted on them remembers the luck.
    """
    fitted = labels.items["request_id"][training.split == "fit"]
    place = pd.Index(rows.request_id).get_indexer(pd.Index(fitted))
    out = values.copy()
    out[place[place >= 0]] = model.oof[place >= 0]
    return out


def requests_of(traffic: Traffic, unit: str = "session", progress: Callable[[int, int], None] | None = None) -> Iterator[Requests]:
    """Stream a log's text in the router's own form, some thousand requests at a time."""
    columns = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
    done = 0
    for batch in traffic.batches(columns, _PIECE):
        yield Requests.of(**{name: batch[name].to_pylist() for name in columns}, unit=unit)
        done += len(batch)
        if progress:
            progress(done, len(traffic))


def _scorer(training: Training) -> LinearScorer:
    scorer = training.router.scorer
    if not isinstance(scorer, LinearScorer):
        raise TypeError(f"the learned router scores with {type(scorer).__name__}, not with features")
    return scorer


def _holdout(rows: Rows, labels: Labels, training: Training, model: QualityModel) -> Holdout:
    """Describe the held-out labelled requests as rows: as logged where the log has them, else under the reference."""
    held = np.flatnonzero(training.split == "judge")
    requests = training.problem.requests.take(held)
    measured = Quality(model.models, training.problem.quality[held].astype(np.float32))
    return Holdout(
        _label_rows(rows, labels.items.iloc[held], training.router),
        requests,
        measured,
        Quality(model.models, model.predict(requests)),
    )


def _label_rows(rows: Rows, items: pd.DataFrame, router: Router) -> Rows:
    """Describe labelled requests as the log has them; one that it does not have is taken as sent to its app's reference."""
    ids = items["request_id"].to_numpy(object)
    place = pd.Index(rows.request_id).get_indexer(pd.Index(ids))
    logged, at = place >= 0, np.maximum(place, 0)
    app = items["app"].to_numpy(object)
    home = np.array(router.candidates, object)[router.home(list(app))]
    n = len(items)
    whole: NDArray[np.bool_] = np.ones(n, bool)

    def of(column: Coded, otherwise: NDArray[np.object_] | str) -> Coded:
        return _coded(np.where(logged, column.decode()[at], otherwise))

    return Rows(
        request_id=ids,
        key=draws.key(ids),
        bucket=_bucket(rows, items),
        timestamp=rows.timestamp[at],
        app=of(rows.app, app),
        provider=of(rows.provider, ""),
        model=of(rows.model, home),
        tier=of(rows.tier, "standard"),
        status=np.zeros(n, np.int8),
        tokens=np.zeros((n, len(TOKEN_BUCKETS)), np.int64),
        attempts=np.ones(n, np.int64),
        max_tokens=np.full(n, np.nan),
        latency_ms=np.full(n, np.nan),
        ttft_ms=np.full(n, np.nan),
        weight=items["weight"].to_numpy(float),
        full_text=whole,
        billable=whole,
        steerable=whole,
        demand=whole,
        session=np.full(n, -1, np.int64),
        later=~whole,
        evidence=np.zeros(n, np.int8),
        cluster_unit=rows.cluster_unit,
    )


def _bucket(rows: Rows, items: pd.DataFrame) -> NDArray[np.int64]:
    """Return the hash bucket of each labelled request: the log's where it has the request, else of its own user or session."""
    place = pd.Index(rows.request_id).get_indexer(pd.Index(items["request_id"]))
    own = items["user"].fillna(items["session_id"]).fillna(items["request_id"])
    return np.where(place >= 0, rows.bucket[np.maximum(place, 0)], (draws.key(own) % np.uint64(BUCKETS)).astype(np.int64))


def _coded(values: NDArray[np.object_]) -> Coded:
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Coded(codes.astype(np.int32), tuple(map(str, names)))


def _served(rows: Rows) -> dict[str, str]:
    """Return the provider that served most requests of each logged model."""
    width = len(rows.provider.values)
    counts = np.bincount(rows.model.codes.astype(np.int64) * width + rows.provider.codes, minlength=len(rows.model.values) * width)
    best = counts.reshape(-1, width).argmax(axis=1)
    return {m: rows.provider.values[b] for m, b in zip(rows.model.values, best, strict=True) if rows.provider.values[b]}
