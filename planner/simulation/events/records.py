"""Records for the loop: all that is known of one request, or one call, in one place of memory.

In: columns. Out: structured arrays, and columns again. Compiled code reads and writes a record's fields by name
(``request.running``); it is handed one pointer instead of dozens of arrays. Knows nothing of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CALL", "REQUEST", "Records", "columns", "packed", "read_only", "record"]

#: A structured array, or one record of it inside compiled code.
Records = Any

_Fields = Mapping[str, str | tuple[str, tuple[int, ...]]]
#: So many rows at a time are copied field by field: they stay in the processor's cache until all fields are there.
_BLOCK = 4096


def record(fields: _Fields) -> np.dtype[Any]:
    """Return the aligned type of a record with these fields."""
    return np.dtype({"names": list(fields), "formats": list(fields.values())}, align=True)


#: What is given of a request, under the names of ``inputs.py`` (those of the log: ``logged_…``; of the cache: ``cached_…``), then
#: what is known of it at the moment. −1 stands for none or not yet.
#: arrival_us: −1 when another request must be done first. first_child, next_child: who follows it, who else follows the same.
#: place: where in its chain it is. tries: how often all calls at that place had failed. made: calls made. running, hedging: its call
#: under way, and the hedge beside it. kept: the call whose answer a validator refused. failed: kind of the last failure.
#: score: the normal score that its calls share, nan before it is drawn. next_waiting: who else waits for the same answer.
REQUEST = record(
    {
        **dict.fromkeys(("arrival_us", "think_us", "submit_us", "verify_us", "hedge_after_us", "timeout_us"), "i8"),
        **{"key": "u8", "logged_first_us": "i8", "logged_whole_us": "i8", "ttl_us": "i8", "score": "f8"},
        **dict.fromkeys(("arrived_us", "done_us", "answer_us"), "i8"),
        **dict.fromkeys(("cell", "failures", "cached_key", "marked", "first_child", "next_child"), "i4"),
        **dict.fromkeys(("tries", "made", "running", "hedging", "kept", "answer", "source", "next_waiting"), "i4"),
        **dict.fromkeys(("escalate", "hedge", "logged_lane", "policy"), "i2"),
        **dict.fromkeys(("accepted", "failure_kind", "logged_kind", "place", "failed", "end"), "i1"),
    }
)
#: The columns of ``Happened`` that are about calls.
CALL = record(
    {
        **dict.fromkeys(("start_us", "end_us", "first_us", "whole_us"), "i8"),
        **dict.fromkeys(("row", "attempt", "drawn", "warm", "written"), "i4"),
        **{"lane": "i2", "purpose": "i1", "kind": "i1"},
    }
)


def packed(kind: np.dtype[Any], given: Mapping[str, NDArray[Any] | float]) -> Records:
    """Return records with the given columns, or the given value everywhere; other fields are 0."""
    values = {name: np.asarray(v) for name, v in given.items()}
    rows = np.zeros(max(len(v) for v in values.values() if v.ndim), kind)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        for name, value in values.items():
            rows[name][block] = value[block] if value.ndim else value
    return rows


def columns(rows: Records, types: Mapping[str, type[np.generic]]) -> dict[str, NDArray[Any]]:
    """Return fields of records as columns of these types."""
    found = {name: np.empty(len(rows), kind) for name, kind in types.items()}
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        for name, column in found.items():
            column[block] = rows[name][block]
    return found


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to: numba compiles once for it, whatever the caller's array is."""
    view = array.view()
    view.flags.writeable = False
    return view
