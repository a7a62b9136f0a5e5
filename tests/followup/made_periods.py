"""Periods made as arrays: users who differ, days that move everybody, and perhaps a change between the two."""

from __future__ import annotations

import numpy as np

from planner.followup.drift_tally import Pair, Tally

GROUPS, KINDS = 128, 6


def made_pair(
    seed: int,
    before: int = 28,
    now: int = 7,
    *,
    users: int = 300,
    zipf: float = 0.9,
    user: float = 0.7,
    day: float = 0.0,
    persistence: float = 0.5,
    weekday: float = 0.0,
    shift: float = 0.0,
    per_day: int = 300,
    first: int = 0,
) -> Pair:
    """Return counts of ``KINDS`` of requests by day and group.

    Log-odds of the kinds differ by user, by day (autocorrelated) and by weekday with these deviations; from the first day of now on those
    of kind 0 are larger by ``shift``. ``first``: the weekday of the first day.
    """
    rng = np.random.default_rng(seed)
    days = before + now
    today = np.arange(days) + first
    effects = rng.normal(size=(days, KINDS))
    for d in range(1, days):
        effects[d] = persistence * effects[d - 1] + np.sqrt(1 - persistence**2) * effects[d]
    volume = np.where(today % 7 < 5, 1.2, 0.5) * np.exp(0.15 * rng.normal(size=days))
    rate = np.outer(volume, 1 / np.arange(1, users + 1) ** zipf)
    asked = rng.poisson(rate / rate.sum() * per_day * days)
    odds = rng.normal(size=KINDS) + user * rng.normal(size=(users, KINDS)) + (day * effects)[:, None]
    odds = odds + (weekday * rng.normal(size=(7, KINDS)))[today % 7][:, None]
    odds[before:, :, 0] += shift
    share = np.exp(odds) / np.exp(odds).sum(-1, keepdims=True)
    kinds = rng.multinomial(asked.ravel(), share.reshape(-1, KINDS)).reshape(days, users, KINDS).astype(float)
    part = np.zeros((days, GROUPS, KINDS))
    np.add.at(part, (slice(None), rng.integers(0, GROUPS, users)), kinds)
    whole = np.broadcast_to(part.sum(-1, keepdims=True), part.shape)
    dates = np.datetime64("2026-09-28") + today
    sides = [Tally(part[at], whole[at], dates[at]) for at in (slice(0, before), slice(before, None))]
    return Pair(sides[0], sides[1], tuple(f"kind {k}" for k in range(KINDS)))
