"""Retained: what of the logged answers still stands in prompts that were cut.

In: a log with prompts and answers. Out: by ratio the share of the numbers, names and quotations that an answer took from its prompt
and that are still in the compressed one, with an interval over users. Measured on the log's own answers; that the model then answers
as well is not. Knows nothing of money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.stats import BUCKETS, buckets, draws, jackknife
from planner.text.checks import grounding
from planner.text.compress import compress
from planner.text.messages import content_text, parse
from planner.traffic import Traffic

__all__ = ["RATIOS", "retained"]

#: How many times fewer tokens a context has.
RATIOS = (1.5, 2.0, 3.0, 4.0)
_COLUMNS = ("request_id", "app", "user", "session_id", "text_state", "status", "response", "messages")


def retained(
    traffic: Traffic,
    app: str,
    ratios: Sequence[float] = RATIOS,
    *,
    requests: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Cut the contexts of some answered requests of ``app``, drawn by ``seed``, and look for what their answers said.

    Parameters
    ----------
    traffic: needs ``messages`` and ``response``. ratios: how many times fewer tokens a context has.
    requests: how many are read at most. progress: called with the prompts cut so far and in all.

    Returns ``dataset, method, ratio, questions, retention, low, high``: a row a ratio, for ``figures.compression``.

    Raises NeedsError without prompts or answers; InputError for an unknown app, and where no context can be cut.
    """
    traffic.require("what compression leaves of answers", "messages", "response")
    rows = _drawn(traffic, app, requests, seed)
    unit = buckets(rows["user"].fillna(rows["session_id"]).fillna(rows["request_id"]))
    prompts = [parse(m) for m in rows["messages"]]
    said = [{*grounding(answer, _text(prompt)).found} for answer, prompt in zip(rows["response"], prompts, strict=True)]
    out = []
    for k, ratio in enumerate(ratios):
        sums = np.zeros((BUCKETS, 2), np.int64)
        cut = 0
        for i, (answer, prompt, facts) in enumerate(zip(rows["response"], prompts, said, strict=True)):
            after = compress(prompt, "rank", ratio=ratio)
            if facts and after != prompt:
                cut += 1
                sums[unit[i]] += (len(facts & {*grounding(answer, _text(after)).found}), len(facts))
            if progress:
                progress(k * len(prompts) + i + 1, len(ratios) * len(prompts))
        if not cut:
            raise InputError(
                f"no prompt of {app} with a context that ratio {ratio:g} cuts", "prompts with documents, and answers from them"
            )
        found = jackknife(sums, _share, sums[:, 1])
        row = {"dataset": app, "method": "rank", "ratio": float(ratio), "questions": cut, "retention": float(found.value)}
        out.append(row | {"low": max(float(found.low), 0.0), "high": min(float(found.high), 1.0)})
    return pd.DataFrame(out)


def _share(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1))


def _text(messages: object) -> str:
    return "\n".join(content_text(m.get("content")) for m in messages)  # type: ignore[attr-defined]


def _drawn(traffic: Traffic, app: str, requests: int, seed: int) -> pd.DataFrame:
    """Return some answered requests of ``app`` with their whole text, by the draw of their ids."""
    table = traffic.arrow(*_COLUMNS[:-2])
    known = pc.unique(table["app"]).to_pylist()
    if app not in known:
        raise InputError(f"app {app!r}", f"one of {', '.join(map(str, known))}", did_you_mean(app, known))
    may = pc.and_(pc.and_(pc.equal(table["app"], app), pc.equal(table["text_state"], "full")), pc.equal(table["status"], "ok"))
    answered = traffic.arrow("response")["response"].is_valid()
    at = np.flatnonzero(pc.and_(may, answered).to_numpy(zero_copy_only=False).astype(bool))
    key = draws.uniform(seed, draws.key(table["request_id"].take(pa.array(at)).to_pylist()), "retained")
    chosen = np.sort(at[np.argsort(key, kind="stable")[:requests]])
    return pd.DataFrame({name: traffic.arrow(name)[name].take(pa.array(chosen)).to_pylist() for name in _COLUMNS})
