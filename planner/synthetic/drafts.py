"""Values the grammars pass on: a keyed source of choices, a message with its token count, and one drafted request.

In: a seed and the name of what is drawn. Out: choices that depend on nothing else. Knows nothing of any app.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

from planner.synthetic.world import DIMENSIONS

__all__ = ["Draft", "Draw", "Message", "demand", "dumps", "text_group"]

T = TypeVar("T")


class Draw:
    """Choices belonging to ``name``: the same whatever else was drawn before.

    >>> Draw(1, "session-3").pick("abc") == Draw(1, "session-3").pick("abc")
    True
    """

    __slots__ = ("random",)

    def __init__(self, seed: int, name: str) -> None:
        key = int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")
        self.random = random.Random(key).random

    def pick(self, options: Sequence[T]) -> T:
        """Return one of ``options``, each equally likely."""
        return options[int(self.random() * len(options))]

    def early(self, options: Sequence[T], power: float = 2.0) -> T:
        """Return one of ``options``, the first ones more often (uniform to the ``power``)."""
        return options[int(self.random() ** power * len(options))]

    def several(self, options: Sequence[T], n: int) -> list[T]:
        """Return ``n`` different ones of ``options`` (all of them when there are fewer), in drawn order."""
        left = list(options)
        return [left.pop(int(self.random() * len(left))) for _ in range(min(n, len(left)))]

    def chance(self, p: float) -> bool:
        """Return True with probability ``p``."""
        return self.random() < p

    def between(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return low + int(self.random() * (high - low + 1))

    def count(self, mean: float, most: int) -> int:
        """Return a geometric count from 0 with the given ``mean``, at most ``most``."""
        return min(most, int(math.log(1.0 - self.random()) / math.log(mean / (1.0 + mean)))) if mean > 0 else 0

    def spread(self, median: float, sigma: float) -> float:
        """Return a log-normal number (by Box–Muller)."""
        normal = math.sqrt(-2.0 * math.log(1.0 - self.random())) * math.cos(2.0 * math.pi * self.random())
        return median * math.exp(sigma * normal)


@dataclass(slots=True, eq=False)
class Message:
    """One message: role, text, tool calls; ``tokens`` (o200k) is filled once all messages exist."""

    role: str
    text: str
    calls: tuple[tuple[str, str, str], ...] = ()
    answers: str = ""
    tokens: int = 0

    @property
    def counted(self) -> str:
        """The text whose tokens are counted: the content, and name and arguments of every tool call."""
        return "\n".join([self.text, *(f"{name} {arguments}" for _, name, arguments in self.calls)]) if self.calls else self.text

    def payload(self) -> dict[str, Any]:
        """Return the message in OpenAI's shape."""
        out: dict[str, Any] = {"role": self.role, "content": self.text or None if self.calls else self.text}
        if self.calls:
            out["tool_calls"] = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in self.calls]
        if self.answers:
            out["tool_call_id"] = self.answers
        return out


@dataclass(slots=True, eq=False)
class Draft:
    """One request before it is sent: its messages, the logged answer, and what only the generator knows.

    ``demand`` follows world.DIMENSIONS; ``group`` names what near duplicates share; ``hidden_tokens`` are input tokens
    of text that the log does not hold.
    """

    messages: list[Message]
    answer: Message
    demand: tuple[float, ...]
    topic: str
    group: str
    tools: tuple[dict[str, Any], ...] = ()
    response_format: dict[str, Any] | None = None
    hidden_tokens: int = 0


def demand(**parts: float) -> tuple[float, ...]:
    """Return a demand vector from named parts.

    >>> demand(steps=1.0, rare=0.5)
    (1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
    """
    return tuple(float(parts.get(d, 0.0)) for d in DIMENSIONS)


def text_group(kind: str, text: str) -> str:
    """Return the near-duplicate group of a text before it is reworded: equal texts share it.

    >>> text_group("ticket", "a") == text_group("ticket", "a") != text_group("ticket", "b")
    True
    """
    return f"{kind}-{blake2b(text.encode(), digest_size=5).hexdigest()}"


def dumps(value: Any) -> str:
    """Return compact JSON, the same on every machine."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
