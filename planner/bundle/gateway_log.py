"""What a log says for a gateway's configuration: which apps ask for which model groups, what answers them, and how they do today.

In: a log. Out: per app the groups that may be replaced and the baselines of its guardrails, all measured; what stands behind each group.
Knows nothing of routers, plans or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from planner.router.litellm_shape import kept
from planner.stats import draws
from planner.traffic import Traffic

__all__ = ["MARGINS", "GatewayLog", "gateway_log"]

#: How much worse than the baseline each guardrail's share may be before an app goes back: a choice, to be edited in rollout.json.
MARGINS: Mapping[str, float] = {"error": 0.02, "slow": 0.03, "length": 0.02, "schema": 0.02}
#: The share of answers that is slow today, by definition of the limit.
_SLOW = 0.05
#: Tags of requests that may have gone elsewhere than they asked.
_MOVED = r'"planner-arm:(?:routed|pinned)"'
#: Answers read to see whether they keep their format.
_READ = 5_000
_COLUMNS = (
    "request_id", "app", "model", "model_requested", "provider", "status", "latency_ms", "finish_reason", "response_format",
    "purpose", "cache_hit", "tags",
)  # fmt: skip


@dataclass(frozen=True)
class GatewayLog:
    """What a log says for the gateway.

    Parameters
    ----------
    asks: app → model groups that its requests ask for, the most frequent first.
    behind: group → the model that answers it most often, where no router of ours moved the request. served: model → provider.
    guardrails: app → what ``rollout.json`` keeps: margin, baseline as far as it is known, and the limit [ms] of slow answers.
    app_from: how the log was told what an app is; None: by its tags.
    """

    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)
    served: Mapping[str, str] = field(default_factory=dict)
    guardrails: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    app_from: str | None = None


def gateway_log(traffic: Traffic) -> GatewayLog:
    """Read the users' own requests of ``traffic`` that reached a provider."""
    frame = traffic.frame(*_COLUMNS)
    keep = (frame["purpose"] == "user") & ~frame["cache_hit"]
    rows = frame[keep].assign(group=frame["model_requested"].fillna(frame["model"]), place=np.flatnonzero(keep.to_numpy()))
    return GatewayLog(
        asks={str(app): tuple(map(str, own["group"].value_counts().index)) for app, own in rows.groupby("app")},
        behind={str(group): _most(own) for group, own in rows.groupby("group")},
        served={str(model): str(own.mode().iloc[0]) for model, own in rows.dropna(subset="provider").groupby("model")["provider"]},
        guardrails={str(app): _guardrails(own, traffic) for app, own in rows.groupby("app")},
        app_from=traffic.meta.get("app_from"),
    )


def _most(rows: pd.DataFrame) -> str:
    """Return the model that answers a group's rows most often; those that the hook moved count only where there are no others."""
    stayed = rows[~rows["tags"].str.contains(_MOVED, na=False)]
    return str((stayed if len(stayed) else rows)["model"].mode().iloc[0])


def _guardrails(rows: pd.DataFrame, traffic: Traffic) -> dict[str, dict[str, float]]:
    """Measure today's shares; what the log does not show has no guardrail."""
    answered = rows[rows["status"] == "ok"]
    found: dict[str, dict[str, float]] = {"error": {"baseline": _share(~rows["status"].isin(["ok", "cancelled"]))}}
    timed = answered["latency_ms"].dropna()
    if len(timed):
        limit = float(f"{np.quantile(timed, 1 - _SLOW):.3g}")
        found["slow"] = {"limit_ms": limit, "baseline": _share(timed > limit)}
    ended = answered["finish_reason"].dropna()
    if len(ended):
        found["length"] = {"baseline": _share(ended == "length")}
    shaped = answered[answered["response_format"].isin(["json_object", "json_schema"])]
    broken = _broken(shaped, traffic)
    if broken is not None:
        found["schema"] = {"baseline": broken} if (shaped["response_format"] == "json_object").all() else {}
    return {name: {**own, "margin": MARGINS[name]} for name, own in found.items()}


def _share(flags: Any) -> float:
    return round(float(np.mean(flags)), 6) if len(flags) else 0.0


def _broken(rows: pd.DataFrame, traffic: Traffic) -> float | None:
    """Return the share of answers in a format that are no JSON, of some drawn by request id; None where the log keeps no answers.

    Each is checked as the gateway checks it. A log keeps no schemas: of answers to one it can say no more than this, which is no baseline
    for a gateway that applies them.
    """
    order = np.argsort(draws.uniform(0, draws.key(rows["request_id"].tolist()), "schema"), kind="stable")[:_READ]
    at = np.sort(rows["place"].to_numpy()[order])
    answers = [a for a in traffic.take(at, "response")["response"].to_pylist() if a is not None] if len(at) else []
    checked = [ok for ok in (kept("", a) for a in answers) if ok is not None]
    return _share([not ok for ok in checked]) if checked else None
