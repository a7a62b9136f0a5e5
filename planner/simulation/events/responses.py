"""A cache of answers: dense keys, a doubly linked list in order of leaving, a lifetime for each entry.

In: keys from 0 and times. Out: which request filled the entry, or that there is none. The list runs through the records; the
one after the last key is its head, so that no end needs a case of its own. Knows nothing of who asks or what a hit saves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import Ints
from planner.simulation.events.records import Records, packed, record

__all__ = ["ABSENT", "Entries", "empty", "look_up", "store"]

ABSENT = -1
_ENTRY = record({"until_us": "i8", "source": "i4", "before": "i4", "after": "i4"})


class Entries(NamedTuple):
    """Records of K keys and the head: who filled it, until when it is served, its neighbours; and how many are held."""

    row: Records
    held: Ints


def empty(keys: int) -> Entries:
    """Return a cache for keys 0 … ``keys`` − 1 that holds nothing."""
    rows = packed(_ENTRY, {"source": np.full(keys + 1, ABSENT), "before": keys, "after": keys})
    return Entries(rows, np.zeros(1, np.int64))


@hook
def look_up(entries: Entries, key: int, now: int, lru: bool) -> int:
    """Return the request that filled the entry, else ABSENT; a hit comes last in line (LRU), an expired entry is removed."""
    source = entries.row[key].source
    if source == ABSENT:
        return ABSENT
    if now >= entries.row[key].until_us:
        _remove(entries, key)
        return ABSENT
    if lru:
        _unlink(entries, key)
        _append(entries, key)
    return source


@hook
def store(entries: Entries, key: int, source: int, until_us: int, capacity: int, lru: bool) -> None:
    """Keep an answer; a key that is held gets the new one, and beyond the capacity the first in line leaves."""
    if entries.row[key].source == ABSENT:
        if entries.held[0] == capacity:
            _remove(entries, entries.row[len(entries.row) - 1].after)
        entries.held[0] += 1
        _append(entries, key)
    elif lru:
        _unlink(entries, key)
        _append(entries, key)
    entries.row[key].source = source
    entries.row[key].until_us = until_us


@hook
def _remove(entries: Entries, key: int) -> None:
    _unlink(entries, key)
    entries.row[key].source = ABSENT
    entries.held[0] -= 1


@hook
def _unlink(entries: Entries, key: int) -> None:
    before, after = entries.row[key].before, entries.row[key].after
    entries.row[before].after = after
    entries.row[after].before = before


@hook
def _append(entries: Entries, key: int) -> None:
    head = len(entries.row) - 1
    last = entries.row[head].before
    entries.row[last].after = key
    entries.row[key].before = last
    entries.row[key].after = head
    entries.row[head].before = key
