"""History: the older part of a conversation left out.

In: messages in OpenAI's or Anthropic's shape. Out: the same messages, fewer: instructions, the newest turns, and within a turn the
newest steps; a tool call and its results go together or stay together, since providers refuse one without the other. Knows nothing of
what the left-out turns said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from planner.errors import InputError
from planner.text.messages import flattened
from planner.text.tokens import count_tokens

__all__ = ["message_tokens", "trim_history"]

Message: TypeAlias = dict[str, Any]
#: Messages that stay or go together.
Step: TypeAlias = list[Message]


def trim_history(
    messages: Sequence[Message], keep_turns: int, budget_tokens: int | None = None, encoding: str = "o200k_base"
) -> list[Message]:
    """Return the instructions and the newest ``keep_turns`` turns, in their order; a turn begins with what the user says.

    With ``budget_tokens``, further steps go, the oldest first, until all text is within it; instructions, what the user said
    last and the last step always stay, so that the result may be above it. InputError for fewer than one turn.

    >>> chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
    ...         {"role": "user", "content": "2+2?"}]
    >>> [m["content"] for m in trim_history(chat, 1)]
    ['Be brief.', '2+2?']
    """
    if keep_turns < 1:
        raise InputError(f"keep_turns {keep_turns}", "1 or more")
    steps = _steps(messages)
    starts = [i for i, step in enumerate(steps) if _is_users(step[0])]
    first = starts[-keep_turns] if len(starts) > keep_turns else 0
    fixed = [_is_instruction(step[0]) or i == len(steps) - 1 or (bool(starts) and i == starts[-1]) for i, step in enumerate(steps)]
    keep = [stays or i >= first for i, stays in enumerate(fixed)]
    if budget_tokens is not None:
        sizes = [int(message_tokens(step, encoding)) for step in steps]
        over = sum(size for size, kept in zip(sizes, keep, strict=True) if kept) - budget_tokens
        for i, size in enumerate(sizes):
            if over > 0 and keep[i] and not fixed[i]:
                keep[i], over = False, over - size
    return list(chain.from_iterable(step for step, kept in zip(steps, keep, strict=True) if kept))


def message_tokens(messages: Sequence[Message], encoding: str = "o200k_base") -> int:
    """Return the tokens of all text that ``messages`` hold, tool calls included, images and the provider's own marks not.

    >>> message_tokens([{"role": "user", "content": "Hello world"}])
    2
    """
    return int(count_tokens(flattened(messages).lines, encoding).sum())


def _steps(messages: Sequence[Message]) -> list[Step]:
    """Gather messages that belong together: a tool call with the results that follow it."""
    steps: list[Step] = []
    for message in messages:
        if steps and _is_result(message):
            steps[-1].append(message)
        else:
            steps.append([message])
    return steps


def _is_instruction(message: Message) -> bool:
    return message.get("role") in ("system", "developer")


def _is_users(message: Message) -> bool:
    return message.get("role") == "user" and not _is_result(message)


def _is_result(message: Message) -> bool:
    """Say whether a message carries results of tools: OpenAI's role, or a block in Anthropic's content."""
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    return message.get("role") in ("tool", "function") or any(isinstance(b, Mapping) and b.get("type") == "tool_result" for b in blocks)
