"""How alike two calls of one request are in time: what a hedge or a retry can hope for.

In: labels, who serves each model, and what each provider's hours did. Out: the correlation of normal scores of two calls, with its
source: repeats of one question on one model where there are some, else the same question on two models, else assumed. Scores are ranks
of what size and hour leave unexplained of the labelled calls themselves: with a model's numbers from the log, which may lack what the
labels ask for (reasoning, for example), that misfit would pass for chance and make calls look less alike than they are. What of an hour
is too little seen to be known is shared by models of one provider, as it is by two calls of one model; so pairs of them come first.
Knows nothing of logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from planner.labels import Labels
from planner.outcomes.speed import Seen, fit_terms, sizes
from planner.schema import TOKEN_BUCKETS
from planner.stats import Estimate

__all__ = ["ASSUMED_AT", "Alike", "fit_alike"]

F64 = NDArray[np.float64]
#: Where nothing tells, results are shown at these three, and stated at the middle one.
ASSUMED_AT = (0.0, 0.5, 0.8)
#: Fewer requests than this, or calls of a model, tell nothing.
MIN_REQUESTS, MIN_CALLS = 50, 100


@dataclass(frozen=True, slots=True)
class Alike:
    """The correlation ``value`` of the normal scores of two calls of one request.

    ``source`` is "repeats" (same model), "models" (the same question on two models, of one provider if there are such: a lower bound for
    repeats) or "assumed".
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


def fit_alike(labels: Labels | None, served: Mapping[str, str], effects: Mapping[str, Callable[[pd.Series], F64]]) -> Alike:
    """Return how alike calls are.

    ``served`` says who serves a model, as far as known, and ``effects`` of each provider the log effect of the hour in which the log has a
    request, for request ids: labels that were not asked in that hour do not show it, and then it is left alone.
    """
    if labels is not None:
        scored = _scores(labels, served, effects)
        for source, pairs in (("repeats", _repeats(scored)), ("models", _models(scored, True)), ("models", _models(scored, False))):
            if pairs["request_id"].nunique() >= MIN_REQUESTS and (pairs[["a", "b"]].std() > 0).all():
                return _estimated(pairs, source)
    return Alike(ASSUMED_AT[1], None, None, 0, "assumed")


def _estimated(pairs: pd.DataFrame, source: str) -> Alike:
    """Return the correlation; a request counts once in the interval, however many pairs it gives."""
    rho = float(np.clip(np.corrcoef(pairs["a"], pairs["b"])[0, 1], 0.0, 0.999))
    n = int(pairs["request_id"].nunique())
    low, high = np.tanh(np.arctanh(rho) + np.array([-1.959964, 1.959964]) / np.sqrt(n - 3))
    return Alike(rho, float(max(low, 0.0)), float(max(high, 0.0)), n, source)


def _scores(labels: Labels, served: Mapping[str, str], effects: Mapping[str, Callable[[pd.Series], F64]]) -> pd.DataFrame:
    """Return the normal score of every labelled answer with a latency, by rank within its model, and who serves that; "": unknown."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["latency_ms"] > 0)]
    plain = plain[plain[list(TOKEN_BUCKETS[:5])].sum(axis=1) > 0]
    found = [pd.DataFrame({"request_id": [], "model": [], "repeat": [], "provider": [], "score": []})]
    for model, part in plain.groupby("model"):
        if len(part) >= MIN_CALLS:
            known = served.get(str(model), "")
            seems, left = _unexplained(part, {known: effects[known]} if known in effects else effects)
            score = ndtri((rankdata(left) - 0.5) / len(part))
            found.append(part[["request_id", "model", "repeat"]].assign(provider=known or seems, score=score))
    return pd.concat(found)


def _unexplained(calls: pd.DataFrame, effects: Mapping[str, Callable[[pd.Series], F64]]) -> tuple[str, F64]:
    """Return the provider whose hours explain most of the ``calls`` of a model, "" if none does, and what is left of their log times."""
    whole = calls["latency_ms"].to_numpy(float)
    size = sizes(calls[list(TOKEN_BUCKETS)].fillna(0).to_numpy().astype(np.int64))
    seen = Seen(size, whole, np.full(len(whole), np.nan), np.zeros(len(whole), bool))
    hours = [("", np.zeros(len(whole))), *((provider, effect(calls["request_id"])) for provider, effect in effects.items())]
    freed = [(provider, seen.without(log_effect)) for provider, log_effect in hours]
    left = [(provider, np.log(calm.whole_ms / np.maximum(size @ fit_terms(calm), 1e-9))) for provider, calm in freed]
    return min(left, key=lambda found: float(np.std(found[1])))


def _repeats(scored: pd.DataFrame) -> pd.DataFrame:
    first, again = (scored[scored["repeat"] == r].rename(columns={"score": name}) for r, name in ((0, "a"), (1, "b")))
    return first.merge(again, on=["request_id", "model"])[["request_id", "a", "b"]]


def _models(scored: pd.DataFrame, together: bool) -> pd.DataFrame:
    """Return all pairs of models on one request, or those that one provider serves, ``together``."""
    once = scored[scored["repeat"] == 0][["request_id", "model", "provider", "score"]]
    both = once.rename(columns={"score": "a"}).merge(once.rename(columns={"score": "b"}), on="request_id", suffixes=("", "_b"))
    both = both[(both["provider"] == both["provider_b"]) & (both["provider"] != "")] if together else both
    return both[both["model"] < both["model_b"]][["request_id", "a", "b"]]
