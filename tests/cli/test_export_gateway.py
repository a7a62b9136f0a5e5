"""``planner export --gateway litellm``: the folder from labels and from a bundle, with what is expected of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.exported import FLOOR, office
from support.small import MODELS
from support.steered import router

from planner.bundle import export_gateway
from planner.bundle.production import left_words
from planner.cli import main
from planner.errors import InputError
from planner.policies import Plan, Route
from planner.router import Router
from planner.router.load import read_manifest
from planner.router.rollout import read, turned, write
from planner.traffic.written import listed
from planner.units import DAYS_PER_MONTH

PLAN = """\
format: planner.plan
version: 1
name: careful
levers:
  - {kind: retry, retries: {transport: 2, rate_limit: 3}}
  - {kind: hedge, after_ms: 2000}
"""
OUT = "production"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the office's log and labels, and a plan without a route."""
    folder = tmp_path_factory.mktemp("office")
    made = office(folder)
    home = made.traffic.folder.parent
    (home / "plan.yaml").write_text(PLAN)
    return home


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``planner`` in this process; return its code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


def exported(inside: Callable[..., tuple[int, str, str]], *arguments: str | Path) -> Any:
    """Export, and return the one object on stdout."""
    code, out, err = inside("export", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def of_labels(desk: Path, out: Path) -> tuple[str | Path, ...]:
    """Return the arguments of an export from labels, log and plan."""
    given = ("--log", desk / "log", "--plan", desk / "plan.yaml", "--floor", str(FLOOR))
    return (desk / "labels", *given, "--gateway", "litellm", "--out", out)


def test_labels_log_and_plan_make_the_folder(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """One command writes every file; the plan routes by the exported router, and all that is known of it is in the manifest."""
    folder = tmp_path / OUT
    said = exported(inside, *of_labels(desk, folder))
    router, manifest = Router.load(folder / "bundle"), read_manifest(folder / "bundle")[0]
    assert {name for name, done in said["files"].items() if done == "written"} == {p.name for p in folder.iterdir()} - {"bundle"}
    levers = json.loads((folder / "bundle" / "plan.json").read_text())["levers"]
    assert [x["kind"] for x in levers] == ["route", "retry", "hedge"]
    assert levers[0]["router"] == router.version == said["router"]["version"]
    evaluation = manifest["evaluation"]
    assert evaluation["prediction"]["saving_usd_per_month"]["value"] > 0
    assert evaluation["prediction"]["plan"]["levers"] == ["route", "retry", "hedge"]
    assert set(evaluation["floor_passed"]) == {"chat", "desk"}
    head = (folder / "config_nocode.yaml").read_text("utf-8").splitlines()[2]
    assert f"{evaluation['no_code']['beside_planner']['quality_difference'][0]:+.4f}" in head
    assert yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["router_settings"]["retry_policy"]["RateLimitErrorRetries"] == 3
    assert "LiteLLM sends no second call after a delay" in (folder / "README.md").read_text("utf-8")
    assert [one["instead"] for one in said["not_by_gateway"] if one["lever"].startswith("hedge")] == [
        "LiteLLM sends no second call after a delay"
    ]


def test_the_folder_is_listed_for_forgetting(desk: Path, inside: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    """An exported folder is found by ``planner forget`` later, since a mirror keeps users' answers in it."""
    monkeypatch.chdir(tmp_path)
    exported(inside, *of_labels(desk, tmp_path / OUT))
    assert (tmp_path / OUT).resolve() in listed()


def test_it_says_how_soon_harm_would_be_found(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """For each app and holdout a line in text and in JSON: requests and days at the app's volume, estimated; without a log, nothing."""
    said = exported(inside, *of_labels(desk, tmp_path / OUT))
    rows = {(d["app"], d["holdout"], d["harm"]): d for d in said["delays"]}
    assert {(app, holdout) for app, holdout, _ in rows} == {(app, holdout) for app in ("chat", "desk") for holdout in (0.01, 0.05, 0.1)}
    assert {d["evidence"] for d in rows.values()} == {"estimated"}
    for app, own in said["evaluation"]["prediction"]["apps"].items():
        one = rows[app, 0.05, 0.3]
        assert one["days"] == pytest.approx(one["requests"] / (own["requests_per_month"] / DAYS_PER_MONTH))
        assert rows[app, 0.1, 0.05]["requests"] < rows[app, 0.05, 0.05]["requests"]
    _, out, _ = inside("export", *of_labels(desk, tmp_path / OUT))
    assert "About how soon the guardrails would stop an app, all but the holdout being routed (estimated:" in " ".join(out.split())
    table = [line.split() for line in out.splitlines() if line.startswith(("chat ", "desk "))]
    assert [line[:2] for line in table] == [[app, share] for app in ("chat", "desk") for share in ("1.0%", "5.0%", "10.0%")]
    assert all(line.count("requests") == line.count("days)") == 2 for line in table)
    assert not exported(inside, desk / "labels", "--floor", str(FLOOR), "--gateway", "litellm", "--out", tmp_path / "bare")["delays"]


def test_again_is_the_same_and_leaves_the_rollout(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """The same export twice is the same bytes; into the same folder it leaves rollout.json alone, and says so."""
    for name in ("a", "b"):
        exported(inside, *of_labels(desk, tmp_path / name))
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (tmp_path / "a", tmp_path / "b")]
    assert files[0] == files[1]
    (tmp_path / "a" / "rollout.json").write_text((tmp_path / "a" / "rollout.json").read_text().replace("shadow", "off"))
    code, out, _ = inside("export", *of_labels(desk, tmp_path / "a"))
    assert code == 0
    assert "The gateway does not do these parts of the plan" in " ".join(out.split())
    assert "rollout.json: kept as it was" in out
    assert "Expected: " in out
    assert {app.mode for app in read(tmp_path / "a" / "rollout.json").apps.values()} == {"off"}


def test_a_running_folder_is_written_over_only_where_asked(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """While an app is beyond shadow an export is refused and nothing changes; with ``--replace`` it says what is on."""
    folder = tmp_path / OUT
    _, out, _ = inside("export", *of_labels(desk, folder))
    assert "No app is beyond shadow" in " ".join(out.split())
    write(folder / "rollout.json", turned(read(folder / "rollout.json"), ("chat",), mode="active"))
    before = (folder / "bundle" / "manifest.json").read_bytes()
    code, out, err = inside("export", *of_labels(desk, folder), "--tau", "5")
    assert (code, out) == (2, "")
    assert "chat is in active" in " ".join(err.split())
    assert "--replace" in err
    assert (folder / "bundle" / "manifest.json").read_bytes() == before
    code, out, err = inside("export", *of_labels(desk, folder), "--tau", "5", "--replace")
    assert code == 0, err
    words = " ".join(out.split())
    assert "The rollout says that chat is in active: running gateways take this router at once." in words
    assert f"The bundle before is kept in {folder / 'bundle.previous'}; to put it back, and this one in its place, run:" in words
    assert f"planner rollout back {folder}" in words
    assert (folder / "bundle.previous" / "manifest.json").read_bytes() == before
    assert Router.load(folder / "bundle.previous").tau != Router.load(folder / "bundle").tau == 5
    assert (folder / "bundle" / "manifest.json").read_bytes() != before
    assert read(folder / "rollout.json").apps["chat"].mode == "active"


def test_the_text_says_what_is_on(tmp_path: Path) -> None:
    """What an export says of itself follows the rollout: shadow at first, then what was turned on, which it refuses to replace unasked."""
    plan = Plan((Route(router()),), "route")
    made = export_gateway(plan, tmp_path / OUT)
    assert "No app is beyond shadow" in made.text
    made.turn("active")
    assert "No app is beyond shadow" not in made.text
    with pytest.raises(InputError, match="default is in active"):
        export_gateway(plan, tmp_path / OUT)
    again = export_gateway(plan, tmp_path / OUT, replace=True)
    assert "default is in active: running gateways take this router at once" in again.text


def test_what_a_second_export_drops_is_said(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """Over an export from labels and a plan one from a bundle alone names the configuration and the settings that are gone."""
    folder = tmp_path / OUT
    first = exported(inside, *of_labels(desk, folder))
    assert first["replaced"] == []
    before = (folder / "bundle" / "manifest.json").read_bytes()
    assert exported(inside, *of_labels(desk, folder))["replaced"] == [], "the same again replaces nothing"
    (tmp_path / "router").mkdir()
    exported(inside, folder, "--tau", "0.5", "--out", tmp_path / "router")
    kept, nocode, settings = exported(inside, tmp_path / "router", "--gateway", "litellm", "--out", folder)["replaced"]
    assert "is kept in" in kept
    assert nocode == "config_nocode.yaml of the export before was removed."
    assert settings.startswith("config.yaml no longer sets ")
    assert "retry_policy" in settings
    assert "--plan" in settings
    assert (folder / "bundle.previous" / "manifest.json").read_bytes() == before
    made = export_gateway(Plan((Route(Router.load(folder / "bundle.previous")),), "back"), folder)
    assert f"is kept in {folder / 'bundle.previous'}" in made.text
    assert Router.load(folder / "bundle.previous").tau == 0.5, "one generation is kept"


def test_a_plan_that_names_another_bundle_is_refused(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """A route that names a bundle's folder exports that bundle or none, also where the folder is called as the exported router is."""
    exported(inside, *of_labels(desk, tmp_path / "made"))
    for name, tau in (("router", "0.1"), ("router8", "0.5")):
        exported(inside, tmp_path / "made", "--tau", tau, "--out", tmp_path / name)
    plan, (one, other) = tmp_path / "plan.yaml", (Router.load(tmp_path / name).version for name in ("router", "router8"))
    for named, source, versions in (("router", "router8", (one, other)), ("router8", "router", (other, one))):
        plan.write_text(PLAN + f"  - {{kind: route, router: {named}}}\n")
        code, out, err = inside("export", tmp_path / source, "--plan", plan, "--out", tmp_path / OUT)
        assert (code, out) == (2, "")
        assert f"whose route names {named}, router {versions[0]}; expected the exported one, router {versions[1]}" in " ".join(err.split())
        assert not (tmp_path / OUT).exists()
        said = exported(inside, tmp_path / named, "--plan", plan, "--tau", "5", "--out", tmp_path / f"{OUT}-{named}")
        assert said["router"]["tau"] == 5, "the level asked for holds, not that of the folder"


def test_a_lever_is_named_once() -> None:
    """Several limits of one lever stand behind it together."""
    assert left_words([("retry", "a"), ("hedge", "b"), ("retry", "c")]).endswith("counts: retry (a; c); hedge (b). ")


def test_an_exported_folder_is_a_bundle_too(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """The folder is exported again at another level: without labels there is no router without code, and quality is unknown."""
    first = exported(inside, *of_labels(desk, tmp_path / "a"))
    code, out, err = inside(
        "export", tmp_path / "a", "--tau", "0.5", "--log", desk / "log", "--gateway", "litellm", "--out", tmp_path / "b"
    )
    assert code == 0, err
    assert "config_nocode.yaml was left out. It needs labels" in out
    evaluation = read_manifest(tmp_path / "b" / "bundle")[0]["evaluation"]
    assert evaluation["made_from_router"] == first["router"]["version"]
    assert evaluation["floor_passed"] == first["evaluation"]["floor_passed"]
    assert evaluation["prediction"]["quality_difference"]["value"] is None
    assert Router.load(tmp_path / "b" / "bundle").tau == 0.5
    code, _, err = inside("export", tmp_path / "a", "--out", tmp_path / "b")
    assert code == 2, "a bundle in place of the folder would take rollout.json with it"
    assert "which a gateway runs" in err
    assert not (tmp_path / "b" / "config_nocode.yaml").exists()


def test_a_plain_bundle_holds_its_prediction(desk: Path, inside: Callable[..., Any], tmp_path: Path) -> None:
    """Without a gateway the bundle is written as before, with the plan and what is expected of it where there is a log."""
    given = (desk / "labels", "--log", desk / "log", "--floor", str(FLOOR), "--out", tmp_path / "bundle")
    said = exported(inside, *given)
    assert not said["files"]
    evaluation = read_manifest(tmp_path / "bundle")[0]["evaluation"]
    assert (evaluation["method"], evaluation["prediction"]["plan"]["levers"]) == ("learned", ["route"])
    assert evaluation == said["evaluation"]


def test_without_litellm_one_file_is_left_out(desk: Path, inside: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    """Where LiteLLM is not installed everything else is written, and one sentence says what is missing and why."""
    for name in [m for m in sys.modules if m == "litellm" or m.startswith("litellm.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "litellm", None)
    code, out, err = inside("export", *of_labels(desk, tmp_path / OUT))
    assert code == 0, err
    assert "config_nocode.yaml was left out. LiteLLM cannot be run here" in " ".join(out.split())
    assert (tmp_path / OUT / "config.yaml").exists()
    assert "no_code" not in read_manifest(tmp_path / OUT / "bundle")[0]["evaluation"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--gateway", "litelm"), "Did you mean 'litellm'"),
        (("--gateway", "litellm", "--out", "taken"), "something other than an export"),
        (("--replace",), "--replace without --gateway"),
        (("--plan", "other.yaml"), "whose route names cheap, router"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    given: tuple[str, ...], sentence: str, desk: Path, inside: Callable[..., Any], tmp_path: Path
) -> None:
    """An unknown gateway, a folder of somebody's, and a plan that routes by another router are refused, and nothing is written."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    exported(inside, desk / "labels", "--method", "cheapest", "--reference", MODELS[0], "--out", tmp_path / "cheap")
    (tmp_path / "other.yaml").write_text(PLAN + "  - {kind: route, router: cheap}\n")
    named = [str(tmp_path / g) if g in ("taken", "other.yaml") else g for g in given]
    code, out, err = inside("export", desk / "labels", "--out", tmp_path / OUT, *named)
    assert (code, out) == (2, "")
    assert sentence in " ".join(err.split())
    assert not (tmp_path / OUT).exists()
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["thesis.txt"]
