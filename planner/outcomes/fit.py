"""Fit outcome models from a log and, where there are some, labels.

In: traffic, and a Training with the labels it was trained on. Out: Outcomes: token ratios from paired labels, latency and failures
from the log, predicted quality for every logged request, the held-out labels that correct it, and what stands behind each cell. Knows
nothing of plans or prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.chance import dealt, ratios_by_chance
from planner.outcomes.evidence import fit_evidence
from planner.outcomes.failures import failure_rates, fit_call_failures
from planner.outcomes.latency import Latency, fit_latency
from planner.outcomes.lengths import fit_lengths, was_cut
from planner.outcomes.model import Graded, Holdout, Outcomes, Quality
from planner.outcomes.quality import QualityModel, fit_quality
from planner.outcomes.ratios import Key, Ratio, sample_ratios
from planner.outcomes.survey import Survey, survey, timed_out
from planner.router import LinearScorer, Requests, Router
from planner.schema import STATUSES, TOKEN_BUCKETS
from planner.stats import BUCKETS, draws
from planner.traffic import Traffic
from planner.traffic.derived import Piece
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
    correct every mean. Latency, failures, lengths and ratios by chance of a log with more than ``survey.MOST_ROWS`` requests are fitted
    on about so many of them; all else is of all its requests.
    """
    seen = survey(traffic, labels.items["request_id"] if labels else (), seed)
    logged = _logged(traffic, seen.labelled) if labels else None
    bare = _unjudged(traffic, seen, labels, logged, seen.served | dict(providers or {}))
    if labels is None or logged is None or training is None:
        return bare
    model = fit_quality(training.problem, _scorer(training), training.split == "fit", seed)
    unit = training.router.unit
    stored = traffic.derived(f"quality-{model.version}-{unit}", lambda: _predicted(model, requests_of(traffic, unit, progress)))
    predicted = _cross_fitted(seen.labelled[training.split == "fit"], model, stored["values"])
    held = _holdout(logged, seen.labelled >= 0, labels, training, model)
    return replace(bare, predicted=Quality(model.models, predicted), holdout=held, answers=labels.take(training.split == "judge"))


def _predicted(model: QualityModel, pieces: Iterable[Requests]) -> Iterator[Piece]:
    return ({"values": model.predict(p)} for p in pieces)


def _unjudged(traffic: Traffic, seen: Survey, labels: Labels | None, logged: Rows | None, served: Mapping[str, str]) -> Outcomes:
    """Fit all but quality."""
    rows = load_rows(traffic, seen.fitted)
    columns = ("error_class", "action_propensities")
    said = traffic.arrow(*columns) if seen.fitted is None else traffic.take(seen.fitted, *columns)
    gave_up = timed_out(said["error_class"]).to_numpy()
    chance = dealt(said["action_propensities"].to_pandas(), rows.model.decode())
    ratios, samples, arrived = _of_labels(labels, logged, seen) if labels and logged else ({}, {}, None)
    by_chance, dealt_samples = ratios_by_chance(rows, chance)
    unpaired = [key for key in by_chance if key[:2] not in ratios]
    visible, reasoning = rows.tokens[:, 4].astype(float), rows.tokens[:, 5].astype(float)
    return Outcomes(
        {**{key: by_chance[key] for key in unpaired}, **ratios},
        {**{key: dealt_samples[key] for key in unpaired}, **samples},
        failure_rates(rows),
        served,
        graded=_graded(labels) if labels else None,
        latency=_with_all_cut(fit_latency(rows, (rows.status == _CANCELLED) | gave_up, labels, served, arrived), seen),
        call_failures=fit_call_failures(rows, served, gave_up),
        lengths=fit_lengths(visible, was_cut(visible, reasoning, rows.max_tokens), rows.model, rows.app),
        efforts=seen.efforts,
        cells=fit_evidence(seen.counts, labels, ratios),
    )


def _of_labels(labels: Labels, logged: Rows, seen: Survey) -> tuple[Mapping[Key, Ratio], Mapping[Key, NDArray[np.int64]], pd.Series]:
    """Return the ratios, the sums behind them, and when the labelled requests that the log has arrived, by request id."""
    ids, known = labels.items["request_id"].to_numpy(object), seen.labelled >= 0
    efforts = seen.efforts.find(draws.key(ids)).decode()
    asked = {r: e for r, e, k in zip(ids, efforts, known, strict=True) if k and e}
    return *sample_ratios(labels, _bucket(logged, known, labels.items), asked), pd.Series(logged.timestamp[known], ids[known])


def _with_all_cut(latency: Latency | None, seen: Survey) -> Latency | None:
    """Tell which of all rows were cut short, where the fit knows a part of them."""
    return latency and replace(latency, cut=seen.cut)


def _graded(labels: Labels) -> Graded:
    key = draws.key(labels.items["request_id"])
    order = np.argsort(key)
    return Graded(key[order], Quality(labels.models, labels.quality()[order].astype(np.float32)))


def _cross_fitted(place: NDArray[np.int64], model: QualityModel, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put out-of-fold predictions in place of those of rows that trained both the router and the predictions; −1 is not in the log.

    A router leaves its reference where its own training rows were lucky, and a prediction fitted on them remembers the luck.
    """
    out = values.copy()
    out[place[place >= 0]] = model.oof[place >= 0]
    return out


def requests_of(traffic: Traffic, unit: str = "session", progress: Callable[[int, int], None] | None = None) -> Iterator[Requests]:
    """Stream a log's text in the router's own form, some thousand requests at a time; NeedsError where the text stayed in the log."""
    traffic.require_text("a router")
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


def _logged(traffic: Traffic, place: NDArray[np.int64]) -> Rows:
    """Return the row of each labelled request, (items,), any one where the log lacks it (a ``place`` of −1)."""
    at, which = np.unique(np.maximum(place, 0), return_inverse=True)
    return load_rows(traffic, at).take(which)


def _holdout(logged: Rows, known: NDArray[np.bool_], labels: Labels, training: Training, model: QualityModel) -> Holdout:
    """Describe the held-out labelled requests as rows: as logged where the log has them, else under the reference."""
    held = np.flatnonzero(training.split == "judge")
    requests = training.problem.requests.take(held)
    measured = Quality(model.models, training.problem.quality[held].astype(np.float32))
    return Holdout(
        _label_rows(logged.take(held), known[held], labels.items.iloc[held], training.router),
        requests,
        measured,
        Quality(model.models, model.predict(requests)),
    )


def _label_rows(logged: Rows, known: NDArray[np.bool_], items: pd.DataFrame, router: Router) -> Rows:
    """Describe labelled requests as the log has them; one that it does not have is taken as sent to its app's reference."""
    ids = items["request_id"].to_numpy(object)
    app = items["app"].to_numpy(object)
    home = np.array(router.candidates, object)[router.home(list(app))]
    n = len(items)
    whole: NDArray[np.bool_] = np.ones(n, bool)

    def of(column: Coded, otherwise: NDArray[np.object_] | str) -> Coded:
        return _coded(np.where(known, column.decode(), otherwise))

    return Rows(
        request_id=ids,
        key=draws.key(ids),
        bucket=_bucket(logged, known, items),
        timestamp=logged.timestamp,
        app=of(logged.app, app),
        provider=of(logged.provider, ""),
        model=of(logged.model, home),
        tier=of(logged.tier, "standard"),
        status=np.zeros(n, np.int8),
        tokens=np.zeros((n, len(TOKEN_BUCKETS)), np.int64),
        attempts=np.ones(n, np.int64),
        max_tokens=np.full(n, np.nan),
        latency_ms=np.full(n, np.nan),
        ttft_ms=np.full(n, np.nan),
        streamed=~whole,
        weight=items["weight"].to_numpy(float),
        full_text=whole,
        billable=whole,
        steerable=whole,
        demand=whole,
        session=np.full(n, -1, np.int64),
        later=~whole,
        evidence=np.zeros(n, np.int8),
        cluster_unit=logged.cluster_unit,
    )


def _bucket(logged: Rows, known: NDArray[np.bool_], items: pd.DataFrame) -> NDArray[np.int64]:
    """Return the hash bucket of each labelled request: the log's where it has the request, else of its own user or session."""
    own = items["user"].fillna(items["session_id"]).fillna(items["request_id"])
    return np.where(known, logged.bucket, (draws.key(own) % np.uint64(BUCKETS)).astype(np.int64))


def _coded(values: NDArray[np.object_]) -> Coded:
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Coded(codes.astype(np.int32), tuple(map(str, names)))
