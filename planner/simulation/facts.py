"""Facts: what every part of a log must know of the whole of it.

In: rows, all at once or part by part. Out: when the log begins and ends, what its answered requests use, and who serves which model.
Sums and extremes only, so that parts merge exactly and in any order. Knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from planner.schema import STATUSES, TOKEN_BUCKETS
from planner.traffic.rows import Rows

__all__ = ["NOTHING", "Facts", "Part", "facts_of", "together"]

_OK = STATUSES.index("ok")
_NEVER = np.datetime64("NaT", "us")


@dataclass(frozen=True, eq=False)
class Facts:
    """Of a whole log.

    Parameters
    ----------
    start: arrival of the first request that a plan may change, from which simulated time counts. last: the last arrival of all.
    weighed: first and last arrival among rows of weight above 0.
    used: app → int64 (1 + 6,) answered requests that a plan may change, and the sums of their tokens.
    served: (model, provider) → such requests.
    """

    start: np.datetime64
    last: np.datetime64
    weighed: tuple[np.datetime64, np.datetime64]
    used: Mapping[str, NDArray[np.int64]]
    served: Mapping[tuple[str, str], int]

    @property
    def days(self) -> float:
        """Length of the log [days], first to last arrival that counts; at least one hour."""
        first, last = self.weighed
        return max(float((last - first) / np.timedelta64(1, "D")) if first == first else 0.0, 1 / 24)

    def typical(self, app: str) -> NDArray[np.int64] | None:
        """Return the mean tokens (6,) of the app's answered requests; None when it has none."""
        sums = self.used.get(app)
        return None if sums is None else np.rint(sums[1:] / sums[0]).astype(np.int64)

    def provider(self, model: str) -> str:
        """Return who serves most requests of ``model``, ``""`` when nobody does; of equals the first by name."""
        counts = {provider: n for (name, provider), n in self.served.items() if name == model}
        return min(counts, key=lambda p: (-counts[p], p)) if counts else ""


#: What is known of a log before anybody has looked.
NOTHING = Facts(_NEVER, _NEVER, (_NEVER, _NEVER), {}, {})


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a log that is too large to be opened whole, or is opened on many machines.

    Parameters
    ----------
    positions: int64 (n,) which rows, ascending. fresh: bool (n,) they begin here; the others were carried into this part.
    facts: of the whole log. recurring: uint64, ascending: the hashes of prompt blocks that occur more than once in the whole log.
    models: all that requests of the whole log are sent to: every part has the same lanes.
    """

    positions: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    facts: Facts
    recurring: NDArray[np.uint64]
    models: tuple[str, ...] = ()


def facts_of(rows: Rows) -> Facts:
    """Return the facts of these rows."""
    mine, when = rows.steerable, rows.timestamp
    answered = mine & (rows.status == _OK)
    app, width = rows.app.codes, len(rows.provider.values)
    counts = np.bincount(app[answered], minlength=len(rows.app.values))
    tokens = np.zeros((len(rows.app.values), len(TOKEN_BUCKETS)), np.int64)
    np.add.at(tokens, app[answered], rows.tokens[answered])
    pairs, often = np.unique(rows.model.codes[mine].astype(np.int64) * width + rows.provider.codes[mine], return_counts=True)
    return Facts(
        _first(when[mine]),
        _last(when),
        (_first(when[rows.weight > 0]), _last(when[rows.weight > 0])),
        {name: np.append(n, sums) for name, n, sums in zip(rows.app.values, counts, tokens, strict=True) if n},
        {
            (rows.model.values[pair // width], rows.provider.values[pair % width]): n
            for pair, n in zip(pairs.tolist(), often.tolist(), strict=True)
        },
    )


def together(parts: Iterable[Facts]) -> Facts:
    """Return the facts of the log that ``parts`` make up."""
    return reduce(_joined, parts)


def _joined(a: Facts, b: Facts) -> Facts:
    return Facts(
        _first(np.array([a.start, b.start])),
        _last(np.array([a.last, b.last])),
        (_first(np.array([a.weighed[0], b.weighed[0]])), _last(np.array([a.weighed[1], b.weighed[1]]))),
        {app: sum(f.used[app] for f in (a, b) if app in f.used) for app in sorted({*a.used, *b.used})},  # type: ignore[misc]
        {pair: a.served.get(pair, 0) + b.served.get(pair, 0) for pair in sorted({*a.served, *b.served})},
    )


def _first(times: NDArray[np.datetime64]) -> np.datetime64:
    return np.nanmin(times) if len(times) and not np.isnat(times).all() else _NEVER


def _last(times: NDArray[np.datetime64]) -> np.datetime64:
    return np.nanmax(times) if len(times) and not np.isnat(times).all() else _NEVER
