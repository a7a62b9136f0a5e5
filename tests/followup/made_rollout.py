"""Logs of a rollout whose effect is known: real lots (``assign``), real prices, and costs whose tails are heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support.small import traffic_of
from support.steered import BIG, MINI, NANO, router

from planner.bundle import export
from planner.router.assign import assign
from planner.router.load import read_manifest
from planner.router.rollout import AppRollout, Rollout
from planner.router.router import Decision
from planner.traffic import Traffic

DAYS = 28
APPS = ("chat", "search")


@dataclass(frozen=True)
class World:
    """How a log is made.

    Parameters
    ----------
    sessions, days, seed. shares: of each half of the time, what is routed of those not held out.
    holdout, explore, salt: of the rollout. moved: chance that a session's decision is another model.
    failing: what routing multiplies failures with. slower: what it multiplies latencies with. graded: share of answers with a grade.
    worse: quality that routing takes. unit: what the lot is drawn for. group: whether apps ask for a group of deployments of their own.
    """

    sessions: int = 2_000
    seed: int = 0
    shares: tuple[float, float] = (0.3, 1.0)
    holdout: float = 0.1
    explore: float = 0.0
    salt: str = "3f9a01c2"
    moved: float = 0.6
    failing: float = 1.0
    slower: float = 1.0
    graded: float = 0.0
    worse: float = 0.0
    unit: str = "session"
    group: bool = False


def made_bundle(folder: Path, prediction: Mapping[str, Any] | None = None, unit: str = "session") -> Path:
    """Export a bundle; ``prediction`` goes into its manifest."""
    import dataclasses

    evaluation = {"prediction": dict(prediction)} if prediction else {}
    return export(dataclasses.replace(router(), unit=unit), folder / "bundle", evaluation=evaluation).parent


def digest(folder: Path) -> str:
    """Return the digest of the bundle in ``folder``."""
    return str(read_manifest(folder / "bundle")[0]["digest"])


def columns(world: World, bundle: str) -> pd.DataFrame:
    """Return the rows of a log that the bundle with this digest decided."""
    rng = np.random.default_rng(world.seed)
    n = world.sessions
    size = np.minimum(1 + rng.geometric(0.4, n) - 1 + rng.pareto(1.8, n).astype(int), 40)
    app = rng.choice(APPS, n, p=[0.7, 0.3])
    late = np.sort(rng.random(n)) if n else np.zeros(0)
    decided = np.where(rng.random(n) < world.moved, rng.choice([MINI, NANO], n, p=[0.7, 0.3]), BIG)
    whose = [_assigned(world, i, app[i], decided[i], late[i] >= 0.5) for i in range(n)]
    of = np.repeat(np.arange(n), size)
    rows = len(of)
    tokens = rng.lognormal(6, 0.8, rows) * np.exp(rng.normal(0, 0.7, n))[of] * np.where(app == "chat", 1.0, 3.0)[of]
    sent = np.array([w.model for w in whose], object)[of]
    moved = sent != BIG
    asks = [f"{a}-default" if world.group else BIG for a in app]
    modes = np.where(late < 0.5, "canary", "active")
    tags = [_tags(bundle, w.arm, a, d, world.unit, m) for w, a, d, m in zip(whose, asks, decided, modes, strict=True)]
    frame = pd.DataFrame(
        {
            "app": app[of],
            "session_id": [f"s{i}" for i in of] if world.unit == "session" else None,
            "user": [f"u{i}" for i in of] if world.unit == "user" else None,
            "provider": "openai",
            "model": sent,
            "model_requested": sent,
            "input_tokens": np.rint(tokens).astype(int) + 20,
            "output_tokens": np.rint(tokens / 4 * rng.lognormal(0, 0.5, rows)).astype(int) + 1,
            "status": np.where(rng.random(rows) < 0.02 * np.where(moved, world.failing, 1), "transport", "ok"),
            "latency_ms": rng.lognormal(7, 0.5, rows) * np.where(moved, world.slower, 1),
            "quality": np.where(rng.random(rows) < world.graded, (rng.random(rows) < 0.8 - world.worse * moved).astype(float), np.nan),
            "action": sent,
            "action_propensities": np.array([json.dumps(w.propensities) for w in whose], object)[of],
            "tags": np.array(tags, object)[of],
            "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta((late[of] * DAYS * 86_400).astype(int), unit="s"),
        }
    )
    return frame.assign(request_id=[f"r{i}" for i in range(rows)])


def rolled_out(folder: Path, world: World, bundle: str) -> Traffic:
    """Write such a log into ``folder``."""
    return traffic_of(folder, columns(world, bundle))


def _assigned(world: World, session: int, app: str, decided: str, late: bool) -> Any:
    passed = (BIG, MINI, NANO) if world.explore else ()
    on = AppRollout("canary", world.shares[int(late)], world.explore, (BIG,), passed)
    rollout = Rollout(world.salt, world.holdout, apps={app: on})
    return assign(rollout, app, f"s{session}", Decision(decided, 0.0, "best value at tau", "v"), BIG)


def _tags(bundle: str, arm: str, asked: str, decided: str, unit: str, mode: str) -> str:
    said = {"mode": mode, "arm": arm, "asked": asked, "decided": decided, "unit": unit}
    return json.dumps(["mine", f"planner:{bundle[:8]}", *(f"planner-{name}:{value}" for name, value in said.items())])
