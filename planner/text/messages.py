"""The one flattening of a chat request: roles, content parts, tool calls and history into plain text.

In: messages in OpenAI's shape (a list of dicts, or its JSON), in Anthropic's (content blocks), or a bare string. Out:
plain text per role. Every place that needs text from messages asks here, so that training and production see the same
characters. Never raises on content: what has no text, lies deeper than DEPTH or beyond PARTS, contributes none. Knows nothing of
tokens or models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["DEPTH", "PARTS", "Conversation", "content_text", "conversation", "flattened", "parse"]

#: Levels of lists and parts that are read; no provider nests deeper than four.
DEPTH = 64
#: Parts of one message that are looked at: a list may hold itself, twice.
PARTS = 1 << 18
#: Sequences of numbers, not of parts.
_BYTES = (bytes, bytearray, memoryview)
_KEYS = ("text", "content", "input_text", "output_text")


class Conversation(NamedTuple):
    """What a router may read of a request.

    Parameters
    ----------
    system: all system and developer text.
    users: the user turns.
    others: every other text: answers, tools.
    lines: everything, in order, one entry a message.
    turn: how many assistant answers precede the newest user turn.
    """

    system: str = ""
    users: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    turn: int = 0

    @property
    def first(self) -> str:
        """The first user turn; it decides for the whole session."""
        return self.users[0] if self.users else ""

    @property
    def last(self) -> str:
        """The newest user turn."""
        return self.users[-1] if self.users else ""

    @property
    def full(self) -> str:
        """Everything, in order, one line a message."""
        return "\n".join(self.lines)


def parse(messages: Any) -> list[dict[str, Any]]:
    """Return ``messages`` as a list of dicts, whatever of the known shapes it came in.

    >>> parse('[{"role": "user", "content": "hi"}]')
    [{'role': 'user', 'content': 'hi'}]
    >>> parse("just a prompt")
    [{'role': 'user', 'content': 'just a prompt'}]
    """
    if isinstance(messages, str):
        text = messages.lstrip()
        if text[:1] in ("[", "{"):
            try:
                return parse(json.loads(text))
            except (ValueError, RecursionError):
                pass
        return [{"role": "user", "content": messages}]
    if isinstance(messages, dict):
        return [messages]
    if isinstance(messages, Sequence) and not isinstance(messages, _BYTES):
        return [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    return []


def content_text(content: Any) -> str:
    """Return the text of one message's ``content``: a string, or parts of any provider's shape.

    >>> content_text([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "…"}}])
    'look'
    >>> content_text([{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}])
    '42'
    """
    if isinstance(content, str):
        return content
    found: list[str] = []
    rest, seen = [(content, 0)], 0
    while rest and seen < PARTS:
        part, depth = rest.pop()
        seen += 1
        if isinstance(part, str):
            found += [part] if part else []
        elif depth < DEPTH:
            rest += [(inner, depth + 1) for inner in reversed(_inside(part))]
    return "\n".join(found)


def _inside(part: Any) -> Sequence[Any]:
    """Return what a part holds: of a dict the first key with text that is set, of a list everything."""
    if isinstance(part, dict):
        return [part[k] for k in _KEYS if part.get(k)][:1]
    return part if isinstance(part, Sequence) and not isinstance(part, _BYTES) else ()


def conversation(messages: Any) -> Conversation:
    """Flatten ``messages`` once.

    >>> c = conversation([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
    ...                   {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "2+2?"}])
    >>> c.system, c.first, c.last, c.turn
    ('Be brief.', 'Hi', '2+2?', 1)
    """
    return flattened(parse(messages))


def flattened(parsed: Sequence[dict[str, Any]]) -> Conversation:
    """Return ``conversation`` of what ``parse`` returned."""
    system: list[str] = []
    users: list[str] = []
    others: list[str] = []
    lines: list[str] = []
    answers = turn = 0
    for message in parsed:
        role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
        text = content if isinstance(content, str) else content_text(content)
        if calls:
            text = "\n".join(t for t in (text, *map(_call_text, calls if isinstance(calls, list) else [])) if t)
        lines.append(text)
        if role == "user":
            users.append(text)
            turn = answers
        elif role in ("system", "developer"):
            system.append(text)
        else:
            others.append(text)
            answers += role == "assistant"
    return Conversation("\n".join(system), tuple(users), tuple(others), tuple(lines), turn)


def _call_text(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    return f"{_plain(function.get('name'))} {_plain(function.get('arguments'))}".strip() if isinstance(function, dict) else ""


def _plain(value: Any) -> str:
    try:
        return str(value or "")
    except RecursionError:
        return ""
