"""Questions: what each request asks, and which requests may share an answer at all.

In: a log with its text. Out: per request, in order of arrival, the question it asks; per question its scope and its vector.
A question is the newest user turn; everything else that the provider was sent is its scope, to the letter: app, model, parameters,
system text, history, images, and the user or session where an answer must stay with them. Only inside one scope are questions
compared. A request without whole text, with tools, or of an app that is not asked for has no question. Derived once per log and
embedding, and kept beside the log. Knows nothing of answers, thresholds or caches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.text.embeddings import GRID, Embedding, embed
from planner.text.guards import guard
from planner.text.messages import content_text, parse
from planner.text.neighbours import MOST, Neighbours, nearest
from planner.text.prints import joint_keys, text_keys
from planner.traffic import Traffic
from planner.traffic.derived import Piece
from planner.traffic.rows import Coded

__all__ = ["VERSION", "Questions", "questions"]

Ints: TypeAlias = NDArray[np.int64]
#: Part of the name under which they are stored; raise it when a scope, a guard or a question is made otherwise.
VERSION = "questions-1"
_PARAMETERS = ("app", "model", "max_tokens", "response_format", "reasoning_effort", "modalities")
_COLUMNS = ("timestamp", "request_id", "user", "session_id", "text_state", "has_tools", "purpose", *_PARAMETERS)
_ROWS = 8_192


@dataclass(frozen=True, eq=False)
class Questions:
    """The questions of ``n`` requests in order of (arrival, request id), ``u`` of them different.

    Parameters
    ----------
    row: int64 (n,) each request's row of the log.
    asks: int64 (n,) its question, numbered in order of the first request; −1: none.
    group: int64 (u,) scope (and guard) of each question: only questions of one group may answer each other.
    vectors: float32 (u, d) of unit length. embedding: the method's name.
    """

    row: Ints
    asks: Ints
    group: Ints
    vectors: NDArray[np.float32]
    embedding: str

    def __len__(self) -> int:
        return len(self.row)

    def at(self, rows: Ints) -> Ints:
        """Return the positions here of ``rows`` of the log."""
        place = np.empty(len(self), np.int64)
        place[self.row] = np.arange(len(self))
        return place[rows]

    def neighbours(self, floor: float, most: int = MOST) -> Neighbours:
        """Return for each request the earlier questions of its group that are at least ``floor`` similar, best first."""
        return nearest(self.vectors, self.asks, self.group, floor, most)


def questions(
    traffic: Traffic,
    method: Embedding,
    *,
    apps: Sequence[str] | None = None,
    guarded: bool = True,
    across_users: bool = True,
    model: Coded | None = None,
) -> Questions:
    """Return what the users' requests of ``apps`` (None: all) ask.

    Parameters
    ----------
    traffic: needs ``messages``. method: embeds the newest user turns.
    guarded: numbers, names and negations of two questions of a group are the same.
    across_users: users share; a conversation that has begun stays with its session in any case.
    model: that each row of the log is sent to; None: as logged.

    Raises NeedsError without text, InputError for an app that the log does not have.
    """
    traffic.require("a semantic cache", "messages")
    table = traffic.arrow(*_COLUMNS)
    made = traffic.derived(f"{VERSION}-{method.name}", lambda: _read(traffic, method))
    order = pc.sort_indices(table, [("timestamp", "ascending"), ("request_id", "ascending")]).to_numpy().astype(np.int64)
    scope = joint_keys(made["scope"], *_parameters(table, model), *_owners(table, made["begun"], across_users))
    if guarded:
        scope = joint_keys(scope, made["guard"].view(np.int64))
    key = np.where(_may(table, apps), joint_keys(scope, made["text"].view(np.int64)), np.uint64(0))[order]
    asks, first = _numbered(key)
    group = np.unique(scope[order][first], return_inverse=True)[1].astype(np.int64)
    vectors = made["vectors"][made["at"][order][first]].astype(np.float32) / GRID
    return Questions(order, asks, group, vectors, method.name)


def _numbered(key: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Number keys in the order of their first place, −1 for key 0; return the numbers and the first places."""
    asked = np.flatnonzero(key)
    _, first, inverse = np.unique(key[asked], return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(first), np.int64)
    number[order] = np.arange(len(first))
    asks = np.full(len(key), -1, np.int64)
    asks[asked] = number[inverse]
    return asks, asked[first[order]]


def _may(table: pa.Table, apps: Sequence[str] | None) -> NDArray[np.bool_]:
    """Say which rows have a question that a cache may answer."""
    known = pc.unique(table["app"]).to_pylist()
    unknown = [app for app in apps or () if app not in known]
    if unknown:
        raise InputError(f"app {unknown[0]!r}", f"one of {', '.join(map(str, known))}", did_you_mean(unknown[0], known))
    may = pc.and_(pc.equal(table["purpose"], "user"), pc.invert(table["has_tools"]))
    if apps is not None:
        may = pc.and_(may, pc.is_in(table["app"], pa.array(list(apps), pa.string())))
    allowed: NDArray[np.bool_] = may.to_numpy(zero_copy_only=False).astype(bool)
    return allowed


def _parameters(table: pa.Table, model: Coded | None) -> list[NDArray[Any]]:
    columns: list[NDArray[Any]] = [_codes(table[name]) for name in _PARAMETERS]
    if model is not None:
        columns[_PARAMETERS.index("model")] = model.codes
    return columns


def _owners(table: pa.Table, begun: NDArray[np.bool_], across_users: bool) -> list[NDArray[Any]]:
    """Return codes of whom an answer must stay with: the session once a conversation has begun, the user if users do not share."""
    user = pc.coalesce(table["user"], table["session_id"], table["request_id"])
    session = pc.coalesce(table["session_id"], table["user"], table["request_id"])
    owners = [np.where(begun, _codes(session), -1)]
    return owners if across_users else [*owners, _codes(user)]


def _codes(column: pa.ChunkedArray) -> Ints:
    indices = column.combine_chunks().dictionary_encode(null_encoding="encode").indices
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)


def _read(traffic: Traffic, method: Embedding) -> Iterator[Piece]:
    """Read every row's text once: keys of scope, question and guard (0 without whole text), and the vectors of different questions."""
    place: dict[str, int] = {}
    for batch in traffic.batches(("messages", "text_state"), _ROWS):
        whole = pc.if_else(pc.equal(batch["text_state"], "full"), batch["messages"], None).to_pylist()
        split = [_split(messages) for messages in whole]
        texts = [text for _, text, _ in split]
        guards = [None if text is None else "\0".join("\1".join(part) for part in guard(text)) for text in texts]
        yield {
            "scope": text_keys([scope for scope, _, _ in split]),
            "text": text_keys(texts),
            "guard": text_keys(guards),
            "begun": np.array([history for _, _, history in split], bool),
            "at": np.array([place.setdefault(text or "", len(place)) for text in texts], np.int64),
        }
    yield {"vectors": np.rint(embed(list(place), method) * GRID).astype(np.int16)}


def _split(messages: str | None) -> tuple[str | None, str | None, bool]:
    """Return (all but the newest user turn's text, that text, whether an answer came before); (None, None, False) without one.

    >>> _split('[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]')
    ('[{"role": "system", "content": "Be brief."}, {"role": "user", "content": []}]', 'Why?', False)
    """
    parsed = [] if messages is None else parse(messages)
    newest = max((i for i, m in enumerate(parsed) if m.get("role") == "user"), default=-1)
    text = content_text(parsed[newest].get("content")) if newest >= 0 else ""
    if not text.strip():
        return None, None, False
    rest = [*parsed[:newest], {**parsed[newest], "content": _unread(parsed[newest].get("content"))}, *parsed[newest + 1 :]]
    return json.dumps(rest), text, any(m.get("role") not in ("system", "developer", "user") for m in rest)


def _unread(content: Any) -> list[Any]:
    """Return the parts of a turn that are not plain text: images, files, results of tools."""
    parts = content if isinstance(content, list) else [content]
    return [p for p in parts if not (isinstance(p, str) or (isinstance(p, dict) and p.get("type") in ("text", "input_text")))]
