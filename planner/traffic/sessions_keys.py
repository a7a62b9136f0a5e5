"""Keys of conversations: what a request must have in common with an earlier one that it continues.

In: messages and answers as stored. Out: per request the key of its messages, and of its messages with its answer; and of every place in
its messages where an answer ends, the keys of what stands before that answer, without and with it. A request continues another one when
one of its places has the other's keys. Text is compared by role and words, not by spelling of JSON. Knows nothing of time or users.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.text.messages import content_text, flattened, parse
from planner.traffic.derived import Piece

__all__ = ["VERSION", "conversation_keys"]

#: Part of the name under which keys are stored; raise it when a key changes.
VERSION = "conversations-1"
_NONE = bytes(8)


def conversation_keys(messages: Iterable[str | None], responses: Iterable[str | None], first: int = 0) -> Piece:
    """Return the keys of ``n`` requests, the first of which is row ``first``; what has no text has keys 0 and no places.

    ``asked``, ``answered``: uint64 (n,). ``row``, ``depth``, ``before``, ``through``: (places,) whose place it is, how many messages stand
    before its answer, and the keys of those and of those with the answer.

    >>> one = '[{"role": "user", "content": "hi"}]'
    >>> two = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}, {"role": "user", "content": "so?"}]'
    >>> k = conversation_keys([one, two], ["ho", None])
    >>> k["row"].tolist(), bool(k["before"][0] == k["asked"][0]), bool(k["through"][0] == k["answered"][0])
    ([1], True, True)
    """
    asked, answered, places = [], [], []
    for row, (text, response) in enumerate(zip(messages, responses, strict=True), first):
        whole, with_answer, found = _of(text, response) if text is not None else (_NONE, _NONE, [])
        asked.append(whole)
        answered.append(with_answer)
        places += [(row, *place) for place in found]
    return {
        "asked": _keys(asked),
        "answered": _keys(answered),
        "row": np.array([p[0] for p in places], np.int64),
        "depth": np.array([p[1] for p in places], np.int64),
        "before": _keys([p[2] for p in places]),
        "through": _keys([p[3] for p in places]),
    }


def _of(text: str, response: str | None) -> tuple[bytes, bytes, list[tuple[int, bytes, bytes]]]:
    state, places, before = blake2b(digest_size=8), [], _NONE
    turns = list(_turns(parse(text)))
    for at, (role, said) in enumerate(turns):
        before = state.digest()
        _add(state, role, said)
        if role == "assistant" and 0 < at < len(turns) - 1:
            places.append((at, before, state.digest()))
    whole = state.digest()
    if response is None:
        return whole, _NONE, places
    _add(state, "assistant", _answer(response))
    return whole, state.digest(), places


def _turns(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for message, said in zip(messages, flattened(messages).lines, strict=True):
        yield str(message.get("role")), said


def _add(state: Any, role: str, said: str) -> None:
    state.update(f"{role}\x1f{said.strip()}\x1e".encode("utf-8", "surrogatepass"))


def _answer(response: str) -> str:
    """Return an answer's words as its message would have them in the next request."""
    if response[:1] not in "[{":
        return response
    try:
        found = json.loads(response)
    except (ValueError, RecursionError):
        return response
    if isinstance(found, dict):
        return flattened([found]).lines[0] if "tool_calls" in found or "function_call" in found else response
    parts = isinstance(found, list) and all(isinstance(p, dict) and "type" in p for p in found)
    return content_text(found) if found and parts else response


def _keys(digests: list[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
