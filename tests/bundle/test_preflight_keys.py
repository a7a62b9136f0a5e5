"""Preflight with virtual keys: what LiteLLM says of them, as recorded from a proxy with a database, is told truly and with what to do.

``tests/data/litellm_key_pages.jsonl`` was recorded in November 2026 from LiteLLM 1.108.7 on PostgreSQL 15, started as
``support/spend_recorder.py`` says: keys made by ``/key/generate`` and ``/team/new``, their own pages and what they were answered, without
hashes and what is not read. The budget of a single model, which needs a licence, was written into the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support.steered import BIG, MINI, NANO, router
from support.upstream import serving

from planner.bundle.preflight_calls import Tried
from planner.bundle.preflight_checks import Check, Peaks, quotas, reached
from planner.bundle.preflight_keys import key_limits
from planner.bundle.preflight_proxy import Answered, Proxy, proxy_at
from planner.bundle.preflight_running import differences

PAGES = Path(__file__).parents[1] / "data" / "litellm_key_pages.jsonl"
#: The model of the recorded limits, and what stands for it here.
THEIRS = "gpt-5.4-nano"
PEAKS = {BIG: {name: {"plan": need} for name, need in (("rpm", 2.0), ("input_tpm", 30.0), ("output_tpm", 5.0))}}


def recorded(path: str, key: str) -> Answered:
    """Return what a key was answered; 404 for what was not recorded."""
    for line in PAGES.read_text("utf-8").replace(THEIRS, NANO).splitlines():
        found = json.loads(line)
        if (found["path"], found["key"]) == (path, key):
            return Answered(found["status"], found["body"])
    return Answered(404, {"detail": "Not Found"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the recorded pages, each to its key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = recorded(self.path, self.headers["Authorization"].removeprefix("Bearer "))
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(json.dumps(found.body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as found:
        yield found


def limits(url: str, name: str, apps: tuple[str, ...] = ("chat",), peaks: Peaks = PEAKS, **seen: Any) -> list[Check]:
    """Return the checks of a key's limits; ``seen`` is what else the proxy says."""
    proxy = proxy_at(url, name)
    vars(proxy).update({"deployments": [], **seen})
    return list(key_limits(proxy, router(), apps, peaks, "of the log"))


@pytest.mark.parametrize(
    ("key", "said", "fix"),
    [
        ("sk-limit-of-a-model", "model_rpm_limit 1 of the key", f"take model_rpm_limit of {NANO} off the key"),
        ("sk-spent-on-a-model", "rpm_limit 7 of the key", f"take rpm_limit of {NANO} off the key"),
        ("sk-limit-of-a-team", "model_tpm_limit 50000 of the team", f"take model_tpm_limit of {NANO} off the team"),
    ],
)
def test_a_limit_of_one_model_is_a_no_go(url: str, key: str, said: str, fix: str) -> None:
    """A limit a minute of a candidate, of the key or its team, is named with whose it is, since the hook moves nothing there."""
    found = [c for c in limits(url, key) if c.go is False]
    assert [(c.check, c.subject) for c in found] == [("limit", NANO)]
    assert said in found[0].found
    assert fix in found[0].fix


def test_a_limit_of_every_key_is_a_no_go(url: str) -> None:
    """What a deployment grants to each key counts as a limit of its model; a quota of the deployment itself does not."""
    deployments = [{"model_name": m, "litellm_params": {"rpm": 900}} for m in (BIG, MINI, NANO)]
    assert limits(url, "sk-free", deployments=deployments) == []
    deployments[1]["litellm_params"] = {"default_api_key_tpm_limit": 5}
    (found,) = limits(url, "sk-free", deployments=deployments)
    assert (found.go, found.subject) == (False, MINI)
    assert "default_api_key_tpm_limit 5 of the deployment" in found.found


def test_a_limit_of_what_all_apps_use_today_is_none_of_ours(url: str) -> None:
    """The model that every app in question uses anyway is moved to by nobody, so a limit of it alone is not told."""
    key = {"metadata": {"model_rpm_limit": {BIG: 1}}}
    assert limits(url, "sk-free", key=key) == []
    assert [c.subject for c in limits(url, "sk-free", (), key=key)] == [BIG]


def test_limits_of_a_whole_key_are_set_against_the_need(url: str) -> None:
    """Calls and tokens a minute of key and team below the busiest minute are open, with both numbers, as other keys may carry a part."""
    small, team = limits(url, "sk-small"), [c for c in limits(url, "sk-limit-of-a-team") if c.go is None]
    assert [(c.go, c.subject) for c in small] == [(None, "the key")] * 2
    assert "rpm_limit 1 of the key; busiest minute of gpt-5 of the log: 2" in small[0].found
    assert "tpm_limit 20 of the key; busiest minute of gpt-5 of the log: 35" in small[1].found
    assert [c.fix for c in team] == ["raise rpm_limit above 2, unless other keys carry a part of it"]


def test_a_busiest_minute_that_no_whole_log_tells_is_open(url: str) -> None:
    """Without peaks, as of an export from a sample, quotas and limits of the whole key are open and say so, instead of being kept."""
    checks = [*limits(url, "sk-small", peaks={}), *quotas({}, {BIG: {"rpm": 1.0}}, [BIG], "of the log")]
    assert [(c.check, c.subject, c.go) for c in checks] == [*[("limit", "the key", None)] * 2, ("quota", BIG, None)]
    assert all(c.found.endswith("no whole log says how busy it will be") and c.fix == "give one with --log" for c in checks)


def test_a_key_without_limits_says_nothing_and_one_that_may_not_look_says_so(url: str) -> None:
    """A key without limits and the master key, which is in no database, add no line; one that may not see its page is open."""
    assert limits(url, "sk-free") == limits(url, "sk-master") == []
    (hidden,) = limits(url, "sk-llm-api")
    assert (hidden.go, hidden.found) == (None, "it may not see its own limits")


@pytest.mark.parametrize(
    ("key", "fix"),
    [("sk-spent", "raise the budget"), ("sk-spent-on-a-model", "raise the budget"), ("sk-small", "raise the limit a minute")],
)
def test_a_key_that_is_refused_is_no_broken_deployment(key: str, fix: str) -> None:
    """A budget or limit of the key that is used up is told as the key's, whichever feature met it; a provider's 429 is the deployment's."""
    for feature in ("plain", "stream"):
        found = Tried(NANO, feature, recorded("/v1/chat/completions", key), None).check()
        assert (found.check, found.go) == ("key", False)
        assert found.fix.startswith(fix)
    theirs = Answered(429, {"error": {"message": "litellm.RateLimitError: Rate limit exceeded for you", "type": "throttling_error"}})
    assert Tried(NANO, "plain", theirs, None).check().fix.startswith(f"look at the deployment of {NANO}")


def test_a_spent_key_is_no_wrong_address(url: str) -> None:
    """A gateway that answers that a budget is spent is told to raise it, and not to check the URL."""
    (found,) = reached(proxy_at(url, "sk-spent"))
    assert found.go is False
    assert "Budget has been exceeded!" in found.found
    assert found.fix == "raise the budget that is spent, or ask with another key"


def test_an_alias_is_no_failure() -> None:
    """Where another model answered without a fallback, the key's aliases and limits are named; with one, the model's failure."""
    fixes = {}
    for fallbacks in ("0", "1"):
        headers = {"x-litellm-model-group": MINI, "x-litellm-attempted-fallbacks": fallbacks}
        found = Tried(NANO, "plain", Answered(200, {}, headers), None).check()
        assert (found.go, found.found) == (False, f"answered by {MINI}")
        fixes[fallbacks] = found.fix
    assert f"an alias of {NANO}, or a limit a minute" in fixes["0"]
    assert "a fallback answered in its place" in fixes["1"]


def test_what_a_key_is_not_shown_is_not_missing() -> None:
    """A group that a plain key may not use is no difference of the configuration; for an administrator it is."""
    written = {"model_list": [{"model_name": name, "litellm_params": {"model": f"openai/{name}"}} for name in (BIG, NANO)]}
    proxy = Proxy("http://localhost:1", {})
    vars(proxy).update(deployments=written["model_list"][:1], router_settings=None, settings=None)
    assert list(differences(written, proxy)) == []
    vars(proxy)["settings"] = {"callbacks": []}
    assert list(differences(written, proxy)) == [(f"model_list: {NANO}", f"openai/{NANO}", "not there")]
