"""Fields: one row out of two views of the same call, and which of the two each field comes from.

In: rows of a and, row by row, their partners in b. Out: the joined rows and a mask per column: true where b said it. The first log is the
one that keeps the books (a gateway: cost, tokens, status, times), the second knows the content (a tracer: text, prompt version, scores,
conversation); where the one that is asked first says nothing, the other one is. What belongs together stays together: token counts, text
and scores are taken from one log as a whole. Knows nothing of how partners were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import TEXT_STATES, TOKEN_BUCKETS, TRAFFIC

__all__ = ["ASKED_FIRST", "differences", "known", "merged"]

Mask: TypeAlias = NDArray[np.bool_]

#: Columns that only the books can tell: when and how a call ended, what it stands for.
_BOOKS_ALONE = (("request_id",), ("timestamp",), ("status", "error_class"), ("cache_hit",), ("purpose",), ("weight",))
_BOOKS = (
    *((c,) for c in ("app", "provider", "model", "model_requested", "service_tier", "cache_key", "max_tokens", "finish_reason")),
    *(
        (c,)
        for c in ("has_tools", "response_format", "modalities", "reasoning_effort", "latency_ms", "attempts", "source_cost_usd", "tags")
    ),
    ("action", "action_propensities", "policy_version"),
    (*TOKEN_BUCKETS, "evidence"),
    ("ttft_ms", "stream"),
)
_CONTENT = (("user",), ("session_id", "turn"), ("prompt_version",), ("quality", "quality_source"), ("prefix_blocks",))
#: Of two texts the one that is more of it is taken, and of equals the second log's.
_TEXT = ("messages", "response", "text_state")
#: Column → the log that is asked first.
ASKED_FIRST: Mapping[str, str] = {
    **{c: "a" for group in (*_BOOKS_ALONE, *_BOOKS) for c in group},
    **{c: "b" for group in (*_CONTENT, _TEXT) for c in group},
}


def merged(a: pa.Table, b: pa.Table, has: Mask) -> tuple[pa.Table, dict[str, Mask]]:
    """Return the joined rows, and of each column where it is b's.

    Parameters
    ----------
    a: n rows of ``schema.TRAFFIC``. b: n rows of the same columns, whatever where ``has`` (n,) is false: that row has no partner.
    """
    from_b: dict[str, Mask] = dict.fromkeys((c for group in _BOOKS_ALONE for c in group), np.zeros(len(a), bool))
    for group in _BOOKS:
        from_b |= dict.fromkeys(group, has & ~_any_known(a, group) & _any_known(b, group))
    for group in _CONTENT:
        from_b |= dict.fromkeys(group, has & _any_known(b, group))
    state_a, state_b = (_rank(t) for t in (a, b))
    from_b |= dict.fromkeys(_TEXT, has & (state_b >= state_a) & (state_b > 0))
    columns = [_chosen(a[c], b[c], from_b[c]) for c in TRAFFIC.names]
    return pa.Table.from_arrays(columns, schema=TRAFFIC.arrow()), from_b


def differences(a: pa.Table, b: pa.Table, has: Mask) -> dict[str, int]:
    """Count the pairs whose logs contradict each other, of those in which both speak: tokens, status, and cost by more than 1 %."""
    counts = [np.column_stack([t[c].fill_null(0).to_numpy() for c in TOKEN_BUCKETS]) for t in (a, b)]
    sums = [np.column_stack([c[:, :4].sum(axis=1), c[:, 4:].sum(axis=1)]) for c in counts]
    spoken = has & (sums[0].sum(axis=1) > 0) & (sums[1].sum(axis=1) > 0)
    cost = [t["source_cost_usd"].cast(pa.float64()).to_numpy(zero_copy_only=False) for t in (a, b)]
    with np.errstate(invalid="ignore"):
        dearer = np.abs(cost[0] - cost[1]) > 0.01 * np.maximum(cost[0], cost[1])
    return {
        "tokens": int((spoken & (sums[0] != sums[1]).any(axis=1)).sum()),
        "status": int((has & _true(pc.not_equal(a["status"], b["status"]))).sum()),
        "source_cost_usd": int((has & dearer).sum()),
    }


def known(table: pa.Table, column: str) -> Mask:
    """Say of each row whether it says something about ``column``: it is there, and no default.

    >>> known(pa.table({"app": ["default", None, "chat"]}), "app").tolist()
    [False, False, True]
    """
    default = TRAFFIC.column(column).default
    valid = _true(table[column].is_valid())
    return valid if default is None else valid & _true(pc.not_equal(table[column], pa.scalar(default, table[column].type)))


def _any_known(table: pa.Table, group: tuple[str, ...]) -> Mask:
    return np.asarray(np.any([known(table, c) for c in group], axis=0))


def _rank(table: pa.Table) -> NDArray[np.int64]:
    """0 for no text, 2 for all of it."""
    at = pc.index_in(table["text_state"], value_set=pa.array(TEXT_STATES)).fill_null(len(TEXT_STATES) - 1)
    return np.asarray(len(TEXT_STATES) - 1 - at.to_numpy(zero_copy_only=False), np.int64)


def _chosen(a: pa.ChunkedArray, b: pa.ChunkedArray, from_b: Mask) -> pa.ChunkedArray:
    return pc.if_else(pa.chunked_array([pa.array(from_b)]), b, a) if from_b.any() else a


def _true(mask: pa.ChunkedArray) -> Mask:
    return np.asarray(mask.fill_null(False).to_numpy(zero_copy_only=False), bool)
