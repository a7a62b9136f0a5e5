"""The world of the sample log: its applications, its models, and how good each model is at what.

In: nothing. Out: constants and the functions from a request's demands to every model's expected quality. A request asks
something of eight dimensions; a model loses log-odds on each in proportion to its own weakness, a topic moves every model
by a fixed quirk, and a part that no text reveals is added. Knows nothing of texts, times or payloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats import draws

__all__ = [
    "APPS",
    "DAYS",
    "DIMENSIONS",
    "MODELS",
    "SEED",
    "START",
    "App",
    "Model",
    "expected_quality",
    "model_at",
    "visible_quality",
]

SEED = 20261019
#: First day of the log, UTC; it lasts DAYS days.
START = np.datetime64("2026-10-19T00:00:00", "us")
DAYS = 28
#: What a request can ask for; the columns of a demand matrix.
DIMENSIONS = ("steps", "constraints", "rare", "ambiguous", "code", "messy", "language", "length")
#: Standard deviation [log-odds] of what no text reveals: shared by all models, and each model's own.
HIDDEN_SHARED, HIDDEN_OWN = 0.6, 0.35
#: A demand d is felt as STRESS · d² / (d + EASY): small ones hardly, large ones nearly in full.
EASY, STRESS = 0.6, 1.25
#: Standard deviation [log-odds] of a topic's quirk for one model.
QUIRK = 0.25


@dataclass(frozen=True, slots=True)
class Model:
    """A candidate: its catalogue id, log-odds of a good answer to an undemanding request, and weakness per dimension.

    ``verbosity`` scales output length; ``reasoning`` is the mean of reasoning tokens per visible token in apps that
    reason; ``first_ms`` [ms] and ``per_second`` [tokens/s] shape latency; ``scale`` is input tokens per o200k token.
    """

    name: str
    provider: str
    base: float
    weakness: tuple[float, ...]
    verbosity: float
    reasoning: float
    first_ms: float
    per_second: float
    scale: float = 1.0


#                                                   steps constr  rare ambig  code messy  lang length
MODELS = (
    Model("claude-haiku-4-5", "anthropic", 2.85, (0.85, 0.25, 0.95, 0.50, 0.50, 0.85, 0.35, 0.50), 1.10, 0.0, 520, 125, 1.12),
    Model("claude-sonnet-4-5", "anthropic", 2.90, (0.45, 0.20, 0.50, 0.30, 0.15, 0.50, 0.15, 0.25), 1.15, 0.0, 980, 72, 1.12),
    Model("gpt-5.4", "openai", 2.95, (0.30, 0.30, 0.30, 0.40, 0.35, 0.40, 0.15, 0.25), 1.00, 1.2, 850, 80),
    Model("gpt-5.4-mini", "openai", 2.85, (0.80, 0.50, 1.05, 0.75, 0.85, 0.42, 0.30, 0.45), 0.95, 0.9, 430, 140),
    Model("gpt-5.4-nano", "openai", 2.60, (1.35, 1.00, 1.60, 1.10, 1.60, 1.00, 0.90, 0.90), 0.85, 0.7, 260, 190),
)


@dataclass(frozen=True, slots=True)
class App:
    """An application: its part of all requests, its models over time, and how it talks to the gateway.

    ``models`` are (model, first day of the log it answers from) in order. ``peak`` is the UTC hour of most traffic and
    ``width`` its spread [h], ``weekend`` the factor on Saturdays and Sundays. ``graded`` is how many points a grader looks
    at: rubric points, fields, tests, goals.
    """

    name: str
    share: float
    models: tuple[tuple[str, int], ...]
    versions: tuple[tuple[str, int], ...]
    turns: float
    users: int
    peak: float
    weekend: float
    stream: bool
    max_tokens: int
    output: float
    graded: int
    team: str
    text: str = "full"
    width: float = 3.4
    explore: tuple[str, float] | None = None
    reasons: bool = False


APPS = (
    App("support-chat", 0.29, (("gpt-5.4", 0),), (("support-v7", 0), ("support-v8", 13)), 3.4, 3200, 14, 0.75, True, 1024, 129, 5,
        "care", explore=("gpt-5.4-mini", 0.08)),
    App("docs-rag", 0.14, (("claude-sonnet-4-5", 0),), (("docs-v3", 0), ("docs-v4", 19)), 1.0, 1400, 13, 0.30, True, 1500, 150, 5, "docs"),
    App("invoice-extract", 0.15, (("gpt-5.4", 0),), (("extract-v2", 0), ("extract-v3", 9)), 1.0, 60, 10, 0.10, False, 2048, 0, 7,
    "finance"),
    App("code-assist", 0.12, (("gpt-5.4", 0), ("claude-sonnet-4-5", 15)), (("code-v5", 0),), 1.0, 420, 15, 0.20, True, 1200, 13, 4,
        "platform"),
    App("nightly-summary", 0.06, (("gpt-5.4", 0),), (("summary-v1", 0), ("summary-v2", 16)), 1.0, 12, 2, 1.0, False, 800, 220, 4,
        "insight", text="cut", width=0.5),
    App("ops-agent", 0.10, (("gpt-5.4", 0),), (("agent-v11", 0), ("agent-v12", 6)), 5.0, 90, 11, 0.25, False, 2048, 45, 3, "platform",
        reasons=True),
    App("ticket-triage", 0.11, (("gpt-5.4-mini", 0),), (("triage-v1", 0),), 1.0, 25, 12, 0.50, False, 200, 0, 3, "care"),
    App("hr-helper", 0.03, (("gpt-5.4-mini", 0),), (("hr-v2", 0),), 2.2, 700, 10, 0.08, True, 1024, 140, 4, "people", text="none"),
)  # fmt: skip


def model_at(steps: tuple[tuple[str, int], ...], day: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return what is in force on each ``day`` of the log, of dated ``steps`` (models or prompt versions).

    >>> list(model_at((("a", 0), ("b", 15)), np.array([3, 20])))
    ['a', 'b']
    """
    names = np.array([s[0] for s in steps], object)
    chosen: NDArray[np.object_] = names[np.searchsorted([s[1] for s in steps], day, side="right") - 1]
    return chosen


def _logits(demand: NDArray[np.float64], topic: NDArray[Any]) -> NDArray[np.float64]:
    weakness = np.array([m.weakness for m in MODELS])
    topics, codes = np.unique(topic.astype(str), return_inverse=True)
    quirks = np.column_stack([draws.normal(SEED, draws.key(topics), f"quirk/{m.name}") for m in MODELS]) * QUIRK
    felt = demand**2 / (demand + EASY)
    logits: NDArray[np.float64] = np.array([m.base for m in MODELS]) - STRESS * felt @ weakness.T + quirks[codes]
    return logits


def expected_quality(demand: NDArray[np.float64], topic: NDArray[Any], group: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Return the true mean quality, shape (n, models): demands, topic quirks, and what no text reveals (one per group)."""
    keys = draws.key(group)
    own = np.column_stack([draws.normal(seed, keys, f"hidden/{m.name}") for m in MODELS]) * HIDDEN_OWN
    shared = draws.normal(seed, keys, "hidden") * HIDDEN_SHARED
    return _sigmoid(_logits(demand, topic) + own + shared[:, None])


def visible_quality(demand: NDArray[np.float64], topic: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the true quality given the text alone, shape (n, models): no router can know more.

    The hidden part is integrated out by Gauss–Hermite quadrature with 15 nodes.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    spread = np.hypot(HIDDEN_SHARED, HIDDEN_OWN)
    logits = _logits(demand, topic)
    total = sum(w * _sigmoid(logits + spread * x) for x, w in zip(nodes, weights, strict=True))
    return np.asarray(total / weights.sum(), float)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))
