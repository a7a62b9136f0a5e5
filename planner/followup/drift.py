"""Drift: whether the router still meets what it was certified on, at the prices and with the models it was exported with.

In: the requests of now, a bundle, and what to compare with: an earlier log, the same log before a day, or the profile in the bundle. Out:
a Drift: each measure with its p-value, what changed, by how much, and what to do about it. Knows nothing of files but the looks.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner.bundle.gateway import BUNDLE
from planner.errors import InputError, NeedsError
from planner.followup.drift_flips import Change, changes, clusters, holm, p_values
from planner.followup.drift_looks import PLANNED, Looks
from planner.followup.drift_pairs import with_log, with_profile
from planner.followup.drift_period import Period, period
from planner.followup.drift_prices import moved
from planner.followup.drift_result import Drift
from planner.followup.drift_words import MEASURES, advice
from planner.prices import PriceBook
from planner.router import Router
from planner.router.load import read_manifest
from planner.stats import REFUSE
from planner.traffic import Traffic
from planner.training.before import calibration_labels
from planner.training.split import PARTS

__all__ = ["ALPHA", "Drift", "drift"]

#: The chance of a false alarm, over all measures and looks.
ALPHA = 0.05
#: The floor where a bundle states none.
_FLOOR = 0.02
#: Permutations a threshold takes: so many are expected beyond it; and how many there are at least and at most.
_BEYOND, _FEW, _MANY = 10, 2_000, 400_000
_CHANGES = ("measure", "what", "before", "now", "difference", "low", "high", "score")
_FEW_USERS = "take longer periods; a profile has fewer groups than the log it describes, so compare with --before LOG"
_NO_PROFILE = "name what to compare with: --before LOG or --since DATE, or export the bundle with --log"


def drift(
    now: Traffic,
    bundle: str | Path | Router,
    *,
    before: Traffic | None = None,
    since: str | dt.date | None = None,
    looks: str | Path | None = None,
    planned: int = PLANNED,
    alpha: float = ALPHA,
    book: PriceBook | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Drift:
    """Compare the requests of ``now`` with those before, as ``bundle`` reads and decides them.

    Parameters
    ----------
    bundle: a folder that ``planner.export`` or ``planner export`` wrote; or a Router, which has neither prices nor a profile.
    before: the log to compare with. since: the day (UTC) with which now begins; the same log before it is compared with. Without either,
        the profile in the bundle is, with what in ``now`` comes after it.
    looks: the file in which repeated looks at the same reference share ``alpha``; without one this is the only look.
    planned: how many looks there will be. alpha: chance of a false alarm over all measures and looks.
    book: today's prices.

    The measures are those of ``drift_words.MEASURES``. Each is tested by permuting users between the periods, with the scatter of days
    allowed for (``drift_flips``), and all are held to ``alpha`` by Holm's rule; prices are compared as they are. Raises InputError for
    periods that overlap, a bad ``since`` or file of looks; NeedsError where a period or its users are too few, or there is nothing to
    compare with.
    """
    tell = progress or (lambda _stage, _share: None)
    router, manifest = _opened(bundle)
    reference = (before.hash if before else f"since {since}" if since else str(manifest.get("digest", "")), router.version)
    kept = Looks.open(Path(looks), reference, alpha, planned) if looks is not None else Looks("", alpha, 1)
    tell("reading", 0.0)
    prediction = (manifest.get("evaluation") or {}).get("prediction") or {}
    pairs, period_now, spans, notes = _compared(now, router, before, since, prediction, tell)
    key = f"{now.hash[:16]} {period_now.rows.timestamp.min()}"
    number = kept.number(key)
    level = kept.level(number)
    few = clusters(pairs["app mix"])
    if few < REFUSE:
        raise NeedsError(f"{few} users, or groups of users, in one of the periods", f"at least {REFUSE:.0f}", _FEW_USERS)
    tell("permuting users", 0.7)
    found = {measure: changes(pair) for measure, pair in pairs.items()}
    draws = int(np.clip(math.ceil(_BEYOND * len(found) / level), _FEW, _MANY))
    p = dict(zip(found, p_values([*found.values()], draws, seed).tolist(), strict=True))
    rates = (prediction.get("prices") or {}).get("rates")
    day = period_now.rows.timestamp.max().astype("datetime64[D]").item()
    prices, gone = moved(rates or {}, book or PriceBook.load(), day, period_now.rows)
    notes += _notes(found, before is not None or since is not None, rates, gone)
    table = _table(found, p, level, _labels(manifest))
    result = Drift(table, _all_changes(found), prices, level, number, kept.planned, spans, notes)
    if looks is not None:
        kept.with_look(number, _look(key, result, period_now)).save(Path(looks))
    tell("permuting users", 1.0)
    return result


def _opened(bundle: str | Path | Router) -> tuple[Router, Mapping[str, Any]]:
    """Return the router and the manifest of a bundle, of a folder with one, or of a Router, which has none."""
    if isinstance(bundle, Router):
        return bundle, {}
    path = Path(bundle)
    path = path / BUNDLE if (path / BUNDLE).is_dir() else path
    return Router.load(path), read_manifest(path)[0]


def _compared(
    now: Traffic,
    router: Router,
    before: Traffic | None,
    since: str | dt.date | None,
    prediction: Mapping[str, Any],
    tell: Callable[[str, float], None],
) -> tuple[dict[str, Any], Period, tuple[str, str], tuple[str, ...]]:
    """Return the measures in both periods, the period of now, both in words, and what is to be noted."""
    if before is not None and since is not None:
        raise InputError("both a log before and a day since", "one of the two", "drop one")
    if before is None and since is None:
        return _with_profile(now, router, prediction)
    if before is not None:
        first, second = period(before, router), period(now, router)
    else:
        cut, times = _moment(since), now.frame("timestamp")["timestamp"].to_numpy("datetime64[us]")
        first, second = period(now, router, np.flatnonzero(times < cut)), period(now, router, np.flatnonzero(times >= cut))
    tell("comparing", 0.6)
    if first.rows.timestamp.max() >= second.rows.timestamp.min():
        raise InputError(
            f"a log before that ends at {_minute(first.rows.timestamp.max())}",
            f"one that ends before now begins, at {_minute(second.rows.timestamp.min())}",
            "cut one log in two with --since DATE",
        )
    return with_log(first, second), second, (_span(first), _span(second)), ()


def _with_profile(
    now: Traffic, router: Router, prediction: Mapping[str, Any]
) -> tuple[dict[str, Any], Period, tuple[str, str], tuple[str, ...]]:
    profile, log = prediction.get("profile"), prediction.get("log") or {}
    if not profile:
        raise NeedsError("a bundle without a profile of the log it was exported with", "something to compare with", _NO_PROFILE)
    end = np.datetime64(str(log["to"]).rstrip("Z"), "us")
    times = now.frame("timestamp")["timestamp"].to_numpy("datetime64[us]")
    second = period(now, router, np.flatnonzero(times > end), profile["groups"])
    said = f"{profile['rows']:,} requests in the bundle's profile, to {_minute(end)} UTC"
    absent = ", ".join(m for m in MEASURES if m in ("output length", "cached share", "failures"))
    notes = (
        f"The profile has no {absent}: these are compared with --before LOG only.",
        "Its days and weekdays are not known: how much days differ is read off now alone, best off two whole weeks or more.",
    )
    return with_profile(profile, float(log["days"]), second), second, (said, _span(second)), notes


def _moment(since: str | dt.date | None) -> np.datetime64:
    try:
        return np.datetime64(dt.date.fromisoformat(str(since)).isoformat(), "us")
    except ValueError:
        raise InputError(f"since {str(since)!r}", "a date like 2026-11-20") from None


def _minute(time: np.datetime64) -> str:
    return str(time)[:16].replace("T", " ")


def _span(own: Period) -> str:
    start, end = own.rows.timestamp.min(), own.rows.timestamp.max()
    return f"{len(own.rows):,} requests on {own.days} days, {_minute(start)} to {_minute(end)} UTC"


def _notes(found: Mapping[str, Change], before_known: bool, rates: Any, gone: tuple[str, ...]) -> tuple[str, ...]:
    shape = found["app mix"]
    said = []
    if not shape.weekdays and before_known:
        said.append("The time before lacks a weekday that now has: weekdays were not matched.")
    if shape.day_freedom < 1:
        said.append("One day on either side: how much an ordinary day differs from the next is not known, so any day's news may alarm.")
    if empty := [m for m, c in found.items() if np.isnan(c.now).all()]:
        said.append(f"One of the periods has nothing to count for {', '.join(empty)}.")
    if not rates:
        said.append("The bundle has no prices: those since its export are compared where it was exported with --log.")
    if gone:
        said.append(f"Today's price book has no rate for {', '.join(gone)}.")
    return tuple(said)


def _labels(manifest: Mapping[str, Any]) -> int:
    """Return how many labels it takes to certify the bundle's floor anew, for a router that loses nothing."""
    floor = (manifest.get("training") or {}).get("floor") or _FLOOR
    labels: float = calibration_labels(float(floor)) / PARTS["calibrate"]
    return math.ceil(labels)


def _table(found: Mapping[str, Change], p: Mapping[str, float], level: float, labels: int) -> pd.DataFrame:
    adjusted = holm(p)
    rows = [
        {**_line(measure, change, change.top), "p_value": p[measure], "p_adjusted": adjusted[measure]} for measure, change in found.items()
    ]
    table = pd.DataFrame(rows).drop(columns="score")
    return table.assign(alarm=table["p_adjusted"] <= level, fix=[advice(measure, labels) for measure in table["measure"]])


def _all_changes(found: Mapping[str, Change]) -> pd.DataFrame:
    rows = [_line(measure, change, k) for measure, change in found.items() for k in range(len(change.said))]
    return pd.DataFrame(rows, columns=list(_CHANGES))


def _line(measure: str, change: Change, k: int) -> dict[str, Any]:
    was, now = float(change.before[k]), float(change.now[k])
    values = (measure, change.said[k], was, now, now - was, float(change.low[k]), float(change.high[k]), float(change.score[k]))
    return dict(zip(_CHANGES, values, strict=True))


def _look(key: str, found: Drift, own: Period) -> dict[str, Any]:
    spans = {"from": f"{own.rows.timestamp.min()}Z", "to": f"{own.rows.timestamp.max()}Z", "requests": len(own.rows)}
    at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {"key": key, "at": at, **spans, "alpha": found.alpha, "alarms": list(found.alarms)}
