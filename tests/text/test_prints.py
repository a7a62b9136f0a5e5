"""Prints: equal keys exactly where text is equal from the first character on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.text.prints import BYTES_PER_TOKEN, joint_keys, prefix_keys, text_keys

BLOCK = 2
_TEXTS = st.lists(st.none() | st.text(alphabet="ab€\ud800", max_size=40), max_size=12)


@given(_TEXTS)
def test_block_keys_are_equal_exactly_for_equal_beginnings(texts: list[str | None]) -> None:
    """Two prompts share their k-th key if and only if their first k blocks of bytes are the same."""
    found = prefix_keys(texts, BLOCK)
    size = BLOCK * BYTES_PER_TOKEN
    raw = [(t or "").encode("utf-8", "surrogatepass") for t in texts]
    beginnings = [r[: k * size] for r in raw for k in range(1, len(r) // size + 1)]
    assert len(found.keys) == len(beginnings) == found.start[-1]
    assert found.size.tolist() == [len(r) for r in raw]
    for key, text in zip(found.keys, beginnings, strict=True):
        assert [bool(key == k) for k in found.keys] == [text == b for b in beginnings]


@given(_TEXTS)
def test_text_keys_are_equal_exactly_for_equal_texts(texts: list[str | None]) -> None:
    """Equal texts have equal keys, others do not, and no text is 0."""
    keys = text_keys(texts)
    assert [k == 0 for k in keys.tolist()] == [t is None for t in texts]
    assert len(set(keys.tolist())) == len(set(texts))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2), st.integers(0, 2)), max_size=30))
def test_joint_keys_tell_every_parameter_apart(rows: list[tuple[int, int, int]]) -> None:
    """Rows share a joint key exactly when text and all parameters are the same; without text the key stays 0."""
    columns = np.array(rows, np.int64).reshape(-1, 3)
    keys = joint_keys(columns[:, 0].astype(np.uint64), columns[:, 1], columns[:, 2]).tolist()
    assert [k == 0 for k in keys] == [r[0] == 0 for r in rows]
    assert len({k for k in keys if k}) == len({r for r in rows if r[0]})


def test_a_share_is_the_part_of_the_bytes() -> None:
    """Blocks cover their part of the prompt, never more than all of it."""
    found = prefix_keys(["x" * 20, "y" * 3], BLOCK)
    assert found.share(np.array([2, 1])).tolist() == [0.8, 1.0]
