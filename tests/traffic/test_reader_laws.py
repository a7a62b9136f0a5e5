"""Laws that every reader keeps on records of its own format, sound and damaged, and on those of all others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reader_mutations import SEEDS, Found, Seed, attack, measure, seeds
from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import read
from planner.traffic.reader import all_readers
from planner.traffic.records import records

DATA = Path(__file__).parents[1] / "data"
RECORDED = {
    "litellm_payloads.jsonl": "litellm_payload",
    "litellm_spend_logs.csv": "litellm_spend",
    "litellm_spend_logs.copy.ndjson": "litellm_spend",
    "otel_openai.jsonl": "otel",
    "langfuse_sdk.jsonl": "otel",
}
_ALL = {seed.name: seed for seed in seeds()}


def _records() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (format, record) of all seeds and recordings."""
    for name, seed in _ALL.items():
        where = SEEDS / name
        for path in sorted(where.iterdir()) if where.is_dir() else [where]:
            yield from ((seed.format, found.value) for found in records(path) if found.value)
    for file, format in RECORDED.items():
        yield from ((format, found.value) for found in records(DATA / file) if found.value)


def test_every_reader_has_a_seed() -> None:
    """A format that is added is put under the laws below."""
    assert {seed.format for seed in _ALL.values()} == set(all_readers())


@pytest.mark.parametrize("name", _ALL)
def test_a_seed_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    """Detection says which format it saw and why; naming that format reads the same."""
    found = read(SEEDS / name, out=tmp_path / "found", text=True)
    named = read(SEEDS / name, _ALL[name].format, out=tmp_path / "named", text=True)
    assert found.meta["source_format"] == _ALL[name].format
    assert found.meta["detected"] != named.meta["detected"]
    assert found.arrow().equals(named.arrow())
    assert len(found) > 0


@pytest.mark.parametrize("name", _ALL)
def test_leaving_text_changes_nothing_else(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its text a log has the same rows, all other columns equal, the same lines set aside, and no prompt and no answer."""
    monkeypatch.chdir(tmp_path)
    whole, bare = (read(SEEDS / name, out=tmp_path / str(text), text=text) for text in (True, False))
    same = [c for c in TRAFFIC.names if c not in ("messages", "response", "text_state", "cache_key")]
    assert bare.arrow(*same).equals(whole.arrow(*same))
    assert bare.quarantine[["file", "line"]].equals(whole.quarantine[["file", "line"]])
    assert bare.filled("messages", "response") == ()
    assert (bare.text_left > 0) == bool(whole.filled("messages", "response"))


def test_no_record_is_claimed_by_two_formats() -> None:
    """No reader takes a record of another format, alone or among others, for its own."""
    taken: dict[str, set[str]] = {}
    for format, record in _records():
        for reader in all_readers().values():
            if reader.name != format and reader.sniff([record]):
                taken.setdefault(format, set()).add(reader.name)
    assert taken == {}


@pytest.mark.parametrize("name", _ALL)
def test_a_wrong_format_is_refused_or_sets_aside(name: str, tmp_path: Path) -> None:
    """Reading a log as another format ends in one sentence or in counts that add up, never in another exception."""
    for other in all_readers():
        try:
            traffic = read(SEEDS / name, other, out=tmp_path / other, text=True)
        except InputError:
            continue
        assert traffic.meta["accepted"] + traffic.meta["quarantined"] + traffic.meta["joined"] > 0


@pytest.mark.parametrize("seed", _ALL.values(), ids=_ALL)
@settings(max_examples=10)
@given(at=st.integers(0, 2**32))
def test_mutated_records_crash_nothing_and_nothing_is_lost(seed: Seed, at: int) -> None:
    """Of records with anything dropped, retyped, doubled, cut off or renamed, what is accepted is sound and the rest is set aside."""
    found = Found()
    attack(seed, 2 + 120 // len(seed), random.Random(at), found)
    assert (found.crashed, found.broken) == ([], [])
    assert found.mutations >= 100


def test_the_benchmark_counts_every_format() -> None:
    """The full number comes from the same laws: per format its mutations, and what became of them."""
    results = measure(50, seed=1, formats=["openrouter", "mooncake"])
    assert sorted(results) == ["mooncake", "openrouter"]
    for numbers in results.values():
        assert numbers["mutations"] >= 50
        assert (numbers["crashed"], numbers["broken"]) == (0, 0)
        assert numbers["accepted"] + numbers["set_aside"] + numbers["joined"] >= numbers["mutations"]


def test_a_reader_that_loses_a_record_is_caught(tmp_path: Path) -> None:
    """The laws can fail: a reading of one record less, and one whose reasons show a prompt, are named."""
    from benchmarks.reader_mutations import broken

    (tmp_path / "log").mkdir()
    line = json.dumps({"request_id": "a", "timestamp": "2026-11-03T09:00:00Z", "model": "m", "max_tokens": "Say hi"}) + "\n"
    (tmp_path / "log" / "log.ndjson").write_text(line.replace('"Say hi"', "5") + line.replace('"a"', '"b"'), "utf-8")
    traffic = read(tmp_path / "log", "table", out=tmp_path / "out", text=True)
    seed = Seed("table", "table", ())
    assert broken(seed, tmp_path / "log", traffic) == ["a reason that tells what was said"]
    (tmp_path / "log" / "more.ndjson").write_text(line, "utf-8")
    assert "counts do not add up" in broken(seed, tmp_path / "log", traffic)
