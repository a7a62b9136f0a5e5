"""Predicted: what a bundle expects of its plan, for the apps that were looked at, to stand beside what happened.

In: ``evaluation.prediction`` of a manifest (``bundle.prediction``). Out: value and interval by app and measure, and whether it agrees with
an observed interval. Knows nothing of logs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["expected", "other_levers", "verdict"]

_ESTIMATES = {"saving_share": "saving_share", "saving_usd_per_month_all": "saving_usd_per_month", "quality": "quality_difference"}
_PAIRS = {"failures": "failure_share", "p95_ms": "p95_ms"}
_NOTHING = (math.nan, math.nan, math.nan)


def expected(prediction: Mapping[str, Any], measure: str, apps: Collection[str], app: str = "all") -> tuple[float, float, float]:
    """Return (value, low, high) that was predicted of ``measure``; NaN for what was not.

    ``app`` "all" means all of ``apps``. Where these are not all that the prediction is about, its apps are added up, and no interval is
    given; where it is not about one of them, nothing was predicted.

    >>> half = {"saving_share": {"value": 0.5, "low": 0.4, "high": 0.6}}
    >>> expected({**half, "apps": {"chat": half}}, "saving_share", ["chat"])
    (0.5, 0.4, 0.6)
    """
    known = prediction.get("apps") or {}
    if app != "all":
        return _one(known.get(app) or {}, measure)
    if not known or set(apps) == set(known):
        return _one(prediction, measure)
    parts = [known[name] for name in apps if name in known]
    if len(parts) < len(set(apps)) or measure == "p95_ms":
        return _NOTHING
    if measure == "saving_share":
        saved, spent = (
            sum(x) for x in ([_one(p, "saving_usd_per_month_all")[0] for p in parts], [p["usd_per_month"]["log"] for p in parts])
        )
        return (saved / spent if spent else math.nan, math.nan, math.nan)
    values = [_one(p, measure)[0] for p in parts]
    if measure == "saving_usd_per_month_all":
        return sum(values), math.nan, math.nan
    weight = [p["requests"] for p in parts]
    return sum(v * w for v, w in zip(values, weight, strict=True)) / max(sum(weight), 1e-12), math.nan, math.nan


def _one(about: Mapping[str, Any], measure: str) -> tuple[float, float, float]:
    if measure in _ESTIMATES:
        found = about.get(_ESTIMATES[measure]) or {}
        value, low, high = (math.nan if found.get(k) is None else float(found[k]) for k in ("value", "low", "high"))
        return value, low, high
    pair = about.get(_PAIRS.get(measure, "")) or {}
    plan, log = pair.get("plan"), pair.get("log")
    return _NOTHING if plan is None or log is None else (plan - log, math.nan, math.nan)


def verdict(predicted: tuple[float, float, float], low: float, high: float) -> tuple[str, float]:
    """Return ``holds`` where the predicted interval (the value, where it has none) and the observed one meet, else ``missed``.

    And how far the predicted one is above or below; "" and NaN where either is unknown.

    >>> verdict((0.3, math.nan, math.nan), 0.25, 0.35), verdict((0.4, 0.3, 0.5), 0.25, 0.35), verdict((0.2, 0.0, 0.25), 0.5, 0.75)
    (('holds', 0.0), ('holds', 0.0), ('missed', -0.25))
    """
    value, *limits = predicted
    if any(map(math.isnan, (value, low, high))):
        return "", math.nan
    least, most = (value, value) if any(map(math.isnan, limits)) else limits
    by = least - high if least > high else min(most - low, 0.0)
    return ("missed", by) if by else ("holds", 0.0)


def other_levers(prediction: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the levers of the plan besides its routing: who is held out has them too, so no comparison of arms shows them."""
    return tuple(dict.fromkeys(key for key in (prediction.get("plan") or {}).get("levers", ()) if key != "route"))
