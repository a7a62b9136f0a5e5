"""Test requests made up by us: a bundle proves itself on them without a word of a customer's.

In: a seed and the apps a router knows. Out: messages with metadata: many scripts, code, tools, parts of every provider's shape,
empty, broken and long. Knows nothing of routers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["made_up"]

_PHRASES = (
    "please explain the difference between a list and an array why does this fail return order refund invoice translate into French",
    "summarize meeting notes step by step prove that every even number x y 12 2026 3.14 def main(): import os SELECT * FROM t WHERE",
    "was kostet der Versand nach Köln ¿cómo puedo cambiar mi contraseña? 注文の状況を教えてください 今天天气怎么样 Где мой заказ?",
    'مرحبا كيف حالك नमस्ते दुनिया 🙂 🚚 e\u0301 ﬁ İstanbul ẞ A) B) C) D) {"a": [1, null]} <b>bold</b> `code` ```py\nprint(1)\n```',
    "\t \r\n \x00 don't semi;colon under_score CamelCase ALLCAPS https://example.com/a?b=c a@example.com 50% #1 & ~ ^",
)
_WORDS = tuple(" ".join(_PHRASES).split(" "))
_SYSTEMS = ("", "You are a careful assistant.", "Answer in JSON. Fields: name, date, total.", "Du bist ein Kundenberater. " * 40)
_ODD: tuple[Any, ...] = (
    "",
    [],
    " \n\t ",
    "\ud800 lone surrogate",
    [{"role": "user", "content": None}],
    [{"role": "user", "content": 7}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "made:up"}}, {"type": "text", "text": "what is it?"}]}],
    [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]}],
    [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look_up", "arguments": "{}"}}]}],
    [{"role": "system", "content": "Only a template."}],
    "word " * 6_000,
    "字" * 9_000,
)


def made_up(n: int, apps: Sequence[str], seed: int = 0) -> list[tuple[Any, dict[str, Any]]]:
    """Return ``n`` (messages, metadata): the odd ones first, then random ones.

    >>> made_up(13, ["chat"])[0]
    ('', {'app': 'chat'})
    """
    rng = np.random.default_rng(seed)
    odd = [(messages, {"app": apps[i % len(apps)]}) for i, messages in enumerate(_ODD[:n])]
    return odd + [(_messages(rng), _metadata(rng, apps)) for _ in range(n - len(odd))]


def _messages(rng: np.random.Generator) -> Any:
    text: Callable[[], str] = lambda: " ".join(rng.choice(_WORDS, int(rng.geometric(0.03))).tolist())  # noqa: E731 - local and used thrice
    system = str(rng.choice(_SYSTEMS))
    talk: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for _ in range(int(rng.integers(0, 3))):
        talk += [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]
    content: Any = text() if rng.random() < 0.8 else [{"type": "text", "text": text()}]
    return [*talk, {"role": "user", "content": content}]


def _metadata(rng: np.random.Generator, apps: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {"app": apps[int(rng.integers(len(apps)))]}
    if rng.random() < 0.1:
        given["tools"] = [{"type": "function"}]
    if rng.random() < 0.1:
        given["response_format"] = {"type": "json_schema"}
    if rng.random() < 0.2:
        given["max_tokens"] = int(rng.integers(1, 4_000))
    return given
