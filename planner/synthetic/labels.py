"""Labels of a sample of the log: what every model would have answered, graded.

In: a Log and how many requests to label. Out: Labels whose items represent the traffic that has text (weights), whose
logged model keeps the log's own tokens and latency, and whose qualities are draws around the truth, keyed by request and
model. Knows nothing of file formats.
"""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.stats import draws
from planner.synthetic import calls
from planner.synthetic.log import Log
from planner.synthetic.verdicts import cost_usd, draw_quality
from planner.synthetic.world import APPS, MODELS, expected_quality

__all__ = ["LABELLED", "answered", "chosen", "sample_labels"]

#: Requests labelled in the sample.
LABELLED = 4_000
_GRADERS = {
    "invoice-extract": "check:fields-v2",
    "ticket-triage": "check:fields-v2",
    "code-assist": "check:tests-v1",
    "ops-agent": "check:goal-v1",
}
_JUDGE = "judge:rubric-v3"


def chosen(log: Log, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows to label, in order of time, and their weights.

    Eligible is what succeeded, reached a provider and has its whole text. Each app gets a number proportional to the 0.8th
    power of its eligible requests; a weight is eligible over labelled requests of its app.
    """
    t = log.table
    full = np.array([a.text == "full" for a in APPS])[t["app"]]
    eligible = np.flatnonzero(full & (t["status"] == "ok").to_numpy() & ~t["cache_hit"].to_numpy())
    apps, order = t["app"].to_numpy()[eligible], draws.uniform(log.seed, log.column("key")[eligible], "label")
    counts = np.bincount(apps, minlength=len(APPS))
    share = counts**0.8 / (counts**0.8).sum()
    take = np.minimum(np.round(n * share).astype(int), counts)
    rows = [eligible[apps == a][np.argsort(order[apps == a])[: take[a]]] for a in range(len(APPS))]
    weights = [np.full(take[a], counts[a] / max(take[a], 1)) for a in range(len(APPS))]
    picked, weight = np.concatenate(rows), np.concatenate(weights)
    sort = np.argsort(picked)
    return picked[sort], weight[sort]


def answered(log: Log, rows: NDArray[np.int64], model: int) -> pd.DataFrame:
    """Return tokens, latency, finish reason and cost of ``model`` at ``rows``; where it is the logged one, the log's own."""
    t = log.table.iloc[rows]
    key, app, which = t["key"].to_numpy(), t["app"].to_numpy(), np.full(len(t), model)
    limit = np.array([a.max_tokens for a in APPS])[app]
    called = np.array([bool(log.drafts[i].answer.calls) for i in rows])
    free = np.array([a.output > 20 for a in APPS])[app] & ~called
    visible = np.maximum(1, np.round(t["base"].to_numpy() * calls.length_factor(key, app, which, log.seed))).astype(np.int64)
    away = (calls.runs_away(key, which, log.seed) & free) | (visible > limit)
    visible = np.where(away, limit, visible)
    tokens = np.round(t["raw"].to_numpy() * MODELS[model].scale).astype(np.int64)
    reasoning = calls.reasoning_tokens(key, app, which, visible, log.demand[rows, 0], log.seed)
    _, latency = calls.first_and_total_ms(key, which, t["hour"].to_numpy(), tokens, reasoning, visible, log.seed)
    own = t["model"].to_numpy() == model
    finish = np.where(np.where(own, t["runaway"], away), "length", np.where(called, "tool_calls", "stop"))
    frame = pd.DataFrame({
        "request_id": t["request_id"].to_numpy(), "model": MODELS[model].name, "input_tokens": tokens,
        "output_tokens": np.where(own, t["visible"], visible), "reasoning_tokens": np.where(own, t["reasoning"], reasoning),
        "latency_ms": np.round(np.where(own, t["total_ms"], latency), 1), "finish_reason": finish.astype(object),
    })  # fmt: skip
    frame["cost_usd"] = cost_usd(which, tokens, 0, 0, frame["output_tokens"].to_numpy() + frame["reasoning_tokens"].to_numpy())
    return frame


def sample_labels(log: Log, n: int = LABELLED) -> Labels:
    """Return the labels of about ``n`` requests of ``log`` on every model."""
    rows, weights = chosen(log, n)
    t = log.table.iloc[rows]
    expected = expected_quality(log.demand[rows], t["topic"].to_numpy(), t["group"].to_numpy(), log.seed)
    quality = draw_quality(log, rows, expected)
    apps = np.array([a.name for a in APPS], object)[t["app"]]
    outcomes = pd.concat([answered(log, rows, m).assign(quality=quality[:, m]) for m in range(len(MODELS))], ignore_index=True)
    outcomes["grader"] = np.tile([_GRADERS.get(a, _JUDGE) for a in apps], len(MODELS))
    sessions = np.array([a.turns > 1 for a in APPS])[t["app"]]
    items = pd.DataFrame({
        "request_id": t["request_id"].to_numpy(), "app": apps, "user": t["user"].to_numpy(),
        "session_id": t["name"].where(sessions, None).to_numpy(), "text_state": "full", "group": t["group"].to_numpy(), "weight": weights,
        "has_tools": [bool(log.drafts[i].tools) for i in rows], "max_tokens": np.array([a.max_tokens for a in APPS])[t["app"]],
        "response_format": [(log.drafts[i].response_format or {"type": "text"})["type"] for i in rows],
        "messages": [orjson.dumps([m.payload() for m in log.drafts[i].messages]).decode() for i in rows],
    })  # fmt: skip
    return Labels.of(items, outcomes, source="SYNTHETIC sample", seed=log.seed, population="requests that succeeded, with their whole text")
