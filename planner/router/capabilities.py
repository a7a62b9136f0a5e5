"""What each candidate can answer at all, and what the training data covers.

In: dated facts about models, given by whoever knows them (labels, the user's file, a catalogue), and Requests. Out: a boolean
feasible set (n, K). Unknown is infeasible: a model is only offered what somebody said it can do. Knows nothing of quality or
cost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router.requests import FORMATS, Requests

__all__ = ["KEEP", "REASONS", "UNREADABLE", "Capability", "Support", "feasible", "outside"]

#: Codes of the reasons a decision carries are positions in this tuple; 0 to 2 are decisions, the rest abstentions.
REASONS = (
    "cheapest candidate within tau",
    "reference: no cheaper candidate within tau",
    "reference: no feasible candidate",
    "abstained: app not among those trained on",
    "abstained: longer than anything trained on",
    "abstained: no text to read",
    "abstained: text is cut",
    "abstained: input that could not be read",
    "abstained: keep what you asked for",
)
#: The reasons of what cannot be read, and of an app whose model of today the router does not know.
UNREADABLE, KEEP = 7, 8


@dataclass(frozen=True)
class Capability:
    """What one model is known to do.

    Parameters
    ----------
    max_input_tokens: [tokens] longest template and deciding turn it is known to have answered.
    context_tokens: [tokens] window that all messages and max_tokens share. Without either limit nothing is feasible.
    tools: takes tool definitions.
    formats: response formats it keeps.
    modalities: inputs it reads.
    retires: ISO date from which it must not be called; "" when none is announced.
    apps: apps that may use it; None for all.
    source: who says so, with a date.
    """

    max_input_tokens: int | None = None
    context_tokens: int | None = None
    tools: bool = False
    formats: tuple[str, ...] = ("text",)
    modalities: tuple[str, ...] = ("text",)
    retires: str = ""
    apps: tuple[str, ...] | None = None
    source: str = "unknown"

    def state(self) -> dict[str, Any]:
        """Return plain values, for a manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Capability:
        """Build from ``state()``."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state.items()}
        return cls(**values)


@dataclass(frozen=True)
class Support:
    """What the labels cover; outside of it the router abstains.

    Parameters
    ----------
    apps: apps with labels; None for all.
    max_tokens: [tokens] longest labelled template and deciding turn; None for any. The history of a session does not count, lest
        a session change its model for having grown.
    cut_text: labels included shortened text.
    """

    apps: tuple[str, ...] | None = None
    max_tokens: int | None = None
    cut_text: bool = False


def feasible(requests: Requests, capabilities: Sequence[Capability], at: str) -> NDArray[np.bool_]:
    """Return which candidate can answer which request on the ISO date ``at``, shape (n, K).

    >>> feasible(Requests.of(["Hi"]), [Capability(context_tokens=8000), Capability()], "2026-11-01").tolist()
    [[True, False]]
    """
    return np.column_stack([_feasible(requests, c, at) for c in capabilities])


def _feasible(requests: Requests, known: Capability, at: str) -> NDArray[np.bool_]:
    n = len(requests)
    if (known.max_input_tokens is None and known.context_tokens is None) or (known.retires and known.retires <= at):
        return np.zeros(n, bool)
    able = np.array([f in known.formats for f in FORMATS])[requests.response_format]
    if not known.tools:
        able &= ~requests.has_tools
    if known.max_input_tokens is not None:
        able &= requests.input_tokens <= known.max_input_tokens
    if known.context_tokens is not None:
        able &= requests.total_tokens + requests.max_tokens <= known.context_tokens
    able &= _per_value(requests.modalities, lambda m: all(x in known.modalities for x in m.split(",") if x))
    if known.apps is not None:
        able &= _per_value(requests.app, set(known.apps).__contains__)
    return able


def _per_value(values: Sequence[str], test: Any) -> NDArray[np.bool_]:
    answers = {v: test(v) for v in dict.fromkeys(values)}
    return np.fromiter((answers[v] for v in values), bool, len(values))


def outside(requests: Requests, support: Support, homes: Collection[str] = ()) -> NDArray[np.int8]:
    """Return why the router abstains from each request: a code of REASONS, 0 where it does not, shape (n,).

    ``homes`` are the apps whose model of today is known. An app that is neither there nor in the support gets KEEP, whatever
    else is wrong with the request.
    """
    why = np.zeros(len(requests), np.int8)
    if support.max_tokens is not None:
        why[requests.input_tokens > support.max_tokens] = 4
    if support.apps is not None:
        why[~_per_value(requests.app, set(support.apps).__contains__)] = 3
    if not support.cut_text:
        why[requests.text_state == 1] = 6
    why[requests.text_state == 2] = 5
    if support.apps is not None:
        why[~_per_value(requests.app, {*support.apps, *homes}.__contains__)] = KEEP
    return why
