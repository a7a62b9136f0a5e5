"""The folder for LiteLLM: what is written into it, twice the same, and what of an earlier one stays."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support.exported import Office, office
from support.labels import COST, made_labels
from support.small import MODELS, traffic_of

from planner.bundle import export
from planner.bundle.gateway import BUNDLE, CONFIGS, ROLLOUT, GatewayParts, check_folder, classifier_tiers, way_back, write_gateway
from planner.bundle.gateway_log import GatewayLog, gateway_log
from planner.bundle.gateway_rollout import floor_passed
from planner.bundle.nocode import AUTO, NoCode
from planner.bundle.preflight_checks import TESTED
from planner.errors import BundleError, InputError
from planner.policies import Fallback, Hedge, Plan, Route, SemanticCache
from planner.prices import PriceBook
from planner.router import Router
from planner.router.load import read_manifest
from planner.router.rollout import Guardrail, read, write
from planner.training import Training, train

LEVERS = (Fallback((MODELS[1],)), Hedge(2_000, model="gpt-4.1-mini"), SemanticCache(0.93))


@dataclass(frozen=True)
class Made:
    """The office, the plan around its router, and the bundle of both."""

    office: Office
    plan: Plan
    bundle: Path

    @property
    def router(self) -> Router:
        """The router that is exported."""
        return self.office.training.router


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Write the bundle once; every folder gets a copy of it."""
    found, bundle = office(tmp_path_factory.mktemp("office")), tmp_path_factory.mktemp("made") / BUNDLE
    plan = Plan((Route(found.training.router), *LEVERS), "x")
    return Made(found, plan, export(found.training.router, bundle, training=found.training, plan=plan))


def written(made: Made, folder: Path, log: GatewayLog | None = None, nocode: NoCode | str = "It needs LiteLLM.") -> dict[str, str]:
    """Write the files for LiteLLM beside the bundle in ``folder``."""
    shutil.copytree(made.bundle, folder / BUNDLE, dirs_exist_ok=True)
    seen = gateway_log(made.office.traffic) if log is None else log
    return write_gateway(folder, made.router, GatewayParts(made.plan, PriceBook.load(), seen, nocode))


def test_the_folder_is_the_contract(made: Made, tmp_path: Path) -> None:
    """Every file of the contract is there, and the two that LiteLLM loads are the adapters of the folder that they lie in."""
    done = written(made, tmp_path / "p")
    names = {p.name for p in (tmp_path / "p").iterdir()}
    assert names == {BUNDLE, "config.yaml", "config_classifier.yaml", "planner_router.py", "planner_classifier.py", ROLLOUT, "README.md"}
    assert done["config_nocode.yaml"] == "left out"
    assert "planner_router = hook(__file__)" in (tmp_path / "p" / "planner_router.py").read_text()
    assert "planner_classifier = classifier(__file__)" in (tmp_path / "p" / "planner_classifier.py").read_text()


def test_equal_inputs_write_equal_bytes(made: Made, tmp_path: Path) -> None:
    """Two exports of the same inputs are the same bytes, the draws' salt included."""
    for name in ("a", "b"):
        written(made, tmp_path / name)
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (tmp_path / "a", tmp_path / "b")]
    assert files[0] == files[1]


def test_every_model_that_may_be_called_is_deployed(made: Made, tmp_path: Path) -> None:
    """Candidates, the groups that the log asks for, and the models that levers name have one deployment each, and no key is in it."""
    written(made, tmp_path / "p")
    listed = yaml.safe_load((tmp_path / "p" / CONFIGS[0]).read_text("utf-8"))["model_list"]
    assert [m["model_name"] for m in listed] == [*MODELS, "assistant", "gpt-4.1-mini"]
    assert next(m for m in listed if m["model_name"] == "assistant")["litellm_params"]["model"] == f"openai/{MODELS[0]}"
    assert {m["litellm_params"]["api_key"] for m in listed} == {"os.environ/OPENAI_API_KEY"}


def test_the_first_rollout_changes_nothing(made: Made, tmp_path: Path) -> None:
    """Every app of the log is in shadow, with the groups it asks for, guardrails at today's level, and a permanent holdout."""
    written(made, tmp_path / "p")
    rollout, frame = read(tmp_path / "p" / ROLLOUT), made.office.traffic.frame()
    digest = read_manifest(tmp_path / "p" / BUNDLE)[0]["digest"]
    assert (rollout.salt, rollout.holdout, rollout.stop, {*rollout.apps}) == (digest[:8], 0.05, False, {"chat", "desk"})
    assert {app.mode for app in rollout.apps.values()} == {"shadow"}
    assert (rollout.apps["chat"].asks, rollout.apps["desk"].asks) == ((MODELS[0],), ("assistant",))
    for name, app in rollout.apps.items():
        own = frame[frame["app"] == name]
        ok = own[own["status"] == "ok"]
        assert app.guardrails["error"].baseline == pytest.approx((own["status"] != "ok").mean(), abs=1e-6)
        assert app.guardrails["length"].baseline == pytest.approx((ok["finish_reason"] == "length").mean(), abs=1e-6)
        slow = app.guardrails["slow"]
        assert slow.baseline == pytest.approx((ok["latency_ms"] > slow.limit_ms).mean(), abs=1e-6)
        assert 0.03 < slow.baseline < 0.07
    formats = made.office.traffic.frame("app", "status", "response_format", "response")
    code = formats.query("status == 'ok' and response_format == 'json_object'")
    assert rollout.apps["chat"].guardrails["schema"].baseline == pytest.approx((code["response"] == "no json").mean(), abs=1e-6)
    assert "schema" not in rollout.apps["desk"].guardrails


def test_what_people_edited_stays(made: Made, tmp_path: Path) -> None:
    """A second export replaces bundle and configuration, and leaves rollout.json and state as they are."""
    folder = tmp_path / "p"
    written(made, folder)
    edited = replace(read(folder / ROLLOUT), stop=True)
    write(folder / ROLLOUT, edited)
    (folder / "state").mkdir()
    (folder / CONFIGS[0]).write_text("# mine")
    done = written(made, folder)
    assert done[ROLLOUT] == "kept as it was"
    assert read(folder / ROLLOUT) == edited
    assert (folder / "state").is_dir()
    assert (folder / CONFIGS[0]).read_text() != "# mine"


def test_other_folders_are_left_alone(made: Made, tmp_path: Path) -> None:
    """A folder with anything but an export in it is refused before anything is written, and so is one without a bundle."""
    (tmp_path / "mine").mkdir()
    check_folder(tmp_path / "mine")
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something other than an export"):
        check_folder(tmp_path / "mine")
    with pytest.raises(BundleError, match="readable manifest"):
        write_gateway(tmp_path / "none", made.router, GatewayParts(Plan(), PriceBook.load()))


def test_the_page_says_what_the_gateway_cannot(made: Made, tmp_path: Path) -> None:
    """README.md names the hedge and the threshold of this plan, the apps, how to stop, and why a file was left out."""
    written(made, tmp_path / "p")
    page = (tmp_path / "p" / "README.md").read_text("utf-8")
    unsaid = page.partition("## What LiteLLM cannot express")[2]
    assert "LiteLLM sends no second call after a delay" in unsaid
    assert "LiteLLM has no such embedding" in unsaid
    assert "`config_nocode.yaml` was left out. It needs LiteLLM." in page
    assert "touch STOP" in page
    assert "export OPENAI_API_KEY=" in page


def test_without_a_log_apps_are_those_of_the_router(made: Made, tmp_path: Path) -> None:
    """Without a log the rollout lists the apps that the router was trained for, each asking for its model of today, unguarded."""
    written(made, tmp_path / "p", GatewayLog())
    rollout = read(tmp_path / "p" / ROLLOUT)
    assert {*rollout.apps} == {"chat", "desk"}
    assert all(app.asks == (MODELS[0],) and not app.guardrails for app in rollout.apps.values())


@pytest.fixture(scope="module")
def trained() -> Training:
    """Train where small is as good as large in chat, and not in maths."""
    return train(made_labels(900), reference="large", cost=COST, floor=0.25)


def test_only_candidates_that_keep_the_floor_may_be_explored(trained: Training) -> None:
    """The model of today passes in every app; another passes where its own labelled answers keep the floor, at a level for all tests."""
    problem, router = trained.problem, trained.router
    rows = problem.rows("calibrate")
    found = floor_passed(trained, router, ["chat", "maths", "nowhere"])
    assert all(trained.problem.reference in models for models in found.values())
    assert found["nowhere"] == ["large"]
    app = np.array(problem.requests.app)[rows]
    for name in ("chat", "maths"):
        for k, model in enumerate(problem.models):
            lost = (problem.quality[rows][:, problem.reference_code] - problem.quality[rows][:, k])[app == name].mean()
            if model in found[name]:
                assert lost < trained.floor
            if lost > trained.floor:
                assert model not in found[name]
    assert "middle" in found["chat"]


def test_tiers_are_the_four_that_matter(trained: Training) -> None:
    """Fewer than four candidates repeat the dearest; of more, the reference stays and those decided most, cheapest first."""
    router = trained.router
    assert classifier_tiers(router) == ["small", "middle", "large", "large"]

    class Many:
        candidates = ("a", "b", "c", "d", "e")
        reference = "e"

        class costs:  # noqa: N801
            @staticmethod
            def usd(_: Any) -> Any:
                return np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])

    decided: Any = Many
    assert classifier_tiers(decided, {"d": 0.5, "b": 0.2, "c": 0.1}) == ["b", "c", "d", "e"]


def test_every_model_of_today_has_a_tier() -> None:
    """Of more than four candidates the apps' models of today stay before those decided most: all that is not routed goes there."""

    class Many:
        candidates = ("a", "b", "c", "d", "e", "f")
        reference = "f"

        class costs:  # noqa: N801
            @staticmethod
            def usd(_: Any) -> Any:
                return np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])

    decided: Any = Many
    assert classifier_tiers(decided, {"a": 0.5, "b": 0.2, "c": 0.1}) == ["a", "b", "c", "f"]
    assert classifier_tiers(decided, {"a": 0.5, "b": 0.2, "c": 0.1}, {"e", "d"}) == ["a", "d", "e", "f"]


def test_the_page_says_what_each_configuration_is_without(made: Made, tmp_path: Path) -> None:
    """The classifier's part names each app's model of today and what is missing; that without code has its own way back, or no line."""
    written(made, tmp_path / "p")
    page = (tmp_path / "p" / "README.md").read_text("utf-8")
    slot = page.partition("## Without the hook")[2]
    assert "alike" not in slot
    assert f"model of today by the bundle (chat, desk: {MODELS[0]})" in slot
    assert "no guardrails, no mirrored answers and no `planner verify`" in slot
    assert "| `config_nocode.yaml`" not in page
    entry = {"model_name": AUTO, "litellm_params": {"model": "auto_router/complexity_router"}}
    span = [0.0, -0.1, 0.1]
    worth = {"rows": 9, "beside_planner": {"quality_difference": span, "usd_per_1k_difference": span}}
    written(made, tmp_path / "n", nocode=NoCode({"SIMPLE": MODELS[2]}, entry, worth))
    page = (tmp_path / "n" / "README.md").read_text("utf-8")
    assert "| `config_nocode.yaml`" in page
    assert "`rollout.json` and STOP mean nothing to it: there is no shadow, no share, no holdout, no guardrail" in page


def test_the_page_installs_what_was_tested(made: Made, tmp_path: Path) -> None:
    """It pins LiteLLM to the versions that preflight accepts, and takes planner from its checkout or wheel, not from an index."""
    written(made, tmp_path / "p")
    page = (tmp_path / "p" / "README.md").read_text("utf-8")
    low, high = (".".join(map(str, v)) for v in TESTED)
    assert f"pip install 'litellm[proxy]>={low},<{high}'" in page
    assert f"pip install PLANNER  # its checkout, or llm_traffic_planner-{version('llm-traffic-planner')}-py3-none-any.whl" in page
    assert "    planner rollout back .\n" in page


def test_the_official_slot_changes_the_model_alone(made: Made, tmp_path: Path) -> None:
    """In the classifier's configuration LiteLLM neither sets max_tokens nor shortens histories, as it would by itself."""
    written(made, tmp_path / "p")
    entry = yaml.safe_load((tmp_path / "p" / CONFIGS[1]).read_text("utf-8"))["model_list"][-1]
    config = entry["litellm_params"]["complexity_router_config"]
    assert (entry["model_name"], entry["litellm_params"]["model"]) == (AUTO, "auto_router/complexity_router")
    assert (config["max_tokens_from_tier_model"], config["context_compaction"]) == (False, False)
    assert [*config["tiers"]] == ["SIMPLE", "MEDIUM", "COMPLEX", "REASONING"]
    assert {*config["tiers"].values()} <= {*made.router.candidates}
    assert config["tier_labels"] == {"SIMPLE": MODELS[2], "MEDIUM": MODELS[1], "COMPLEX": MODELS[0]}, "what the classifier answers"
    assert (config["classifier_fallback"], config["default_model"]) == ("default_model", made.router.reference)


def test_a_group_is_what_answers_it_most(tmp_path: Path) -> None:
    """Of a group that several models answered, the most frequent stands behind it; overhead and cache hits ask for nothing."""
    traffic = traffic_of(
        tmp_path,
        {
            "model": ["a", "b", "b", "c", "d"],
            "model_requested": ["g", "g", "g", "h", "i"],
            "app": "x",
            "purpose": ["user", "user", "user", "overhead", "user"],
            "cache_hit": [False, False, False, False, True],
        },
    )
    found = gateway_log(traffic)
    assert (found.behind, found.asks) == ({"g": "b"}, {"x": ("g",)})


@pytest.mark.parametrize(
    ("formats", "baseline"),
    [(["json_object"] * 4, 1 / 3), (["json_schema"] * 4, None), (["json_object", "json_schema"] * 2, None), (["grammar"] * 4, "none")],
)
def test_the_baseline_of_formats_is_measured_as_the_guard_measures(tmp_path: Path, formats: list[str], baseline: Any) -> None:
    """Answers that should be JSON are judged as at the gateway, empty ones not; those to a schema, which no log keeps, have no baseline."""
    columns = {"model": "a", "model_requested": "g", "app": "x", "purpose": "user", "cache_hit": False, "status": "ok"}
    traffic = traffic_of(tmp_path, {**columns, "response_format": formats, "response": ["{}", "no", "", "[1]"]})
    found = gateway_log(traffic).guardrails["x"].get("schema", {"baseline": "none"})
    assert found.get("baseline") == pytest.approx(baseline, abs=1e-6)


def test_the_design_effect_is_that_of_what_arms_are_drawn_for(tmp_path: Path) -> None:
    """Sessions of ten that fail whole are measured as such, failures by themselves as one, an app that tells little as the others."""
    n, rng = 6_000, np.random.default_rng(1)
    session = np.repeat(np.arange(n // 10), 10)
    whole = (rng.random(n // 10) < 0.1)[session]
    app = np.where(session < 300, "whole", "single")
    app[session >= 590] = "few"
    failed = np.where(app == "whole", whole, rng.random(n) < 0.1)
    columns = {"model": "a", "app": app, "purpose": "user", "cache_hit": False, "status": np.where(failed, "transport", "ok")}
    formats = {"response_format": "json_object", "response": np.where(whole, "no", "{}")}
    by_session = traffic_of(tmp_path / "s", {**columns, **formats, "session_id": [f"s{i}" for i in session]})
    found = gateway_log(by_session).guardrails
    assert 9 < found["whole"]["error"]["design_effect"] < 12
    assert 1 <= found["single"]["error"]["design_effect"] < 1.4
    assert 3 < found["few"]["error"]["design_effect"] < 9, "between the two, and for units of ten"
    assert 8 < found["single"]["schema"]["design_effect"] < 13
    by_user = traffic_of(tmp_path / "u", {**columns, "user": [f"u{i}" for i in session]})
    assert gateway_log(by_user).guardrails["whole"]["error"] == found["whole"]["error"]
    alone = gateway_log(traffic_of(tmp_path / "r", columns)).guardrails
    assert [own["error"]["design_effect"] for own in alone.values()] == [1.0, 1.0, 1.0]
    assert Guardrail(**alone["whole"]["error"]).effect == 1.0


def test_what_stands_behind_a_group_is_not_where_our_router_sent_it(tmp_path: Path) -> None:
    """In a routed log a group keeps the model that answers its held-out requests, however few; without any, what answers it most."""
    arms = ["holdout", "routed", "routed", "pinned", "routed"]
    traffic = traffic_of(
        tmp_path,
        {
            "model": ["a", "b", "b", "b", "c"],
            "model_requested": ["g", "g", "g", "g", "h"],
            "app": "x",
            "purpose": "user",
            "cache_hit": False,
            "tags": [json.dumps([f"planner-arm:{arm}"]) for arm in arms],
        },
    )
    found = gateway_log(traffic)
    assert (found.behind, found.asks) == ({"g": "a", "h": "c"}, {"x": ("g", "h")})


def test_no_text_of_a_request_is_in_any_file(made: Made, tmp_path: Path) -> None:
    """No file of the folder holds a request's own number or words that only requests have."""
    written(made, tmp_path / "p")
    everything = b" ".join(p.read_bytes() for p in (tmp_path / "p").rglob("*") if p.is_file()).decode("utf-8", "replace")
    assert not [w for w in ("orchard", "kettle", "harbour", "Summarise") if w in everything]
    assert json.loads((tmp_path / "p" / ROLLOUT).read_text())["apps"]


def test_a_router_of_other_models_is_written_too(trained: Training, tmp_path: Path) -> None:
    """Models that no price book knows are called as OpenAI's protocol wants it, at an address to be given, and the page says so."""
    router: Router = trained.router
    plan = Plan((Route(router),), "x")
    export(router, tmp_path / "p" / BUNDLE, training=trained, plan=plan)
    write_gateway(tmp_path / "p", router, GatewayParts(plan, PriceBook.load()))
    listed = yaml.safe_load((tmp_path / "p" / CONFIGS[0]).read_text("utf-8"))["model_list"]
    assert listed[0]["litellm_params"] == {
        "model": "openai/large",
        "api_key": "os.environ/LARGE_API_KEY",
        "api_base": "os.environ/LARGE_API_BASE",
    }
    assert "No price book knows who serves large, middle, small" in (tmp_path / "p" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("log", [None, GatewayLog()])
def test_no_request_is_sent_elsewhere_by_the_configuration_with_the_hook(made: Made, tmp_path: Path, log: GatewayLog | None) -> None:
    """Exported without a plan, no list of fallbacks is in it; the classifier's brings what nobody asks for back to the reference."""
    shutil.copytree(made.bundle, tmp_path / "p" / BUNDLE)
    seen = gateway_log(made.office.traffic) if log is None else log
    write_gateway(tmp_path / "p", made.router, GatewayParts(Plan(), PriceBook.load(), seen))
    hooked, slot = (yaml.safe_load((tmp_path / "p" / name).read_text("utf-8"))["router_settings"] for name in CONFIGS[:2])
    reference = made.router.reference
    assert not [key for key in hooked if "fallbacks" in key]
    assert slot["fallbacks"] == [{model: [reference]} for model in made.router.candidates if model != reference]
    page = (tmp_path / "p" / "README.md").read_text("utf-8")
    assert "what was not moved fails as it does today" in " ".join(page.split())
    assert f"In both, what fails falls back from {MODELS[1]} to {reference}; {MODELS[2]} to {reference}." in page


def test_without_the_hook_only_what_nobody_asks_for_has_a_way_back(made: Made, tmp_path: Path) -> None:
    """A candidate that some app asks for has none, and none has one where the apps' models of today differ; the page says so."""
    big, middle, small = MODELS
    asks = {"chat": (big,), "desk": (big, middle)}
    log = GatewayLog(asks, behind={big: big, middle: middle})
    assert way_back(made.router, log) == {small: big}
    router = replace(made.router, references=(("desk", middle),))
    assert way_back(router, log) == {}
    shutil.copytree(made.bundle, tmp_path / "p" / BUNDLE)
    write_gateway(tmp_path / "p", router, GatewayParts(Plan(), PriceBook.load(), log))
    slot = yaml.safe_load((tmp_path / "p" / CONFIGS[1]).read_text("utf-8"))["router_settings"]
    assert "fallbacks" not in slot
    page = " ".join((tmp_path / "p" / "README.md").read_text("utf-8").split())
    assert f"From {big}, {middle}, {small} there is no way back" in page
