"""The hook in a real LiteLLM proxy: three kinds of calls go where decision and assignment say, the log says why, and it can be stopped."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.gateway import Gateway, gateway
from support.steered import ALIAS, BIG, LONG, MINI, MODULE, NANO, SHORT, TINY, configuration, everything, exported, rollout, router

import planner
from planner.router.assign import assign
from planner.router.live import STOP
from planner.router.rollout import Guardrail, Mirroring, Rollout, read, write
from planner.schema import TRAFFIC

#: Sessions asked in each way; of texts there are three.
SESSIONS = 12
TEXTS = (TINY, SHORT, LONG)
#: With these a Responses call stores nothing, and its reasoning comes back sealed.
SEALED: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "store": False}
#: What the proxy's own guardrail takes out of every request, and puts there instead.
SECRET, MASKED = "hunter2", "***"
MASK = f"""
from litellm.integrations.custom_guardrail import CustomGuardrail


class Mask(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        if call_type == "acompletion":
            data["messages"] = [{{**m, "content": m["content"].replace("{SECRET}", "{MASKED}")}} for m in data["messages"]]
        return data
"""
GUARDRAILS = [{"guardrail_name": "mask", "litellm_params": {"guardrail": "mask.Mask", "mode": "pre_call", "default_on": True}}]
#: An app for each kind of call, so that the log can be told apart.
WAYS = {"/chat/completions": "chat", "/messages": "desk", "/responses": "memo"}


def everywhere() -> Rollout:
    """Return a rollout in which the three apps are canaries with exploration, ``watched`` is mirrored and counted, and ``quiet`` is off."""
    one = rollout("canary", share=0.6, explore=0.3, floor_passed=(BIG, MINI, NANO)).apps["chat"]
    limits = {"error": Guardrail(0.9, 0.1)}
    watched = replace(one, mode="mirror", explore=0.0, mirror=Mirroring(1.0, 5.0), guardrails=limits)
    counted = replace(one, mode="active", explore=0.0, guardrails=limits)
    return replace(
        rollout(), apps={**dict.fromkeys(WAYS.values(), one), "watched": watched, "counted": counted, "quiet": replace(one, mode="off")}
    )


def ask(proxy: Gateway, way: str, text: str, app: str, session: str, model: str = BIG, **more: Any) -> tuple[int, str, dict[str, Any]]:
    """Ask once; return status, the model group that answered, and the answer."""
    body: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    if way == "/responses":
        body = {"model": model, "input": text}
    head = {"Authorization": f"Bearer {proxy.key}", "Content-Type": "application/json", "x-litellm-session-id": session}
    request = urllib.request.Request(f"{proxy.url}{way}", json.dumps({**body, **more}).encode(), {**head, "x-litellm-tags": f"app:{app}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers["x-litellm-model-group"], json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", {}


@dataclass(frozen=True)
class Asked:
    """What was asked of one proxy: the statuses seen, the group that answered each (way, text, session), both of its logs read back."""

    folder: Path
    statuses: Counter[int]
    groups: dict[tuple[str, str, str], str]
    alias: dict[str, str]
    chained: list[str]
    logs: dict[str, pd.DataFrame]

    def rows(self, app: str, log: str = "payloads") -> list[Any]:
        """Return the rows of an app."""
        found = self.logs[log]
        return [*found[found["app"] == app].itertuples()]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Ask one proxy in every way, two turns a session, let some fail, and read its log."""
    folder = exported(tmp_path_factory.mktemp("asked") / "production", everywhere())
    statuses, groups, alias, chained = Counter[int](), dict[tuple[str, str, str], str](), dict[str, str](), list[str]()
    asks = 0

    modules = {"planner_router": MODULE, "mask": MASK}
    with everything() as url, gateway(folder, {**configuration(url), "guardrails": GUARDRAILS}, modules) as proxy:

        def one(way: str, text: str, app: str, session: str, **more: Any) -> tuple[str, dict[str, Any]]:
            nonlocal asks
            asks += 1
            status, group, answer = ask(proxy, way, text, app, session, **more)
            statuses[status] += 1
            return group, answer

        for way, app in WAYS.items():
            for text in TEXTS:
                for i in range(SESSIONS):
                    session = f"{app}-{TEXTS.index(text)}-{i}"
                    sealed = SEALED if way == "/responses" and i % 2 else {}
                    groups[way, text, session], answer = one(way, text, app, session, **sealed)
                    if way == "/chat/completions":
                        turns = [{"role": r, "content": t} for r, t in (("user", text), ("assistant", "yes"), ("user", LONG))]
                        assert one(way, text, app, session, messages=turns)[0] == groups[way, text, session]
                    if way == "/responses":
                        items = [*answer["output"], {"role": "user", "content": LONG}]
                        assert bool(sealed) == any(item.get("encrypted_content") for item in items)
                        on_it = {"input": items, **sealed} if sealed else {"previous_response_id": answer["id"]}
                        chained.append(one(way, LONG, app, f"{session}-later", **on_it)[0])
        for text in TEXTS:
            alias[text] = one("/chat/completions", text, "counted", _routed("counted"), model=ALIAS)[0]
        for app in ("watched", "quiet", "unknown"):
            groups["/chat/completions", TINY, app], _ = one("/chat/completions", f"{TINY} {SECRET}", app, app)
        for i in range(10):
            one("/chat/completions", f"{TINY} [status=503]" if i < 4 else TINY, "counted", f"counted-{i}")
        proxy.settled(asks)
        _until(lambda: list((folder / "state" / "mirror").glob("answers-*.jsonl")))
        _until(lambda: sum(n for n, _ in _counts(folder)) >= 13)
    logs = {name: planner.read(file, out=folder / name, text=True).frame(*TRAFFIC.names) for name, file in _logs(proxy)}
    return Asked(folder, statuses, groups, alias, chained, logs)


def _logs(proxy: Gateway) -> tuple[tuple[str, Path], ...]:
    return ("payloads", proxy.payloads), ("spend", proxy.spend_logs)


def _routed(app: str) -> str:
    """Return a session that is not held out."""
    return next(s for i in range(99) if assign(everywhere(), app, s := f"k-{i}", router().decide(TINY), BIG).arm == "routed")


def _counts(folder: Path) -> list[list[int]]:
    """Return [answers, errors] of each arm of the app ``counted`` in each process."""
    rows = [row for f in (folder / "state" / "counts").glob("*.json") for row in json.loads(f.read_text("utf-8"))]
    mine = [counts for app, scale, _, counts in rows if (app, scale) == ("counted", "start")]
    return [count for counts in mine for name, count in counts.items() if name.endswith(" error")]


def _until(condition: Callable[[], Any], seconds: float = 20.0) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - start


def planner_of(row: Any) -> dict[str, str]:
    """Return what the tags of a logged row say, by their beginnings."""
    return dict(tag.split(":", 1) for tag in json.loads(row.tags) if tag.startswith("planner"))


@pytest.mark.parametrize("way", list(WAYS))
def test_each_call_goes_where_decision_and_assignment_say(asked: Asked, way: str) -> None:
    """Chat, Messages and Responses: the group that answered is that of Router.decide and assign, for every text and session."""
    on, models = everywhere(), set()
    for (asked_way, text, session), group in asked.groups.items():
        if asked_way == way and session.startswith(WAYS[way]):
            wanted = assign(on, WAYS[way], session, router().decide(text), BIG, (BIG, MINI, NANO))
            assert group == wanted.model
            models.add(group)
    assert models == {BIG, MINI, NANO}


@pytest.mark.parametrize("log", ["payloads", "spend"])
@pytest.mark.parametrize("way", list(WAYS))
def test_the_log_says_what_was_drawn(asked: Asked, way: str, log: str) -> None:
    """Read back by planner.read from either export, each row has action, exact propensities, the router's version, arm and decision."""
    on, app = everywhere(), WAYS[way]
    rows = [r for r in asked.rows(app, log) if "pinned" not in planner_of(r)["planner-arm"]]
    assert len(rows) == 3 * SESSIONS * (2 if way == "/chat/completions" else 1)
    arms = Counter[str]()
    for row in rows:
        text = TEXTS[int(row.session_id.split("-")[1])]
        wanted = assign(on, app, row.session_id, router().decide(text), BIG, (BIG, MINI, NANO))
        assert (row.action, row.model) == (wanted.model, wanted.model)
        assert json.loads(row.action_propensities) == wanted.propensities
        assert row.policy_version == router().version
        assert (planner_of(row)["planner-arm"], planner_of(row)["planner-decided"]) == (wanted.arm, router().decide(text).model)
        arms[wanted.arm] += 1
    assert set(arms) == {"routed", "control", "holdout"}


def test_stored_conversations_stay_with_their_group(asked: Asked) -> None:
    """A Responses call that goes on with a stored answer, or with sealed reasoning, goes to the group that gave it."""
    first = [g for (way, _, s), g in asked.groups.items() if way == "/responses" and s.startswith("memo")]
    assert asked.chained == first
    assert set(first) == {BIG, MINI, NANO}
    pinned = [r for r in asked.rows("memo") if planner_of(r)["planner-arm"] == "pinned"]
    assert len(pinned) == 3 * SESSIONS
    assert all(pd.isna(r.action_propensities) for r in pinned)


def test_another_name_keeps_its_group(asked: Asked) -> None:
    """A group that serves the reference under another name answers what the reference wins, and what is decided otherwise goes there."""
    assert asked.alias == {TINY: NANO, SHORT: MINI, LONG: ALIAS}


def test_what_is_off_is_not_marked(asked: Asked) -> None:
    """Apps that are off or unknown go as asked and their rows carry nothing of ours."""
    for app in ("quiet", "unknown"):
        assert asked.groups["/chat/completions", TINY, app] == BIG
        (row,) = asked.rows(app)
        assert pd.isna(row.action)
        assert planner_of(row) == {}
        assert pd.isna(row.action_propensities)


def test_no_client_saw_an_error_of_ours(asked: Asked) -> None:
    """The only failures are the four of the upstream; they and the answers of the app are counted by arm."""
    failed = asked.statuses.pop(503)
    assert failed == 4
    assert set(asked.statuses) == {200}
    assert [sum(c[i] for c in _counts(asked.folder)) for i in (0, 1)] == [13, 4]
    assert not (asked.folder / "state" / "events.jsonl").exists()


def test_the_mirror_answered_once_in_the_background(asked: Asked) -> None:
    """The model asked for answered; NANO's answer to what the proxy's guardrail left of the messages lies beside it, and is no traffic."""
    assert asked.groups["/chat/completions", TINY, "watched"] == BIG
    (file,) = (asked.folder / "state" / "mirror").glob("answers-*.jsonl")
    (line,) = [json.loads(text) for text in file.read_text("utf-8").splitlines()]
    assert (line["model"], line["today"]["model"], line["request"]["app"]) == (NANO, BIG, "watched")
    assert line["body"]["choices"][0]["message"]["content"]
    assert line["request"]["messages"] == [{"role": "user", "content": f"{TINY} {MASKED}"}]
    (row,) = asked.rows("watched")
    assert planner_of(row)["planner-arm"] == "shadow"
    assert line["request"]["id"] == row.request_id


WORKERS = 4


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Path]]:
    """Run a proxy with four workers in which everybody is routed."""
    folder = exported(tmp_path_factory.mktemp("four") / "production", replace(rollout("active"), holdout=0.0))
    with everything() as url, gateway(folder, configuration(url), {"planner_router": MODULE}, WORKERS) as proxy:
        _until(lambda: len(list((folder / "state" / "workers").glob("*.json"))) == WORKERS, 120)
        yield proxy, folder


class Stream:
    """Asks a proxy without end from eight threads; keeps when each request began, and the group that answered."""

    def __init__(self, proxy: Gateway) -> None:
        self.proxy, self.found = proxy, list[tuple[float, int, str]]()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(8)]

    def _run(self, number: int) -> None:
        asks = 0
        while not self.ended.is_set():
            asks, began = asks + 1, time.monotonic()
            status, group, _ = ask(self.proxy, "/chat/completions", TINY, "chat", f"s-{number}-{asks}")
            self.found.append((began, status, group))

    def __enter__(self) -> Stream:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def _workers(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(f.read_text("utf-8")) for f in (folder / "state" / "workers").glob("*.json")]


@pytest.mark.parametrize("how", ["file", "field"])
def test_the_kill_switch_reaches_four_workers_in_five_seconds(four: tuple[Gateway, Path], how: str) -> None:
    """Under traffic, five seconds after STOP, or "stop": true, every worker says that it stopped, and every request goes as asked."""
    proxy, folder = four
    on = read(folder / "rollout.json")
    with Stream(proxy) as stream:
        _until(lambda: len(stream.found) >= 60)
        stopped = time.monotonic()
        if how == "file":
            (folder / STOP).touch()
        else:
            write(folder / "rollout.json", replace(on, stop=True))
        took = _until(lambda: all(w["stopped"] for w in _workers(folder)), 5.0)
        time.sleep(max(5.0 - took, 0))
        late, before = time.monotonic(), len(stream.found)
        _until(lambda: len(stream.found) >= before + 60)
    assert {status for _, status, _ in stream.found} == {200}
    assert {group for began, _, group in stream.found if began < stopped - 0.5} == {NANO}
    assert {group for began, _, group in stream.found if began >= late} == {BIG}
    assert len(_workers(folder)) == WORKERS
    (folder / STOP).unlink(missing_ok=True)
    write(folder / "rollout.json", on)
    _until(lambda: not any(w["stopped"] for w in _workers(folder)), 5.0)


def test_what_breaks_under_a_running_proxy_is_refused(four: tuple[Gateway, Path]) -> None:
    """A rollout cut in half, a bundle cut or taken away is refused by each worker and nobody sees it; a whole one is swapped in."""
    proxy, folder = four
    text, weights = (folder / "rollout.json").read_text("utf-8"), folder / "bundle" / "weights.npz"
    old = {w["version"] for w in _workers(folder)}
    assert old == {router().version}

    def refused(event: str) -> int:
        lines = (folder / "state" / "events.jsonl").read_text("utf-8").splitlines() if (folder / "state" / "events.jsonl").exists() else []
        return len({json.loads(line)["worker"] for line in lines if json.loads(line)["event"] == event})

    with Stream(proxy) as stream:
        (folder / "rollout.json").write_text(text[:80], "utf-8")
        _until(lambda: refused("rollout unreadable") == WORKERS)
        (folder / "rollout.json").write_text(text, "utf-8")
        weights.write_bytes(weights.read_bytes()[:200])
        _until(lambda: refused("bundle refused") == WORKERS)
        (folder / "bundle").rename(folder / "away")
        time.sleep(1.5)
        assert {w["version"] for w in _workers(folder)} == old
        began = time.monotonic()
        exported(folder, tau=0.5)
        _until(lambda: {w["version"] for w in _workers(folder)} == {router(0.5).version})
    assert time.monotonic() - began < 20
    assert {(status, group) for _, status, group in stream.found} == {(200, NANO)}
