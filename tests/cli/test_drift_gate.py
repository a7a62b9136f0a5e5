"""``planner drift`` and ``planner gate`` as cron and CI run them: sentences or one JSON object, and a code that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from followup.test_drift import periods
from followup.test_gate import labels, marked

from benchmarks.drift import exported
from planner.labels import Labels


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """Return four weeks, a quiet week, a week with another language, and a bundle exported with the four."""
    folder = tmp_path_factory.mktemp("weeks")
    before, quiet = periods(folder / "quiet")
    _, moved = periods(folder / "moved", "language", 0.4)
    return before.folder, quiet.folder, moved.folder, exported(folder / "bundle", before)


def test_a_quiet_week_is_code_0(weeks: tuple[Path, ...], planner: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing changed: code 0, a table of measures in at most 100 columns, nothing on stderr, and the look is kept."""
    before, quiet, _, bundle = weeks
    ran = planner("drift", quiet, "--before", before, "--bundle", bundle, "--looks", tmp_path / "looks.json", "--planned", 4)
    assert ran.code == 0, ran.err
    assert "Quiet: nothing changed that chance would not explain." in ran.out
    assert "look 1 of 4" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.err == ""
    assert len(json.loads((tmp_path / "looks.json").read_text())["looks"]) == 1


def test_a_changed_week_is_code_1(weeks: tuple[Path, ...], planner: Callable[..., Any], tmp_path: Path) -> None:
    """A new language: code 1, JSON with the alarms and the same table as the library's, and a picture."""
    from planner.followup.drift import drift
    from planner.traffic import Traffic

    before, _, moved, bundle = weeks
    ran = planner("drift", moved, "--before", before, "--bundle", bundle, "--json", "--picture", tmp_path / "drift.png")
    assert ran.code == 1, ran.err
    shown = json.loads(ran.out)
    found = drift(Traffic.open(moved), bundle, before=Traffic.open(before))
    assert shown["alarm"] is True
    assert shown["alarms"] == list(found.alarms)
    assert "language" in shown["alarms"]
    assert [r["p_value"] for r in shown["table"]] == pytest.approx(found.table["p_value"].tolist())
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_log_before_the_bundle_is_the_reference(weeks: tuple[Path, ...], planner: Callable[..., Any]) -> None:
    """The profile finds the change too, and the words say what it cannot compare."""
    _, _, moved, bundle = weeks
    ran = planner("drift", moved, "--bundle", bundle)
    assert ran.code == 1, ran.err
    words = " ".join(ran.out.split())
    assert "Alarm: language" in words
    assert "compared with --before LOG only" in words


def test_bad_arguments_are_code_2(weeks: tuple[Path, ...], planner: Callable[..., Any]) -> None:
    """What cannot be compared is one sentence on stderr."""
    before, quiet, _, bundle = weeks
    ran = planner("drift", before, "--before", quiet, "--bundle", bundle)
    assert (ran.code, ran.out) == (2, "")
    assert "ends before now begins" in ran.err
    assert planner("drift", quiet, "--bundle", quiet).code == 2


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of labels: today's, equal ones, worse ones, and few."""
    folder = tmp_path_factory.mktemp("graded")
    sides = {"old": labels(cost_usd=0.01), "same": labels(model="gpt-5.5", cost_usd=0.02), "worse": labels(marked(np.arange(0, 600, 7)))}
    return {name: side.save(folder / name) for name, side in {**sides, "few": labels(n=60)}.items()}


@pytest.mark.parametrize(
    ("new", "old", "code", "verdict"), [("same", "old", 0, "pass"), ("worse", "old", 1, "fail"), ("few", "few", 2, "inconclusive")]
)
def test_the_verdict_is_the_code(graded: dict[str, Path], planner: Callable[..., Any], new: str, old: str, code: int, verdict: str) -> None:
    """Pass, fail and inconclusive are codes 0, 1 and 2, in words and as JSON."""
    ran = planner("gate", "--labels", graded[new], "--baseline", graded[old])
    assert ran.code == code, ran.err
    assert ran.out.startswith(verdict.upper())
    assert max(map(len, ran.out.splitlines())) <= 100
    said = planner("gate", "--labels", graded[new], "--baseline", graded[old], "--json")
    assert said.code == code
    assert json.loads(said.out)["verdict"] == verdict


def test_json_names_what_got_worse(graded: dict[str, Path], planner: Callable[..., Any]) -> None:
    """The items that got worse are listed by id, slices and what else changed stand beside."""
    shown = json.loads(planner("gate", "--labels", graded["worse"], "--baseline", graded["old"], "--json").out)
    assert [r["request_id"] for r in shown["worse"]] == sorted(f"q{i}" for i in range(0, 600, 7))
    assert {r["dimension"] for r in shown["table"]} == {"all", "app", "length", "tools"}
    assert shown["difference"]["low"] < shown["difference"]["value"] < 0
    other = json.loads(planner("gate", "--labels", graded["same"], "--baseline", graded["old"], "--json").out)
    cost = next(r for r in other["beside"] if r["measure"].startswith("cost"))
    assert cost["difference"] == pytest.approx(0.01)


def test_markdown_is_for_a_pull_request(graded: dict[str, Path], planner: Callable[..., Any]) -> None:
    """``--markdown`` is a headline and tables; not beside ``--json``."""
    ran = planner("gate", "--labels", graded["same"], "--baseline", graded["old"], "--markdown")
    assert ran.code == 0
    assert ran.out.startswith("### ✅ PASS: gpt-5.5 loses no more than 2 points against gpt-5.4")
    assert "| dimension | slice |" in ran.out
    both = planner("gate", "--labels", graded["same"], "--baseline", graded["old"], "--markdown", "--json")
    assert (both.code, both.out) == (2, "")


def test_a_prompt_variant_is_an_option(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Two prompts of one model in one folder are compared by ``--variant`` and ``--against-variant``; without them code 2 says so."""
    old = labels()
    graded = ((1.0, "before"), (marked(np.arange(0, 600, 7)), "after"))
    rows = pd.concat([labels(quality).outcomes.assign(prompt_variant=name) for quality, name in graded])
    folder = Labels.of(old.items, rows).save(tmp_path / "both")
    ran = planner("gate", "--labels", folder, "--baseline", folder, "--variant", "after", "--against-variant", "before")
    assert ran.code == 1, ran.err
    bare = planner("gate", "--labels", folder, "--baseline", folder)
    assert (bare.code, bare.out) == (2, "")
    assert "--variant" in bare.err


def test_other_items_are_refused(graded: dict[str, Path], planner: Callable[..., Any]) -> None:
    """Another evaluation set is one sentence on stderr and code 2."""
    ran = planner("gate", "--labels", graded["few"], "--baseline", graded["old"])
    assert (ran.code, ran.out) == (2, "")
    assert "540 items of the baseline that the new labels do not have" in ran.err
