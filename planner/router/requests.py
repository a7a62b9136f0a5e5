"""Requests: the columns a router reads, made from messages and what came with them.

In: messages of any provider's shape, and per request the app, tools, format and limits. Out: frozen columns: the text that
decides, kept apart from the template around it, and the sizes that say what can answer at all. Never raises on content.
Knows nothing of features, models or money.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.text.messages import Conversation, flattened, parse
from planner.text.tokens import count_tokens, remembered, token_ids

__all__ = ["FORMATS", "TEXT_STATES", "UNITS", "Requests"]

#: What one decision covers. A session is decided by its first turn, so every later turn repeats the decision.
UNITS = ("session", "request")
#: Codes of ``Requests.response_format`` and ``Requests.text_state`` are positions in these.
FORMATS = ("text", "json_object", "json_schema")
TEXT_STATES = ("full", "cut", "none")
#: Content part types that are not text, by the modality they stand for.
_PARTS = {"image": "image", "audio": "audio", "video": "video", "file": "file", "document": "file"}
#: [characters] of the longest template whose token count is remembered.
_REMEMBERED = 16_384


@dataclass(frozen=True, eq=False, slots=True)
class Requests:
    """``len(requests)`` requests, one array or tuple a column.

    Parameters
    ----------
    system: system and developer text, the template.
    user: the turn that decides: the first of a session, or the newest.
    context: [bytes] of the text before that turn; 0 when the session decides.
    turn: assistant answers before the deciding turn; 0 when the session decides.
    input_tokens: [tokens] of ``system`` and ``user``: what a decision's cost is reckoned with.
    total_tokens: [tokens] of all messages: what must fit into a context window.
    app, modalities: str; modalities other than text, sorted, comma-separated.
    has_tools, response_format, max_tokens, text_state: as sent; max_tokens is 0 where none was set.
    """

    system: tuple[str, ...]
    user: tuple[str, ...]
    context: NDArray[np.int64]
    turn: NDArray[np.int64]
    input_tokens: NDArray[np.int64]
    total_tokens: NDArray[np.int64]
    app: tuple[str, ...]
    modalities: tuple[str, ...]
    has_tools: NDArray[np.bool_]
    response_format: NDArray[np.int8]
    max_tokens: NDArray[np.int64]
    text_state: NDArray[np.int8]
    unit: str = field(default="session")

    @classmethod
    def of(
        cls,
        messages: Sequence[Any],
        *,
        app: Sequence[Any] | None = None,
        has_tools: Sequence[Any] | None = None,
        response_format: Sequence[Any] | None = None,
        modalities: Sequence[Any] | None = None,
        max_tokens: Sequence[Any] | None = None,
        text_state: Sequence[Any] | None = None,
        unit: str = "session",
    ) -> Requests:
        """Read ``messages`` (one entry a request) and the columns beside them; a missing column has its plainest value.

        InputError when columns differ in length or the unit is unknown.

        >>> chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "2+2?"}]
        >>> Requests.of([chat]).user, Requests.of([chat], unit="request").user
        (('Hi',), ('2+2?',))
        """
        if unit not in UNITS:
            raise InputError(f"unit {unit!r}", f"one of {', '.join(UNITS)}")
        n = len(messages)
        columns = {"app": app, "has_tools": has_tools, "response_format": response_format, "modalities": modalities}
        columns |= {"max_tokens": max_tokens, "text_state": text_state}
        for name, column in columns.items():
            if column is not None and len(column) != n:
                raise InputError(f"{len(column)} values of {name}", f"{n}, one for each request")
        parsed = [parse(m) for m in messages]
        talks = [*map(flattened, parsed)]
        seen = tuple(map(_modalities, parsed))
        system = tuple([t.system for t in talks])
        user = tuple([t.first if unit == "session" else t.last for t in talks])
        none = np.zeros(n, np.int64)
        states = _read(text_state, _state, n, np.int8)
        states[[not any(t.lines) for t in talks]] = 2
        return cls(
            system,
            user,
            none if unit == "session" else np.array([_before(t) for t in talks], np.int64),
            none if unit == "session" else np.array([t.turn for t in talks], np.int64),
            *_tokens(talks, user, unit == "session"),
            ("default",) * n if app is None else tuple(["default" if _missing(a) else str(a) for a in app]),
            seen if modalities is None else tuple([_join(s, g) for s, g in zip(seen, modalities, strict=True)]),
            _read(has_tools, _flag, n, np.bool_),
            _read(response_format, _format, n, np.int8),
            _read(max_tokens, _count, n, np.int64),
            states,
            unit,
        )

    @classmethod
    def one(cls, messages: Any, metadata: Mapping[str, Any] | None = None, unit: str = "session") -> Requests:
        """Read one request as a gateway sees it: ``tools``, ``response_format`` and ``max_tokens`` as in the call itself.

        >>> Requests.one("Hi", {"app": "chat", "tools": [{}], "response_format": {"type": "json_object"}}).response_format.tolist()
        [1]
        """
        given = metadata if isinstance(metadata, Mapping) else {}
        limit = given.get("max_completion_tokens") if _missing(given.get("max_tokens")) else given.get("max_tokens")
        values = {name: given.get(name) for name in ("app", "response_format", "modalities", "text_state")}
        values |= {"has_tools": given.get("has_tools") or given.get("tools") or given.get("functions"), "max_tokens": limit}
        return cls.of([messages], **{name: [value] for name, value in values.items() if value is not None}, unit=unit)

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[Any]) -> Requests:
        """Keep the requests at ``rows`` (positions or a mask), in that order."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "unit"}
        kept: dict[str, Any] = {n: v[at] if isinstance(v, np.ndarray) else tuple(v[i] for i in at) for n, v in columns.items()}
        return Requests(**kept, unit=self.unit)


def _read(values: Sequence[Any] | None, read: Callable[[Any], int], n: int, kind: type[np.generic]) -> NDArray[Any]:
    """Return what ``read`` makes of each value; a missing column is all zeros, which is the plainest value."""
    return np.zeros(n, kind) if values is None else np.array([read(v) for v in values], kind)


def _before(talk: Conversation) -> int:
    return max(len(talk.full) - len(talk.last) - len(talk.system), 0)


def _tokens(talks: Sequence[Conversation], user: Sequence[str], session: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the deciding text and all text."""
    deciding = np.diff(token_ids(user)[1]) if remembered(user) else count_tokens(user)
    unique = dict.fromkeys([t.system for t in talks])
    if len(unique) > 1 or "" not in unique:
        sizes = dict(zip(unique, _template_tokens(tuple(unique)), strict=True))
        deciding += np.array([sizes[t.system] for t in talks], np.int64)
    total = deciding.copy()
    longer = [i for i, t in enumerate(talks) if t.others or len(t.users) > 1]
    if longer:
        rest = [(t.users[1:] if session else t.users[:-1]) + t.others for t in (talks[i] for i in longer)]
        total[longer] += count_tokens(map("\n".join, rest))
    return deciding, total


def _template_tokens(templates: tuple[str, ...]) -> list[int]:
    """Count the tokens of each template; a lone one is remembered, as a service uses few."""
    if len(templates) == 1 and len(templates[0]) <= _REMEMBERED:
        return [_one_template(templates[0])]
    counts = np.diff(token_ids(templates)[1]) if remembered(templates) else count_tokens(templates)
    found: list[int] = counts.tolist()
    return found


@lru_cache(256)
def _one_template(template: str) -> int:
    return int(count_tokens([template])[0])


def _modalities(parsed: Iterable[Mapping[str, Any]]) -> str:
    """Return the modalities other than text that messages hold, sorted, comma-separated."""
    found = set()
    for message in parsed:
        content = message.get("content")
        if isinstance(content, (list, tuple)):
            for part in content:
                kind = str(part.get("type", "")) if isinstance(part, Mapping) else ""
                found |= {name for word, name in _PARTS.items() if word in kind}
    return ",".join(sorted(found)) if found else ""


def _join(seen: str, given: Any) -> str:
    if _missing(given):
        return seen
    named = given.split(",") if isinstance(given, str) else given if isinstance(given, (list, tuple)) else []
    return ",".join(sorted({*seen.split(","), *(str(m).strip() for m in named)} - {"text", ""}))


def _missing(value: Any) -> bool:
    """Say whether ``value`` stands for nothing; NaN and NA are what tables put where a value is missing."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return value
    return not _missing(value) and (bool(value) if isinstance(value, (bool, int, float, str, list, tuple, dict, np.bool_)) else True)


def _code(value: Any, names: tuple[str, ...]) -> int:
    """Return the position of ``value``; what is missing is the first, what is unknown the last: the most careful reading."""
    if isinstance(value, str):
        return names.index(value) if value in names else len(names) - 1
    return 0 if _missing(value) else len(names) - 1


def _state(value: Any) -> int:
    return _code(value, TEXT_STATES)


def _format(value: Any) -> int:
    known = not isinstance(value, str) and isinstance(value, Mapping)
    return _code(value.get("type", "json_schema") if known else value, FORMATS)


def _count(value: Any) -> int:
    """Return a token limit; what is no number sets none."""
    if isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value):
        return int(min(max(value, 0), 2**40))
    return 0
