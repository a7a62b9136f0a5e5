"""Messages: one flattening for every shape, whatever a client sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from planner.text.messages import DEPTH, content_text, conversation

LEAF = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.binary(max_size=3))
KEY = st.sampled_from(["text", "content", "input_text", "output_text", "type", "other"])
CONTENT = st.recursive(LEAF, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(KEY, x, max_size=3)), max_leaves=12)


def slow(content: Any) -> str:
    """Flatten by recursion, as the shapes are nested."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return next((slow(content[k]) for k in ("text", "content", "input_text", "output_text") if content.get(k)), "")
    if isinstance(content, Sequence):
        return "\n".join(t for t in map(slow, content) if t)
    return ""


@given(CONTENT)
def test_content_is_flattened_as_by_recursion(content: Any) -> None:
    """For any nesting of parts the text is that of the plain recursive reading."""
    assert content_text(content) == slow(content)


@given(st.lists(st.sampled_from(["list", "text", "content"]), min_size=1, max_size=2_000))
def test_no_depth_raises(shape: list[str]) -> None:
    """However deep lists and parts are nested, no error is raised; text down to DEPTH is read, and deeper text is not."""
    content: Any = "deep"
    for kind in shape:
        content = [content] if kind == "list" else {kind: content}
    wanted = "deep" if len(shape) <= DEPTH else ""
    assert content_text(content) == wanted
    assert conversation([{"role": "user", "content": content}]).first == wanted


def test_a_list_within_itself_ends() -> None:
    """A list that holds itself is read to DEPTH and no further."""
    content: list[Any] = ["x"]
    content.append(content)
    assert content_text(content) == "\n".join(["x"] * DEPTH)


def test_deep_arguments_contribute_none() -> None:
    """The arguments of a call nested beyond what can be printed leave the name of the function alone."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    talk = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": deep}}]}]
    assert conversation(talk).full == "f"
