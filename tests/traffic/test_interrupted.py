"""A reading that is killed leaves nothing that is taken for a log, and the same call reads it as if nothing had been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.litellm_records import PAYLOAD

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, read

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
    read(log, out=out, rows_done=lambda rows: rows > 20_000 and die())
else:
    Path.replace = die
    read(log, out=out)
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
    return read(log, out=tmp_path_factory.mktemp("whole") / "out")


@pytest.mark.parametrize("where", ["rows", "header"])
def test_a_killed_reading_does_no_harm(log: Path, whole: Traffic, tmp_path: Path, where: str) -> None:
    """After kill −9 between two blocks, or before the header is whole, the folder is no log; the same call makes one equal to any other."""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", _KILLED, where, str(log), str(out)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / "traffic.parquet").exists()
    with pytest.raises(InputError, match="a folder written by"):
        Traffic.open(out)
    again = read(log, out=out)
    assert again.hash == whole.hash
    assert dict(again.meta) == dict(whole.meta)
    assert again.frame(*TRAFFIC.names).equals(whole.frame(*TRAFFIC.names))
    assert again.quarantine.equals(whole.quarantine)
    assert {f.name for f in out.iterdir()} == {"traffic.json", "traffic.parquet", "quarantine.parquet"}


def test_progress_counts_every_row_and_every_byte(log: Path, tmp_path: Path) -> None:
    """Both reports grow and end at what there is: all rows, accepted or not, and the file's size."""
    bytes_done: list[Any] = []
    rows: list[int] = []
    read(log, out=tmp_path / "out", progress=lambda *done: bytes_done.append(done), rows_done=rows.append)
    assert rows == sorted(rows)
    assert len(rows) >= 3
    assert rows[-1] == _ROWS
    size = log.stat().st_size
    assert bytes_done == sorted(bytes_done)
    assert bytes_done[-1] == (size, size)
