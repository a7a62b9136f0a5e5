"""A redacted reading: no secret, no name is left in any file of the folder, and users are still told apart."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.litellm_records import PAYLOAD

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.privacy import hashed, salt_at

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
    traffic = read(_log(here / "in"), redact=True)
    # the one request whose own id is an address keeps it: ids are what parts of a log are joined by
    left = _everything(traffic).replace(f"r1 {_MAIL}", "")
    assert not [s for s in (_MAIL, _CARD, _KEY, "person-", "session-of-carol") if s in left]
    assert "I am <EMAIL>, card <CARD>\\nkey <KEY>" in traffic.frame("messages")["messages"][0]
    assert (len(traffic), len(traffic.quarantine)) == (7, 2)
    assert set(traffic.quarantine["raw"]) == {""}
    assert traffic.quarantine["line"].tolist() == [7, 9]


def test_only_texts_and_names_differ(here: Path) -> None:
    """Every other column is what it is without redaction, and users and sessions are as many."""
    log = _log(here / "in")
    plain, hidden = read(log).frame(*TRAFFIC.names), read(log, redact=True).frame(*TRAFFIC.names)
    same = [n for n in TRAFFIC.names if n not in (*_TEXTS, "user", "session_id")]
    assert plain[same].equals(hidden[same])
    for name in ("user", "session_id"):
        assert plain.groupby(name, sort=False).ngroup().tolist() == hidden.groupby(name, sort=False).ngroup().tolist()


def test_without_asking_texts_and_names_are_as_logged(here: Path) -> None:
    """The default changes nothing, and makes no salt."""
    traffic = read(_log(here / "in"))
    assert _MAIL in traffic.frame("messages")["messages"][0]
    assert traffic.frame("user")["user"][0] == "person-0"
    assert not (here / ".planner" / "salt").exists()


def test_a_user_is_the_same_in_every_reading(here: Path) -> None:
    """Two logs, read one after another, agree in the hash of a user; another salt gives another one."""
    first, second = (read(_log(here / n, rows), redact=True).frame("user")["user"] for n, rows in (("a", 4), ("b", 8)))
    assert set(first) == set(second)
    assert first[0] == hashed("person-0", salt_at(here / ".planner" / "salt") or b"")
    (here / ".planner" / "salt").unlink()
    assert set(read(_log(here / "c", 10), redact=True).frame("user")["user"]).isdisjoint(first)


def test_a_redacted_reading_has_a_folder_of_its_own(here: Path) -> None:
    """A log that was read in full is not given out for a redacted one."""
    log = _log(here / "in")
    assert read(log).folder != read(log, redact=True).folder


@pytest.mark.parametrize("redact", [False, True])
def test_what_is_written_is_for_its_owner_alone(here: Path, redact: bool) -> None:
    """Under a usual umask every folder that reading makes has mode 0700 and every file 0600, the derived arrays, too."""
    from planner.traffic.rows import identities

    old = os.umask(0o022)
    try:
        identities(read(_log(here / "in"), redact=redact))
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
        read(_log(here / "in"), redact=True)
    assert (here / ".planner" / "salt").read_bytes() == b"short"
