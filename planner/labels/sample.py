"""Choose which requests of a log to label for a budget, and what asking the candidates about them costs.

In: Traffic, candidate models, a budget, apps.yaml, a price book. Out: a Sample: the work to be done, with weights that stand for the
traffic, and an account of every request of the log. Asks nobody. Knows nothing of how answers are fetched or graded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.labels import eligible
from planner.labels.allocate import Strata, targets, whole
from planner.labels.asking import Asked, Terms, terms_of
from planner.labels.drawn import work_of
from planner.labels.sampled import Sample, account, by_app
from planner.labels.texts import Texts, texts_of
from planner.labels.units import Units, units_of
from planner.prices import PriceBook
from planner.stats import draws
from planner.text.prints import joint_keys
from planner.traffic import Apps, Traffic
from planner.units import PUSD_PER_USD

__all__ = ["LEAST", "sample_labels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: The fewest requests of an app that gets any: fewer cannot tell a loss of a few points from none.
LEAST = 50
#: What the draw costs on average, as a share of the budget: one drawn sample costs a little more or less.
_PLANNED = 0.97
_COLUMNS = ("request_id", "timestamp", "user", "session_id", "provider", "model", "prompt_version", "max_tokens", "weight", "service_tier")
#: Requests with one of the first four reasons never were part of a session that a model answered.
_OUTSIDE = 4


def sample_labels(
    traffic: Traffic,
    candidates: Sequence[str],
    budget_usd: float,
    *,
    apps: Apps | None = None,
    book: PriceBook | None = None,
    seed: int = 0,
    unit: str = "session",
    least: int = LEAST,
    grader_usd: float = 0.0,
    expected_output: Mapping[str, float] | None = None,
    limit_tokens: int = 4_096,
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
    providers: Collection[str] = (),
    at: dt.date | None = None,
) -> Sample:
    """Choose requests for ``budget_usd``: apps with most money at stake first, all kinds of requests, near duplicates once.

    Parameters
    ----------
    candidates: the models that should answer; today's own answer is reused from the log at no cost.
    budget_usd: [USD] for answers and grading together.
    apps: who may see what, and what may act; drafted from the log where not given, and then only providers that the log shows get
        any prompt.
    seed: of every draw; equal seeds give equal samples.
    unit: ``session``: the first turn stands for the session; ``request``: every request for itself.
    least: requests of an app that gets any.
    grader_usd: [USD] what grading one answer costs.
    expected_output: model → tokens of its answer; assumed as long as today's where not given.
    limit_tokens: output limit of a request for which the log states none.
    schemas: app → the JSON schema of its answers, which logs do not hold.
    providers: who may see prompts besides, where apps.yaml does not state it.
    at: the day whose prices hold; the catalogue's own where not given.

    Each item's ``weight`` is the requests it stands for divided by the probability of being drawn, so that a weighted total over
    samples is right on average (Horvitz and Thompson, JASA 47, 1952). Raises InputError, NeedsError or PriceError where nothing can
    be drawn.
    """
    asked = Asked(expected_output or {}, limit_tokens, grader_usd, providers)
    _check(budget_usd, unit, least, asked)
    book = book or PriceBook.load()
    frame = traffic.frame(*_COLUMNS, *eligible.COLUMNS)
    apps = (apps or Apps.draft(traffic)).require(frame["app"][frame["purpose"] == "user"].unique())
    texts = texts_of(traffic)
    terms = terms_of(traffic, frame, candidates, apps.apps, book, at or book.date, asked)
    reason = terms.refused(eligible.reasons(frame, texts, terms.priced, apps.apps, {*(schemas or {})}))
    units = _with_stake(frame, terms, _units(frame, texts, reason, unit, seed))
    strata, of = _strata(frame, texts, terms, units)
    target = targets(strata, _PLANNED * budget_usd, least)
    probability = (target / strata.units)[of]
    picked = _pick(frame, units, strata, of, target, seed)
    meta = {
        "traffic": traffic.hash, "candidates": list(candidates), "budget_usd": budget_usd, "grader_usd": grader_usd, "seed": seed,
        "unit": unit, "prices": book.name, "at": str(terms.at), "schemas": dict(schemas or {}),
    }  # fmt: skip
    work = work_of(traffic, terms, units, picked, probability[picked], texts.size, meta, seed)
    return Sample(work, account(frame, terms, units, picked, probability > 0), by_app(frame, terms, units, picked, work))


def _check(budget_usd: float, unit: str, least: int, asked: Asked) -> None:
    if not 0 < budget_usd < float("inf"):
        raise InputError(f"a budget of {budget_usd!r}", "dollars above 0")
    if unit not in ("session", "request"):
        raise InputError(f"unit {unit!r}", "session or request")
    if least < 1 or asked.limit_tokens < 1:
        raise InputError(f"least {least}, limit_tokens {asked.limit_tokens}", "whole numbers from 1 on")
    if not 0 <= asked.grader_usd < float("inf"):
        raise InputError(f"grader_usd {asked.grader_usd!r}", "dollars from 0 on")


def _units(frame: pd.DataFrame, texts: Texts, reason: NDArray[np.int8], unit: str, seed: int) -> Units:
    codes = [pd.factorize(frame[c])[0] for c in ("app", "model", "response_format")]
    units = units_of(
        reason,
        (reason > 0) & (reason <= _OUTSIDE),
        frame["session_id"] if unit == "session" else None,
        frame["timestamp"].dt.tz_localize(None).to_numpy(),
        joint_keys(np.where(texts.group == 0, np.uint64(1), texts.group), *codes),
        frame["weight"].to_numpy(float),
        draws.uniform(seed, draws.key(frame["request_id"]), "label/duplicate"),
    )
    if not len(units.row):
        most = eligible.REASONS[int(np.bincount(reason).argmax())]
        raise NeedsError(f"no request of this log can be labelled; most often: {most}", fix="see what the log lacks: planner read LOG")
    return units


def _with_stake(frame: pd.DataFrame, terms: Terms, units: Units) -> Units:
    """Leave out the units of apps in which no candidate is cheaper than today's model."""
    app = pd.factorize(frame["app"])[0][units.row]
    sums = np.bincount(app, weights=units.total(terms.stake_pusd.astype(float)))
    if not (sums > 0).any():
        raise NeedsError("no candidate is cheaper than today's model on any request", fix="name cheaper ones: --candidate MODEL")
    return units.keep(sums[app] > 0, eligible.CHEAPEST)


def _strata(frame: pd.DataFrame, texts: Texts, terms: Terms, units: Units) -> tuple[Strata, Ints]:
    """Sort units into strata: app, template, length, kind of text, day, and a few groups of users; return each unit's too."""
    rows = frame.iloc[units.row]
    versions = pd.factorize(rows["prompt_version"])[0]
    keys = {
        "app": pd.factorize(rows["app"], sort=True)[0],
        "template": np.where(versions >= 0, versions.astype(np.uint64), texts.template[units.row]),
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


def _pick(frame: pd.DataFrame, units: Units, strata: Strata, of: Ints, target: Floats, seed: int) -> Ints:
    """Draw: whole numbers per stratum with mean ``target``, and in each stratum the units whose own draw is least."""
    names = sorted(frame["app"].iloc[units.row].unique())
    counts = whole(target, strata.app, draws.uniform(seed, draws.key(names), "label/start"))
    own = draws.uniform(seed, draws.key(frame["request_id"].iloc[units.row]), "label/unit")
    order = np.lexsort((own, of))
    starts = np.concatenate([[0], np.cumsum(strata.units.astype(np.int64))[:-1]])
    place = np.arange(len(of)) - starts[of[order]]
    return np.sort(order[place < counts[of[order]]])
