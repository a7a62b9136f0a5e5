"""Twice: a log that holds the same calls twice, or more often, under other ids, is refused.

In: blocks of accepted rows. Out: nothing, or a refusal: two views of the same calls (a gateway's and a tracer's, say) read as one log
would double every sum. Seen are only model, tokens, times and durations, which honest pairs of calls may share: who reads can insist.
Knows nothing of where rows came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

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
_DAY_US, _LAST_US = 86_400_000_000, 2**63 - 1
#: Rows that are looked at together: some hundred bytes each while that lasts.
_SHARD_ROWS = 1_000_000
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
        rows = sum(len(key) for key, _, _ in self._parts)
        total: Counter[int] = Counter()
        alike: dict[int, Counter[int]] = {views: Counter() for views in _VIEWS}
        begun: dict[tuple[int, int], int] = {}
        for key, when, took in self._shards(rows // _SHARD_ROWS + 1):
            seen, day = _times_seen(key, when, took), when // _DAY_US
            total.update(_counted(day))
            for views in _VIEWS:
                found = seen == views
                alike[views].update(_counted(day[found]))
                for own in np.unique(day[found]).tolist():
                    begun[views, own] = min(begun.get((views, own), _LAST_US), int(when[found & (day == own)].min()))
        for views, days in alike.items():
            share = days.total() / max(rows, 1)
            if rows >= _FEWEST and share >= _SHARE:
                raise _refusal(views, share, rows, min(begun[views, day] for day in days))
            bad = [day for day in sorted(days) if total[day] >= _FEWEST_A_DAY and days[day] >= _SHARE * total[day]]
            if bad:
                raise _refusal(views, days[bad[0]] / total[bad[0]], total[bad[0]], begun[views, bad[0]], bad[0])

    def _shards(self, count: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float32]]]:
        """Yield all rows in ``count`` shards by their keys, so that what is worked out at once is small; views of a call share a key."""
        for shard in range(count):
            mine = [key % np.uint64(count) == np.uint64(shard) for key, _, _ in self._parts]
            chosen = ([part[i][own] for part, own in zip(self._parts, mine, strict=True)] for i in range(3))
            key, when, took = map(np.concatenate, chosen)
            yield key, when, took


def _counted(days: NDArray[np.int64]) -> dict[int, int]:
    found, count = np.unique(days, return_counts=True)
    return dict(zip(found.tolist(), count.tolist(), strict=True))


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


def _refusal(views: int, share: float, count: int, first_us: int, day: int | None = None) -> InputError:
    where = "" if day is None else f" of {pd.Timestamp(day, unit='D', tz='UTC'):%Y-%m-%d}"
    often = "twice" if views == 2 else f"{views} times"
    one = pd.Timestamp(first_us, unit="us", tz="UTC")
    return InputError(
        f"{share:.0%} of {count:,} requests{where} {often}: the same model, tokens, time and duration under other ids, the first at "
        f"{one:%Y-%m-%d %H:%M:%S.%f} UTC",
        "every call once",
        "read the two logs one by one and join them: planner.join(a, b), in the shell planner join A B; where they are calls of their own "
        "that look alike, such as two parts of a document or two votes, say so: planner.read(LOG, allow_twice=True), in the shell "
        "planner read LOG --allow-twice",
    )
