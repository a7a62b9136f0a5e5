"""Who may share an answer: only requests that differ in nothing but the wording of the newest user turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.faq import messages
from support.small import traffic_of

from planner.errors import InputError, NeedsError
from planner.outcomes.questions import Questions, questions
from planner.text.embeddings import embedding
from planner.text.neighbours import nearest
from planner.traffic import Traffic
from planner.traffic.rows import Coded

NGRAMS = embedding("ngrams")
ASK, AGAIN = "How do I reset my password?", "how do I reset my password please"
PLAIN: dict[str, Any] = {
    "app": "faq", "user": "ada", "session_id": "s1", "model": "m", "messages": messages(ASK), "text_state": "full", "max_tokens": 100,
    "response_format": "text", "reasoning_effort": "low", "modalities": "text", "has_tools": False, "purpose": "user",
}  # fmt: skip


def log(folder: Path, *changes: dict[str, Any]) -> Traffic:
    """Write one plain request and one for each of ``changes`` to it."""
    rows = [PLAIN, *(PLAIN | change for change in changes)]
    return traffic_of(folder, {name: [row[name] for row in rows] for name in PLAIN})


def shares(found: Questions, i: int = 1) -> bool:
    """Say whether request ``i`` may get the answer to request 0 because it asks something similar."""
    near = found.neighbours(0.5)
    return 0 in near.near[near.start[i] : near.start[i + 1]] and found.asks[i] != found.asks[0]


def test_another_wording_shares_and_the_same_is_the_same_question(tmp_path: Path) -> None:
    """A paraphrase in the same scope is a near question, the very same text the same one, whatever the user and session."""
    found = questions(log(tmp_path, {"messages": messages(AGAIN), "user": "bob", "session_id": "s2"}, {"user": "eve"}), NGRAMS)
    assert shares(found)
    assert found.asks.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"app": "search"},
        {"model": "n"},
        {"max_tokens": 200},
        {"max_tokens": None},
        {"response_format": "json_object"},
        {"reasoning_effort": "high"},
        {"modalities": "text,image"},
        {"messages": messages(AGAIN, system="Be brief. The user is Ada.")},
        {"messages": messages(AGAIN, "Be brief.", ("user", "Hi"), ("assistant", "Hello"))},
    ],
)
def test_another_scope_never_shares(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another app, model, parameter, system text or history keeps questions apart, even the very same one."""
    found = questions(
        log(tmp_path, {"messages": messages(AGAIN), **change}, {"messages": change.get("messages", PLAIN["messages"])} | change), NGRAMS
    )
    assert not shares(found)
    assert found.asks[2] != found.asks[0]


@pytest.mark.parametrize(
    "change", [{"text_state": "cut"}, {"has_tools": True}, {"purpose": "overhead"}, {"messages": None}, {"messages": messages(" ")}]
)
def test_what_cannot_be_cached_asks_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    """A shortened text, tools, the gateway's own call, no text and an empty turn have no question."""
    assert questions(log(tmp_path, change), NGRAMS).asks.tolist() == [0, -1]


def test_images_are_part_of_the_scope(tmp_path: Path) -> None:
    """The same words under another picture are another question."""
    picture = '[{{"role": "user", "content": [{{"type": "text", "text": "{}"}}, {{"type": "image_url", "image_url": {{"url": "{}"}}}}]}}]'
    asked = [picture.format(text, url) for text, url in ((ASK, "a.png"), (ASK, "a.png"), (ASK, "b.png"), (AGAIN, "a.png"))]
    found = questions(log(tmp_path, *({"messages": m} for m in asked)), NGRAMS)
    assert found.asks.tolist() == [0, 1, 1, 2, 3]
    assert (found.group[1] == found.group[3], found.group[1] == found.group[2]) == (True, False)


def test_a_conversation_stays_with_its_session_and_users_may_be_kept_apart(tmp_path: Path) -> None:
    """After an answer only the same session shares, though every word is the same; ``across_users`` off parts users from the start."""
    begun = [messages(text, "Be brief.", ("user", "Hi"), ("assistant", "Hello")) for text in (ASK, AGAIN)]
    ada = {"messages": begun[1]}
    traffic = log(tmp_path, {"messages": begun[0]}, ada, ada | {"session_id": "s2"}, {"messages": messages(AGAIN), "user": "bob"})
    found = questions(traffic, NGRAMS)
    assert (found.group[1] == found.group[2], found.group[1] == found.group[3], found.group[0] == found.group[4]) == (True, False, True)
    alone = questions(traffic, NGRAMS, across_users=False)
    assert (alone.group[1] == alone.group[2], alone.group[0] == alone.group[4]) == (True, False)


def test_the_guard_keeps_other_orders_apart(tmp_path: Path) -> None:
    """A question about order 123 never shares with one about 124, however alike the vectors; without the guard it would."""
    traffic = log(tmp_path, {"messages": messages("Where is my order 123?")}, {"messages": messages("Where is my order 124?")})
    assert not {1, 2} & set(questions(traffic, NGRAMS).neighbours(0.5).near.tolist())
    loose = questions(traffic, NGRAMS, guarded=False).neighbours(0.5)
    assert loose.near[loose.start[2] : loose.start[3]].tolist()[0] == 1


def test_a_plan_that_changes_the_model_changes_the_scope(tmp_path: Path) -> None:
    """Requests share by the model they are sent to, not by the one that was logged."""
    traffic = log(tmp_path, {"messages": messages(AGAIN), "model": "n"})
    assert not shares(questions(traffic, NGRAMS))
    assert shares(questions(traffic, NGRAMS, model=Coded(np.zeros(2, np.int32), ("m",))))


def test_order_is_that_of_arrival_then_id(tmp_path: Path) -> None:
    """A log in any order gives the same questions: by time, and at the same time by request id."""
    ids, texts = ["c", "a", "b"], [messages(t) for t in ("one thing", "other thing", "third matter")]
    times = ["2026-11-01T00:00:01Z", "2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z"]
    columns = {"request_id": ids, "timestamp": pd.to_datetime(times), "model": "m", "messages": texts, "text_state": "full"}
    found = questions(traffic_of(tmp_path, columns), NGRAMS)
    assert (found.row.tolist(), found.asks.tolist()) == ([1, 2, 0], [0, 1, 2])
    assert found.at(np.array([0, 1, 2])).tolist() == [2, 0, 1]


def test_it_is_derived_once_and_equals_what_is_made_anew(tmp_path: Path) -> None:
    """What is kept beside the log gives the same lists as the first time."""
    traffic = log(tmp_path, {"messages": messages(AGAIN)})
    first, again = questions(traffic, NGRAMS), questions(Traffic.open(tmp_path), NGRAMS)
    assert np.array_equal(first.vectors, again.vectors)
    assert np.array_equal(first.neighbours(0.5).near, nearest(again.vectors, again.asks, again.group, 0.5).near)


def test_a_log_without_text_or_app_is_refused(tmp_path: Path) -> None:
    """Without messages it says what is missing, for an unknown app what is there."""
    with pytest.raises(NeedsError, match="needs messages"):
        questions(traffic_of(tmp_path / "bare", {"model": ["m"]}), NGRAMS)
    with pytest.raises(InputError, match="Did you mean 'faq'"):
        questions(log(tmp_path / "log"), NGRAMS, apps=["fq"])
