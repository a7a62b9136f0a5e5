"""Twice: a log that holds the same calls twice, or more often, under other ids, is refused.

In: blocks of accepted rows. Out: nothing, or a refusal: two views of the same calls (a gateway's and a tracer's, say) read as one log
would double every sum. Seen are only model, tokens, times and durations, which honest pairs of calls may share: who reads can insist.
Knows nothing of where rows came from.
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
from planner.traffic.join_match import family
from planner.traffic.rows import string_keys

__all__ = ["Twice", "refuse_twice"]

#: Two views of one call begin at most this far apart [µs], and take as long [ms, share], but for what lies between the observers, which is
#: the same for all calls.
_NEAR_US, _SAME_MS, _SAME_SHARE = 2_000_000, 50.0, 0.05
#: Longer durations are damage, and all alike [ms].
_LONGEST_MS = 1e12
#: How many views of a call are looked for, and the share of requests with just as many that is refused. Of a Poisson stream of one kind of
#: call, in which the next one is near with probability p, a share k·pᵏ⁻¹·(1−p)² stands in groups of k: 30 % at most (k = 2, p = 1/3),
#: before durations are compared. Of k views of the same calls nearly all do.
_VIEWS, _SHARE = (2, 3, 4), 0.5
#: Fewest requests of which a share tells: of a whole log, and of one day of it.
_FEWEST, _FEWEST_A_DAY = 40, 400
_DAY_US = 86_400_000_000
_COLUMNS = ("model", "timestamp", "latency_ms", *TOKEN_BUCKETS)


class Twice:
    """Collect rows by ``add``, 20 bytes each; ``refuse`` raises when half of them, or of a day, are there equally often."""

    def __init__(self) -> None:
        nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._parts: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float32]]] = [nothing]

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Take the rows of ``table`` (columns of ``schema.TRAFFIC``) that have token counts; a missing column is unknown throughout."""
        n = len(table)
        columns = {c: table[c].to_numpy(zero_copy_only=False) for c in TOKEN_BUCKETS if c in table.schema.names}
        none = np.zeros(n, np.int64)
        spent = [sum((columns.get(c, none) for c in half), none) for half in (TOKEN_BUCKETS[:4], TOKEN_BUCKETS[4:])]
        key = joint_keys(_model_keys(table["model"]), *spent)
        when = table["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)
        known = "latency_ms" in table.schema.names
        took = pc.fill_null(table["latency_ms"], np.nan).to_numpy(zero_copy_only=False) if known else np.full(n, np.nan)
        counted = spent[0] + spent[1] > 0
        self._parts.append((key[counted], when[counted], np.minimum(took[counted], _LONGEST_MS).astype(np.float32)))

    def refuse(self) -> None:
        """Raise InputError where the rows taken so far hold the same calls twice."""
        keys, times, durations = zip(*self._parts, strict=True)
        key, when, took = np.concatenate(keys), np.concatenate(times), np.concatenate(durations)
        seen = _times_seen(key, when, took)
        days, place, count = np.unique(when // _DAY_US, return_inverse=True, return_counts=True)
        for views in _VIEWS:
            share = np.bincount(place, seen == views, len(days)) / np.maximum(count, 1)
            bad = np.flatnonzero((share >= _SHARE) & (count >= _FEWEST_A_DAY))
            if len(seen) >= _FEWEST and (seen == views).mean() >= _SHARE:
                raise _refusal(views, float((seen == views).mean()), len(seen), when[seen == views])
            if len(bad):
                mine = place == bad[0]
                raise _refusal(views, float(share[bad[0]]), int(count[bad[0]]), when[mine & (seen == views)], days[bad[0]])


def refuse_twice(traffic: Traffic) -> None:
    """Raise InputError when ``traffic`` holds the same calls two, three or four times, under other ids.

    Refused is a log, or a day of 400 requests or more, of which half of the requests have exactly one double (or two, or three): the same
    model, however its provider and date are written, the same token counts, begun within two seconds, and durations that differ by as much
    as those of the others do, within 50 ms or 5 %.
    """
    twice = Twice()
    for batch in traffic.batches(_COLUMNS):
        twice.add(batch)
    twice.refuse()


def _model_keys(models: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """Return the keys of models without provider and date: two views of one call rarely spell it alike."""
    written = (models.combine_chunks() if isinstance(models, pa.ChunkedArray) else models).dictionary_encode()
    names = pa.array([family(name) for name in written.dictionary.to_pylist()], pa.string())
    return string_keys(pa.DictionaryArray.from_arrays(written.indices, names))


def _times_seen(key: NDArray[np.uint64], when: NDArray[np.int64], took: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count for each row those that are it, itself included: a group in which each is near the next; 0 where durations contradict."""
    order = np.lexsort((when, key))
    key, when, took = key[order], when[order], took[order]
    near = (key[1:] == key[:-1]) & (when[1:] - when[:-1] <= _NEAR_US)
    group = np.cumsum(np.append(False, ~near)) if len(key) else np.zeros(0, np.int64)
    size = np.bincount(group)[group]
    apart = np.abs(took[1:] - took[:-1])
    known = apart[near & np.isin(size[1:], _VIEWS) & np.isfinite(apart)]
    usual = np.median(known) if len(known) else 0.0
    other = near & (np.abs(apart - usual) > np.maximum(_SAME_MS, _SAME_SHARE * np.fmax(took[1:], took[:-1])))
    size[np.isin(group, group[1:][other])] = 0
    seen = np.zeros(len(key), np.int64)
    seen[order] = size
    return seen


def _refusal(views: int, share: float, count: int, when: NDArray[np.int64], day: int | None = None) -> InputError:
    where = "" if day is None else f" of {pd.Timestamp(day, unit='D', tz='UTC'):%Y-%m-%d}"
    often = "twice" if views == 2 else f"{views} times"
    one = pd.Timestamp(int(when.min()), unit="us", tz="UTC")
    return InputError(
        f"{share:.0%} of {count:,} requests{where} {often}: the same model, tokens, time and duration under other ids, the first at "
        f"{one:%Y-%m-%d %H:%M:%S.%f} UTC",
        "every call once",
        "read the two logs one by one and join them: planner.join(a, b), in the shell planner join A B; where they are calls of their own "
        "that look alike, such as two parts of a document or two votes, say so: planner.read(LOG, allow_twice=True), in the shell "
        "planner read LOG --allow-twice",
    )
