"""Semantic cache: how many requests each threshold would serve, and how many of those answers would be false.

In: what a cache would have served (``outcomes.served``). Out: per threshold and per band of similarity the hit rate and the rate of
false hits: the disagreement of the served pairs less the disagreement of repeats of the very same question, with interval; and
the lowest threshold whose false hits stay within a limit, chosen on an earlier period and reported on a later one. Knows nothing of
money, and nothing of whether an answer was right, but where labels say so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.outcomes.judged import Baseline
from planner.outcomes.served import Asked, Measure, Pairs, apart, repeats, served
from planner.text.disagreement import disagreement

__all__ = ["BANDS", "THRESHOLDS", "Choice", "FalseHits", "choose_threshold", "false_hits"]

F64 = NDArray[np.float64]
#: Cosines, strict first.
THRESHOLDS = tuple(round(x / 100, 2) for x in range(98, 58, -2))
#: Edges of the bands of similarity.
BANDS = (0.0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
_US = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class FalseHits:
    """What a semantic cache would serve at each threshold.

    Parameters
    ----------
    table: a row a threshold: ``asked`` requests with a question, ``exact_hits`` of the same question, ``near_hits`` of a similar one,
        ``hit_rate`` of both, ``cut`` misses whose list of neighbours was cut (hits may be more by that), ``judged`` near hits whose two
        answers are in the log, their mean ``disagreement``, the ``baseline`` of identical questions (0 where unknown), ``false_hits``
        (their difference) in [``low``, ``high``], its ``evidence``; ``harm``: how much further from the right answer, by ``references``.
    bands: a row a band of similarity of the near hits at ``at``: ``from``, ``to``, and the columns about judged pairs.
    at: the threshold of the bands. embedding: the method. since, until: the period [UTC]. unknown: share of judged pairs without baseline.
    """

    table: pd.DataFrame = field(repr=False)
    bands: pd.DataFrame = field(repr=False)
    at: float
    embedding: str
    since: dt.datetime
    until: dt.datetime
    unknown: float

    @property
    def text(self) -> str:
        """What the threshold of the bands does, in three sentences."""
        row = self.table[self.table["threshold"] == self.at].iloc[0]
        return f"{_period(self.since, self.until)}: {_said(row, self.embedding)} {_on_baseline(self.unknown)}"


@dataclass(frozen=True)
class Choice:
    """The threshold chosen on the earlier period, with what it does on both.

    ``threshold`` is None where none keeps false hits within ``limit``. ``earlier`` and ``later`` have the same thresholds.
    """

    threshold: float | None
    limit: float
    earlier: FalseHits
    later: FalseHits

    @property
    def table(self) -> pd.DataFrame:
        """The rows of both periods, ``period`` and ``chosen`` in front."""
        parts = [f.table.assign(period=name) for name, f in (("earlier", self.earlier), ("later", self.later))]
        table = pd.concat(parts, ignore_index=True)
        table.insert(0, "chosen", table["threshold"] == (np.nan if self.threshold is None else self.threshold))
        table.insert(0, "period", table.pop("period"))
        return table

    @property
    def holds(self) -> bool | None:
        """Whether the later period's interval stays within the limit; None where nothing was chosen or too few pairs can tell."""
        high = (
            np.nan
            if self.threshold is None
            else float(self.later.table.loc[self.later.table["threshold"] == self.threshold, "high"].iloc[0])
        )
        return None if np.isnan(high) else high <= self.limit

    @property
    def text(self) -> str:
        """What was chosen on what, and what it does later."""
        limit = f"at most {_percent(self.limit)} false hits among the answers served for similar questions"
        before = f"on the requests before {self.earlier.until:%Y-%m-%d}"
        if self.threshold is None:
            why = "is known to keep" if (self.earlier.table["open"] <= self.limit).any() else "serves enough different pairs to prove"
            return f"No threshold {why} {limit}, judged {before}. {_on_baseline(self.earlier.unknown)}"
        verdict = {
            True: "The later period confirms the limit.",
            False: "The later period does not confirm the limit: take a stricter threshold or none.",
            None: "The later period has too few judged pairs to confirm the limit.",
        }[self.holds]
        return f"Threshold {self.threshold:g}, chosen for {limit}, {before}. {self.later.text} {verdict}"


def false_hits(
    log: Asked,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    at: float | None = None,
    ttl_s: float = 86_400.0,
    measure: Measure = disagreement,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> FalseHits:
    """Return what each of ``thresholds`` would serve to the requests of a period, and how much of it falsely.

    Parameters
    ----------
    log: of ``served.asked``, with a floor no higher than the lowest threshold.
    at: the threshold of the bands; the lowest without it.
    ttl_s: how long answers are kept [s]. measure: how far two answers are apart.
    since, until: only requests that arrive in [since, until) [UTC] are counted; the cache has seen those before.

    Notes
    -----
    Intervals are of 95 % and as ``outcomes.judged`` says. Baselines are per app. Evidence is ``assumed`` without an interval.
    """
    _check(log, thresholds)
    first, end = _span(log)
    low, high = (default if t is None else (t - _EPOCH) // _US for t, default in ((since, first), (until, end)))
    return _Sweep.of(log, thresholds, ttl_s, measure).report(low, high, min(thresholds) if at is None else at)


def choose_threshold(
    log: Asked,
    limit: float = 0.02,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    ttl_s: float = 86_400.0,
    measure: Measure = disagreement,
    split: float = 0.5,
) -> Choice:
    """Choose the lowest threshold whose false hits are at most ``limit`` by the interval's upper end, on the first ``split`` of the time.

    Thresholds are tried from strict to lenient, from the first with enough pairs to pass at all, until one fails: a fixed sequence, so
    that the level of each holds for all (Maurer, Hothorn & Lehmacher 1995). Answers of the later period are not looked at.
    """
    if not 0 < limit < 1 or not 0 < split < 1:
        raise InputError(f"limit {limit}, split {split}", "both above 0 and below 1")
    _check(log, thresholds)
    first, end = _span(log)
    cut = first + round((end - first) * split)
    sweep = _Sweep.of(log, thresholds, ttl_s, measure)
    earlier = sweep.report(first, cut, min(thresholds))
    chosen = _lowest(earlier.table, limit)
    at = min(thresholds) if chosen is None else chosen
    return Choice(chosen, limit, sweep.report(first, cut, at), sweep.report(cut, end, at))


def _lowest(table: pd.DataFrame, limit: float) -> float | None:
    """Return the last threshold, strict first, up to which all that could pass with no event at all do pass."""
    chosen = None
    able = (table["open"] <= limit).cummax()
    for threshold, high in table.loc[able, ["threshold", "high"]].to_numpy(float).tolist():
        if not high <= limit:
            break
        chosen = threshold
    return chosen


def _check(log: Asked, thresholds: Sequence[float]) -> None:
    if not len(log):
        raise InputError("a log of no requests", "at least one")
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise InputError(f"thresholds {list(thresholds)}", "at least one, each above 0 and at most 1")


def _span(log: Asked) -> tuple[int, int]:
    return int(log.start_us[0]), int(log.start_us[-1]) + 1


@dataclass(frozen=True, eq=False)
class _Sweep:
    """The pairs of every threshold and of repeats, with their disagreement and harm."""

    log: Asked
    pairs: dict[float, tuple[Pairs, F64, F64]]
    same: tuple[Pairs, F64]

    @classmethod
    def of(cls, log: Asked, thresholds: Sequence[float], ttl_s: float, measure: Measure) -> _Sweep:
        found = {t: served(log, t, ttl_s) for t in sorted(set(thresholds), reverse=True)}
        same = repeats(log)
        everything = [*found.values(), same]
        joined = Pairs(*(np.concatenate([getattr(p, n) for p in everything]) for n in ("request", "source", "similarity")))
        distance, harm = apart(log, joined, measure)
        ends = np.cumsum([len(p) for p in everything])[:-1]
        split = list(zip(everything, np.split(distance, ends), np.split(harm, ends), strict=True))
        return cls(log, dict(zip(found, split, strict=False)), split[-1][:2])

    def report(self, since_us: int, until_us: int, at: float) -> FalseHits:
        """Return what is served to the requests that arrive in [since, until)."""
        inside = (self.log.start_us >= since_us) & (self.log.start_us < until_us)
        same, far = self.same
        base = Baseline(self.log, same.take(inside[same.request]), far[inside[same.request]])
        rows = [self._row(threshold, inside, base) for threshold in self.pairs]
        pairs, distance, harm = self.pairs[at]
        near = inside[pairs.request] & self._other(pairs)
        band = np.searchsorted(BANDS[1:-1], pairs.similarity.astype(float), side="right")
        bands = [
            {"from": low, "to": high} | base.judge(pairs, distance, harm, near & (band == k))
            for k, (low, high) in enumerate(pairwise(BANDS))
        ]
        return FalseHits(
            pd.DataFrame(rows),
            pd.DataFrame(bands),
            at,
            self.log.questions.embedding,
            _EPOCH + since_us * _US,
            _EPOCH + until_us * _US,
            base.unknown(pairs, distance, near),
        )

    def _other(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Say which pairs are of two questions."""
        asks = self.log.questions.asks
        return np.asarray(asks[pairs.request] != asks[pairs.source])

    def _row(self, threshold: float, inside: NDArray[np.bool_], base: Baseline) -> dict[str, object]:
        pairs, distance, harm = self.pairs[threshold]
        mine = inside[pairs.request]
        near = mine & self._other(pairs)
        many = int((inside & (self.log.questions.asks >= 0)).sum())
        cut = self.log.near.above(threshold).cut & inside
        cut[pairs.request] = False
        return {
            "threshold": threshold,
            "asked": many,
            "exact_hits": int(mine.sum() - near.sum()),
            "near_hits": int(near.sum()),
            "hit_rate": mine.sum() / max(many, 1),
            "cut": int(cut.sum()),
        } | base.judge(pairs, distance, harm, near)


def _said(row: pd.Series, embedding: str) -> str:
    hits = f"at {row['threshold']:g} ({embedding}) a cache would serve {_percent(row['hit_rate'])} of {row['asked']:,.0f} requests"
    hits += f", {row['near_hits']:,.0f} of them with the answer to a similar question"
    if not row["judged"]:
        return f"{hits}; none of those can be judged."
    interval = "no interval" if np.isnan(row["high"]) else f"[{_percent(row['low'])}, {_percent(row['high'])}]"
    return f"{hits}; of those {_percent(row['false_hits'])} {interval} would be false ({row['evidence']}, {row['judged']:,.0f} judged)."


def _on_baseline(unknown: float) -> str:
    if not unknown:
        return "False: disagreement beyond that of repeats of the same question."
    which = "No app" if unknown == 1 else f"For {_percent(unknown)} of the pairs no app"
    return f"{which} repeats enough identical questions: there all disagreement counts as false, an upper bound."


def _period(since: dt.datetime, until: dt.datetime) -> str:
    return f"{since:%Y-%m-%d} to {until:%Y-%m-%d}"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %".replace("-", "−")
