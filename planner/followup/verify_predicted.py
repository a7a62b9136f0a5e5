"""Predicted: what a bundle expects of its plan, for the apps that were looked at, to stand beside what happened.

In: ``evaluation.prediction`` of a manifest (``bundle.prediction``). Out: value and interval by app and measure, and whether it agrees with
an observed interval. Knows nothing of logs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["expected", "of_routing", "other_levers", "verdict"]

_ESTIMATES = {"saving_share": "saving_share", "saving_usd_per_month_all": "saving_usd_per_month", "quality": "quality_difference"}
_PAIRS = {"failures": "failure_share", "p95_ms": "p95_of_all_ms"}
_NOTHING = (math.nan, math.nan, math.nan)


def of_routing(prediction: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was predicted of routing alone, which is what an arm can show; empty where that was not written down.

    With other levers in the plan it is what the plan brings beyond the same plan without its route: whom the lot keeps has these too.

    >>> of_routing({"plan": {"levers": ["route"]}, "requests": 5})["requests"]
    5
    >>> of_routing({"plan": {"levers": ["route", "retry"]}, "requests": 5})
    {}
    >>> of_routing({"plan": {"levers": ["route", "retry"]}, "routing": {"requests": 4}, "apps": {"chat": {"routing": {"requests": 4}}}})
    {'requests': 4, 'apps': {'chat': {'requests': 4}}}
    """
    if not other_levers(prediction):
        return prediction
    own = prediction.get("routing")
    return {**own, "apps": {app: known.get("routing") or {} for app, known in (prediction.get("apps") or {}).items()}} if own else {}


def expected(
    prediction: Mapping[str, Any], measure: str, apps: Collection[str], app: str = "all", per_month: float = math.nan
) -> tuple[float, float, float]:
    """Return (value, low, high) that was predicted of ``measure``; NaN for what was not.

    ``app`` "all" means all of ``apps``: of one app what was predicted of it. Where they are several but not all that the prediction is
    about, its apps are added up, and no interval is given; where it is not about one of them, nothing was predicted. Dollars a month are
    those of ``per_month`` requests: more or fewer than was reckoned with is no error of the plan.

    >>> half = {"saving_share": {"value": 0.5, "low": 0.4, "high": 0.6}, "saving_usd_per_month": {"value": 10.0}, "requests_per_month": 100}
    >>> expected({**half, "apps": {"chat": half}}, "saving_share", ["chat"])
    (0.5, 0.4, 0.6)
    >>> expected({**half, "apps": {"chat": half}}, "saving_usd_per_month_all", ["chat"], "chat", per_month=250)
    (25.0, nan, nan)
    """
    known = prediction.get("apps") or {}
    if not known or (app == "all" and set(apps) == set(known)):
        return _scaled(prediction if app == "all" else {}, measure, per_month)
    if app != "all" or len(set(apps)) == 1:
        return _scaled(known.get(next(iter(apps)) if app == "all" else app) or {}, measure, per_month)
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
        return sum(values) * per_month / max(sum(p["requests_per_month"] for p in parts), 1e-12), math.nan, math.nan
    weight = [p["requests"] for p in parts]
    return sum(v * w for v, w in zip(values, weight, strict=True)) / max(sum(weight), 1e-12), math.nan, math.nan


def _scaled(about: Mapping[str, Any], measure: str, per_month: float) -> tuple[float, float, float]:
    value, low, high = _one(about, measure)
    if measure != "saving_usd_per_month_all":
        return value, low, high
    factor = per_month / (about.get("requests_per_month") or math.nan)
    return value * factor, low * factor, high * factor


def _one(about: Mapping[str, Any], measure: str) -> tuple[float, float, float]:
    if measure in _ESTIMATES:
        found = about.get(_ESTIMATES[measure]) or {}
        value, low, high = (math.nan if found.get(k) is None else float(found[k]) for k in ("value", "low", "high"))
        return value, low, high
    pair = about.get(_PAIRS.get(measure, "")) or {}
    plan, log = pair.get("plan"), pair.get("log")
    return _NOTHING if plan is None or log is None else (plan - log, math.nan, math.nan)


def verdict(predicted: tuple[float, float, float], observed: tuple[float, float, float]) -> tuple[str, float]:
    """Return ``holds`` where observed − predicted may be 0, else ``missed``, and by how much the prediction is too high at least.

    Both are (value, low, high), 95 %, of different months and so independent. The interval of their difference is MOVER's (Zou & Donner,
    *Statistics in Medicine* 27, 2008): each limit adds the squared distances of the two limits that make it. Negative where it is too
    low; "" and NaN where either is unknown or has no interval: no prediction is exact.

    >>> verdict((0.3, 0.2, 0.4), (0.31, 0.25, 0.35)), verdict((0.2, 0.1, 0.3), (0.5, 0.375, 0.625))[0]
    (('holds', 0.0), 'missed')
    >>> verdict((0.3, math.nan, math.nan), (0.31, 0.25, 0.35))
    ('', nan)
    >>> verdict((0.25, 0.25, 0.25), (0.75, 0.5, 1.0))
    ('missed', -0.25)
    """
    value, low, high = observed
    told, least, most = predicted
    if any(map(math.isnan, (*predicted, *observed))):
        return "", math.nan
    difference = value - told
    below, above = difference - math.hypot(value - low, most - told), difference + math.hypot(high - value, told - least)
    return ("missed", -above if above < 0 else -below) if above < 0 or below > 0 else ("holds", 0.0)


def other_levers(prediction: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the levers of the plan besides its routing: who is held out has them too, so no comparison of arms shows them."""
    return tuple(dict.fromkeys(key for key in (prediction.get("plan") or {}).get("levers", ()) if key != "route"))
