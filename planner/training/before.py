"""Before anything is labelled: how many labels a floor takes for each app, and what they cost.

In: apps with their requests and spend a month, what a label costs, and the spread of the loss, assumed or from a pilot. Out: a
table of floors × apps × labels × dollars. Looks at no labels.

The count is that of a paired test: n = (z_level + z_power)² · SD² / floor² for a router that truly loses nothing (Connor, Biometrics
43, 1987, in its normal approximation), which the certificate's bets reach within a few per cent; never fewer than the test needs
to see no loss at all. "Labels to decide" of a plan is the same formula with a level of 97.5 % for one constant model, without
labels that fit and judge a router.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from scipy.special import ndtri

from planner.errors import InputError
from planner.prices.audit import Audit
from planner.training.split import PARTS
from planner.units import DAYS_PER_MONTH

__all__ = ["FLOORS", "SD", "Before", "Stake", "before", "calibration_labels", "stakes"]

#: Floors of the table: half a point to five points.
FLOORS = (0.005, 0.01, 0.02, 0.03, 0.05)
#: SD of the loss per request (assumed): 15 % of requests are answered right by exactly one of two models.
SD = math.sqrt(0.15)
#: What the bets take beyond the normal approximation, and beyond what it takes to see no loss at all, by simulation.
_BETS, _UNSEEN = 1.05, 1.1


@dataclass(frozen=True)
class Stake:
    """An app's [requests] and [USD] a month, the [USD] of one label (answers of all candidates, and grading), and SD of the loss."""

    requests_per_month: float
    usd_per_month: float
    usd_per_label: float
    sd: float = SD


@dataclass(frozen=True, eq=False)
class Before:
    """``table``: app, floor, calibration_labels, labels, usd, share_of_month, within_traffic; ``evidence`` of the spread."""

    table: pd.DataFrame = field(repr=False)
    evidence: str
    delta: float
    power: float

    @property
    def text(self) -> str:
        """What the table rests on, and its line of least share of the spend for the common floor."""
        line = self.table[self.table["floor"] == 0.02].sort_values("share_of_month").head(1).to_dict("records")
        example = "".join(
            f" For {r['app']} at a floor of 0.02: {r['labels']:,} labels, ${r['usd']:,.0f} ({r['share_of_month']:.0%} of a month's spend)."
            for r in line
        )
        return (
            f"Labels with which a router is certified with {100 * (1 - self.delta):.4g} % confidence in "
            f"{self.power:.0%} of cases (spread {self.evidence}); {PARTS['calibrate']:.0%} of them calibrate, the others fit and "
            f"judge.{example}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"


def stakes(spend: Audit, usd_per_label: float) -> dict[str, Stake]:
    """Return every app's stake from the audit of its log; a label costs the same in all of them [USD]."""
    table = spend.by("app")
    first, last = (spend.traffic.frame("timestamp")["timestamp"].agg(end) for end in ("min", "max"))
    months = max((last - first) / pd.Timedelta(days=1), 1.0) / DAYS_PER_MONTH
    return {str(r.app): Stake(r.requests / months, r.usd / months, usd_per_label) for r in table.itertuples()}


def calibration_labels(
    floor: float, sd: float = SD, delta: float = 0.05, power: float = 0.8, loss: float = 0.0, design_effect: float = 1.0
) -> int:
    """Return the calibration rows with which ``floor`` is certified with chance ``power`` when the true loss is ``loss``.

    ``design_effect`` is 1 + (rows a unit − 1) · ICC. InputError when the loss is not below the floor.

    >>> calibration_labels(0.02), calibration_labels(0.02, sd=0.05)
    (2435, 164)
    """
    if not loss < floor < 1 or not sd >= 0 or not 0 < delta < 1 or not 0 < power < 1:
        raise InputError(
            f"floor {floor}, loss {loss}, sd {sd}, delta {delta}, power {power}", "a floor above the loss, chances within 0 and 1"
        )
    normal = ((ndtri(1 - delta) + ndtri(power)) * sd / (floor - loss)) ** 2
    unseen = _UNSEEN * math.log(delta) / math.log1p(-floor)
    return math.ceil(design_effect * max(_BETS * normal, unseen))


def before(
    stakes: Mapping[str, Stake],
    floors: Sequence[float] = FLOORS,
    *,
    delta: float = 0.05,
    power: float = 0.8,
    loss: float = 0.0,
    design_effect: float = 1.0,
    evidence: str = "assumed",
) -> Before:
    """Return the table of margin × apps × labels × dollars; several apps share ``delta``, and a line ``all apps`` has one floor.

    Parameters
    ----------
    stakes: by app. loss: what the router is taken to lose in truth. design_effect: see ``calibration_labels``.
    evidence: of the stakes' ``sd``: ``assumed``, or ``measured`` by a pilot.

    Columns: ``labels`` in all, of which ``calibration_labels`` certify; ``usd`` their price; ``share_of_month`` of the app's spend;
    ``within_traffic`` whether a month has that many requests.
    """
    if not stakes:
        raise InputError("no app", "at least one with its requests, spend and price of a label")
    shared = {app: (stake, delta / len(stakes)) for app, stake in stakes.items()}
    if len(stakes) > 1:
        shared["all apps"] = (_together(list(stakes.values())), delta)
    lines = []
    for app, (stake, level) in shared.items():
        for floor in floors:
            n = calibration_labels(floor, stake.sd, level, power, loss, design_effect)
            labels = math.ceil(n / PARTS["calibrate"])
            usd = labels * stake.usd_per_label
            share = usd / stake.usd_per_month if stake.usd_per_month > 0 else math.inf
            lines.append((app, floor, n, labels, usd, share, labels <= stake.requests_per_month))
    names = ["app", "floor", "calibration_labels", "labels", "usd", "share_of_month", "within_traffic"]
    return Before(pd.DataFrame(lines, columns=names), evidence, delta, power)


def _together(stakes: Sequence[Stake]) -> Stake:
    """Return all apps as one, its label an average one by requests."""
    requests = sum(s.requests_per_month for s in stakes)
    mean = [sum(s.requests_per_month * x for s, x in zip(stakes, xs, strict=True)) / requests for xs in _columns(stakes)]
    return Stake(requests, sum(s.usd_per_month for s in stakes), mean[0], math.sqrt(mean[1]))


def _columns(stakes: Sequence[Stake]) -> tuple[list[float], list[float]]:
    return [s.usd_per_label for s in stakes], [s.sd**2 for s in stakes]
