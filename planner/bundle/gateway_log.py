"""What a log says for a gateway's configuration: which apps ask for which model groups, what answers them, and how they do today.

In: a log. Out: per app the groups that may be replaced, the baselines of its guardrails and how far bad answers come in sessions, all
measured; what stands behind each group. Knows nothing of routers, plans or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.bundle.gateway_effects import Answers, design_effects
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
    "purpose", "cache_hit", "tags", "session_id", "user",
)  # fmt: skip


@dataclass(frozen=True)
class GatewayLog:
    """What a log says for the gateway.

    Parameters
    ----------
    asks: app → model groups that its requests ask for, the most frequent first.
    behind: group → the model that answers it most often, where no router of ours moved the request. served: model → provider.
    guardrails: app → what ``rollout.json`` keeps: margin, design effect, baseline as far as known, and the limit [ms] of slow answers.
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
    guards = {str(app): _guardrails(own.assign(unit=_units(own)), traffic) for app, own in rows.groupby("app")}
    return GatewayLog(
        asks={str(app): tuple(map(str, own["group"].value_counts().index)) for app, own in rows.groupby("app")},
        behind={str(group): _most(own) for group, own in rows.groupby("group")},
        served={str(model): str(own.mode().iloc[0]) for model, own in rows.dropna(subset="provider").groupby("model")["provider"]},
        guardrails=_with_effects(guards),
        app_from=traffic.meta.get("app_from"),
    )


def _most(rows: pd.DataFrame) -> str:
    """Return the model that answers a group's rows most often; those that the hook moved count only where there are no others."""
    stayed = rows[~rows["tags"].str.contains(_MOVED, na=False)]
    return str((stayed if len(stayed) else rows)["model"].mode().iloc[0])


def _units(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Number what the gateway draws an arm for: sessions, of other requests users, and the requests of neither."""
    kind = np.where(rows["session_id"].notna(), "session", np.where(rows["user"].notna(), "user", "request"))
    name = rows["session_id"].fillna(rows["user"]).fillna(rows["request_id"])
    return pd.factorize(pd.MultiIndex.from_arrays([kind, name]))[0].astype(np.int64)


def _with_effects(guards: Mapping[str, Mapping[str, tuple[dict[str, float], Answers]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return app → guardrail → what is kept of it, with its design effect."""
    names = dict.fromkeys(name for own in guards.values() for name in own)
    effects = {name: design_effects({app: own[name][1] for app, own in guards.items() if name in own}) for name in names}
    return {
        app: {
            name: {**found, "margin": MARGINS[name], **({"design_effect": round(effects[name][app], 2)} if app in effects[name] else {})}
            for name, (found, _) in own.items()
        }
        for app, own in guards.items()
    }


def _guardrails(rows: pd.DataFrame, traffic: Traffic) -> dict[str, tuple[dict[str, float], Answers]]:
    """Measure today's shares, and which answers were bad; what the log does not show has no guardrail."""
    answered, failed = rows[rows["status"] == "ok"], ~rows["status"].isin(["ok", "cancelled"])
    found: dict[str, tuple[dict[str, float], Answers]] = {"error": ({"baseline": _share(failed)}, _answers(failed, rows))}
    timed = answered["latency_ms"].dropna()
    if len(timed):
        limit = float(f"{np.quantile(timed, 1 - _SLOW):.3g}")
        found["slow"] = {"limit_ms": limit, "baseline": _share(timed > limit)}, _answers(timed > limit, rows)
    ended = answered["finish_reason"].dropna()
    if len(ended):
        found["length"] = {"baseline": _share(ended == "length")}, _answers(ended == "length", rows)
    shaped = answered[answered["response_format"].isin(["json_object", "json_schema"])]
    broken = _broken(shaped, traffic)
    if len(broken):
        baseline = {"baseline": _share(broken)} if (shaped["response_format"] == "json_object").all() else {}
        found["schema"] = baseline, _answers(broken, rows, min(_READ / len(shaped), 1.0))
    return found


def _answers(bad: pd.Series[bool], rows: pd.DataFrame, share: float = 1.0) -> Answers:
    return Answers(bad.to_numpy(bool), pd.factorize(rows["unit"].loc[bad.index])[0].astype(np.int64), share)


def _share(flags: Any) -> float:
    return round(float(np.mean(flags)), 6) if len(flags) else 0.0


def _broken(rows: pd.DataFrame, traffic: Traffic) -> pd.Series[bool]:
    """Return of answers in a format which are no JSON, of some drawn by request id; empty where the log keeps no answers.

    Each is checked as the gateway checks it. A log keeps no schemas: of answers to one it can say no more than this, which is no baseline
    for a gateway that applies them.
    """
    order = np.argsort(draws.uniform(0, draws.key(rows["request_id"].tolist()), "schema"), kind="stable")[:_READ]
    some = rows.iloc[np.sort(order)]
    answers = traffic.take(some["place"].to_numpy(), "response")["response"].to_pylist() if len(some) else []
    checked = [None if answer is None else kept("", answer) for answer in answers]
    return pd.Series({i: not ok for i, ok in zip(some.index, checked, strict=True) if ok is not None}, dtype=bool)
