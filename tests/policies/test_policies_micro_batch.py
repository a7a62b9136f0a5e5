"""The micro-batch lever: who shares a call, when it is sent, and exactly which tokens go unsent, all worked out on paper."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import traffic_of

from planner.policies import Block, Intents, MicroBatch
from planner.policies.micro_batch import leading, saved_tokens
from planner.text.tokens import count_tokens
from planner.traffic.rows import load_rows

SORT = "Sort the ticket into one of: parcel, invoice, account, other. Answer with the word alone."
POLITE = "Be polite."
TOKENS = int(count_tokens([SORT])[0])
#: Arrival [s], app and model; 1–4 are alike, then another model, another app.
WHO = [(0.0, "tags", "a"), (0.2, "tags", "a"), (0.4, "tags", "a"), (2.0, "tags", "a"), (0.1, "tags", "b"), (0.1, "chat", "a")]


def ask(question: str, *system: str) -> str:
    """Return a prompt as Traffic stores it."""
    return json.dumps([*({"role": "system", "content": s} for s in system), {"role": "user", "content": question}])


def block_of(folder: Path, **columns: Any) -> Block:
    """Return the six requests, each with the same instructions and a question of its own."""
    start = pd.Timestamp("2026-11-01", tz="UTC")
    traffic = traffic_of(
        folder,
        {
            "timestamp": [start + pd.Timedelta(s, "s") for s, *_ in WHO],
            "app": [app for _, app, _ in WHO],
            "model": [model for *_, model in WHO],
            "messages": [ask(f"Ticket {i}", SORT) for i in range(6)],
            "text_state": "full",
            "input_tokens": 200,
            **columns,
        },
    )
    rows, text = load_rows(traffic), traffic.frame("messages", "text_state")
    whole = [m if state == "full" else None for m, state in zip(text["messages"], text["text_state"], strict=True)]
    return Block(rows, "2026-11-01", lambda unit: iter(()), lambda: iter((whole[:4], whole[4:])), traffic.derived)


@pytest.fixture
def block(tmp_path: Path) -> Block:
    """The six requests as they are."""
    return block_of(tmp_path / "log")


@pytest.mark.parametrize(
    ("size", "wait_ms", "waits", "removed"),
    [
        (2, 500, [200, 0, 500, 500, 500, 0], [0, 1, 0, 0, 0, 0]),  # 1 and 2 fill a call at 0.2 s; nobody joins 3
        (3, 500, [400, 200, 0, 500, 500, 0], [0, 1, 1, 0, 0, 0]),  # 3 fills it at 0.4 s
        (9, 300, [300, 100, 300, 300, 300, 0], [0, 1, 0, 0, 0, 0]),  # the first has waited 0.3 s before 3 comes
        (9, 2000, [2000, 1800, 1600, 2000, 2000, 0], [0, 1, 1, 0, 0, 0]),  # 4 comes as the call leaves
    ],
)
def test_schedule_and_tokens_by_hand(block: Block, size: int, wait_ms: float, waits: list[float], removed: list[int]) -> None:
    """Waits are those of the calls, all but a call's first leave out the instructions, and only who shares a call is of the variant."""
    lever = MicroBatch(("tags",), size, wait_ms)
    found = lever.apply(block, Intents.as_logged(6))
    assert found.submit_ms.tolist() == waits
    assert found.removed.tolist() == [TOKENS * r for r in removed]
    shared = np.array(removed) > 0
    shared[0] = True  # it sends what the others leave out
    assert [found.variants[v] if v >= 0 else "" for v in found.variant] == [f"micro-batch-{size}" if s else "" for s in shared]
    assert found.stream.tolist() == np.where(shared, 0, -1).tolist()


def test_calls_gather_per_intended_model(block: Block) -> None:
    """A request that a route sends to the others' model joins their call, in the order of arrival."""
    routed = replace(Intents.as_logged(6), model=np.array([-1, -1, -1, -1, 0, 0], np.int32), models=("a",))
    found = MicroBatch(("tags",), 2, 500).apply(block, routed)
    assert found.submit_ms.tolist() == [100, 200, 0, 500, 0, 0]
    assert np.flatnonzero(found.removed).tolist() == [2, 4]


def test_only_what_all_of_a_call_have_in_common_is_left_out(tmp_path: Path) -> None:
    """Of two system texts the first is common, a last message never is, and a prompt that the log cut has nothing in common with any."""
    messages = [ask("1", SORT, POLITE), ask("2", SORT, "Be brief."), ask("3", POLITE), "Hello", "Hello", ask("6", SORT)]
    lever, none = MicroBatch(("tags",), 2, 500), Intents.as_logged(6)
    assert lever.apply(block_of(tmp_path / "a", messages=messages), none).removed.tolist() == [0, TOKENS, 0, 0, 0, 0]
    same = block_of(tmp_path / "b", messages=["Hello"] * 6)
    assert lever.apply(same, none).removed.tolist() == [0] * 6
    cut = block_of(tmp_path / "c", text_state=["full", "cut", *["full"] * 4])
    assert lever.apply(cut, none).removed.tolist() == [0] * 6


def test_what_a_prompt_cache_had_read_is_no_saving(tmp_path: Path) -> None:
    """Instructions that were read from a cache are left out of no bill twice, and no more is left out than was billed beside them."""
    lever = MicroBatch(("tags",), 3, 500)
    read = block_of(tmp_path / "a", cache_read_tokens=[0, TOKENS - 5, TOKENS + 5, 0, 0, 0])
    assert lever.apply(read, Intents.as_logged(6)).removed.tolist() == [0, 5, 0, 0, 0, 0]
    short = block_of(tmp_path / "b", input_tokens=[200, 3, 200, 200, 200, 200])
    assert lever.apply(short, Intents.as_logged(6)).removed.tolist() == [0, 3, TOKENS, 0, 0, 0]


def test_counts_are_made_once_and_read_again(block: Block) -> None:
    """Another size, and other apps, find the counts in the log's folder: no prompt is read again."""
    MicroBatch(("tags",), 2, 500).apply(block, Intents.as_logged(6))

    def refuse() -> Any:
        raise AssertionError("prompts were read a second time")

    again = Block(block.rows, block.at, lambda unit: iter(()), refuse, block._stored)
    assert MicroBatch(("tags", "chat"), 3, 500).apply(again, Intents.as_logged(6)).removed.tolist() == [0, TOKENS, TOKENS, 0, 0, 0]


def test_only_the_first_of_a_call_sends_what_is_common() -> None:
    """Three calls of 3, 1 and 2 requests with 50 tokens in common each save 2, 0 and 1 times 50."""
    keys, tokens = [[5, 0]] * 6, [[50, 50]] * 6
    assert saved_tokens([0, 0, 1, 0, 2, 2], keys, tokens).tolist() == [0, 50, 0, 50, 0, 50]
    assert saved_tokens(np.zeros(0), np.zeros((0, 8)), np.zeros((0, 8))).tolist() == []


def test_roles_and_long_histories_count() -> None:
    """The same text in another role is another message; of a long history the first eight messages are looked at."""
    chat = [{"role": "user", "content": f"line {i}"} for i in range(12)]
    other = [{"role": "assistant", "content": "line 0"}, *chat[1:]]
    found = leading([chat, other, chat[:3]])
    assert found["tokens"][0].tolist() == np.cumsum(count_tokens([f"line {i}" for i in range(8)])).tolist()
    assert not (found["keys"][0] == found["keys"][1]).any()
    assert found["keys"][2].tolist() == [*found["keys"][0][:2].tolist(), *[0] * 6]
