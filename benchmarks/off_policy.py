"""Coverage of the off-policy intervals: synthetic logs of draws whose true values are known.

In: how many logs. Out: for each kind of log and each estimator how often the 95 % interval holds the router's true value, how
often the interval of the difference holds the true difference, bias, and root mean squared error. Logs with fewer than 250
effective sessions are counted and left out, as they carry a warning. Run: ``python -m benchmarks.off_policy --logs 2000 --json``.

A world is a pool of conversations with a text, a hidden mood that moves all its answers, and a true quality under each of three
models; a log draws conversations from it with replacement and a model for each by the logged policy. The router's true value is
the mean over the pool.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import Capability, Costs, Requests, Router, TableRule
from planner.training.off_policy import FEW
from planner.training.ope_estimators import ESTIMATORS, effective_sessions, expected_sessions, lacking, table
from planner.training.ope_logged import Logged
from planner.training.ope_rows import follow, predicted, weighed

MODELS = ("large", "middle", "small")
EASY, HARD = ("greet", "thank", "spell", "list", "repeat", "name"), ("prove", "derive", "integrate", "refactor", "diagnose", "reconcile")
COMMON = ("please", "the", "my", "order", "about", "with", "number", "today", "report", "for")
APPS = ("chat", "maths")


@dataclass(frozen=True)
class Kind:
    """A kind of log: sessions a log, turns at most, propensities on (easy, hard) conversations, and what one draw covers."""

    sessions: int
    turns: int
    easy: tuple[float, float, float]
    hard: tuple[float, float, float]
    drawn: str = "session"
    unit: str = "session"


KINDS = {
    "even": Kind(1_000, 1, (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3)),
    "one in ten": Kind(2_300, 1, (0.8, 0.1, 0.1), (0.8, 0.1, 0.1)),
    "sessions": Kind(1_000, 4, (0.3, 0.3, 0.4), (0.6, 0.3, 0.1)),
    "one in forty": Kind(2_400, 2, (0.2, 0.2, 0.6), (0.9, 0.075, 0.025)),
    "every turn, held": Kind(1_500, 2, (0.25, 0.25, 0.5), (0.5, 0.25, 0.25), "request"),
    "every turn, free": Kind(700, 4, (0.25, 0.25, 0.5), (0.6, 0.3, 0.1), "request", "request"),
}


@dataclass(frozen=True, eq=False)
class World:
    """A pool of turns: text as read, its conversation, whether it is hard, and the true quality (turns, 3)."""

    requests: Requests
    talk: NDArray[np.int64]
    hard: NDArray[np.bool_]
    quality: NDArray[np.float64]


def world(turns: int, unit: str, talks: int = 6_000, seed: int = 0) -> World:
    """Make a pool; a word of HARD lowers the weaker models, words of COMMON shift all, a mood moves the whole conversation."""
    rng = np.random.default_rng(seed)
    talk = np.repeat(np.arange(talks), rng.integers(1, turns + 1, talks))
    hard = (rng.random(talks) < 0.4)[talk]
    words = np.where(hard[:, None], rng.choice(HARD, (len(talk), 2)), rng.choice(EASY, (len(talk), 2)))
    common = rng.integers(0, len(COMMON), (len(talk), 5))
    text = [" ".join([*w, *(COMMON[c] for c in cs)]) for w, cs in zip(words, common, strict=True)]
    base = np.where(hard[:, None], [0.85, 0.6, 0.3], [0.9, 0.85, 0.75])
    shift = np.linspace(-0.03, 0.03, len(COMMON))[common].mean(1) + rng.uniform(-0.1, 0.1, talks)[talk]
    app = [APPS[h] if r < 0.8 else APPS[0] for h, r in zip(hard.astype(int), rng.random(talks)[talk], strict=True)]
    messages = [[{"role": "user", "content": t}] for t in text]
    return World(Requests.of(messages, app=app, unit=unit), talk, hard, np.clip(base + shift[:, None], 0, 1))


def router() -> Router:
    """Return a rule that sends chat to the small model and the other app to the large one."""
    gains = TableRule(("chat",), np.array([[0, -0.1, 0.5]], np.float32), np.array([0, -1, -1], np.float32))
    none = np.zeros(3)
    costs = Costs(none, none, none, np.array([3.0, 2.0, 1.0]))
    return Router(MODELS, "large", gains, costs, (Capability(10**6),) * 3, tau=0.0).with_apps(APPS)


def drawn(pool: World, kind: Kind, seed: int) -> tuple[Logged, Requests]:
    """Draw one log."""
    rng = np.random.default_rng(seed)
    start = np.searchsorted(pool.talk, np.arange(pool.talk[-1] + 2))
    picked = rng.integers(0, len(start) - 1, kind.sessions)
    sizes = start[picked + 1] - start[picked]
    session = np.repeat(np.arange(kind.sessions), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.arange(len(session)) - first + start[picked][session]
    chance = np.where(pool.hard[rows, None], kind.hard, kind.easy)
    coin = rng.random(len(rows)) if kind.drawn == "request" else rng.random(kind.sessions)[session]
    action = (coin[:, None] > chance.cumsum(1)[:, :-1]).sum(1)
    reward = (rng.random(len(rows)) < pool.quality[rows, action]).astype(float)
    ids = np.arange(len(rows)).astype(str).astype(object)
    ones = np.ones(len(rows))
    logged = Logged(ids, MODELS, action, chance, reward, ones, session, first, (), {}, pd.DataFrame())
    return logged, pool.requests.take(rows)


def truth(pool: World, kind: Kind) -> tuple[float, float]:
    """Return the true value per turn of the router and of the logged policy."""
    held = router()
    code = held.choose(held.scores(pool.requests, ""))[0]
    code = code if kind.unit == "request" else code[np.searchsorted(pool.talk, pool.talk)]
    mix = np.where(pool.hard[:, None], kind.hard, kind.easy)
    return float(pool.quality[np.arange(len(code)), code].mean()), float((mix * pool.quality).sum(1).mean())


def estimates(kind: Kind, logs: int, seed: int = 0) -> Iterator[tuple[float, pd.DataFrame]]:
    """Yield effective sessions and the table of each log."""
    pool, judged = world(kind.turns, kind.unit), router()
    for i in range(logs):
        logged, requests = drawn(pool, kind, seed + i)
        rated = np.arange(len(logged))
        followed = follow(judged, logged, requests, kind.drawn)
        rows = weighed(logged, followed, rated, predicted(requests, logged, followed, rated))
        ess, expected = effective_sessions(rows), expected_sessions(rows, kind.unit == kind.drawn == "request")
        yield min(ess, expected), table(rows, widen=lacking(ess, expected))


def measure(name: str, logs: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return one line an estimator for the kind of log called ``name``."""
    kind, began = KINDS[name], time.perf_counter()
    value, logged = truth(world(kind.turns, kind.unit), kind)
    found = list(estimates(kind, logs, seed))
    read = [t for ess, t in found if ess >= FEW]
    seconds = (time.perf_counter() - began) / logs
    lines = []
    for estimator in ("logged", *ESTIMATORS):
        line = np.array([t.loc[estimator, ["value", "low", "high", "diff", "diff_low", "diff_high", "se"]].to_numpy(float) for t in read])
        target, gain = (logged, 0.0) if estimator == "logged" else (value, value - logged)
        lines.append(
            {
                "log": name,
                "estimator": estimator,
                "logs": len(read),
                "below_250": logs - len(read),
                "ess": float(np.median([ess for ess, _ in found])),
                "coverage": float(((line[:, 1] <= target) & (target <= line[:, 2])).mean()),
                "coverage_difference": float(((line[:, 4] <= gain + 1e-12) & (gain - 1e-12 <= line[:, 5])).mean()),
                "below": float((line[:, 2] < target).mean()),
                "above": float((line[:, 1] > target).mean()),
                "true": target,
                "bias": float(line[:, 0].mean() - target),
                "rmse": float(np.sqrt(np.square(line[:, 0] - target).mean())),
                "mean_se": float(line[:, 6].mean()),
                "seconds_a_log": seconds,
            }
        )
    return lines


def main() -> None:
    """Print coverage by kind of log and estimator."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", type=int, default=2_000)
    parser.add_argument("--kind", choices=KINDS, action="append", help="repeatable; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lines = [line for name in asked.kind or KINDS for line in measure(name, asked.logs, asked.seed)]
    print(json.dumps(lines) if asked.json else pd.DataFrame(lines).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
