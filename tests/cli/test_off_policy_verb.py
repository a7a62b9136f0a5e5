"""``planner off-policy`` as a user runs it: a log of draws and a bundle in, sentences and tables or one JSON object out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.bundle import export
from planner.cli import main
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.traffic import read


def write_log(path: Path, **changes: Any) -> Path:
    """Write 800 scored requests, half of them answered by ``small`` by the toss of a coin."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(800):
        model = "small" if rng.random() < 0.5 else "large"
        line = {"request_id": f"r{i}", "timestamp": 1_762_160_400 + 60 * i, "model": model, "messages": f"List {i % 50} things."}
        line |= {"action_propensities": {"large": 0.5, "small": 0.5}, "action": model, "policy_version": "coin-1"}
        line |= {"score": int(rng.random() < (0.7 if model == "small" else 0.9)), "source_cost_usd": 0.001 if model == "small" else 0.01}
        lines.append(json.dumps(line | changes))
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bundle that always uses ``small``."""
    made = tmp_path_factory.mktemp("off-policy")
    none = np.zeros(2)
    costs = Costs(none, none, none, np.array([10.0, 1.0]))
    rule = AlwaysRule.model(1, 0, 2)
    export(Router(("large", "small"), "large", rule, costs, (Capability(10**6),) * 2, tau=ALWAYS_TAU), made / "router")
    return made


@pytest.fixture(scope="module")
def traffic(folder: Path, planner: Callable[..., Any]) -> Path:
    """Return the log, read with its score as quality."""
    ran = planner("read", write_log(folder / "log.jsonl"), "--map", "quality=score", "--text", "--out", folder / "traffic", "--quiet")
    assert ran.code == 0, ran.err
    return folder / "traffic"


def test_quality_and_cost_are_told(traffic: Path, folder: Path, planner: Callable[..., Any]) -> None:
    """The shell tells both rewards as sentences and tables of at most 100 columns; the cheaper model is worse and cheaper."""
    ran = planner("off-policy", traffic, "--bundle", folder / "router")
    assert ran.code == 0, ran.err
    assert "the router is worse" in " ".join(ran.out.split())
    assert "the router is cheaper" in " ".join(ran.out.split())
    assert [line.split()[0] for line in ran.out.splitlines() if line.startswith(("IPS", "SNIPS", "DM", "DR"))] == [
        "IPS",
        "SNIPS",
        "DM",
        "DR",
    ] * 2
    assert max(map(len, ran.out.splitlines())) <= 100


def test_json_holds_what_the_library_says(traffic: Path, folder: Path, planner: Callable[..., Any]) -> None:
    """``--json`` is the library's table and facts."""
    from planner.traffic import Traffic
    from planner.training import off_policy

    shown = planner("off-policy", traffic, "--bundle", folder / "router", "--json").json
    found = off_policy(Traffic.open(traffic), Router.load(folder / "router"))
    assert shown["quality_text"] == found.text
    assert {line["estimator"]: line["value"] for line in shown["quality"]["table"]} == pytest.approx(found.table["value"].to_dict())
    assert (shown["quality"]["verdict"], shown["cost"]["drawn"]) == (found.verdict, "session")


def test_an_action_may_be_named(folder: Path, planner: Callable[..., Any]) -> None:
    """``--action cheap=small`` says what a logged action is."""
    log = write_log(folder / "named.jsonl", action="cheap", model="small", action_propensities={"cheap": 0.5, "dear": 0.5})
    done = planner("read", log, "--map", "quality=score", "--text", "--out", folder / "named", "--quiet")
    assert done.code == 0, done.err
    shown = planner(
        "off-policy", folder / "named", "--bundle", folder / "router", "--action", "cheap=small", "--action", "dear=large", "--json"
    )
    assert shown.json["quality"]["support"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{bare} --bundle {router}", "without action_propensities"),
        ("{traffic} --bundle {router} --drawn week", "drawn 'week'"),
        ("{traffic} --bundle {router} --unit week", "unit 'week'"),
        ("{traffic} --bundle {router} --action small", "--action small"),
        ("{traffic} --bundle {router} --at as-logged", "--at as-logged"),
        ("{traffic} --bundle {traffic}", "manifest.json"),
        ("{traffic}", "--bundle"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: str, says: str, traffic: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be used is named on stderr with exit code 2, nothing is on stdout, and there is no traceback."""
    bare = folder / "bare"
    if not bare.exists():
        read(write_log(folder / "bare.jsonl", action_propensities=None), text=True, out=bare)
    words = arguments.format(bare=bare, router=folder / "router", traffic=traffic).split()
    monkeypatch.setattr("sys.argv", ["planner", "off-policy", *words, "--quiet"])
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 2, said.err + said.out
    assert says in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_help_has_examples(planner: Callable[..., Any]) -> None:
    """``--help`` shows how it is called."""
    assert "planner off-policy november --bundle router" in planner("off-policy", "--help").out
