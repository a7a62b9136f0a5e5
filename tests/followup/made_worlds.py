"""Requests of a rollout as arrays: sessions of very different sizes, heavy-tailed costs, apps of different levels, a share that grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.followup.verify_sides import Sample

#: Mean cost of a request of each app, and the chance that a session of it is moved.
COST, MOVED = np.array([1.0, 4.0, 0.3, 2.0]), np.array([0.7, 0.4, 0.5, 0.2])
#: What a decision multiplies costs with: 0 is to keep the model.
EFFECT = np.array([1.0, 0.2, 0.5])


@dataclass(frozen=True)
class Made:
    """Samples of every measure, and the share that was truly saved of what the routed requests would have cost."""

    cost: Sample
    failed: Sample
    latency: Sample
    quality: Sample
    saved: float


def made(
    seed: int,
    sessions: int = 3_000,
    *,
    holdout: float = 0.1,
    shares: tuple[float, float] = (0.3, 1.0),
    tails: tuple[float, float] = (1.0, 1.0),
    effect: bool = True,
    split: bool = True,
) -> Made:
    """Make one log: a session has 1 to 60 requests (Pareto), and ``tails`` are the deviations of log cost over sessions and requests.

    Routing doubles failures, multiplies latencies with 0.7 and takes two points of quality where it moves a request, unless ``effect`` is
    off. With ``split`` requests that keep their model are known.
    """
    rng = np.random.default_rng(seed)
    app = rng.choice(4, sessions, p=[0.55, 0.25, 0.1, 0.1])
    size = np.minimum(rng.geometric(0.4, sessions) + rng.pareto(1.8, sessions).astype(int), 60)
    decided = np.where(rng.random(sessions) < MOVED[app], rng.choice([1, 2], sessions, p=[0.7, 0.3]), 0)
    late = rng.random(sessions) < 0.5
    routed = (rng.random(sessions) >= holdout) & (rng.random(sessions) < np.where(late, shares[1], shares[0]))
    of = np.repeat(np.arange(sessions), size)
    n = len(of)
    level = COST[app] * (1 + 0.3 * late)
    scale = np.exp(rng.normal(0, tails[0], sessions))[of] * np.exp(rng.normal(0, tails[1], n)) / np.exp((tails[0] ** 2 + tails[1] ** 2) / 2)
    changed = (routed & (decided > 0) & effect)[of]
    factor = np.where(changed, EFFECT[decided][of], 1.0)
    chance = np.clip(0.01 * np.exp(rng.normal(0, 1, sessions) - 0.5), 0, 0.5)[of] * (1 + changed)
    latency = np.exp(7 + 0.4 * rng.normal(0, 1, sessions)[of] + 0.6 * rng.normal(0, 1, n)) * np.where(changed, 0.7, 1)
    good = np.clip(0.7 + 0.1 * rng.normal(0, 1, sessions)[of] - 0.02 * changed, 0, 1)
    moved = (decided > 0)[of] if split else np.ones(n, bool)
    by_app = (2 * app + late)[of]
    levels = (*([3 * by_app + decided[of]] if split else []), by_app, late.astype(int)[of])

    def sample(value: np.ndarray) -> Sample:
        return Sample(value.astype(float), np.ones(n), of, routed[of], moved, levels)

    asked = (level[of] * scale)[routed[of]]
    saved = 1 - float((asked * factor[routed[of]]).sum() / asked.sum())
    return Made(sample(level[of] * scale * factor), sample(rng.random(n) < chance), sample(latency), sample(rng.random(n) < good), saved)
