"""Batch files that OpenAI and Anthropic take: within their limits, each request once, priced at batch rates."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.asked import CANDIDATES, work_of
from support.small import prompt

from planner.errors import InputError, NeedsError, PriceError
from planner.labels import Work, sample_labels
from planner.labels.batch import FORMATS, Format, write_batches
from planner.labels.journal import Journal
from planner.labels.work import ask_id
from planner.prices import PriceBook
from planner.traffic import Traffic


def _lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {f.name: [json.loads(line) for line in f.read_text("utf-8").splitlines()] for f in sorted(folder.glob("*.jsonl"))}


def test_openai_files_have_one_model_and_every_request_once(tmp_path: Path, book: PriceBook) -> None:
    """Every ask is one line in a file of its model alone; its id leads back to request and model; the body is what a run would send."""
    work = work_of(tmp_path, [f"question {i}" for i in range(7)], book)
    found = write_batches(work, "openai", tmp_path / "out", book=book)
    files = _lines(tmp_path / "out")
    assert list(files) == found.table["file"].tolist()
    lines = [line for part in files.values() for line in part]
    by_id = {a.ask_id: a for a in work.asks.itertuples()}
    assert {line["custom_id"] for line in lines} == set(by_id)
    assert len(lines) == len(by_id) == found.table["requests"].sum()
    for part, model in zip(files.values(), found.table["model"], strict=True):
        assert {line["body"]["model"] for line in part} == {model}
    for line in lines:
        ask = by_id[line["custom_id"]]
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", line["custom_id"])
        assert line["custom_id"] == ask_id(ask.request_id, ask.model)
        assert {k: v for k, v in line.items() if k not in ("custom_id", "body")} == {"method": "POST", "url": "/v1/chat/completions"}
        assert set(line["body"]) == {"model", "messages", "max_completion_tokens"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_anthropic_lines_are_message_requests(tmp_path: Path, book: PriceBook) -> None:
    """System text stands apart, turns alternate as they did, the limit is max_tokens; what that API does not take is counted."""
    history = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "2+2?")]
    messages = [
        json.dumps([{"role": r, "content": c} for r, c in history]),
        json.dumps([{"role": "assistant", "content": "first"}, {"role": "user", "content": "second"}]),
        prompt("plain"),
    ]
    traffic = _traffic(tmp_path, messages)
    work = sample_labels(traffic, ["claude-haiku-4-5", "gpt-5.4-nano"], 5, book=book, least=1, providers=["anthropic"]).work
    found = write_batches(work, "anthropic", tmp_path / "out", book=book)
    (lines,) = _lines(tmp_path / "out").values()
    params = {line["custom_id"]: line["params"] for line in lines}
    assert params[ask_id("r0", "claude-haiku-4-5")] == {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": r, "content": c} for r, c in history[1:]],
    }
    assert set(params) == {ask_id("r0", "claude-haiku-4-5"), ask_id("r2", "claude-haiku-4-5")}
    left = found.left_out.set_index("why")["asks"]
    assert left.sum() + len(lines) == len(work.asks)
    assert left["served by another provider than anthropic"] == 3
    assert left["no shape of it there"] == 1


def _traffic(folder: Path, messages: list[str]) -> Traffic:
    from support.asked import log_of

    return log_of(folder / "log", [""] * len(messages), messages=messages)


@settings(max_examples=12)
@given(st.integers(1, 7), st.integers(400, 2_000))
def test_limits_are_obeyed(tmp_path_factory: pytest.TempPathFactory, requests: int, size: int) -> None:
    """No file has more requests or bytes than allowed, all are there in order, and no two neighbours of a model would fit into one."""
    folder, book = tmp_path_factory.mktemp("limits"), _book()
    work = _work(tmp_path_factory)
    found = write_batches(work, "openai", folder / "out", book=book, limits=Format(("openai",), requests, size, True))
    files = _lines(folder / "out")
    assert (found.table["requests"] <= requests).all()
    assert (found.table["bytes"] <= size).all()
    assert found.table["bytes"].tolist() == [(folder / "out" / name).stat().st_size for name in files]
    for model in CANDIDATES:
        mine = found.table[found.table["model"] == model].reset_index(drop=True)
        ids = [line["custom_id"] for name in mine["file"] for line in files[name]]
        assert ids == work.asks.loc[work.asks["model"] == model, "ask_id"].tolist()
        assert all(
            a.requests == requests or a.bytes + len(json.dumps(files[b.file][0], separators=(",", ":"))) + 1 > size
            for a, b in zip(mine.itertuples(), mine.iloc[1:].itertuples(), strict=False)
        )


_CACHE: dict[str, Any] = {}


def _book() -> PriceBook:
    return _CACHE.setdefault("book", PriceBook.load())


def _work(factory: pytest.TempPathFactory) -> Work:
    if "work" not in _CACHE:
        _CACHE["work"] = work_of(factory.mktemp("work"), [f"question {'long ' * i}{i}" for i in range(12)], _book())
    found: Work = _CACHE["work"]
    return found


def test_the_providers_limits_are_as_published() -> None:
    """OpenAI: 50,000 requests and 200 MB a file, one model; Anthropic: 100,000 requests and 256 MB."""
    assert (FORMATS["openai"].requests, FORMATS["openai"].bytes, FORMATS["openai"].one_model) == (50_000, 200_000_000, True)
    assert (FORMATS["anthropic"].requests, FORMATS["anthropic"].bytes) == (100_000, 256_000_000)


def test_the_price_is_of_batch_rates(tmp_path: Path, book: PriceBook) -> None:
    """The quote is tokens times the book's batch rates, half of the standard ones here, and says that it is estimated."""
    work = work_of(tmp_path, [f"question {i}" for i in range(7)], book)
    found = write_batches(work, "openai", tmp_path / "out", book=book)
    for row in found.table.itertuples():
        rate = book.quote(row.model, "openai", "batch").usd_per_mtok
        assert row.usd == pytest.approx(7 * (100 * rate["input_tokens"] + 50 * rate["output_tokens"]) / 1e6)
        assert row.at_most_usd > row.usd
    assert found.table["usd"].sum() == pytest.approx(work.asks["price_pusd"].sum() / 1e12 / 2)
    assert set(found.table["evidence"]) == {"estimated"}
    assert "at batch rates (estimated" in found.text


def test_what_a_run_answered_is_not_in_the_files(tmp_path: Path, book: PriceBook) -> None:
    """Nothing is paid for twice: answered asks are left out and counted."""
    work = work_of(tmp_path, ["a", "b"], book)
    with Journal(tmp_path / "work" / "journal.jsonl") as journal:
        ask = work.asks["ask_id"].iloc[0]
        journal.write("start", call="c", ask=ask, at_most_pusd=5)
        journal.write("end", call="c", ask=ask, model="m", status="ok", http=200, cost_pusd=5, body={})
    found = write_batches(work, "openai", tmp_path / "out", book=book)
    assert found.table["requests"].sum() == 3
    assert found.left_out.to_dict("records") == [{"why": "answered by a run already", "asks": 1}]
    assert "Not in them: 1: answered by a run already." in found.text


def test_bad_input_is_one_sentence_with_the_next_step(tmp_path: Path, book: PriceBook) -> None:
    """Unknown formats, folders in use, nothing to write and models without batch rates say what to do."""
    work = work_of(tmp_path, ["a"], book)
    with pytest.raises(InputError, match="one of openai, anthropic"):
        write_batches(work, "azure", tmp_path / "out", book=book)
    with pytest.raises(InputError, match="a new or empty folder"):
        write_batches(work, "openai", tmp_path / "work", book=book)
    with pytest.raises(NeedsError, match=r"2: served by another provider.*planner labels run"):
        write_batches(work, "anthropic", tmp_path / "out", book=book)
    (tmp_path / "prices.yaml").write_text(
        "format: planner.prices\nversion: 1\nrates:\n  - provider: openai\n    model: in-house\n    from: 2020-01-01\n    source: us\n"
        "    usd_per_mtok: {input_tokens: 0.1, output_tokens: 0.2}\n"
    )
    own = PriceBook.load(tmp_path / "prices.yaml")
    mine = sample_labels(_traffic(tmp_path / "own", [prompt("x")]), ["in-house"], 1, book=own, least=1).work
    with pytest.raises(PriceError, match="no batch rate for in-house"):
        write_batches(mine, "openai", tmp_path / "out", book=own)
    assert not (tmp_path / "out").exists()
