"""Logs of four weeks made by one rule, whose last part may follow another: what a back-test must tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support.small import prompt, traffic_of

from planner.traffic import Traffic

START, DAYS, USERS = pd.Timestamp("2026-11-01", tz="UTC"), 28, 150
#: app → (model, mean visible answer, share of the requests).
APPS = {"chat": ("gpt-5.4", 200, 0.6), "search": ("gpt-5.4-mini", 80, 0.4)}


def columns(
    n: int = 8_000, seed: int = 0, *, since: float = 0.7, slower: float = 1.0, longer: float = 1.0, failing: float = 1.0, questions: int = 0
) -> pd.DataFrame:
    """Return a log in which, after the share ``since`` of the time, the app "chat" is slower, answers at greater length, fails more often.

    Users ask in proportion to a lognormal weight. A call fails with probability 0.03 and is tried again up to twice; so fails a
    request with 0.03³, and one in a hundred is refused. With ``questions`` there are only so many, and the gateway keeps
    the answers to those of "search" for an hour.
    """
    rng = np.random.default_rng(seed)
    when = np.sort(rng.random(n)) * DAYS
    late = when > since * DAYS
    chat = rng.random(n) < APPS["chat"][2]
    drifts = late & chat
    weight = rng.lognormal(0, 1, USERS)
    user = rng.choice(USERS, n, p=weight / weight.sum())
    manner = rng.lognormal(0, 0.15, USERS)[user]
    output = np.rint(np.where(chat, 200, 80) * manner * rng.lognormal(0, 0.5, n) * np.where(drifts, longer, 1)).clip(1).astype(int)
    tokens = rng.integers(200, 2_000, n)
    call = (400 + 0.1 * tokens + np.where(chat, 12, 7) * output) * rng.lognormal(0, 0.3, n) * np.where(drifts, slower, 1)
    chance = 0.03 * np.where(drifts, failing, 1)
    lost = rng.random((n, 3)) < chance[:, None]
    attempts = 1 + (lost[:, 0]) + (lost[:, 0] & lost[:, 1])
    refused = rng.random(n) < 0.01 * np.where(drifts, failing, 1)
    status = np.where(lost.all(axis=1), "transport", np.where(refused, "content", "ok"))
    attempts = np.where(refused, 1, attempts)
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(n)],
            "timestamp": (START + pd.to_timedelta(when, unit="D")).round("ms"),
            "user": [f"u{u}" for u in user],
            "app": np.where(chat, "chat", "search"),
            "provider": "openai",
            "model": np.where(chat, APPS["chat"][0], APPS["search"][0]),
            "input_tokens": np.where(status == "ok", tokens, 0),
            "output_tokens": np.where(status == "ok", output, 0),
            "latency_ms": np.where(status == "ok", call, 0) + 800.0 * (attempts - (status == "ok")),
            "status": status,
            "attempts": attempts,
        }
    )
    return _kept(frame, rng, questions) if questions else frame


def _kept(frame: pd.DataFrame, rng: np.random.Generator, questions: int) -> pd.DataFrame:
    """Give each request one of so many questions, and let the gateway answer what "search" was asked within the hour."""
    which = rng.integers(0, questions, len(frame))
    hit, filled = np.zeros(len(frame), bool), {}
    for i, (app, q, t, ok) in enumerate(zip(frame["app"], which, frame["timestamp"], frame["status"] == "ok", strict=True)):
        if app == "search" and ok:
            hit[i] = q in filled and t - filled[q] < pd.Timedelta(hours=1)
            if not hit[i]:
                filled[q] = t
    blank = {"input_tokens": 0, "output_tokens": 0, "latency_ms": 4.0, "attempts": 1}
    given = {"messages": [prompt(f"question {q}") for q in which], "text_state": "full", "cache_hit": hit}
    return frame.assign(**given, **{name: np.where(hit, value, frame[name]) for name, value in blank.items()})


def log_of(folder: Path, frame: pd.DataFrame, changes: Mapping[str, Any] | None = None) -> Traffic:
    """Write a log."""
    return traffic_of(folder, frame.assign(**(changes or {})).to_dict("series"))
