"""How alike two calls of one request are in time: what a hedge or a retry can hope for.

In: labels, and every model's speed and residual. Out: the correlation of normal scores of two calls, with its source: repeats of one
question on one model where there are some, else the same question on two models, else assumed. Knows nothing of logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.speed import sizes
from planner.outcomes.tails import Residual
from planner.schema import TOKEN_BUCKETS
from planner.stats import Estimate

__all__ = ["ASSUMED_AT", "Alike", "fit_alike"]

F64 = NDArray[np.float64]
#: Where nothing tells, results are shown at these three, and stated at the middle one.
ASSUMED_AT = (0.0, 0.5, 0.8)
#: Fewer requests than this tell nothing.
MIN_REQUESTS = 50


@dataclass(frozen=True, slots=True)
class Alike:
    """The correlation ``value`` of the normal scores of two calls of one request.

    ``source`` is "repeats" (same model), "models" (the same question on two models: a lower bound for repeats) or "assumed".
    ``requests`` are behind it; ``low`` and ``high`` are the 95 % interval (Fisher's z), None where it is assumed.
    """

    value: float
    low: float | None
    high: float | None
    requests: int
    source: str

    @property
    def estimate(self) -> Estimate:
        """The correlation with its interval and evidence."""
        evidence = "assumed" if self.source == "assumed" else "estimated"
        return Estimate(self.value, self.low, self.high, evidence, n=self.requests, source=f"two calls of one request: {self.source}")


def fit_alike(labels: Labels | None, models: Mapping[str, tuple[F64, Residual]], effect: Callable[[str, pd.Series], F64]) -> Alike:
    """Return how alike calls are.

    ``models`` holds terms and residual of each, by which its calls are scored; ``effect`` is the log effect of the hour in which the
    log has a request, for a model and request ids: labels that were not asked in that hour do not show it, and then it is left alone.
    """
    if labels is not None and models:
        scored = _scores(labels, models, effect)
        for source, pairs in (("repeats", _repeats(scored)), ("models", _models(scored))):
            if pairs["request_id"].nunique() >= MIN_REQUESTS and (pairs[["a", "b"]].std() > 0).all():
                return _estimated(pairs, source)
    return Alike(ASSUMED_AT[1], None, None, 0, "assumed")


def _estimated(pairs: pd.DataFrame, source: str) -> Alike:
    """Return the correlation; a request counts once in the interval, however many pairs it gives."""
    rho = float(np.clip(np.corrcoef(pairs["a"], pairs["b"])[0, 1], 0.0, 0.999))
    n = int(pairs["request_id"].nunique())
    low, high = np.tanh(np.arctanh(rho) + np.array([-1.959964, 1.959964]) / np.sqrt(n - 3))
    return Alike(rho, float(max(low, 0.0)), float(max(high, 0.0)), n, source)


def _scores(labels: Labels, models: Mapping[str, tuple[F64, Residual]], effect: Callable[[str, pd.Series], F64]) -> pd.DataFrame:
    """Return the normal score of every labelled answer with a latency, centred per model: labels may be asked from elsewhere."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["latency_ms"] > 0)]
    plain = plain[plain["model"].isin(list(models)) & (plain[list(TOKEN_BUCKETS[:5])].sum(axis=1) > 0)]
    score = np.zeros(len(plain))
    for model, (terms, residual) in models.items():
        own = np.flatnonzero(plain["model"] == model)
        if len(own):
            part = plain.iloc[own]
            expected = sizes(part[list(TOKEN_BUCKETS)].fillna(0).to_numpy().astype(np.int64)) @ terms
            logs = np.log(part["latency_ms"].to_numpy(float) / np.maximum(expected, 1e-9))
            logs = min(logs, logs - effect(model, part["request_id"]), key=np.std)
            score[own] = residual.score(np.exp(logs - np.median(logs)) * residual.at(np.zeros(1)))
    return plain[["request_id", "model", "repeat"]].assign(score=score)


def _repeats(scored: pd.DataFrame) -> pd.DataFrame:
    first, again = (scored[scored["repeat"] == r].rename(columns={"score": name}) for r, name in ((0, "a"), (1, "b")))
    return first.merge(again, on=["request_id", "model"])[["request_id", "a", "b"]]


def _models(scored: pd.DataFrame) -> pd.DataFrame:
    """Return all pairs of models on one request."""
    once = scored[scored["repeat"] == 0][["request_id", "model", "score"]]
    both = once.rename(columns={"score": "a"}).merge(once.rename(columns={"score": "b"}), on="request_id", suffixes=("", "_b"))
    return both[both["model"] < both["model_b"]][["request_id", "a", "b"]]
