"""What comes back from runs and batches, in any order and state, is one row per answer asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.asked import CANDIDATES, log_of, work_of

from planner.errors import InputError
from planner.labels import Answers, Work, read_labels, sample_labels
from planner.labels.ingest import ingest_labels
from planner.labels.journal import Journal, past
from planner.labels.ran import run_of
from planner.prices import PriceBook
from planner.traffic import read

_TOKENS = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}


def _openai(custom_id: str, content: str = "yes", finish: str = "stop", **body: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    whole = {"id": "x", "choices": [choice], "usage": _TOKENS, **body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": {"status_code": 200, "request_id": "r", "body": whole}, "error": None}


def _failed(custom_id: str, status: int, code: str) -> dict[str, Any]:
    body = {"error": {"message": "no", "type": "invalid_request_error", "code": code}}
    return {"id": "batch_req_2", "custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}


def _expired(custom_id: str) -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}
    return {"id": "batch_req_3", "custom_id": custom_id, "response": None, "error": error}


def _anthropic(custom_id: str, kind: str, **result: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "result": {"type": kind, **result}}


def _write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def _rows(answers: Answers, work: Work) -> pd.DataFrame:
    """Return the asked rows in the order of the asks, by ask id."""
    keyed = answers.rows[answers.rows["source"] != "log"].set_index(["request_id", "model"])
    return keyed.loc[list(zip(work.asks["request_id"], work.asks["model"], strict=True))].set_index(work.asks["ask_id"])


def test_openai_results_with_everything_that_happens(tmp_path: Path, book: PriceBook) -> None:
    """Unordered output and error files give answers, cut answers, failures by kind, expiries and what is missing; the rest is set aside."""
    work = work_of(tmp_path, [f"question {i}" for i in range(5)], book)
    ids = work.asks["ask_id"].tolist()
    output = [_openai(ids[3]), _openai("stranger"), _openai(ids[0], "cut", "length"), _openai(ids[0], "again"), "{torn"]
    errors = [
        _expired(ids[6]),
        _failed(ids[5], 400, "content_filter"),
        _failed(ids[4], 429, "rate_limit_exceeded"),
        _failed(ids[2], 400, "bad"),
        ["x"],
    ]
    files = [_write(tmp_path / "output.jsonl", output), _write(tmp_path / "errors.jsonl", errors)]
    answers = ingest_labels(work, files, book=book)
    rows = _rows(answers, work)
    states = ["ok", "missing", "validation", "ok", "rate_limit", "content", "expired", *["missing"] * 3]
    assert rows["status"].tolist() == states
    assert rows.loc[ids[0], ["response", "finish_reason"]].tolist() == ["cut", "length"]
    assert answers.meta["results"]["aside"] == {
        "an id that this work never asked": 1, "a repetition": 1, "not a line of a journal or of batch results": 2,
    }  # fmt: skip
    assert [(line["file"], line["line"]) for line in answers.meta["results"]["lines"]] == [
        ("output.jsonl", 2), ("output.jsonl", 4), ("output.jsonl", 5), ("errors.jsonl", 5),
    ]  # fmt: skip
    table = answers.table
    assert table["asked"].sum() == len(answers.rows) == 15
    assert (table[["answered", "validation", "rate_limit", "content", "expired", "missing"]].sum(axis=1) == table["asked"]).all()
    assert table["cut"].sum() == 1
    bucket = rows.loc[ids[3]]
    assert bucket[["input_tokens", "cache_read_tokens", "output_tokens"]].tolist() == [60, 40, 10]
    assert answers.text.startswith(
        "5 requests, 15 answers (5 of today): 7 answered, 1 rate limit, 1 content, 1 validation, 1 expired, 4 missing"
    )


def test_cost_is_of_traffic_and_paid_is_of_the_batch(tmp_path: Path, book: PriceBook) -> None:
    """A batch is paid at batch rates, while what the answer would cost in traffic is at standard rates."""
    work = work_of(tmp_path, ["question"], book)
    answers = ingest_labels(work, [_write(tmp_path / "o.jsonl", [_openai(i) for i in work.asks["ask_id"]])], book=book)
    for model, row in answers.rows[answers.rows["source"] == "openai"].set_index("model").iterrows():
        for column, tier in (("cost_usd", "standard"), ("paid_usd", "batch")):
            rate = book.quote(str(model), "openai", tier).usd_per_mtok
            expected = (60 * rate["input_tokens"] + 40 * rate["cache_read_tokens"] + 10 * rate["output_tokens"]) / 1e6
            assert row[column] == pytest.approx(expected)
        assert row["evidence"] == "measured"
    logged = answers.rows[answers.rows["source"] == "log"].iloc[0]
    rate = book.quote("gpt-5.4", "openai").usd_per_mtok
    assert logged["cost_usd"] == pytest.approx((100 * rate["input_tokens"] + 50 * rate["output_tokens"]) / 1e6)
    assert logged["paid_usd"] == 0


def test_anthropic_results(tmp_path: Path, book: PriceBook) -> None:
    """Succeeded, errored, canceled and expired lines; tokens that Anthropic counts apart are kept apart."""
    traffic = log_of(tmp_path / "log", [f"question {i}" for i in range(5)])
    work = sample_labels(traffic, ["claude-haiku-4-5"], 5, book=book, least=1, providers=["anthropic"]).work
    ids = work.asks["ask_id"].tolist()
    usage = {"input_tokens": 40, "cache_read_input_tokens": 4096, "cache_creation_input_tokens": 136, "output_tokens": 30}
    message = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "max_tokens", "usage": usage}
    errored = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    invalid = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    lines = [
        _anthropic(ids[4], "errored", error=invalid), _anthropic(ids[2], "canceled"), _anthropic(ids[0], "succeeded", message=message),
        _anthropic(ids[1], "errored", error=errored), _anthropic(ids[3], "expired"),
    ]  # fmt: skip
    rows = _rows(ingest_labels(work, [_write(tmp_path / "r.jsonl", lines)], book=book), work)
    assert rows["status"].tolist() == ["ok", "transport", "cancelled", "expired", "validation"]
    assert rows["error_class"].tolist()[1:] == ["overloaded_error", "canceled", "expired", "invalid_request_error"]
    assert rows.loc[ids[0], ["response", "finish_reason"]].tolist() == ["Hi", "length"]
    buckets = ["input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens"]
    assert rows.loc[ids[0], buckets].tolist() == [40, 4096, 136, 30]


def test_runs_and_batches_together(tmp_path: Path, book: PriceBook) -> None:
    """An answer is kept before a failure wherever it comes from; a call that was broken off is missing and says so."""
    work = work_of(tmp_path, ["a", "b"], book)
    ids = work.asks["ask_id"].tolist()
    with Journal(tmp_path / "work" / "journal.jsonl") as journal:
        for n, status in ((0, "transport"), (1, "ok")):
            body = _openai("")["response"]["body"] if status == "ok" else None
            journal.write("start", call=str(n), ask=ids[n], at_most_pusd=9)
            journal.write("end", call=str(n), ask=ids[n], status=status, error_class=None, http=200, latency_ms=7.0, cost_pusd=3,
                          evidence="measured", body=body)  # fmt: skip
        journal.write("start", call="x", ask=ids[2], at_most_pusd=9)
    batch = _write(tmp_path / "b.jsonl", [_openai(ids[0], "from the batch"), _failed(ids[1], 500, "server_error")])
    rows = _rows(ingest_labels(work, [batch], book=book), work)
    assert rows["status"].tolist() == ["ok", "ok", "missing", "missing"]
    assert rows["source"].tolist()[:2] == ["openai", "run"]
    assert rows.loc[ids[0], "response"] == "from the batch"
    assert rows.loc[ids[1], "paid_usd"] == pytest.approx(3e-12)
    assert rows.loc[ids[2], "error_class"] == "broken off before the answer came"
    assert pd.isna(rows.loc[ids[3], "error_class"])


def test_every_call_of_an_ask_is_paid_for(tmp_path: Path, book: PriceBook) -> None:
    """A call lost on the way, one broken off and the answer count together: rows, models and journal name one sum."""
    work = work_of(tmp_path, ["a", "b"], book)
    ids = work.asks["ask_id"].tolist()
    body = _openai("")["response"]["body"]
    calls = [(0, 504, 2_000), (0, 200, 1), (1, 504, 2_000), (1, None, 2_000), (2, None, 2_000), (3, 200, 3)]
    with Journal(tmp_path / "work" / "journal.jsonl") as journal:
        for call, (n, http, cost) in enumerate(calls):
            journal.write("start", call=str(call), ask=ids[n], at_most_pusd=2_000)
            if http is None:
                continue
            journal.write("end", call=str(call), ask=ids[n], model=work.asks["model"].iloc[n], error_class=None, http=http, cost_pusd=cost,
                          status="ok" if http == 200 else "transport", latency_ms=7.0, evidence="measured" if http == 200 else "assumed",
                          body=body if http == 200 else None)  # fmt: skip
    done = past(tmp_path / "work" / "journal.jsonl")
    batch = _openai(ids[1], "from the batch")
    answers = ingest_labels(work, [_write(tmp_path / "b.jsonl", [batch])], book=book)
    rows = _rows(answers, work)
    assert (rows["paid_usd"].drop(ids[1]) * 1e12).tolist() == pytest.approx([2_001, 2_000, 3])
    rate = book.quote(work.asks["model"].iloc[1], "openai", "batch").usd_per_mtok
    usd = (60 * rate["input_tokens"] + 40 * rate["cache_read_tokens"] + 10 * rate["output_tokens"]) / 1e6
    assert rows.loc[ids[1], "paid_usd"] == pytest.approx(usd + 4_000e-12, rel=1e-12)
    assert rows["evidence"].tolist() == ["assumed", "assumed", "assumed", "measured"]
    assert answers.table["paid_usd"].sum() - usd == pytest.approx(done.spent_pusd / 1e12)
    assert (done.spent_pusd, done.lost) == (8_004, 2)
    assert run_of(work, done, "").table["usd"].sum() == pytest.approx(run_of(work, done, "").spent_usd)


@settings(max_examples=30)
@given(st.data())
def test_counts_add_up_whatever_comes_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """For any outcomes in any order, repeated or missing: asked = answered + failed + expired + missing, and every line counts."""
    work, book = _shared(tmp_path_factory)
    ids = work.asks["ask_id"].tolist()
    makers = [
        _openai,
        _expired,
        lambda i: _failed(i, 400, "bad"),
        lambda i: _failed(i, 503, "busy"),
        lambda i: _openai(i, "x", "content_filter"),
    ]
    chosen = data.draw(st.lists(st.tuples(st.sampled_from([*ids, "stranger"]), st.integers(0, len(makers) - 1)), max_size=30))
    folder = tmp_path_factory.mktemp("any")
    answers = ingest_labels(work, [_write(folder / "r.jsonl", [makers[k](i) for i, k in chosen])], book=book)
    rows = _rows(answers, work)
    answered = {i for i, k in chosen if k == 0} & set(ids)
    assert set(rows.index[rows["status"] == "ok"]) == answered
    assert set(rows.index[rows["status"] == "missing"]) == set(ids) - {i for i, _ in chosen}
    table = answers.table
    parts = [c for c in table.columns if c not in ("asked", "cut", "paid_usd")]
    assert (table[parts].sum(axis=1) == table["asked"]).all()
    assert len({i for i, _ in chosen} & set(ids)) + sum(answers.meta["results"]["aside"].values()) == len(chosen)


_CACHE: dict[str, Any] = {}


def _shared(factory: pytest.TempPathFactory) -> tuple[Work, PriceBook]:
    if not _CACHE:
        _CACHE["book"] = PriceBook.load()
        _CACHE["work"] = work_of(factory.mktemp("work"), [f"question {i}" for i in range(4)], _CACHE["book"])
    return _CACHE["work"], _CACHE["book"]


def test_answers_come_back_from_disk(tmp_path: Path, book: PriceBook) -> None:
    """Saved answers open as they were, with the weights of the sample and where it came from."""
    work = work_of(tmp_path, ["a", "a!", "b"], book)
    answers = ingest_labels(work, [_write(tmp_path / "o.jsonl", [_openai(i) for i in work.asks["ask_id"]])], book=book)
    answers.save(tmp_path / "answers")
    opened = Answers.open(tmp_path / "answers")
    pd.testing.assert_frame_equal(opened.items, answers.items)
    pd.testing.assert_frame_equal(opened.rows, answers.rows)
    assert sorted(opened.items["weight"]) == [1.0, 2.0]
    assert opened.meta["candidates"] == list(CANDIDATES)
    assert opened.meta["traffic"] == work.meta["traffic"]
    with pytest.raises(InputError, match="a folder of answers"):
        Answers.open(tmp_path / "work")


def test_a_folder_taken_for_another_is_named(tmp_path: Path, book: PriceBook) -> None:
    """Ungraded answers given for labels or for a log, and work given for a log, say what they are and which verb takes them."""
    work = work_of(tmp_path, ["a"], book)
    ingest_labels(work, [_write(tmp_path / "o.jsonl", [_openai(i) for i in work.asks["ask_id"]])], book=book).save(tmp_path / "answers")
    with pytest.raises(InputError, match="planner labels grade"):
        read_labels(tmp_path / "answers")
    with pytest.raises(InputError, match=r"ungraded answers.*planner labels grade"):
        read(tmp_path / "answers", text=True)
    with pytest.raises(InputError, match=r"work for labels.*planner labels run"):
        read(tmp_path / "work", text=True)


def test_no_results_are_one_sentence(tmp_path: Path, book: PriceBook) -> None:
    """Without a journal and files, and with files that are not there, the next step is named."""
    work = work_of(tmp_path, ["a"], book)
    with pytest.raises(InputError, match=r"Run: planner labels run WORK --base-url URL, or name the files"):
        ingest_labels(work, book=book)
    with pytest.raises(InputError, match="no file there"):
        ingest_labels(work, [tmp_path / "absent.jsonl"], book=book)
    with pytest.raises(InputError, match="a work folder"):
        ingest_labels(tmp_path / "absent", book=book)


def test_a_file_without_any_result_is_refused(tmp_path: Path, book: PriceBook) -> None:
    """A file of which no line is a result is the wrong file, and said to be; nothing is written for it."""
    work = work_of(tmp_path, ["one question"], book)
    wrong = _write(tmp_path / "graded.csv", ["prompt,grade\n", "a,1\n", "b,0\n"])
    with pytest.raises(InputError, match=r"graded.csv: none of 3 lines is a result"):
        ingest_labels(work, [wrong], book=book)


def test_another_draw_does_not_replace_one_that_may_be_asked(tmp_path: Path, book: PriceBook) -> None:
    """The same draw may be written again; another into its folder is refused, since its answers would belong to nobody."""
    work = work_of(tmp_path, [f"question {i}" for i in range(4)], book)
    folder = work.save(tmp_path / "work").folder
    assert folder is not None
    work.save(folder)
    fewer = Work(work.items, work.asks.iloc[1:], work.logged, work.meta)
    with pytest.raises(InputError, match="holds another draw whose answers may be on their way"):
        fewer.save(folder)
