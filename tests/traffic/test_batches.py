"""Batches of OpenAI and Anthropic, joined from their files: hand-written records whose reading is known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.reader_mutations import SEEDS
from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read


def _rows(traffic: Traffic) -> dict[str, dict[str, Any]]:
    return {r["request_id"]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


def _lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")


def _asked(key: str, said: str) -> dict[str, Any]:
    return {"custom_id": key, "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{"role": "user", "content": said}]}}


def _answered(key: str, number: int) -> dict[str, Any]:
    body = {"model": "m", "created": 1762160400, "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}
    return {"id": f"batch_req_{number}", "custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


def test_output_and_input_become_one_row(tmp_path: Path) -> None:
    """Text and settings come from the input line, answer and tokens from the output line, the time from the batch object."""
    traffic = read(SEEDS / "openai_batch", out=tmp_path / "out", text=True)
    row = _rows(traffic)["batch_req_1"]
    assert [row[b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 18, 12]
    assert json.loads(row["messages"])[1]["content"] == "Say hi"
    assert (row["response"], row["finish_reason"], row["max_tokens"]) == ("Hi", "stop", 64)
    assert (row["model"], row["model_requested"], row["provider"]) == ("gpt-5-mini-2026-01-01", "gpt-5-mini", "openai")
    assert (row["app"], row["user"], row["service_tier"], row["text_state"]) == ("search", "u-7", "batch", "full")
    assert row["timestamp"] == pd.Timestamp(1762160400, unit="s", tz="UTC")
    assert pd.isna(row["latency_ms"])


def test_every_kind_of_call_and_end_is_read(tmp_path: Path) -> None:
    """Responses and embeddings count like chats; failed, expired and cancelled lines are such, and totals that differ are set aside."""
    traffic = read(SEEDS / "openai_batch", out=tmp_path / "out", text=True)
    rows = _rows(traffic)
    assert [rows["batch_req_2"][b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 18, 12]
    assert (rows["batch_req_2"]["reasoning_effort"], rows["batch_req_2"]["app"]) == ("low", "nightly")
    assert [rows["batch_req_3"][b] for b in TOKEN_BUCKETS] == [9, 0, 0, 0, 0, 0]
    ends = [rows[f"batch_req_{n}"]["status"] for n in (5, 6, 7, 8)]
    assert ends == ["rate_limit", "content", "transport", "cancelled"]
    assert rows["batch_req_9"]["text_state"] == "none"
    assert any("total 1300" in reason for reason in traffic.quarantine["reason"])


def test_parts_add_up_and_orphans_say_why(tmp_path: Path) -> None:
    """Input lines and the batch object are counted as joined; a request that nothing answers is set aside with the reason."""
    traffic = read(SEEDS / "openai_batch", out=tmp_path / "out", text=True)
    assert (traffic.meta["accepted"], traffic.meta["quarantined"], traffic.meta["joined"]) == (8, 2, 9)
    orphan = traffic.quarantine[traffic.quarantine["file"] == "file-in.jsonl"]
    assert orphan["line"].tolist() == [9]
    assert "no answer" in orphan["reason"].iloc[0]
    assert '"r-10"' in orphan["raw"].iloc[0]


def test_no_order_of_files_changes_what_is_read(tmp_path: Path) -> None:
    """Input before output, output before input, one file or several: the same rows."""
    files = sorted((SEEDS / "openai_batch").iterdir())
    expected = _rows(read(files, out=tmp_path / "a", text=True))
    found = _rows(read(files[::-1], out=tmp_path / "b", text=True))
    assert {k: str(v) for k, v in found.items()} == {k: str(v) for k, v in expected.items()}
    lines = "".join(json.dumps(json.loads(f.read_text("utf-8"))) + "\n" if f.suffix == ".json" else f.read_text("utf-8") for f in files)
    (tmp_path / "file-out-and-all.jsonl").write_text(lines, "utf-8")
    assert {k: v["messages"] for k, v in _rows(read(tmp_path / "file-out-and-all.jsonl", out=tmp_path / "c", text=True)).items()} == {
        k: v["messages"] for k, v in expected.items()
    }


def test_without_the_batch_object_answers_date_themselves(tmp_path: Path) -> None:
    """A completion's own time stands in; what has none is set aside with what would date it: the batch object, or a mapping."""
    shutil.copytree(SEEDS / "openai_batch", tmp_path / "log")
    (tmp_path / "log" / "batch.json").unlink()
    traffic = read(tmp_path / "log", out=tmp_path / "out", text=True)
    assert _rows(traffic)["batch_req_1"]["timestamp"] == pd.Timestamp(1762164001, unit="s", tz="UTC")
    assert "batch_req_7" not in _rows(traffic)
    undated = traffic.quarantine["reason"][traffic.quarantine["reason"].str.startswith("no time: ")]
    assert len(undated) == 5
    assert "add the batch object (GET /v1/batches/ID, saved as JSON)" in undated.iloc[0]
    assert undated.iloc[0].endswith("--map timestamp==2026-11-03T00:00:00Z")
    dated = read(tmp_path / "log", out=tmp_path / "dated", mapping={"timestamp": "=2026-11-03T09:00:00Z"}, text=True)
    assert "batch_req_7" in _rows(dated)


#: Reads a log that is put together, and kills itself once all its parts are held.
_KILLED = """
import os, signal, sys
import planner.traffic.together as together
from planner.traffic import read
together._Heap.rows = lambda self: os.kill(os.getpid(), int(sys.argv[3]))
read(sys.argv[1], out=sys.argv[2])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_reading_leaves_nothing_of_its_parts(tmp_path: Path, how: signal.Signals) -> None:
    """Prompts that wait for their answers lie in no file that outlives the process: not in TMPDIR, not beside the result."""
    secret = "a very private question"
    _lines(tmp_path / "log" / "in.jsonl", [_asked(f"r-{i}", f"{secret} {i} " * 400) for i in range(500)])
    _lines(tmp_path / "log" / "out.jsonl", [_answered(f"r-{i}", i) for i in range(500)])
    places = [tmp_path / name for name in ("tmp", "out")]
    places[0].mkdir()
    call = [sys.executable, "-c", _KILLED, str(tmp_path / "log"), str(places[1]), str(int(how))]
    done = subprocess.run(call, check=False, capture_output=True, env={**os.environ, "TMPDIR": str(places[0])})
    assert done.returncode == -how, done.stderr
    left = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert [file for file in left if secret.encode() in file.read_bytes()] == []
    assert list(places[0].iterdir()) == []


def test_two_batches_with_the_same_ids_keep_their_own_prompts(tmp_path: Path) -> None:
    """``custom_id`` is unique within a batch only: each output takes the input that holds all its ids, else that of its folder."""
    _lines(tmp_path / "log" / "a-in.jsonl", [_asked("r-1", "first"), _asked("r-2", "first")])
    _lines(tmp_path / "log" / "b-in.jsonl", [_asked("r-1", "second"), _asked("r-3", "second")])
    _lines(tmp_path / "log" / "a-out.jsonl", [_answered("r-1", 1), _answered("r-2", 2)])
    _lines(tmp_path / "log" / "b-out.jsonl", [_answered("r-3", 3), _answered("r-1", 4)])
    rows = _rows(read(tmp_path / "log", out=tmp_path / "out", text=True))
    said = {k: json.loads(r["messages"])[0]["content"] for k, r in rows.items()}
    assert said == {"batch_req_1": "first", "batch_req_2": "first", "batch_req_3": "second", "batch_req_4": "second"}
    for name in ("x", "y"):
        _lines(tmp_path / "same" / name / "in.jsonl", [_asked("r-1", name)])
        _lines(tmp_path / "same" / name / "out.jsonl", [_answered("r-1", ord(name))])
    rows = _rows(read(tmp_path / "same", out=tmp_path / "out-2", text=True))
    assert {k: json.loads(r["messages"])[0]["content"] for k, r in rows.items()} == {"batch_req_120": "x", "batch_req_121": "y"}


def test_a_prompt_that_could_be_two_is_not_guessed(tmp_path: Path) -> None:
    """Where two inputs fit an answer alike, the row has no text and both inputs are set aside with the reason."""
    _lines(tmp_path / "log" / "a-in.jsonl", [_asked("r-1", "first")])
    _lines(tmp_path / "log" / "b-in.jsonl", [_asked("r-1", "second")])
    _lines(tmp_path / "log" / "out.jsonl", [_answered("r-1", 1)])
    traffic = read(tmp_path / "log", out=tmp_path / "out", text=True)
    assert _rows(traffic)["batch_req_1"]["text_state"] == "none"
    assert traffic.quarantine["reason"].str.contains("several input files").tolist() == [True, True]


def test_a_copied_input_file_is_no_conflict(tmp_path: Path) -> None:
    """The same line twice is one request."""
    for name in ("a-in.jsonl", "b-in.jsonl"):
        _lines(tmp_path / "log" / name, [_asked("r-1", "first")])
    _lines(tmp_path / "log" / "out.jsonl", [_answered("r-1", 1)])
    traffic = read(tmp_path / "log", out=tmp_path / "out", text=True)
    assert json.loads(_rows(traffic)["batch_req_1"]["messages"])[0]["content"] == "first"
    assert (traffic.meta["quarantined"], traffic.meta["joined"]) == (0, 2)


def test_results_and_requests_become_one_row(tmp_path: Path) -> None:
    """Anthropic's input tokens leave out cached ones; text comes from the request, the time from the batch object."""
    row = _rows(read(SEEDS / "anthropic_batch", out=tmp_path / "out", text=True))["msg_1"]
    assert [row[b] for b in TOKEN_BUCKETS] == [40, 4096, 100, 36, 18, 12]
    assert [m["content"] for m in json.loads(row["messages"])] == ["Be brief", "Say hi"]
    assert (row["response"], row["finish_reason"], row["max_tokens"]) == ("Hi", "stop", 64)
    assert (row["model"], row["provider"], row["user"], row["service_tier"]) == ("claude-haiku-4-5", "anthropic", "u-7", "batch")
    assert row["timestamp"] == pd.Timestamp("2026-11-03T09:00:00.5Z")


def test_every_end_of_a_result_is_read(tmp_path: Path) -> None:
    """Errors by Anthropic's words, cancelled and expired requests, and requests of the body that created the batch."""
    traffic = read(SEEDS / "anthropic_batch", out=tmp_path / "out", text=True)
    rows = traffic.frame(*TRAFFIC.names).sort_values("request_id")
    failed = rows[rows["status"] != "ok"]
    assert sorted(failed["status"]) == ["cancelled", "rate_limit", "transport", "transport", "validation"]
    assert (failed["text_state"] == "full").all()
    assert _rows(traffic)["msg_3"]["has_tools"]
    assert _rows(traffic)["msg_3"]["finish_reason"] == "tool_calls"
    assert "12, more than the 3" in " ".join(traffic.quarantine["reason"])
    assert (traffic.meta["accepted"], traffic.meta["quarantined"], traffic.meta["joined"]) == (8, 2, 10)


def test_results_find_their_batch_by_count_and_have_no_time_without_it(tmp_path: Path) -> None:
    """A batch object tells of the file of its name, else of the one with as many results; without one a mapping dates the rows."""
    shutil.copytree(SEEDS / "anthropic_batch", tmp_path / "log")
    (tmp_path / "log" / "msgbatch_01_results.jsonl").rename(tmp_path / "log" / "results.jsonl")
    assert len(read(tmp_path / "log", out=tmp_path / "counted", text=True)) == 8
    (tmp_path / "log" / "batch.json").unlink()
    cure = r"\(no time: results state none\); expected .*Add the batch object \(GET /v1/messages/batches/ID, .*--map timestamp==2026-11-03"
    with pytest.raises(InputError, match=cure) as caught:
        read(tmp_path / "log", out=tmp_path / "undated", text=True)
    assert "another kind of log" not in str(caught.value)
    dated = read(tmp_path / "log", out=tmp_path / "dated", mapping={"timestamp": "=2026-11-03T09:00:00Z"}, text=True)
    assert len(dated) == 8


def _batch(path: Path, created: int, counts: int) -> None:
    about = {"object": "batch", "id": f"batch_{created}", "created_at": created, "request_counts": {"total": counts, "completed": counts}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about), "utf-8")


def test_a_batch_object_tells_of_the_output_in_its_folder(tmp_path: Path) -> None:
    """Batches of one size, saved a folder each under names of one's own, are each dated by the object beside their output."""
    for number, name in enumerate(("monday", "tuesday")):
        _lines(tmp_path / "log" / name / "out.jsonl", [_answered(f"r-{i}", 10 * number + i) for i in range(2)])
        _batch(tmp_path / "log" / name / "batch.json", 1762150400 + number, 2)
    times = {k: int(r["timestamp"].timestamp()) - 1762150400 for k, r in _rows(read(tmp_path / "log", out=tmp_path / "out")).items()}
    assert times == {"batch_req_0": 0, "batch_req_1": 0, "batch_req_10": 1, "batch_req_11": 1}


def test_a_batch_object_of_a_neighbour_dates_no_other_output(tmp_path: Path) -> None:
    """An output without a batch object takes no object that counts as many rows where that has an output of so many beside it."""
    for number, name in enumerate(("monday", "tuesday")):
        _lines(tmp_path / "log" / name / "out.jsonl", [_answered(f"r-{i}", 10 * number + i) for i in range(2)])
    _batch(tmp_path / "log" / "monday" / "batch.json", 1762150400, 2)
    times = {k: int(r["timestamp"].timestamp()) - 1762150400 for k, r in _rows(read(tmp_path / "log", out=tmp_path / "out")).items()}
    assert times == {"batch_req_0": 0, "batch_req_1": 0, "batch_req_10": 10000, "batch_req_11": 10000}


def test_batch_objects_in_a_folder_of_their_own_are_told_by_their_count(tmp_path: Path) -> None:
    """Objects kept apart from outputs still date the one file that has as many rows as they count."""
    for count, name in ((1, "monday"), (2, "tuesday")):
        _lines(tmp_path / "log" / name / "out.jsonl", [_answered(f"r-{i}", 10 * count + i) for i in range(count)])
        _batch(tmp_path / "log" / "batches" / f"{name}.json", 1762150400 + count, count)
    times = {k: int(r["timestamp"].timestamp()) - 1762150400 for k, r in _rows(read(tmp_path / "log", out=tmp_path / "out")).items()}
    assert times == {"batch_req_10": 1, "batch_req_20": 2, "batch_req_21": 2}


def test_a_batch_that_began_after_an_answer_is_not_its_batch(tmp_path: Path) -> None:
    """An object that counts as many rows but was created after the answers were is another batch's: answers date themselves."""
    _lines(tmp_path / "log" / "out.jsonl", [_answered("r-1", 1)])
    for later, expected in ((59, 1762160459), (3600, 1762160400)):
        _batch(tmp_path / "log" / "batch.json", 1762160400 + later, 1)
        row = _rows(read(tmp_path / "log", out=tmp_path / f"out-{later}"))["batch_req_1"]
        assert int(row["timestamp"].timestamp()) == expected
