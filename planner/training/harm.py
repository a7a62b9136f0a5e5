"""What a loss of quality means in a month: about how many more wrong answers, in which app, and what they cost beside the saving.

In: the loss of each labelled row at one τ, its app and weight, requests per month of each app, and what a wrong answer costs where
an owner states it. Out: an Estimate for each app and in all, and a sentence. Knows nothing of how a router decides.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.stats.estimate import Estimate
from planner.stats.resample import BUCKETS, Interval, buckets, jackknife
from planner.traffic import Apps, Traffic
from planner.traffic.sampling import limits, units_of
from planner.training.methods import judged_rows
from planner.units import DAYS_PER_MONTH

if TYPE_CHECKING:
    from planner.training.result import Training

__all__ = ["Harm", "Volume", "harm", "priced", "requests_per_month"]

F64 = NDArray[np.float64]
#: Apps whose stated cost of a wrong answer is named in the sentence.
_NAMED = 3
#: Decimals of the columns in a notebook; a stated price keeps its own.
_PLACES = {"requests_per_month": 1, "wrong": 1, "low": 1, "high": 1, "wrong_usd": 2, "saved_usd": 2}


class Volume(dict[str, float]):
    """Requests a month by app, as a sample says: its rows' ``app``, ``weight`` and ``unit`` (n,), and the ``factor`` to a month."""

    def __init__(self, counts: Mapping[str, float], app: NDArray[np.object_], weight: F64, unit: NDArray[np.int64], factor: float) -> None:
        super().__init__(counts)
        self._app, self._weight, self._unit, self._factor = app, weight, unit, factor

    def between(self, apps: Collection[str]) -> str:
        """Write the 95 % limits of what ``apps`` together ask a month, or that there are none."""
        own = np.isin(self._app, [*apps])
        low, high = limits(self._weight[own] * self._factor, self._weight[own], self._unit[own])
        return " (estimated from a sample, no interval)" if low is None else f" [{low:,.0f}, {high:,.0f}] (estimated from a sample)"


@dataclass(frozen=True, eq=False)
class Harm:
    """More wrong answers a month than with today's models; below 0 where there are fewer.

    Parameters
    ----------
    total: over all apps; an answer of quality 0.5 counts as half a wrong one.
    table: one row an app: ``requests_per_month, wrong, low, high``, the largest first; where an owner states what a wrong answer costs,
        also ``usd_per_wrong_answer, wrong_usd, saved_usd`` [USD a month], NaN where not known.
    requests_per_month: of all apps together; ``between``: how sure that is, in words, empty of a log that is whole.
    unlabelled: apps without labels, taken to stay as they are: not in the total.
    usd: what the wrong answers cost in the apps whose owners state it [USD a month], assumed; None where nobody does.
    saved_usd, net_usd: what the same apps save, and what of it is left [USD a month]; None where costs are only a ranking.
    """

    total: Estimate
    table: pd.DataFrame = field(repr=False)
    requests_per_month: float
    unlabelled: tuple[str, ...]
    usd: Estimate | None = None
    saved_usd: Estimate | None = None
    net_usd: Estimate | None = None
    between: str = ""

    @property
    def text(self) -> str:
        """The harm in words."""
        most = self.table.iloc[0 if self.total.value >= 0 else -1]
        more = "more" if self.total.value >= 0 else "fewer"
        sign = 1 if self.total.value >= 0 else -1
        ends = [] if self.total.low is None or self.total.high is None else sorted((sign * self.total.low, sign * self.total.high))
        span = f" [{ends[0]:,.0f}, {ends[1]:,.0f}]" if ends else " (too few units for an interval)"
        where = f", mostly in {most.name} ({sign * most['wrong']:,.0f})" if len(self.table) > 1 else ""
        left = f" No labels, taken to stay as they are: {', '.join(self.unlabelled)}." if self.unlabelled else ""
        return (
            f"About {sign * self.total.value:,.0f}{span} {more} wrong answers a month, of {self.requests_per_month:,.0f}{self.between} "
            f"requests{where} "
            f"({self.total.evidence}: labelled loss times requests a month).{left}{self._money()}"
        )

    def _money(self) -> str:
        """Say what the wrong answers cost, beside what the same apps save."""
        if self.usd is None:
            return ""
        prices = self.table["usd_per_wrong_answer"].dropna()
        each = ", ".join(f"{_dollars(usd)} in {app}" for app, usd in prices.head(_NAMED).items())
        others = f" and, as stated, in {len(prices) - _NAMED} more apps" if len(prices) > _NAMED else ""
        said = f" Where a wrong answer costs {each}{others}, that is {_amount(self.usd, 'more', 'less')} a month ({self.usd.evidence})"
        if self.saved_usd is not None and self.net_usd is not None:
            saved, net = _amount(self.saved_usd, "saved", "more spent"), _amount(self.net_usd, "gained", "lost")
            said += f", beside {saved} in calls of the same apps ({self.saved_usd.evidence}): {net} together ({self.net_usd.evidence})"
        silent = ", ".join(map(str, self.table.index.difference(prices.index)))
        return f"{said}.{f' Not stated for {silent}.' if silent else ''}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(_PLACES).to_html()}"


def _amount(found: Estimate, above: str, below: str) -> str:
    """Write [USD] with its interval and the word for its sign.

    >>> _amount(Estimate(-1200.0, -1500.0, 900.0), "more", "less")
    'about $1,200 [-$900, $1,500] less'
    """
    sign = 1 if found.value >= 0 else -1
    ends = [] if found.low is None or found.high is None else sorted((sign * found.low, sign * found.high))
    span = f" [{_dollars(ends[0])}, {_dollars(ends[1])}]" if ends else ""
    return f"about {_dollars(sign * found.value)}{span} {above if sign > 0 else below}"


def _dollars(usd: float) -> str:
    """Write [USD]: whole from 100 on, with cents from one cent on, else to two digits.

    >>> _dollars(12345.6), _dollars(-2.5), _dollars(0.002)
    ('$12,346', '-$2.50', '$0.002')
    """
    size = abs(usd)
    if size >= 0.01 or size == 0:
        shown = f"{size:,.{0 if size >= 100 else 2}f}"
    else:
        shown = f"{size:.{1 - int(np.floor(np.log10(size)))}f}".rstrip("0")
    return f"{'-' if usd < 0 else ''}${shown}"


def harm(
    loss: F64,
    apps: NDArray[np.str_],
    weight: F64,
    unit: NDArray[np.str_],
    per_month: Mapping[str, float],
    *,
    usd_per_wrong_answer: Mapping[str, float] | None = None,
    saved_usd: F64 | None = None,
) -> Harm:
    """Return how many more answers a month are wrong; 95 % jackknife by unit, all apps together.

    Parameters
    ----------
    loss: (n,) quality of the reference's answer less the router's, on rows that did not choose the router.
    apps, weight, unit: (n,).
    per_month: {app: requests per month}; rows of other apps are not counted. Taken as it is, also of a sample (``Volume``).
    usd_per_wrong_answer: {app: USD} where an owner states it: what is lost by it is set beside ``saved_usd`` of the same apps.
    saved_usd: (n,) [USD] cost of the reference's answer less that of the router's; None where costs are only a ranking.

    The intervals of money are those of loss and saving by unit; what a wrong answer costs is taken as stated.

    InputError when no row is of an app in ``per_month``.

    >>> loss = np.tile([1.0, 0.0, 0.0, 0.0], 50)
    >>> unit = np.arange(200).astype(str)
    >>> found = harm(loss, np.full(200, "chat"), np.ones(200), unit, {"chat": 1000.0, "mail": 50.0}, usd_per_wrong_answer={"chat": 0.5})
    >>> found.total.value, found.unlabelled, found.usd.value
    (250.0, ('mail',), 125.0)
    """
    names = [a for a in per_month if (apps == a).any()]
    if not names:
        raise InputError(
            f"rows of {', '.join(sorted(set(apps.tolist())))}", f"some of {', '.join(per_month)}", "name the apps as the labels do"
        )
    price = np.array([(usd_per_wrong_answer or {}).get(a, np.nan) for a in names], float)
    volume, k = np.array([per_month[a] for a in names]), len(names)
    bucket = buckets(unit.tolist())
    sums = np.zeros((BUCKETS, k, 3))
    for place, app in enumerate(names):
        own = apps == app
        for side, values in enumerate((weight * loss, weight * (0.0 if saved_usd is None else saved_usd), weight)):
            sums[:, place, side] = np.bincount(bucket[own], values[own], BUCKETS)
    found = jackknife(sums, lambda s: _monthly(s, volume, price), sums[:, :, 2].sum(1))
    table = pd.DataFrame(
        {"requests_per_month": volume, "wrong": found.value[:k], "low": found.low[:k], "high": found.high[:k]}, index=names
    )
    money: dict[str, Estimate] = {}
    if not np.isnan(price).all():
        saved = np.nan if saved_usd is None else found.value[k : 2 * k]
        table = table.assign(usd_per_wrong_answer=price, wrong_usd=price * found.value[:k], saved_usd=saved)
        money["usd"] = _estimate(found, -3, "assumed", len(loss), "wrong answers a month times what one costs by its owner")
    if money and saved_usd is not None:
        money["saved_usd"] = _estimate(found, -2, "estimated", len(loss), "labelled saving times requests a month")
        money["net_usd"] = _estimate(found, -1, "assumed", len(loss), "saving less what wrong answers cost by their owners")
    total = _estimate(found, -4, "estimated", len(loss), "labelled loss times requests a month")
    left = tuple(a for a in per_month if a not in names)
    sure = per_month.between(names) if isinstance(per_month, Volume) else ""
    return Harm(total, table.sort_values("wrong", ascending=False), float(volume.sum()), left, **money, between=sure)


def _monthly(sums: F64, volume: F64, price: F64) -> F64:
    """Return wrong answers a month of each app, [USD] saved of each, all wrong ones, and where priced: cost, saving and net."""
    requests = np.where(sums[..., 2] > 0, sums[..., 2], 1.0)
    wrong, saved = (volume * sums[..., side] / requests for side in (0, 1))
    cost, spared = np.nan_to_num(wrong * price).sum(-1), (saved * ~np.isnan(price)).sum(-1)
    return np.concatenate([wrong, saved, np.stack([wrong.sum(-1), cost, spared, spared - cost], axis=-1)], axis=-1)


def _estimate(found: Interval, place: int, evidence: str, n: int, source: str) -> Estimate:
    low, high = (None if np.isnan(x[place]) else float(x[place]) for x in (found.low, found.high))
    return Estimate(float(found.value[place]), low, high, evidence, n=n, source=source)


def priced(found: Training, apps: Apps) -> Training:
    """Return ``found``, its harm with what wrong answers cost by ``apps``; as it is where no owner states that, or no log the volume."""
    stated = {name: app.usd_per_wrong_answer for name, app in apps.apps.items() if app.usd_per_wrong_answer is not None}
    if found.harm is None or not stated:
        return found
    problem, router, old = found.problem, found.router, found.harm
    rows, whole = judged_rows(problem, "judge", router)
    part = problem.requests.take(problem.rows("judge"))
    codes, _ = router.choose(router.scores(part, problem.day).take(whole))
    loss = rows.quality_of(rows.reference) - rows.quality_of(codes)
    home, own = (np.take_along_axis(rows.cost_usd, c[:, None], axis=1)[:, 0] for c in (rows.reference, codes))
    saved = None if np.isnan(found.notes["usd_per_label"]) else home - own
    volume = {**old.table["requests_per_month"], **dict.fromkeys(old.unlabelled, 0.0)}
    named = np.array(part.app)[whole]
    told = harm(loss, named, rows.weight, rows.unit, volume, usd_per_wrong_answer=stated, saved_usd=saved)
    return replace(found, harm=replace(told, between=old.between))


def requests_per_month(traffic: Traffic) -> dict[str, float]:
    """Return {app: users' requests a month} at the rate of the whole log, of a sample a ``Volume``; less than a day counts as one."""
    frame = traffic.frame("timestamp", "app", "purpose", "weight")
    own = (frame["purpose"] == "user").to_numpy()
    frame = frame[own]
    days = max((frame["timestamp"].max() - frame["timestamp"].min()) / pd.Timedelta(days=1), 1.0)
    month = DAYS_PER_MONTH / days
    counts = {str(app): float(n) for app, n in (frame.groupby("app", sort=True)["weight"].sum() * month).items()}
    weight = frame["weight"].to_numpy(float)
    if (weight == 1).all():
        return counts
    return Volume(counts, frame["app"].to_numpy(object), weight, units_of(traffic)[own], month)
