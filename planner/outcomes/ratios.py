"""How many tokens and milliseconds another model needs for the same request, learned from paired labels.

In: labels in which several models answered the same requests. Out: per ordered pair of models the ratio of sums of
input, visible output, reasoning and latency. A pair without labels is absent: the caller must then assume, and say so.
Knows nothing of traffic or money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.schema import TOKEN_BUCKETS
from planner.stats import BUCKETS

__all__ = ["SAMPLED", "Ratio", "fit_ratios", "sample_ratios"]

#: Fewer pairs than this say too little: the ratio counts as unknown.
MIN_PAIRS = 30
_INPUT = list(TOKEN_BUCKETS[:4])


@dataclass(frozen=True, slots=True)
class Ratio:
    """Factors from one model to another, each None where the labels do not tell.

    ``input`` and ``output`` multiply the logged total input and visible output; ``reasoning`` is the other model's
    reasoning tokens per logged visible output token; ``latency`` multiplies the logged latency; ``pairs`` counts the
    requests behind them.
    """

    input: float | None
    output: float | None
    reasoning: float | None
    latency: float | None
    pairs: int


#: What a sample of a pair sums per bucket: input of the other and of the logged model, answers likewise, the other's reasoning.
SAMPLED = ("input_other", "input_logged", "output_other", "output_logged", "reasoning_other")


def fit_ratios(labels: Labels) -> Mapping[tuple[str, str], Ratio]:
    """Return the ratio of every ordered pair of labelled models with at least 30 common requests.

    A ratio of sums, not a mean of ratios: it is what the bill is made of, and short answers cannot dominate it.
    """
    measures = _measures(labels)
    models = labels.models
    return {(a, b): r for a in models for b in models if a != b and (r := _ratio(measures, a, b)).pairs >= MIN_PAIRS}


def sample_ratios(
    labels: Labels, pairs: Iterable[tuple[str, str]], bucket: NDArray[np.int64]
) -> Mapping[tuple[str, str], NDArray[np.int64]]:
    """Return the sums behind the ratios of ``pairs`` per hash bucket, int64 (buckets, SAMPLED), so that labels can be resampled.

    ``bucket`` (items,) is the bucket of each labelled request's user, else session, else itself.
    """
    measures = _measures(labels).reindex(labels.items["request_id"])
    found = {}
    for a, b in pairs:
        columns = [
            measures[(name, m)].to_numpy(float) for name, m in (("input", b), ("input", a), ("output", b), ("output", a), ("reasoning", b))
        ]
        both = np.isfinite(columns[:4]).all(axis=0)
        sums = np.zeros((BUCKETS, len(SAMPLED)), np.int64)
        np.add.at(sums, bucket[both], np.nan_to_num(np.column_stack(columns)[both]).astype(np.int64))
        found[a, b] = sums
    return found


def _measures(labels: Labels) -> pd.DataFrame:
    """Lay out what each model used, one row a request, columns (measure, model)."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["repeat"] == 0)]
    return pd.DataFrame(
        {
            "request_id": plain["request_id"],
            "model": plain["model"],
            "input": plain[_INPUT].sum(axis=1),
            "output": plain["output_tokens"],
            "reasoning": plain["reasoning_tokens"],
            "latency": plain["latency_ms"],
        }
    ).pivot(index="request_id", columns="model")


def _ratio(measures: pd.DataFrame, a: str, b: str) -> Ratio:
    def of(top: str, bottom: str) -> float | None:
        numerator, denominator = measures[(top, b)].to_numpy(float), measures[(bottom, a)].to_numpy(float)
        known = np.isfinite(numerator) & np.isfinite(denominator)
        above, below = numerator[known].sum(), denominator[known].sum()
        # Reasoning may truly be none; input, answer and time are never nothing, only not counted by the source.
        counted = below > 0 and (above > 0 or top == "reasoning")
        return float(above / below) if known.sum() >= MIN_PAIRS and counted else None

    answered = [np.isfinite(measures[("output", m)].to_numpy(float)) for m in (a, b)]
    return Ratio(
        of("input", "input"),
        of("output", "output"),
        of("reasoning", "output"),
        of("latency", "latency"),
        int((answered[0] & answered[1]).sum()),
    )
