"""A log that holds the same calls twice is refused, and honest repetition is not."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.small import traffic_of
from typer.testing import CliRunner

from planner.cli.app import app
from planner.errors import InputError
from planner.traffic import Traffic, join_twice, read, sampled
from planner.traffic.join import join
from planner.traffic.join_twice import Twice, refuse_twice

_START = pd.Timestamp("2026-11-01", tz="UTC")


def _calls(n: int, seed: int, days: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "request_id": [f"c{i}" for i in range(n)],
            "timestamp": _START + pd.to_timedelta(np.sort(rng.integers(0, int(86_400_000 * days), n)), unit="ms"),
            "model": rng.choice(["gpt-5", "gpt-5-mini"], n),
            "input_tokens": rng.integers(10, 300, n),
            "output_tokens": rng.integers(1, 100, n),
            "latency_ms": rng.lognormal(6, 0.5, n),
        }
    )


def _seen_again(calls: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """The same calls as another observer logs them: other ids, a little later and shorter."""
    rng = np.random.default_rng(seed)
    late = pd.to_timedelta(rng.integers(5, 400, len(calls)), unit="ms")
    other = "time-x-" + calls["request_id"]
    return calls.assign(request_id=other, timestamp=calls["timestamp"] + late, latency_ms=calls["latency_ms"] - rng.random(len(calls)) * 20)


def _log(folder: Path, *parts: pd.DataFrame) -> Traffic:
    return traffic_of(folder, pd.concat(parts, ignore_index=True).to_dict("list"))


def test_two_views_in_one_log_are_refused(tmp_path: Path) -> None:
    """A gateway's and a tracer's rows of the same calls, one after another in a log, are not summed; the refusal says to join them."""
    calls = _calls(2_000, 0)
    with pytest.raises(InputError, match=r"twice.*planner\.join"):
        refuse_twice(_log(tmp_path / "both", calls, _seen_again(calls)))
    refuse_twice(_log(tmp_path / "one", calls))


def test_an_overlap_of_one_day_is_found(tmp_path: Path) -> None:
    """Ten days of one log beside one day of the other are refused, and the day is named."""
    calls = _calls(8_000, 0, days=10)
    day = calls[calls["timestamp"].dt.day == 4]
    with pytest.raises(InputError, match=r"2026-11-04"):
        refuse_twice(_log(tmp_path / "log", calls, _seen_again(day)))


@pytest.mark.parametrize("spelt", ["{}-2025-08-07", "openai/{}", "azure/eastus/{}", "OpenAI/{}@20250807"])
def test_a_model_is_the_same_however_it_is_spelt(tmp_path: Path, spelt: str) -> None:
    """A second view that writes the model with its provider or date is found as well."""
    calls = _calls(500, 0)
    with pytest.raises(InputError, match="twice"):
        refuse_twice(_log(tmp_path, calls, _seen_again(calls).assign(model=calls["model"].map(spelt.format))))


@pytest.mark.parametrize(("views", "words"), [(3, "3 times"), (4, "4 times")])
def test_more_than_two_views_are_refused(tmp_path: Path, views: int, words: str) -> None:
    """Three or four logs of the same calls, read as one, are refused like two."""
    calls = _calls(2_000, 0)
    more = [_seen_again(calls, k).assign(request_id=f"v{k}-" + calls["request_id"]) for k in range(views - 1)]
    with pytest.raises(InputError, match=rf"of {views * 2_000:,} requests {words}"):
        refuse_twice(_log(tmp_path, calls, *more))


@pytest.mark.parametrize("lag_ms", [-120.0, 120.0, 400.0])
def test_what_lies_between_two_observers_makes_no_difference(tmp_path: Path, lag_ms: float) -> None:
    """A second view whose durations are all longer, or shorter, by the way between the two is found as well."""
    calls = _calls(1_000, 0).assign(latency_ms=lambda c: c["latency_ms"] + 500.0)
    with pytest.raises(InputError, match="twice"):
        refuse_twice(_log(tmp_path, calls, _seen_again(calls).assign(latency_ms=lambda c: c["latency_ms"] + lag_ms)))


def test_pairs_of_calls_are_read_when_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts of every document, alike in all that is looked at, are refused with how to insist; then they are read and joined."""
    monkeypatch.chdir(tmp_path)
    times = [_START + pd.Timedelta(5 * (i // 2) + 0.1 * (i % 2), unit="s") for i in range(600)]
    calls = [
        {"request_id": f"e{i}", "timestamp": t.isoformat(), "model": "embed", "input_tokens": 512, "latency_ms": 50}
        for i, t in enumerate(times)
    ]
    Path("calls.jsonl").write_text("".join(json.dumps(c) + "\n" for c in calls), "utf-8")
    Path("scores.jsonl").write_text("".join(json.dumps({**c, "quality": 1.0}) + "\n" for c in calls), "utf-8")
    with pytest.raises(InputError, match=r"the first at 2026-11-01 00:00:00\.000000 UTC.*allow_twice=True\), in the shell .*--allow-twice"):
        read("calls.jsonl", text=True)
    done = CliRunner().invoke(app, ["read", "calls.jsonl", "--allow-twice", "--out", "calls", "--quiet"])
    assert done.exit_code == 0, done.output
    scores = read("scores.jsonl", allow_twice=True, out="scores", text=True)
    joined = join(Traffic.open("calls"), scores, "joined")
    assert (len(joined), joined.meta["allow_twice"], sampled(joined, 0.5, "half").meta["allow_twice"]) == (600, True, True)
    with pytest.raises(InputError, match="twice"):
        read("calls.jsonl", text=True)


@pytest.mark.parametrize("per_second", [0.05, 0.2, 0.5, 5.0])
@pytest.mark.parametrize("latency_ms", [None, 300.0, 1e300])
def test_repetition_by_chance_is_not_doubling(tmp_path: Path, per_second: float, latency_ms: float | None) -> None:
    """One kind of call over and over at any rate, with equal durations or none, is not refused: chance gives at most 30 % pairs."""
    rng = np.random.default_rng(7)
    when = _START + pd.to_timedelta(np.cumsum(rng.exponential(1e6 / per_second, 5_000)).astype(int), unit="us")
    refuse_twice(traffic_of(tmp_path, {"timestamp": when, "model": "m", "input_tokens": 512, "output_tokens": 1, "latency_ms": latency_ms}))


def test_asking_twice_at_once_is_not_doubling(tmp_path: Path) -> None:
    """An app that asks every question twice at the same time takes different times over it, so its log is accepted."""
    calls = _calls(2_000, 0)
    own = np.random.default_rng(5).lognormal(6, 0.5, len(calls))
    refuse_twice(_log(tmp_path, calls, _seen_again(calls).assign(latency_ms=own)))


def test_join_refuses_a_log_that_doubles(tmp_path: Path) -> None:
    """A tracer that logged every call by two instruments cannot be joined to anything."""
    calls = _calls(500, 0)
    gateway = _log(tmp_path / "a", calls)
    with pytest.raises(InputError, match=r"twice"):
        join(gateway, _log(tmp_path / "b", _seen_again(calls, 1), _seen_again(calls, 2).assign(request_id="y-" + calls["request_id"])))


def test_blocks_make_no_difference(tmp_path: Path) -> None:
    """The same rows in one block or in many are refused alike; nothing is taken from empty ones."""
    calls = _calls(300, 0)
    table = _log(tmp_path, calls, _seen_again(calls)).arrow()
    told = []
    for size in (600, 7):
        twice = Twice()
        for start in range(0, 600, size):
            twice.add(table.slice(start, size))
        twice.add(table.slice(0, 0))
        with pytest.raises(InputError) as refused:
            twice.refuse()
        told.append(str(refused.value))
    assert told[0] == told[1]
    Twice().refuse()


@pytest.mark.parametrize("views", [1, 2, 3])
def test_looking_in_shards_changes_nothing(views: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is looked at in many small shards is refused in the same words as at once, or is not refused either."""
    calls = _calls(3_000, 0, days=3)
    others = (_seen_again(calls, seed).assign(request_id=f"v{seed}-" + calls["request_id"]) for seed in range(views - 1))
    log = _log(tmp_path / "log", calls, *others)
    said = []
    for rows in (10_000_000, 200):
        monkeypatch.setattr(join_twice, "_SHARD_ROWS", rows)
        try:
            refuse_twice(log)
        except InputError as error:
            said.append(str(error))
    assert said[1:] == said[:1]
    assert len(said) == 2 * (views > 1)


def test_memory_goes_by_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at 400,000 rows in twenty shards takes less than forty bytes a row beside the twenty that are held."""
    monkeypatch.setattr(join_twice, "_SHARD_ROWS", 20_000)
    twice = Twice()
    for start in range(0, 400_000, 50_000):
        twice.add(pa.Table.from_pandas(_calls(50_000, start), preserve_index=False))
    tracemalloc.start()
    try:
        twice.refuse()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 400_000
