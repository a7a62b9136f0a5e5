"""Virtual keys in a real LiteLLM proxy: no request is moved where its key is limited for one model alone, so that no refusal is of ours."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.gateway import Gateway, gateway
from support.steered import BIG, LONG, MINI, MODULE, NANO, SHORT, TINY, configuration, everything, exported, rollout

#: What stands for keys of a database: the key's name says what LiteLLM would have read there.
_AUTH = f"""
import os
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

ONE, NONE = {{"{NANO}": 1}}, {{"{NANO}": {{"budget_limit": 0.0, "time_period": "1d"}}}}
KEYS = {{
    "free": {{}},
    "calls": {{"metadata": {{"model_rpm_limit": ONE}}}},
    "tokens": {{"metadata": {{"model_tpm_limit": ONE}}}},
    "team": {{"team_id": "t", "team_metadata": {{"model_rpm_limit": ONE}}}},
    "project": {{"project_id": "p", "project_metadata": {{"model_itpm_limit": ONE}}}},
    "organization": {{"org_id": "o", "organization_metadata": {{"model_rpm_limit": ONE}}}},
    "asked": {{"metadata": {{"model_rpm_limit": {{"{BIG}": 1}}}}}},
    "alias": {{"aliases": {{"{NANO}": "{MINI}"}}}},
    "team alias": {{"team_id": "t", "team_model_aliases": {{"{NANO}": "{MINI}"}}}},
    "budget": {{"model_max_budget": NONE}},
    "team budget": {{"team_id": "t", "team_model_max_budget": NONE}},
    "user budget": {{"user_id": "u", "user_model_max_budget": NONE}},
}}

async def auth(request, api_key):
    if api_key == os.environ["LITELLM_MASTER_KEY"]:
        return UserAPIKeyAuth(api_key=api_key, user_role=LitellmUserRoles.PROXY_ADMIN)
    return UserAPIKeyAuth(api_key=api_key, token=api_key, **KEYS[api_key.removeprefix("sk-")])
"""


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a proxy in which everything is routed, with such keys; one call a minute of MINI is granted to every key."""
    folder = exported(tmp_path_factory.mktemp("keyed") / "production", replace(rollout("active"), holdout=0.0))
    with everything() as url:
        config = {**configuration(url), "general_settings": {"custom_auth": "key_auth.auth"}}
        for entry in config["model_list"]:
            entry["litellm_params"] |= {"default_api_key_rpm_limit": 1} if entry["model_name"] == MINI else {}
        with gateway(folder, config, {"planner_router": MODULE, "key_auth": _AUTH}) as proxy:
            yield proxy


def asked(proxy: Gateway, key: str, text: str, model: str = BIG) -> list[tuple[int, str]]:
    """Ask three times with a key; return status and the group that answered."""
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    head = {"Authorization": f"Bearer sk-{key}", "Content-Type": "application/json", "x-litellm-tags": "app:chat"}
    found = []
    for _ in range(3):
        request = urllib.request.Request(f"{proxy.url}/chat/completions", json.dumps(body).encode(), head)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                found.append((response.status, str(response.headers["x-litellm-model-group"])))
        except urllib.error.HTTPError as error:
            with error:
                found.append((error.code, ""))
    return found


@pytest.mark.parametrize("key", ["calls", "tokens", "team", "project", "organization"])
def test_no_request_is_moved_into_a_limit_of_one_model(keyed: Gateway, key: str) -> None:
    """LiteLLM counts limits of a model after the hook: what it would then refuse stays where it was asked for, and is answered."""
    assert asked(keyed, key, TINY) == [(200, BIG)] * 3


def test_the_limit_is_there(keyed: Gateway) -> None:
    """The same key that asks for the limited model itself is refused by LiteLLM, as it is without the hook."""
    assert asked(keyed, "calls", TINY, NANO) == [(200, NANO), (429, ""), (429, "")]


def test_what_every_key_is_granted_of_a_model_is_a_limit(keyed: Gateway) -> None:
    """What a deployment grants to each key keeps requests away from it, of a key without limits; other models are moved to."""
    assert asked(keyed, "free", SHORT) == [(200, BIG)] * 3
    assert asked(keyed, "free", TINY) == [(200, NANO)] * 3


def test_a_limit_of_the_model_asked_for_holds_for_what_stays(keyed: Gateway) -> None:
    """A limit of the model that was asked for keeps nothing from being moved, and refuses what is not moved as ever."""
    assert asked(keyed, "asked", TINY) == [(200, NANO)] * 3
    assert [status for status, _ in asked(keyed, "asked", LONG)] == [200, 429, 429]


@pytest.mark.parametrize("key", ["budget", "team budget", "user budget"])
def test_no_request_is_moved_where_a_budget_of_one_model_is_spent(keyed: Gateway, key: str) -> None:
    """A budget for a single model, of key, team or user, that LiteLLM checks only of what was asked for, is checked where we move to."""
    assert asked(keyed, key, TINY) == [(200, BIG)] * 3


@pytest.mark.parametrize("key", ["alias", "team alias"])
def test_no_request_is_moved_where_an_alias_stands(keyed: Gateway, key: str) -> None:
    """A key or team for which another model stands under a name never gets to the model of that name, so nothing is moved there."""
    assert asked(keyed, key, TINY) == [(200, BIG)] * 3
    assert asked(keyed, key, TINY, NANO)[0] == (200, MINI)
