"""A reading without text, the default: prompts and answers stay in the log, money and times are the same, repeats are still known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.litellm_records import PAYLOAD

import planner
from planner.errors import InputError, NeedsError, with_text
from planner.policies import Compress, ExactCache, Plan, SemanticCache
from planner.schema import MADE_KEY, PARAMETERS, TRAFFIC
from planner.traffic import Traffic, coverage, read
from planner.traffic.prints import prints_of
from planner.traffic.privacy import Door, _in_words
from planner.traffic.reopened import earlier_reading, private_reading
from planner.traffic.sampling import sampled
from planner.traffic.sessions import rebuilt

_SAID = "Where is parcel 77?"


def _records() -> list[dict[str, Any]]:
    """Return requests of which some are the same, some differ in a parameter alone, and one has the gateway's own key."""
    changes: list[dict[str, Any]] = [
        *({}, {}),
        *({"model_parameters": {"max_tokens": 7}}, {"request_tags": ["app:other"]}, {"model": "gpt-5", "model_group": "g"}),
        *(
            {"messages": [{"role": "user", "content": f"{_SAID}!"}]},
            {"cache_key": "key of the gateway"},
            {"cache_key": "key of the gateway"},
        ),
        {},
    ]
    said = {"messages": [{"role": "user", "content": _SAID}], "request_tags": ["app:chat"], "cache_key": "Cache OFF"}
    answer = {"choices": [{"message": {"content": f"It is here: {_SAID}"}, "finish_reason": "stop"}]}
    rows = [{**PAYLOAD, **said, "response": answer, **c, "id": f"r{i}", "litellm_call_id": f"c{i}"} for i, c in enumerate(changes)]
    return [{**r, "startTime": PAYLOAD["startTime"] + i, "endTime": PAYLOAD["endTime"] + i} for i, r in enumerate(rows)]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a log, two lines of which are set aside."""
    monkeypatch.chdir(tmp_path)
    bad = {**_records()[0], "id": "bad", "prompt_tokens": f"many: {_SAID}"}
    lines = [*map(json.dumps, _records()), json.dumps(bad), '{"messages": "' + _SAID]
    (tmp_path / "log.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path / "log.jsonl"


def _stored(traffic: Traffic) -> str:
    return traffic.frame(*TRAFFIC.names).to_csv() + traffic.quarantine.to_csv() + (traffic.folder / "traffic.json").read_text("utf-8")


def test_no_word_of_it_is_in_the_folder(log: Path) -> None:
    """Neither rows nor rows that were set aside nor the header hold a prompt or an answer; place and reason stay."""
    whole, bare = read(log, text=True), read(log, text=False)
    assert _SAID in _stored(whole)
    assert "parcel" not in _stored(bare)
    assert set(bare.frame("text_state")["text_state"]) == {"none"}
    assert bare.quarantine[["line", "raw"]].values.tolist() == [[10, ""], [11, ""]]
    assert bare.quarantine["reason"][0] == "prompt_tokens is '…', not a number"


def test_all_else_is_as_it_was(log: Path) -> None:
    """Tokens, money, times, apps and every other column are those of a whole reading; so is what it costs."""
    whole, bare = read(log, text=True), read(log, text=False)
    same = [n for n in TRAFFIC.names if n not in ("messages", "response", "text_state", "cache_key")]
    assert whole.frame(*same).equals(bare.frame(*same))
    assert planner.audit(whole).total == planner.audit(bare).total
    assert planner.audit(whole).losses.equals(planner.audit(bare).losses)


def test_the_key_is_equal_where_the_cache_takes_requests_for_equal(log: Path) -> None:
    """Without text, exact caching groups requests as with it: by messages and all that shapes the answer; logged keys are kept apart."""
    whole, bare = read(log, text=True), read(log, text=False)
    with_text, without = (np.unique(prints_of(t).request[:6], return_inverse=True)[1].tolist() for t in (whole, bare))
    relabelled = dict(zip(without, with_text, strict=True))
    assert [relabelled[k] for k in without] == with_text
    assert len(set(with_text)) == 5
    key = bare.frame("cache_key")["cache_key"]
    assert key[0] == key[1] == key[8]
    assert key[6] == key[7] != key[0]
    assert len(PARAMETERS) == 7


def test_the_key_is_salted(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same log under another salt has other keys, so that nobody can try prompts; under the same salt they are the same."""
    first, again = (read(log, text=False, out=tmp_path / name).frame("cache_key")["cache_key"] for name in "ab")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    other = read(log, text=False).frame("cache_key")["cache_key"]
    assert first.equals(again)
    assert set(first).isdisjoint(other)
    assert "key of the gateway" not in set(first)


def test_a_prompt_that_was_cut_or_is_absent_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log has not the whole prompt, nothing says whether it was asked before."""
    monkeypatch.chdir(tmp_path)
    said = json.dumps([{"role": "user", "content": _SAID}])
    rows = [{"messages": said, "text_state": state} for state in ("full", "cut")] + [{}]
    whole = [{"request_id": f"r{i}", "timestamp": "2026-11-03T09:00:00Z", "model": "m", **row} for i, row in enumerate(rows)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in whole), "utf-8")
    assert read("log.jsonl", text=False).arrow("cache_key")["cache_key"].is_valid().to_pylist() == [True, False, False]


def test_exact_caching_answers_the_same(log: Path) -> None:
    """A plan with an exact cache saves as much in a log without its text as in the whole one, and more than nothing."""
    log.write_text("".join(json.dumps({**r, "cache_key": "Cache OFF"}) + "\n" for r in _records()), "utf-8")
    cache = Plan((ExactCache(ttl_s=3_600, apps=("chat",)),))
    logs = [read(log, text=True), read(log, text=False)]
    cost = [[planner.simulate(t, plan).cost().value for t in logs] for plan in (Plan(), cache)]
    assert cost[1][0] == cost[1][1]
    assert cost[1][0] < cost[0][0]


def test_coverage_says_how_to_have_the_rest(log: Path) -> None:
    """What needs text is closed, and the way to open it is to read again; a lever that needs text says so, too."""
    bare = read(log, text=False)
    levers = coverage(bare).levers.set_index("lever")
    assert levers.loc["routing", "share_rows"] == 0
    assert levers.loc["routing", "setting"] == with_text("log.jsonl")
    assert levers.loc["exact cache", "share_rows"] == 1
    with pytest.raises(NeedsError, match=r"Read the log log\.jsonl with its text"):
        bare.require("routing", "messages")


def test_text_and_names_may_both_stay_outside(log: Path) -> None:
    """Without text and redacted, users are hashes too, and keys still tell what was asked again."""
    both = read(log, text=False, redact=True)
    assert not set(both.frame("user")["user"].dropna()) & set(read(log, text=True).frame("user")["user"].dropna())
    assert both.frame("cache_key")["cache_key"].nunique() == read(log, text=False).frame("cache_key")["cache_key"].nunique()


@pytest.mark.parametrize(
    "asked",
    [
        {"redact": True},
        {"mapping": {"app": "=x"}},
        {"app_from": "team"},
        {"format": "otel"},
        {"out": "shared"},
    ],
)
def test_what_a_folder_is_not_cannot_be_asked_of_it(log: Path, asked: dict[str, Any]) -> None:
    """A folder that was read before is opened as it is: an option that would have no effect is an error, and nothing is written."""
    folder = read(log, text=True).folder
    with pytest.raises(InputError, match=f"{next(iter(asked))}.* for .*, which was read before and stays as it is"):
        read(folder, **asked)
    assert not Path("shared").exists()


def test_text_cannot_be_asked_of_a_folder_without(log: Path) -> None:
    """A reading that left its text in the log has none to give: who asks is told to read the log."""
    with pytest.raises(InputError, match=r"text=True for .*, which was read before"):
        read(read(log).folder, text=True)


def test_what_a_folder_is_already_may_be_asked_of_it(log: Path) -> None:
    """The same options as those that it was read with are no error, and neither is its own place."""
    asked: dict[str, Any] = {"redact": True, "text": True, "app_from": "key", "mapping": {"provider": "=openai"}}
    folder = read(log, **asked).folder
    assert read(folder, "litellm_payload", out=folder, **asked).folder == folder
    assert read(folder).folder == folder


def test_nothing_is_copied_unless_it_is_asked_for(log: Path) -> None:
    """By default no text is copied, and the folder knows how many requests had some; what reads prompts says how to have them."""
    bare, whole = read(log), read(log, text=True)
    assert "parcel" not in _stored(bare)
    assert (bare.text_left, whole.text_left) == (9, 0)
    whole.require_text("a router")
    with pytest.raises(NeedsError, match=r"a router reads prompts, which stayed in the log.*planner read LOG --text"):
        bare.require_text("a router")


def test_a_log_that_has_no_text_is_not_said_to_have_left_any(log: Path) -> None:
    """Where the log itself has neither prompts nor answers, reading it again would not help, and nothing says that it would."""
    log.write_text("".join(json.dumps({**r, "messages": None, "response": None}) + "\n" for r in _records()), "utf-8")
    bare = read(log)
    assert bare.text_left == 0
    bare.require_text("a router")
    assert not coverage(bare).levers["setting"].str.contains("--text").any()


def test_what_a_router_reads_is_asked_for(log: Path) -> None:
    """A plan that needs prompts, and labels drawn from a log, are refused on a reading that left them, with the way to have them."""
    bare = read(log)
    with pytest.raises(NeedsError, match=r"planner read LOG --text"):
        planner.simulate(bare, Plan((Compress("rank"),)))
    with pytest.raises(NeedsError, match="what is to be labelled reads prompts"):
        planner.sample_labels(bare, ["gpt-5-mini"], 5.0)


def test_advice_on_a_log_that_left_its_text_says_so(log: Path) -> None:
    """Recommendations do not call a request whole whose prompt stayed in the log, nor the log one without text."""
    notes = " ".join(planner.recommend(read(log)).notes)
    assert f"Prompts stayed in the log, so that no prompt cache and no router can be judged: {with_text('log.jsonl')}." in notes
    assert "neither text nor prefix blocks" not in notes


def test_conversations_and_shares_of_text_need_it(log: Path) -> None:
    """What finds conversations by their words, and what keeps some words, refuse a reading without any."""
    bare = read(log)
    with pytest.raises(NeedsError, match="finding conversations reads prompts"):
        rebuilt(bare)
    with pytest.raises(NeedsError, match="keeping the text of a share reads prompts"):
        sampled(bare, 0.5, text_only=True)
    assert len(sampled(bare, 1.0)) == len(bare)


def test_a_join_with_a_reading_that_left_its_text_has_left_it(log: Path, tmp_path: Path) -> None:
    """The joined log has left as much as the one that left more has, but for what the other one brought."""
    plain = [{**r, "messages": None, "response": None, "cache_key": "Cache OFF"} for r in _records()]
    (tmp_path / "books.jsonl").write_text("".join(json.dumps(r) + "\n" for r in plain), "utf-8")
    books = read("books.jsonl", text=True)
    left = planner.join(books, read(log), tmp_path / "left")
    assert (left.has_text, left.text_left) == (False, 9)
    with pytest.raises(NeedsError, match=r"planner join A B --text"):
        left.require_text("a router")
    whole = planner.join(books, read(log, text=True), tmp_path / "whole")
    assert (whole.has_text, whole.text_left, whole.with_text) == (True, 0, "")


def test_a_key_is_one_of_the_prompt_or_of_the_gateway(log: Path) -> None:
    """A key that was made of a prompt says so, and is none of the gateway's: only those are misses of its cache."""
    keys = read(log).frame("cache_key")["cache_key"]
    assert keys.str.startswith(MADE_KEY).tolist() == [True] * 6 + [False] * 2 + [True]


@pytest.mark.parametrize(
    ("row", "same"),
    [
        ({"max_tokens": 5.0}, True),
        ({"has_tools": 0}, True),
        ({"response_format": "text", "has_tools": None}, True),
        ({"max_tokens": 6}, False),
        ({"messages": b'["q"]'}, True),
    ],
)
def test_equal_values_make_equal_keys(row: dict[str, Any], same: bool) -> None:
    """A key hangs on what a value means, not on how it is written, nor on which one came first."""
    plain = {"messages": '["q"]', "text_state": "full", "model": "m", "app": "a", "max_tokens": 5, "has_tools": False}
    door = Door(text=False, salt=b"salt")
    for first, second in ((plain, {**plain, **row}), ({**plain, **row}, plain)):
        _in_words.cache_clear()
        rows = [dict(first), dict(second)]
        assert all(door.leave(r) for r in rows)
        assert (rows[0]["cache_key"] == rows[1]["cache_key"]) == same
        assert all(r["messages"] is r["response"] is None for r in rows)


def test_what_breaks_a_law_is_left_to_be_refused() -> None:
    """A text, key or state of another type stays in the row, where the laws of the table find it."""
    for wrong in ({"messages": 7}, {"response": ["x"]}, {"cache_key": 7}, {"text_state": "half"}):
        row = {"messages": "[]", "text_state": "full", **wrong}
        Door(text=False, salt=b"salt").leave(row)
        assert row == {"messages": "[]", "text_state": "full", **wrong}


def test_a_cache_of_similar_questions_serves_nothing_where_no_prompt_is_whole(log: Path) -> None:
    """Of prompts that the log cut, none is compared with another: the plan costs what today does."""
    cut = [{"role": "user", "content": "Where is (litellm_truncated 900 chars) parcel?"}]
    log.write_text("".join(json.dumps({**r, "messages": cut}) + "\n" for r in _records()), "utf-8")
    whole = read(log, text=True)
    plan = Plan((SemanticCache(threshold=0.95, ttl_s=3_600),))
    assert planner.simulate(whole, plan).cost().value == planner.simulate(whole, Plan()).cost().value


def test_a_redacted_reading_is_found_by_its_log(log: Path, tmp_path: Path) -> None:
    """A reading that left names in the log is known by the log's place, wherever it was written; others are none."""
    assert private_reading(log) is None
    read(log, out=tmp_path / "whole", text=True)
    read(log, out=tmp_path / "bare")
    assert private_reading(log) is None
    read(log, out=tmp_path / "hidden", redact=True)
    assert private_reading(log) == private_reading([tmp_path / "log.jsonl"]) == ((tmp_path / "hidden").resolve(), True)
    assert private_reading("nothing-*.jsonl") is None
    assert private_reading(log, text=True) is None
    read(log, out=tmp_path / "marked", redact=True, text=True)
    assert private_reading(log, text=True) == ((tmp_path / "marked").resolve(), True)


def test_an_earlier_reading_is_found_by_its_log(log: Path) -> None:
    """The reading in .planner/traffic of the files as they are now is found, one with text first; others are none."""
    assert earlier_reading(log) is earlier_reading("nothing-*.jsonl") is None
    read(log, app_from="team")
    assert earlier_reading(log) is None
    bare = read(log)
    assert earlier_reading(log) == bare.folder
    whole = read(log, text=True)
    assert earlier_reading(log) == whole.folder
    assert earlier_reading(log, text=False) == bare.folder
    shutil.rmtree(whole.folder)
    assert earlier_reading(log) == bare.folder
    log.write_text(log.read_text("utf-8") + "\n", "utf-8")
    assert earlier_reading(log) is None
