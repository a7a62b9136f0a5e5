"""A redacted reading: no secret, no name of a user is left in any file of the folder, and users are still told apart."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.litellm_records import PAYLOAD

from benchmarks.reader_mutations import SEEDS, seeds
from planner.errors import InputError
from planner.prices import PriceBook
from planner.schema import TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.privacy import CLOSED, hashed, salt_at
from planner.traffic.records import records
from planner.traffic.redaction import redacted

_MAIL, _CARD, _KEY = "carol.jones@example.org", "4111 1111 1111 1111", "sk-proj-A1b2C3d4E5f6G7h8I9j0K1l2"
_TEXTS = ("messages", "response", "tags")


def _records(rows: int = 6) -> list[dict[str, Any]]:
    said = [{"role": "user", "content": f"I am {_MAIL}, card {_CARD}\nkey {_KEY}"}]
    answer = {"choices": [{"message": {"role": "assistant", "content": f"Hello {_MAIL}"}, "finish_reason": "stop"}]}
    own = {"messages": said, "response": answer, "session_id": "session-of-carol", "request_tags": [f"who:{_MAIL}"]}
    return [{**PAYLOAD, **own, "id": f"r{i}", "litellm_call_id": f"c{i}", "end_user": f"person-{i % 2}"} for i in range(rows)]


def _log(folder: Path, rows: int = 6) -> Path:
    folder.mkdir(exist_ok=True)
    broken = '{"end_user": "person-0", "messages": "' + _MAIL + "\n"
    twice = json.dumps({**_records(1)[0], "id": f"r1 {_MAIL}"}) + "\n"
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in _records(rows)) + broken + twice * 2, "utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _everything(traffic: Traffic) -> str:
    """Return all that is stored of a log, as text."""
    header = (traffic.folder / "traffic.json").read_text("utf-8")
    return traffic.frame(*TRAFFIC.names).to_csv() + traffic.quarantine.to_csv() + header


def test_nothing_of_the_planted_is_left_anywhere(here: Path) -> None:
    """Neither rows nor rows that were set aside nor the header hold an address, a card, a key or a name; the marks say what was there."""
    traffic = read(_log(here / "in"), redact=True, text=True)
    left = _everything(traffic)
    assert not [s for s in (_MAIL, _CARD, _KEY, "person-", "session-of-carol") if s in left]
    assert "I am <EMAIL>, card <CARD>\\nkey <KEY>" in traffic.frame("messages")["messages"][0]
    assert (len(traffic), len(traffic.quarantine)) == (7, 2)
    assert set(traffic.quarantine["raw"]) == {""}
    assert traffic.quarantine["line"].tolist() == [7, 9]


def test_only_texts_and_names_differ(here: Path) -> None:
    """Every other column is what it is without redaction; users, sessions, ids and cache keys are as many, and their ids stay ids."""
    log = _log(here / "in")
    plain, hidden = read(log, text=True).frame(*TRAFFIC.names), read(log, redact=True, text=True).frame(*TRAFFIC.names)
    hashes = ["user", "session_id", "cache_key", "request_id"]
    same = [n for n in TRAFFIC.names if n not in (*_TEXTS, *hashes)]
    assert plain[same].equals(hidden[same])
    for name in hashes:
        assert pd.factorize(plain[name])[0].tolist() == pd.factorize(hidden[name])[0].tolist()
    own = ~plain["request_id"].str.contains("@")
    assert plain["request_id"][own].equals(hidden["request_id"][own])


def _table(path: Path, rows: list[dict[str, Any]]) -> Path:
    whole = [{"request_id": f"r{i}", "timestamp": "2026-11-03T09:00:00Z", "model": "gpt-5-mini", **row} for i, row in enumerate(rows)]
    path.write_text("".join(json.dumps(r) + "\n" for r in whole), "utf-8")
    return path


@pytest.mark.parametrize("column", CLOSED)
def test_a_column_that_passes_no_pattern_lets_in_known_words_only(here: Path, column: str) -> None:
    """A word that is none of the column's own is set aside with its row, so that nothing personal can stand there."""
    traffic = read(_table(here / "log.jsonl", [{}, {column: "of ann@example.org"}]), redact=True, text=True)
    assert (len(traffic), len(traffic.quarantine)) == (1, 1)
    assert "ann@" not in _everything(traffic)


@pytest.mark.parametrize("column", [c.name for c in TRAFFIC.columns if c.type == "string" and c.name not in CLOSED])
def test_no_column_of_words_keeps_personal_data(here: Path, column: str) -> None:
    """An address in any column of free words is gone, whatever the column is for; two rows that differed in it are still two rows."""
    rows = [{column: f"of {who}@example.org"} for who in ("ann", "bob")]
    traffic = read(_table(here / "log.jsonl", rows), redact=True, text=True)
    assert len(traffic) == 2
    assert "@example.org" not in _everything(traffic)
    if column in ("request_id", "app", "cache_key", "user", "session_id"):
        assert traffic.frame(column)[column].nunique() == 2


def test_the_rows_own_names_leave_its_tags_and_ids(here: Path) -> None:
    """Bedrock and LiteLLM repeat user and session in tags: there they are the same hashes; ids and apps that are names become hashes."""
    own = {"user": "ann.smith", "session_id": "CORP\\ann", "app": "ann.smith", "request_id": "ann.smith/2", "cache_key": "key of ann.smith"}
    tags = ["user:ann.smith", "session:CORP\\ann", "team:search", "ann.smithers", "joann.smith", "by ann.smith, CORP\\ann"]
    other = {**own, "request_id": "r9", "user": "bob", "app": "search", "tags": json.dumps(["user:bob", "of ann.smith"])}
    log = _table(here / "log.jsonl", [{**own, "tags": json.dumps(tags)}, other, {**own, "request_id": "r7", "tags": "user=ann.smith"}])
    traffic = read(log, redact=True, text=True)
    rows = traffic.frame().to_dict("records")
    user, session = rows[0]["user"], rows[0]["session_id"]
    kept = ["team:search", "ann.smithers", "joann.smith"]
    assert json.loads(rows[0]["tags"]) == [f"user:{user}", f"session:{session}", *kept, f"by {user}, {session}"]
    assert rows[0]["app"] == user
    assert rows[0]["request_id"] == hashed("ann.smith/2", salt_at(here / ".planner" / "salt") or b"")
    assert rows[0]["cache_key"] == rows[1]["cache_key"] != own["cache_key"]
    assert (rows[1]["app"], rows[1]["request_id"]) == ("search", "r9")
    assert json.loads(rows[1]["tags"]) == [f"user:{rows[1]['user']}", "of ann.smith"]  # somebody else's name is a word like any other
    assert rows[2]["tags"] == f"user={user}"


def test_what_formats_repeat_of_a_user_is_hidden(here: Path) -> None:
    """Bedrock's request metadata and LiteLLM's key alias, tags and custom ids hold no name of the user after reading."""
    call = next(found.value for found in records(SEEDS / "bedrock.ndjson") if found.value and "modelId" in found.value)
    about = {"team": "search", "user": "ann.smith", "session_id": "ann-s1"}
    (here / "bedrock.jsonl").write_text(json.dumps({**call, "requestMetadata": about}) + "\n", "utf-8")
    alias = {"user_api_key_alias": "ann.smith@example.com"}
    paid = {**PAYLOAD, "request_tags": ["user:ann.smith"], "end_user": "ann.smith", "id": "ann.smith/7", "metadata": alias}
    (here / "litellm.jsonl").write_text(json.dumps(paid) + "\n", "utf-8")
    for name in ("bedrock", "litellm"):
        traffic = read(here / f"{name}.jsonl", redact=True, text=True)
        assert len(traffic) == 1
        assert "ann" not in _everything(traffic).replace("planner", "")


def test_reasons_lose_the_values_that_they_quote(here: Path) -> None:
    """A value that could not be read, and an id that came again, are in no reason, neither in the quarantine nor in the header."""
    bad = [
        {"input_tokens": "call me Ann Smith, my SSN is 078-05-1120"},
        {"latency_ms": 'it\'s "Ann" who\\ asks, and this goes on beyond what a reason shows of a value'},
        {"request_id": "Ann 7"},
        {"request_id": "Ann 7"},
    ]
    traffic = read(_table(here / "log.jsonl", [{}, *bad]), redact=True, text=True)
    assert sorted(traffic.quarantine["reason"]) == [
        "input_tokens is '…', not a number",
        "latency_ms is '…', not a number",
        "request_id '…' again; the first one is kept",
    ]
    assert "Ann" not in traffic.quarantine.to_csv() + json.dumps(traffic.meta["reasons"])


def test_reasons_keep_words_that_are_not_of_the_log(here: Path) -> None:
    """What a user mapped, a field that a record lacks, and words that planner expects stand in reasons without text, too."""
    other = read(_table(here / "log.jsonl", [{}, {"spoken": 1}]), mapping={"latency_ms": "spoken"})
    assert other.quarantine["reason"].tolist() == ["no column spoken"]
    (here / "calls.jsonl").write_text(json.dumps(PAYLOAD) + "\n" + json.dumps({**PAYLOAD, "status": "call Ann"}) + "\n", "utf-8")
    assert read(here / "calls.jsonl").quarantine["reason"].tolist() == ["status is '…', neither success nor failure"]
    (here / "trace.csv").write_text("TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,1200\n", "utf-8")
    with pytest.raises(InputError, match=r"could be accepted \(no GeneratedTokens\)"):
        read(here / "trace.csv", "azure_llm")


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: seed.name)
def test_no_reason_of_any_format_tells_a_value(here: Path, seed: Any) -> None:
    """Whichever field of a record of any format holds a sentence instead of what belongs there, the sentence is in no reason."""
    told = 'Ann Smith\'s secret, "quoted"'
    where = SEEDS / seed.name
    files = sorted(where.iterdir()) if where.is_dir() else [where]
    for number, path in enumerate(files):
        if path.suffix not in (".ndjson", ".jsonl"):
            continue
        values = [found.value for found in records(path) if found.value]
        damaged = [spoilt for value in values for spoilt in _spoilt(value, told)]
        out = here / f"in{number}"
        out.mkdir()
        for other in files:
            (out / other.name).write_bytes(other.read_bytes())
        with (out / path.name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(d) + "\n" for d in damaged)
        traffic = read(out, seed.format, redact=True, text=True)
        assert len(traffic.quarantine) > 0
        assert not traffic.quarantine["reason"].str.contains("Smith").any()
        assert "Smith" not in json.dumps(traffic.meta["reasons"])


def _spoilt(value: Any, told: str) -> list[Any]:
    """Return ``value`` with each of its leaves replaced once."""
    if isinstance(value, dict):
        return [{**value, k: new} for k, v in value.items() for new in _spoilt(v, told)]
    if isinstance(value, list):
        return [[*value[:i], new, *value[i + 1 :]] for i, v in enumerate(value) for new in _spoilt(v, told)]
    return [told, [told], {"a": told}]


def test_models_keep_their_names() -> None:
    """No model or provider of the price book holds anything that the patterns take for personal data."""
    rates = PriceBook.load().rates
    names = [*rates["provider"].unique(), *rates["model"].unique()]
    assert len(names) > 100
    assert [n for n in names if redacted(n) != n] == []


def test_file_names_are_redacted_and_stay_different(here: Path) -> None:
    """Files that are named after addresses are told apart by numbers, in the header, the quarantine and the ids made from them."""
    (here / "in").mkdir()
    for who in ("ann", "bob"):
        (here / "in" / f"{who}@example.org.csv").write_text((SEEDS / "azure_llm.csv").read_text("utf-8") + "broken\n", "utf-8")
    traffic = read(here / "in", redact=True, text=True)
    names = ["<EMAIL>", "<EMAIL> (2)"]
    assert list(traffic.meta["files"]) == traffic.quarantine["file"].tolist() == names
    assert traffic.frame("request_id")["request_id"].str.replace(r":\d+$", "", regex=True).unique().tolist() == names
    assert "@" not in _everything(traffic)


def test_without_asking_texts_and_names_are_as_logged(here: Path) -> None:
    """The default changes nothing, and makes no salt."""
    traffic = read(_log(here / "in"), text=True)
    assert _MAIL in traffic.frame("messages")["messages"][0]
    assert traffic.frame("user")["user"][0] == "person-0"
    assert not (here / ".planner" / "salt").exists()


def test_a_user_is_the_same_in_every_reading(here: Path) -> None:
    """Two logs, read one after another, agree in the hash of a user; another salt gives another one."""
    first, second = (read(_log(here / n, rows), redact=True, text=True).frame("user")["user"] for n, rows in (("a", 4), ("b", 8)))
    assert set(first) == set(second)
    assert first[0] == hashed("person-0", salt_at(here / ".planner" / "salt") or b"")
    (here / ".planner" / "salt").unlink()
    assert set(read(_log(here / "c", 10), redact=True, text=True).frame("user")["user"]).isdisjoint(first)


def test_a_redacted_reading_has_a_folder_of_its_own(here: Path) -> None:
    """A log that was read in full is not given out for a redacted one."""
    log = _log(here / "in")
    assert read(log, text=True).folder != read(log, redact=True, text=True).folder


@pytest.mark.parametrize("redact", [False, True])
def test_what_is_written_is_for_its_owner_alone(here: Path, redact: bool) -> None:
    """Under a usual umask every folder that reading makes has mode 0700 and every file 0600, the derived arrays, too."""
    from planner.traffic.rows import identities

    old = os.umask(0o022)
    try:
        identities(read(_log(here / "in"), redact=redact, text=True))
    finally:
        os.umask(old)
    found = [(p, stat.S_IMODE(p.stat().st_mode)) for p in [here / ".planner", *(here / ".planner").rglob("*")]]
    assert len(found) > 6
    assert [(str(p), oct(mode)) for p, mode in found if mode != (0o700 if p.is_dir() else 0o600)] == []


def test_a_file_that_is_no_salt_is_refused(here: Path) -> None:
    """A salt of another length is an error that names it; the file stays."""
    (here / ".planner").mkdir()
    (here / ".planner" / "salt").write_bytes(b"short")
    with pytest.raises(InputError, match="a salt of 32 bytes"):
        read(_log(here / "in"), redact=True, text=True)
    assert (here / ".planner" / "salt").read_bytes() == b"short"
