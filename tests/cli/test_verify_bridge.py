"""``planner verify`` and ``planner bridge`` as people run them after a rollout: words, one JSON object, pictures, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from followup.made_rollout import World, columns, digest, made_bundle
from prices.billing import plain_export
from support.small import traffic_of

from planner.prices import audit
from planner.traffic import Traffic

PREDICTION = {"plan": {"levers": ["route", "retry"]}, "routing": {"saving_share": {"value": 0.5, "low": 0.4, "high": 0.6}}}


@dataclass(frozen=True)
class Rolled:
    """Folders: the bundle that ran; a month before it, one after, and that one without half of the kept sessions."""

    bundle: Path
    last: Path
    this: Path
    lacking: Path


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Rolled:
    """Return two months around a rollout."""
    folder = tmp_path_factory.mktemp("rolled")
    bundle = made_bundle(folder / "production", PREDICTION)
    before = columns(World(seed=1, moved=0.0), digest(bundle)).drop(columns=["tags", "action", "action_propensities"])
    before["timestamp"] -= pd.Timedelta(days=30)
    after = columns(World(seed=2, shares=(0.5, 0.5), graded=0.3, group=True), digest(bundle))
    kept = ~after["tags"].str.contains("planner-arm:routed") & after["session_id"].str[-1].isin(list("02468"))
    logs = {"last": before, "this": after, "lacking": after[~kept].reset_index(drop=True)}
    return Rolled(bundle, **{name: traffic_of(folder / name, log).folder for name, log in logs.items()})


def test_verify_is_words_and_a_table(rolled: Rolled, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A sound rollout: code 0, the saving beside its prediction in at most 100 columns, a picture, nothing on stderr."""
    ran = planner("verify", rolled.this, "--bundle", rolled.bundle, "--picture", tmp_path / "verify.png")
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    assert "Arms are as large as drawn" in words
    assert "Routing saved " in words
    assert "The prediction (50.0% saved [40.0%, 60.0%]) holds" in words
    assert "who is kept has the plan's other levers too (retry)" in words
    assert "all saved a request" in words
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.err == ""
    assert (tmp_path / "verify.png").read_bytes().startswith(b"\x89PNG")


def test_verify_as_json_is_the_library(rolled: Rolled, planner: Callable[..., Any]) -> None:
    """``--json`` is one object with the table, checks and counts that the library returns, and how long to wait."""
    from planner.followup import verify
    from planner.traffic import Traffic

    shown = planner("verify", rolled.this, "--bundle", rolled.bundle, "--precision", 0.01, "--json").json
    found = verify(Traffic.open(rolled.this), rolled.bundle, precision=0.01)
    assert shown["alarm"] is False
    assert [(r["app"], r["measure"]) for r in shown["table"]] == list(zip(found.table["app"], found.table["measure"], strict=True))
    assert [r["difference"] for r in shown["table"]] == pytest.approx(found.table["difference"].tolist())
    assert {r["measure"] for r in shown["table"]} >= {"saving_share", "quality", "failures", "p95_ms"}
    assert [c["words"] for c in shown["checks"]] == [c.words for c in found.checks]
    assert sum(r["requests"] for r in shown["counts"]) == len(Traffic.open(rolled.this))
    assert shown["precision"] == {"wanted": 0.01, "more_days": found.more_days}
    assert found.more_days


def test_a_failed_check_is_code_1_and_said_first(rolled: Rolled, planner: Callable[..., Any]) -> None:
    """Where the log lacks half of the kept sessions the mismatch stands before any number, and the code tells a pipeline."""
    ran = planner("verify", rolled.lacking, "--bundle", rolled.bundle)
    assert ran.code == 1, ran.err
    assert ran.out.index("Sample-ratio mismatch") < ran.out.index("Routing saved")
    shown = planner("verify", rolled.lacking, "--bundle", rolled.bundle, "--json")
    assert shown.code == 1
    assert json.loads(shown.out)["alarm"] is True


def test_bridge_leads_from_bill_to_bill(rolled: Rolled, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Words and a table in at most 100 columns with routing as a line of its own; the JSON's integers add up exactly."""
    ran = planner("bridge", rolled.last, rolled.this, "--bundle", rolled.bundle, "--picture", tmp_path / "bridge.png")
    assert ran.code == 0, ran.err
    assert "measured against those a lot kept" in " ".join(ran.out.split())
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.err == ""
    assert (tmp_path / "bridge.png").read_bytes().startswith(b"\x89PNG")
    shown = planner("bridge", rolled.last, rolled.this, "--bundle", rolled.bundle, "--json").json
    assert sum(r["pusd"] for r in shown["table"]) == shown["pusd"]["this"] - shown["pusd"]["last"]
    routing = next(r for r in shown["table"] if r["line"] == "routing")
    assert routing["low"] < routing["usd"] < routing["high"] < 0
    assert routing["evidence"] == "measured"
    assert {r["app"] for r in shown["apps"]} == {"chat", "search"}


def test_bridge_between_invoices(rolled: Rolled, planner: Callable[..., Any]) -> None:
    """Parts are of what was billed: they add up to the difference of the invoices, to the cent and beyond."""
    shown = planner("bridge", rolled.last, rolled.this, "--invoice-last", 1000.10, "--invoice-this", 900.05, "--json").json
    assert sum(r["pusd"] for r in shown["table"]) == -100_050_000_000_000
    assert shown["usd"] == {"last": 1000.10, "this": 900.05}


def test_what_the_bill_does_not_explain_stands_beside_what_was_saved(rolled: Rolled, planner: Callable[..., Any], tmp_path: Path) -> None:
    """With a bill at twice the list price verify and bridge repeat that half of it is unexplained; one at list price leaves no note."""
    found = audit(Traffic.open(rolled.this))
    for name, times in (("right", 1), ("twice", 2)):
        (tmp_path / f"{name}.csv").write_text(plain_export(found, found.spend_pusd * times), "utf-8")
    verbs = (("verify", rolled.this), ("bridge", rolled.last, rolled.this))
    for verb in verbs:
        twice = planner(*verb, "--bundle", rolled.bundle, "--invoice", tmp_path / "twice.csv")
        assert twice.code == 0, twice.err
        assert "50.0% of the invoice" in " ".join(twice.out.split())
        assert max(map(len, twice.out.splitlines())) <= 100
        right = planner(*verb, "--bundle", rolled.bundle, "--invoice", tmp_path / "right.csv", "--json").json
        assert right["dollars"]["note"] == ""
        assert right["dollars"]["unexplained"]["value"] == 0
        assert "dollars" not in planner(*verb, "--bundle", rolled.bundle, "--json").json
    assert "Savings here are list dollars." in " ".join(
        planner(*verbs[0], "--bundle", rolled.bundle, "--invoice", tmp_path / "right.csv").out.split()
    )


def test_what_cannot_be_compared_is_one_sentence(rolled: Rolled, planner: Callable[..., Any], tmp_path: Path) -> None:
    """A log from before, a folder that is no bundle, one invoice of two, a log that is not there: code 2, stdout empty."""
    for arguments, words in (
        (("verify", rolled.last, "--bundle", rolled.bundle), "no arm: nothing was on for them"),
        (("verify", rolled.this, "--bundle", tmp_path), "manifest.json"),
        (("bridge", rolled.last, rolled.this, "--invoice-this", 5), "--invoice-this alone"),
        (("bridge", rolled.last, tmp_path / "nowhere"), "no file there"),
    ):
        ran = planner(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert words in " ".join(ran.err.split()), arguments
        assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "nowhere", "--bundle", "{bundle}", "--precision", 2), "precision 2"),
        (("verify", "nowhere", "--bundle", "{none}"), "manifest.json"),
        (("bridge", "nowhere", "nowhere", "--bundle", "{none}"), "manifest.json"),
        (("bridge", "nowhere", "nowhere", "--bundle", "{bundle}", "--bundle-last", "{none}"), "manifest.json"),
        (("bridge", "nowhere", "nowhere", "--invoice-last", 1, "--invoice-this", -1), "two amounts above 0"),
    ],
)
def test_a_log_is_read_last(
    rolled: Rolled, planner: Callable[..., Any], tmp_path: Path, arguments: tuple[str | float, ...], words: str
) -> None:
    """What is wrong with the other arguments is said before a log is looked at."""
    ran = planner(*(str(a).format(bundle=rolled.bundle, none=tmp_path) for a in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert words in " ".join(ran.err.split())


def test_helps_show_how_to_call(planner: Callable[..., Any]) -> None:
    """Both helps have examples whose options exist."""
    for verb in ("verify", "bridge"):
        shown = planner(verb, "--help").out
        examples = [line.split() for line in shown.splitlines() if line.strip().startswith(f"planner {verb} ")]
        assert len(examples) >= 2
        options = {word for words in examples for word in words if word.startswith("--")}
        listed = shown.partition("Options")[2]
        assert all(option in listed for option in options)
