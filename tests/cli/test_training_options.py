"""The options that train, simulate and export share, and what they change in what is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from planner.cli.app import app
from planner.cli.options import TrainingOptions
from planner.traffic import Apps

#: An example of every shared option.
GIVEN = {
    "--reference": "gpt-5.4",
    "--candidate": "gpt-5.4",
    "--cost": "gpt-5.4=1",
    "--floor": "0.1",
    "--confidence": "0.9",
    "--human": "people",
    "--unit": "request",
    "--expected-output": "gpt-5.4=1",
    "--prompt": "question",
    "--quality": "ok_*",
    "--model": "a=b",
    "--apps": "apps.yaml",
    "--prices": "prices.yaml",
    "--seed": "1",
}


@pytest.mark.parametrize("verb", ["train", "simulate", "export"])
def test_every_verb_that_trains_takes_the_same_options(verb: str) -> None:
    """Each shared option stands in each of the three verbs, once, in the same order and with the same default."""
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    names = [f.name for f in fields(TrainingOptions)]
    shared = [p for p in command.params if p.name in names]
    assert [p.name for p in shared] == names
    assert [p.default for p in shared] == [f.default for f in fields(TrainingOptions)]
    assert [p.opts[0] for p in shared] == list(GIVEN)


@pytest.mark.parametrize(("option", "value"), GIVEN.items())
def test_a_bundle_leaves_nothing_to_train(option: str, value: str, desk: Any, inside: Callable[..., Any], tmp_path: Path) -> None:
    """An option of training beside a bundle is refused by its name, not passed over."""
    code, out, err = inside("export", desk.bundle, option, value, "--out", tmp_path / "new")
    assert (code, out) == (2, "")
    assert f"a bundle with {option};" in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("big", "small", "shown"), [("20000", "0.02", ("20,000,000", "20")), ("0.0000004", "0.0000001", ("0.0004", "0.0001"))]
)
def test_stated_costs_are_written_as_people_do(
    big: str, small: str, shown: tuple[str, str], inside: Callable[..., Any], tmp_path: Path
) -> None:
    """However large or small a stated cost is, no figure is a power of ten."""
    table = tmp_path / "bench.csv"
    rows = (f"{'prove' if i % 3 else 'name'} number {i},1,{int(i % 3 == 0)}\n" for i in range(300))
    table.write_text("prompt,correct_big,correct_small\n" + "".join(rows), "utf-8")
    code, out, err = inside("train", table, "--cost", f"big={big},small={small}", "--reference", "big", "--out", tmp_path / "router")
    assert code == 0, err
    lines = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith(("reference", "cheapest"))}
    assert (lines["reference"], lines["cheapest"]) == shown
    assert not re.search(r"\de[-+]\d", out)


def test_what_reads_prompts_next_is_told_how_to_have_them(desk: Any, inside: Callable[..., Any], tmp_path: Path) -> None:
    """Training beside a reading that left its text says, before the next step, what that step needs; beside one with text, nothing."""
    code, _, err = inside("read", desk.log, "--out", tmp_path / "bare")
    assert code == 0, err
    for log, told in ((tmp_path / "bare", True), (desk.traffic, False)):
        code, out, err = inside("train", desk.labels, "--log", log, "--out", tmp_path / f"router-{told}")
        assert code == 0, err
        asked = "It compares prompts: before it, read the log sample_log.jsonl with its text (planner read LOG --text)."
        assert (asked in " ".join(out.split())) == told


def test_what_a_wrong_answer_costs_is_set_beside_the_saving(desk: Any, inside: Callable[..., Any], tmp_path: Path) -> None:
    """What apps.yaml states of one app is multiplied with its wrong answers, by train and by simulate, in words and as values."""
    file = tmp_path / "apps.yaml"
    inside("apps", "init", desk.traffic, "--out", file)
    drafted = Apps.load(file).apps
    Apps({**drafted, "support-chat": replace(drafted["support-chat"], usd_per_wrong_answer=0.25)}).save(file)
    told = ("--apps", file, "--floor", "0.4", "--json")
    trained = json.loads(inside("train", desk.labels, "--log", desk.traffic, *told, "--out", tmp_path / "router")[1])
    harm = trained["harm"]
    row = next(r for r in harm["table"] if r["app"] == "support-chat")
    assert harm["usd"]["value"] == row["wrong_usd"] == pytest.approx(0.25 * row["wrong"])
    assert harm["net_usd"]["value"] == pytest.approx(row["saved_usd"] - row["wrong_usd"])
    assert harm["usd"]["evidence"] == harm["net_usd"]["evidence"] == "assumed"
    assert "Where a wrong answer costs $0.25 in support-chat, that is about" in trained["text"]
    simulated = json.loads(inside("simulate", desk.traffic, "--labels", desk.labels, *told)[1])
    by_app = {r["app"]: r for r in simulated["by_app"]}
    chat = by_app.pop("support-chat")
    assert chat["wrong_usd_per_month"] == pytest.approx(-0.25 * chat["quality_difference"] * chat["requests_per_month"])
    assert {r["wrong_usd_per_month"] for r in by_app.values()} == {None}
    text = " ".join(inside("simulate", desk.traffic, "--labels", desk.labels, *told[:-1])[1].split())
    assert re.search(
        r"what more wrong answers cost a month by their owners \(assumed\): -?\$[\d.,]+ in support-chat \(\$0\.25 each\)\.", text
    )


def test_without_a_stated_cost_nothing_is_said_of_it(desk: Any) -> None:
    """The harm a month stands in JSON with no dollars where nobody stated any."""
    harm = desk.trained.json["harm"]
    assert harm["usd"] is harm["saved_usd"] is harm["net_usd"] is None
    assert {r["app"] for r in harm["table"]} <= {r["app"] for r in desk.simulated.json["by_app"]}
    assert "wrong_usd_per_month" not in desk.simulated.json["by_app"][0]
