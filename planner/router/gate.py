"""Which candidates can answer each request, where the router abstains, and each request's own reference, before any score.

In: capabilities, support and the apps' own references. Out: for many requests arrays, for one plain values, both from one
table that holds what was settled once for each kind of request. Knows nothing of text, quality or cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.router.capabilities import LENGTH, Capability, Kind, Support, able, abstains, kinds
from planner.router.requests import Requests

__all__ = ["Gate", "feasible", "outside"]

_ANY = 1 << 62
#: [characters] of the longest names of app and modalities that are remembered: clients may choose them.
_REMEMBERED = 256


class Case(NamedTuple):
    """A kind of request on a day: which candidates are able, why the router abstains (0: it does not), and its own reference."""

    able: tuple[bool, ...]
    why: int
    home: int


class Gate:
    """What ``Router`` knows before it scores. ``homes`` holds the code of each app's own reference."""

    def __init__(self, capabilities: Sequence[Capability], support: Support, homes: Mapping[str, int], reference: int) -> None:
        self.capabilities, self.support, self.homes, self.reference = capabilities, support, homes, reference
        self.longest = [_ANY if c.max_input_tokens is None else c.max_input_tokens for c in capabilities]
        self.window = [_ANY if c.context_tokens is None else c.context_tokens for c in capabilities]
        self.trained = _ANY if support.max_tokens is None else support.max_tokens

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is remembered; a copy settles it again."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    @cached_property
    def _case(self) -> Callable[[Kind, str], Case]:
        return lru_cache(4096)(self._settle)

    def _known(self, kind: Kind, at: str) -> Case:
        return self._case(kind, at) if len(kind[0]) + len(kind[1]) <= _REMEMBERED else self._settle(kind, at)

    def _settle(self, kind: Kind, at: str) -> Case:
        can = tuple(able(c, kind, at) for c in self.capabilities)
        return Case(can, abstains(self.support, kind, self.homes), self.homes.get(kind[0], self.reference))

    def read(self, requests: Requests, at: str) -> tuple[NDArray[np.bool_], NDArray[np.int8], NDArray[np.int64]]:
        """Return which candidates can answer each request on the ISO date ``at`` (n, K), why the router abstains and homes (n,)."""
        found = kinds(requests, self.support.scripts is not None)
        place = {k: i for i, k in enumerate(dict.fromkeys(found))}
        cases = [self._known(k, at) for k in place]
        at_case = np.array([place[k] for k in found], np.int64)
        can = np.array([c.able for c in cases], bool).reshape(len(cases), len(self.capabilities))[at_case]
        can &= requests.input_tokens[:, None] <= self.longest
        can &= (requests.total_tokens + requests.max_tokens)[:, None] <= self.window
        why = np.array([c.why for c in cases], np.int8)[at_case]
        why[(why == 0) & (requests.input_tokens > self.trained)] = LENGTH
        return can, why, np.array([c.home for c in cases], np.int64)[at_case]

    def read_one(self, request: Requests, at: str) -> tuple[list[bool], int, int]:
        """Return what ``read`` returns for a single request: able candidates, why, home."""
        can, why, home = self._known(kinds(request, self.support.scripts is not None)[0], at)
        size, total = request.input_tokens.item(), request.total_tokens.item() + request.max_tokens.item()
        fits = [c and size <= most and total <= window for c, most, window in zip(can, self.longest, self.window, strict=True)]
        return fits, why or (LENGTH if size > self.trained else 0), home


def feasible(requests: Requests, capabilities: Sequence[Capability], at: str) -> NDArray[np.bool_]:
    """Return which candidate can answer which request on the ISO date ``at``, shape (n, K).

    >>> feasible(Requests.of(["Hi"]), [Capability(context_tokens=8000), Capability()], "2026-11-01").tolist()
    [[True, False]]
    """
    return Gate(capabilities, Support(), {}, 0).read(requests, at)[0]


def outside(requests: Requests, support: Support, homes: Sequence[str] = ()) -> NDArray[np.int8]:
    """Return why the router abstains from each request, given the apps whose model of today is known: codes of REASONS, 0 where not.

    >>> outside(Requests.of(["one two three", "one"]), Support(max_tokens=2)).tolist()
    [4, 0]
    """
    return Gate((), support, dict.fromkeys(homes, 0), 0).read(requests, "")[1]
