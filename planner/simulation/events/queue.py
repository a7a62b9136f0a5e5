"""What is still to come: a binary heap of events in one array.

In and out: events of four integers (time, order, a, b), soonest first. ``order`` joins class and request, so that two integers
decide; ``a`` decides between two ends of calls of one request at one time, since calls are numbered as they are queued.
Knows nothing of what an event means. Arrivals that are known beforehand never enter it: it is as small as what is under way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import Ints
from planner.simulation.events.records import Records, record

__all__ = ["ARRIVE", "CLASS_BITS", "END", "HEDGE", "START", "Queue", "first", "order_of", "pop", "push", "request_of", "with_room"]

END, START, HEDGE, ARRIVE = range(4)
#: How far the class stands left of the request in ``order``.
CLASS_BITS = 48
_EVENT = record(dict.fromkeys(("time", "order", "a", "b"), "i8"))


class Queue(NamedTuple):
    """A heap: records of events, of which the first ``size[0]`` are filled."""

    rows: Records
    size: Ints


def with_room(room: int, queue: Queue | None = None) -> Queue:
    """Return a queue with room for so many events, holding those of ``queue``."""
    rows = np.empty(room, _EVENT)
    if queue is None:
        return Queue(rows, np.zeros(1, np.int64))
    rows[: queue.size[0]] = queue.rows[: queue.size[0]]
    return Queue(rows, queue.size)


@hook
def order_of(kind: int, request: int) -> int:
    """Return class and request as one integer that sorts by class, then request."""
    return (kind << CLASS_BITS) | request


@hook
def request_of(order: int) -> int:
    """Return the request of ``order_of``."""
    return order & ((1 << CLASS_BITS) - 1)


@hook
def first(queue: Queue, time: int, order: int) -> bool:
    """Return whether an event would come before all that are queued."""
    return queue.size[0] == 0 or _later(queue.rows[0], time, order, 0)


@hook
def push(queue: Queue, time: int, order: int, a: int, b: int) -> None:
    """Add an event; there must be room."""
    rows, at = queue.rows, queue.size[0]
    queue.size[0] = at + 1
    while at > 0 and _later(rows[(at - 1) >> 1], time, order, a):
        rows[at] = rows[(at - 1) >> 1]
        at = (at - 1) >> 1
    event = rows[at]
    event.time, event.order, event.a, event.b = time, order, a, b


@hook
def pop(queue: Queue) -> None:
    """Take away the soonest event, ``rows[0]``: the last one sinks from the top to its place."""
    rows = queue.rows
    size = queue.size[0] - 1
    queue.size[0] = size
    last = rows[size]
    at, child = 0, 1
    while child < size:
        if child + 1 < size and _after(rows[child], rows[child + 1]):
            child += 1
        if not _after(last, rows[child]):
            break
        rows[at] = rows[child]
        at, child = child, 2 * child + 1
    rows[at] = last


@hook
def _after(event: Records, other: Records) -> bool:
    return _later(event, other.time, other.order, other.a)


@hook
def _later(event: Records, time: int, order: int, a: int) -> bool:
    if event.time != time:
        return event.time > time
    if event.order != order:
        return event.order > order
    return event.a > a
