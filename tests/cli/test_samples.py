"""A sample said by the verbs: one total, estimated, with one interval; what it cannot show is refused or not given."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prices.billing import HEAD

PTU = "capacity: [{name: ptu, model: %s, usd_per_month: 100, tokens: 100000, per: minute}]"


@pytest.fixture(scope="module")
def half(desk: Any, planner: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Read half of the sample's conversations; the folder, and what was said."""
    folder = tmp_path_factory.mktemp("half") / "log"
    return folder, planner("read", desk.log, "--text", "--sample", "50%", "--out", folder, "--json").json


def test_every_verb_says_the_same_total(desk: Any, planner: Callable[..., Any], half: tuple[Path, Any]) -> None:
    """read, audit, plan and the log in simulate have one amount, estimated; the interval holds what the whole log cost."""
    folder, read = half
    audit = planner("audit", folder, "--json").json
    total = audit["total"]
    assert (total["evidence"], set(total["shares"])) == ("estimated", {"estimated"})
    assert total["low"] < desk.read.json["total"]["value"] < total["high"]
    assert read["total"] == total
    assert sum(row["usd"] for row in read["coverage"] if row["what"] == "requests" and row["app"] == "all") == pytest.approx(total["value"])
    assert sum(row["usd"] for row in audit["spend"]) == pytest.approx(total["value"])
    asked = ("simulate", folder, "--labels", desk.labels, "--bundle", desk.bundle, "--at", "as-logged", "--json")
    logged = planner(*asked).json["plans"][0]
    days = planner("plan", folder, "--at", "as-logged", "--json").json
    assert logged["plan"] == "as logged"
    assert logged["usd_measured"] == 0
    assert f"{logged['usd_per_month']:,.2f}" in days["text"]
    month = logged["usd_per_month"] / total["value"]
    assert days["text"].split(" a month")[0].endswith("estimated")
    assert month == pytest.approx(365.25 / 12 / 28, rel=0.02)


def test_people_see_the_interval(planner: Callable[..., Any], half: tuple[Path, Any]) -> None:
    """Audit and read show both limits of the total and say estimated; tables fit the terminal, and what has no interval is marked."""
    folder, read = half
    total = read["total"]
    audited = planner("audit", folder)
    assert audited.code == 0, audited.err
    plain = " ".join(audited.out.split())
    assert f"${total['value']:,.2f} [${total['low']:,.2f}, ${total['high']:,.2f}] estimated" in plain
    assert "estimated spend" in plain
    assert "Response-cache misses: not given" in plain
    assert max(map(len, audited.out.splitlines())) <= 100
    by_user = planner("audit", folder, "--by", "user").out
    assert "[–]: no interval, since fewer than ten conversations tell." in by_user
    again = planner("read", folder)
    assert f"All dollars: ${total['value']:,.2f} [${total['low']:,.2f}, ${total['high']:,.2f}] estimated (standing for" in again.out


def test_a_capacity_is_refused_by_every_verb(desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], tmp_path: Path) -> None:
    """A sample with a fixed capacity of a model that it calls ends in one sentence and exit code 2; the whole log does not."""
    rows = planner("audit", desk.traffic, "--by", "provider,model", "--json").json["spend"]
    file = tmp_path / "contracts.yaml"
    row = next(r for r in rows if r["usd"] > 0)
    file.write_text(f"{HEAD}  - {{provider: {row['provider']}, source: x, from: 2026-01-01, {PTU % row['model']}}}\n", "utf-8")
    assert planner("audit", desk.traffic, "--contract", file).code == 0
    for verb in ("audit", "plan"):
        ran = planner(verb, half[0], "--contract", file)
        assert (ran.code, ran.out) == (2, "")
        assert "fixed capacity of 'ptu' on a sample" in " ".join(ran.err.split())


@pytest.fixture(scope="module")
def plan(desk: Any) -> Path:
    """Write a plan with a router and a hedge, which a sample allows."""
    file: Path = desk.folder / "of_sample.yaml"
    levers = f"levers:\n  - {{kind: route, router: {desk.bundle.name}, tau: 5}}\n  - {{kind: hedge, after_ms: 4000}}\n"
    file.write_text(f"format: planner.plan\nversion: 1\nname: mine\n{levers}", "utf-8")
    return file


#: Plans that make all cheap but a nightly job of nine effective sessions, which is then most of what is left.
LEFT_TO_FEW = ("cheapest", "gateway's heuristic")


def test_simulate_and_compare_show_the_interval_of_every_cost(
    desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], plan: Path
) -> None:
    """Costs are estimated at best, with limits but for a plan that leaves them to few; the log's are those of planner plan, and shown."""
    spend = planner("plan", half[0], "--at", "as-logged", "--json").json["text"]
    for verb, asked in (("simulate", ("--bundle", desk.bundle)), ("compare", (plan,))):
        arguments = (verb, half[0], *asked, "--labels", desk.labels, "--at", "as-logged", "--quiet")
        rows = planner(*arguments, "--json").json["plans"]
        for row in rows:
            assert row["plan"] in LEFT_TO_FEW or row["usd_low"] < row["usd_per_month"] < row["usd_high"]
            assert row["usd_measured"] == 0
        assert f"[${rows[0]['usd_low']:,.2f}, ${rows[0]['usd_high']:,.2f}] estimated a month" in " ".join(spend.split())
        said = " ".join(planner(*arguments).out.split())
        assert "Dollars are those of the whole log that this sample stands for: estimated at best" in said
        assert f"${rows[0]['usd_per_month']:,.2f} [${rows[0]['usd_low']:,.2f}, ${rows[0]['usd_high']:,.2f}]" in said
    assert f"takes ${rows[0]['usd_per_month']:,.2f} [$" in said


def test_optimize_shows_the_interval_of_every_cost(desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], plan: Path) -> None:
    """Plans that were tried on a sample have limits of their cost, and at worst what they save; those of a whole log have none."""
    asked = (plan, "--labels", desk.labels, "--floor", "0.5", "--quiet")
    tried = planner("optimize", half[0], *asked, "--json").json["tried"]
    assert all(row["usd_low"] < row["usd"] < row["usd_high"] for row in tried)
    said = planner("optimize", half[0], *asked).out
    assert "Dollars are those of the whole log that this sample stands for" in said
    assert f"${tried[0]['usd']:,.2f} [${tried[0]['usd_low']:,.2f}, $" in said
    assert "(≥ " in said
    assert max(map(len, said.splitlines())) <= 100
    assert "usd_low" not in planner("optimize", desk.traffic, *asked, "--json").json["tried"][0]


def test_verbs_that_cannot_tell_a_samples_error_refuse_it(
    desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], plan: Path
) -> None:
    """Replay, bridge and verify end in one sentence that says what to do instead, and exit code 2."""
    whole = "Give the whole log (--sample-text keeps every row)."
    for arguments, fix in (
        (("replay", half[0], plan), "Replay the whole log, or simulate the sample whole with planner compare."),
        (("bridge", desk.traffic, half[0]), whole),
        (("bridge", half[0], desk.traffic), whole),
        (("verify", half[0], "--bundle", desk.bundle), whole),
    ):
        ran = planner(*arguments)
        assert (ran.code, ran.out) == (2, "")
        said = " ".join(ran.err.split())
        assert "a sample whose rows stand for up to 2 requests; expected every request, since" in said
        assert said.endswith(fix)


def test_a_capacity_is_refused_before_anything_is_simulated(
    desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], plan: Path, tmp_path: Path
) -> None:
    """Verbs that simulate refuse a fixed capacity on a sample before they read its text: nothing is derived from the log by then."""
    rows = planner("audit", desk.traffic, "--by", "provider,model", "--json").json["spend"]
    file, log = tmp_path / "contracts.yaml", tmp_path / "log"
    row = next(r for r in rows if r["usd"] > 0)
    file.write_text(f"{HEAD}  - {{provider: {row['provider']}, source: x, from: 2026-01-01, {PTU % row['model']}}}\n", "utf-8")
    shutil.copytree(half[0], log, ignore=shutil.ignore_patterns("derived"))
    for verb, asked in (("simulate", ("--bundle", desk.bundle)), ("compare", (plan,)), ("optimize", (plan,))):
        ran = planner(verb, log, *asked, "--labels", desk.labels, "--contract", file)
        assert (ran.code, ran.out) == (2, "")
        assert "fixed capacity of 'ptu' on a sample" in " ".join(ran.err.split())
        assert not (log / "derived").exists()
    assert planner("simulate", log, "--bundle", desk.bundle, "--labels", desk.labels).code == 0
    assert (log / "derived").exists()


def test_a_thin_sample_says_which_would_do(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Where too few of those who hold the spend are to be expected, read, audit and simulate give no limits, why, and the share to draw."""
    read = planner("read", desk.log, "--text", "--sample", "2%", "--out", tmp_path / "thin")
    asked = ("--labels", desk.labels, "--bundle", desk.bundle, "--quiet")
    whole, planned = ("", "151", r"3\.0", "7%"), (" under the plan", r"\d+", r"\d\.\d", r"\d+%")
    for ran, (under, held, few, share) in (
        (read, whole),
        (planner("audit", tmp_path / "thin"), whole),
        (planner("simulate", tmp_path / "thin", *asked), planned),
    ):
        said = " ".join(ran.out.split())
        assert re.search(f"Totals have no interval: by what they spent{under} the log has {held} effective conversations, of which {few} "
                         f"are to be expected in a sample of 2%.*; draw {share} or more with planner read --sample.", said)  # fmt: skip
        assert max(map(len, ran.out.splitlines())) <= 100
    assert "the saving has no interval: the sample is too thin." in said
    rows = planner("simulate", tmp_path / "thin", *asked, "--json").json["plans"]
    assert {row[name] for row in rows for name in ("usd_low", "usd_high")} == {None}
    assert planner("read", desk.log, "--text", "--sample", "7%", "--out", tmp_path / "enough", "--json").json["total"]["low"] is not None
