"""The draw: which units are labelled, with which probability, for a seed.

In: what is known of every request, a budget. Out: units, those drawn, and every unit's probability. Every random number belongs to a
request (or an app) and a seed, so that neither the order of the log nor what else is drawn changes it. Loads and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import NeedsError
from planner.labels.allocate import Strata, targets, whole
from planner.labels.asking import Terms
from planner.labels.eligible import CHEAPEST, REASONS
from planner.labels.texts import Texts
from planner.labels.units import Units, units_of
from planner.stats import draws
from planner.text.prints import joint_keys
from planner.units import PUSD_PER_USD

__all__ = ["Drawn", "Ready", "draw"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Requests with one of the first four reasons never were part of a session that a model answered.
_OUTSIDE = 4
#: Draws rehearsed to learn how much the price of a draw varies, and how many standard deviations are left free for it.
_REHEARSALS, _FREE = 24, 2.5


@dataclass(frozen=True, eq=False)
class Ready:
    """What is known of ``n`` requests before any is drawn: columns, texts, terms, why some may not be asked, and what decides for what."""

    frame: pd.DataFrame
    texts: Texts
    terms: Terms
    reason: NDArray[np.int8]
    unit: str


@dataclass(frozen=True, eq=False)
class Drawn:
    """``units`` of which those at ``picked`` are labelled; ``probability`` (m,) of each unit, 0 where the budget does not reach its app."""

    units: Units
    picked: Ints
    probability: Floats


def draw(ready: Ready, budget_usd: float, least: int, seed: int) -> Drawn:
    """Draw for ``budget_usd``; other draws are rehearsed first, and the plan leaves free what their prices vary by.

    Raises NeedsError when nothing may be labelled or nothing is at stake, InputError when the budget buys nothing.
    """
    units = _with_stake(ready, _units(ready, seed))
    strata, of = _strata(ready, units)
    price = ready.terms.unit_pusd[units.row] / PUSD_PER_USD
    names = sorted(ready.frame["app"].iloc[units.row].unique())
    ids = draws.key(ready.frame["request_id"].iloc[units.row])
    target = targets(strata, budget_usd, least)
    prices = [price[_pick(names, ids, strata, of, target, seed, f"/rehearsal-{k}")].sum() for k in range(_REHEARSALS)]
    share = budget_usd / (budget_usd + _FREE * float(np.std(prices)))
    target = targets(strata, share * budget_usd, least)
    return Drawn(units, _pick(names, ids, strata, of, target, seed, ""), (target / strata.units)[of])


def _units(ready: Ready, seed: int) -> Units:
    frame, texts, reason = ready.frame, ready.texts, ready.reason
    codes = [pd.factorize(frame[c])[0] for c in ("app", "model", "response_format")]
    units = units_of(
        reason,
        (reason > 0) & (reason <= _OUTSIDE),
        frame["session_id"] if ready.unit == "session" else None,
        frame["timestamp"].dt.tz_localize(None).to_numpy(),
        joint_keys(np.where(texts.group == 0, np.uint64(1), texts.group), *codes),
        frame["weight"].to_numpy(float),
        draws.uniform(seed, draws.key(frame["request_id"]), "label/duplicate"),
    )
    if not len(units.row):
        most = REASONS[int(np.bincount(reason).argmax())]
        raise NeedsError(f"no request of this log can be labelled; most often: {most}", fix="see what the log lacks: planner read LOG")
    return units


def _with_stake(ready: Ready, units: Units) -> Units:
    """Leave out the units of apps in which no candidate is cheaper than today's model."""
    app = pd.factorize(ready.frame["app"])[0][units.row]
    sums = np.bincount(app, weights=units.total(ready.terms.stake_pusd.astype(float)))
    if not (sums > 0).any():
        raise NeedsError("no candidate is cheaper than today's model on any request", fix="name cheaper ones: --candidate MODEL")
    return units.keep(sums[app] > 0, CHEAPEST)


def _strata(ready: Ready, units: Units) -> tuple[Strata, Ints]:
    """Sort units into strata: app, template, length, kind of text, day, and a few groups of users; return each unit's too."""
    frame, texts, terms = ready.frame, ready.texts, ready.terms
    rows = frame.iloc[units.row]
    version = rows["prompt_version"]
    keys = {
        "app": pd.factorize(rows["app"], sort=True)[0],
        "template": np.where(version.notna(), draws.key(version.fillna("")), texts.template[units.row]),
        "length": np.log2(np.maximum(texts.size[units.row], 1)).astype(np.int64),
        "kind": texts.kind[units.row],
        "day": rows["timestamp"].dt.floor("D").to_numpy(),
        "users": draws.key(rows["user"].fillna("").astype(str)) % np.uint64(4),
    }
    of: Ints = pd.DataFrame(keys).groupby(list(keys), sort=True).ngroup().to_numpy().astype(np.int64)
    weight = frame["weight"].to_numpy(float)
    stake = units.total(terms.stake_pusd * weight) / PUSD_PER_USD
    count = np.bincount(of).astype(float)
    app = np.zeros(len(count), np.int64)
    app[of] = keys["app"]
    mean = {n: np.bincount(of, weights=v) / count for n, v in (("s", stake), ("p", terms.unit_pusd[units.row] / PUSD_PER_USD))}
    return Strata(app, count, mean["s"], mean["p"]), of


def _pick(names: list[str], ids: NDArray[np.uint64], strata: Strata, of: Ints, target: Floats, seed: int, purpose: str) -> Ints:
    """Draw: whole numbers per stratum with mean ``target``, and in each stratum the units whose own draw is least."""
    counts = whole(target, strata.app, draws.uniform(seed, draws.key(names), f"label/start{purpose}"))
    order = np.lexsort((draws.uniform(seed, ids, f"label/unit{purpose}"), of))
    starts = np.concatenate([[0], np.cumsum(strata.units.astype(np.int64))[:-1]])
    place = np.arange(len(of)) - starts[of[order]]
    return np.sort(order[place < counts[of[order]]])
