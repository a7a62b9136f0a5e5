"""What ``planner read`` says on stderr beside its result: that a file ends early, that no app has a name, that it was broken off."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from support.litellm_records import PAYLOAD
from typer.testing import CliRunner

from planner.cli.audit import audit
from planner.cli.read import read
from planner.errors import InputError
from planner.traffic import Traffic
from planner.traffic import read as read_log

_LINES = [json.dumps({**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "request_tags": [f"bot:{i % 3}", "plain"]}) for i in range(60)]


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(read)
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"]])
@pytest.mark.parametrize("container", ["lines", "array", "gzip"])
def test_a_file_that_ends_early_is_said_aloud(tmp_path: Path, container: str, options: list[str]) -> None:
    """One line on stderr names the file, how far it was read and how many rows of it; what could be read is read, and the code is 0."""
    whole = ("[" + ",\n".join(_LINES) + "]" if container == "array" else "\n".join(_LINES)).encode()
    data = gzip.compress(whole, mtime=0) if container == "gzip" else whole
    (tmp_path / "whole.jsonl").write_text("\n".join(_LINES).replace('"id": "r', '"id": "other'), "utf-8")
    (tmp_path / "cut.jsonl").write_bytes(data[: -len(data) // 3])
    said = _run(str(tmp_path / "cut.jsonl"), str(tmp_path / "whole.jsonl"), "--out", str(tmp_path / "out"), "--allow-twice", *options)
    assert said.exit_code == 0
    (line,) = said.stderr.splitlines()
    rows = json.loads((tmp_path / "out" / "traffic.json").read_text("utf-8"))["files"]["cut.jsonl"]["accepted"]
    assert 0 < rows < 60
    assert line.startswith("WARNING: cut.jsonl ENDS EARLY (")
    assert f" {rows} rows of it were read, and every total is of that part only." in line
    how = "after " if container == "gzip" else f"after {(tmp_path / 'cut.jsonl').stat().st_size:,} bytes)"
    assert how in line
    assert "cut.jsonl ENDS EARLY (" in Traffic.open(tmp_path / "out").text


def test_a_verb_says_that_a_log_was_read_with_other_apps_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb that is given the log names the last reading that was told where apps are; not of a log that has changed since."""
    monkeypatch.chdir(tmp_path)
    (log := tmp_path / "calls.jsonl").write_text("\n".join(_LINES), "utf-8")
    app = typer.Typer()
    app.command()(audit)
    assert "NOTE" not in CliRunner().invoke(app, ["calls.jsonl"], catch_exceptions=False).stderr
    _run("calls.jsonl", "--app-from", "tag:bot", "--out", "first")
    _run("calls.jsonl", "--app-from", "tag:bot", "--map", "user==ann", "--out", "second")
    said = CliRunner().invoke(app, ["calls.jsonl"], catch_exceptions=False).stderr
    assert said.splitlines() == [
        "NOTE: calls.jsonl is taken as it is here; it was read with --app-from tag:bot --map user==ann into second. "
        "Give that folder to go on with it."
    ]
    assert CliRunner().invoke(app, ["second"], catch_exceptions=False).stderr == ""
    log.write_text("\n".join(_LINES[1:]), "utf-8")
    assert "NOTE" not in CliRunner().invoke(app, ["calls.jsonl"], catch_exceptions=False).stderr


def test_other_verbs_say_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb that reads a log on its way says that the log ends early, each time that its numbers are shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.jsonl").write_bytes("\n".join(_LINES).encode()[:-100])
    for _ in range(2):
        app = typer.Typer()
        app.command()(audit)
        said = CliRunner().invoke(app, ["cut.jsonl", "--json"], catch_exceptions=False)
        assert (said.exit_code, said.stderr.count("WARNING: cut.jsonl ENDS EARLY")) == (0, 1)


def test_a_whole_log_is_read_without_a_word(tmp_path: Path) -> None:
    """Nothing is said where files are whole, be a record in them broken, and where apps have names."""
    (tmp_path / "log.jsonl").write_text("\n".join([*_LINES, '{"broken": }', ""]), "utf-8")
    for number, app_from in enumerate([[], ["--app-from", "tag:bot"], ["--app-from", "model_group"]]):
        assert _run(str(tmp_path / "log.jsonl"), "--out", str(tmp_path / f"{number}"), *app_from).stderr == ""


@pytest.mark.parametrize(
    ("app_from", "instead"),
    [
        ("tag:nothing", "Its tags begin with bot:; planner read LOG --preview"),
        ("metadata:nothing", "'default'. planner read LOG --preview"),
    ],
)
def test_a_source_that_names_no_app_is_said(tmp_path: Path, app_from: str, instead: str) -> None:
    """Where every request falls to the default, one line says so, and of tags which prefixes there are."""
    (tmp_path / "log.jsonl").write_text("\n".join(_LINES), "utf-8")
    said = _run(str(tmp_path / "log.jsonl"), "--app-from", app_from, "--out", str(tmp_path / "out"), "--quiet")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"WARNING: --app-from {app_from} names the app of no request: all are in 'default'.")
    assert instead in line


@pytest.mark.parametrize("app_from", ["nonsense", "tag", "tag:", "team:x"])
def test_a_wrong_source_of_apps_lists_those_of_the_format(tmp_path: Path, app_from: str) -> None:
    """The sources are listed as they are written, with the name that some take, and nothing is said of tables of graded answers."""
    (tmp_path / "log.jsonl").write_text("\n".join(_LINES), "utf-8")
    with pytest.raises(InputError, match=r"tag:PREFIX, team, key, model_group, metadata:FIELD\. Or give .* mapping=\{'app': '=NAME'\}\.$"):
        _run(str(tmp_path / "log.jsonl"), "--app-from", app_from, "--out", str(tmp_path / "out"))


#: Runs ``planner`` and interrupts it, as Ctrl-C does, once the reading has kept a part, or where none is kept, once it has begun.
_INTERRUPTED = """
import _thread, sys, threading, time
from pathlib import Path
import planner.traffic.read, planner.traffic.streams as streams
kept = sys.argv.pop(1) == "kept"
if kept:
    sys.modules["planner.traffic.read"]._KEPT_BYTES, streams._BLOCK_BYTES = 0, 20_000

def interrupt():
    while not list(Path().rglob("000000.arrow" if kept else "quarantine.parquet")):
        time.sleep(0.005)
    _thread.interrupt_main()

threading.Thread(target=interrupt, daemon=True).start()
from planner.cli import main
main()
"""


@pytest.mark.parametrize(
    ("how", "options", "line"),
    [
        ("kept", ["--out", "out"], "Broken off. What was converted so far is kept in out: the same command goes on from there."),
        ("anew", ["--out", "out"], "Broken off. Nothing was kept: the same command begins anew."),
        ("kept", ["--out", "out", "--text", "--sessions"], "Broken off. Nothing was kept: the same command begins anew."),
    ],
)
def test_ctrl_c_says_what_is_kept(tmp_path: Path, how: str, options: list[str], line: str) -> None:
    """Interrupted with its output redirected, the reading ends with 130 and one line that says what is kept and how to go on."""
    (tmp_path / "log.jsonl").write_text("\n".join(_LINES * 1_000), "utf-8")
    call = [sys.executable, "-c", _INTERRUPTED, how, "read", "log.jsonl", *options]
    done = subprocess.run(call, check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr == f"{line}\n"
    parts = [f for f in tmp_path.rglob("*.arrow") if f.is_file()]
    assert bool(parts) == ("is kept in" in line)


@pytest.mark.parametrize("left", ["parts", "half"])
def test_a_folder_of_a_broken_off_reading_says_what_it_is(tmp_path: Path, left: str) -> None:
    """Read as a log, what an interrupted or killed reading left is named, with how to go on; in a folder of logs it is passed over."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.jsonl").write_text("\n".join(_LINES), "utf-8")
    out = read_log(tmp_path / "logs" / "log.jsonl", out=tmp_path / "logs" / "out", text=True).folder
    (out / "traffic.json").unlink()
    if left == "half":
        for name in ("traffic.parquet", "quarantine.parquet"):
            (out / name).write_bytes((out / name).read_bytes()[:-8])
    else:
        shutil.rmtree(out)
        (out / "parts").mkdir(parents=True)
        (out / "parts" / "key").write_text("k", "utf-8")
    with pytest.raises(InputError, match=r"out, in which a reading was broken off; .* Run the command that wrote it again: it goes on"):
        read_log(out, out=tmp_path / "other", text=True)
    assert len(read_log(tmp_path / "logs", out=tmp_path / "all", text=True)) == 60
