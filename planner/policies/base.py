"""Lever and Plan: what could be done differently, as plain values.

A plan is a list of levers; the empty plan is the log. Each lever declares its phase, the columns it needs, what it
writes, and its key, so that a whole plan is checked before anything runs. Knows nothing of prices, outcomes or of any
particular lever: siblings import only this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner import formats
from planner.errors import InputError
from planner.router import Requests, Router, Scores
from planner.traffic.rows import Rows

__all__ = ["PHASES", "Block", "Intents", "Lever", "Plan"]

Texts: TypeAlias = Callable[[str], Iterator[Requests]]
Store: TypeAlias = Callable[[str, Callable[[], dict[str, NDArray[Any]]]], dict[str, NDArray[Any]]]

#: Row levers say what each request would send, vectorised; event levers hold state that spans requests.
PHASES = ("row", "event")


class Block:
    """``n`` requests as row levers read them: columns, text in the router's own form, and router scores kept once made.

    Parameters
    ----------
    rows: the columns.
    at: ISO date that decides which models have retired.
    requests: given a router's unit, yields the text in consecutive pieces; called only when a router must score.
    stored: looks up or makes named arrays that outlive this object (``Traffic.derived``); None keeps them in memory only.
    """

    def __init__(self, rows: Rows, at: str, requests: Texts, stored: Store | None = None) -> None:
        self.rows = rows
        self.at = at
        self._requests = requests
        self._stored = stored
        self._scores: dict[str, Scores] = {}

    def scores(self, router: Router) -> Scores:
        """Return ``router``'s scores of all requests; they depend on its family, not on its τ."""
        if router.family not in self._scores:
            make = partial(_score, router, self._requests, self.at)
            arrays = self._stored(f"scores-{router.family}-{self.at}", make) if self._stored else make()
            self._scores[router.family] = Scores(**arrays)
        return self._scores[router.family]


def _score(router: Router, requests: Texts, at: str) -> dict[str, NDArray[Any]]:
    parts = [router.scores(piece, at) for piece in requests(router.unit)]
    return {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Scores)}


@dataclass(frozen=True, eq=False)
class Intents:
    """What each of ``n`` requests would send if it reached a provider; −1 is as logged.

    Parameters
    ----------
    model: codes into ``models``. tier: codes into ``tiers``. variant: codes into ``variants``, the prompt variants of the labels.
    removed: input tokens that are no longer sent, ≥ 0; what was neither read from nor written to a prompt cache goes first.
    submit_ms: time after the arrival before which it is not sent [ms].
    """

    model: NDArray[np.int32]
    tier: NDArray[np.int32]
    variant: NDArray[np.int32]
    removed: NDArray[np.int64]
    submit_ms: NDArray[np.float64]
    models: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    @classmethod
    def as_logged(cls, n: int) -> Intents:
        """The intents of the empty plan."""
        same = np.full(n, -1, np.int32)
        return cls(same, same, same, np.zeros(n, np.int64), np.zeros(n))


class Lever(Protocol):
    """One change. ``apply`` is pure: the same block and intents give the same intents."""

    @property
    def key(self) -> str:
        """What at most one lever of a plan may be, for example ``route``."""

    @property
    def phase(self) -> str:
        """One of PHASES."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Traffic columns without which the lever cannot speak."""

    @property
    def writes(self) -> tuple[str, ...]:
        """The Intents columns it sets: two levers of one plan may not write the same."""

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Return what the requests would send with this lever on."""

    def payload(self) -> dict[str, Any]:
        """Return the lever as plain values, ``kind`` among them."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A named list of levers, applied in order.

    >>> Plan().name, len(Plan().levers)
    ('as logged', 0)
    """

    levers: tuple[Lever, ...] = ()
    name: str = "as logged"

    def __post_init__(self) -> None:
        _distinct([lever.key for lever in self.levers], "lever", self.name)
        _distinct([w for lever in self.levers for w in lever.writes], "column", self.name)
        phases = [PHASES.index(lever.phase) for lever in self.levers]
        if phases != sorted(phases):
            raise InputError(f"plan {self.name!r} with an event lever before a row lever", "row levers first", "reorder the levers")

    @property
    def needs(self) -> tuple[str, ...]:
        """All columns any lever needs."""
        return tuple(dict.fromkeys(n for lever in self.levers for n in lever.needs))

    def payload(self) -> dict[str, Any]:
        """Return the plan as plain values in today's format."""
        return {**formats.header("plan"), "name": self.name, "levers": [lever.payload() for lever in self.levers]}

    @property
    def hash(self) -> str:
        """SHA-256 of what the plan does; its name does not count."""
        return hashlib.sha256(json.dumps(self.payload()["levers"], sort_keys=True).encode()).hexdigest()

    @classmethod
    def of(cls, payload: Mapping[str, Any], kinds: Mapping[str, Any], where: str = "plan") -> Plan:
        """Build a plan from plain values; ``kinds`` maps each lever's ``kind`` to what builds it from its payload."""
        current = formats.migrate("plan", payload, where)
        unknown = [lever.get("kind") for lever in current["levers"] if lever.get("kind") not in kinds]
        if unknown:
            raise InputError(f"{where}: lever kind {unknown[0]!r}", f"one of {', '.join(sorted(kinds))}")
        return cls(tuple(kinds[lever["kind"]](lever) for lever in current["levers"]), str(current["name"]))


def _distinct(names: Sequence[str], what: str, plan: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"plan {plan!r} with two levers for {what} {', '.join(twice)}", "one at most", "remove one of them")
