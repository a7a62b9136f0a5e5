"""The hook in this process: what it changes of a request, what it writes, and that nothing it meets holds a request up."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.steered import ALIAS, BIG, LONG, MINI, NANO, SHORT, TINY, exported, rollout, router

from planner.router import litellm_proxy as proxy
from planner.router.assign import assign
from planner.router.events import Events
from planner.router.guardrails import alarm_file
from planner.router.litellm_request import asked
from planner.router.live import STOP, Live
from planner.router.rollout import AppRollout, Guardrail, Mirroring, Rollout, write

with pytest.MonkeyPatch.context() as _offline, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # LiteLLM's own
    for _name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
        _offline.setenv(_name, "True")
    import litellm
    from litellm.proxy import proxy_server  # what the hook asks for permissions
    from litellm.proxy._types import LiteLLM_ProjectTableCachedObj, LiteLLM_UserTable, UserAPIKeyAuth
    from litellm.proxy.common_utils.user_api_key_cache import project_cache_key

    from planner.router import litellm_hook
    from planner.router.litellm_hook import PlannerHook

ACCESS = {"api_key": "x", "api_base": "http://localhost:1"}
AUTH = UserAPIKeyAuth(api_key="k")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an exported folder without a rollout."""
    return exported(tmp_path / "exported")


def groups(*names: str, more: Sequence[dict[str, Any]] = (), **settings: Any) -> Any:
    """Return what stands for the proxy's router: LiteLLM's own with a group of each name, and ``more`` deployments."""
    own = [{"model_name": n, "litellm_params": {"model": f"openai/{n}", "api_key": "x"}} for n in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LiteLLM's own
        return litellm.Router(model_list=[*own, *more], **settings)


def hooked(folder: Path, on: Rollout | None = None) -> PlannerHook:
    """Return a hook over ``folder``, which nothing looks at in the background."""
    if on is not None:
        write(folder / "rollout.json", on)
    return PlannerHook(Live(folder))


def request(text: str = TINY, session: str = "s-1", **changed: Any) -> dict[str, Any]:
    """Return the data of a chat request of the app ``chat``, as LiteLLM hands it to a hook."""
    metadata = {"tags": ["app:chat", "mine"], "session_id": session, "spend_logs_metadata": {"client": 1}}
    call = {"litellm_call_id": f"call-{session}", "proxy_server_request": {"body": {}}}
    return {"model": BIG, "messages": [{"role": "user", "content": text}], "metadata": metadata, **call, **changed}


def steered(hook: PlannerHook, data: dict[str, Any], call_type: str = "acompletion") -> dict[str, Any]:
    """Return the request after the hook."""
    after: dict[str, Any] = asyncio.run(hook.async_pre_call_hook(AUTH, None, data, call_type))
    return after


def answered(hook: PlannerHook, data: dict[str, Any], **logged: Any) -> None:
    """Let LiteLLM's success event come for a request."""
    answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    start = {"startTime": 1000.0, "endTime": 1001.5, "id": "chatcmpl-1", "litellm_call_id": data["litellm_call_id"]}
    params = {"litellm_call_id": data["litellm_call_id"], "metadata": data["metadata"], "proxy_server_request": {"body": data}}
    kwargs = {"litellm_params": params, "standard_logging_object": {**start, **logged}}
    asyncio.run(hook.async_log_success_event(kwargs=kwargs, response_obj=answer, start_time=None, end_time=None))


def planner_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return what the hook wrote for people to look into."""
    found: dict[str, Any] = data["metadata"]["spend_logs_metadata"]["planner"]
    return found


@pytest.mark.parametrize("mode", ["shadow", "mirror", "canary", "active"])
def test_requests_go_where_decision_and_assignment_say(folder: Path, mode: str) -> None:
    """For 150 sessions of each length and in every mode: the model sent, action, arm and propensities are those of decide and assign."""
    on = rollout(mode, mirror=Mirroring(0.5, 1.0))
    hook, seen = hooked(folder, on), Counter[tuple[str, str]]()
    for text in (TINY, SHORT, LONG):
        for i in range(150):
            data = request(text, f"s-{i}")
            wanted = assign(on, "chat", f"s-{i}", router().decide(text, {"app": "chat"}), BIG)
            spend = steered(hook, data)["metadata"]["spend_logs_metadata"]
            assert (data["model"], spend["action"]) == (wanted.model, wanted.model)
            assert (spend["planner"]["arm"], spend["planner"]["decided"]) == (wanted.arm, router().decide(text).model)
            assert json.loads(spend.get("action_propensities", "null")) == wanted.propensities
            assert spend["policy_version"] == router().version
            seen[wanted.arm, wanted.model] += 1
    arms = {"canary": {"routed", "control", "holdout"}, "active": {"routed", "holdout"}}.get(mode, {"shadow"})
    assert {arm for arm, _ in seen} == arms
    assert {model for _, model in seen} == ({BIG, MINI, NANO} if "routed" in arms else {BIG})
    assert not hook.live.events.totals


def test_what_is_written_is_as_agreed(folder: Path) -> None:
    """Tags are added to the client's own, its spend metadata stays, and whatever it wrote under our names is replaced."""
    hook = hooked(folder, rollout("active"))
    digest = hook.live.bundle.digest if hook.live.bundle else ""
    data = request()
    forged = {"action": "gpt-9", "action_propensities": "{}", "policy_version": "x", "planner": {"arm": "holdout"}}
    data["metadata"]["spend_logs_metadata"] |= forged
    key = next(f"s-{i}" for i in range(99) if assign(rollout("active"), "chat", f"s-{i}", router().decide(TINY), BIG).arm == "routed")
    data["metadata"]["session_id"] = key
    steered(hook, data)
    assert data["metadata"]["tags"] == ["app:chat", "mine", f"planner:{digest[:8]}", "planner-arm:routed", f"planner-decided:{NANO}"]
    spend = data["metadata"]["spend_logs_metadata"]
    assert spend["client"] == 1
    assert spend["planner"].pop("score") == pytest.approx(router().decide(TINY).score)
    assert spend["planner"] == {
        "bundle": digest[:12],
        "app": "chat",
        "mode": "active",
        "arm": "routed",
        "asked": BIG,
        "unit": "session",
        "decided": NANO,
        "reason": "best value at tau",
    }
    assert (spend["action"], json.loads(spend["action_propensities"])) == (NANO, pytest.approx({NANO: 0.8, BIG: 0.2}))


def test_a_forgery_outside_the_draws_is_removed(folder: Path) -> None:
    """In shadow nothing is drawn: propensities that a client wrote there do not reach the log."""
    data = request()
    data["metadata"]["spend_logs_metadata"]["action_propensities"] = '{"gpt-5": 1.0}'
    assert "action_propensities" not in steered(hooked(folder, rollout("shadow")), data)["metadata"]["spend_logs_metadata"]


@pytest.mark.parametrize(
    ("changed", "call_type"),
    [
        ({"model": "gpt-4o"}, "acompletion"),
        ({"metadata": {"tags": ["app:quiet"]}}, "acompletion"),
        ({"metadata": {"tags": ["app:other"]}}, "acompletion"),
        ({"metadata": {}}, "acompletion"),
        ({}, "aembedding"),
        ({"model": None}, "acompletion"),
    ],
)
def test_what_is_not_meant_is_left_alone(folder: Path, changed: dict[str, Any], call_type: str) -> None:
    """Another model asked for, an app that is off or unknown, another kind of call: not one byte of the request changes."""
    data = request(**changed)
    before = copy.deepcopy(data)
    assert steered(hooked(folder, rollout("active")), data, call_type) is data
    assert data == before


def test_without_a_rollout_nothing_is_done(folder: Path) -> None:
    """No rollout.json, or no bundle: every request goes as asked, untouched, and the lack of a bundle is counted."""
    data = request()
    before = copy.deepcopy(data)
    assert steered(hooked(folder), data) == before
    for file in (folder / "bundle").iterdir():
        file.unlink()
    hook = hooked(folder, rollout("active"))
    assert steered(hook, data) == before
    assert hook.live.events.totals == {("bundle refused", "BundleError"): 1}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A hook over no folder at all starts and leaves everything alone."""
    data = request()
    before = copy.deepcopy(data)
    assert steered(hooked(tmp_path / "none"), data) == before


@pytest.mark.parametrize("how", ["file", "field", "alarm"])
def test_stopped_requests_go_as_asked_and_say_so(folder: Path, how: str) -> None:
    """The file STOP, "stop": true or an alarm of the app: as asked, arm stopped, nothing decided, nothing drawn."""
    on = rollout("active", guardrails={"error": Guardrail(0.1, 0.1)})
    hook = hooked(folder, replace(on, stop=how == "field"))
    if how == "file":
        (folder / STOP).touch()
    if how == "alarm":
        alarm = alarm_file(folder / "state", "chat")
        alarm.parent.mkdir(parents=True)
        alarm.write_text("{}", "utf-8")
    hook.live._beat()
    hook.live._ticked = -10.0
    hook.live._beat()
    data = steered(hook, request())
    assert data["model"] == BIG
    assert planner_of(data)["arm"] == "stopped"
    assert "decided" not in planner_of(data)
    assert data["metadata"]["spend_logs_metadata"]["action"] == BIG
    assert "planner-arm:stopped" in data["metadata"]["tags"]


@pytest.mark.parametrize("step", ["on", "decide", "assign", "write"])
def test_an_error_of_ours_is_counted_and_the_request_passes(folder: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks in our code, the request goes untouched; the event is written without a word of the prompt."""
    hook = hooked(folder, rollout("active"))

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"cannot read {SECRET}")

    place, name = {
        "on": (hook.live, "on"),
        "decide": (litellm_hook, "_judged"),
        "assign": (litellm_hook, "assign"),
        "write": (proxy, "filters_tags"),
    }[step]
    monkeypatch.setattr(place, name, broken)
    data = request(SECRET)
    before = copy.deepcopy(data)
    for _ in range(3):
        assert steered(hook, data) == before
    assert hook.live.events.totals == {("hook", "RuntimeError"): 3}
    hook.live.events.flush()
    text = (folder / "state" / "events.jsonl").read_text("utf-8")
    (line,) = [json.loads(row) for row in text.splitlines()]
    assert {k: line[k] for k in ("event", "error", "count", "worker")} == {
        "event": "hook",
        "error": "RuntimeError",
        "count": 3,
        "worker": hook.live.worker,
    }
    assert SECRET not in text
    assert (folder / "state" / "events.jsonl").stat().st_mode & 0o777 == 0o600


SECRET = "my password is swordfish"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("messages", "input", "system", "instructions", "litellm_session_id", "litellm_call_id", "tools", "text", "max_tokens")
METADATA = st.fixed_dictionaries({"tags": st.just(["app:chat"]) | ANYTHING}, optional={"spend_logs_metadata": ANYTHING})


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> PlannerHook:
    """Return a hook with everything on."""
    return hooked(exported(tmp_path_factory.mktemp("fuzzed") / "exported"), rollout("active", explore=0.5, floor_passed=(MINI, NANO)))


@given(
    st.fixed_dictionaries(
        {"model": st.sampled_from([BIG, "other"]), "metadata": METADATA | ANYTHING}, optional=dict.fromkeys(FIELDS, ANYTHING)
    ),
    st.sampled_from(["acompletion", "anthropic_messages", "aresponses"]),
)
@settings(max_examples=400, deadline=None)
def test_whatever_a_client_sends_passes(fuzzed: PlannerHook, data: dict[str, Any], call_type: str) -> None:
    """Any JSON in any field: the hook returns the same request, to what it asked for or a candidate, and counts nothing but that."""
    wanted = {BIG, MINI, NANO} if data["model"] == BIG else {"other"}
    assert steered(fuzzed, data, call_type) is data
    assert data["model"] in wanted
    assert {event for event, _ in fuzzed.live.events.totals} <= {"request unreadable"}


@pytest.mark.parametrize(("words", "beside"), [(200_000, True), (20, False)])
def test_a_long_prompt_does_not_hold_up_the_loop(folder: Path, words: int, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a prompt of 4 MB is decided (here made to take 0.1 s), other work of the event loop goes on; a short one is decided at once."""
    hook, text, judged = hooked(folder, rollout("shadow")), "word and other things " * words, litellm_hook._judged
    ticks = []

    def slow(*given: Any) -> Any:
        time.sleep(0.1)
        return judged(*given)

    async def both() -> dict[str, Any]:
        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.005)

        other = asyncio.create_task(tick())
        found: dict[str, Any] = await hook.async_pre_call_hook(AUTH, None, request(text), "acompletion")
        other.cancel()
        return found

    monkeypatch.setattr(litellm_hook, "_judged", slow)
    data = asyncio.run(both())
    assert planner_of(data)["decided"] == router().decide(text).model
    assert (len(ticks) >= 5) is beside


def test_a_decision_that_takes_too_long_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long prompt of which the decision takes 2 s goes as asked after a quarter of one, with certainty, and that is counted."""
    hook = hooked(folder, rollout("active"))

    def slow(*_: Any) -> Any:
        time.sleep(2)

    async def one() -> tuple[dict[str, Any], float]:
        start = time.monotonic()
        data: dict[str, Any] = await hook.async_pre_call_hook(AUTH, None, request(TINY * litellm_hook._LONG), "acompletion")
        return data, time.monotonic() - start

    monkeypatch.setattr(litellm_hook, "_judged", slow)
    data, took = asyncio.run(one())
    assert took < 1
    assert (data["model"], planner_of(data)["reason"]) == (BIG, "kept: no decision in time")
    assert json.loads(data["metadata"]["spend_logs_metadata"]["action_propensities"]) == {BIG: 1.0}
    assert hook.live.events.totals == {("decision too slow", "as asked"): 1}


def test_what_cannot_be_read_is_counted(folder: Path) -> None:
    """A request at which reading fails passes untouched, and the event says that there was one."""
    hook, data = hooked(folder, rollout("active")), request(messages="Hi", system={"a": float}, model=BIG)
    data["metadata"]["session_id"] = {"not": {"JSON"}}
    before = copy.deepcopy(data)
    assert steered(hook, data, "anthropic_messages") == before
    assert hook.live.events.totals == {("request unreadable", "TypeError"): 1}


def test_a_group_the_proxy_lacks_is_never_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the proxy has no group for the decided model, the request goes as asked with certainty, and that is counted."""
    found = groups(BIG, MINI)
    monkeypatch.setattr(proxy, "router", lambda: found)
    hook = hooked(folder, replace(rollout("active"), holdout=0.0))
    data = steered(hook, request(TINY))
    assert data["model"] == BIG
    assert json.loads(data["metadata"]["spend_logs_metadata"]["action_propensities"]) == {BIG: 1.0}
    assert planner_of(data)["reason"] == "kept: the model decided is not to be had here"
    assert hook.live.events.totals == {("unknown model group", NANO): 1}
    assert steered(hook, request(SHORT))["model"] == MINI


def test_a_key_that_may_not_use_the_model_keeps_what_it_asked_for(folder: Path) -> None:
    """A virtual key restricted to some models is never sent to another, neither by decision nor by exploration."""
    on = replace(rollout("active", explore=0.5, floor_passed=(BIG, MINI, NANO)), holdout=0.0)
    hook, key = hooked(folder, on), UserAPIKeyAuth(api_key="k", models=[BIG, MINI])
    seen = Counter[str]()
    for i in range(60):
        data = request(TINY, f"s-{i}")
        asyncio.run(hook.async_pre_call_hook(key, None, data, "acompletion"))
        seen[data["model"]] += 1
    assert seen[NANO] == 0
    team = UserAPIKeyAuth(api_key="k", team_id="t", team_models=[BIG])
    data = request(SHORT)
    asyncio.run(hook.async_pre_call_hook(team, None, data, "acompletion"))
    assert data["model"] == BIG
    assert not hook.live.events.totals


def kept_by(user: str, models: list[str]) -> UserAPIKeyAuth:
    """Return a key of a user who may use some models."""
    about = LiteLLM_UserTable(user_id=user, max_budget=None, user_email="u@example.org", models=models)
    asyncio.run(proxy_server.user_api_key_cache.async_set_cache(key=user, value=about, model_type=LiteLLM_UserTable))
    return UserAPIKeyAuth(api_key="k", user_id=user)


def kept_in(project: str, models: list[str]) -> UserAPIKeyAuth:
    """Return a key of a project that may use some models."""
    about = LiteLLM_ProjectTableCachedObj(project_id=project, models=models, created_by="x", updated_by="x")
    key = {"key": project_cache_key(project), "value": about, "model_type": LiteLLM_ProjectTableCachedObj}
    asyncio.run(proxy_server.user_api_key_cache.async_set_cache(**key))
    return UserAPIKeyAuth(api_key="k", project_id=project)


@pytest.mark.parametrize("whose", [kept_by, kept_in], ids=["user", "project"])
def test_whoever_may_not_use_the_model_keeps_what_was_asked_for(folder: Path, whose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LiteLLM refuses to the user or the project of a key is refused to the router for it too; what it allows is not."""
    monkeypatch.setattr(proxy_server, "prisma_client", object())  # there is a database; all that is asked of it is in the cache
    hook = hooked(folder, replace(rollout("active"), holdout=0.0))
    for name, models, sent in (("narrow", [BIG], BIG), ("wide", [BIG, NANO], NANO)):
        data = request()
        asyncio.run(hook.async_pre_call_hook(whose(name, models), None, data, "acompletion"))
        assert data["model"] == sent
    assert not hook.live.events.totals


def test_where_permissions_cannot_be_found_out_nothing_moves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is no permission: as asked, and counted."""

    async def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("no database")

    monkeypatch.setattr("litellm.proxy.auth.auth_checks.can_key_call_resolved_model", broken)
    hook = hooked(folder, replace(rollout("active"), holdout=0.0))
    assert steered(hook, request())["model"] == BIG
    assert hook.live.events.totals == {("permission unknown", "ConnectionError"): 1}


@pytest.mark.parametrize(
    "deployments",
    [
        [{"litellm_params": {"model": "azure/chat-prod", **ACCESS}, "model_info": {"base_model": "azure/gpt-5"}}],
        [{"litellm_params": {"model": "openai/gpt-5-2025-08-07", **ACCESS}}],
        [{"litellm_params": {"model": "openai/gpt-5", **ACCESS}}, {"litellm_params": {"model": "azure/gpt-5-eu", **ACCESS}}],
        [{"litellm_params": {"model": "azure/chat-prod", **ACCESS}}],
    ],
    ids=["base model", "dated", "several", "unknown"],
)
def test_where_the_reference_wins_any_name_of_it_is_kept(
    folder: Path, deployments: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision for the reference moves no request off its group, whatever its deployments are called; one for another model does."""
    found = groups(BIG, MINI, NANO, more=[{**one, "model_name": ALIAS} for one in deployments])
    monkeypatch.setattr(proxy, "router", lambda: found)
    hook = hooked(folder, replace(rollout("active"), holdout=0.0))
    for i in range(20):
        data = steered(hook, request(LONG, f"s-{i}", model=ALIAS))
        assert data["model"] == ALIAS
        assert len(json.loads(data["metadata"]["spend_logs_metadata"]["action_propensities"])) == 1
    assert steered(hook, request(TINY, model=ALIAS))["model"] == NANO


def test_another_name_for_the_reference_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that serves the reference under another name keeps what the reference wins, logged by the candidate's name."""
    found = groups(BIG, MINI, NANO, more=[{"model_name": ALIAS, "litellm_params": {"model": f"openai/{BIG}", **ACCESS}}])
    monkeypatch.setattr(proxy, "router", lambda: found)
    hook = hooked(folder, replace(rollout("active"), holdout=0.0))
    data = steered(hook, request(LONG, model=ALIAS))
    assert (data["model"], data["metadata"]["spend_logs_metadata"]["action"]) == (ALIAS, BIG)
    assert json.loads(data["metadata"]["spend_logs_metadata"]["action_propensities"]) == {BIG: 1.0}
    assert steered(hook, request(TINY, model=ALIAS))["model"] == NANO


def test_tags_that_choose_deployments_are_not_added(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a proxy routes by tags, ours would change where a request goes: only the metadata is written there."""
    filtering = groups(BIG, MINI, NANO, enable_tag_filtering=True)
    monkeypatch.setattr(proxy, "router", lambda: filtering)
    data = steered(hooked(folder, rollout("active")), request())
    assert data["metadata"]["tags"] == ["app:chat", "mine"]
    assert planner_of(data)["arm"] in ("routed", "holdout")


def test_answers_are_counted_by_app_and_arm(folder: Path) -> None:
    """Each answer and each failure a client saw is counted once, under its app and arm, in the file of this process."""
    on = rollout("active", guardrails={"error": Guardrail(0.1, 0.1), "slow": Guardrail(0.1, 0.1, 1000.0)})
    hook, arms = hooked(folder, on), Counter[str]()
    for i in range(40):
        data = steered(hook, request(TINY, f"s-{i}"))
        arms[planner_of(data)["arm"]] += 1
        if i % 4:
            answered(hook, data)
            answered(hook, data)
        else:
            lost = {"request_data": data, "original_exception": RuntimeError(), "user_api_key_dict": AUTH}
            asyncio.run(hook.async_post_call_failure_hook(**lost))
    answered(hook, request(TINY, "never-sent"))
    assert not hook._open
    hook.live._ticked = -10.0
    hook.live._beat()
    rows = json.loads((folder / "state" / "counts" / f"{hook.live.worker}.json").read_text("utf-8"))
    (counts,) = [counts for app, scale, _, counts in rows if (app, scale) == ("chat", "start")]
    assert {arm: counts[f"{arm} error"][0] for arm in arms} == arms
    assert sum(hits for name, (_, hits) in counts.items() if name.endswith(" error")) == 10
    assert [sum(counts[f"{arm} slow"][i] for arm in arms) for i in (0, 1)] == [30, 30]
    assert not hook.live.events.totals


def test_a_stream_that_its_client_left_is_no_fast_answer(folder: Path) -> None:
    """Where a client left, no error was seen, and neither its time nor its end is counted as one of the model's."""
    on = rollout("active", guardrails={"error": Guardrail(0.1, 0.1), "slow": Guardrail(0.1, 0.1, 1000.0), "length": Guardrail(0.1, 0.1)})
    hook = hooked(folder, on)
    answered(hook, steered(hook, request()), error_information={"error_class": "ClientDisconnected", "error_code": "499"})
    hook.live._ticked = -10.0
    hook.live._beat()
    rows = json.loads((folder / "state" / "counts" / f"{hook.live.worker}.json").read_text("utf-8"))
    (counts,) = [counts for app, scale, _, counts in rows if (app, scale) == ("chat", "start")]
    assert [(name.partition(" ")[2], count) for name, count in counts.items()] == [("error", [1, 0]), ("fallback", [1, 0])]


@pytest.mark.parametrize("looked", [True, False])
def test_a_format_is_checked_only_where_a_guardrail_looks(folder: Path, looked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guardrail no client's schema is ever applied to an answer."""
    seen = list[str]()
    monkeypatch.setattr("planner.router.litellm_outcome.kept", lambda shape, text: seen.append(text))
    hook = hooked(folder, rollout("shadow", guardrails={"schema": Guardrail(0.1, 0.1)} if looked else {}))
    answered(hook, steered(hook, request(response_format={"type": "json_object"})))
    assert seen == (["Hello"] if looked else [])


def test_what_is_never_answered_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that go away leave nothing behind without end: the oldest open requests are dropped."""
    monkeypatch.setattr(litellm_hook, "_MOST_OPEN", 10)
    hook = hooked(folder, rollout("active"))
    for i in range(50):
        steered(hook, request(TINY, f"s-{i}"))
    assert list(hook._open) == [f"call-s-{i}" for i in range(40, 50)]


@pytest.mark.parametrize(
    ("held", "sent", "arm"), [(None, NANO, "routed"), (MINI, MINI, "pinned"), ("", BIG, "pinned")], ids=["new", "known", "unknown"]
)
def test_a_stored_conversation_stays_where_it_is(
    folder: Path, held: str | None, sent: str, arm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on with an answer stored at a provider goes to the group that holds it, or as asked; nothing is drawn there."""
    monkeypatch.setattr(proxy, "holder", lambda _: held)
    data = request(input=TINY)
    steered(hooked(folder, replace(rollout("active"), holdout=0.0)), data, "aresponses")
    assert (data["model"], planner_of(data)["arm"]) == (sent, arm)
    assert ("action_propensities" in data["metadata"]["spend_logs_metadata"]) == (held is None)


@pytest.mark.parametrize("mode", ["shadow", "mirror", "canary", "active"])
@pytest.mark.parametrize("held", [MINI, "secret-expensive"])
def test_a_client_cannot_pin_itself_anywhere(folder: Path, mode: str, held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids come from clients: only where requests move, only to a candidate, and only for who may use it, does one move a request."""
    monkeypatch.setattr(proxy, "holder", lambda _: held)
    hook = hooked(folder, rollout(mode, mirror=Mirroring(0.1, 1.0)))
    for key in (AUTH, UserAPIKeyAuth(api_key="k", models=[BIG])):
        data = request(input=TINY)
        asyncio.run(hook.async_pre_call_hook(key, None, data, "aresponses"))
        moves = mode in ("canary", "active")
        assert data["model"] == (MINI if moves and held == MINI and key is AUTH else BIG)
        assert planner_of(data)["arm"] == ("pinned" if moves else "shadow")


def test_ids_that_are_none_hold_no_conversation() -> None:
    """Outside a proxy, or with an id that is none of LiteLLM's, nobody knows who holds a conversation: it goes as asked."""
    assert proxy.holder({}) is None
    for previous in ("resp_1", "", "x" * 5000, "resp_bGl0ZWxsbTo="):
        assert proxy.holder({"previous_response_id": previous}) == ("" if previous else None)
    assert proxy.holder({"conversation": "conv_1"}) == ""


@pytest.fixture
def looked_at(folder: Path) -> Iterator[PlannerHook]:
    """Return a hook whose folder is looked at in the background, as in production."""
    write(folder / "rollout.json", rollout("active"))
    hook = litellm_hook.hook(str(folder / "planner_router.py"))
    yield hook
    hook.live.stop()


def until(condition: Any, seconds: float = 5.0) -> float:
    """Wait until ``condition()``; return how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - start


def test_what_changes_on_disk_takes_effect_in_seconds(looked_at: PlannerHook, folder: Path) -> None:
    """Stop and start, a broken rollout, a bundle that is swapped, broken and taken away: each takes effect, or is refused, in 5 s."""
    live = looked_at.live
    text = (folder / "rollout.json").read_text("utf-8")
    (folder / STOP).touch()
    until(lambda: planner_of(steered(looked_at, request()))["arm"] == "stopped")
    (folder / STOP).unlink()
    until(lambda: planner_of(steered(looked_at, request()))["arm"] != "stopped")
    (folder / "rollout.json").write_text(text[: len(text) // 2], "utf-8")
    until(lambda: live.events.totals["rollout unreadable", "InputError"] == 1)
    assert planner_of(steered(looked_at, request()))["mode"] == "active"
    (folder / "rollout.json").unlink()
    until(lambda: "planner" not in steered(looked_at, request())["metadata"]["spend_logs_metadata"])
    (folder / "rollout.json").write_text(text, "utf-8")
    until(lambda: "planner" in steered(looked_at, request())["metadata"]["spend_logs_metadata"])
    old = live.bundle
    weights = folder / "bundle" / "weights.npz"
    good = weights.read_bytes()
    weights.write_bytes(good[:100])
    until(lambda: live.events.totals["bundle refused", "BundleError"] == 1)
    assert live.bundle is old
    weights.write_bytes(good)
    (folder / "bundle").rename(folder / "away")
    until(lambda: live.events.totals["bundle refused", "InputError"] == 1)
    assert live.bundle is old
    assert steered(looked_at, request())["metadata"]["spend_logs_metadata"]["policy_version"] == router().version
    exported(folder, tau=1.0)
    until(lambda: live.bundle is not None and live.bundle.router.version == router(tau=1.0).version)
    assert steered(looked_at, request())["metadata"]["spend_logs_metadata"]["policy_version"] == router(tau=1.0).version
    assert set(live.events.totals) <= {
        ("rollout unreadable", "InputError"),
        ("bundle refused", "BundleError"),
        ("bundle refused", "InputError"),
    }


def test_signs_of_life(looked_at: PlannerHook, folder: Path) -> None:
    """Each process says in a file of its own, readable by its owner alone, what it runs, and soon when it was stopped."""
    file = folder / "state" / "workers" / f"{looked_at.live.worker}.json"
    about = json.loads(file.read_text("utf-8"))
    assert (about["version"], about["stopped"], about["rollout"]) == (router().version, False, rollout("active").mark)
    assert file.stat().st_mode & 0o777 == 0o600
    (folder / STOP).touch()
    until(lambda: json.loads(file.read_text("utf-8"))["stopped"])


def test_requests_look_themselves_where_the_thread_stands_still(folder: Path) -> None:
    """Without a background thread, as after a fork, a late request looks itself, whatever the clock does."""
    now = [1000.0]
    write(folder / "rollout.json", rollout("active"))
    live = Live(folder, lambda: now[0])
    hook = PlannerHook(live)
    for jump_s in (5.0, 1e9, -1e9):
        (folder / STOP).touch()
        now[0] += jump_s
        assert planner_of(steered(hook, request()))["arm"] == "stopped"
        (folder / STOP).unlink()
        now[0] += 5.0
        assert planner_of(steered(hook, request()))["arm"] != "stopped"
    live.stop()


def test_a_state_folder_that_cannot_be_written_stops_nothing(folder: Path) -> None:
    """With a file where the state folder should be, requests are steered all the same and the failures are counted in memory."""
    (folder / "state").write_text("", "utf-8")
    hook = hooked(folder, rollout("active", guardrails={"error": Guardrail(0.1, 0.1)}))
    data = steered(hook, request())
    answered(hook, data)
    hook.live._beat()
    assert planner_of(data)["arm"] in ("routed", "holdout")
    assert hook.live.events.totals


def test_events_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand kinds take the room of 256, and the file is put aside before it grows beyond its limit."""
    monkeypatch.setattr("planner.router.events._MOST_BYTES", 2000)
    events = Events(tmp_path / "state" / "events.jsonl", "w")
    for i in range(1000):
        events.count(f"kind {i}", "x")
    assert len(events.totals) == 257
    assert sum(events.totals.values()) == 1000
    for i in range(100):
        events.count("kind", str(i % 2))
        events.flush()
    assert {f.name for f in (tmp_path / "state").iterdir()} == {"events.jsonl", "events.jsonl.1"}
    assert (tmp_path / "state" / "events.jsonl").stat().st_size < 2200


def mirrored(
    hook: PlannerHook, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], logged: Any, key: UserAPIKeyAuth = AUTH, **proxied: Any
) -> list[dict[str, Any]]:
    """Return what the proxy's router was asked in the background after a request of whose messages LiteLLM logged ``logged``."""
    asked_now = list[dict[str, Any]]()

    async def acompletion(**call: Any) -> Any:
        asked_now.append(call)
        return {
            "choices": [{"message": {"content": "Hey"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        }

    found = groups(BIG, MINI, NANO, **proxied)
    found.acompletion = acompletion
    monkeypatch.setattr(proxy, "router", lambda: found)

    async def both() -> None:
        await hook.async_pre_call_hook(key, None, data, "acompletion")
        assert not asked_now
        params = {"litellm_call_id": data["litellm_call_id"], "metadata": {}, "proxy_server_request": {"body": data}}
        about = {"id": "chatcmpl-9", "model": f"openai/{BIG}", "custom_llm_provider": "openai", "startTime": 1.0, "endTime": 2.0}
        kwargs = {"litellm_params": params, "standard_logging_object": about, "response_cost": 0.5, "messages": logged}
        answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
        await hook.async_log_success_event(kwargs, answer, None, None)
        await asyncio.gather(*hook._background)

    asyncio.run(both())
    assert data["model"] == BIG
    assert not hook._background
    return asked_now


def test_what_was_sent_is_mirrored_after_the_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In mirror mode the decided model answers in the background, once, what was sent: what the gateway masked goes nowhere unmasked."""
    hook, data = hooked(folder, rollout("mirror", mirror=Mirroring(1.0, 5.0))), request(SECRET, seed=7)
    masked = [{"role": "user", "content": "my password is <PASSWORD>"}]
    (call,) = mirrored(hook, monkeypatch, data, masked)
    assert (call["model"], call["messages"], call["seed"]) == (MINI, masked, 7)
    assert router().decide(SECRET).model == MINI
    (file,) = (folder / "state" / "mirror").glob("answers-*.jsonl")
    line = json.loads(file.read_text("utf-8"))
    assert (line["today"]["model"], line["request"]["id"], line["request"]["app"]) == (BIG, "chatcmpl-9", "chat")
    assert line["request"]["messages"] == masked
    for written in (folder / "state").rglob("*"):
        assert written.is_dir() or SECRET.encode() not in written.read_bytes()
    assert not hook.live.events.totals


@pytest.mark.parametrize(
    ("key", "changed", "why"),
    [
        (AUTH, {}, None),
        (UserAPIKeyAuth(api_key="k", models=[BIG]), {}, "the key may not use the model, or it is not there"),
        (AUTH, {"modalities": ["audio"]}, "the model cannot answer it"),
    ],
    ids=["may", "may not", "cannot"],
)
def test_a_named_mirror_answers_only_what_it_may_and_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: UserAPIKeyAuth, changed: dict[str, Any], why: str | None
) -> None:
    """A model that the rollout names for the mirror is asked for a key that may use it, and what it can answer."""
    hook, data = hooked(folder, rollout("mirror", mirror=Mirroring(1.0, 5.0, NANO))), request(SHORT, **changed)
    calls = mirrored(hook, monkeypatch, data, [{"role": "user", "content": SHORT}], key)
    assert [call["model"] for call in calls] == ([] if why else [NANO])
    assert hook.live.events.totals == ({("not mirrored", why): 1} if why else {})


@pytest.mark.parametrize(
    ("logged", "proxied", "why"),
    [
        (None, {}, "what was sent is not known"),
        ([{"role": "user", "content": "redacted-by-litellm"}], {}, "text that must not be logged"),
        ([{"role": "user", "content": TINY}], {"enable_tag_filtering": True}, "tags choose deployments here"),
    ],
    ids=["unknown", "redacted", "tags"],
)
def test_what_may_not_be_mirrored_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, logged: Any, proxied: dict[str, Any], why: str
) -> None:
    """Messages that are not there or may not be logged, and a proxy that routes by tags, which ours would mislead: nothing is asked."""
    hook = hooked(folder, rollout("mirror", mirror=Mirroring(1.0, 5.0)))
    assert mirrored(hook, monkeypatch, request(), logged, **proxied) == []
    assert hook.live.events.totals == {("not mirrored", why): 1}
    assert not [*folder.rglob("answers-*")]


def test_the_request_is_read_as_the_router_reads_it(folder: Path) -> None:
    """The decision the hook logs for Messages and Responses is that of Router.decide on the whole prompt, system text included."""
    hook = hooked(folder, rollout("shadow"))
    for call_type, body in (
        ("anthropic_messages", {"messages": [{"role": "user", "content": TINY}], "system": LONG}),
        ("aresponses", {"input": TINY, "instructions": LONG, "messages": None}),
    ):
        data = steered(hook, request(**body), call_type)
        read = asked(data, AUTH, call_type)
        assert read is not None
        assert planner_of(data)["decided"] == router().decide(read.messages, read.metadata).model == BIG


def test_only_listed_asks_are_steered(folder: Path) -> None:
    """An app whose asks are empty is never steered, whatever its mode."""
    on = replace(rollout("active"), apps={"chat": AppRollout("active")})
    data = request()
    before = copy.deepcopy(data)
    assert steered(hooked(folder, on), data) == before


@pytest.mark.parametrize(("group", "bad"), [(NANO, 0), (BIG, 1), (None, 0)])
def test_an_answer_of_another_group_counts_as_an_error(folder: Path, group: str | None, bad: int) -> None:
    """What was moved to NANO and answered by BIG is an error of the routed arm; another try in NANO, or a group not logged, none."""
    hook = hooked(folder, replace(rollout("active", guardrails={"error": Guardrail(0.9, 0.1)}), holdout=0.0))
    hook.live._ticked = -10.0
    hook.live._beat()
    data = steered(hook, request())
    assert data["model"] == NANO
    answered(hook, data, model_group=group, metadata={"attempted_fallbacks": 1})
    window = hook.live.guard._now["chat"]
    counts = hook.live.guard._tallies.of("chat", window)["start"]
    assert [(counts[f"routed {name}"].n, counts[f"routed {name}"].hits) for name in ("error", "fallback")] == [(1, bad)] * 2


def test_another_bundle_restarts_the_counts(folder: Path) -> None:
    """A folder whose bundle is replaced counts anew from then on, and again when the old one is put back."""
    hook = hooked(folder, rollout("active", guardrails={"error": Guardrail(0.9, 0.1)}))
    starts = []
    for tau in (0.0, 0.5, 0.0):
        exported(folder, tau=tau)
        hook.live._beat()
        hook.live._beat()
        hook.live._ticked = -10.0
        hook.live._beat()
        starts.append(hook.live.guard._now["chat"].start)
    assert starts == [1, 2, 3]


def test_jsonschema_is_there_before_the_first_answer_that_needs_it(folder: Path) -> None:
    """In a new process a hook with the guardrail on has it imported when it is made, and without the guardrail has not."""
    found = []
    for limits in ({"schema": Guardrail(0.1, 0.1)}, {}):
        write(folder / "rollout.json", rollout("active", guardrails=limits))
        script = f"import sys; from planner.router.live import Live; Live({str(folder)!r}); print('jsonschema.validators' in sys.modules)"
        found.append(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip())
    assert found == ["True", "False"]
