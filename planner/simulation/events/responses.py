"""A cache of answers: dense keys, a doubly linked list in order of leaving, a lifetime for each entry.

In: keys from 0 and times. Out: which request filled the entry, or that there is none. The list runs through the records; the
one after the last key is its head, so that no end needs a case of its own. Knows nothing of who asks or what a hit saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.simulation.events.compiled import entry, hook
from planner.simulation.events.inputs import Ints
from planner.simulation.events.records import Records, packed, record

__all__ = ["ABSENT", "Entries", "empty", "filled", "in_line", "look_up", "store"]

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


def filled(keys: int, line: NDArray[np.int64], source: NDArray[np.int64], until_us: Ints) -> Entries:
    """Return a cache for so many keys that holds those in ``line``, the first of which leaves first.

    >>> in_line(filled(5, np.array([3, 1]), np.array([7, 8]), np.array([90, 95]))).tolist()
    [3, 1]
    """
    entries = empty(keys)
    rows, ring = entries.row, np.concatenate([[keys], line, [keys]])
    rows["source"][line], rows["until_us"][line] = source, until_us
    rows["before"][ring[1:]], rows["after"][ring[:-1]] = ring[:-1], ring[1:]
    entries.held[0] = len(line)
    return entries


def in_line(entries: Entries) -> NDArray[np.int64]:
    """Return the keys that are held, the first of which leaves first."""
    line = np.empty(entries.held[0], np.int64)
    _walk(entries, line)
    return line


@entry
def _walk(fingerprint: str) -> Callable[[Entries, Ints], None]:
    def walk(entries: Entries, line: Ints) -> None:
        fingerprint  # noqa: B018 – numba keeps the compiled loop under what it closes over
        key = len(entries.row) - 1
        for i in range(len(line)):
            key = entries.row[key].after
            line[i] = key

    return walk


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
