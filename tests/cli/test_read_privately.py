"""``planner read``: what is copied and what is not on the command line, and what a person sees while it runs."""

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

import pytest
from support.litellm_records import PAYLOAD

from planner.traffic import Traffic, read


def _log(path: Path, rows: int) -> Path:
    said = [{"role": "user", "content": "Write to carol@example.org"}]
    records = ({**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "end_user": "carol", "messages": said} for i in range(rows))
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


@pytest.fixture(scope="module")
def twice_read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, the log read with its text, and read without."""
    folder = tmp_path_factory.mktemp("twice")
    log = _log(folder / "log.jsonl", 3)
    read(log, out=folder / "whole", text=True)
    read(log, out=folder / "bare")
    return folder


def test_redact_is_asked_for_by_one_option(planner: Callable[..., Any], tmp_path: Path) -> None:
    """With --redact neither the output nor the folder holds the address or the name; without it the folder does."""
    log = _log(tmp_path / "log.jsonl", 3)
    for options, held in ((["--redact"], False), ([], True)):
        ran = planner("read", log, "--text", *options, "--json", cwd=tmp_path)
        assert "carol" not in ran.out
        stored = Traffic.open(tmp_path / ran.json["folder"]).frame("user", "messages").to_csv()
        assert ("carol" in stored) == held


def test_what_was_copied_is_said_in_a_line(planner: Callable[..., Any], tmp_path: Path) -> None:
    """After reading one line says where prompts and answers are, and how to have or to mark them."""
    log = _log(tmp_path / "log.jsonl", 3)
    said = {
        options: " ".join(planner("read", log, *options, "--out", f"out{i}", cwd=tmp_path).out.split())
        for i, options in enumerate([(), ("--text",), ("--text", "--redact")])
    }
    assert "The prompts and answers of 3 requests stayed in the log: --text copies them" in said[()]
    assert "copied into" not in said[()]
    whole = "Prompts and answers were copied into out1, readable by its owner only; --redact marks personal data in them."
    assert whole in said[("--text",)]
    assert "Prompts and answers were copied into out2, redacted, readable by its owner only." in said[("--text", "--redact")]
    stored = Traffic.open(tmp_path / "out0").frame("user", "messages", "response")
    assert stored["messages"].isna().all()
    assert set(stored["user"]) == {"carol"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["log.jsonl", "--labels", "--redact", "--sample", "10%", "--out", "x"], "--redact and --sample for a table of graded answers"),
        (["log.jsonl", "--prompt", "q", "--text", "--out", "x"], "--text for a table of graded answers"),
        (["log.jsonl", "--preview", "--redact", "--map", "app=team"], "--map and --redact for --preview"),
        (["log.jsonl", "--preview", "--out", "x"], "--out for --preview"),
        (["log.jsonl", "--sessions"], "--sessions for a log without its text"),
        (["bare", "--sample-text", "--sample", "10%"], "--text for bare, which was read before"),
        (["whole", "--redact"], "--redact for whole, which was read before"),
        (["bare", "--text", "--out", "x"], "--out 'x' and --text for bare, which was read before"),
        (["whole", "--app-from", "team", "--sample", "50%"], "--app-from 'team' for whole, which was read before"),
        (["bare", "--sessions"], "--sessions for a log without its text"),
    ],
)
def test_options_that_would_do_nothing_are_refused(planner: Callable[..., Any], twice_read: Path, options: list[str], named: str) -> None:
    """What cannot be honoured is named in one sentence, and nothing is written."""
    before = sorted(p for p in twice_read.rglob("*") if p.is_file())
    ran = planner("read", *options, cwd=twice_read)
    assert ran.code == 2
    assert named in " ".join(ran.err.split())
    assert sorted(p for p in twice_read.rglob("*") if p.is_file()) == before


@pytest.mark.parametrize(
    "options",
    [["--sample", "20%"], ["--text", "--sessions"], ["--text", "--sessions", "--sample", "20%"], ["--sample-text", "--sample", "20%"]],
)
def test_what_a_sample_leaves_out_is_nowhere(planner: Callable[..., Any], tmp_path: Path, options: list[str]) -> None:
    """On the way to a sample or to conversations nothing else is left, neither below .planner nor beside the folder that was asked for."""
    log = _log(tmp_path / "log.jsonl", 60)
    assert planner("read", log, *options, "--out", "small", cwd=tmp_path).code == 0
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_dir()} == {".planner", ".planner/traffic", "small"}
    assert {p.name for p in (tmp_path / ".planner").rglob("*") if p.is_file()} - {"salt"} == {"folders.jsonl"}


def test_a_folder_that_was_read_stays_when_it_is_sampled(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Only what reading itself wrote on the way goes: a log that was read before is still there."""
    log = _log(tmp_path / "log.jsonl", 60)
    planner("read", log, "--out", "whole", cwd=tmp_path)
    assert planner("read", "whole", "--sample", "50%", "--out", "half", cwd=tmp_path).code == 0
    assert len(Traffic.open(tmp_path / "whole")) == 60


def test_the_text_of_a_sample_alone_is_copied(planner: Callable[..., Any], tmp_path: Path) -> None:
    """--sample-text asks for the text of the share that it draws, and for no other: every row is there, some with their prompt."""
    log = _log(tmp_path / "log.jsonl", 400)
    records = [{**json.loads(x), "end_user": f"u{i}", "trace_id": f"s{i}"} for i, x in enumerate(log.read_text("utf-8").splitlines())]
    log.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    assert planner("read", log, "--sample-text", "--sample", "20%", "--out", "small", cwd=tmp_path).code == 0
    with_text = Traffic.open(tmp_path / "small").frame("messages")["messages"].notna()
    assert len(with_text) == 400
    assert 0 < with_text.sum() < 200


def test_a_verb_on_the_way_copies_no_text(planner: Callable[..., Any], tmp_path: Path) -> None:
    """A verb that is given a raw log reads it without its prompts, once, and needs no word about it."""
    log = _log(tmp_path / "log.jsonl", 3)
    for _ in range(2):
        ran = planner("audit", log, cwd=tmp_path)
        assert (ran.code, ran.err) == (0, "")
    (folder,) = (tmp_path / ".planner" / "traffic").iterdir()
    assert Traffic.open(folder).filled("messages", "response") == ()


def test_a_verb_that_needs_prompts_says_how_to_have_them(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Given a raw log, it names the command that copies them, before it reads anything; after it, the log's own name is enough."""
    log = _log(tmp_path / "log.jsonl", 60)
    draw = ("labels", "sample", log, "--candidate", "gpt-5-mini", "--budget", "0.05", "--out", "work")
    ran = planner(*draw, cwd=tmp_path)
    assert ran.code == 2
    assert f"Ask for it: planner read {log} --text, then the same command again." in " ".join(ran.err.split())
    assert not (tmp_path / ".planner" / "traffic").exists()
    assert planner("read", log, "--out", "bare", cwd=tmp_path).code == 0
    refused = planner("labels", "sample", "bare", *draw[3:], cwd=tmp_path)
    assert refused.code == 2
    assert "Read the log log.jsonl with its text (planner read LOG --text)." in " ".join(refused.err.split())
    hidden = planner("read", log, "--redact", "--out", "hidden", cwd=tmp_path)
    assert "An earlier reading" not in hidden.out
    refused = planner("labels", "sample", "hidden", *draw[3:], cwd=tmp_path)
    assert "(planner read LOG --text --redact)." in " ".join(refused.err.split())
    assert planner("read", log, "--text", cwd=tmp_path).code == 0
    assert "An earlier reading, .planner/traffic/" in " ".join(planner("read", log, "--out", "later", cwd=tmp_path).out.split())
    again = planner(*draw, cwd=tmp_path)
    assert "text" not in again.err


def test_a_log_without_any_text_is_not_told_to_be_read_again(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Where the log itself has no prompts, a lever that needs them is refused for that, with or without --text before."""
    log = _log(tmp_path / "log.jsonl", 60)
    records = [{**json.loads(x), "messages": None, "response": None} for x in log.read_text("utf-8").splitlines()]
    log.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    (tmp_path / "plan.yaml").write_text("format: planner.plan\nversion: 1\nname: p\nlevers:\n- {kind: compress, method: rank}\n", "utf-8")
    for _ in range(2):
        ran = planner("compare", log, "plan.yaml", cwd=tmp_path)
        assert ran.code == 2
        assert "needs messages, which this log does not have. Leave the lever out." in " ".join(ran.err.split())
        planner("read", log, "--text", cwd=tmp_path)


def test_names_of_a_redacted_log_without_text_are_not_copied_either(planner: Callable[..., Any], tmp_path: Path) -> None:
    """A verb that would read prompts, given a log that has none and was read redacted, names that reading and copies no name."""
    log = _log(tmp_path / "log.jsonl", 60)
    records = [{**json.loads(x), "messages": None, "response": None} for x in log.read_text("utf-8").splitlines()]
    log.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    planner("read", log, "--redact", "--out", "hidden", cwd=tmp_path)
    ran = planner("labels", "sample", log, "--candidate", "gpt-5-mini", "--budget", "0.05", "--out", "work", cwd=tmp_path)
    assert "which was read into hidden redacted" in " ".join(ran.err.split())
    assert not (tmp_path / ".planner" / "traffic").exists()


def test_text_of_a_redacted_log_is_asked_for_redacted(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Who read a log redacted is not told to copy it as it is: the command that is named redacts, and its folder is named after it."""
    log = _log(tmp_path / "log.jsonl", 60)
    draw = ("labels", "sample", log, "--candidate", "gpt-5-mini", "--budget", "0.05", "--out", "work")
    planner("read", log, "--redact", "--out", "hidden", cwd=tmp_path)
    ran = planner(*draw, cwd=tmp_path)
    assert f"Ask for it: planner read {log} --text --redact, then give the folder that it names." in " ".join(ran.err.split())
    planner("read", log, "--redact", "--text", "--out", "marked", cwd=tmp_path)
    assert "Use marked, or read the log as it is" in " ".join(planner(*draw, cwd=tmp_path).err.split())


def test_conversations_of_a_folder_with_text_are_rebuilt(planner: Callable[..., Any], twice_read: Path, tmp_path: Path) -> None:
    """A folder that holds its text needs no --text to rebuild conversations."""
    assert planner("read", "whole", "--sessions", "--out", tmp_path / "rebuilt", cwd=twice_read).code == 0


def test_a_log_that_was_read_redacted_is_not_copied_by_the_next_verb(planner: Callable[..., Any], tmp_path: Path) -> None:
    """After --redact a verb that is given the log itself names the folder instead of copying names; reading still may."""
    log = _log(tmp_path / "log.jsonl", 3)
    planner("read", log, "--redact", "--out", "hidden", cwd=tmp_path)
    ran = planner("audit", log, cwd=tmp_path)
    assert ran.code == 2
    assert "which was read into hidden redacted" in " ".join(ran.err.split())
    assert not (tmp_path / ".planner" / "traffic").exists()
    assert planner("audit", "hidden", cwd=tmp_path).code == 0
    assert planner("read", log, cwd=tmp_path).code == 0
    assert planner("audit", log, cwd=tmp_path).code == 0


def test_a_reading_from_before_is_still_opened(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Who read a log and then redacted goes on with the first reading by the log's name, until the log grows: nothing is copied."""
    log = _log(tmp_path / "log.jsonl", 3)
    assert planner("audit", log, cwd=tmp_path).code == 0
    assert planner("read", log, "--redact", "--out", "private", cwd=tmp_path).code == 0
    copies = sorted((tmp_path / ".planner" / "traffic").iterdir())
    ran = planner("audit", log, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert sorted((tmp_path / ".planner" / "traffic").iterdir()) == copies
    _log(log, 4)
    grown = planner("audit", log, cwd=tmp_path)
    assert grown.code == 2
    assert "which was read into private redacted" in " ".join(grown.err.split())


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


def test_prompts_of_an_earlier_reading_are_not_joined_unless_asked_for(planner: Callable[..., Any], tmp_path: Path) -> None:
    """``planner join`` without --text takes no prompt along that an earlier ``read --text`` copied; with it, it does."""
    log = _log(tmp_path / "log.jsonl", 3)
    (tmp_path / "scores.csv").write_text(
        "request_id,timestamp,model,quality\n" + "".join(f"r{i},2025-11-03T09:00:00Z,gpt-5,1\n" for i in range(3)), "utf-8"
    )
    assert planner("read", log, "--text", cwd=tmp_path).code == 0
    for options, copied in (((), 0), (("--text",), 3)):
        ran = planner("join", log, "scores.csv", *options, "--out", "both", cwd=tmp_path)
        assert ran.code == 0, ran.err
        joined = Traffic.open(tmp_path / "both")
        assert (joined.frame("messages")["messages"].notna().sum(), joined.meta["text"]) == (copied, bool(copied))


def test_a_folder_of_which_one_file_was_read_redacted_is_not_that_reading(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Where a part of the files was read redacted, no name is copied, and the advice is a reading of all of them, not the part's."""
    (tmp_path / "logs").mkdir()
    _log(tmp_path / "logs" / "a.jsonl", 3)
    assert planner("read", "logs/a.jsonl", "--redact", "--out", "hidden", cwd=tmp_path).code == 0
    lines = _log(tmp_path / "logs" / "b.jsonl", 5).read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "logs" / "b.jsonl").write_text("".join(lines[3:]), "utf-8")
    ran = planner("audit", "logs", cwd=tmp_path)
    said = " ".join(ran.err.split())
    assert (ran.code, (tmp_path / ".planner" / "traffic").exists()) == (2, False)
    assert "logs, some files of which were read into hidden redacted, and some not" in said
    assert "Use the folder that planner read logs --redact names" in said
    assert planner("read", "logs", "--redact", "--out", "all", cwd=tmp_path).code == 0
    assert "logs, which was read into all redacted" in " ".join(planner("audit", "logs", cwd=tmp_path).err.split())
