"""What the generator knows and nobody else can: the true expected quality, and the best frontiers it allows.

In: a Log (or the truth stored beside the sample). Out: expected quality, the part of it that the text shows, and cost, per
request and model; and the frontiers of four kinds of policy. Knows nothing of learned routers: it is what they are
measured against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.synthetic.labels import LABELLED, answered, chosen
from planner.synthetic.log import Log, build
from planner.synthetic.world import APPS, MODELS, SEED, expected_quality, visible_quality

__all__ = ["Ceiling", "Truth", "ceiling", "read_truth", "truth"]

Floats = NDArray[np.float64]
_FLOAT_COLUMNS = ("expected_quality", "visible_quality", "cost_usd")


@dataclass(frozen=True, eq=False)
class Truth:
    """``n`` requests × ``m`` models: the true mean quality, the mean given the text alone, and the cost [USD] of one call."""

    request_id: NDArray[np.object_]
    app: NDArray[np.object_]
    weight: Floats
    models: tuple[str, ...]
    expected: Floats = field(repr=False)
    visible: Floats = field(repr=False)
    cost_usd: Floats = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row per request and model: request_id, app, weight, model and the three numbers."""
        n, m = self.expected.shape
        columns = dict(zip(_FLOAT_COLUMNS, (self.expected, self.visible, self.cost_usd), strict=True))
        base = {"request_id": np.repeat(self.request_id, m), "app": np.repeat(self.app, m), "weight": np.repeat(self.weight, m)}
        return pd.DataFrame({**base, "model": np.tile(self.models, n), **{k: v.ravel() for k, v in columns.items()}})


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Frontiers of policies that know the truth, per request [USD].

    ``table`` has one row per policy and price of quality: ``policy`` (``constant``: one model; ``per app``: one model an
    app; ``visible``: the best anyone can do from the text; ``oracle``: knowing also what no text shows), ``usd_per_quality``,
    ``model`` (constants), ``cost_usd`` and ``quality``, weighted means per request.
    """

    table: pd.DataFrame

    def cost_usd(self, policy: str, quality: float) -> float:
        """Return the least mean cost [USD] at which ``policy`` reaches ``quality``, mixing neighbours; inf when it cannot."""
        rows = self.table[self.table["policy"] == policy].sort_values("quality")
        if rows.empty:
            raise InputError(f"policy {policy!r}", f"one of {', '.join(self.table['policy'].unique())}")
        cost = np.minimum.accumulate(rows["cost_usd"].to_numpy()[::-1])[::-1]
        return float(np.interp(quality, rows["quality"].to_numpy(), cost, left=cost[0], right=np.inf))

    @property
    def text(self) -> str:
        """What routing could save at most, in one sentence per loss of quality."""
        best = self.table[self.table["policy"] == "constant"].sort_values("quality").iloc[-1]
        says = [
            f"at {loss:.0%} less quality, {1 - self.cost_usd('visible', best['quality'] - loss) / best['cost_usd']:.0%} (per app "
            f"{1 - self.cost_usd('per app', best['quality'] - loss) / best['cost_usd']:.0%})"
            for loss in (0.0, 0.01, 0.02)
        ]
        return (
            f"SYNTHETIC. Against always {best['model']} (quality {best['quality']:.3f}), the text allows a saving of "
            + "; ".join(says)
            + "."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self.text}</p>" + self.table.to_html(index=False)


def truth(log: Log | None = None, *, labelled: int | None = LABELLED) -> Truth:
    """Return the truth of the labelled requests of ``log`` (of all requests when ``labelled`` is None; all but cut and untexted).

    Without a log, the sample's own is made again (seconds).
    """
    log = build(seed=SEED) if log is None else log
    rows, weight = chosen(log, len(log) * 2 if labelled is None else labelled)
    t = log.table.iloc[rows]
    topic = t["topic"].to_numpy()
    cost = np.column_stack([answered(log, rows, m)["cost_usd"] for m in range(len(MODELS))])
    return Truth(
        t["request_id"].to_numpy(), np.array([a.name for a in APPS], object)[t["app"]], weight, tuple(m.name for m in MODELS),
        expected_quality(log.demand[rows], topic, t["group"].to_numpy(), log.seed), visible_quality(log.demand[rows], topic), cost,
    )  # fmt: skip


def read_truth(path: str | Path) -> Truth:
    """Read what ``Truth.table`` was saved as (Parquet)."""
    table = pd.read_parquet(path)
    models = tuple(table["model"].iloc[: table["model"].nunique()])
    first = table.iloc[:: len(models)]
    numbers = [table[c].to_numpy(float).reshape(-1, len(models)) for c in _FLOAT_COLUMNS]
    return Truth(first["request_id"].to_numpy(), first["app"].to_numpy(), first["weight"].to_numpy(), models, *numbers)


def ceiling(known: Truth) -> Ceiling:
    """Return the frontiers: at 60 exchange rates [USD per point of quality], each policy maximises quality − cost / rate."""
    w = known.weight / known.weight.sum()
    apps = np.unique(known.app, return_inverse=True)[1]
    member = np.equal.outer(np.arange(apps.max() + 1), apps) * w
    rows = [("constant", np.nan, m, float(w @ known.cost_usd[:, i]), float(w @ known.expected[:, i])) for i, m in enumerate(known.models)]
    scale = float(w @ known.cost_usd.max(axis=1))
    for rate in scale * np.geomspace(0.02, 2000, 60):
        choices = {
            "per app": (member @ (known.expected - known.cost_usd / rate)).argmax(axis=1)[apps],
            "visible": (known.visible - known.cost_usd / rate).argmax(axis=1),
            "oracle": (known.expected - known.cost_usd / rate).argmax(axis=1),
        }
        for policy, choice in choices.items():
            at = np.arange(len(w)), choice
            rows.append((policy, rate, "", float(w @ known.cost_usd[at]), float(w @ known.expected[at])))
    return Ceiling(pd.DataFrame(rows, columns=["policy", "usd_per_quality", "model", "cost_usd", "quality"]))
