"""``planner read``: redaction on the command line, and what a person sees while it runs."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.litellm_records import PAYLOAD

from planner.traffic import Traffic


def _log(path: Path, rows: int) -> Path:
    said = [{"role": "user", "content": "Write to carol@example.org"}]
    records = ({**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "end_user": "carol", "messages": said} for i in range(rows))
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


def test_redact_is_asked_for_by_one_option(planner: Callable[..., Any], tmp_path: Path) -> None:
    """With --redact neither the output nor the folder holds the address or the name; without it the folder does."""
    log = _log(tmp_path / "log.jsonl", 3)
    for options, held in ((["--redact"], False), ([], True)):
        ran = planner("read", log, *options, "--json", cwd=tmp_path)
        assert "carol" not in ran.out
        stored = Traffic.open(tmp_path / ran.json["folder"]).frame("user", "messages").to_csv()
        assert ("carol" in stored) == held


def test_a_terminal_shows_rows_a_second_and_the_time_left(tmp_path: Path) -> None:
    """On a terminal the bar shows rows/s and, after <, how long it will take; it is gone at the end, and stdout is clean."""
    log = _log(tmp_path / "log.jsonl", 60_000)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    command = [str(Path(sys.executable).with_name("planner")), "read", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path, text=True) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so at the end of a terminal
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        assert "60,000 requests accepted" in process.stdout.read()
    os.close(ours)
    assert re.search(rb"\d\d:\d\d<\d\d:\d\d.*[\d,]+ rows/s", shown), shown[-300:]
