"""The compression lever: exact counts, the prefix, the apps, the variant, and what it may not claim."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.small import traffic_of

from planner.errors import InputError
from planner.policies import Block, Compress, Intents, Plan
from planner.text.history import message_tokens
from planner.traffic.rows import load_rows

PASSAGE = (
    "Halvik is a port on the southern shore of the fjord. It was founded in 1412 by merchants of the Grain League. For two centuries "
    "the town lived on herring and timber. The railway reached the quay in 1871 and brought it back to life. Today the terminal "
    "handles 40 per cent of the imports. The old customs house serves as a museum of ships and nets."
)
CHATS = [
    [{"role": "system", "content": "Be   brief."}, {"role": "user", "content": f"{PASSAGE}\n\nWhen was the port founded?"}],
    [{"role": "user", "content": "Hi"}],
    [{"role": "user", "content": f"{PASSAGE}\n\nWho founded the port?"}],
    [{"role": "user", "content": f"{PASSAGE}\n\nWhat is the customs house?"}],
]


@pytest.fixture
def block(tmp_path) -> Block:
    """Four requests of two apps; the logger cut the third, and the last was logged with fewer tokens than its text has."""
    columns = {
        "app": ["docs", "docs", "docs", "chat"],
        "model": "gpt-5.4",
        "messages": [json.dumps(c) for c in CHATS],
        "text_state": ["full", "full", "cut", "full"],
        "input_tokens": [60, 1, 200, 9],
        "cache_read_tokens": [64, 0, 0, 0],
    }
    traffic = traffic_of(tmp_path / "log", columns)
    rows = load_rows(traffic)
    prompts = [m if full else None for m, full in zip(columns["messages"], rows.full_text, strict=True)]
    return Block(rows, "2026-11-01", lambda unit: iter(()), lambda: iter((prompts[:3], prompts[3:])), traffic.derived)


def test_removed_tokens_are_those_of_the_texts(block):
    """What is removed is the tokens before less those after, nothing where the text was cut, and no more than was logged."""
    lever = Compress("rank")
    found = lever.apply(block, Intents.as_logged(4))
    exact = [message_tokens(c) - message_tokens(lever.changed(c)) for c in CHATS]
    assert exact[0] > 40
    assert found.removed.tolist() == [exact[0], 0, 0, 9]
    assert [found.variants[v] if v >= 0 else "" for v in found.variant] == ["compress-rank-2", "", "", "compress-rank-2"]


def test_counts_are_made_once_and_read_again(block, tmp_path):
    """The second time counts come from the log's folder: a block without prompts gives the same, for another choice of apps too."""
    first = Compress("rank").apply(block, Intents.as_logged(4))
    stored = Block(block.rows, block.at, lambda unit: iter(()), lambda: pytest.fail("read again"), block._stored)
    assert Compress("rank").apply(stored, Intents.as_logged(4)).removed.tolist() == first.removed.tolist()
    assert Compress("rank", apps=("chat",)).apply(stored, Intents.as_logged(4)).removed.tolist() == [0, 0, 0, 9]


def test_the_split_of_the_work_changes_nothing(block):
    """Requests counted one by one, or together, lose the same tokens."""
    lever = Compress("lossless", keep_prefix=False)
    together = lever.removed(CHATS)
    assert together.tolist() == [int(lever.removed([c])[0]) for c in CHATS]
    assert (together >= 0).all()


def test_labelled_requests_are_of_the_variant(block):
    """Without prompts nothing is counted, and the quality of the apps' requests is that of the variant."""
    bare = Block(block.rows, block.at, lambda unit: iter(()))
    found = Compress("rank", apps=("docs",)).apply(bare, Intents.as_logged(4))
    assert found.variant.tolist() == [0, 0, 0, -1]
    assert not found.removed.any()


def test_two_apps_may_be_compressed_differently(block):
    """Levers of different apps add up in one plan; two of one app contradict each other."""
    levers = (Compress("rank", apps=("docs",)), Compress("rank", ratio=4.0, apps=("chat",)))
    intents = Intents.as_logged(4)
    for lever in Plan(levers).row_levers:
        intents = lever.apply(block, intents)
    assert intents.variants == ("compress-rank-2", "compress-rank-4")
    assert np.flatnonzero(intents.removed).tolist() == [0, 3]
    with pytest.raises(InputError, match="two levers"):
        Plan((Compress("rank"), Compress("lossless")))


def test_a_neutral_setting_is_the_identity(block):
    """A ratio of one, and a history longer than any, leave every request as logged."""
    for lever in (Compress("rank", ratio=1.0), Compress("history", keep_turns=99)):
        found = lever.apply(block, Intents.as_logged(4))
        assert not found.removed.any()
        assert (found.variant == -1).all()


def test_unmeasured_quality_is_said():
    """Only labels of exactly this variant measure it; other settings are other variants."""
    assert Compress("rank").assumes_quality({"", "compress-rank-4"})
    assert not Compress("rank", apps=("docs",)).assumes_quality({"compress-rank-2"})
    kinds = [
        Compress("rank", budget_tokens=500),
        Compress("history"),
        Compress("history", budget_tokens=500),
        Compress("lossless", keep_prefix=False),
    ]
    assert len({lever.variant for lever in kinds}) == len(kinds)


def test_payload_round_trip():
    """A lever rebuilt from its payload is the same lever; a wrong field is named."""
    lever = Compress("history", keep_turns=3, budget_tokens=900, apps=("chat",))
    values = {k: v for k, v in lever.payload().items() if k != "kind"}
    assert Compress(**values) == lever
    with pytest.raises(InputError, match="compress ratio is 0"):
        Compress("rank", ratio=0)
    with pytest.raises(InputError, match="compress keep_turns is 0"):
        Compress("history", keep_turns=0)
