"""A floor of its own for every app, certified for all of them together.

In: labelled rows with scores and apps, those that trained and those that calibrate, and {app: floor}. Out: per app the last τ
that holds, and the one τ that saves most for the apps it is certified for. Knows nothing of how an app came by its floor.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.router import Scores
from planner.training.certificate import Guarantee
from planner.training.guarantee import certify, sequence, start
from planner.training.judge import Judged

__all__ = ["AppGuarantees", "certify_apps"]

Apps = NDArray[np.str_]
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AppGuarantees:
    """What is certified of each app; all of it holds together with the chance 1 − ``delta``.

    Parameters
    ----------
    parts: the app's own Guarantee, each at its share of ``delta``.
    spend: each app's share of today's spend on the calibration rows.
    without: apps with a floor but without calibration rows: they stay with their model of today.
    """

    parts: Mapping[str, Guarantee] = field(repr=False)
    spend: Mapping[str, float]
    without: tuple[str, ...]
    delta: float

    @property
    def taus(self) -> dict[str, float]:
        """The last τ certified for each app; −∞ where none is."""
        return {app: part.tau for app, part in self.parts.items()}

    def common(self) -> tuple[float, tuple[str, ...]]:
        """Return the one τ that saves most, and the apps it is certified for: all others stay with their model of today."""
        lines = pd.concat([part.table.assign(app=app, usd=self.spend[app] * part.table["saving"]) for app, part in self.parts.items()])
        held = lines[lines["certified"]]
        if held.empty:
            return -np.inf, ()
        sums = held.groupby("tau")["usd"].sum()
        tau = float(sums.index.to_numpy()[sums.to_numpy().argmax()])
        return tau, tuple(sorted(held["app"][held["tau"] == tau]))

    @property
    def table(self) -> pd.DataFrame:
        """One row an app, the largest spend first: ``floor, tau, certified, saving, spend, units, needed``."""
        lines = [
            (app, g.floor, g.tau, g.certified, g.saving, self.spend[app], g.units, np.nan if g.certified else g.needed)
            for app, g in self.parts.items()
        ]
        names = ["app", "floor", "tau", "certified", "saving", "spend", "units", "needed"]
        return pd.DataFrame(lines, columns=names).sort_values("spend", ascending=False).set_index("app")

    @property
    def text(self) -> str:
        """Which apps keep their floor, and which stay as they are, in words."""
        table = self.table
        held = [f"{app} {g.promise} (saves {g.saving:.1%})" for app, g in ((a, self.parts[a]) for a in table.index) if g.certified]
        stay = [*(str(a) for a in table.index[~table["certified"]]), *self.without]
        grader = next(iter(self.parts.values())).grader if self.parts else "unknown"
        said = (
            f"With {100 * (1 - self.delta):.4g} % confidence for all of them together, quality in {'; in '.join(held)} (grader: {grader})."
            if held
            else "No app is shown to keep its floor."
        )
        left = f" With their models of today stay {', '.join(stay)}." if stay else ""
        more = {g.graded() for g in self.parts.values()} | {f"{a}: {g.limits()}" for a, g in self.parts.items() if g.certified}
        return " ".join([said + left, *sorted(m for m in more if m)])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"


def certify_apps(
    calibration: tuple[Judged, Scores, Apps],
    trained: tuple[Judged, Scores, Apps],
    floors: Mapping[str, float],
    delta: float = 0.05,
    seed: int = 0,
    *,
    levels: Mapping[str, float] | None = None,
    human: F64 | None = None,
    **stated: Any,
) -> AppGuarantees:
    """Certify a floor of its own for each app of ``floors``; the others are not looked at.

    Each app's sequence is tested at delta / apps (Bonferroni). Holm's further steps would add nothing: whoever reaches the wealth
    that rejects at the first step bets no more. An app's sequence starts where its own training rows say it is likeliest to pass.

    Parameters
    ----------
    calibration, trained: rows, scores and the app of each row.
    levels: {app: quality that must not be undercut} of apps where that is tested, exactly; their floor then guides power alone.
    human: people's grades of the calibration rows, as for ``certify``.
    stated: ``grader``, ``verified`` and ``usd_per_label``, as for ``certify``.
    """
    if not floors:
        raise InputError("no app with a floor", "at least one", "pass floors={'chat': 0.02}")
    taus = sequence(*trained[:2])
    known = [a for a in floors if (calibration[2] == a).any()]
    parts, spend = {}, {}
    for app in known:
        rows, scores = _of(app, *calibration)
        fitted = _of(app, *trained) if (trained[2] == app).any() else None
        level = (levels or {}).get(app)
        tried = taus[start(*fitted, taus, floors[app], level) :] if fitted and len(taus) else taus
        people = None if human is None else human[calibration[2] == app]
        parts[app] = certify(
            rows, scores, tried, floors[app], delta / len(floors), seed, trained=fitted, human=people, level=level, **stated
        )
        spend[app] = _spend(rows) / _spend(calibration[0])
    return AppGuarantees(parts, spend, tuple(a for a in floors if a not in parts), delta)


def _of(app: str, rows: Judged, scores: Scores, apps: Apps) -> tuple[Judged, Scores]:
    at = np.flatnonzero(apps == app)
    part = Judged(rows.quality[at], rows.cost_usd[at], rows.weight[at], rows.unit[at], rows.reference[at])
    return part, scores.take(at)


def _spend(rows: Judged) -> float:
    return float((rows.weight * np.take_along_axis(rows.cost_usd, rows.reference[:, None], axis=1)[:, 0]).sum())
