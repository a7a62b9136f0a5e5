"""Rows: the columns of a log that simulation computes with, as plain arrays; no text.

In: a Traffic handle. Out: codes, tokens, times, the cluster unit's hash bucket and the keys of every random draw, in
stored order. Knows nothing of prices, plans or outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import EVIDENCE, STATUSES, TOKEN_BUCKETS
from planner.stats import BUCKETS, draws
from planner.traffic.derived import Piece
from planner.traffic.handle import Traffic

__all__ = ["Coded", "Rows", "coded", "evidence_of", "identities", "load_rows", "string_keys"]

_COLUMNS = ("request_id", "timestamp", "app", "user", "session_id", "provider", "model", "service_tier", "status", "text_state", "purpose",
            "cache_hit", "attempts", "max_tokens", "latency_ms", "ttft_ms", "weight", "evidence", *TOKEN_BUCKETS)  # fmt: skip


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
    ``evidence`` is that of the row's own tokens and model (``evidence_of``).
    ``billable`` rows reached a provider; ``demand`` are the users' own requests, overhead apart, and those of them that
    reached a provider are ``steerable``: a plan may change them. ``streamed`` answers show from their first token on; in a log they are
    those whose first token was timed. ``session`` is a 63-bit key of the session, −1 is none; ``later``
    rows follow another one of theirs in the log.
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
    streamed: NDArray[np.bool_]
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


def load_rows(traffic: Traffic, positions: NDArray[np.int64] | None = None) -> Rows:
    """Load the numeric and coded columns of ``traffic``, or of its rows at ``positions`` (ascending, each once) alone.

    Each row is the same in any part of the log: strings are coded part by part, but keys, buckets and sessions are hashes, and whether
    a row follows another one of its session is known from all of the log.
    """
    table = traffic.arrow(*_COLUMNS) if positions is None else traffic.take(positions, *_COLUMNS)
    ids = table["request_id"].to_numpy(zero_copy_only=False)
    purpose = table["purpose"].to_numpy(zero_copy_only=False)
    hit = table["cache_hit"].to_numpy(zero_copy_only=False).astype(bool)
    own = purpose == "user"
    timestamp = _time(table["timestamp"])
    same = _identified(table, timestamp) if positions is None else {k: v[positions] for k, v in identities(traffic).items()}
    return Rows(
        request_id=ids,
        key=same["key"],
        bucket=same["bucket"].astype(np.int64),
        timestamp=timestamp,
        app=coded(table["app"]),
        provider=coded(table["provider"]),
        model=coded(table["model"]),
        tier=coded(table["service_tier"]),
        status=pc.index_in(table["status"], pa.array(STATUSES)).to_numpy().astype(np.int8),
        tokens=np.column_stack([table[c].to_numpy() for c in TOKEN_BUCKETS]).astype(np.int64, copy=False),
        attempts=table["attempts"].to_numpy().astype(np.int64),
        max_tokens=_float(table["max_tokens"]),
        latency_ms=_float(table["latency_ms"]),
        ttft_ms=_float(table["ttft_ms"]),
        streamed=np.isfinite(_float(table["ttft_ms"])),
        weight=_float(table["weight"]),
        full_text=table["text_state"].to_numpy(zero_copy_only=False) == "full",
        billable=~hit,
        steerable=own & ~hit,
        demand=own,
        session=same["session"],
        later=same["later"],
        evidence=evidence_of(traffic, table),
        cluster_unit=_unit(traffic),
    )


def evidence_of(traffic: Traffic, table: pa.Table) -> NDArray[np.int8]:
    """Return how sums over rows of ``traffic`` are known, codes into ``schema.EVIDENCE`` (n,).

    It is the weaker of what the folder's meta says of all rows, by default measured, and what the row says of itself. ``table`` has the
    rows' ``weight`` and ``evidence``: one whose weight is not 1 stands for others that nobody saw and is ``estimated`` at best.
    """
    own = pc.index_in(table["evidence"], pa.array(EVIDENCE)).to_numpy()
    whole = EVIDENCE.index(traffic.meta.get("evidence", "measured"))
    drawn = np.where(_float(table["weight"]) == 1, 0, EVIDENCE.index("estimated"))
    return np.asarray(np.maximum(np.maximum(own, whole), drawn), np.int8)


def string_keys(column: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return the ``draws.key`` of every string, each different one hashed once; 0 where there is none.

    >>> keys = string_keys(pa.array(["a", None, "a"]))
    >>> bool(keys[0] == keys[2] == draws.key(["a"])[0]), int(keys[1])
    (True, 0)
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(draws.key(encoded.dictionary.to_pylist()), np.uint64(0))[codes])


def _identified(table: pa.Table, timestamp: NDArray[np.datetime64]) -> dict[str, NDArray[Any]]:
    """Return what ``identities`` gives, of a log that is read at once."""
    session, key = _session(table["session_id"]), draws.key(table["request_id"].to_pylist())
    return {"key": key, "bucket": _bucket(table), "session": session, "later": _later(session, timestamp)}


def _unit(traffic: Traffic) -> str:
    """Name the unit that is resampled: the user where most requests of the log have one, else the session, else the request."""
    missing = traffic.nulls("user", "session_id")
    return next((n.removesuffix("_id") for n, count in missing.items() if 2 * count < len(traffic)), "request")


def _bucket(table: pa.Table | pa.RecordBatch) -> NDArray[np.uint8]:
    """Return the hash bucket of each row's own unit: its user where known, else its session, else itself."""
    cluster = string_keys(pc.coalesce(table["user"], table["session_id"], table["request_id"]))
    return (cluster % np.uint64(BUCKETS)).astype(np.uint8)


def _session(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Number the sessions by 63 bits of their keys; −1 where there is none."""
    known = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known, (string_keys(column) >> np.uint64(1)).astype(np.int64), -1)


def identities(traffic: Traffic) -> dict[str, NDArray[Any]]:
    """Return ``key``, ``bucket``, ``session`` and ``later`` of every row, read-only and mapped from disk; made once, beside the log."""
    return {**traffic.derived("keys-1", partial(_keyed, traffic)), **traffic.derived("later-1", partial(_latecomers, traffic))}


def _keyed(traffic: Traffic) -> Iterator[Piece]:
    for batch in traffic.batches(("request_id", "user", "session_id")):
        session = _session(batch["session_id"])
        yield {"key": draws.key(batch["request_id"].to_pylist()), "bucket": _bucket(batch), "session": session}


def _latecomers(traffic: Traffic) -> Iterator[Piece]:
    """Yield ``later`` of the whole log; of it, two numbers a row are held at once."""
    when = [_time(batch["timestamp"]) for batch in traffic.batches(("timestamp",))]
    yield {
        "later": _later(
            traffic.derived("keys-1", partial(_keyed, traffic))["session"], np.concatenate([np.zeros(0, "datetime64[us]"), *when])
        )
    }


def _later(session: NDArray[np.int64], timestamp: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Say of each row whether its session has an earlier one; rows without a session are first."""
    order = np.lexsort((np.arange(len(session)), timestamp, session))
    again = np.zeros(len(session), bool)
    ordered = session[order]
    again[order[1:]] = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    return again


def _time(column: pa.Array | pa.ChunkedArray) -> NDArray[np.datetime64]:
    return np.asarray(column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False))


def coded(column: pa.ChunkedArray) -> Coded:
    """Return a column of strings by codes."""
    encoded = column.fill_null("").combine_chunks().dictionary_encode()
    return Coded(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), tuple(encoded.dictionary.to_pylist()))


def _float(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
