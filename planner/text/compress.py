"""Compress: one prompt in fewer tokens, by a named method.

In: messages as they would be sent. Out: the messages to send instead. ``lossless`` squeezes every text, ``history`` leaves out old
turns, ``rank`` cuts passages, tool results and pasted documents to what the question needs; without a question, or where most is code
or data, nothing. The leading system text stays as it is
unless told otherwise: the provider's prompt cache holds it. Pure, and the same in production as in a simulation. Knows nothing of
models, money or whether the answer stays as good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.errors import InputError, did_you_mean
from planner.text.history import Message, trim_history
from planner.text.lossless import lossless
from planner.text.messages import DEPTH, content_text, parse
from planner.text.ranking import rank_to_budget
from planner.text.sentences import sentences, words
from planner.text.tokens import count_tokens

__all__ = ["METHODS", "compress", "question_of"]

METHODS = ("lossless", "history", "rank")
#: [tokens] A shorter text is no context worth cutting. [words] A longer line is no question.
_CONTEXT, _QUESTION = 64, 60
#: A question mark after a word, before a space or the end: code has it elsewhere.
_ASKS = re.compile(r"\w[\"”’)]*\s?[?？][\"”’)]*(?:\s|$)")
_TEXT_KEYS = ("text", "content", "input_text", "output_text")


def compress(
    messages: Any,
    method: str,
    *,
    ratio: float = 2.0,
    budget_tokens: int | None = None,
    keep_turns: int = 4,
    keep_prefix: bool = True,
    encoding: str = "o200k_base",
) -> list[Message]:
    """Return ``messages`` compressed by ``method``, one of METHODS.

    Parameters
    ----------
    messages: any shape that ``planner.text.messages.parse`` reads.
    ratio: rank: each context keeps 1 / ratio of its tokens. budget_tokens: rank: all contexts together keep this many, in place of
        ``ratio``; history: see ``trim_history``. keep_turns: history.
    keep_prefix: the first message stays as it is when it is the system's.

    Examples
    --------
    >>> asked = [{"role": "user", "content": [{"type": "text", "text": "What   is   this?"}]}]
    >>> compress(asked, "lossless")
    [{'role': 'user', 'content': [{'type': 'text', 'text': 'What is this?'}]}]
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}", f"one of {', '.join(METHODS)}", did_you_mean(method, METHODS))
    if not ratio >= 1:
        raise InputError(f"ratio {ratio}", "1 or more: how many times fewer tokens")
    parsed = parse(messages)
    if method == "history":
        return trim_history(parsed, keep_turns, budget_tokens, encoding)
    head = int(keep_prefix and bool(parsed) and parsed[0].get("role") in ("system", "developer"))
    rest = parsed[head:]
    if method == "lossless":
        # The prefix is read too, since later texts may repeat it, but stays as it was.
        made = lossless(_texts(parsed), encoding)[len(_texts(parsed[:head])) :]
        return [*parsed[:head], *_with_texts(rest, made)]
    return [*parsed[:head], *_ranked(rest, ratio, budget_tokens, encoding)]


def question_of(text: str) -> tuple[str, str, str]:
    r"""Split what a user sent into what stands before the question, the question, and what follows it.

    The question is the last line of prose that asks, of at most 60 words; a text no longer than that is one as a whole. Else there is none.

    >>> question_of("Context: Halvik is a port.\nQuestion: Where is it?\nAnswer:")
    ('Context: Halvik is a port.\n', 'Question: Where is it?', '\nAnswer:')
    """
    at = 0
    found = ("", text, "") if 0 < len(words(text)) <= _QUESTION else (text, "", "")
    for line in text.splitlines(keepends=True):
        asks = line.rstrip()
        if _ASKS.search(asks) and len(words(asks)) <= _QUESTION and sentences(asks)[0].prose:
            found = (text[:at], asks, text[at + len(asks) :])
        at += len(line)
    return found


def _ranked(messages: Sequence[Message], ratio: float, budget: int | None, encoding: str) -> list[Message]:
    """Cut every context: the results of tools, passages in system text, and what the last user turn holds beside its question."""
    users = [i for i, m in enumerate(messages) if m.get("role") == "user" and not _is_result(m)]
    if not users:
        return list(messages)
    asked = question_of(content_text(messages[users[-1]].get("content")))[1]
    texts, roles = _texts(messages), _roles(messages)
    parts: list[tuple[str, str, str]] = []
    for (i, role), text in zip(roles, texts, strict=True):
        if role in ("tool", "function", "system", "developer"):
            parts.append(("", text, ""))
        elif i == users[-1] and asked:
            parts.append(_around(text, asked))
        else:
            parts.append((text, "", ""))
    contexts = [context for _, context, _ in parts]
    counts = count_tokens(contexts, encoding).tolist()
    sizes = [n if asked and n >= _CONTEXT and _is_prose(c) else 0 for n, c in zip(counts, contexts, strict=True)]
    made = []
    for (before, context, after), size in zip(parts, sizes, strict=True):
        share = int(size / ratio) if budget is None else budget * size // max(sum(sizes), 1)
        made.append(before + (rank_to_budget(context, asked, share, encoding) if size else context) + after)
    return list(_with_texts(messages, made))


def _is_prose(context: str) -> bool:
    """Say whether at least half of a context is prose: code, JSON or a table says something else when lines are left out of it."""
    pieces = sentences(context)
    return 2 * sum(len(s.text) for s in pieces if s.prose) >= sum(len(s.text) for s in pieces)


def _around(text: str, asked: str) -> tuple[str, str, str]:
    """Return a user's text with the longer side of the question as its context, whatever the part it stands in."""
    at = text.rfind(asked)
    if at < 0:
        return "", text, ""
    before, after = text[:at], text[at:]
    if len(before) >= len(after) - len(asked):
        body = before.rstrip()
        return "", body, before[len(body) :] + after
    rest = after[len(asked) :]
    body = rest.lstrip()
    return before + asked + rest[: len(rest) - len(body)], body, ""


def _is_result(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(b, Mapping) and b.get("type") == "tool_result" for b in content)


def _texts(messages: Sequence[Message]) -> list[str]:
    """Return every text that messages hold, in order."""
    found: list[str] = []
    for message in messages:
        _mapped(message.get("content"), lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found


def _roles(messages: Sequence[Message]) -> list[tuple[int, str]]:
    """Return for every text the place and the role of its message; Anthropic's tool results are the tool's."""
    found: list[tuple[int, str]] = []
    for i, message in enumerate(messages):
        role = "tool" if _is_result(message) else str(message.get("role"))
        found += [(i, role)] * len(_texts([message]))
    return found


def _with_texts(messages: Sequence[Message], texts: Sequence[str]) -> list[Message]:
    """Return ``messages`` with their texts replaced in order."""
    left = iter(texts)
    return [{**m, "content": _mapped(m["content"], lambda _: next(left))} if "content" in m else m for m in messages]


def _mapped(content: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """Return ``content`` with every text in it changed, in the order in which ``content_text`` reads them."""
    if isinstance(content, str):
        return change(content)
    if depth >= DEPTH:
        return content
    if isinstance(content, Mapping):
        key = next((k for k in _TEXT_KEYS if content.get(k)), None)
        return content if key is None else {**content, key: _mapped(content[key], change, depth + 1)}
    if isinstance(content, Sequence):
        return [_mapped(part, change, depth + 1) for part in content]
    return content
