"""What the shell advises can be typed: every next step parses as a command of ours, and advice names options, not keyword arguments."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from planner.cli.app import app
from planner.cli.speech import pasted, spoken
from planner.errors import PlannerError
from planner.followup.gate import gate
from planner.labels import Labels
from planner.prices import PriceBook
from planner.traffic import read
from planner.training import train

_CLAIMS = "".join(f"{'prove' if i % 3 else 'name'} number {i},1,{int(i % 3 == 0)}\n" for i in range(300))


def _parsed(line: str) -> dict[str, Any]:
    """Return the arguments of a command line as its verb takes them; an option that is unknown or lacking raises."""
    words = shlex.split(line.partition(" < ")[0])
    assert words.pop(0) == "planner"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    parsed: dict[str, Any] = command.make_context("planner", words).params
    return parsed


@pytest.mark.parametrize("name", ["labels.json", "work.json", "manifest.json"])
def test_another_folder_of_ours_is_answered_with_a_command_that_parses(name: str, tmp_path: Path) -> None:
    """A folder that is no log is refused with a command that has all it needs, also where the folder's name holds a space."""
    (folder := tmp_path / "my folder").mkdir()
    (folder / name).write_text("{}", "utf-8")
    with pytest.raises(PlannerError) as caught:
        read(folder)
    assert str(folder) in map(str, _parsed(caught.value.fix.removeprefix("use it with: ")).values())


@pytest.mark.parametrize("verb", ["read", "train", "export", "apps", "gateway"])
def test_the_next_step_of_a_verb_can_be_pasted(verb: str, desk: Any, inside: Callable[..., Any], tmp_path: Path) -> None:
    """The command after "Next:" parses as it stands, with a space in what it names."""
    out, known = tmp_path / "an answer", ("--log", desk.traffic)
    ran = {
        "read": ("read", desk.log, "--out", out),
        "train": ("train", desk.labels, *known, "--out", out),
        "export": ("export", desk.labels, *known, "--out", out),
        "apps": ("apps", "init", desk.traffic, "--out", out),
        "gateway": ("export", desk.labels, *known, "--gateway", "litellm", "--out", out),
    }[verb]
    code, said, err = inside(*ran)
    assert code == 0, err
    (line,) = re.findall("^Next: (.*)$", said, re.MULTILINE)
    assert str(out) in map(str, _parsed(line).values())


def test_what_was_said_to_train_is_said_to_the_next_step(inside: Callable[..., Any], tmp_path: Path) -> None:
    """A table of stated costs is exported by the command that train gives, which repeats what train was told."""
    (table := tmp_path / "bench mark.csv").write_text(f"question,correct_big,correct_small\n{_CLAIMS}", "utf-8")
    told = ("--cost", "big=20,small=1", "--quality", "correct_*", "--prompt", "question", "--reference", "big", "--floor", "0.5")
    code, out, err = inside("train", table, *told, "--out", tmp_path / "router", "--json")
    assert code == 0, err
    line = json.loads(out)["next"]
    verb = _parsed(line)
    assert (verb["cost"], verb["quality"], verb["prompt"]) == (["big=20,small=1"], "correct_*", "question")
    if " export " in line:
        assert (verb["reference"], verb["floor"]) == ("big", 0.5)
        words = shlex.split(line.replace("ANOTHER_FOLDER", shlex.quote(str(tmp_path / "another"))))[1:]
        assert inside(*words)[0] == 0


def test_advice_of_the_library_names_the_shells_options(tmp_path: Path) -> None:
    """Where the library asks for an argument, the shell says its option; what only Python can do is not said there."""
    rows = [{"request_id": f"r{i}", "model": m, "quality": i % k} for i in range(300) for m, k in (("gpt-5", 2), ("gpt-5-mini", 1))]
    items = pd.DataFrame({"request_id": [f"r{i}" for i in range(300)], "messages": [f"question {i}" for i in range(300)]})
    labels = Labels.of(items, pd.DataFrame(rows))
    with pytest.raises(PlannerError) as several:
        gate(labels, labels)
    assert spoken(str(several.value)).endswith("Name it with --model.")
    with pytest.raises(PlannerError) as unsized:
        train(labels, book=PriceBook.load())
    assert "--expected-output gpt-5=TOKENS" in spoken(str(unsized.value))
    assert "expected_output" not in spoken(str(unsized.value))
    (tmp_path / "table.csv").write_text("id,when\n1,2\n", "utf-8")
    with pytest.raises(PlannerError) as unknown:
        read(tmp_path / "table.csv")
    asked = "--map request_id=id --map timestamp=COLUMN --map model=COLUMN --map input_tokens=COLUMN --map output_tokens=COLUMN"
    assert asked in spoken(str(unknown.value))


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("leave human= (--human) out", "leave --human out"),
        ("pass cost={'a': 1, 'b': 20, ...} (--cost a=1,b=20,...): only", "pass --cost a=1,b=20,...: only"),
        ("divide: quality='a/100' (in the shell --quality 'a/100')", "divide: --quality 'a/100'"),
        ("say so: planner.read(LOG, allow_twice=True), in the shell planner read --allow-twice", "say so: planner read --allow-twice"),
        ("give its rate with PriceBook.load('p.yaml') (--prices p.yaml), or", "give its rate with --prices p.yaml, or"),
        ("for example 0.02, in the shell 2%", "for example 2%"),
        ("simulate it whole, in the shell: planner compare", "simulate it whole, in the shell: planner compare"),
        ("another folder; or replace=True (--replace), with which", "another folder; or --replace, with which"),
        ("before 2026: state the assumption with assume_tier_before_start, or give", "before 2026: give"),
        ("name the grades' columns with quality=.", "name the grades' columns with --quality 'PATTERN*'."),
    ],
)
def test_both_ways_of_saying_it_become_the_shells_one(sentence: str, said: str) -> None:
    """What the library says for itself beside the shell's option is left out in the shell."""
    assert spoken(sentence) == said


def test_a_pasted_line_reads_back_as_its_words() -> None:
    """Whatever stands in a name, the shell takes the line apart into the words it was made of."""
    words = ["planner", "audit", "it's $HOME/my log*.jsonl"]
    assert shlex.split(pasted(*words)) == words
