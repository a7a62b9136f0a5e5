"""A small office whose log and labels every test of exports shares: code that needs the dear model, and letters that do not.

Two apps. ``chat`` asks for its model by name; ``desk`` writes letters only, and asks for a model group called ``assistant``. LiteLLM's own
classes tell code from letters too, so that its router without code can learn something here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from planner.labels import Labels
from planner.prices import PriceBook
from planner.traffic import Traffic
from planner.training import Training, train
from support.small import MODELS, prompt, traffic_of

#: Chance that each of MODELS answers well: code, letters.
TRUTH = np.array([[0.95, 0.30, 0.15], [0.95, 0.94, 0.93]])
_WORDS = ("invoice", "parcel", "garden", "ticket", "window", "harbour", "engine", "novel", "planet", "kettle", "bridge", "orchard")
FLOOR = 0.08


@dataclass(frozen=True)
class Office:
    """The log, the labels of a part of it, and what training found; ``texts`` of all requests."""

    traffic: Traffic
    labels: Labels
    training: Training
    texts: tuple[str, ...]


def texts_of(n: int, seed: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return n requests and which of them are code."""
    rng = np.random.default_rng(seed)
    code = rng.random(n) < 0.5
    words = rng.choice(_WORDS, (n, 3))
    texts = [
        f"Write a python function that sorts the {a} by {b} and {c}, number {i}" if is_code else f"Summarise the {a} for {b} and {c} {i}"
        for i, ((a, b, c), is_code) in enumerate(zip(words, code, strict=True))
    ]
    return tuple(texts), code


def office_of(folder: Path, n: int = 1_800, labelled: int = 1_500, seed: int = 0) -> Office:
    """Write the office into ``folder``, and train on it."""
    rng = np.random.default_rng(seed)
    texts, code = texts_of(n, seed)
    user = np.array([f"u{u}" for u in rng.integers(0, 1_500, n)])
    app = np.where(code | (rng.random(n) < 0.4), "chat", "desk")
    failed = rng.random(n) < 0.03
    tokens = rng.integers(200, 2_000, n)
    traffic = traffic_of(
        folder / "log",
        {
            "user": user,
            "app": app,
            "provider": "openai",
            "model": MODELS[0],
            "model_requested": np.where(app == "chat", MODELS[0], "assistant"),
            "messages": [prompt(t) for t in texts],
            "text_state": "full",
            "input_tokens": np.where(failed, 0, tokens),
            "output_tokens": np.where(failed, 0, rng.integers(50, 500, n)),
            "latency_ms": rng.lognormal(7, 0.5, n),
            "status": np.where(failed, "transport", "ok"),
            "finish_reason": np.where(failed, None, np.where(rng.random(n) < 0.1, "length", "stop")),
            "response_format": np.where(code, "json_object", "text"),
            "response": np.where(code, np.where(rng.random(n) < 0.2, "no json", '{"a": 1}'), "Fine."),
            "stream": rng.random(n) < 0.3,
            "timestamp": pd.date_range("2026-10-01", periods=n, freq="20min", tz="UTC"),
            "prompt_version": np.where(code, "code:2", None),
        },
    )
    labels = _labels(rng, texts, code, user, app, np.sort(rng.choice(n, labelled, replace=False)), n)
    labels.save(folder / "labels")
    return Office(traffic, labels, train(labels, traffic, book=PriceBook.load(), floor=FLOOR), texts)


def _labels(
    rng: np.random.Generator, texts: tuple[str, ...], code: np.ndarray, user: np.ndarray, app: np.ndarray, picked: np.ndarray, n: int
) -> Labels:
    items = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in picked],
            "app": app[picked],
            "user": user[picked],
            "messages": [json.dumps([{"role": "user", "content": texts[i]}]) for i in picked],
            "response_format": np.where(code[picked], "json_object", "text"),
            "weight": n / len(picked),
        }
    )
    outcomes = pd.DataFrame(
        [
            {
                "request_id": f"r{i}",
                "model": model,
                "quality": float(rng.random() < TRUTH[0 if code[i] else 1, k]),
                "grader": "exact",
                "input_tokens": 500,
                "output_tokens": 200,
                "latency_ms": 1_000.0,
                "cost_usd": 0.01 / 5**k,
            }
            for i in picked
            for k, model in enumerate(MODELS)
        ]
    )
    return Labels.of(items, outcomes)


@cache
def office(folder: Path) -> Office:
    """Return the one office of a run, made the first time in ``folder``."""
    return office_of(folder)
