"""What a real LiteLLM proxy logs is read as what was sent through it, live and from a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.gateway import gateway
from support.scenario import CALLS, LOGGED, RATES, RECORDED, configuration, expected, mismatches, send
from support.upstream import upstream

from planner.schema import TRAFFIC
from planner.traffic import Traffic, read


@dataclass(frozen=True)
class Live:
    """What a run left: both exports as read, the raw payloads, and how many calls reached the upstream."""

    traffic: Traffic
    spend: Traffic
    payloads: list[dict[str, Any]]
    upstream_calls: int


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    """Send the scenario through a proxy on loopback and read what it logged."""
    folder = tmp_path_factory.mktemp("proxy")
    with upstream() as (url, seen), gateway(folder, configuration(url)) as gate:
        send(gate)
        payloads = gate.settled(LOGGED)
    spend = read(gate.spend_logs, out=folder / "spend", text=True)
    return Live(read(gate.payloads, out=folder / "traffic", text=True), spend, payloads, len(seen))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Read the payloads that an earlier run of the same scenario left."""
    return read(RECORDED, out=tmp_path_factory.mktemp("recorded") / "traffic", text=True)


def _whole(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names)


def test_every_call_is_one_row_that_says_what_was_sent(live: Live) -> None:
    """Tokens, cache, tools, tags, sessions, streams, failures and retries come back as they were sent, one row a call."""
    assert mismatches(_whole(live.traffic)) == []


def test_database_rows_say_the_same(live: Live) -> None:
    """The rows that LiteLLM itself makes for its spend table are read as what was sent, text and retries included."""
    succeeded = [c for c in CALLS if expected(c)["status"] == "ok"]
    assert live.spend.meta["source_format"] == "litellm_spend"
    assert mismatches(_whole(live.spend), succeeded) == []
    assert len(live.spend.quarantine) == 0


def test_the_recorded_payloads_are_read_alike(recorded: Traffic) -> None:
    """The recording in tests/data says the same as a live proxy does, so that fast tests stand on real payloads."""
    assert mismatches(_whole(recorded)) == []


def test_every_payload_is_accepted_or_set_aside(live: Live) -> None:
    """Accepted and quarantined rows add up to the payloads, and only the retried attempt is set aside."""
    traffic, payloads = live.traffic, live.payloads
    assert len(traffic) + len(traffic.quarantine) == len(payloads)
    assert traffic.quarantine["reason"].str.contains("an earlier attempt of request").all()
    assert len(traffic) == len(CALLS)
    assert live.upstream_calls > len(CALLS)  # retries reached the upstream, yet are no rows of their own


def test_the_format_is_recognised(recorded: Traffic) -> None:
    """Detection names the format and what it saw."""
    assert recorded.meta["source_format"] == "litellm_payload"
    assert "response_cost" in recorded.meta["detected"]


@pytest.mark.parametrize("source", ["live", "recorded"])
def test_cost_is_the_rates_on_the_exclusive_buckets(source: str, request: pytest.FixtureRequest) -> None:
    """LiteLLM's own cost equals rates × buckets, so cached tokens are neither counted twice nor lost."""
    found = request.getfixturevalue(source)
    frame = _whole(found if isinstance(found, Traffic) else found.traffic)
    frame = frame[(frame["status"] == "ok") & ~frame["cache_hit"] & (frame["provider"] == "openai")]
    priced = frame["input_tokens"] * RATES["input"] + frame["cache_read_tokens"] * RATES["cached"]
    priced += (frame["output_tokens"] + frame["reasoning_tokens"]) * RATES["output"]
    assert len(frame) >= 10
    assert (priced - frame["source_cost_usd"]).abs().max() < 1e-12


def test_latency_is_the_whole_call_and_first_token_times_are_of_streams(live: Live) -> None:
    """Every row has a latency, streams alone a time to first token, and it is not above the latency."""
    frame = _whole(live.traffic)
    assert (frame["latency_ms"] > 0).all()
    streams = frame["stream"].to_numpy()
    assert frame["ttft_ms"].notna().to_numpy().tolist() == streams.tolist()
    assert (frame["ttft_ms"] <= frame["latency_ms"])[streams].all()


def test_a_retried_call_spans_its_attempts(live: Live) -> None:
    """The row of a call that was retried starts with its first attempt and ends with its last."""
    traffic, payloads = live.traffic, live.payloads
    tries = [p for p in payloads if "then well" in str(p["messages"])]
    row = _whole(traffic).set_index("attempts").loc[2]
    span_ms = 1000 * (max(p["endTime"] for p in tries) - min(p["startTime"] for p in tries))
    assert len(tries) == 2
    assert row["latency_ms"] == pytest.approx(span_ms, abs=0.01)
    assert row["status"] == "ok"


def test_a_folder_of_one_object_a_file_reads_the_same(recorded: Traffic, tmp_path: Path) -> None:
    """The S3 layout, one pretty-printed object a file in dated folders, gives the same rows as one NDJSON file."""
    import json

    for i, line in enumerate(RECORDED.read_text("utf-8").splitlines()):
        folder = tmp_path / "logs" / f"2026-11-0{i % 3 + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03d}.json").write_text(json.dumps(json.loads(line), indent=2), "utf-8")
    again = read(tmp_path / "logs", out=tmp_path / "traffic", text=True)
    one, other = (_whole(t).sort_values("request_id", ignore_index=True) for t in (recorded, again))
    pd.testing.assert_frame_equal(one, other)
