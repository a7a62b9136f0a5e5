"""What a client might send to the runtime: requests of every provider's shape, spoilt ones, and anything at all.

In: a seed. Out: messages and metadata, the same for the same seed. Half are requests of OpenAI's, Anthropic's and the Responses API's
shapes, over any text; a quarter are such with something else put in at a random place; a quarter are anything at all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

#: One text in so many is of a million characters.
LONG = 800
_SENTENCE = "why is my order late please prove that the sum of two numbers def main(): SELECT * FROM t refund 42 straße 注文 مرحبا 🙂"
_WORDS = _SENTENCE.split()
_BLOCKS = ((0, 0x80), (0x80, 0x250), (0x300, 0x370), (0x400, 0x500), (0x600, 0x700), (0x4E00, 0x9FFF), (0x1F300, 0x1F650), (0xE000, 0xF900))
#: Texts that are repeated.
_TICKS = (" ", "\n", "\t \r\n", "\0", "a", "\ud800", "\udfff\ud800", "0", "[", '{"', "\u200b", "e\u0301", "ﷺ")
_ROLES = ("system", "developer", "user", "user", "user", "assistant", "tool", "function")
_LIMITS = ("max_tokens", "max_completion_tokens")
_KEYS = ("app", "model", "tools", "functions", "has_tools", "response_format", "modalities", "text_state", *_LIMITS)
_INNER = ("role", "content", "type", "text", "tool_calls", "function", "name", "arguments", "input_text", "")


class Broken(dict[str, Any]):
    """A mapping that raises when it is asked for something."""

    def get(self, *_: Any) -> Any:
        """Refuse."""
        raise OSError("gone")


class Mute:
    """A value that has no text and no truth."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __bool__(self) -> bool:
        raise ValueError("neither")


def text(rng: random.Random) -> str:
    """Return any text: words, any Unicode with lone surrogates, blanks, nothing, sometimes very much of it."""
    kind = rng.randrange(8)
    size = 1_000_000 if rng.randrange(LONG) == 0 else int(rng.expovariate(1 / 200))
    if kind < 3:
        return " ".join(rng.choices(_WORDS, k=min(size, 200_000)))
    if kind == 3:
        return "".join(map(chr, rng.choices(range(0x110000), k=min(size, 20_000)))) * max(size // 20_000, 1)
    if kind == 4:
        low, high = rng.choice(_BLOCKS)
        return "".join(map(chr, rng.choices(range(low, high), k=min(size, 20_000)))) * max(size // 20_000, 1)
    if kind == 5:
        return rng.choice(_TICKS) * min(size, 333_333)
    return "" if kind == 6 else json.dumps(talk(rng))


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Return any value: what JSON has, and what only Python has."""
    kind = rng.randrange(22 if depth < 4 else 15)
    if kind >= 18:
        return {rng.choice(_INNER) if rng.random() < 0.8 else short(rng): anything(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind >= 15:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return _PLAIN[kind](rng)


def short(rng: random.Random) -> str:
    """Return a short text."""
    return text(rng)[: rng.randrange(20)]


def deep(rng: random.Random) -> Any:
    """Return a value that is nested very deep."""
    value, key = short(rng), rng.choice(("content", "text", None))
    nested: Any = value
    for _ in range(rng.choice((10, 100, 2_000, 20_000))):
        nested = [nested] if key is None else {key: nested}
    return nested


def ring(rng: random.Random) -> Any:
    """Return a value that holds itself, once or twice."""
    inner: list[Any] = [short(rng)]
    inner.extend([inner] * rng.choice((1, 1, 1, 2)) if rng.randrange(40) == 0 else [inner])
    return inner if rng.random() < 0.5 else {"type": "text", "content": inner}


_PLAIN: tuple[Callable[[random.Random], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.random() < 0.5,
    lambda rng: rng.choice((0, 1, -1, 7, 2**31, 2**63, -(2**64), 10**400)),
    lambda rng: rng.choice((0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf"), 1e308)),
    text,
    short,
    short,
    lambda rng: rng.randbytes(rng.randrange(30)),
    lambda rng: tuple(short(rng) for _ in range(rng.randrange(3))),
    lambda rng: {short(rng)},
    lambda rng: rng.choice((np.float64("nan"), np.int64(3), np.bool_(True), np.array([1, 2]), np.array(["a", "b"]), np.array(None))),
    lambda rng: rng.choice((object(), Mute(), Broken(), Exception, range(5), iter("ab"), bytearray(b"ab"), memoryview(b"ab"))),
    deep,
    ring,
    lambda rng: rng.choice(("user", "text", "none", "cut", "full", "json_schema", "json_object", "image", "default")),
)


def content(rng: random.Random) -> Any:
    """Return the content of a message, of some provider's shape."""
    kind = rng.randrange(7)
    if kind < 4:
        return text(rng)
    if kind == 4:
        return None
    return [part(rng) for _ in range(rng.randrange(4))]


def part(rng: random.Random) -> Any:
    """Return a content part."""
    return rng.choice(
        (
            lambda: {"type": rng.choice(("text", "input_text", "output_text")), "text": text(rng)},
            lambda: {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            lambda: {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            lambda: {"type": "tool_use", "id": "t", "name": short(rng), "input": {"x": short(rng)}},
            lambda: {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": text(rng)}]},
            lambda: {"type": "document", "source": {"type": "text", "data": short(rng)}, "context": None},
            lambda: text(rng),
        )
    )()


def message(rng: random.Random) -> dict[str, Any]:
    """Return a message."""
    made = {"role": rng.choice(_ROLES), "content": content(rng)}
    if rng.random() < 0.15:
        arguments = rng.choice((short(rng), "{}", {"a": 1}, None))
        made["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": short(rng), "arguments": arguments}}]
    return made


def talk(rng: random.Random) -> Any:
    """Return messages as a client sends them."""
    return text(rng) if rng.random() < 0.05 else [message(rng) for _ in range(rng.randrange(6))]


def metadata(rng: random.Random, apps: list[str]) -> dict[str, Any]:
    """Return what comes beside messages."""
    sane: dict[str, Callable[[], Any]] = {
        "app": lambda: rng.choice(apps),
        "model": lambda: rng.choice(("gpt-5", "mine", "", None)),
        "tools": lambda: rng.choice(([], [{"type": "function"}], None)),
        "has_tools": lambda: rng.random() < 0.1,
        "response_format": lambda: rng.choice(("text", {"type": "json_object"}, {"type": "json_schema", "json_schema": {}}, None)),
        "max_tokens": lambda: rng.choice((None, 0, 1, 512, 10**7)),
        "modalities": lambda: rng.choice((None, ["text"], ["text", "audio"], "image")),
        "text_state": lambda: rng.choice(("full", "cut", "none", None)),
    }
    return {name: make() for name, make in sane.items() if name == "app" or rng.random() < 0.3}


def spoilt(rng: random.Random, value: Any) -> Any:
    """Return ``value`` with anything put in at a random place."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        return {**value, key: spoilt(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], spoilt(rng, value[at]), *value[at + 1 :]]
    return anything(rng)


def inputs(n: int, seed: int, apps: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield ``n`` inputs: their kind, messages and metadata."""
    rng = random.Random(seed)
    for _ in range(n):
        kind = rng.choice(("a request", "a request", "a spoilt request", "anything"))
        messages, beside = talk(rng), metadata(rng, apps)
        if kind == "a spoilt request":
            messages, beside = (spoilt(rng, messages), beside) if rng.random() < 0.6 else (messages, spoilt(rng, beside))
        elif kind == "anything":
            given = {rng.choice(_KEYS): anything(rng) for _ in range(rng.randrange(5))}
            given.setdefault("app", rng.choice(apps))
            messages, beside = anything(rng), rng.choice((given, given, given, None, Broken(given), anything(rng)))
        yield kind, messages, beside
