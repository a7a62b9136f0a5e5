"""A reading that is killed leaves nothing that is taken for a log, and the same call goes on and ends as if nothing had been."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.litellm_records import PAYLOAD

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, pieces, read
from planner.traffic.kept import Kept
from planner.traffic.nests import Nest
from planner.traffic.reader import Options
from planner.traffic.readers.litellm_payload import READER
from planner.traffic.records import Lines

_ROWS = 40_000
#: Kills its own process while the N-th block of rows is being written, or while the header is.
_KILLED = """
import os, signal, sys
from pathlib import Path
from planner.traffic import read, handle

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

where, log, out = sys.argv[1:]
if where == "rows":
    read(log, out=out, rows_done=lambda rows: rows > 20_000 and die(), text=True)
else:
    Path.replace = die
    read(log, out=out, text=True)
"""


#: The same, with what was converted kept from the first byte on, in parts of 1 MiB.
_KEPT = """
import sys
import planner.traffic.read, planner.traffic.streams as streams
sys.modules["planner.traffic.read"]._KEPT_BYTES, streams._BLOCK_BYTES = 0, 1 << 20
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a log of several blocks of rows, some of them broken."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    lines = [json.dumps({**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}"}) if i % 1_000 else '{"broken' for i in range(_ROWS)]
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def whole(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Read the log undisturbed."""
    return read(log, out=tmp_path_factory.mktemp("whole") / "out", text=True)


@pytest.mark.parametrize("where", ["rows", "header"])
def test_a_killed_reading_does_no_harm(log: Path, whole: Traffic, tmp_path: Path, where: str) -> None:
    """After kill −9 between two blocks, or before the header is whole, the folder is no log; the same call makes one equal to any other."""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", _KILLED, where, str(log), str(out)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / "traffic.parquet").exists()
    with pytest.raises(InputError, match="a folder written by"):
        Traffic.open(out)
    again = read(log, out=out, text=True)
    assert again.hash == whole.hash
    assert dict(again.meta) == dict(whole.meta)
    assert again.frame(*TRAFFIC.names).equals(whole.frame(*TRAFFIC.names))
    assert again.quarantine.equals(whole.quarantine)
    assert {f.name for f in out.iterdir()} == {"traffic.json", "traffic.parquet", "quarantine.parquet"}


def test_progress_counts_every_row_and_every_byte(log: Path, tmp_path: Path) -> None:
    """Both reports grow and end at what there is: all rows, accepted or not, and the file's size."""
    bytes_done: list[Any] = []
    rows: list[int] = []
    read(log, out=tmp_path / "out", progress=lambda *done: bytes_done.append(done), rows_done=rows.append, text=True)
    assert rows == sorted(rows)
    assert len(rows) >= 3
    assert rows[-1] == _ROWS
    size = log.stat().st_size
    assert bytes_done == sorted(bytes_done)
    assert bytes_done[-1] == (size, size)


def _broken_off(log: Path, out: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KEPT + _KILLED, "rows", str(log), str(out)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep what is converted in parts of 1 MiB, and collect the records of every part that is."""
    sizes: list[int] = []
    convert = pieces.Converter.__call__

    def counted(self: pieces.Converter, file: str, given: pieces.Input, one_by_one: bool = False) -> pieces.Piece:
        piece = convert(self, file, given, one_by_one)
        sizes.extend([] if one_by_one else [len(piece)])
        return piece

    monkeypatch.setattr(pieces.Converter, "__call__", counted)
    monkeypatch.setattr(sys.modules["planner.traffic.read"], "_KEPT_BYTES", 0)
    monkeypatch.setattr("planner.traffic.streams._BLOCK_BYTES", 1 << 20)
    return sizes


def _same(found: Traffic, whole: Traffic) -> None:
    assert dict(found.meta) == dict(whole.meta)
    for name in ("traffic.parquet", "quarantine.parquet"):
        assert (found.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert {f.name for f in found.folder.iterdir()} == {"traffic.json", "traffic.parquet", "quarantine.parquet"}


def test_a_kept_piece_is_the_piece(tmp_path: Path) -> None:
    """Nothing of a piece is lost on disk: rows, places, shared calls, what lies in what, counts, and the records beside the rows."""
    lines = [
        json.dumps({**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "status": "failure" if i == 3 else "success"}) for i in range(9)
    ]
    given = Lines(5, "\n".join([*lines, "", '{"broken']).encode())
    convert = pieces.Converter(READER, Options())
    nest = Nest({"inner": "outer"}, {"inner"}, {0: "inner"})
    piece = dataclasses.replace(convert("log", given), nests=[(0, nest)], joined=2, text_left=3)
    assert 0 < len(piece.items) < len(piece)
    kept = Kept(tmp_path, "key")
    kept.keep(0, piece)
    kept.close(over=False)
    found = Kept(tmp_path, "key").piece(0, "log", given, convert)
    assert found is not None
    for field in dataclasses.fields(pieces.Piece):
        one, other = getattr(found, field.name), getattr(piece, field.name)
        assert bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other, field.name


def test_a_killed_reading_goes_on(log: Path, whole: Traffic, tmp_path: Path, converted: list[int]) -> None:
    """After kill −9 half way only the rest is converted, and every byte is that of a reading that was never broken off."""
    _broken_off(log, tmp_path / "out")
    _same(read(log, out=tmp_path / "out", text=True), whole)
    assert 0 < sum(converted) < 0.7 * _ROWS


def test_a_part_that_is_damaged_is_converted_anew(log: Path, whole: Traffic, tmp_path: Path, converted: list[int]) -> None:
    """A part of which the end is missing, or that is no part at all, is not believed."""
    _broken_off(log, tmp_path / "out")
    first, second, *_ = sorted((tmp_path / "out" / "parts").glob("*.arrow"))
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"nothing")
    _same(read(log, out=tmp_path / "out", text=True), whole)
    assert 0 < sum(converted) < 0.8 * _ROWS


@pytest.mark.parametrize("change", ["file", "options", "redact"])
def test_another_reading_begins_anew(log: Path, tmp_path: Path, converted: list[int], change: str) -> None:
    """Parts of a log that was changed since, or that was read otherwise, are not mixed in; where names may not be, none are kept."""
    own = tmp_path / "log.jsonl"
    own.write_bytes(log.read_bytes())
    _broken_off(own, tmp_path / "out")
    if change == "file":
        own.write_bytes(own.read_bytes().replace(b"r39998", b"r99999"))
    asked: dict[str, dict[str, Any]] = {"file": {}, "options": {"app_from": "team"}, "redact": {"redact": True}}
    options = asked[change]
    found = read(own, out=tmp_path / "out", **options, text=True)
    assert sum(converted) == _ROWS
    _same(found, read(own, out=tmp_path / "anew", **options, text=True))


def test_without_text_a_reading_goes_on_and_no_word_is_kept(log: Path, tmp_path: Path, converted: list[int]) -> None:
    """A reading that leaves text in the log is resumed as any other, and none of the parts that it kept until then holds a prompt."""
    killed = (_KEPT + _KILLED).replace(", text=True)", ")")
    done = subprocess.run([sys.executable, "-c", killed, "rows", str(log), str(tmp_path / "out")], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    parts = sorted((tmp_path / "out" / "parts").glob("*.arrow"))
    kept = [pa.ipc.open_file(pa.OSFile(str(part))).read_all() for part in parts]
    assert kept
    assert all(table["messages"].null_count == table["response"].null_count == len(table) for table in kept)
    found = read(log, out=tmp_path / "out")
    assert sum(converted) < 0.7 * _ROWS
    _same(found, read(log, out=tmp_path / "anew"))


def test_ctrl_c_keeps_what_was_converted(log: Path, whole: Traffic, tmp_path: Path, converted: list[int]) -> None:
    """An interrupt leaves no log, but the parts; a reading that ends with a refusal leaves none."""

    def interrupted(rows: int) -> None:
        if rows > 20_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(log, out=tmp_path / "out", rows_done=interrupted, text=True)
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["parts"]
    converted.clear()
    _same(read(log, out=tmp_path / "out", text=True), whole)
    assert 0 < sum(converted) < 0.7 * _ROWS
    (tmp_path / "none.jsonl").write_text('{"id": "a"}\n', "utf-8")
    with pytest.raises(InputError, match="could be accepted"):
        read(tmp_path / "none.jsonl", "litellm_payload", out=tmp_path / "refused", text=True)
    assert not list((tmp_path / "refused").iterdir())
