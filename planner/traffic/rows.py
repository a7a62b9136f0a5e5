"""Rows: the columns of a log that simulation computes with, as plain arrays; no text.

In: a Traffic handle. Out: codes, tokens, times, the cluster unit's hash bucket and the keys of every random draw, in
stored order. Knows nothing of prices, plans or outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import EVIDENCE, STATUSES, TOKEN_BUCKETS
from planner.stats import BUCKETS, draws
from planner.traffic.handle import Traffic

__all__ = ["Coded", "Rows", "load_rows"]

_COLUMNS = ("request_id", "timestamp", "app", "user", "session_id", "provider", "model", "service_tier", "status", "text_state", "purpose",
            "cache_hit", "attempts", "max_tokens", "latency_ms", "ttft_ms", "weight", *TOKEN_BUCKETS)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of few distinct strings: ``values[codes]``; a null is the value ``""``."""

    codes: NDArray[np.int32]
    values: tuple[str, ...]

    def decode(self) -> NDArray[np.object_]:
        """Return the strings themselves, shape (n,)."""
        return np.array(self.values, object)[self.codes]

    def differs(self, other: Coded) -> NDArray[np.bool_]:
        """Say where the strings differ from those of ``other``, shape (n,)."""
        place = {v: i for i, v in enumerate(other.values)}
        mapped = np.array([place.get(v, -1) for v in self.values] or [-1], np.int64)
        return np.asarray(mapped[self.codes] != other.codes)

    def code(self, value: str) -> int:
        """Return the code of ``value``, −1 when it does not occur."""
        return self.values.index(value) if value in self.values else -1


@dataclass(frozen=True, eq=False)
class Rows:
    """``n`` logged requests as arrays of length n.

    ``key`` seeds every draw for a request; ``bucket`` is the hash bucket of its user, else session, else itself.
    ``evidence`` is that of the row's own tokens and model: ``measured`` unless the folder's meta says otherwise.
    ``billable`` rows reached a provider; ``demand`` are the users' own requests, overhead apart, and those of them that
    reached a provider are ``steerable``: a plan may change them. ``session`` numbers the sessions, −1 is none; ``later`` rows
    follow another one of theirs.
    """

    request_id: NDArray[np.object_]
    key: NDArray[np.uint64]
    bucket: NDArray[np.int64]
    timestamp: NDArray[np.datetime64]
    app: Coded
    provider: Coded
    model: Coded
    tier: Coded
    status: NDArray[np.int8]
    tokens: NDArray[np.int64]
    attempts: NDArray[np.int64]
    max_tokens: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    ttft_ms: NDArray[np.float64]
    weight: NDArray[np.float64]
    full_text: NDArray[np.bool_]
    billable: NDArray[np.bool_]
    steerable: NDArray[np.bool_]
    demand: NDArray[np.bool_]
    session: NDArray[np.int64]
    later: NDArray[np.bool_]
    evidence: NDArray[np.int8]
    cluster_unit: str

    def __len__(self) -> int:
        return len(self.key)

    def take(self, positions: NDArray[Any]) -> Rows:
        """Return the rows at ``positions`` (or where the mask is true); codes keep their values."""
        changes: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                changes[name] = value[positions]
            elif isinstance(value, Coded):
                changes[name] = Coded(value.codes[positions], value.values)
        return replace(self, **changes)

    @property
    def days(self) -> float:
        """Length of the log [days], first to last arrival; at least one hour."""
        span = (self.timestamp.max() - self.timestamp.min()) / np.timedelta64(1, "D") if len(self) else 0.0
        return max(float(span), 1 / 24)


def load_rows(traffic: Traffic) -> Rows:
    """Load the numeric and coded columns of ``traffic``."""
    table = traffic.arrow(*_COLUMNS)
    ids = table["request_id"].to_numpy(zero_copy_only=False)
    unit, cluster = _cluster(table)
    purpose = table["purpose"].to_numpy(zero_copy_only=False)
    hit = table["cache_hit"].to_numpy(zero_copy_only=False).astype(bool)
    own = purpose == "user"
    session = _session(table)
    timestamp = table["timestamp"].cast(pa.timestamp("us")).to_numpy()
    return Rows(
        request_id=ids,
        key=draws.key(ids),
        bucket=(draws.key(cluster) % np.uint64(BUCKETS)).astype(np.int64),
        timestamp=timestamp,
        app=_coded(table["app"]),
        provider=_coded(table["provider"]),
        model=_coded(table["model"]),
        tier=_coded(table["service_tier"]),
        status=pc.index_in(table["status"], pa.array(STATUSES)).to_numpy().astype(np.int8),
        tokens=np.column_stack([table[c].to_numpy() for c in TOKEN_BUCKETS]).astype(np.int64, copy=False),
        attempts=table["attempts"].to_numpy().astype(np.int64),
        max_tokens=_float(table["max_tokens"]),
        latency_ms=_float(table["latency_ms"]),
        ttft_ms=_float(table["ttft_ms"]),
        weight=_float(table["weight"]),
        full_text=table["text_state"].to_numpy(zero_copy_only=False) == "full",
        billable=~hit,
        steerable=own & ~hit,
        demand=own,
        session=session,
        later=_later(session, timestamp),
        evidence=np.full(len(table), EVIDENCE.index(traffic.meta.get("evidence", "measured")), np.int8),
        cluster_unit=unit,
    )


def _cluster(table: pa.Table) -> tuple[str, NDArray[np.object_]]:
    """The unit that is resampled: the user where known, else the session, else the request."""
    filled = pc.coalesce(table["user"], table["session_id"], table["request_id"])
    known = {n: len(table) - table[n].null_count for n in ("user", "session_id")}
    unit = next((n.removesuffix("_id") for n, count in known.items() if 2 * count > len(table)), "request")
    return unit, filled.to_numpy(zero_copy_only=False)


def _session(table: pa.Table) -> NDArray[np.int64]:
    """Number the sessions; −1 where there is none."""
    codes = table["session_id"].combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes.to_numpy(zero_copy_only=False), np.int64)


def _later(session: NDArray[np.int64], timestamp: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Say of each row whether its session has an earlier one; rows without a session are first."""
    order = np.lexsort((np.arange(len(session)), timestamp, session))
    again = np.zeros(len(session), bool)
    again[order[1:]] = (session[order][1:] == session[order][:-1]) & (session[order][1:] >= 0)
    return again


def _coded(column: pa.ChunkedArray) -> Coded:
    encoded = column.fill_null("").combine_chunks().dictionary_encode()
    return Coded(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), tuple(encoded.dictionary.to_pylist()))


def _float(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
