"""Preflight against a real LiteLLM proxy: go on the written configuration, and no-go, with what to do, for everything that is wrong."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from support.exported import Office, office
from support.faulty import Faulty, faulty
from support.gateway import Gateway, gateway
from support.small import MODELS
from support.steered import router as steered
from typer.testing import CliRunner

from planner.bundle import export
from planner.bundle import preflight_checks as checks
from planner.bundle.gateway import BUNDLE, CALLBACK, GatewayParts, write_gateway
from planner.bundle.gateway_log import gateway_log
from planner.bundle.nocode import AUTO
from planner.bundle.prediction import predict
from planner.bundle.preflight import Preflight, peaks_of, preflight
from planner.bundle.preflight_calls import FEATURES, features_of, tried
from planner.bundle.preflight_checks import Check
from planner.bundle.preflight_proxy import Answered, Proxy, proxy_at
from planner.bundle.preflight_running import CLASSIFIER, HOOK, NOCODE, ROLLBACK, deciding, kind_of, same_models
from planner.cli.preflight import preflight as verb
from planner.errors import BundleError, InputError
from planner.outcomes import fit_outcomes
from planner.policies import Fallback, Plan, RateLimit, Route
from planner.prices import PriceBook
from planner.router import Router
from planner.router.capabilities import Capability
from planner.simulation import World

BIG, MIDDLE, SMALL = MODELS
TODAY = dt.date(2026, 11, 20)
#: A second proxy asks this who may do what: the second key may use the big model alone, by LiteLLM's own check of keys.
_AUTH = """
import os
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth
from litellm.proxy.auth.auth_checks import can_key_call_model

async def auth(request, api_key):
    if api_key == os.environ["LITELLM_MASTER_KEY"]:
        return UserAPIKeyAuth(api_key=api_key, user_role=LitellmUserRoles.PROXY_ADMIN)
    key = UserAPIKeyAuth(api_key=api_key, models=["gpt-5.4"])
    if request.method == "POST":
        body = await request.json()
        await can_key_call_model(model=body["model"], llm_model_list=None, valid_token=key, llm_router=None)
    return key
"""


@dataclass(frozen=True)
class Running:
    """An exported folder and a proxy that runs it."""

    folder: Path
    made: Office
    proxy: Gateway
    upstream: Faulty

    def asked(self, key: str | None = None) -> Proxy:
        """Return the proxy as preflight asks it."""
        return proxy_at(self.proxy.url, key or self.proxy.key)

    def fly(self, key: str | None = None, folder: Path | None = None, **given: Any) -> Preflight:
        """Run preflight."""
        return preflight(folder or self.folder, self.asked(key), **{"today": TODAY, "book": PriceBook.load(), **given})


def write(made: Office, router: Router, folder: Path) -> None:
    """Export ``router`` with quotas, a fallback and what is expected of it."""
    plan = Plan((Route(router), Fallback((MIDDLE,)), RateLimit(dict.fromkeys(MODELS, (900, 900000, None)))), "x")
    book = PriceBook.load()
    world = World(made.traffic, fit_outcomes(made.traffic, made.labels, made.training), book, book.date)
    evaluation = {"prediction": predict(world, plan, router)}
    export(router, folder / BUNDLE, training=made.training, plan=plan, evaluation=evaluation)
    write_gateway(folder, router, GatewayParts(plan, book, gateway_log(made.traffic), "It needs LiteLLM."))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Export the office, and run what was written."""
    made, folder = office(tmp_path_factory.mktemp("office")), tmp_path_factory.mktemp("exported") / "production"
    write(made, made.training.router, folder)
    run = shutil.copytree(folder, tmp_path_factory.mktemp("running") / "production")
    with faulty() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-nothing")
        patch.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        with gateway(run, yaml.safe_load((run / "config.yaml").read_text("utf-8"))) as proxy:
            yield Running(folder, made, proxy, upstream)


@pytest.fixture(scope="module")
def narrow(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway of somebody else's: without the middle model, without the hook, with keys of its own and other retries."""
    config = yaml.safe_load((running.folder / "config.yaml").read_text("utf-8"))
    config["model_list"] = [m for m in config["model_list"] if m["model_name"] != MIDDLE]
    config["router_settings"] = {"num_retries": 1, "disable_cooldowns": False}
    config["general_settings"] = {"custom_auth": "narrow_auth.auth"}
    config.pop("litellm_settings", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-nothing")
        patch.setenv("OPENAI_API_BASE", f"{running.upstream.url}/v1")
        with gateway(tmp_path_factory.mktemp("narrow"), config, {"narrow_auth": _AUTH}) as proxy:
            yield replace(running, proxy=proxy)


@pytest.fixture(autouse=True)
def _nothing_refused(running: Running) -> Iterator[None]:
    yield
    running.upstream.refuses.clear()


def against(found: Preflight) -> list[Check]:
    """Return what stands against it."""
    return [c for c in found.checks if c.go is False]


def only(found: Preflight) -> Check:
    """Return the one check that fails."""
    (one,) = against(found)
    assert not found.go
    assert found.text.startswith("No-go: 1 of ")
    assert one.fix, "every no-go says what to do"
    return one


def test_the_written_configuration_is_a_go(running: Running) -> None:
    """On the configuration as written nothing fails or is unknown: version, groups, hook, calls, quotas, retirements; nothing differs."""
    before = len(running.upstream.seen)
    found = running.fly()
    assert (found.go, against(found), found.diff) == (True, [], ())
    made = {(c.check, c.subject) for c in found.checks}
    assert {("model group", g) for g in (*MODELS, "assistant")} | {("hook", CALLBACK)} <= made
    assert {("call", f"{m}, {f}") for m in MODELS for f in ("plain", "json_object", "stream")} <= made
    assert {("quota", m) for m in MODELS} | {("retirement", m) for m in MODELS} <= made
    assert found.calls == len(running.upstream.seen) - before
    assert all(body.get("max_completion_tokens", body.get("max_tokens")) == 16 for body in running.upstream.seen[before:])
    assert found.cost_usd is not None
    assert 0 < found.cost_usd < 0.01
    assert found.text.startswith("Go: no check fails. ")


def test_its_own_calls_are_no_traffic(running: Running) -> None:
    """The calls carry the tag by which our reader books them as overhead, and an app that no rollout lists."""
    running.fly()
    tags = running.proxy.settled(1)[-1]["request_tags"]
    assert {"planner:labels", "app:planner-preflight"} <= {*tags}
    assert not [t for t in tags if t.startswith("planner-arm:")]


def test_features_are_those_that_are_used_and_can_be(running: Running) -> None:
    """A feature is tried where the log uses it and the router may send it there; without a log, wherever the router may."""
    can = Capability(max_input_tokens=9, tools=True, formats=("text", "json_schema"))
    router = replace(running.made.training.router, capabilities=(can, can, Capability(max_input_tokens=9)))
    assert features_of(router, BIG, None) == ("plain", "tools", "json_schema", "stream")
    assert features_of(router, SMALL, None) == ("plain", "stream")
    assert features_of(router, BIG, {"tools": 0.1, "json_schema": 0.0, "stream": 0.0}) == ("plain", "tools")
    assert features_of(router, "assistant", {"stream": 0.1}) == ("plain",)


def test_every_feature_reaches_the_model(running: Running) -> None:
    """Each feature's call goes through the proxy as it was made, and is a go."""
    before = len(running.upstream.seen)
    found = tried(running.asked(), BIG, FEATURES)
    bodies = dict(zip(FEATURES, running.upstream.seen[before:], strict=True))
    assert all(one.check().go for one in found)
    assert bodies["tools"]["tools"] == FEATURES["tools"]["tools"]
    assert bodies["json_schema"]["response_format"]["type"] == "json_schema"
    assert bodies["stream"]["stream"] is True


def test_a_model_that_does_not_answer_is_a_no_go(running: Running) -> None:
    """A fallback that answers in a model's place is no answer, and the features of that model are not tried."""
    running.upstream.refuses[SMALL] = "model"
    running.fly()
    found = running.fly()
    assert {c.subject for c in against(found)} == {f"{SMALL}, plain"}
    running.upstream.refuses[MIDDLE] = "model"
    assert f"{MIDDLE}, plain" in {c.subject for c in against(running.fly())}


def test_a_feature_that_a_model_refuses_is_a_no_go(running: Running) -> None:
    """A model that refuses a format which the log uses is named with that format, and told to be kept from it."""
    running.upstream.refuses[BIG] = "response_format"
    found = only(running.fly(folder=None))
    assert (found.check, found.subject) == ("call", f"{BIG}, json_object")
    assert "HTTP 400" in found.found
    assert "keep json_object away" in found.fix


def test_a_gateway_that_is_not_there_is_a_no_go(running: Running) -> None:
    """Nobody at the address is one no-go, and no call is made."""
    found = preflight(running.folder, proxy_at("http://127.0.0.1:9", "sk-x"), today=TODAY, book=PriceBook.load())
    assert only(found).check == "gateway"
    assert (found.calls, found.cost_usd) == (0, None)


def test_a_wrong_key_is_a_no_go(running: Running) -> None:
    """A key that the gateway refuses is one no-go that says to check it; the key is in no sentence."""
    found = running.fly(key="sk-of-somebody-else")
    assert "check the key" in only(found).fix
    assert "somebody" not in str(found.table.to_dict()) + found.text


def test_an_untested_version_is_a_no_go(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of LiteLLM outside the tested range is named with the range."""
    monkeypatch.setattr(checks, "TESTED", ((1, 90, 0), (1, 91, 0)))
    found = only(running.fly())
    assert found.check == "version"
    assert "tested are 1.90.0 to before 1.91.0" in found.found


def test_too_small_a_quota_is_a_no_go(running: Running) -> None:
    """A quota below the busiest minute under the plan is a no-go with both numbers; the deployments' own, stated by the plan, suffice."""
    wide = {m: {"rpm": 1e6} for m in MODELS}
    busiest = {m: {k: {"log": 0.0, "plan": 10.0} for k in ("rpm", "input_tpm", "output_tpm")} for m in MODELS}
    found = only(running.fly(busiest=busiest, limits={**wide, SMALL: {"tpm": 19.0}}))
    assert (found.check, found.subject) == ("quota", SMALL)
    assert "20 of 19 tpm" in found.found
    assert running.fly(busiest=busiest).go
    assert checks.stated_quotas(running.asked())[SMALL] == {"rpm": 900, "input_tpm": 900_000}


def test_without_log_or_quota_it_is_unknown(running: Running) -> None:
    """A model whose load or quota nobody knows is neither go nor no-go."""
    found = running.fly(limits={"other": {"rpm": 1.0}})
    unknown = [c for c in found.checks if c.go is None]
    assert {c.subject for c in unknown} == {*MODELS}
    assert found.go
    assert "3 are open" in found.text
    router = running.made.training.router
    assert peaks_of(running.made.traffic, router, PriceBook.load())[SMALL]["rpm"]["plan"] > 0


def test_a_retired_model_is_a_no_go(running: Running, tmp_path: Path) -> None:
    """A candidate that the bundle says retires is a no-go from that day on, and named some weeks before."""
    router = running.made.training.router
    gone = replace(router, capabilities=tuple(replace(c, retires="2026-12-01") for c in router.capabilities[:1]) + router.capabilities[1:])
    write(running.made, gone, tmp_path / "p")
    soon, over = (running.fly(folder=tmp_path / "p", today=day) for day in (TODAY, dt.date(2026, 12, 1)))
    assert next(c for c in soon.checks if c.check == "retirement").found == "retires on 2026-12-01, in 11 days"
    assert soon.go
    assert only(over).subject == BIG


@pytest.mark.parametrize("stated", ["2027-01", "soon"])
def test_what_a_gateway_says_in_other_words_could_not_be_told(stated: str) -> None:
    """A retirement that is no date is unknown, unless another date is over; a limit that is the name of a variable is no limit known."""
    deployment = {"model_name": "gpt-5", "model_info": {"deprecation_date": stated}, "litellm_params": {"rpm": "os.environ/RPM"}}
    proxy = Proxy("http://localhost:1", {})
    vars(proxy)["deployments"] = [deployment]
    (first, *_) = checks.retirements(steered(), proxy, PriceBook.load(), TODAY)
    assert (first.go, first.subject) == (None, "gpt-5")
    assert stated in first.found
    vars(proxy)["deployments"].append({"model_name": "gpt-5", "model_info": {"deprecation_date": "2026-11-01"}})
    assert next(checks.retirements(steered(), proxy, PriceBook.load(), TODAY)).go is False
    assert checks.stated_quotas(proxy) == {"gpt-5": {}}


def test_a_group_that_routes_by_itself_needs_no_hook() -> None:
    """Without the hook among the callbacks nothing is routed, a no-go, unless a group is there that chooses among others."""
    proxy = Proxy("http://localhost:1", {})
    vars(proxy).update(allowed=Answered(200, {"data": []}), settings={"callbacks": []}, deployments=[])
    assert [c.go for c in deciding(proxy, CALLBACK, steered(), [], {})] == [False]
    vars(proxy)["deployments"] = [{"model_name": "auto", "litellm_params": {"model": "auto_router/complexity_router"}}]
    assert [c.go for c in deciding(proxy, CALLBACK, steered(), [], {})] == [None]
    assert kind_of(proxy, CALLBACK) == (NOCODE, "auto")


def stated(model: str, **more: Any) -> dict[str, Any]:
    """Return a deployment that serves the group gpt-5 with ``model``."""
    return {"model_name": "gpt-5", "litellm_params": {"model": model}, **more}


@pytest.mark.parametrize(
    ("deployments", "go"),
    [
        ([stated("openai/gpt-5")], []),
        ([stated("azure/ours", model_info={"base_model": "openai/gpt-5"})], []),
        ([stated("azure/gpt-5")], [None]),
        ([stated("azure/ours")], [None]),
        ([stated("openai/gpt-4o")], [False]),
        ([stated("openai/gpt-5"), stated("openai/gpt-4o")], [False]),
    ],
)
def test_a_group_that_is_another_model_is_a_no_go(deployments: list[dict[str, Any]], go: list[bool | None]) -> None:
    """A candidate served by another model fails; the same elsewhere, or a name nobody knows, is open; what was written is no line."""
    proxy, written = Proxy("http://localhost:1", {}), {"model_list": [stated("openai/gpt-5")]}
    vars(proxy)["deployments"] = deployments
    found = list(same_models(written, proxy, PriceBook.load(), ["gpt-5"]))
    assert [c.go for c in found] == go
    assert all(c.fix for c in found)
    assert all(c.go is None for c in same_models(written, proxy, PriceBook.load(), [])), "an app's own group may have moved on"


def test_an_app_without_a_tier_is_a_no_go() -> None:
    """Under the classifier an app whose model of today has no tier fails, since shadow, holdout and STOP would be another model."""
    router, proxy = steered(), Proxy("http://localhost:1", {})
    home = router.candidates[int(router.home(["chat"])[0])]
    others = [m for m in router.candidates if m != home]
    config = {"classifier_type": "custom", "tiers": {"SIMPLE": others[0]}, "default_model": others[0]}
    auto = {"model_name": "auto", "litellm_params": {"model": "auto_router/complexity_router", "complexity_router_config": config}}
    vars(proxy).update(settings={"callbacks": []}, deployments=[auto])
    hook, tier = deciding(proxy, CALLBACK, router, ["chat"], {})
    assert (hook.go, tier.go, tier.subject) == (None, False, "chat")
    assert f"{home}, has no tier" in tier.found
    whole = {**config, "tiers": {"SIMPLE": others[0], "COMPLEX": home}}
    auto["litellm_params"]["complexity_router_config"] = whole
    assert [c.check for c in deciding(proxy, CALLBACK, router, ["chat"], config)] == ["hook"]
    assert kind_of(proxy, CALLBACK) == (CLASSIFIER, "auto")
    hidden = Proxy("http://localhost:1", {})
    vars(hidden).update(settings={"callbacks": []}, deployments=None, allowed=Answered(200, {"data": [{"id": AUTO}]}))
    assert [c.check for c in deciding(hidden, CALLBACK, router, ["chat"], config)] == ["hook", "tier"], "as written, where nothing is shown"
    assert kind_of(hidden, CALLBACK) == (CLASSIFIER, AUTO)


def test_a_classifier_is_found_in_a_gateway_that_hides_it(running: Running, tmp_path: Path) -> None:
    """A real proxy with the classifier's configuration, which cannot list its deployments, is no no-go, and its own way back is said."""
    folder = shutil.copytree(running.folder, tmp_path / "p")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-nothing")
        patch.setenv("OPENAI_API_BASE", f"{running.upstream.url}/v1")
        with gateway(folder, yaml.safe_load((folder / "config_classifier.yaml").read_text("utf-8"))) as proxy:
            found = replace(running, proxy=proxy).fly()
    hook = next(c for c in found.checks if c.check == "hook")
    assert (hook.go, against(found)) == (None, [])
    assert f"{AUTO} routes by itself (classifier)" in hook.found
    assert ROLLBACK[CLASSIFIER].format(auto=AUTO) in found.rollback


def test_the_way_back_is_that_of_what_decides() -> None:
    """Without code STOP, rollout.json and callbacks mean nothing, and the way back says so; with the hook they are it."""
    assert "touch STOP" in ROLLBACK[HOOK]
    assert "touch STOP" in ROLLBACK[CLASSIFIER]
    assert "tier" in ROLLBACK[CLASSIFIER]
    assert "touch STOP" not in ROLLBACK[NOCODE]
    assert "mean nothing" in ROLLBACK[NOCODE]
    assert "callbacks and restart" not in ROLLBACK[NOCODE]


def test_a_past_retirement_is_so_many_days_ago() -> None:
    """A day that has passed is told in days ago, never as days ahead below 0; today is today."""
    proxy = Proxy("http://localhost:1", {})
    vars(proxy)["deployments"] = [{"model_name": "gpt-5", "model_info": {"deprecation_date": "2026-11-01"}}]
    told = [next(checks.retirements(steered(), proxy, PriceBook.load(), dt.date(2026, m, d))) for m, d in ((10, 30), (11, 1), (11, 29))]
    assert [c.found for c in told] == [
        "retires on 2026-11-01, in 2 days",
        "retires today, on 2026-11-01",
        "retired on 2026-11-01, 28 days ago",
    ]
    assert [c.go for c in told] == [True, False, False]


def test_a_missing_group_is_a_no_go(narrow: Running) -> None:
    """A candidate that the gateway does not have is a no-go, is not called, and is among the differences, as are other settings."""
    found = narrow.fly()
    assert [(c.check, c.subject) for c in against(found)] == [("model group", MIDDLE), ("hook", CALLBACK)]
    assert not [c for c in found.checks if c.check == "call" and c.subject.startswith(MIDDLE + ",")]
    assert (f"model_list: {MIDDLE}", f"openai/{MIDDLE}", "not there") in found.diff
    assert (f"router_settings: fallbacks {BIG}", MIDDLE, "not set") in found.diff
    assert ("router_settings: max_fallbacks", "1", "5") in found.diff
    assert ("router_settings: disable_cooldowns", "True", "False") in found.diff
    open_ = {c.subject for c in found.checks if c.check == "setting" and c.go is None}
    assert {"max_fallbacks", "disable_cooldowns", f"fallbacks {BIG}"} <= open_, "what differs counts in the verdict"
    hook = next(c for c in found.checks if c.check == "hook")
    assert (hook.go, hook.found) == (False, "not among the callbacks: nothing would be routed")


def test_a_key_that_may_not_is_a_no_go(narrow: Running) -> None:
    """A key that may use one group only is told to be allowed the others, and the gateway's own refusal of a call says the same."""
    found = narrow.fly(key="sk-narrow")
    denied = [c for c in against(found) if c.check != "hook"]
    assert {c.subject for c in denied} == {MIDDLE, SMALL, "assistant"}
    assert all("allow the key" in c.fix for c in denied)
    assert next(c for c in found.checks if c.check == "call" and c.subject.startswith(BIG + ",")).go
    (refused,) = tried(narrow.asked("sk-narrow"), SMALL, FEATURES)
    assert (refused.check().check, refused.check().go) == ("key", False)
    assert f"allow the key to use {SMALL}" == refused.check().fix


def test_a_key_of_one_app_needs_that_apps_groups_alone(running: Running) -> None:
    """With ``apps`` only their groups and the candidates are asked for and called; an app that is not listed is one sentence."""
    whole, chat = running.fly(), running.fly(apps=["chat"])
    groups = [{c.subject for c in found.checks if c.check == "model group"} for found in (whole, chat)]
    assert groups[0] == {*MODELS, "assistant"}
    assert groups[1] == {*MODELS}
    assert chat.go
    assert not [c for c in chat.checks if c.subject.startswith("assistant")]
    with pytest.raises(InputError, match="one of chat, desk"):
        running.fly(apps=["chatt"])


def test_peaks_say_whose_they_are(running: Running) -> None:
    """The busiest minute is that of the export's log, or of the one given, and each line says which and with whose tokens."""
    busiest = peaks_of(running.made.traffic, running.made.training.router, PriceBook.load())
    for found, words in ((running.fly(), "of the log at the export"), (running.fly(busiest=busiest), "of the log given")):
        assert all(words in c.found for c in found.checks if c.check == "quota")


def test_the_verb_leaves_with_the_verdict(running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``planner preflight`` leaves 0 for go and 1 for no-go, says how to go back, and in JSON gives every check."""
    app = typer.Typer()
    app.command()(verb)
    monkeypatch.setenv("OUR_KEY", running.proxy.key)
    asked = [str(running.folder), "--proxy", running.proxy.url, "--key-env", "OUR_KEY"]
    go = CliRunner().invoke(app, asked)
    assert go.exit_code == 0, go.output
    assert "touch STOP" in go.output
    unset = CliRunner().invoke(app, [*asked[:-1], "NOWHERE_KEY"])
    assert isinstance(unset.exception, InputError)
    assert "no environment variable NOWHERE_KEY" in str(unset.exception)
    quota = tmp_path / "quota.yaml"
    quota.write_text("gpt-4.1-unknown: {rpm: 0.5}\n")
    other = CliRunner().invoke(app, [*asked, "--quota", str(quota)])
    assert isinstance(other.exception, InputError)
    assert f"some of the candidates, {', '.join(MODELS)}" in str(other.exception)
    quota.write_text(f"{SMALL}: {{rpm: 0.5}}\n")
    no = CliRunner().invoke(app, [*asked, "--quota", str(quota), "--log", str(running.made.traffic.folder), "--json"])
    assert no.exit_code == 1
    said = json.loads(no.stdout)
    assert (said["go"], [c["subject"] for c in said["checks"] if c["go"] is False]) == (False, [SMALL])


@pytest.mark.parametrize(
    ("text", "sentence"), [("[1]", "a mapping of models"), ("gpt-5.4: {rps: 1}", "rpm, tpm"), ("gpt-5.4: {rpm: -1}", "above 0")]
)
def test_a_file_of_quotas_is_checked(text: str, sentence: str, tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no file of quotas is refused in one sentence."""
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-x")
    (tmp_path / "quota.yaml").write_text(text)
    app = typer.Typer()
    app.command()(verb)
    found = CliRunner().invoke(app, [str(running.folder), "--proxy", "http://x:1", "--quota", str(tmp_path / "quota.yaml")])
    assert isinstance(found.exception, InputError)
    assert sentence in str(found.exception)


def test_another_folder_is_refused(running: Running, tmp_path: Path) -> None:
    """A folder that is no export, or lost its rollout, is refused before anything is asked."""
    with pytest.raises(BundleError, match="readable manifest"):
        running.fly(folder=tmp_path)
    shutil.copytree(running.folder, tmp_path / "p")
    (tmp_path / "p" / "rollout.json").unlink()
    with pytest.raises(InputError, match=r"without rollout\.json"):
        running.fly(folder=tmp_path / "p")
