"""What a World must be before the loop may trust it: shapes, kinds of numbers, ranges, order.

In: a World as somebody built it. Out: the same values as contiguous read-only arrays of exactly the documented types, or one
error that names the column. Copies only what has another type or layout. Knows nothing of the rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.schema import STATUSES
from planner.simulation.events.inputs import CANCELLED, HISTORIES, OK, SCORES, Ints, World
from planner.simulation.events.records import read_only

__all__ = ["checked"]

_KINDS = len(STATUSES)
#: Times are below 285 years, so that sums of hundreds stay within 64 bits; a longer lifetime of an entry means for ever.
_TIME, _FOR_EVER = 2**53, 2**60
#: What a residual multiplies is below twelve days, and a residual below a million.
_CALL = (0, 2**40)
_FACTOR = (0, 1e6)
_POSITION = 2**31 - 1
_TIMES = (0, _TIME)
_ANY = (-np.inf, np.inf)
_Spec = tuple[str, tuple[str | int, ...], tuple[float, float | str]]
#: Column → type, shape, least value, and what it stays below. A letter is a size that must be the same wherever it stands.
_COLUMNS: dict[str, dict[str, _Spec]] = {
    "requests": {
        "arrival_us": ("int64", ("n",), _TIMES),
        "key": ("uint64", ("n",), _ANY),
        "follows": ("int64", ("n",), (-1, "n")),
        "think_us": ("int64", ("n",), _TIMES),
        "submit_us": ("int64", ("n",), _TIMES),
        "chain": ("int16", ("n", "F"), (-1, "L")),
        "escalate": ("int16", ("n",), (-1, "L")),
        "accepted": ("bool", ("n",), _ANY),
        "verify_us": ("int64", ("n",), _TIMES),
        "hedge": ("int16", ("n",), (-1, "L")),
        "hedge_after_us": ("int64", ("n",), _TIMES),
        "timeout_us": ("int64", ("n",), _TIMES),
    },
    "lanes": {
        "first_us": ("int64", ("n", "L"), _CALL),
        "whole_us": ("int64", ("n", "L"), _CALL),
        "input_tokens": ("int64", ("n", "L"), _TIMES),
        "output_tokens": ("int64", ("n", "L"), _TIMES),
        "cell": ("int32", ("n",), (0, "cells")),
        "failure": ("float64", ("cells", "L", HISTORIES, _KINDS - 1), (0, np.inf)),
        "failed_us": ("int64", ("L", _KINDS), _TIMES),
        "residual": ("float64", ("L", len(SCORES)), _FACTOR),
        "stream": ("uint64", ("L", "A", 3, 2), _ANY),
    },
    "log": {
        "lane": ("int16", ("n",), (-1, "L")),
        "failures": ("int64", ("n",), (0, _POSITION)),
        "failure_kind": ("int8", ("n",), (0, _KINDS)),
        "kind": ("int8", ("n",), (0, _KINDS)),
        "first_us": ("int64", ("n",), (-_TIME, _TIME)),
        "whole_us": ("int64", ("n",), (-_TIME, _TIME)),
        "score": ("float64", ("n",), _ANY),
    },
    "retries": {
        "policy": ("int16", ("n",), (0, "P")),
        "most": ("int64", ("P", _KINDS), (0, np.inf)),
        "fallback": ("bool", ("P", _KINDS), _ANY),
        "base_us": ("int64", ("P",), _TIMES),
        "most_us": ("int64", ("P",), _TIMES),
        "factor": ("float64", ("P",), (0, np.inf)),
        "jitter": ("float64", ("P",), (0, 1 + 1e-12)),
        "stream": ("uint64", ("R", 2), _ANY),
        "retry_after": ("bool", ("P",), _ANY),
        "budget": ("float64", ("P",), (0, np.inf)),
        "budget_most": ("float64", ("P",), (0, np.inf)),
        "deadline_us": ("int64", ("P",), _TIMES),
    },
    "responses": {
        "key": ("int64", ("n",), (-1, _POSITION)),
        "near": ("int64", ("near",), (0, _POSITION)),
        "near_start": ("int64", ("n+1",), (0, np.inf)),
        "ttl_us": ("int64", ("n",), (0, np.inf)),
    },
    "prompts": {
        "block": ("int64", ("blocks",), (0, _POSITION)),
        "block_start": ("int64", ("n+1",), (0, np.inf)),
        "pool": ("int16", ("L",), (-1, np.inf)),
        "ttl_us": ("int64", ("L",), (0, np.inf)),
        "least": ("int64", ("L",), (0, np.inf)),
        "marked": ("int64", ("n",), (0, np.inf)),
        "block_tokens": ("float64", ("n",), (0, np.inf)),
    },
    "limits": {"quota": ("int16", ("L",), (-1, "Q")), "per_minute": ("float64", ("Q", 3), (0, np.inf))},
}


def checked(world: World) -> World:
    """Return ``world`` with every array as documented; InputError names what is not, before anything runs."""
    sizes = _sizes(world)
    parts = {name: _part(getattr(world, name), name, specs, sizes) for name, specs in _COLUMNS.items()}
    whole = World(**parts)
    _scalars(whole)
    _order(whole)
    _logged(whole)
    return replace(whole, responses=_mortal(whole.responses), prompts=_mortal(whole.prompts))


def _sizes(world: World) -> dict[str, int]:
    """Return the sizes that others are compared with; each is read off one column."""
    requests, lanes, retries = world.requests, world.lanes, world.retries
    n = len(requests.arrival_us)
    named = {"n": n, "n+1": n + 1, "L": len(lanes.failed_us), "P": len(retries.most), "cells": len(lanes.failure)}
    if n > _POSITION or len(lanes.failed_us) == 0 or len(retries.most) == 0:
        raise InputError(f"{n:,} requests, {named['L']} lanes and {named['P']} retry policies", f"at most {_POSITION:,}, and one at least")
    loose = {"near": len(world.responses.near), "blocks": len(world.prompts.block), "Q": len(world.limits.per_minute)}
    widths = {"F": np.shape(requests.chain)[-1], "A": np.shape(lanes.stream)[1:2], "R": len(retries.stream)}
    return named | loose | {k: int(np.max(v, initial=1)) for k, v in widths.items()}


def _part(part: Any, name: str, specs: dict[str, _Spec], sizes: dict[str, int]) -> Any:
    return replace(part, **{c: _column(f"{name}.{c}", getattr(part, c), spec, sizes) for c, spec in specs.items()})


def _column(name: str, found: Any, spec: _Spec, sizes: dict[str, int]) -> NDArray[Any]:
    """Return one column as documented."""
    dtype, dims, bounds = spec
    array = np.asarray(found)
    shape = tuple(d if isinstance(d, int) else sizes[d] for d in dims)
    if array.shape != shape:
        raise InputError(f"{name} of shape {array.shape}", f"{shape}, that is ({', '.join(map(str, dims))})")
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InputError(f"{name} of type {array.dtype}", dtype, f"pass it as {dtype}")
    low, high = bounds[0], sizes[bounds[1]] if isinstance(bounds[1], str) else bounds[1]
    if array.size and bounds != _ANY:
        least, most = array.min(), array.max()
        if not (least >= low and (most < high or high == np.inf)):
            wrong = most if least >= low else least
            raise InputError(f"{wrong} in {name}", f"values from {low:g}" + (f" to below {high:g}" if high < np.inf else " on"))
    return read_only(np.ascontiguousarray(array, dtype))


def _mortal(cache: Any) -> Any:
    """Return the cache with lifetimes that can be added to a time."""
    return replace(cache, ttl_us=read_only(np.minimum(cache.ttl_us, _FOR_EVER)))


def _scalars(world: World) -> None:
    cache = world.responses
    if not 0 <= cache.capacity < _POSITION or not 0 <= cache.hit_us < _TIME:
        raise InputError(f"a response cache of {cache.capacity} entries, {cache.hit_us} µs a hit", "neither below 0")
    if not -1 <= world.lanes.rho <= 1:
        raise InputError(f"a correlation rho of {world.lanes.rho}", "a value from -1 to 1")


def _order(world: World) -> None:
    """Check whatever must be sorted, or point backwards."""
    requests, lanes = world.requests, world.lanes
    back = np.flatnonzero(np.diff(requests.arrival_us) < 0)
    if len(back):
        at = int(back[0]) + 1
        raise InputError(
            f"a clock that goes backwards at request {at}", "requests sorted by arrival_us", "sort by arrival, then request id"
        )
    for name, start, end in (
        ("responses.near_start", world.responses.near_start, len(world.responses.near)),
        ("prompts.block_start", world.prompts.block_start, len(world.prompts.block)),
    ):
        if start[0] != 0 or start[-1] != end or (np.diff(start) < 0).any():
            raise InputError(f"{name} from {start[0]} to {start[-1]}", f"non-decreasing offsets from 0 to {end}")
    if (requests.chain[:, 0] < 0).any():
        raise InputError("a request whose chain has no first lane", "chain[:, 0] of 0 or more")
    if (np.diff(lanes.failure, axis=-1) < 0).any() or (np.diff(lanes.residual, axis=-1) < 0).any():
        raise InputError("lanes.failure or lanes.residual that decreases", "cumulative chances, and factors that grow with the score")
    if (world.prompts.marked > np.diff(world.prompts.block_start)).any():
        raise InputError("prompts.marked above a request's number of blocks", "at most as many as it has")
    _acyclic(requests.follows)


def _acyclic(follows: Ints) -> None:
    """Refuse turns that follow each other in a circle: they would never arrive. Positions that grow cannot."""
    if (follows < np.arange(len(follows))).all():
        return
    ancestor = follows
    for _ in range(len(follows).bit_length()):
        ancestor = np.where(ancestor >= 0, ancestor[ancestor], -1)
    if (ancestor >= 0).any():
        raise InputError(f"request {int(np.argmax(ancestor >= 0))} among requests that follow each other in a circle", "a first turn")


def _logged(world: World) -> None:
    """Check what is only read where a request was logged on a lane."""
    log = world.log
    if (log.failure_kind[log.failures > 0] == OK).any():
        raise InputError("a logged failure of kind ok", "log.failure_kind of 1 or more where log.failures is")
    seen = (log.lane >= 0) & (log.kind == OK)
    first, whole, score = log.first_us[seen], log.whole_us[seen], log.score[(log.lane >= 0) & np.isin(log.kind, (OK, CANCELLED))]
    if (first < 0).any() or (first > whole).any() or not np.isfinite(score).all():
        raise InputError("a logged success without times or score", "0 ≤ log.first_us ≤ log.whole_us and a finite log.score")
