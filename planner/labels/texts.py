"""What choosing requests to label needs to know of their texts, so that the texts are read once.

In: a Traffic handle. Out: per request the near-duplicate group, the template, the kind of text, whether its history holds tool
calls, and its size; arrays kept beside the log. Knows nothing of prices, apps or of what is chosen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from planner.text.messages import Conversation, conversation, parse
from planner.text.prints import text_keys
from planner.traffic import Traffic
from planner.traffic.derived import Piece

__all__ = ["Texts", "group_of", "texts_of"]

#: Raise it when what is derived from a text changes.
_VERSION = "label-texts-1"
_NOT_WORD = re.compile(r"[\W_]+")
_CALLS = ("tool_calls", "function_call", "tool_use", "tool_result")
#: A text is foreign when this share of its characters is outside ASCII, of figures when this share is digits.
_FOREIGN, _FIGURES = 0.2, 0.15


@dataclass(frozen=True, eq=False)
class Texts:
    """``n`` prompts as arrays of length n; all zero where the log has no whole text.

    Parameters
    ----------
    group: uint64 near-duplicate group. template: uint64 key of the system text. kind: int8, bits of code, foreign, figures.
    calls: the history holds tool calls or results. size: [bytes] of the messages as JSON, no less than their tokens.
    """

    group: NDArray[np.uint64]
    template: NDArray[np.uint64]
    kind: NDArray[np.int8]
    calls: NDArray[np.bool_]
    size: NDArray[np.int64]


def group_of(messages: str) -> str:
    """Hash the text without case, punctuation and spacing: what differs in nothing else is one near-duplicate group.

    >>> group_of("Where is my order?") == group_of("where is  MY order")
    True
    """
    return _group(messages, conversation(messages))


def texts_of(traffic: Traffic) -> Texts:
    """Read every whole prompt of ``traffic`` once; the next time the stored arrays are returned."""
    return Texts(**traffic.derived(_VERSION, lambda: _derive(traffic)))


def _derive(traffic: Traffic) -> Iterator[Piece]:
    yield _arrays(())
    for batch in traffic.batches(("messages", "text_state"), 8_192):
        yield _arrays(tuple(_seen(batch)))


def _arrays(seen: tuple[tuple[int, str | None, int, bool, int], ...]) -> Piece:
    group, system, kind, calls, size = zip(*seen, strict=True) if seen else ((),) * 5
    return {
        "group": np.array(group, np.uint64),
        "template": text_keys(system),
        "kind": np.array(kind, np.int8),
        "calls": np.array(calls, bool),
        "size": np.array(size, np.int64),
    }


def _seen(batch: pa.RecordBatch) -> Iterator[tuple[int, str | None, int, bool, int]]:
    for messages, state in zip(batch["messages"].to_pylist(), batch["text_state"].to_pylist(), strict=True):
        if messages is None or state != "full":
            yield 0, None, 0, False, 0
        else:
            read = conversation(messages)
            yield int(_group(messages, read), 16), read.system or None, _kind(read.last), _has_calls(messages), len(messages.encode())


def _group(messages: str, read: Conversation) -> str:
    words = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", read.full).casefold()).strip()
    return sha256((words or messages).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _kind(text: str) -> int:
    """Return three bits: code, a language outside ASCII, many figures.

    >>> _kind("x = 1 ``` y"), _kind("Привет"), _kind("12345 eur")
    (1, 2, 4)
    """
    n = max(len(text), 1)
    foreign = sum(not c.isascii() for c in text) > _FOREIGN * n
    figures = sum(c.isdigit() for c in text) > _FIGURES * n
    return ("```" in text) + 2 * foreign + 4 * figures


def _has_calls(messages: str) -> bool:
    """Say whether a conversation holds tool calls or their results; most are settled without parsing."""
    if not any(word in messages for word in (*_CALLS, '"tool"', '"function"')):
        return False
    return any(_called(m) for m in parse(messages))


def _called(message: dict[str, Any]) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    own = bool(message.get("tool_calls") or message.get("function_call")) or message.get("role") in ("tool", "function")
    return own or any(isinstance(p, dict) and p.get("type") in _CALLS for p in parts)
