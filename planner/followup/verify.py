"""Verify: what routing did, measured on those whom a lot kept as they asked, beside what was predicted before it was turned on.

In: a log of the time after, and the bundle that ran. Out: a Verification: saving, quality, failures and p95 of routed requests against kept
ones of the same app and settings, with intervals over what the lot was drawn for; checks of the experiment; the prediction. Knows nothing
of gateways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.bundle.gateway import BUNDLE
from planner.errors import InputError
from planner.followup.arms import Arms, arms
from planner.followup.verify_checks import Check, checks, same_unmoved
from planner.followup.verify_contrasts import Contrast, higher, likelier, saved, slower
from planner.followup.verify_predicted import expected, other_levers, verdict
from planner.followup.verify_result import Verification
from planner.followup.verify_sides import Sample
from planner.prices import PriceBook
from planner.prices.audit import audit
from planner.router.load import read_manifest
from planner.stats import REFUSE, WARN
from planner.traffic import Traffic
from planner.units import DAYS_PER_MONTH

__all__ = ["PRECISION", "Verification", "verify"]

F64 = NDArray[np.float64]
#: Half the width that the interval of the saved share should have where nothing is said.
PRECISION = 0.05
_CONTRASTS = {"quality": higher, "failures": likelier, "p95_ms": slower}
_COLUMNS = ("model", "status", "latency_ms", "quality", "weight")


def verify(traffic: Traffic, bundle: str | Path, *, book: PriceBook | None = None, precision: float = PRECISION) -> Verification:
    """Compare the requests that ``bundle`` routed with those kept by lot.

    Parameters
    ----------
    traffic: a log of the time after an app was set to canary or active.
    bundle: what ran: a folder that ``planner export`` wrote, or the bundle in it.
    book: rates, as for ``audit``; each request is priced at its own time.
    precision: half the width of the interval wanted for the share saved; where it is wider, ``more_days`` says how long to wait.

    Requests are compared within app, settings (the chance of being routed) and decision, and weighted to the mix of what was routed.
    Everybody keeps the drawn arm, whatever answered in the end. Where decisions are made by session, or units are single requests, those
    that keep their model are left out of the noise: their decision does not depend on the arm. What is compared is this log's own traffic:
    its mix is given, and the interval is about what these very requests would have cost. Raises NeedsError where nothing was routed,
    InputError for a bad ``precision``, BundleError.
    """
    if not 0 < precision < 1:
        raise InputError(f"precision {precision:g}", "a share above 0 and below 1", "for example 0.05")
    manifest = _manifest(Path(bundle))
    found = arms(traffic, manifest["digest"])
    priced, frame = audit(traffic, book), traffic.frame(*_COLUMNS).iloc[found.position].reset_index(drop=True)
    done = checks(found, frame["model"].to_numpy(object))
    values = {
        "saving_share": np.where(priced.reason[found.position] == 0, priced.cost_pusd[found.position] / 1e12, np.nan),
        "quality": frame["quality"].to_numpy(float),
        "failures": (frame["status"] != "ok").to_numpy(float),
        "p95_ms": frame["latency_ms"].where(frame["status"] == "ok").to_numpy(float),
    }
    weight = frame["weight"].to_numpy(float)
    known_first = manifest["router"]["unit"] == "session" or len(np.unique(found.unit)) == len(found)
    if known_first:
        kept_models = same_unmoved(_Compared(found, values, weight, split=False).sample("saving_share", ~found.moved))
        done = (*done, kept_models)
        known_first = not kept_models.alarm
    compared = _Compared(found, values, weight, split=known_first)
    prediction = (manifest.get("evaluation") or {}).get("prediction") or {}
    days = max(float((found.timestamp.max() - found.timestamp.min()) / np.timedelta64(1, "D")), 1 / 24)
    table = _table(compared, prediction, days)
    half, units = _precision(table)
    done = (*done, *_missing(values["saving_share"], compared, table))
    return Verification(
        table=table,
        checks=done,
        left_out=found.left_out,
        counts=_counts(found),
        unit_kind=found.unit_kind,
        days=days,
        precision=precision,
        more_days=_more_days(half, units, days, precision),
        levers=other_levers(prediction),
        predicted=bool(prediction),
        graded=int(np.isfinite(values["quality"]).sum()),
        bundle=str(manifest["digest"])[:12],
        prices=priced.book.name,
    )


def _manifest(path: Path) -> dict[str, Any]:
    return read_manifest(path / BUNDLE if (path / BUNDLE).is_dir() else path)[0]


class _Compared:
    """The requests of all measures; with ``split`` those that keep their model are told from those that are moved."""

    def __init__(self, found: Arms, values: Mapping[str, F64], weight: F64, split: bool) -> None:
        self.arms, self.routed, self.values, self.weight = found, found.routed, values, weight
        self.moved = found.moved if split else np.ones(len(found), bool)
        chance = np.unique(np.nan_to_num(found.chance, nan=-1.0), return_inverse=True)[1]
        by_app = pd.factorize(pd.MultiIndex.from_arrays([chance, found.app]))[0]
        pair = pd.factorize(pd.MultiIndex.from_arrays([by_app, found.asked, found.decided]))[0]
        self.levels = tuple(level.astype(np.int64) for level in ((pair,) if split else ()) + (by_app, chance))

    def sample(self, measure: str, rows: NDArray[np.bool_]) -> Sample:
        """Return the requests of ``rows`` that have a value of ``measure``."""
        whole = Sample(self.values[measure], self.weight, self.arms.unit, self.routed, self.moved, self.levels)
        return whole.take(rows & np.isfinite(self.values[measure]))


def _table(compared: _Compared, prediction: Mapping[str, Any], days: float) -> pd.DataFrame:
    """Return a row an app (and "all") and measure."""
    arm, rows = compared.arms, []
    apps = sorted(set(arm.app[compared.routed].tolist()))
    for app in ("all", *apps):
        mine = np.isin(arm.app.astype(str), apps) if app == "all" else np.asarray(arm.app == app)
        money, per_month = compared.sample("saving_share", mine), float(compared.weight[mine].sum()) * DAYS_PER_MONTH / days
        found: dict[str, Contrast | None] = _money(saved(money), money, DAYS_PER_MONTH / days)
        found |= {measure: contrast(compared.sample(measure, mine)) for measure, contrast in _CONTRASTS.items()}
        for measure, one in found.items():
            if one is not None:
                told = expected(prediction, measure, apps, app, per_month)
                rows.append({"app": app, "measure": measure, **_row(one), **_beside(one, told)})
    return pd.DataFrame(rows, columns=list(_ROW))


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


def _missing(usd: F64, compared: _Compared, table: pd.DataFrame) -> list[Check]:
    """Count what is in no figure of money though the lot routed or kept it."""
    unpriced = int(np.isnan(usd).sum())
    found = [Check("prices", False, f"{unpriced:,} requests have no price and are in no figure of money.", unpriced)] if unpriced else []
    money = compared.routed & np.isfinite(usd)
    whole, seen = float(compared.weight[money].sum()), table.loc[(table["app"] == "all") & (table["measure"] == "saving_share"), "requests"]
    alone = round(whole - float(seen.sum()))
    if alone:
        words = f"{alone:,} routed requests are left out: too few of their kind and settings were kept to compare with."
        found.append(Check("kept enough", False, words, alone))
    return found


def _precision(table: pd.DataFrame) -> tuple[float, float]:
    """Return half the width of the interval of the share saved, and the units behind it; NaN and 0 where nothing was compared."""
    found = table[(table["app"] == "all") & (table["measure"] == "saving_share")]
    return (math.nan, 0.0) if found.empty else (float((found["high"] - found["low"]).iloc[0]) / 2, float(found["units"].iloc[0]))


def _more_days(half: float, units: float, days: float, precision: float) -> int | None:
    """Return how many more days like these the wanted precision takes: widths fall with the root of time; None where it is reached."""
    factor = WARN / max(units, 1.0) if units < REFUSE or math.isnan(half) else (half / precision) ** 2
    return math.ceil(days * (factor - 1)) if factor > 1 else None
