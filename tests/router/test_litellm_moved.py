"""Requests that the hook moves, in a real LiteLLM proxy: fallbacks are seen by the guard, streams keep their tokens in the log."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.gateway import Gateway, gateway
from support.steered import ANSWER, BIG, LONG, MINI, MODULE, NANO, TINY, configuration, everything, exported, rollout

from planner.bundle.gateway_settings import gateway_settings
from planner.policies import Plan
from planner.router.rollout import Guardrail
from planner.router.status import status

#: A group in Anthropic's shape, which takes no ``stream_options``: LiteLLM asks it for no tokens of a stream before the hook.
CLAUDE = "claude"
WAYS = {"/chat/completions": "chat", "/messages": "desk", "/responses": "memo"}
#: What goes to MINI, where it fails.
BROKEN = f"{TINY} [{MINI}=503]"


@dataclass(frozen=True)
class Moving:
    """A running proxy in which everything is routed, and its folder."""

    proxy: Gateway
    folder: Path

    def ask(self, way: str, text: str, app: str, model: str = BIG, **more: Any) -> tuple[str, str]:
        """Ask once in a session of its own; return the group that answered and the body."""
        body: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
        if way == "/responses":
            body = {"model": model, "input": text}
        head = {"Authorization": f"Bearer {self.proxy.key}", "Content-Type": "application/json", "x-litellm-tags": f"app:{app}"}
        request = urllib.request.Request(f"{self.proxy.url}{way}", json.dumps({**body, **more}).encode(), head)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.headers["x-litellm-model-group"], response.read().decode()

    def logged(self, app: str) -> list[dict[str, Any]]:
        """Return what LiteLLM logged of an app."""
        return [p for p in self.proxy.settled(1) if f"app:{app}" in p["request_tags"]]

    def counts(self, app: str, answers: int) -> dict[str, tuple[float, float]]:
        """Return what the guard counted of the routed of ``app``, once there are so many."""
        end = time.monotonic() + 20
        while True:
            found = {name: (c.n, c.hits) for name, c in status(self.folder).counts.get(app, {}).items() if name.startswith("routed")}
            if found.get("routed error", (0, 0))[0] >= answers or time.monotonic() > end:
                return found
            time.sleep(0.2)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """Run a proxy with what an export writes without a plan, no fallbacks; a group in Anthropic's shape may be replaced too."""
    one = rollout("active", asks=(BIG, CLAUDE), guardrails={"error": Guardrail(0.9, 0.1)}).apps["chat"]
    on = replace(rollout(), holdout=0.0, apps=dict.fromkeys((*WAYS.values(), "streams", "tries", "broken"), one))
    written = gateway_settings(Plan(), [*on.apps], dict.fromkeys((BIG, MINI, NANO), "openai")).router
    folder = exported(tmp_path_factory.mktemp("moving") / "production", on)
    with everything() as url:
        config = configuration(url, **written)
        access = {"model": "anthropic/claude-sonnet-4-5", "api_key": "x", "api_base": url}
        config["model_list"].append({"model_name": CLAUDE, "litellm_params": access})
        with gateway(folder, config, {"planner_router": MODULE}) as proxy:
            yield Moving(proxy, folder)


@pytest.mark.parametrize("way", list(WAYS))
def test_a_dead_candidate_is_no_error_to_clients_and_one_to_the_guard(moving: Moving, way: str) -> None:
    """Of ten requests moved to a model that fails in four, clients get ten answers, four of the model asked for; the guard counts four."""
    groups = [moving.ask(way, BROKEN if i < 4 else TINY, WAYS[way])[0] for i in range(10)]
    assert groups == [BIG] * 4 + [NANO] * 6
    counts = moving.counts(WAYS[way], 10)
    assert (counts["routed error"], counts["routed fallback"]) == ((10, 4), (10, 4))


def test_what_is_answered_where_it_was_sent_is_no_fallback(moving: Moving) -> None:
    """A request that keeps its group, or is moved and answered there, counts as no fallback."""
    assert [moving.ask("/chat/completions", text, "tries")[0] for text in (LONG, TINY)] == [BIG, NANO]
    assert moving.counts("tries", 2)["routed fallback"] == (2, 0)


@pytest.mark.parametrize("way", list(WAYS))
def test_what_is_not_moved_fails_where_it_was_asked(moving: Moving, way: str) -> None:
    """A request that nobody moves, of an app that is not listed or routed to what it asked for, is answered by no model it did not ask."""
    for app, text in (("other", f"{TINY} [{BIG}=503]"), ("tries", f"{LONG} [{BIG}=503]")):
        with pytest.raises(urllib.error.HTTPError) as failed:
            moving.ask(way, text, app)
        assert failed.value.code == 503
        failed.value.close()


@pytest.mark.parametrize("way", ["/chat/completions", "/messages"])
def test_a_moved_stream_comes_back_too(moving: Moving, way: str) -> None:
    """A stream that is moved to a model which fails before its first piece is streamed by the model asked for."""
    group, body = moving.ask(way, BROKEN, "broken", stream=True)
    assert group == BIG
    assert ANSWER in body or way == "/messages"  # which the upstream here does not stream


def test_a_callers_own_fallbacks_stand_behind_the_way_back(moving: Moving) -> None:
    """Where the model asked for fails as well, the caller's own are next, by either of LiteLLM's spellings; who wants none has none."""
    both = {"user": f"[{BIG}=503]"}
    for own in ([NANO], [{BIG: [NANO]}]):
        assert moving.ask("/chat/completions", BROKEN, "broken", fallbacks=own, **both)[0] == NANO
        assert moving.ask("/chat/completions", BROKEN, "broken", fallbacks=own)[0] == BIG
    assert moving.ask("/chat/completions", BROKEN, "broken", disable_fallbacks=True)[0] == BIG
    with pytest.raises(urllib.error.HTTPError) as failed:
        moving.ask("/chat/completions", BROKEN, "broken", fallbacks=[NANO], disable_fallbacks=True, **both)
    failed.value.close()


@pytest.mark.parametrize("asked", [CLAUDE, BIG])
@pytest.mark.parametrize("said", [None, {"include_usage": False}, {"include_usage": True}])
def test_a_moved_stream_keeps_its_tokens_in_the_log(moving: Moving, asked: str, said: dict[str, bool] | None) -> None:
    """A stream moved to an OpenAI-shaped group is logged with its tokens; its client sees them only where it asked for them."""
    before = len(moving.logged("streams"))
    group, body = moving.ask("/chat/completions", TINY, "streams", asked, stream=True, **({"stream_options": said} if said else {}))
    pieces = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert "".join(p["choices"][0]["delta"].get("content") or "" for p in pieces if p["choices"]) == ANSWER
    assert any(p.get("usage") for p in pieces) is bool(said and said["include_usage"])
    assert all(p["choices"] for p in pieces) or (said and said["include_usage"])
    end = time.monotonic() + 20
    while len(logged := moving.logged("streams")) == before:
        assert time.monotonic() < end
    assert (group, logged[-1]["model_group"], logged[-1]["prompt_tokens"], logged[-1]["completion_tokens"]) == (NANO, NANO, 7, 5)
    assert logged[-1]["response_cost"] > 0
