"""Verify: what routing did, measured on those whom a lot kept as they asked, beside what was predicted before it was turned on.

In: a log of the time after, and the bundle that ran. Out: a Verification: saving, quality, failures and p95 of routed requests against kept
ones of the same app and settings, with intervals over what the lot was drawn for; checks of the experiment; the prediction. Knows nothing
of gateways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.bundle.gateway import BUNDLE
from planner.errors import InputError
from planner.followup.arms import Arms, arms
from planner.followup.verify_checks import Check, checks, costed_alike, same_unmoved
from planner.followup.verify_contrasts import Contrast, higher, likelier, saved, slower
from planner.followup.verify_predicted import expected, of_routing, other_levers, verdict
from planner.followup.verify_result import LEAST_DAYS, Verification
from planner.followup.verify_sides import Sample
from planner.prices import PriceBook
from planner.prices.audit import audit
from planner.router.load import read_manifest
from planner.stats import REFUSE, WARN
from planner.traffic import Traffic
from planner.units import DAYS_PER_MONTH, PUSD_PER_USD

__all__ = ["PRECISION", "Verification", "manifest_of", "verify"]

F64 = NDArray[np.float64]
#: Half the width that the interval of the saved share should have where nothing is said.
PRECISION = 0.05
_CONTRASTS = {"quality": higher, "failures": likelier, "p95_ms": slower}
_COLUMNS = ("model", "status", "latency_ms", "quality", "weight")


def verify(
    traffic: Traffic,
    bundle: str | Path,
    *,
    book: PriceBook | None = None,
    precision: float = PRECISION,
    cost_usd: F64 | None = None,
) -> Verification:
    """Compare the requests that ``bundle`` routed with those kept by lot.

    Parameters
    ----------
    traffic: a log of the time after an app was set to canary or active.
    bundle: what ran: a folder that ``planner export`` wrote, or the bundle in it.
    book: rates, as for ``audit``; each request is priced at its own time.
    precision: half the width of the interval wanted for the share saved; where it is wider, ``more_days`` says how long to wait.
    cost_usd: (n,) what each row of ``traffic`` was billed [USD], NaN where it is not known, in place of the rates.

    Requests are compared within app, settings (the chance of being routed) and decision, and weighted to the mix of what was routed.
    Everybody keeps the drawn arm, whatever answered in the end. Where decisions are made by session, or units are single requests, those
    that keep their model are left out of the noise: their decision does not depend on the arm. What is compared is this log's own traffic:
    its mix is given, and the interval is about what these very requests would have cost. Where requests of one arm lack a price more often
    than chance has it, or more than one in a hundred does in either, the saving is NaN and a check an alarm: what routing did would choose
    who has a price. p95 is of all requests, of which one that failed was never answered; it is NaN where more than 5 % of an arm fail.
    Dollars a month are NaN where the log covers less than a day: a few hours say little of a month.
    Raises NeedsError where nothing was routed, InputError for a bad ``precision``, BundleError.
    """
    manifest = manifest_of(bundle, precision)
    found = arms(traffic, manifest["digest"])
    usd, prices = _costs(traffic, book) if cost_usd is None else (cost_usd, "as billed")
    frame = traffic.frame(*_COLUMNS).iloc[found.position].reset_index(drop=True)
    models = frame["model"].to_numpy(object)
    done = checks(found, models, book)
    failed = (frame["status"] != "ok").to_numpy(bool)
    values = {
        "saving_share": usd[found.position],
        "quality": frame["quality"].to_numpy(float),
        "failures": failed.astype(float),
        "p95_ms": np.where(failed, np.inf, frame["latency_ms"].to_numpy(float)),
    }
    weight = frame["weight"].to_numpy(float)
    known_first = manifest["router"]["unit"] == "session" or len(np.unique(found.unit)) == len(found)
    if known_first:
        kept_models = same_unmoved(_Compared(found, models, values, weight, split=False).sample("saving_share", ~found.moved))
        done = (*done, kept_models)
        known_first = not kept_models.alarm
    compared = _Compared(found, models, values, weight, split=known_first)
    prediction = (manifest.get("evaluation") or {}).get("prediction") or {}
    alone = of_routing(prediction)
    days = float((found.timestamp.max() - found.timestamp.min()) / np.timedelta64(1, "D"))
    table = _table(compared, alone, days)
    half, units = _precision(table)
    unpriced = np.isnan(values["saving_share"])
    costed = compared.costed(np.ones(len(found), bool))
    done = (*done, *([costed] if costed else []), *_alone(unpriced, compared, table))
    return Verification(
        table=table,
        checks=done,
        left_out=found.left_out,
        counts=_counts(found),
        unit_kind=found.unit_kind,
        days=days,
        precision=precision,
        more_days=_more_days(half, units, max(days, 1 / 24), precision),
        levers=other_levers(prediction),
        predicted=bool(prediction),
        comparable=bool(alone),
        graded=int(np.isfinite(values["quality"]).sum()),
        bundle=str(manifest["digest"])[:12],
        prices=prices,
    )


def manifest_of(bundle: str | Path, precision: float = PRECISION) -> dict[str, Any]:
    """Return the manifest of a bundle or of the folder that it lies in: all that can be refused before a log is read."""
    if not 0 < precision < 1:
        raise InputError(f"precision {precision:g}", "a share above 0 and below 1", "for example 0.05")
    path = Path(bundle)
    return read_manifest(path / BUNDLE if (path / BUNDLE).is_dir() else path)[0]


def _costs(traffic: Traffic, book: PriceBook | None) -> tuple[F64, str]:
    """Return what each request costs at the rates of its own time [USD], NaN without one, and the book's name."""
    priced = audit(traffic, book)
    return np.where(priced.reason == 0, priced.cost_pusd / PUSD_PER_USD, np.nan), priced.book.name


class _Compared:
    """The requests of all measures; with ``split`` those that keep their model are told from those that are moved."""

    def __init__(self, found: Arms, model: NDArray[np.object_], values: Mapping[str, F64], weight: F64, split: bool) -> None:
        self.arms, self.routed, self.model, self.values, self.weight = found, found.routed, model, values, weight
        self.moved = found.moved if split else np.ones(len(found), bool)
        chance = np.unique(np.nan_to_num(found.chance, nan=-1.0), return_inverse=True)[1]
        by_app = pd.factorize(pd.MultiIndex.from_arrays([chance, found.app]))[0]
        pair = pd.factorize(pd.MultiIndex.from_arrays([by_app, found.asked, found.decided]))[0]
        self.levels = tuple(level.astype(np.int64) for level in ((pair,) if split else ()) + (by_app, chance))

    def sample(self, measure: str, rows: NDArray[np.bool_]) -> Sample:
        """Return the requests of ``rows`` that have a value of ``measure``."""
        known = ~np.isnan(self.values[measure])
        return self._sample(self.values[measure], self._latency_weight if measure == "p95_ms" else self.weight).take(rows & known)

    def costed(self, rows: NDArray[np.bool_]) -> Check | None:
        """Say whether those of ``rows`` without a cost are few and as many in both arms; None where there are none."""
        unpriced = np.isnan(self.values["saving_share"])
        whole = self._sample(unpriced.astype(float), self.weight)
        return costed_alike(whole.take(rows), self.model[rows]) if (unpriced & rows).any() else None

    def _sample(self, value: F64, weight: F64) -> Sample:
        return Sample(value, weight, self.arms.unit, self.routed, self.moved, self.levels)

    @property
    def _latency_weight(self) -> F64:
        """Count a failed request for as much as the answered ones are of which the latency is known."""
        latency = self.values["p95_ms"]
        failed, known = np.isinf(latency), np.isfinite(latency)
        share = float(self.weight[known].sum() / max(float(self.weight[~failed].sum()), 1e-12))
        return np.where(failed, share * self.weight, self.weight)


def _table(compared: _Compared, prediction: Mapping[str, Any], days: float) -> pd.DataFrame:
    """Return a row an app (and "all") and measure."""
    arm, rows = compared.arms, []
    apps, month = sorted(set(arm.app[compared.routed].tolist())), DAYS_PER_MONTH / days if days >= LEAST_DAYS else math.nan
    for app in ("all", *apps):
        mine = np.isin(arm.app.astype(str), apps) if app == "all" else np.asarray(arm.app == app)
        money, per_month = compared.sample("saving_share", mine), float(compared.weight[mine].sum()) * month
        found: dict[str, Contrast | None] = _money(saved(money), money, month)
        costed = compared.costed(mine)
        if costed and costed.alarm:
            found = {measure: one and replace(one, **_UNKNOWN) for measure, one in found.items()}
        found |= {measure: contrast(compared.sample(measure, mine)) for measure, contrast in _CONTRASTS.items()}
        for measure, one in found.items():
            if one is not None:
                told = expected(prediction, measure, apps, app, per_month)
                rows.append({"app": app, "measure": measure, **_row(one), **_beside(one, told)})
    return pd.DataFrame(rows, columns=list(_ROW))


_UNKNOWN = dict.fromkeys(("routed", "asked", "difference", "low", "high"), math.nan)
_ROW = (
    *("app", "measure", "routed", "asked", "difference", "low", "high", "units", "requests"),
    *("predicted", "predicted_low", "predicted_high", "verdict", "missed_by", "evidence"),
)


def _row(one: Contrast) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in ("routed", "asked", "difference", "low", "high", "units", "requests")}
    return {**values, "evidence": "measured"}


def _beside(one: Contrast, predicted: tuple[float, float, float]) -> dict[str, Any]:
    said, by = verdict(predicted, (one.difference, one.low, one.high))
    return {**dict(zip(("predicted", "predicted_low", "predicted_high"), predicted, strict=True)), "verdict": said, "missed_by": by}


def _money(share: Contrast | None, sample: Sample, month: float) -> dict[str, Contrast | None]:
    """Return the share saved and what it is in dollars a month: of what was routed, and if all that the lot kept were routed too.

    Both bills are known; what is not is 1 − s, the ratio of routed to as asked: it says what the routed bill would have been as asked, and
    what the kept one would have been routed.
    """
    if share is None:
        return {"saving_share": None}
    bill = share.routed * share.requests * month
    kept = float(sample.weight[~sample.routed] @ sample.value[~sample.routed]) * month

    def usd(more: float, s: float) -> float:
        return bill * s / (1 - s) + more * s

    found: dict[str, Contrast | None] = {"saving_share": share}
    for name, more in (("saving_usd_per_month", 0.0), ("saving_usd_per_month_all", kept)):
        value, low, high = (usd(more, s) for s in (share.difference, share.low, share.high))
        routed = bill + more * (1 - share.difference)
        found[name] = Contrast(routed, routed + value, value, low, high, share.units, share.requests)
    return found


def _counts(found: Arms) -> pd.DataFrame:
    """Return requests and units of every arm by app: ``app, arm, requests, units``."""
    frame = pd.DataFrame({"app": found.app, "arm": found.arm, "unit": found.unit})
    counts = frame.groupby(["app", "arm"], sort=True)["unit"].agg(requests="size", units="nunique").reset_index()
    return counts.astype({"requests": int, "units": int})


def _alone(unpriced: NDArray[np.bool_], compared: _Compared, table: pd.DataFrame) -> list[Check]:
    """Count what was routed and has a price, but has nobody to be compared with."""
    money = compared.routed & ~unpriced
    whole, seen = float(compared.weight[money].sum()), table.loc[(table["app"] == "all") & (table["measure"] == "saving_share"), "requests"]
    alone = round(whole - float(seen.sum()))
    words = f"{alone:,} routed requests are left out: too few of their kind and settings were kept to compare with."
    return [Check("kept enough", False, words, alone)] if alone else []


def _precision(table: pd.DataFrame) -> tuple[float, float]:
    """Return half the width of the interval of the share saved, and the units behind it; NaN and 0 where nothing was compared."""
    found = table[(table["app"] == "all") & (table["measure"] == "saving_share") & table["difference"].notna()]
    return (math.nan, 0.0) if found.empty else (float((found["high"] - found["low"]).iloc[0]) / 2, float(found["units"].iloc[0]))


def _more_days(half: float, units: float, days: float, precision: float) -> int | None:
    """Return how many more days like these the wanted precision takes, None for none: widths fall with the root of time."""
    if not units:
        return None
    factor = WARN / max(units, 1.0) if units < REFUSE or math.isnan(half) else (half / precision) ** 2
    return math.ceil(days * (factor - 1)) if factor > 1 else None
