"""``planner compare``, ``planner optimize`` and ``planner replay``, run as a user runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.policies import Plan

TRACE = '{{"timestamp": {0}, "input_length": 600, "output_length": 3, "hash_ids": [1, 2]}}\n'
PLAN = """
format: planner.plan
version: 1
name: mine
levers:
  - kind: route
    router: {bundle}
    tau: 5
  - kind: prompt_cache
  - kind: hedge
    after_ms: 4000
"""


@pytest.fixture(scope="module")
def plan(desk: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a plan file that names the bundle relative to itself."""
    file = desk.folder / "plan.yaml"
    file.write_text(PLAN.format(bundle=desk.bundle.name), "utf-8")
    return file


@pytest.fixture(scope="module")
def compared(desk: Any, plan: Path, planner: Callable[..., Any]) -> Any:
    """Compare the plan with what always stands beside it."""
    return planner("compare", desk.traffic, plan, "--labels", desk.labels, "--json").json


def test_compare_shows_what_a_router_must_beat(compared: Any) -> None:
    """Today, the models of today, the best static models and the gateway's own router stand before the plan, and its credit is said."""
    assert [row["plan"] for row in compared["plans"]] == [
        "as logged", "models of today", "best static per app", "gateway's heuristic", "mine",
    ]  # fmt: skip
    mine = compared["plans"][-1]
    assert mine["credit_usd_per_month"] <= mine["saving_usd_per_month"] or mine["credit_over"] == "no routing"
    assert "Routing in 'mine' adds over" in compared["text"]


def test_compare_breaks_the_saving_down(compared: Any) -> None:
    """The waterfall's steps add up to the plan's saving, and every pair of levers is tested."""
    (steps,) = compared["waterfalls"]
    assert [row["lever"] for row in steps] == ["route", "prompt_cache", "hedge", "all"]
    total = sum(row["saving_usd_per_month"] for row in steps[:-1])
    assert total == pytest.approx(steps[-1]["saving_usd_per_month"])
    assert total == pytest.approx(compared["plans"][-1]["saving_usd_per_month"])
    assert [row["levers"] for row in compared["interactions"][0]] == ["route × prompt_cache", "route × hedge", "prompt_cache × hedge"]


def test_compare_says_what_may_act_twice(compared: Any) -> None:
    """The plan hedges, and some requests offer tools: second actions stand in the text, and beside the saving of plan and log alone."""
    counted = {row["plan"]: row["twice_possible"] for row in compared["plans"] if row["twice_possible"] is not None}
    assert list(counted) == ["as logged", "mine"]
    assert counted["mine"] > counted["as logged"]
    assert "Second actions under 'mine': Of" in compared["text"]


def test_compare_fits_the_terminal(desk: Any, plan: Path, planner: Callable[..., Any]) -> None:
    """A person sees every plan and lever within 100 columns."""
    ran = planner("compare", desk.traffic, plan, "--labels", desk.labels, "--order", "hedge,route,prompt_cache")
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 100
    for words in ("best static per app", "prevented by keys", "in order", "alone", "last", "hedge, then route, then prompt_cache"):
        assert words in ran.out.replace("\n", " ")


def test_optimize_writes_a_plan_and_a_journal(desk: Any, plan: Path, planner: Callable[..., Any], tmp_path: Path) -> None:
    """The plan that is found can be read again with its bundle, keeps the locked lever, and a second run only reads the journal."""
    out, journal = tmp_path / "best.yaml", tmp_path / "search.jsonl"
    command = ["optimize", desk.traffic, plan, "--labels", desk.labels, "--floor", "0.5", "--vary", "route.tau=0,5,50"]
    command += ["--lock", "prompt_cache", "--split", "0.5", "--journal", journal, "--out", out, "--json"]
    said = planner(*command).json
    assert len(said["tried"]) == 4 * 2
    best = Plan.read(out)
    assert best.payload() == said["plan"]
    assert "prompt_cache" in {lever.key for lever in best.levers}
    kept = journal.read_bytes()
    assert planner(*command).json == said
    assert journal.read_bytes() == kept


def test_replay_says_what_compare_says(desk: Any, plan: Path, planner: Callable[..., Any], compared: Any, tmp_path: Path) -> None:
    """In parts that are kept, a plan saves what it saves at once; asked again it says the same, from what was kept."""
    kept = tmp_path / "kept"
    command = ["replay", desk.traffic, plan, "--labels", desk.labels, "--rows", 150, "--keep", kept]
    first = planner(*command, "--json").json
    at_once = compared["plans"][-1]
    total = sum(row["saving_usd_per_month"] for row in first["by_app"] if row["app"] != "all")
    assert total == pytest.approx(at_once["saving_usd_per_month"])
    assert len(list(kept.glob("part-*.npz"))) > 2
    assert planner(*command, "--json").json == first
    shown = planner(*command)
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("replay {traffic} {plan} --keep {traffic}", "holds other things"),
        ("replay {traffic} {plan} --rows 0", "--rows"),
        ("replay {traffic} {plan} --scheduler nowhere", "a running Dask scheduler"),
        ("compare {traffic} {nothing}", "nothing.yaml"),
        ("compare {traffic} {plan} --tier EASY=gpt-5.4", "tier"),
        ("compare {traffic} {plan} --order route", "each of route, prompt_cache, hedge once"),
        ("compare {traffic} {plan} --unit request", "--unit with a plan that names a bundle"),
        ("optimize {traffic} {plan} --vary hegde.after_ms=1", "Did you mean 'hedge'"),
        ("optimize {traffic} {plan} --lock hegde", "Did you mean 'hedge'"),
        ("optimize {traffic} {plan} --split yesterday", "a date like"),
        ("optimize {traffic} {plan} --p95-ms 0", "milliseconds above 0"),
        ("optimize {traffic} {plan} --evaluations 3", "--evaluations"),
    ],
)
def test_bad_input_is_one_sentence(arguments: str, said: str, desk: Any, plan: Path, planner: Callable[..., Any]) -> None:
    """What cannot be done ends with exit code 2 and says why."""
    named = {"traffic": desk.traffic, "plan": plan, "nothing": desk.folder / "nothing.yaml"}
    ran = planner(*[word.format(**named) for word in arguments.split()])
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())


def test_a_log_without_any_price_says_so_first(planner: Callable[..., Any], tmp_path: Path) -> None:
    """Where no request has a price, plan says that, why, and what to give, before all else, and no change is called worth nothing."""
    (tmp_path / "trace.jsonl").write_text("".join(TRACE.format(i * 1000) for i in range(40)), "utf-8")
    ran = planner("plan", "trace.jsonl", cwd=tmp_path)
    assert ran.code == 0, ran.err
    first, why, *_ = (" ".join(part.split()) for part in ran.out.split("\n\n"))
    assert "Nothing in this log has a price" in first
    assert why.startswith("40 of 40 requests have no price and are in no figure: Got model 'unknown'")
    assert "read it again with --map model==NAME" in why
    assert "-0.00" not in ran.out
    assert "saves anything" not in ran.out
