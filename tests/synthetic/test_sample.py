"""The sample log: the same bytes for the same seed, everything promised is in it, and our own reader reads it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from genai_prices import Usage, calc_price

from planner.synthetic import build, load_sample, read_truth, sample_folder, truth, write_sample
from planner.synthetic.arrivals import sessions
from planner.synthetic.labels import sample_labels
from planner.synthetic.log import Log
from planner.synthetic.payloads import lines
from planner.synthetic.sample import MAPPING
from planner.synthetic.world import APPS, DAYS, MODELS, SEED
from planner.text.messages import content_text, conversation
from planner.text.tokens import count_tokens
from planner.traffic import Traffic, read

REQUESTS = 6_000


@pytest.fixture(scope="module")
def log() -> Log:
    """Return a log of a few thousand requests."""
    return build(REQUESTS)


@pytest.fixture(scope="module")
def payloads(log: Log) -> list[dict[str, Any]]:
    """Return its lines, decoded."""
    return [orjson.loads(x) for x in lines(log)]


@pytest.fixture(scope="module")
def traffic(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Return the log as our reader reads it."""
    folder = tmp_path_factory.mktemp("synthetic")
    (folder / "log.jsonl").write_bytes(b"\n".join(lines(log)) + b"\n")
    return read(folder / "log.jsonl", mapping=MAPPING, out=folder / "traffic", text=True)


def _hashes(files: list[Path]) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_equal_seeds_write_equal_bytes(tmp_path: Path) -> None:
    """Two runs of one seed write the same five files byte for byte; another seed changes every table."""
    first, again = (_hashes(write_sample(tmp_path / name, 900)) for name in ("a", "b"))
    other = _hashes(write_sample(tmp_path / "c", 900, seed=1))
    assert first == again
    assert len(first) == 5
    assert all(first[name] != other[name] for name in first)


def test_the_files_of_the_repository_are_what_the_generator_writes(repository: Path) -> None:
    """data/ holds the log (as text), the labels and the truth that today's generator makes."""
    folder = repository / "data"
    log = build()
    made = hashlib.sha256()
    for line in lines(log):
        made.update(line + b"\n")
    kept = hashlib.sha256()
    with pa.CompressedInputStream(str(folder / "sample_log.jsonl.zst"), "zstd") as stream:
        while block := stream.read(1 << 24):
            kept.update(block)
    assert kept.hexdigest() == made.hexdigest()
    labels = sample_labels(log)
    assert orjson.loads((folder / "sample_labels" / "labels.json").read_bytes())["hash"] == labels.hash
    kept_truth, made_truth = read_truth(folder / "sample_truth.parquet"), truth(log)
    assert list(kept_truth.request_id) == list(made_truth.request_id) == list(labels.items["request_id"])
    assert np.allclose(kept_truth.expected, made_truth.expected, atol=1e-6)
    assert np.allclose(kept_truth.cost_usd, made_truth.cost_usd, rtol=1e-6)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 15_000_000


def test_the_reader_accepts_every_line(traffic: Traffic, log: Log, payloads: list[dict[str, Any]]) -> None:
    """Every line becomes a request, none is quarantined, and ids, statuses and tokens are the generator's."""
    assert len(traffic) == len(payloads) > len(log) == REQUESTS
    assert traffic.meta["quarantined"] == 0
    rows = traffic.frame().set_index("request_id").loc[log.column("request_id")]
    assert (rows["status"].to_numpy() == log.column("status")).all()
    ok = log.column("status") == "ok"
    read_tokens = rows["input_tokens"] + rows["cache_read_tokens"] + rows["cache_write_5m_tokens"]
    assert (read_tokens.to_numpy()[ok] == log.column("input")[ok]).all()
    assert (rows["output_tokens"].to_numpy()[ok] == log.column("visible")[ok]).all()
    assert (rows["reasoning_tokens"].to_numpy()[ok] == log.column("reasoning")[ok]).all()


def test_everything_promised_is_in_the_log(traffic: Traffic) -> None:
    """Apps, models, failures, retries, caches, cut and absent text, overhead, runaways and explored actions all occur."""
    rows = traffic.frame()
    assert set(rows["app"]) == {a.name for a in APPS}
    assert rows["model"].nunique() >= 4
    assert set(rows["status"]) == {"ok", "transport", "rate_limit", "content", "validation"}
    assert set(rows["text_state"]) == {"full", "cut", "none"}
    assert set(rows["purpose"]) == {"user", "overhead"}
    assert {"stop", "length", "tool_calls"} <= set(rows["finish_reason"].dropna())
    assert {"text", "json_schema"} == set(rows["response_format"])
    for column in ("cache_read_tokens", "cache_write_5m_tokens", "reasoning_tokens", "has_tools", "cache_hit", "stream"):
        assert (rows[column] > 0).sum() >= 5, column
    assert rows["attempts"].between(1, 3).all()
    assert (rows["attempts"] > 1).sum() > 50
    assert rows["action_propensities"].notna().mean() > 0.2
    assert rows["quality"].notna().sum() > 500
    assert not rows["tags"].str.contains("User-Agent").any()
    assert (rows.groupby("app")["prompt_version"].nunique() > 1).sum() >= 3


def test_one_app_changes_its_model_in_the_middle(traffic: Traffic) -> None:
    """code-assist runs on gpt-5.4 before day 15 and on claude-sonnet-4-5 from then on."""
    rows = traffic.frame("app", "timestamp", "model")
    code = rows[rows["app"] == "code-assist"]
    late = code["timestamp"] >= pd.Timestamp("2026-11-03", tz="UTC")
    assert set(code["model"][~late]) == {"gpt-5.4"}
    assert set(code["model"][late]) == {"claude-sonnet-4-5"}


def test_token_counts_are_those_of_the_text(payloads: list[dict[str, Any]]) -> None:
    """Input = scale · (o200k tokens of contents, calls and tools + 4 a message + 3), output = tokens of the answer."""
    scale, state = {m.name: m.scale for m in MODELS}, {a.name: a.text for a in APPS}
    checked = 0
    for p in payloads[::7]:
        messages, app = p["messages"], p["request_tags"][0][4:]
        if p["status"] != "success" or state[app] != "full" or "internal_call_origin" in p["metadata"]:
            continue
        tools = p["model_parameters"].get("tools")
        texts = [_counted(m) for m in messages] + ([_dumped(tools)] if tools else [])
        expected = round(scale[str(p["model"])] * (int(count_tokens(texts).sum()) + 4 * len(messages) + 3))
        assert abs(expected - int(p["prompt_tokens"])) <= 1
        thought = p["metadata"]["usage_object"]["completion_tokens_details"]["reasoning_tokens"]
        answer = _counted(p["response"]["choices"][0]["message"])
        assert int(count_tokens([answer])[0]) == p["completion_tokens"] - thought
        checked += 1
    assert checked > 500


def _counted(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls") or []
    lines = [f"{c['function']['name']} {c['function']['arguments']}" for c in calls]
    return "\n".join([content_text(message["content"]), *lines])


def _dumped(tools: object) -> str:
    return json.dumps(tools, ensure_ascii=False, separators=(", ", ": "))


def test_histories_grow(log: Log) -> None:
    """Inside a session every request starts with all messages of the one before, and later turns carry its answer."""
    table = log.table.sort_values(["session", "turn"])
    pairs = 0
    for i, j in zip(table.index[:-1], table.index[1:], strict=True):
        if table.at[i, "session"] == table.at[j, "session"] and log.drafts[i].messages:
            before, after = log.drafts[i].messages, log.drafts[j].messages
            assert after[: len(before)] == before
            assert (log.drafts[i].answer in after) == (table.at[i, "status"] == "ok")
            pairs += 1
    assert pairs > 1000


def test_turns_follow_the_answer_before(log: Log) -> None:
    """No turn of a session arrives before the answer to the one before it was complete."""
    table = log.table.sort_values(["session", "turn"])
    same = table["session"].to_numpy()[1:] == table["session"].to_numpy()[:-1]
    done = table["time_us"].to_numpy()[:-1] + table["total_ms"].to_numpy()[:-1] * 1000
    assert (table["time_us"].to_numpy()[1:] - done > -1000)[same].all()


def test_costs_are_the_catalogues_but_for_a_few(payloads: list[dict[str, Any]]) -> None:
    """Between 0.3 and 4 % of the stated costs differ from genai-prices; the others agree to ten decimals."""
    wrong = total = 0
    for p in payloads[::5]:
        if p["status"] != "success" or p["cache_hit"]:
            continue
        usage = p["metadata"]["usage_object"]
        tokens = Usage(
            input_tokens=p["prompt_tokens"],
            cache_read_tokens=usage["prompt_tokens_details"]["cached_tokens"],
            cache_write_tokens=usage.get("cache_creation_input_tokens", 0),
            output_tokens=p["completion_tokens"],
        )
        when = datetime.fromtimestamp(p["startTime"], UTC)
        price = calc_price(tokens, str(p["model"]), provider_id=str(p["custom_llm_provider"]), genai_request_timestamp=when)
        wrong += abs(float(price.total_price) - p["response_cost"]) > 1e-9
        total += 1
    assert total > 1000
    assert 0.003 < wrong / total < 0.04


def test_arrivals_have_their_shape() -> None:
    """Sessions cover all 28 days, hold exactly the requests asked for, are fewer on weekends, and few users make many."""
    table = sessions(20_000, SEED)
    assert table.turns.sum() == 20_000
    day = table.start_us // 86_400_000_000
    assert set(day) == set(range(DAYS))
    chat = np.array([a.name == "docs-rag" for a in APPS])[table.app]
    per_day = np.bincount(day[chat], minlength=DAYS)
    weekend = np.arange(DAYS) % 7 >= 5
    assert per_day[weekend].mean() < 0.5 * per_day[~weekend].mean()
    users = pd.Series(table.user[chat]).value_counts()
    assert users.head(len(users) // 20).sum() > 0.25 * chat.sum()


def test_duplicates_are_there_and_grouped(log: Log) -> None:
    """At least three requests in a hundred repeat an earlier one exactly, more repeat it nearly, and equal texts share their group."""
    texts = pd.Series(["\n".join(m.text for m in d.messages) or None for d in log.drafts])
    groups = log.table["group"]
    exact = texts.duplicated() & texts.notna()
    assert exact.mean() > 0.03
    assert groups.duplicated().mean() > exact.mean() + 0.01
    assert groups[texts.notna()].groupby(texts).nunique().max() == 1


def test_texts_have_no_open_slots_and_several_languages(log: Log) -> None:
    """No template slot is left unfilled, and two to ten per cent of chat sessions are not English."""
    texts = [m.text for d in log.drafts for m in [*d.messages[-1:], d.answer]]
    assert not any(re.search(r"\{[a-z]\}|\{(product|topic|money|code|name)\}", t) for t in texts)
    chat = log.column("app") == 0
    assert 0.02 < (log.demand[chat, 6] > 0).mean() < 0.10


def test_conversations_have_the_published_sizes(log: Log) -> None:
    """Median tokens lie within a third of Splitwise's for conversation (1,020 in, 129 out) and code (1,500 in, 13 out)."""
    table = log.table[log.table["status"] == "ok"]
    names = np.array([a.name for a in APPS])[table["app"]]
    talk, code = table[np.isin(names, ["support-chat", "docs-rag"])], table[names == "code-assist"]
    assert talk["input"].median() == pytest.approx(1020, rel=0.34)
    assert talk["visible"].median() == pytest.approx(129, rel=0.34)
    assert code["input"].median() == pytest.approx(1500, rel=0.34)
    assert code["visible"].median() == pytest.approx(13, abs=8)


def test_load_sample_opens_log_and_labels() -> None:
    """load_sample gives at least 50,000 requests over 28 days and 3,000 labelled ones, all of which are in the log."""
    traffic, labels = load_sample()
    rows = traffic.frame("request_id", "timestamp")
    assert len(traffic) >= 50_000
    assert (rows["timestamp"].max() - rows["timestamp"].min()).days >= 27
    assert len(labels) >= 3_000
    assert set(labels.items["request_id"]) <= set(rows["request_id"])
    known = read_truth(sample_folder() / "sample_truth.parquet")
    assert known.models == labels.models
    item = labels.items.iloc[0]
    assert conversation(item["messages"]).last
