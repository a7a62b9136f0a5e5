"""Twice: a log that holds the same calls twice, under two ids, is refused.

In: blocks of accepted rows. Out: nothing, or a refusal: two views of the same calls (a gateway's and a tracer's, say) read as one log
would double every sum. Seen are only model, tokens, times and durations. Knows nothing of where rows came from.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS
from planner.text.prints import joint_keys
from planner.traffic.handle import Traffic
from planner.traffic.rows import string_keys

__all__ = ["Twice", "refuse_twice"]

#: Two views of one call begin at most this far apart [µs], and take as long, but for what lies between them [ms, share].
_NEAR_US, _SAME_MS, _SAME_SHARE = 2_000_000, 50.0, 0.05
#: Longer durations are damage, and all alike [ms].
_LONGEST_MS = 1e12
#: Share of requests with exactly one double that is refused. Of a Poisson stream of one kind of call at most 2·(2/3)²·(1/3) = 30 % have
#: exactly one neighbour at any given distance, before durations are compared; of two views of the same calls nearly all have.
_SHARE = 0.5
#: Fewest requests of which a share tells: of a whole log, and of one day of it.
_FEWEST, _FEWEST_A_DAY = 40, 400
_COLUMNS = ("model", "timestamp", "latency_ms", *TOKEN_BUCKETS)


class Twice:
    """Collect rows by ``add``, 20 bytes each; ``refuse`` raises when half of them, or of a day, are there twice."""

    def __init__(self) -> None:
        nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._parts: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float32]]] = [nothing]

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Take the rows of ``table`` (columns of ``schema.TRAFFIC``) that have token counts; a missing column is unknown throughout."""
        n = len(table)
        columns = {c: table[c].to_numpy(zero_copy_only=False) for c in TOKEN_BUCKETS if c in table.schema.names}
        none = np.zeros(n, np.int64)
        spent = [sum((columns.get(c, none) for c in half), none) for half in (TOKEN_BUCKETS[:4], TOKEN_BUCKETS[4:])]
        key = joint_keys(string_keys(table["model"]), *spent)
        when = table["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)
        known = "latency_ms" in table.schema.names
        took = pc.fill_null(table["latency_ms"], np.nan).to_numpy(zero_copy_only=False) if known else np.full(n, np.nan)
        counted = spent[0] + spent[1] > 0
        self._parts.append((key[counted], when[counted], np.minimum(took[counted], _LONGEST_MS).astype(np.float32)))

    def refuse(self) -> None:
        """Raise InputError where the rows taken so far hold the same calls twice."""
        keys, times, durations = zip(*self._parts, strict=True)
        key, when, took = np.concatenate(keys), np.concatenate(times), np.concatenate(durations)
        twice = _doubled(key, when, took)
        days, place, count = np.unique(when // 86_400_000_000, return_inverse=True, return_counts=True)
        share = np.bincount(place, twice, len(days)) / np.maximum(count, 1)
        bad = np.flatnonzero((share >= _SHARE) & (count >= _FEWEST_A_DAY))
        if len(twice) >= _FEWEST and twice.mean() >= _SHARE:
            raise _refusal(float(twice.mean()), len(twice), "")
        if len(bad):
            day = pd.Timestamp(int(days[bad[0]]), unit="D", tz="UTC")
            raise _refusal(float(share[bad[0]]), int(count[bad[0]]), f" of {day:%Y-%m-%d}")


def refuse_twice(traffic: Traffic) -> None:
    """Raise InputError when ``traffic`` holds the same calls twice, under two ids.

    Refused is a log, or a day of 400 requests or more, of which half of the requests have exactly one double: the same model and token
    counts, begun within two seconds, taking as long within 50 ms or 5 %.
    """
    twice = Twice()
    for batch in traffic.batches(_COLUMNS):
        twice.add(batch)
    twice.refuse()


def _doubled(key: NDArray[np.uint64], when: NDArray[np.int64], took: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say of each row whether exactly one other is like it."""
    order = np.lexsort((when, key))
    key, when, took = key[order], when[order], took[order]
    near = (key[1:] == key[:-1]) & (when[1:] - when[:-1] <= _NEAR_US)
    apart = np.abs(took[1:] - took[:-1])
    alike = near & ~(apart > np.maximum(_SAME_MS, _SAME_SHARE * np.fmax(took[1:], took[:-1])))
    edge = np.concatenate([[False], near, [False]])
    pair = alike & ~edge[:-2] & ~edge[2:] if len(near) else alike
    doubled = np.zeros(len(key), bool)
    doubled[order[np.flatnonzero(pair)]] = doubled[order[np.flatnonzero(pair) + 1]] = True
    return doubled


def _refusal(share: float, count: int, where: str) -> InputError:
    return InputError(
        f"{share:.0%} of {count:,} requests{where} twice: the same model, tokens, time and duration under two ids",
        "every call once",
        "read the two logs one by one and join them: planner.join(a, b), in the shell planner join A B",
    )
