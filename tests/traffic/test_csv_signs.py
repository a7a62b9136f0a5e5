"""Tables whose cells are parted by semicolons or tabs are read like those parted by commas."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import read
from planner.traffic.records import records

_NAMES = ["request_id", "timestamp", "model", "input_tokens", "messages"]
_ROWS = [[f"r{i}", "2026-11-03T09:00:00Z", "gpt-5", str(i), f'say "{i}";\tthen,\nleave'] for i in range(50)]


def _table(path: Path, sign: str, names: list[str] = _NAMES) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=sign).writerows([names, *_ROWS])
    return path


@pytest.mark.parametrize("sign", [";", "\t"])
def test_other_signs_between_cells_read_like_commas(sign: str, tmp_path: Path) -> None:
    """Semicolons and tabs part cells, in quotes they are text; a row that is looked at once more is opened the same."""
    _ROWS.append(_ROWS[3])  # its id comes again: such rows are opened alone
    try:
        paths = [_table(tmp_path / "a.csv", ","), _table(tmp_path / "b.csv", sign)]
    finally:
        _ROWS.pop()
    found = [read(path, out=tmp_path / path.stem, text=True) for path in paths]
    pd.testing.assert_frame_equal(*(log.frame(*TRAFFIC.names) for log in found))
    assert [log.quarantine["reason"].tolist() for log in found] == [["request_id 'r3' again; the first one is kept"]] * 2


def test_commas_stand_before_other_signs(tmp_path: Path) -> None:
    """A header with a comma is parted by commas, whatever else is in its names."""
    (tmp_path / "log.csv").write_text("a;b;c,d\n1;2,3\n", "utf-8")
    assert [f.value for f in records(tmp_path / "log.csv")] == [{"a;b;c": "1;2", "d": "3"}]


def test_a_cut_table_of_semicolons_says_so(tmp_path: Path) -> None:
    """Where such a table ends inside a cell, its last row says that, and no other row is lost."""
    whole = _table(tmp_path / "log.csv", ";").read_text("utf-8")
    (tmp_path / "log.csv").write_text(whole[: whole.rindex("then")], "utf-8")
    found = list(records(tmp_path / "log.csv"))
    assert [f.problem.partition(":")[0] for f in found if f.value is None] == ["a cell that does not end"]
    assert len(found) == len(_ROWS)


def test_names_that_are_cut_say_so_and_only_lacking_columns_are_asked_for(tmp_path: Path) -> None:
    """An unknown table shows long names with their cut marked, and is asked for columns that it lacks or has by another name."""
    names = ["a_very_long_name_of_an_identifier", "when", "model", "input_tokens", "prompt"]
    with pytest.raises(InputError, match=r"columns a_very_long_name_of_an_…, when, model") as caught:
        read(_table(tmp_path / "log.csv", ";", names))
    assert caught.value.fix == "for any other table: mapping={'request_id': COLUMN, 'timestamp': COLUMN, 'output_tokens': COLUMN}"
    with pytest.raises(InputError) as caught:
        read(_table(tmp_path / "likely.csv", ",", ["call_id", "created_at", "model", "Prompt Tokens", "prompt"]))
    likely = "mapping={'request_id': 'call_id', 'timestamp': 'created_at', 'input_tokens': 'Prompt Tokens', 'output_tokens': COLUMN}"
    assert caught.value.fix == f"for any other table: {likely} (columns by their names; check that they are what they seem)"


def test_a_constant_that_no_row_can_hold_is_refused_before_reading(tmp_path: Path) -> None:
    """A constant of the wrong kind is an error that quotes it, not the reason of every row."""
    with pytest.raises(InputError, match=r"'timestamp': '=yesterday'; expected a constant of that column \(timestamp is 'yesterday', not"):
        read(_table(tmp_path / "log.csv", ","), mapping={"timestamp": "=yesterday"})
