"""Labelled requests taken as the traffic, where there is no log.

In: labels, and the model that stands for today. Out: a Traffic folder in which every item is one request answered by that
model. What the table does not say (arrival times, answer lengths) is stated in the folder's meta as assumed. Knows
nothing of prices or routers.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from planner.errors import InputError, did_you_mean
from planner.labels.table import Labels
from planner.schema import TOKEN_BUCKETS
from planner.text.messages import conversation
from planner.text.tokens import count_tokens
from planner.traffic import Traffic, TrafficWriter

__all__ = ["as_traffic"]


def as_traffic(labels: Labels, reference: str, out: str | Path, *, output_tokens: int | None = None) -> Traffic:
    """Write ``labels`` as a log of one day in which ``reference`` answered every request, into ``out``.

    Parameters
    ----------
    labels: what was asked, with the graded answers.
    reference: the labelled model that stands for today's.
    output_tokens: [tokens] of every answer, where the labels carry none; assumed.

    Input tokens are the labels' own, else counted from the text (o200k); arrivals are spread evenly over 24 hours from
    2026-01-01, an assumption that no figure of a plan without shared state depends on. Raises InputError when answer
    lengths are neither labelled nor given.
    """
    if reference not in labels.models:
        raise InputError(f"reference {reference!r}", f"one of {', '.join(labels.models)}", did_you_mean(reference, labels.models))
    answers = labels.outcomes[
        (labels.outcomes["model"] == reference) & (labels.outcomes["prompt_variant"] == "") & (labels.outcomes["repeat"] == 0)
    ]
    answers = labels.items[["request_id"]].merge(answers, how="left", on="request_id")
    columns, evidence, assumed = _tokens(labels, answers, output_tokens)
    n = len(labels.items)
    start = pd.Timestamp(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    frame = pd.DataFrame(
        {
            "request_id": labels.items["request_id"],
            "timestamp": start + pd.to_timedelta(np.arange(n) * (86_400_000_000 // max(n, 1)), unit="us"),
            **{name: labels.items[name] for name in ("app", "user", "session_id", "messages", "text_state", "weight")},
            "model": reference,
            **{name: answers[name] for name in ("latency_ms", "quality", "finish_reason")},
            "quality_source": answers["grader"],
            **columns,
        }
    )
    with TrafficWriter(out) as writer:
        writer.accept(pa.Table.from_pandas(frame, preserve_index=False))
        return writer.close(
            source_format="labels", labels=labels.hash, evidence=evidence, assumed=["arrivals are spread evenly over one day", *assumed]
        )


def _tokens(labels: Labels, answers: pd.DataFrame, output_tokens: int | None) -> tuple[dict[str, pd.Series], str, list[str]]:
    """Return the token buckets, their evidence, and in words what of them is assumed."""
    buckets = {name: answers[name].fillna(0).astype("int64") for name in TOKEN_BUCKETS}
    evidence, assumed = "measured", []
    if not sum(int(buckets[name].sum()) for name in TOKEN_BUCKETS[:4]):
        texts = [conversation(m).full for m in labels.items["messages"]]
        buckets["input_tokens"] = pd.Series(count_tokens(texts), dtype="int64")
        evidence = "estimated"
        assumed.append("input tokens are counted with the o200k tokenizer")
    if not int(buckets["output_tokens"].sum() + buckets["reasoning_tokens"].sum()):
        if output_tokens is None:
            raise InputError(
                "labels without answer lengths", "output tokens", "pass output_tokens=…, for example 1 for a multiple-choice letter"
            )
        buckets["output_tokens"] = pd.Series(np.full(len(answers), output_tokens), dtype="int64")
        evidence = "assumed"
        assumed.append(f"every answer has {output_tokens} output tokens")
    return buckets, evidence, assumed
