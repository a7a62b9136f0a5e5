"""Plan files: what is written is read again, and every error has its file and line."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner.bundle.export import export
from planner.errors import InputError
from planner.policies import Batch, Hedge, Plan, Route, Timeout, diff
from planner.policies.base import FAILURES, Lever
from planner.policies.cascade import VALIDATORS
from planner.policies.plan_file import KINDS, build
from planner.policies.rate_limit import LIMITS
from planner.router import AlwaysRule, Capability, Costs, Router

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8) | st.text(string.ascii_lowercase + "-.5", min_size=1, max_size=12)
MS = st.floats(1, 1e7) | st.integers(1, 10**7)
LISTS = st.lists(NAMES, min_size=1, max_size=3, unique=True)
LIMIT = st.dictionaries(st.sampled_from(LIMITS), st.floats(1, 1e9), min_size=1)
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "batch": {"window_minutes": st.floats(0.01, 600), "tier": st.sampled_from(["batch", "flex"]), "max_bytes": st.integers(1, 10**9)},
    "cascade": {
        "first": st.just("a"),
        "then": NAMES.filter(lambda x: x != "a"),
        "validators": st.lists(st.sampled_from(VALIDATORS), min_size=1, unique=True),
        "verifier": st.none() | NAMES,
    },
    "compress": {"method": st.sampled_from(["lossless", "history", "rank"]), "keep_turns": st.integers(1, 9)},
    "exact_cache": {"capacity": st.integers(1, 10**6), "coalesce": st.booleans()},
    "fallback": {"models": LISTS, "kinds": st.lists(st.sampled_from(FAILURES), min_size=1, unique=True)},
    "hedge": {"after_ms": MS, "model": st.none() | NAMES, "correlation": st.none() | st.floats(0, 1)},
    "micro_batch": {"size": st.integers(2, 100), "wait_ms": MS},
    "prompt_cache": {"lifetime": st.sampled_from(["5m", "1h"]), "mark": st.sampled_from(["shared", "system"])},
    "rate_limit": {"limits": st.dictionaries(NAMES, LIMIT, min_size=1, max_size=3)},
    "retry": {
        "retries": st.dictionaries(st.sampled_from(FAILURES), st.integers(0, 9), min_size=1),
        "jitter": st.floats(0, 1),
        "budget": st.none() | st.floats(0, 2),
        "idempotency_keys": st.booleans(),
    },
    "semantic_cache": {"threshold": st.floats(0.1, 1)},
    "stream": {},
    "timeout": {"ms": MS},
}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a plan of any levers, each in apps of its own, since levers in one app may contradict each other."""
    kinds = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=6))
    levers: list[Lever] = []
    for i, kind in enumerate(kinds):
        if kind == "rate_limit" and kind in kinds[:i]:
            continue
        values = {name: draw(strategy) for name, strategy in FIELDS[kind].items()}
        own = {} if kind == "rate_limit" else {"apps": [f"{i}-{x}" for x in draw(LISTS)]}
        levers.append(build(kind, {**values, **own}, {}, Path()))
    return Plan(tuple(levers), draw(NAMES))


every_plan = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_kind_is_drawn() -> None:
    """The random plans of this file know every kind of lever."""
    assert set(FIELDS) == set(KINDS)


@every_plan
@example(plan=Plan((Batch(("a\x85b", " \u2028"), window_minutes=1),), "breaks that are none"))
@given(plan=plans())
def test_round_trip(tmp_path: Path, plan: Plan) -> None:
    """Any plan that is written is read again as the same plan; so is its payload as JSON."""
    again = Plan.read(plan.write(tmp_path / "plan.yaml"))
    assert (again.name, again.payload(), again.hash) == (plan.name, plan.payload(), plan.hash)
    assert diff(plan, again) == []
    (tmp_path / "plan.json").write_text(json.dumps(plan.payload()), "utf-8")
    assert Plan.read(tmp_path / "plan.json").hash == plan.hash


@every_plan
@given(plan=plans().filter(lambda p: p.levers), data=st.data())
def test_any_wrong_value_is_found_at_its_line(tmp_path: Path, plan: Plan, data: st.DataObject) -> None:
    """Whichever field of whichever lever is nonsense, the error names the file and that field's line."""
    payload = plan.payload()
    lever = data.draw(st.sampled_from(payload["levers"]))
    field = data.draw(st.sampled_from(sorted(set(lever) - {"kind"})))
    lever[field] = ["no", {"such": "thing"}]
    top = [f"{name}: {json.dumps(payload[name])}" for name in payload if name != "levers"]
    each = [f"{'-' if not i else ' '} {name}: {json.dumps(one[name])}" for one in payload["levers"] for i, name in enumerate(one)]
    text = "\n".join([*top, "levers:", *each])
    (tmp_path / "p.yaml").write_text(text, "utf-8")
    line = next(i for i, x in enumerate(text.split("\n"), 1) if '"such": "thing"' in x)
    with pytest.raises(InputError) as error:
        Plan.read(tmp_path / "p.yaml")
    shown = int(str(error.value).split("p.yaml, line ")[1].split(":")[0])
    assert shown in (line, line - 1)
    assert f"{lever['kind']} {field}" in str(error.value)


HEAD = "format: planner.plan\nversion: 1\nname: mine\nlevers:\n"
ERRORS = {
    "empty": ("", 1, "no mapping"),
    "a list": ("- a\n", 1, "no mapping"),
    "no yaml": (HEAD + "  - kind: [hedge\n", 6, "expected ',' or ']'"),
    "another format": ("format: planner.apps\nversion: 1\nlevers: []\n", 2, "a planner.plan file"),
    "newer": ("format: planner.plan\nversion: 99\nlevers: []\n", 2, "upgrade this one"),
    "unknown top": (HEAD + "  []\nlever: []\n", 6, "Did you mean 'levers'"),
    "no levers": ("format: planner.plan\nversion: 1\n", 1, "no list called levers"),
    "levers no list": ("format: planner.plan\nversion: 1\nlevers: 5\n", 3, "no list called levers"),
    "name no text": ("format: planner.plan\nversion: 1\nname: 7\nlevers: []\n", 3, "name 7"),
    "no lever": (HEAD + "  - hedge\n", 5, "'hedge'; expected a lever with its kind"),
    "no kind": (HEAD + "  - after_ms: 5\n", 5, "a lever with its kind"),
    "unknown kind": (HEAD + "  - kind: hegde\n", 5, "Did you mean 'hedge'"),
    "unknown field": (HEAD + "  - kind: hedge\n    after_ms: 800\n    aps: [chat]\n", 7, "Did you mean 'apps'"),
    "field of another": (HEAD + "  - kind: timeout\n    after_ms: 800\n", 6, "timeout field 'after_ms'; expected one of ms, apps"),
    "missing field": (HEAD + "  - kind: timeout\n    ms: 9\n  - kind: hedge\n    apps: [chat]\n", 7, "hedge without after_ms"),
    "twice": (HEAD + "  - kind: hedge\n    after_ms: 800\n    after_ms: 900\n", 7, "'after_ms' a second time"),
    "soon": (HEAD + "  - kind: hedge\n    after_ms: soon\n", 6, "hedge after_ms is 'soon'; expected milliseconds ≥ 1"),
    "in a mapping": (
        HEAD + "  - kind: retry\n    retries:\n      transport: 1\n      content: many\n",
        8,
        "retry retries content is 'many'",
    ),
    "wrong key in it": (
        HEAD + "  - kind: retry\n    retries:\n      transport: 1\n      timeouts: 2\n",
        8,
        "retry retries names 'timeouts'",
    ),
    "a limit": (HEAD + "  - kind: rate_limit\n    limits:\n      a: {rpm: 5}\n      b: {rpn: 5}\n", 8, "Did you mean 'rpm'"),
    "a date": (HEAD + "  - kind: timeout\n    ms: 2026-01-01\n", 6, "timeout ms is datetime.date"),
    "contradiction": (
        HEAD + "  - kind: timeout\n    ms: 9\n  - kind: timeout\n    ms: 8\n    apps: [chat]\n",
        7,
        "two levers for lever timeout",
    ),
    "no router": (HEAD + "  - kind: route\n    router: ../gone\n", 6, "route router is '../gone'"),
    "router no name": (HEAD + "  - kind: route\n    router: 5\n", 6, "the folder of a bundle, or a router's name"),
    "recursive": (HEAD + "  - &a [*a]\n", 5, "a lever with its kind"),
    "odd keys": (HEAD + "  - kind: timeout\n    ms: 5\n    7: 8\n", 7, "timeout field 7"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_file_and_line(tmp_path: Path, name: str) -> None:
    """Each way of being wrong is one sentence with the file and the line on which it stands."""
    text, line, said = ERRORS[name]
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        Plan.read(path)
    assert f"Got {path}, line {line}: " in str(error.value)
    assert said in str(error.value)


def test_a_contradiction_points_at_both(tmp_path: Path) -> None:
    """The second lever's line opens the sentence, the first one's closes it."""
    path = tmp_path / "plan.yaml"
    path.write_text(ERRORS["contradiction"][0])
    with pytest.raises(InputError, match=rf"line 7: plan 'mine' with .*the first is at {path}, line 5"):
        Plan.read(path)


def test_checks_against_the_log_keep_the_line(tmp_path: Path) -> None:
    """A plan that was read says where the lever stands that the log does not fit."""
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD + "  - kind: timeout\n    ms: 9\n  - kind: hedge\n    after_ms: 8\n    apps: [caht]\n")
    with pytest.raises(InputError, match=r"plan.yaml, line 7: plan 'mine': hedge for app 'caht'.*'chat'"):
        Plan.read(path).check(["chat"], [], ["latency_ms"])


def test_an_absent_file_says_so(tmp_path: Path) -> None:
    """A path without a file, or of bytes that are no text, is refused."""
    with pytest.raises(InputError, match="a readable plan file"):
        Plan.read(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="a readable plan file"):
        Plan.read(tmp_path / "bytes.yaml")


def router(tau: float = -0.5) -> Router:
    """Send everything to ``b``, with two more to choose from."""
    costs = Costs(np.array([2.0, 1.0, 3.0]), *(np.zeros(3) for _ in range(3)))
    return Router(("a", "b", "c"), "a", AlwaysRule.model(1, 0, 3), costs, (Capability(10**6),) * 3, tau=tau)


def test_a_route_names_its_bundle(tmp_path: Path) -> None:
    """A bundle is found relative to the plan file, wherever the program runs; τ, candidates and apps of the file hold."""
    export(router(), tmp_path / "bundles" / "mine")
    plan = Plan((Route(router(0.25).with_apps(["chat"])),), "routed")
    (tmp_path / "plans").mkdir()
    path = plan.write(tmp_path / "plans" / "p.yaml", {plan.payload()["levers"][0]["router"]: tmp_path / "bundles" / "mine"})
    assert "router: ../bundles/mine" in path.read_text()
    again = Plan.read(path)
    assert (again.hash, again.levers[0].apps) == (plan.hash, ("chat",))
    path.write_text(HEAD + "  - kind: route\n    router: ../bundles/mine\n    candidates: [a, b]\n")
    assert Plan.read(path).levers[0].uses == ("a", "b")


def test_a_route_names_a_router_at_hand(tmp_path: Path) -> None:
    """A router that was passed in is found by its name or its version; the nearest is offered for a misspelt one."""
    plan = Plan((Route(router()),))
    path = plan.write(tmp_path / "p.yaml")
    assert Plan.read(path, {"learned": router()}).hash == plan.hash
    path.write_text(HEAD + "  - kind: route\n    router: learned\n    tau: -.inf\n")
    found = Plan.read(path, {"learned": router()}).levers[0]
    assert isinstance(found, Route)
    assert found.router.tau == -np.inf
    path.write_text(HEAD + "  - kind: route\n    router: lerned\n")
    with pytest.raises(InputError, match=r"line 6: .*a bundle, or learned. Did you mean 'learned'"):
        Plan.read(path, {"learned": router()})


@pytest.mark.parametrize(
    ("line", "said"),
    [("tau: often", "route tau is 'often'"), ("tau: .nan", "route tau is nan"), ("apps: chat", "route apps is 'chat'"),
     ("apps: [x]", "route apps with app 'x'"), ("candidates: [z]", "route candidates with"), ("level: 3", "route field 'level'")],
)  # fmt: skip
def test_a_routes_fields_are_checked(tmp_path: Path, line: str, said: str) -> None:
    """What a route says of its router must be possible, with the line where it is not."""
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}  - kind: route\n    router: r\n    {line}\n")
    with pytest.raises(InputError, match=f"line 7: {said}"):
        Plan.read(path, {"r": router().with_apps(["chat"])})


def test_a_damaged_bundle_is_refused_with_the_line(tmp_path: Path) -> None:
    """What is wrong with a bundle is said beside the line that names it."""
    (tmp_path / "b").mkdir()
    (tmp_path / "p.yaml").write_text(f"{HEAD}  - kind: route\n    router: b\n")
    with pytest.raises(InputError, match=r"p.yaml, line 6: route router 'b': .*manifest"):
        Plan.read(tmp_path / "p.yaml")


def test_the_file_is_for_people(tmp_path: Path) -> None:
    """A written plan is block YAML with the header first, names unescaped."""
    path = Plan((Hedge(2_000, apps=("größe",)), Timeout(9_000)), "für alle").write(tmp_path / "p.yaml")
    assert path.read_text("utf-8").split("\n")[:6] == [
        "format: planner.plan", "version: 1", "name: für alle", "levers:", "- kind: hedge", "  after_ms: 2000.0",
    ]  # fmt: skip


def test_numbers_as_json_writes_them(tmp_path: Path) -> None:
    """A payload saved as JSON keeps −∞ and powers of ten, which YAML 1.1 alone would take for text."""
    plan = Plan((Route(router(-np.inf)), Hedge(1e15, "5e5", correlation=1e-05)))
    (tmp_path / "plan.json").write_text(json.dumps(plan.payload()))
    assert "-Infinity" in (tmp_path / "plan.json").read_text()
    for path in (tmp_path / "plan.json", plan.write(tmp_path / "plan.yaml")):
        assert Plan.read(path, {"r": router(-np.inf)}).payload() == plan.payload()
