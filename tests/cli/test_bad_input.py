"""Bad input: exit 2, one sentence on stderr, nothing on stdout, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main

#: Arguments with {names} of the files that ``bad`` makes, and what the sentence must name.
CASES = [
    ("read {nothing}", "no file there"),
    ("read {empty}", "is empty"),
    ("read {folder}", "no file there"),
    ("read {garbage}", "garbage.jsonl"),
    ("read {packed}", "packed.jsonl.zst"),
    ("read {parquet}", "broken.parquet"),
    ("read {other}", "--map request_id=COLUMN"),
    ("read {graded}", "for a table of graded answers add --labels"),
    ("read {other} --format nonsense", "format 'nonsense'"),
    ("read {other} --map timestamp", "--map timestamp"),
    ("read {other} --map when=ts", "mapping to 'when'"),
    ("read {other} --quality ok_*", "--out"),
    ("read {other} {other} --labels", "2 label tables"),
    ("read {other} --quality ok_* --out {new}", "--prompt COLUMN"),
    ("read {other} --prompt colour --quality ok_* --out {new}", "no column like 'ok_*'"),
    ("audit {nothing}", "no file there"),
    ("audit {empty}", "is empty"),
    ("audit {traffic} --by colour", "column 'colour'"),
    ("audit {traffic} --prices {nothing}", "nothing.jsonl"),
    ("audit {traffic} --prices {garbage}", "garbage.jsonl"),
    ("apps init {nothing}", "no file there"),
    ("apps check {traffic} {nothing}", "nothing.jsonl"),
    ("apps check {traffic} {garbage}", "garbage.jsonl"),
    ("plan {garbage}", "garbage.jsonl"),
    ("plan {traffic} --at yesterday", "--at yesterday"),
    ("plan {traffic} --apps {nothing}", "nothing.jsonl"),
    ("train {nothing} --out {new}", "no file there"),
    ("train {folder} --out {new}", "empty-folder"),
    ("train {garbage} --out {new}", "garbage.jsonl"),
    ("train {empty} --out {new}", "no rows"),
    ("train {labels} --reference gpt-5.5 --out {new}", "Did you mean 'gpt-5.4'"),
    ("train {labels} --candidate nobody --out {new}", "model 'nobody' without labels"),
    ("train {graded} --out {new}", "--cost MODEL=X"),
    ("train {traffic} --out {new}", "a log that was read"),
    ("train {labels} --floor 2 --out {new}", "floor 2"),
    ("train {labels} --unit week --out {new}", "unit 'week'"),
    ("train {labels} --expected-output gpt-9=20 --out {new}", "--expected-output gpt-9"),
    ("train {labels} --cost gpt-5.4=much --out {new}", "a number above 0"),
    ("train {labels} --cost gpt-5.4=1=2 --out {new}", "a number above 0"),
    ("train {graded} --cost bgi=2,small=1 --out {new}", "(read from the columns correct_big, correct_small). Did you mean 'big'?"),
    ("train {graded} --cost correct_big=2,correct_small=1 --out {new}", "Name the model, not its column"),
    ("train {graded} --cost big=2 --out {new}", "--cost without small; expected the cost of every model"),
    ("train {graded} --cost big=2,big=1 --out {new}", "'--cost big=1' after '--cost big=2'; expected every name once"),
    ("train {graded} --cost big:2 --out {new}", "For example --cost NAME=VALUE"),
    ("train {graded} --quality correct_bi* --cost big=2,small=1 --out {new}", "Column correct_big was read as another model"),
    ("train {graded} --quality corect_* --cost big=2,small=1 --out {new}", "no column like 'corect_*'"),
    ("train {graded} --prompt colour --cost big=2,small=1 --out {new}", "Pass --prompt COLUMN"),
    ("train {graded} --model bgi=gpt-5 --cost big=2,small=1 --out {new}", "'--model bgi=…'; expected a model among big, small"),
    ("train {misspelt} --cost big=2,small=1 --out {new}", "Column corect_small was not taken, since its name has not the pattern"),
    ("train {misspelt} --cost big=2 --out {new}", "grades of big alone (read from the columns correct_big); expected at least two"),
    ("simulate", "neither a log nor --labels"),
    ("simulate {traffic}", "neither --labels nor --bundle"),
    ("simulate --labels {labels}", "--reference"),
    ("simulate {nothing} --labels {labels}", "no file there"),
    ("simulate {traffic} --bundle {folder}", "manifest.json"),
    ("simulate {traffic} --bundle {bundle} --floor 0.1", "--tau"),
    ("simulate {traffic} --bundle {bundle} --unit request", "--bundle with --unit"),
    ("simulate {traffic} --labels {labels} --at 2026-13-01", "2026-13-01"),
    ("export {nothing} --out {new}", "no file there"),
    ("export {labels} --method cheepest --out {new}", "Did you mean 'cheapest'"),
    ("export {bundle} --out {labels}", "something other than a bundle"),
    ("decide --bundle {nothing}", "manifest.json"),
    ("nonsense", "No such command"),
    ("read {traffic} --labels --out {new}", "november"),
    ("read {log} --app-from nonsense --out {new}", "nonsense"),
    ("audit {labels}", "a folder of labels"),
    ("train {traffic} --out {new}", "a folder of labels"),
    ("apps init {traffic} --out {new}/apps.yaml", "No such file"),
    ("export {bundle} --tau nan --out {new}", "nan"),
    ("read", "Missing argument"),
    ("train {labels}", "Missing option"),
    ("plan {traffic} --unknown", "No such option"),
    ("export {bundle} --tau much --out {new}", "'--tau'"),
]


@pytest.fixture(scope="module")
def bad(desk: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make files that are no logs, beside the good ones."""
    folder = tmp_path_factory.mktemp("bad")
    noise = bytes(range(256)) * 40
    files = {
        "nothing": folder / "nothing.jsonl",
        "empty": folder / "empty.jsonl",
        "folder": folder / "empty-folder",
        "garbage": folder / "garbage.jsonl",
        "packed": folder / "packed.jsonl.zst",
        "parquet": folder / "broken.parquet",
        "other": folder / "other.csv",
        "graded": folder / "graded.csv",
        "misspelt": folder / "misspelt.csv",
        "new": folder / "new",
    }
    files["empty"].write_bytes(b"")
    files["folder"].mkdir()
    files["garbage"].write_bytes(noise)
    files["packed"].write_bytes(noise)
    files["parquet"].write_bytes(b"PAR1" + noise)
    files["graded"].write_text("prompt,correct_big,correct_small\n" + "".join(f"why {i}?,1,{i % 2}\n" for i in range(200)), "utf-8")
    files["misspelt"].write_text(files["graded"].read_text("utf-8").replace("correct_small", "corect_small"), "utf-8")
    files["other"].write_text("colour,size\nred,1\n", "utf-8")
    return {**files, "traffic": desk.traffic, "labels": desk.labels, "log": desk.log, "bundle": desk.bundle}


@pytest.mark.parametrize(("arguments", "named"), CASES, ids=[c[0].translate(str.maketrans("{}", "<>")) for c in CASES])
def test_one_sentence_and_exit_2(
    arguments: str, named: str, bad: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be used is named in a sentence, and nothing is written."""
    monkeypatch.setattr("sys.argv", ["planner", *(part.format(**bad) for part in arguments.split())])
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 2, said.err + said.out
    assert said.out == ""
    assert named in said.err
    assert not bad["new"].exists()


@pytest.mark.parametrize("verb", ["read", "audit", "plan", "simulate"])
def test_no_traceback_reaches_the_terminal(verb: str, bad: dict[str, Path], planner: Callable[..., Any]) -> None:
    """A process of its own ends the same way: binary noise is refused in one line."""
    ran = planner(verb, bad["garbage"], *(["--labels", bad["labels"]] if verb == "simulate" else []))
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "garbage.jsonl" in ran.err


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "no messages"}'])
def test_decide_names_the_line(line: str, desk: Any, planner: Callable[..., Any]) -> None:
    """A line of stdin that is no request is named by its number, after the decisions before it."""
    ran = planner("decide", "--bundle", desk.bundle, stdin=f'{{"messages": "Hello"}}\n{line}\n')
    assert ran.code == 2
    assert "line 2 of stdin" in ran.err
    assert len(ran.out.splitlines()) == 1
