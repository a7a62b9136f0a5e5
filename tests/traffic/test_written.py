"""The list of folders that were written elsewhere: each once, in order, and never in the way."""

from __future__ import annotations

import stat
from pathlib import Path

import pandas as pd
import pytest

from planner.labels import Labels
from planner.traffic import read, sampled
from planner.traffic.written import WRITTEN, listed, noted

_ROWS = "request_id,timestamp,model,user\n" + "".join(f"r{i},2026-11-03T09:00:0{i}Z,m,u{i}\n" for i in range(9))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a log beside it."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "log.csv").write_text(_ROWS, "utf-8")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path


def test_what_is_written_elsewhere_is_listed_once(here: Path) -> None:
    """Readings, samples and labels outside .planner are listed in the order they were made, again and again the same; others are not."""
    traffic = read(here / "log.csv", text=True)
    assert listed() == []
    for _ in range(2):
        read(here / "log.csv", out=here / "a", text=True)
        sampled(traffic, 1.0, "b")
    Labels.of(pd.DataFrame({"request_id": ["x"]}), pd.DataFrame({"request_id": ["x"], "model": ["m"], "quality": [1.0]})).save(here / "c")
    assert listed() == [here / "a", here / "desk" / "b", here / "c"]
    assert stat.S_IMODE(WRITTEN.stat().st_mode) == 0o600


def test_a_list_that_is_damaged_or_cannot_be_written_stops_nothing(here: Path) -> None:
    """Lines that are no path are passed over; where .planner is a file, reading goes on without a list."""
    noted(here / "with\nline break")
    with WRITTEN.open("a", encoding="utf-8") as file:
        file.write('{"no": "path"}\nbroken\n')
    noted(here / "b")
    assert listed() == [here / "with\nline break", here / "b"]
    WRITTEN.unlink()
    WRITTEN.parent.rmdir()
    WRITTEN.parent.write_text("", "utf-8")
    assert len(read(here / "log.csv", out=here / "a", text=True)) == 9
    assert listed() == []
