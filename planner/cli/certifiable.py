"""What a drawn sample of labels can certify, said before any of it is bought.

In: a Sample and the spend of its log. Out: floor by floor the loss up to which a router passes with these labels, and the labels that
one needs which loses nothing; as a table and in words. Knows nothing of how a certificate is tested.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from planner.cli.output import Part, figure, grid, usd, wrap

if TYPE_CHECKING:
    import pandas as pd

    from planner.labels import Sample
    from planner.prices import Audit

__all__ = ["certifiable"]

#: The floor of the sentence, and of ``planner train``.
_COMMON = 0.02
#: Losses that are tried are whole steps of it: a tenth of a point.
_STEP = 0.001


def certifiable(found: Sample, spend: Audit) -> Part:
    """Say what the sample can certify as one floor for all its apps together.

    The weights of the sample count: n rows of unequal weight tell as much as (Σw)² / Σw² of equal weight (Kish, *Survey Sampling*,
    1965, §11.7), if a row's loss has nothing to do with its weight.
    """
    from planner.training import Stake, before, stakes
    from planner.training.split import PARTS

    weight = found.items["weight"].to_numpy(float)
    effect = float(len(weight) * (weight**2).sum() / weight.sum() ** 2)
    apps = {*found.items["app"]}
    each = found.price_usd / len(weight)
    sums = [s for app, s in stakes(spend, each).items() if app in apps]
    stake = Stake(sum(s.requests_per_month for s in sums), sum(s.usd_per_month for s in sums), each)
    needed = before({"all apps": stake}, design_effect=effect)
    calibrating = math.floor(len(weight) * PARTS["calibrate"])
    table = needed.table.assign(loses_at_most=[_most(floor, calibrating, effect) for floor in needed.table["floor"]])
    line = table[table["floor"] == _COMMON].iloc[0]
    words = (
        f"With {len(weight):,} labels, of which {calibrating:,} certify, a floor of {_points(_COMMON)} {_can(line['loses_at_most'])}; "
        f"for a router that loses nothing it takes {line['labels']:,} labels ({usd(line['usd'])}). "
        f"All with {1 - needed.delta:.0%} confidence, in {needed.power:.0%} of cases, for these apps together; the spread of the loss is "
        f"{needed.evidence}: 15 % of requests are answered right by exactly one of two models. Their weights are unequal, so that "
        f"{len(weight):,} labels tell as much as {len(weight) / effect:,.0f} equal ones."
    )
    shown = table[["floor", "loses_at_most", "labels", "usd", "share_of_month"]]
    return Part("certifiable", {"text": words, "table": table.drop(columns="app")}, f"{_grid(shown)}\n{wrap(words)}")


def _most(floor: float, rows: int, effect: float) -> float:
    """Return the largest loss at which ``rows`` certify ``floor``, below 0 a gain; NaN where they never do."""
    from planner.training.before import calibration_labels

    losses = (round(floor - step * _STEP, 6) for step in range(1, round(1 / _STEP)))
    return next((loss for loss in losses if calibration_labels(floor, loss=loss, design_effect=effect) <= rows), math.nan)


def _points(quality: float) -> str:
    """Write a difference of quality in points.

    >>> _points(0.02), _points(0.005), _points(0.01)
    ('2 points', '0.5 points', '1 point')
    """
    return f"{figure(100 * quality)} point{'' if math.isclose(quality, 0.01) else 's'}"


def _can(loss: float) -> str:
    if math.isnan(loss):
        return "cannot be certified of any router: they are too few"
    if loss < 0:
        return f"can be certified only of a router that is really {_points(-loss)} better than today's models, or more"
    return f"can be certified where the router really loses {_points(loss)} or less"


def _grid(table: pd.DataFrame) -> str:
    columns: dict[str, Any] = {
        "floor": ("floor", _points),
        "loses_at_most": ("these certify a router that", _that),
        "labels": ("labels if it loses nothing", "{:,}".format),
        "usd": ("price", usd),
        "share_of_month": ("of a month", "{:,.0%}".format),
    }
    return grid(table, columns)


def _that(loss: float) -> str:
    if math.isnan(loss):
        return "none: too few"
    return f"is {_points(-loss)} better" if loss < 0 else f"loses {_points(loss)} or less"
