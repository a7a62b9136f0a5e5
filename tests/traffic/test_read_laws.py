"""Laws of reading, on whatever a file holds; test_reader_laws.py has those of every format."""

from __future__ import annotations

import copy
import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.litellm_records import PAYLOAD, SPEND

from planner.errors import InputError
from planner.schema import STATUSES, TEXT_STATES, TOKEN_BUCKETS, TRAFFIC
from planner.traffic import read

_N = 4
#: Reader → a sound record of its format; those of all readers, and their laws: test_reader_laws.py.
SEEDS: dict[str, dict[str, Any]] = {
    "azure_llm": {"TIMESTAMP": "2023-11-16 18:17:03.9799600", "ContextTokens": 1200, "GeneratedTokens": 30},
    "litellm_payload": PAYLOAD,
    "litellm_spend": SPEND,
    "mooncake": {"timestamp": 27482, "input_length": 1200, "output_length": 30, "hash_ids": [46, 47, 2353]},
    "table": {"request_id": "a", "timestamp": "2026-11-03T09:00:00Z", "model": "m", "input_tokens": 12, "output_tokens": 3},
}
_IDS = ("id", "litellm_call_id", "request_id")
_JUNK: Sequence[Any] = (
    *(None, "", "x", "\x00", "\ud800", "é‮🜁", "NaN", "-1", "1e400", "true"),
    *(True, False, 0, -1, 2**53 + 1, 2**63, -(2**70), 10**400, 1.5, -0.5, 1e308, float("nan"), float("inf"), float("-inf")),
    *([], {}, [None], [1, "x", {}], {"a": {"b": []}}, [[[]]], "{broken", '"{\\"a\\": 1}"'),
)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, v in inner for p in [(*at, key), *_paths(v, (*at, key))]]


@st.composite
def _mutated(draw: st.DrawFn, seed: dict[str, Any]) -> dict[str, Any]:
    record = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, 3))):
        paths = _paths(record)
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        target: Any = record
        for key in above:
            target = target[key]
        if draw(st.booleans()):
            del target[last]
        else:
            target[last] = copy.deepcopy(draw(st.sampled_from(_JUNK)))
    return record


def _numbered(seed: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: f"{v}-{i}" if k in _IDS else v for k, v in seed.items()} for i in range(_N)]


def _read(text: str, name: str, suffix: str = ".jsonl") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read text as a file and return (accepted rows, quarantine)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log{suffix}"
        path.write_text(text, "utf-8", newline="")
        traffic = read(path, name, out=Path(folder) / "out", text=True)
        return traffic.frame(*TRAFFIC.names), traffic.quarantine


def _check(rows: pd.DataFrame, aside: pd.DataFrame, raws: list[str]) -> None:
    assert len(rows) + len(aside) == len(raws)
    for row in aside.to_dict("records"):
        assert row["raw"].rstrip("\r\n") == raws[row["line"] - 1]
        assert row["reason"]
        assert row["file"].startswith("log.")
    assert rows["request_id"].is_unique
    assert rows[["request_id", "timestamp", "model"]].notna().all(axis=None)
    assert rows["status"].isin(STATUSES).all()
    assert rows["text_state"].isin(TEXT_STATES).all()
    assert (rows[list(TOKEN_BUCKETS)] >= 0).all(axis=None)
    assert not (rows["latency_ms"] < 0).any()


@pytest.mark.parametrize("name", SEEDS)
def test_sound_records_are_recognised_and_accepted(name: str, tmp_path: Path) -> None:
    """Detection picks the reader whose format it is, and every sound record is accepted."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in _numbered(SEEDS[name])), "utf-8")
    traffic = read(path, out=tmp_path / "out", text=True)
    assert traffic.meta["source_format"] == name
    assert (len(traffic), len(traffic.quarantine)) == (_N, 0)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=30)
@given(data=st.data())
def test_mutated_json_never_crashes_and_nothing_is_lost(name: str, data: st.DataObject) -> None:
    """Rows in are accepted plus quarantined, whole and with a reason, whatever values were dropped or replaced."""
    records = _numbered(SEEDS[name])
    hit = data.draw(st.integers(0, _N - 1))
    records[hit] = data.draw(_mutated(records[hit]))
    lines = [json.dumps(r) for r in records]
    rows, aside = _read("\n".join(lines) + "\n", name)
    _check(rows, aside, lines)
    assert set(aside["line"]) <= {hit + 1}


@pytest.mark.parametrize("name", ["azure_llm", "litellm_spend", "table"])
@settings(max_examples=25)
@given(data=st.data())
def test_mutated_csv_never_crashes_and_nothing_is_lost(name: str, data: st.DataObject) -> None:
    """The same holds for CSV, where any value may also hold quotes, commas and line ends."""
    records = _numbered(SEEDS[name])
    hit = data.draw(st.integers(0, _N - 1))
    key = data.draw(st.sampled_from(sorted(records[hit])))
    records[hit][key] = data.draw(st.one_of(st.sampled_from(_JUNK), st.text(st.characters(exclude_categories=["Cs"]))))
    rows = []
    for record in records:
        line = io.StringIO()
        csv.writer(line).writerow([json.dumps(v) if isinstance(v, dict | list) else v for v in record.values()])
        rows.append(line.getvalue())
    text = ",".join(records[0]) + "\r\n" + "".join(rows)
    found, aside = _read(text.encode("utf-8", "replace").decode(), name, ".csv")
    _check(found, aside, [r.encode("utf-8", "replace").decode().rstrip("\r\n") for r in rows])


@settings(max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize("name", ["litellm_payload", "litellm_spend"])
def test_buckets_sum_to_the_sources_totals_or_the_row_is_set_aside(name: str, data: st.DataObject) -> None:
    """An accepted row's buckets sum to LiteLLM's prompt and completion tokens, for any counts it may state."""
    counts = st.integers(0, 50)
    prompt, completion, cached, written, hour, reasoning = (data.draw(counts) for _ in range(6))
    total = data.draw(st.sampled_from([prompt + completion, prompt + completion + 1]))
    split = {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": written}
    details = {"cached_tokens": cached, "cache_creation_tokens": written + hour, "cache_creation_token_details": split}
    usage = {"prompt_tokens_details": details, "completion_tokens_details": {"reasoning_tokens": reasoning}}
    counts_of = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    record = {**SEEDS[name], **counts_of, "metadata": {"usage_object": usage}}
    sound = cached + written + hour <= prompt and reasoning <= completion and total == prompt + completion
    buckets = [prompt - cached - written - hour, cached, written, hour, completion - reasoning, reasoning]
    rows, aside = _read(json.dumps(record) + "\n" + json.dumps(_numbered(SEEDS[name])[0]), name)
    assert len(rows) == 1 + sound
    if sound:
        assert rows[list(TOKEN_BUCKETS)].iloc[0].tolist() == buckets
    else:
        assert sum(word.strip(",").isdigit() for word in aside["reason"][0].split()) >= 2  # both numbers


@settings(max_examples=30)
@given(st.binary(max_size=200), st.sampled_from([".json", ".csv", ".jsonl.gz"]))
def test_any_bytes_are_read_or_refused_in_one_sentence(noise: bytes, suffix: str) -> None:
    """A file of anything is either an InputError or rows that add up, never another exception."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log{suffix}"
        path.write_bytes(json.dumps(SEEDS["table"]).encode() + b"\n" + noise)
        try:
            traffic = read(path, "table", out=Path(folder) / "out", text=True)
        except InputError:
            return
        assert len(traffic) >= 1
