"""Whether predicted quality is what happens: for every model, and for whichever model is chosen.

In: graded and predicted quality of rows whose prediction did not see them, and the model chosen for each. Out: a Calibration: a
line a model and one for the chosen, the bins of the reliability diagram, and what it says in words. Knows nothing of how a
prediction or a choice was made.

The expected calibration error over bins of equal weight is never 0, so it is held against its own distribution for a perfectly
calibrated model with the same predictions (Vaicenavicius et al., AISTATS 2019, §5), with Holm's correction over the lines. Such a
model's answers are drawn as right with the predicted probability; where answers are graded in between, each draw's deviation from
the prediction is scaled so that every bin varies by as much as its grades do.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.stats.resample import BUCKETS, buckets, jackknife

__all__ = ["BINS", "CHOSEN", "Calibration", "calibration", "holm"]

F64 = NDArray[np.float64]
#: Bins of equal weight.
BINS = 15
#: The line of whichever model is chosen.
CHOSEN = "chosen"
#: Draws of a perfectly calibrated model; how many are held in memory at once.
_DRAWS, _AT_ONCE = 1_000, 50


@dataclass(frozen=True, eq=False)
class Calibration:
    """How predicted quality fared.

    Parameters
    ----------
    table: a line a model and one for ``chosen``: ``n`` rows, ``ece`` with ``ece_limit``, the 95 % quantile of a perfectly
        calibrated model, ``p_value`` and ``holm``, corrected over the lines; ``brier_skill`` over always predicting the mean;
        ``mean_predicted`` and ``realised`` with ``se``, the standard error of their difference by unit; ``corrected`` and
        ``corrected_se`` where some rows correct the others, else NaN.
    bins: for the reliability diagram, by ``model`` and ``bin``: ``n, predicted, realised`` and the band ``low, high`` in which
        19 of 20 bins of a perfectly calibrated model lie.
    """

    table: pd.DataFrame = field(repr=False)
    bins: pd.DataFrame = field(repr=False)

    @property
    def text(self) -> str:
        """What it says in words."""
        off = [str(m) for m, p in self.table["holm"].items() if p < 0.05]
        chosen = self.table.loc[CHOSEN].to_dict()
        lead = (
            f"Predicted quality is calibrated for all {len(self.table) - 1} models and the chosen answer"
            if not off
            else f"Predicted quality is not calibrated for {', '.join(off)}"
        )
        return (
            f"{lead} (expected calibration error over {BINS} bins against that of a perfectly calibrated model, Holm at 5 %). Of the "
            f"chosen answers {chosen['mean_predicted']:.4f} was predicted and {chosen['realised']:.4f} realised "
            f"(measured on {int(chosen['n']):,} rows that the prediction had not seen; standard error {chosen['se']:.4f})."
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"


def calibration(
    quality: F64,
    predicted: NDArray[np.floating],
    weight: F64,
    unit: NDArray[np.str_],
    models: tuple[str, ...],
    chosen: NDArray[np.int64],
    *,
    corrects: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Calibration:
    """Hold predictions against grades.

    Parameters
    ----------
    quality: (n, K) in [0, 1], NaN where ungraded; predicted: (n, K) in [0, 1], by a fit that did not see the row.
    weight, unit: (n,). models: K names. chosen: (n,) the code of the model that each row would be sent to.
    corrects: (n,) rows whose mean residual is added to the mean prediction of the others, as every reported quality is
        corrected (Angelopoulos et al., *Prediction-powered inference*, Science 382, 2023); then means are about the others.

    Raises InputError when shapes differ or a prediction is no probability.

    >>> rng = np.random.default_rng(0)
    >>> p = rng.random((2000, 2))
    >>> found = calibration(rng.random(p.shape) < p, p, np.ones(2000), np.arange(2000).astype(str), ("a", "b"), p.argmax(1))
    >>> bool((found.table["holm"] > 0.05).all()), found.table.index.tolist()
    (True, ['a', 'b', 'chosen'])
    """
    if quality.shape != predicted.shape or len(models) != quality.shape[1]:
        raise InputError(f"{quality.shape} grades, {predicted.shape} predictions, {len(models)} models", "as many of each")
    if not np.all((predicted >= 0) & (predicted <= 1)):
        raise InputError("a prediction outside 0 to 1", "a probability, or an expected grade")
    at = np.arange(len(quality))
    columns = {m: (quality[:, k], predicted[:, k]) for k, m in enumerate(models)} | {CHOSEN: (quality[at, chosen], predicted[at, chosen])}
    rng = np.random.default_rng(seed)
    lines, bins = [], []
    for name, (grade, guess) in columns.items():
        known = ~np.isnan(grade)
        y, p, w = grade[known].astype(float), guess[known].astype(float), weight[known]
        found = _bins(y, p, w, rng)
        bins.append(found.drop(columns="draws").assign(model=name))
        lines.append(
            {"model": name, "n": len(y), **_ece(found), "brier_skill": _skill(y, p, w)}
            | _means(y, p, w, unit[known], np.zeros(len(y), bool) if corrects is None else corrects[known])
        )
    table = pd.DataFrame(lines).set_index("model")
    table.insert(4, "holm", holm(table["p_value"].to_numpy()))
    return Calibration(table, pd.concat(bins, ignore_index=True))


def holm(p_values: F64) -> F64:
    """Return p-values adjusted by Holm's step-down method (*Scandinavian Journal of Statistics* 6, 1979), in their order.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    out = np.empty(len(order))
    out[order] = np.minimum(steps, 1.0)
    return out


def _bins(y: F64, p: F64, w: F64, rng: np.random.Generator) -> pd.DataFrame:
    """Return one line a bin; ``draws`` holds the deviations of a perfectly calibrated model's bins."""
    order = np.argsort(p, kind="stable")
    y, p, w = y[order], p[order], w[order]
    place = np.minimum(((np.cumsum(w) - w / 2) / w.sum() * BINS).astype(int), BINS - 1)
    first = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
    mass = np.add.reduceat(w, first)
    predicted, realised = np.add.reduceat(w * p, first) / mass, np.add.reduceat(w * y, first) / mass
    spread = np.add.reduceat(np.square(w) * p * (1 - p), first)
    seen = np.add.reduceat(np.square(w * (y - p)), first)
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    scale = np.ones(len(mass)) if binary else np.sqrt(seen / np.maximum(spread, 1e-300))
    drawn = np.concatenate([_deviations(p, w, first, rng) for _ in range(_DRAWS // _AT_ONCE)]) * scale / mass
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    line = {"bin": np.unique(place), "n": np.diff([*first, len(y)]), "weight": mass / w.sum(), "predicted": predicted, "realised": realised}
    return pd.DataFrame(line | {"low": predicted + low, "high": predicted + high, "draws": list(drawn.T)})


def _deviations(p: F64, w: F64, first: NDArray[np.int64], rng: np.random.Generator) -> F64:
    """Return sums of w·(y* − p) per bin for answers drawn as right with probability p, (_AT_ONCE, bins)."""
    right = rng.random((_AT_ONCE, len(p)), np.float32) < p
    return np.add.reduceat(np.where(right, w * (1 - p), -w * p), first, axis=1)


def _ece(bins: pd.DataFrame) -> dict[str, float]:
    mass = bins["weight"].to_numpy()
    seen = float(mass @ np.abs(bins["realised"] - bins["predicted"]))
    drawn = mass @ np.abs(np.stack(list(bins["draws"])))
    return {"ece": seen, "ece_limit": float(np.quantile(drawn, 0.95)), "p_value": float((1 + (drawn >= seen).sum()) / (1 + len(drawn)))}


def _skill(y: F64, p: F64, w: F64) -> float:
    """Return the Brier skill over always predicting the weighted mean; 0 where grades do not vary."""
    base = w @ np.square(y - np.average(y, weights=w))
    return float(1 - (w @ np.square(y - p)) / base) if base > 0 else 0.0


def _means(y: F64, p: F64, w: F64, unit: NDArray[np.str_], corrects: NDArray[np.bool_]) -> dict[str, float]:
    """Return mean prediction and grade of the rows that correct nothing, and the correction by those that do."""
    about = ~corrects
    own = {"mean_predicted": float(np.average(p[about], weights=w[about])), "realised": float(np.average(y[about], weights=w[about]))}
    _, se = _residual(y[about], p[about], w[about], unit[about])
    if not corrects.any():
        return own | {"se": se, "corrected": np.nan, "corrected_se": np.nan}
    added, more = _residual(y[corrects], p[corrects], w[corrects], unit[corrects])
    return own | {"se": se, "corrected": own["mean_predicted"] + added, "corrected_se": float(np.hypot(se, more))}


def _residual(y: F64, p: F64, w: F64, unit: NDArray[np.str_]) -> tuple[float, float]:
    """Return the mean of grade − prediction and its standard error by unit."""
    names, code = np.unique(unit, return_inverse=True)
    bucket = buckets(names)[code]
    sums = np.column_stack([np.bincount(bucket, x, BUCKETS) for x in (w * (y - p), w)])
    found = jackknife(sums, lambda s: s[..., 0] / s[..., 1], sums[:, 1])
    return float(found.value), float(found.se)
