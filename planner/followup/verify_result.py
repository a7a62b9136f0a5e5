"""Verification: what routing did as a value with its table, and in words.

In: rows by app and measure, checks, counts. Out: text and Estimates. Computes no result.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from planner.errors import InputError, did_you_mean
from planner.followup.verify_checks import Check
from planner.stats import WARN, Estimate

__all__ = ["LEAST_DAYS", "MEASURES", "Verification"]

#: Days of a log below which no dollars a month are given.
LEAST_DAYS = 1.0

#: What is compared. The savings are as asked minus routed, all else routed minus as asked.
MEASURES: Mapping[str, str] = {
    "saving_share": "share of the cost saved",
    "saving_usd_per_month": "saved a month on what was routed [USD]",
    "saving_usd_per_month_all": "saved a month if all that the lot kept were routed too [USD]",
    "quality": "quality",
    "failures": "share of requests that fail",
    "p95_ms": "p95 of latency [ms], failed requests being slower than all",
}


#: What the simulation predicts without an interval.
_BARE = {"failures": "failures", "p95_ms": "p95"}


@dataclass(frozen=True, eq=False)
class Verification:
    """What routing did, beside what was predicted.

    Parameters
    ----------
    table: a row an app (and "all") and measure (of MEASURES): ``app, measure, routed, asked`` (what the same would have been as asked),
        ``difference, low, high`` (95 %), ``units`` (effective, of the smaller side), ``requests`` (routed, compared), ``predicted,
        predicted_low, predicted_high, verdict`` (``holds`` where the difference to what was observed may be 0, ``missed`` or "") ``,
        missed_by`` (at least; above 0 where too much was predicted) ``, evidence``. Predicted dollars are those of this log's number of
        requests. Unknown is NaN: money where requests without a price are too many or more in one arm, dollars a month of less than a day,
        p95 of an arm of which more than 5 % fail.
    checks: what was looked at first. left_out: why → rows of the log in no figure.
    counts: ``app, arm, requests, units``. unit_kind: what the lot was drawn for: session, user or request.
    days: length of the log. precision: half the width wanted for the share saved. more_days: that this takes, None where it is reached
        or nothing was compared.
    levers: of the plan besides its routing, which no comparison of arms shows. predicted: whether the bundle holds a prediction.
    comparable: whether it holds one of routing alone, which is what stands in the table.
    graded: requests with a quality. bundle, prices: what was looked at, and at which prices.
    """

    table: pd.DataFrame
    checks: tuple[Check, ...]
    left_out: Mapping[str, int] = field(repr=False)
    counts: pd.DataFrame = field(repr=False)
    unit_kind: str
    days: float
    precision: float
    more_days: int | None
    levers: tuple[str, ...]
    predicted: bool
    comparable: bool
    graded: int
    bundle: str
    prices: str

    @property
    def alarms(self) -> tuple[Check, ...]:
        """The checks that failed: with any, the comparison does not mean what it should."""
        return tuple(check for check in self.checks if check.alarm)

    def estimate(self, measure: str, app: str = "all") -> Estimate | None:
        """Return the difference that routing makes to ``measure``, None where it is not known; InputError for an unknown name."""
        for name, known in ((measure, list(MEASURES)), (app, ["all", *self.counts["app"].unique()])):
            if name not in known:
                raise InputError(f"{name!r}", f"one of {', '.join(known)}", did_you_mean(name, known))
        row = self._row(measure, app)
        if row is None or math.isnan(row["difference"]):
            return None
        low, high = (None if math.isnan(row[x]) else float(row[x]) for x in ("low", "high"))
        source = f"routed against kept {self.unit_kind}s of bundle {self.bundle}; {self.prices}"
        return Estimate(float(row["difference"]), low, high, row["evidence"], n=round(row["requests"]), source=source)

    @property
    def saved_usd(self) -> tuple[float, float, float] | None:
        """What routing saved in this log [USD] on what was routed, with its 95 % limits (NaN without); None where it is not known."""
        row = self._row("saving_share")
        if row is None or math.isnan(row["difference"]):
            return None
        bill = float(row["routed"] * row["requests"])
        value, low, high = (bill * share / (1 - share) for share in (row["difference"], row["low"], row["high"]))
        return value, low, high

    @property
    def text(self) -> str:
        """What was compared, what failed, what routing did, and whether the prediction holds, a line each."""
        lines = [self._head(), *(check.words for check in sorted(self.checks, key=lambda c: not c.alarm)), self._saving()]
        lines += [self._quality(), self._failures(), self._p95(), self._prediction(), self._unsure(), self._wait(), self._aside()]
        return "\n".join(line for line in lines if line)

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, escape=True, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"

    def _row(self, measure: str, app: str = "all") -> Any:
        found = self.table[(self.table["measure"] == measure) & (self.table["app"] == app)]
        return None if found.empty else found.iloc[0]

    def _head(self) -> str:
        sums = self.counts.groupby("arm")[["requests", "units"]].sum()
        said = [
            f"{sums['requests'][a]:,} {a} ({sums['units'][a]:,} {self.unit_kind}s)"
            for a in ("routed", "holdout", "control")
            if a in sums.index
        ]
        return f"Bundle {self.bundle}, {_lasting(self.days)}: {', '.join(said)}."

    def _saving(self) -> str:
        share = self._row("saving_share")
        if share is None:
            return "Nobody was kept to compare with, or nothing has a price: the saving is not measured."
        if math.isnan(share["difference"]):
            return "What routing saved is not known: requests without a price are too many, or more in one arm than in the other."
        if self.days < LEAST_DAYS:
            few = "no dollars a month are given of less than a day"
            return f"Routing saved {_between(share, _percent)} of the cost, measured. The log covers {_lasting(self.days)}: {few}."
        month, whole = (self._row(f"saving_usd_per_month{x}") for x in ("", "_all"))
        said = f"Routing saved {_between(share, _percent)} of the cost, measured: {_between(month, _usd)} a month on what was routed"
        return f"{said}; {_between(whole, _usd)} if all that the lot kept were routed too."

    def _quality(self) -> str:
        row = self._row("quality")
        if row is None:
            return (
                "No answer was graded (the log's column quality is empty): quality is not compared."
                if not self.graded
                else "Too few graded answers: quality is not compared."
            )
        return f"Quality: {_between(row, _points)} points, of the {self.graded:,} answers that were graded, measured."

    def _failures(self) -> str:
        row = self._row("failures")
        return (
            "" if row is None else f"Failures: {row['routed']:.2%} of requests, {_between(row, _points)} points against as asked, measured."
        )

    def _p95(self) -> str:
        row = self._row("p95_ms")
        if row is None:
            return ""
        if math.isnan(row["difference"]):
            arms = " and ".join(name for name, at in (("routed", "routed"), ("kept", "asked")) if math.isnan(row[at]))
            return f"p95 is not known: of all requests, those that fail being never answered, more than 5% of the {arms} fail."
        return f"p95 of all requests: {row['routed']:,.0f} ms, {_between(row, _ms)} ms against as asked, measured."

    def _prediction(self) -> str:
        if not self.predicted:
            return "The bundle holds no prediction to compare with: export it with --log."
        row = self._row("saving_share")
        if row is None:
            return ""
        others = ", ".join(self.levers)
        if not self.comparable:
            return (
                f"The bundle predicts the whole plan alone, with {others}, which who is kept has too: export it again to compare routing."
            )
        if math.isnan(row["predicted"]):
            return "Of these apps nothing was predicted."
        own = f"{_percent(row['predicted'])} saved"
        own += "" if math.isnan(row["predicted_low"]) else f" [{_percent(row['predicted_low'])}, {_percent(row['predicted_high'])}]"
        if math.isnan(row["difference"]):
            return f"Predicted were {own}; nothing was measured to compare with."
        if not row["verdict"]:
            return f"Predicted were {own}; without an interval nothing says whether that holds."
        if row["verdict"] == "missed":
            by = f"{100 * abs(row['missed_by']):.2g} points {'less' if row['missed_by'] > 0 else 'more'}"
            said = f"The prediction ({own}) is missed: at least {by} was saved."
        else:
            said = f"The prediction ({own}) holds: the difference to what was measured may be chance."
        return f"{said} It is of routing alone; who is kept has the plan's other levers too ({others})." if others else said

    def _unsure(self) -> str:
        """Name what was predicted of all apps without an interval, which has no verdict."""
        bare = self.table[(self.table["app"] == "all") & self.table["predicted"].notna() & self.table["predicted_low"].isna()]
        names = [_BARE[measure] for measure in bare["measure"] if measure in _BARE]
        said = " and ".join(names)
        return f"The prediction of {said} is estimated without an interval, so nothing says whether it holds." if names else ""

    def _wait(self) -> str:
        row = self._row("saving_share")
        if row is None or math.isnan(row["difference"]):
            return ""
        few = (
            f"Only {row['units']:.0f} effective {self.unit_kind}s on the smaller side: intervals are rough, of 100 some 92 hold. "
            if row["units"] < WARN
            else ""
        )
        if math.isnan(row["low"]):
            few = f"Only {row['units']:.0f} effective {self.unit_kind}s on the smaller side: too few for an interval. "
        if self.more_days is None:
            return few.strip()
        days = "1 more day" if self.more_days == 1 else f"{self.more_days:,} more days"
        return f"{few}About {days} like these would tell the share saved to ±{100 * self.precision:.3g} points."

    def _aside(self) -> str:
        said = "; ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        return f"In no figure: {said}." if said else ""


def _between(row: Any, write: Any) -> str:
    interval = "" if math.isnan(row["low"]) else f" [{write(row['low'])}, {write(row['high'])}]"
    return f"{write(row['difference'])}{interval}"


def _lasting(days: float) -> str:
    """Return how long a log is.

    >>> _lasting(27.96), _lasting(0.2), _lasting(0.01)
    ('28.0 days', '4.8 hours', '14 min')
    """
    if days >= LEAST_DAYS:
        return f"{days:.1f} days"
    return f"{24 * days:.1f} hours" if 24 * days >= 1 else f"{24 * 60 * days:.0f} min"


def _percent(value: float) -> str:
    return f"{value:.1%}".replace("-", "−")


def _usd(value: float) -> str:
    digits = 0 if abs(value) >= 1000 else 2
    return f"{'−' if value < 0 else ''}${abs(value):,.{digits}f}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")


def _ms(value: float) -> str:
    return f"{value:+,.0f}".replace("-", "−")
