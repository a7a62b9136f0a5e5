"""Two views of one run, a gateway's and a tracer's, give one truth back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small import prompt, traffic_of

from planner.errors import InputError, NeedsError
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.join import join, sources
from planner.traffic.join_fields import ASKED_FIRST
from planner.traffic.join_match import Match, Side, match

N, ONLY_GATEWAY, ONLY_TRACER, FAILED = 400, 20, 10, 15


@dataclass(frozen=True)
class Planted:
    """What happened, and the two logs of it."""

    truth: pd.DataFrame
    gateway: Traffic
    tracer: Traffic
    joined: Traffic


def _truth() -> pd.DataFrame:
    """N calls about three minutes apart, of which the gateway lost some, the tracer others, and some failed."""
    rng = np.random.default_rng(3)
    place = rng.permutation(N)
    made = pd.DataFrame(
        {
            "at": pd.Timestamp("2026-11-03", tz="UTC") + pd.to_timedelta(np.cumsum(rng.integers(90_000, 240_000, N)), unit="ms"),
            "input": rng.integers(20, 4_000, N),
            "cached": rng.integers(0, 20, N),
            "output": rng.integers(1, 600, N),
            "spend": rng.random(N).round(6),
            "score": rng.random(N).round(3),
            "gateway": ~np.isin(place, range(ONLY_TRACER)),
            "tracer": ~np.isin(place, range(ONLY_TRACER, ONLY_TRACER + ONLY_GATEWAY)),
            "failed": np.isin(place, range(100, 100 + FAILED)),
            "shared_id": rng.random(N) < 0.5,
        }
    )
    made.loc[made["failed"], ["input", "cached", "output", "spend"]] = 0
    return made


def _spend(i: int, call: Any) -> dict[str, Any]:
    end = call.at + pd.Timedelta(900, unit="ms")
    return {
        "request_id": f"chatcmpl-{i}",
        "call_type": "acompletion",
        "spend": float(call.spend),
        "prompt_tokens": int(call.input + call.cached),
        "completion_tokens": int(call.output),
        "total_tokens": int(call.input + call.cached + call.output),
        "startTime": call.at.isoformat(),
        "endTime": end.isoformat(),
        "completionStartTime": end.isoformat(),
        "model": "gpt-5-mini-2025-08-07",
        "model_group": "chat",
        "custom_llm_provider": "openai",
        "cache_hit": "False",
        "cache_key": "Cache OFF",
        "request_tags": ["app:search"],
        "status": "failure" if call.failed else "success",
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "metadata": {
            "usage_object": {"prompt_tokens_details": {"cached_tokens": int(call.cached)}},
            **({"error_information": {"error_class": "RateLimitError", "error_code": "429"}} if call.failed else {}),
        },
    }


def _observation(i: int, call: Any) -> dict[str, Any]:
    begin = call.at + pd.Timedelta(180, unit="ms")
    tokens = {"input": int(call.input), "input_cached_tokens": int(call.cached), "output": int(call.output)}
    return {
        "id": f"time-09-00-00-123456_chatcmpl-{i}" if call.shared_id else f"obs-{i}",
        "traceId": f"tr-{i}",
        "type": "GENERATION",
        "startTime": begin.isoformat(),
        "endTime": (begin + pd.Timedelta(850, unit="ms")).isoformat(),
        "model": "chat" if i % 3 == 0 else "openai/gpt-5-mini",
        "modelParameters": {},
        "input": [{"role": "user", "content": f"question {i}"}],
        "output": f"answer {i}",
        "usageDetails": {} if call.failed else tokens,
        "level": "ERROR" if call.failed else "DEFAULT",
        "statusMessage": "Error code: 429" if call.failed else None,
        "promptName": "search",
        "promptVersion": 7,
        "sessionId": f"s-{i // 4}",
        "userId": f"u-{i // 8}",
        "quality": [float(call.score)],
    }


def _log(folder: Path, name: str, records: list[dict[str, Any]]) -> Traffic:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return read(path, out=folder / name, text=True)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Write the two logs of one run, read them and join them."""
    folder, truth = tmp_path_factory.mktemp("planted"), _truth()
    calls: list[Any] = list(truth.itertuples())
    gateway = _log(folder, "litellm", [_spend(c.Index, c) for c in calls if c.gateway])
    tracer = _log(folder, "langfuse", [_observation(c.Index, c) for c in reversed(calls) if c.tracer])
    return Planted(truth, gateway, tracer, join(gateway, tracer, folder / "joined"))


def _call(frame: pd.DataFrame) -> pd.Series:
    """Which call of the truth a joined row is."""
    return frame["request_id"].str.extract(r"(\d+)$")[0].astype(int)


def test_every_call_stands_once(planted: Planted) -> None:
    """The joined log has every call of the run once, whichever log it was in, and its money and tokens are the run's."""
    frame = planted.joined.frame("request_id", "source_cost_usd", *TOKEN_BUCKETS)
    assert sorted(_call(frame)) == list(range(N))
    truth = planted.truth.loc[_call(frame)].reset_index()
    assert frame["input_tokens"].tolist() == truth["input"].tolist()
    assert frame["cache_read_tokens"].tolist() == truth["cached"].tolist()
    assert frame["output_tokens"].tolist() == truth["output"].tolist()
    billed = truth["gateway"]
    assert frame["source_cost_usd"][billed].tolist() == truth["spend"][billed].tolist()
    assert frame["source_cost_usd"][~billed].isna().all()


def test_each_field_is_of_the_log_that_knows_it(planted: Planted) -> None:
    """Cost, status, app and times are the gateway's; text, prompt version, user, session and score the tracer's, row by row."""
    frame = planted.joined.frame(*TRAFFIC.names)
    truth = planted.truth.loc[_call(frame)].reset_index(names="call")
    traced, billed = truth["tracer"], truth["gateway"]
    assert frame["messages"][traced].tolist() == [f'[{{"role":"user","content":"question {i}"}}]' for i in truth["call"][traced]]
    assert frame["response"][traced].tolist() == [f"answer {i}" for i in truth["call"][traced]]
    assert frame["quality"][traced].tolist() == pytest.approx(truth["score"][traced].tolist())
    assert frame["session_id"][traced].tolist() == [f"s-{i // 4}" for i in truth["call"][traced]]
    assert set(frame["prompt_version"][traced]) == {"search:7"}
    assert (frame["text_state"][~traced] == "none").all()
    assert (frame["app"][billed] == "search").all()
    assert (frame["latency_ms"][billed] == 900.0).all()
    assert frame["timestamp"][billed].tolist() == truth["at"][billed].tolist()
    assert ((frame["status"] == "rate_limit") == truth["failed"]).all()
    assert (frame["error_class"][truth["failed"] & billed] == "RateLimitError").all()


def test_counts_add_up(planted: Planted) -> None:
    """Matched, ambiguous and left-over rows are those planted, and both logs' rows are accounted for."""
    told, truth = planted.joined.meta["join"], planted.truth
    both = truth["gateway"] & truth["tracer"]
    assert told["matched_by_id"] == int((both & truth["shared_id"]).sum())
    assert told["matched_by_tokens"] == int((both & ~truth["shared_id"]).sum())
    assert (told["left_over_a"], told["left_over_b"]) == (ONLY_GATEWAY, ONLY_TRACER)
    assert (told["ambiguous_a"], told["ambiguous_b"]) == (0, 0)
    assert told["contradictions"] == {"tokens": 0, "status": 0, "source_cost_usd": 0}
    assert len(planted.gateway) + len(planted.tracer) == len(planted.joined) + planted.joined.meta["joined"]


def test_sources_name_the_log_of_every_field(planted: Planted) -> None:
    """``sources`` says per request and field which log it is from, and the two logs' own rows have that value."""
    frame, told = planted.joined.frame(*TRAFFIC.names), sources(planted.joined)
    logs = {"a": planted.gateway.frame(*TRAFFIC.names), "b": planted.tracer.frame(*TRAFFIC.names)}
    assert told["request_id"].tolist() == frame["request_id"].tolist()
    for column in ("source_cost_usd", "response", "quality", "latency_ms", "app", "session_id"):
        for log, place in (("a", "row_a"), ("b", "row_b")):
            mine = told[column] == log
            assert frame[column][mine].tolist() == pytest.approx(logs[log][column].iloc[told[place][mine]].tolist(), nan_ok=True)
    assert set(told["matched"]) == {"by id", "by model, time and tokens", "only in a", "only in b"}


def test_which_log_is_asked_first_is_the_same_for_both_orders_of_what_is_there(planted: Planted, tmp_path: Path) -> None:
    """The order of the two logs decides whose fields hold, never who is whose partner."""
    other = join(planted.tracer, planted.gateway, tmp_path / "other").meta["join"]
    told = planted.joined.meta["join"]
    assert [other[k] for k in ("matched_by_id", "matched_by_tokens")] == [told[k] for k in ("matched_by_id", "matched_by_tokens")]
    assert (other["left_over_a"], other["left_over_b"]) == (told["left_over_b"], told["left_over_a"])
    assert set(ASKED_FIRST) == set(TRAFFIC.names)


def test_a_call_that_could_be_two_is_none(tmp_path: Path) -> None:
    """Two calls alike within the window are not guessed: the first log's stand, the second's are set aside, and nothing is summed twice."""
    seconds = [0, 2, 600]
    when = [pd.Timestamp("2026-11-01", tz="UTC") + pd.Timedelta(s, unit="s") for s in seconds]
    same = {"model": "gpt-5", "input_tokens": [100, 100, 70], "output_tokens": 5, "timestamp": when}
    a = traffic_of(tmp_path / "a", {**same, "request_id": ["a0", "a1", "a2"], "source_cost_usd": [1.0, 2.0, 4.0]})
    b = traffic_of(tmp_path / "b", {**same, "request_id": ["b0", "b1", "b2"], "source_cost_usd": [1.0, 2.0, 4.0], "quality": 1.0})
    joined = join(a, b, tmp_path / "joined")
    told = joined.meta["join"]
    assert (told["matched_by_tokens"], told["ambiguous_a"], told["ambiguous_b"], told["left_over_b"]) == (1, 2, 2, 0)
    frame = joined.frame("request_id", "source_cost_usd", "quality")
    assert frame["source_cost_usd"].sum() == 7.0
    assert frame["quality"].isna().tolist() == [True, True, False]
    assert joined.quarantine["line"].tolist() == [1, 2]
    assert [json.loads(r)["request_id"] for r in joined.quarantine["raw"]] == ["b0", "b1"]


def test_an_id_at_another_time_is_not_trusted(tmp_path: Path) -> None:
    """Rows with one id more than an hour apart are ambiguous, so that two counters from 1 do not make two strangers one call."""
    days = pd.date_range("2026-11-01", periods=3, freq="D", tz="UTC")
    a = traffic_of(tmp_path / "a", {"model": "m", "input_tokens": [1, 2, 3], "timestamp": days, "request_id": ["1", "2", "3"]})
    shifted = [days[0], days[1], days[2] + pd.Timedelta(2, unit="h")]
    b = traffic_of(tmp_path / "b", {"model": "m", "input_tokens": [1, 2, 3], "timestamp": shifted, "request_id": ["1", "2", "3"]})
    told = join(a, b, tmp_path / "joined").meta["join"]
    assert (told["matched_by_id"], told["ambiguous_a"], told["ambiguous_b"]) == (2, 1, 1)


def test_ids_made_up_by_reading_join_nobody(tmp_path: Path) -> None:
    """A log without ids is named by file and line: equal names make no partners, and left-over rows get their own."""
    logs = []
    for name, tokens in (("a", [10, 20, 30]), ("b", [30, 20, 99])):
        (tmp_path / name).mkdir()
        lines = [f"2026-11-01T00:0{i}:00Z,gpt-5,{t},1" for i, t in enumerate(tokens)]
        (tmp_path / name / "log.csv").write_text("\n".join(["timestamp,model,input_tokens,output_tokens", *lines]))
        mapping = {c: c for c in ("timestamp", "model", "input_tokens", "output_tokens")}
        logs.append(read(tmp_path / name / "log.csv", out=tmp_path / f"{name}-read", mapping=mapping, text=True))
    joined = join(logs[0], logs[1], tmp_path / "joined")
    told = joined.meta["join"]
    assert (told["matched_by_id"], told["matched_by_tokens"]) == (0, 1)
    assert joined.frame("request_id")["request_id"].is_unique
    assert len(joined) == 5


def test_a_log_without_token_counts_is_not_doubled(tmp_path: Path) -> None:
    """A second-log row without tokens that could be a call of the first is set aside; one that could be none is kept."""
    when = pd.date_range("2026-11-01", periods=4, freq="h", tz="UTC")
    a = traffic_of(tmp_path / "a", {"model": "m", "input_tokens": [5, 6, 7], "timestamp": when[:3], "request_id": ["x", "a1", "a2"]})
    b = traffic_of(tmp_path / "b", {"model": "m", "input_tokens": [5, 0, 0], "timestamp": when[[0, 1, 3]], "request_id": ["x", "b1", "b2"]})
    joined = join(a, b, tmp_path / "joined")
    assert joined.frame("request_id")["request_id"].tolist() == ["x", "a1", "a2", "b2"]
    assert joined.meta["join"]["ambiguous_b"] == 1


def test_attempts_are_not_further_requests(tmp_path: Path) -> None:
    """A tracer's failed calls during a call that the gateway counts with three attempts are set aside; a failure at another time stays.

    They are of the model that was asked for, or of the one that answered, however it is spelt.
    """
    when = [pd.Timestamp("2026-11-01", tz="UTC") + pd.Timedelta(s, unit="s") for s in (0, 2, 4, 300)]
    call = {"model": "m", "model_requested": "x", "input_tokens": [9], "timestamp": when[:1], "attempts": 3, "latency_ms": 5_000.0}
    a = traffic_of(tmp_path / "a", call)
    status = ["rate_limit", "rate_limit", "ok", "transport"]
    tracer = {"model": ["x", "openai/m-2026-01-01", "m", "m"], "input_tokens": [0, 0, 9, 0], "request_id": list("wxyz")}
    joined = join(a, traffic_of(tmp_path / "b", {**tracer, "timestamp": when, "status": status}), tmp_path / "joined")
    assert joined.frame("request_id", "attempts").values.tolist() == [["r0", 3], ["z", 1]]
    assert joined.meta["join"]["attempts_b"] == 2
    assert joined.meta["reasons"] == {"a failed attempt at a call of the first log, counted in its attempts": 2}


def test_only_the_attempts_of_a_call_are_its_attempts(tmp_path: Path) -> None:
    """One retried call explains one failure of its own model and app; other models', other apps' and later failures are requests."""
    when = pd.date_range("2026-11-01", periods=5, freq="min", tz="UTC")
    gateway = {"model": "gpt-5-mini", "input_tokens": [9, 8, 7, 6, 5], "attempts": [2, 1, 1, 1, 1], "latency_ms": 50_000.0}
    a = traffic_of(tmp_path / "a", {**gateway, "timestamp": when, "request_id": [f"a{i}" for i in range(5)]})
    failed = pd.DataFrame(
        [
            {"app": "other", "model": "claude-sonnet-4-5", "after": 1},
            {"app": "chat", "model": "claude-sonnet-4-5", "after": 2},
            {"app": "other", "model": "gpt-5-mini", "after": 3},
            {"app": "chat", "model": "gpt-5-mini", "after": 4},
            {"app": "chat", "model": "gpt-5-mini", "after": 5},
            {"app": "chat", "model": "gpt-5-mini", "after": 45},
        ]
    )
    answered = {"app": "chat", "model": "gpt-5-mini", "timestamp": when, "latency_ms": 40_000.0, "input_tokens": gateway["input_tokens"]}
    rows = failed.assign(timestamp=when[0] + pd.to_timedelta(failed["after"], unit="s"), status="content", latency_ms=100.0, input_tokens=0)
    tracer = pd.concat([pd.DataFrame(answered).assign(status="ok"), rows.drop(columns="after")], ignore_index=True)
    tracer["request_id"] = [f"b{i}" for i in range(len(tracer))]
    joined = join(a, traffic_of(tmp_path / "b", tracer.to_dict("list")), tmp_path / "joined")
    told = joined.meta["join"]
    assert (told["matched_by_tokens"], told["attempts_b"], told["left_over_b"]) == (5, 1, 5)
    assert [json.loads(r)["request_id"] for r in joined.quarantine["raw"]] == ["b8"]


def test_a_failed_call_has_no_tokens_to_count(tmp_path: Path) -> None:
    """Calls that only the tracer saw are kept beside failures that only the gateway logged, not beside an answer it did not count.

    A failed call and a hit of the gateway's cache without tokens took none; an answer without tokens was not counted.
    """
    when = [pd.Timestamp("2026-11-01", tz="UTC") + pd.Timedelta(s, unit="s") for s in (0, 600, 1200, 1800)]
    status, hit = ["ok", "rate_limit", "ok", "ok"], [False, False, True, False]
    gateway = {"model": "m", "input_tokens": [5, 0, 0, 0], "status": status, "cache_hit": hit, "request_id": ["x", "a1", "a2", "a3"]}
    a = traffic_of(tmp_path / "a", {**gateway, "timestamp": when})
    tracer = {"model": "m", "app": "elsewhere", "input_tokens": [5, 70, 80, 90], "request_id": ["x", "b1", "b2", "b3"]}
    joined = join(a, traffic_of(tmp_path / "b", {**tracer, "timestamp": when}), tmp_path / "joined")
    assert joined.frame("request_id")["request_id"].tolist() == ["x", "a1", "a2", "a3", "b1", "b2"]
    assert joined.meta["join"]["ambiguous_b"] == 1


def test_the_better_text_is_kept(tmp_path: Path) -> None:
    """Of a cut and a whole prompt the whole one stands, whichever log has it, with its own answer."""
    same = {"model": "m", "input_tokens": [5, 6], "request_id": ["x", "y"]}
    a = traffic_of(tmp_path / "a", {**same, "messages": prompt("whole a"), "response": "a", "text_state": ["full", "cut"]})
    b = traffic_of(tmp_path / "b", {**same, "messages": prompt("b"), "response": "b", "text_state": ["cut", "full"]})
    assert join(a, b, tmp_path / "j").frame("response", "text_state").values.tolist() == [["a", "full"], ["b", "full"]]


def test_contradictions_are_counted_and_the_books_hold(tmp_path: Path) -> None:
    """Where partners by id disagree about tokens, status or cost, it is counted, and the first log's values are kept."""
    same = {"model": "m", "request_id": ["x", "y"]}
    a = traffic_of(tmp_path / "a", {**same, "input_tokens": [5, 6], "status": ["ok", "ok"], "source_cost_usd": [1.0, 1.0]})
    b = traffic_of(tmp_path / "b", {**same, "input_tokens": [5, 7], "status": ["cancelled", "ok"], "source_cost_usd": [1.005, 2.0]})
    joined = join(a, b, tmp_path / "j")
    assert joined.meta["join"]["contradictions"] == {"tokens": 1, "status": 1, "source_cost_usd": 1}
    assert joined.frame("input_tokens", "status", "source_cost_usd").values.tolist() == [[5, "ok", 1.0], [6, "ok", 1.0]]


def test_what_is_refused(planted: Planted, tmp_path: Path) -> None:
    """The same log twice, logs of different calls, a window that is none, and one of the logs as output are refused with what to do."""
    stranger = traffic_of(tmp_path / "s", {"model": "gpt-5-mini", "input_tokens": [1, 2]})
    with pytest.raises(InputError, match=r"the same log twice"):
        join(planted.gateway, planted.gateway, tmp_path / "out")
    with pytest.raises(InputError, match=r"no call that is surely in both.*apart=True"):
        join(planted.gateway, stranger, tmp_path / "out")
    with pytest.raises(InputError, match=r"window_s=-1"):
        join(planted.gateway, planted.tracer, tmp_path / "out", window_s=-1)
    with pytest.raises(InputError, match=r"one of the logs"):
        join(planted.gateway, planted.tracer, planted.tracer.folder)
    with pytest.raises(NeedsError, match=r"where its fields come from"):
        sources(planted.gateway)
    assert not (tmp_path / "out").exists()


def test_quarantines_are_taken_over(tmp_path: Path) -> None:
    """What reading either log had set aside is in the joined quarantine, under the log's name."""
    records = [{"request_id": str(i), "timestamp": f"2026-11-01T00:0{i}:00Z", "model": "m", "input_tokens": i} for i in range(1, 4)]
    a = _log(tmp_path, "a", [*records, {**records[0], "request_id": "bad", "input_tokens": -1}])
    b = _log(tmp_path, "b", records[:2])
    joined = join(a, b, tmp_path / "joined")
    assert joined.quarantine["file"].tolist() == ["a/a.jsonl"]
    assert joined.meta["quarantined"] == 1


@dataclass(frozen=True)
class Call:
    """What matching looks at: −1 tokens were not counted, 0 are those of a failure; it takes a second."""

    at: int
    tokens: int
    model: str
    id: str | None
    attempts: int
    app: str


_CALL = st.builds(
    Call,
    st.integers(0, 8),
    st.integers(-1, 2),
    st.sampled_from(["m", "n", ""]),
    st.sampled_from([None, "x", "y", "z"]),
    st.integers(1, 3),
    st.sampled_from(["p", "q"]),
)


def _side(calls: list[Call]) -> Side:
    began = np.array([c.at for c in calls], "datetime64[s]").astype("datetime64[us]")
    return Side(
        id=pa.array([c.id for c in calls], pa.string()),
        time=began,
        model=np.array([c.model for c in calls], object),
        requested=np.array([""] * len(calls), object),
        tokens=np.array([[c.tokens, c.tokens] for c in calls], np.int64).reshape(-1, 2),
        end=began + np.timedelta64(1, "s"),
        failed=np.array([c.tokens == 0 for c in calls], bool),
        attempts=np.array([c.attempts for c in calls], np.int64),
        app=np.array([c.app for c in calls], object),
    )


@given(st.lists(_CALL, max_size=8), st.lists(_CALL, max_size=8), st.integers(0, 3))
def test_matching_equals_the_definition(first: list[Call], second: list[Call], window: int) -> None:
    """On any rows: a pair by id is of ids that both have once; another pair is of rows that have each other as only candidate."""
    found = match(_side(first), _side(second), window)
    expected = _slow(first, second, window)
    assert found.partner.tolist() == expected.partner.tolist()
    assert found.ambiguous_a.tolist() == expected.ambiguous_a.tolist()
    assert found.ambiguous_b.tolist() == expected.ambiguous_b.tolist()
    assert found.attempt_b.tolist() == expected.attempt_b.tolist()
    kinds = (found.partner >= 0, found.ambiguous_b, found.attempt_b, found.left_b)
    assert sum(int(k.sum()) for k in kinds) == len(second)


def _slow(first: list[Call], second: list[Call], window: int) -> Match:
    """The definition, row by row."""
    partner = np.full(len(first), -1)
    lost_a, lost_b, by_id = np.zeros(len(first), bool), np.zeros(len(second), bool), np.zeros(len(first), bool)
    for name in {c.id for c in first if c.id} & {c.id for c in second if c.id}:
        mine, theirs = [i for i, c in enumerate(first) if c.id == name], [j for j, c in enumerate(second) if c.id == name]
        if len(mine) == len(theirs) == 1:
            partner[mine[0]], by_id[mine[0]] = theirs[0], True
        else:
            lost_a[mine], lost_b[theirs] = True, True

    def free() -> tuple[list[int], list[int]]:
        taken = set(partner.tolist())
        return (
            [i for i in range(len(first)) if partner[i] < 0 and not lost_a[i]],
            [j for j in range(len(second)) if j not in taken and not lost_b[j]],
        )

    def near(i: int, j: int, tokens: bool) -> bool:
        one, two = first[i], second[j]
        alike = one.tokens == two.tokens if tokens else True
        return bool(one.model == two.model != "" and alike and abs(one.at - two.at) <= window)

    rows, columns = free()
    pairs = [(i, j) for i in rows for j in columns if near(i, j, tokens=True)]
    for i, j in pairs:
        if sum(p[0] == i for p in pairs) == sum(p[1] == j for p in pairs) == 1:
            partner[i] = j
        else:
            lost_a[i], lost_b[j] = True, True
    for bare in (0, 1):
        rows, columns = free()
        for i in rows:
            for j in columns:
                if (first[i] if bare == 0 else second[j]).tokens < 0 and near(i, j, tokens=False):
                    lost_a[i], lost_b[j] = True, True
    return Match(partner, by_id, lost_a, lost_b, _slow_attempts(first, second, partner, free()[1], window))


def _slow_attempts(first: list[Call], second: list[Call], partner: np.ndarray[Any, Any], free: list[int], window: int) -> Any:
    """The definition of attempts, call by call: those with a partner first, in the order of the first and last failure they can have."""
    attempts = np.zeros(len(second), bool)
    failed = sorted((j for j in free if second[j].tokens == 0), key=lambda j: second[j].at)
    for answered in (True, False):
        could = {}
        for i, call in enumerate(first):
            own = second[partner[i]] if partner[i] >= 0 else None
            until = own.at + 1 if own else call.at + 1 + window
            if (own is not None) == answered and call.model:
                could[i] = [
                    j
                    for j in failed
                    if not attempts[j]
                    and second[j].model == call.model
                    and call.at - window <= second[j].at <= until
                    and (own is None or second[j].app == own.app)
                ]
        for i in sorted((i for i in could if could[i]), key=lambda i: (second[could[i][0]].at, second[could[i][-1]].at)):
            attempts[[j for j in could[i] if not attempts[j]][: first[i].attempts - 1]] = True
    return attempts
