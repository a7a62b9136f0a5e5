"""Sessions: conversations rebuilt where a log does not name them.

In: a Traffic with text. Out: which request each one continues, and a Traffic with ``session_id`` and ``turn`` filled in. A request
continues an earlier one of the same app and user when its messages begin with the other's messages, then an answer; the other's own
answer decides, and where it is not told, a single candidate. What the log says itself is kept. Knows nothing of source formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError
from planner.text.prints import joint_keys
from planner.traffic.derived import Piece
from planner.traffic.handle import Traffic
from planner.traffic.join_window import Windows
from planner.traffic.rewrite import rewritten
from planner.traffic.rows import string_keys
from planner.traffic.sessions_keys import VERSION, conversation_keys

__all__ = ["Sessions", "rebuilt", "sessions_of"]

Progress: TypeAlias = Callable[[int, int], None]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
#: How long a conversation may rest before it goes on [h].
HOURS = 12.0
#: Longer durations are damage [ms].
_LONGEST_MS = 1e12
#: A turn may begin this long before the answer it quotes is logged as ended: clocks and streams.
_SLACK = np.timedelta64(1, "s")


@dataclass(frozen=True, eq=False)
class Sessions:
    """The conversations of ``n`` requests.

    Parameters
    ----------
    parent: int64 (n,) the request that this one continues, −1 none.
    root: int64 (n,) the first request of its conversation, itself where it continues none.
    turn: int64 (n,) how many requests of its conversation it continues.
    """

    parent: Ints
    root: Ints
    turn: Ints

    @property
    def several(self) -> Mask:
        """Which requests belong to a conversation of several."""
        return np.asarray(np.bincount(self.root, minlength=len(self.root))[self.root] > 1)


def sessions_of(traffic: Traffic, hours: float = HOURS, progress: Progress | None = None) -> Sessions:
    """Find which earlier request each request continues.

    Parameters
    ----------
    traffic: a log with whole prompts (``text_state`` full); requests without continue nothing.
    hours: how long before it the other one may have been answered [h].
    progress: called with rows done and in all while text is read.

    Raises InputError when ``hours`` is not above 0, NeedsError where the prompts stayed in the log.
    """
    traffic.require_text("finding conversations")
    if not hours > 0:
        raise InputError(f"hours={hours!r}", "hours above 0", f"by default {HOURS:g}")
    made = traffic.derived(VERSION, lambda: _made(traffic, progress))
    table = traffic.arrow("app", "user", "session_id", "timestamp", "latency_ms")
    named = table["user"].is_valid().to_numpy(zero_copy_only=False)
    who = (string_keys(table["app"]), string_keys(table["user"]))
    began = table["timestamp"].cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    took = np.minimum(table["latency_ms"].fill_null(0.0).to_numpy(), _LONGEST_MS)
    ended = began + (took * 1000).astype("timedelta64[us]")
    rows, span = made["row"], np.timedelta64(round(hours * 3.6e9), "us")
    bounds = began[rows] - span, began[rows] + _SLACK
    found, sure = np.full(len(rows), -1), np.zeros(len(rows), bool)
    for own, wanted in ((made["answered"], made["through"]), (made["asked"], made["before"])):
        windows = Windows.of(joint_keys(own, *who), ended)
        wanted = joint_keys(wanted, *(w[rows] for w in who))
        low, end = windows.between(wanted, *bounds)
        certain = (found < 0) & (wanted != 0) & ((end - low == 1) | ((end > low) & named[rows]))
        found[certain] = windows.order[end[certain] - 1]
        sure |= certain & (own is made["answered"])
    return _chained(_deepest(len(table), rows, made["depth"], found, sure), table["session_id"])


def rebuilt(traffic: Traffic, out: str | Path | None = None, *, hours: float = HOURS, progress: Progress | None = None) -> Traffic:
    """Write ``traffic`` with ``session_id`` and ``turn`` filled in where it has none and a request continues another or is continued.

    A conversation that the log names at one of its turns has that name, another one ``rebuilt/`` and the id of its first request; a request
    that stands alone keeps none. ``meta["sessions"]`` counts them. ``out`` is a folder, by default under ``.planner/traffic/``.
    """
    found = sessions_of(traffic, hours, progress)
    table = traffic.arrow("session_id", "request_id")
    ids = table["session_id"].to_numpy(zero_copy_only=False)
    missing = pd.isna(ids)
    names = _names(found, ids, missing, table["request_id"].to_numpy(zero_copy_only=False))
    fill = missing & ~pd.isna(names)
    folder = Path(out) if out is not None else Path(".planner") / "traffic" / f"sessions-{traffic.hash[:8]}-{hours:g}"
    about = {
        "hours": hours,
        "rows_named_before": int((~missing).sum()),
        "rows_rebuilt": int(fill.sum()),
        "sessions_rebuilt": len(np.unique(found.root[fill])),
    }

    def change(rows: pa.Table, at: Ints) -> pa.Table:
        place = rows.column_names.index("session_id")
        rows = rows.set_column(place, "session_id", pa.array(names[at], pa.string()))
        turn = pc.coalesce(rows["turn"], pa.chunked_array([pa.array(found.turn[at], pa.int32(), mask=~fill[at])]))
        return rows.set_column(rows.column_names.index("turn"), "turn", turn)

    return rewritten(traffic, folder, change, sessions=about)


def _made(traffic: Traffic, progress: Progress | None) -> Iterator[Piece]:
    yield conversation_keys([], [])
    done = 0
    for batch in traffic.batches(("messages", "response", "text_state"), 8_192):
        whole = pc.if_else(pc.equal(batch["text_state"], "full"), batch["messages"], None)
        yield conversation_keys(whole.to_pylist(), batch["response"].to_pylist(), done)
        done += len(batch)
        if progress:
            progress(done, len(traffic))


def _deepest(n: int, row: Ints, depth: Ints, found: Ints, sure: Mask) -> Ints:
    """Return of each row the parent that it shares most with; of equals, the one whose answer it quotes."""
    at = np.flatnonzero(found >= 0)
    at = at[np.lexsort((sure[at], depth[at], row[at]))]
    last = np.append(row[at][1:] != row[at][:-1], True) if len(at) else np.zeros(0, bool)
    parent = np.full(n, -1)
    parent[row[at[last]]] = found[at[last]]
    return parent


def _chained(parent: Ints, session: pa.ChunkedArray) -> Sessions:
    """Follow parents to the first request; a link between two conversations that the log names differently is none."""
    key = string_keys(session)
    other = (parent >= 0) & (key != 0) & (key[parent] != 0) & (key != key[parent])
    parent = np.where(other, -1, parent)
    root, turn = np.where(parent >= 0, parent, np.arange(len(parent))), (parent >= 0).astype(np.int64)
    while (parent[root] >= 0).any():
        turn, root = turn + turn[root], root[root]
    return Sessions(parent, root, turn)


def _names(found: Sessions, ids: NDArray[np.object_], missing: Mask, request: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the name of each row's conversation: its own, else the first that one of its turns has, else one of its first request."""
    named = np.flatnonzero(~missing)
    roots, first = np.unique(found.root[named], return_index=True)
    of_root = np.full(len(ids), None, object)
    whole = np.unique(found.root[found.several])
    of_root[whole] = "rebuilt/" + request[whole]
    of_root[roots] = ids[named[first]]
    return np.where(missing, of_root[found.root], ids)
