"""The way back of a moved request among the lists of fallbacks that hold for it: the caller's, its key's, the router's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from planner.router.litellm_back import way_back

BACK = {"mini": ["big"]}


@pytest.mark.parametrize(
    ("data", "router", "found"),
    [
        ({}, {}, {"fallbacks": [BACK]}),
        ({}, {"fallbacks": [{"*": ["x"]}]}, {"fallbacks": [BACK, {"*": ["x"]}]}),
        ({}, {"fallbacks": [{"big": ["x"]}]}, {"fallbacks": [BACK, {"big": ["x"]}]}),
        ({}, {"fallbacks": [{"mini": ["x"]}]}, {}),
        ({}, {"fallbacks": [{"mini": []}]}, {}),
        (
            {"router_settings_override": {"fallbacks": [{"big": ["y"]}]}},
            {"fallbacks": [{"mini": ["x"]}]},
            {"fallbacks": [BACK, {"big": ["y"]}]},
        ),
        ({"fallbacks": [{"big": ["z"]}]}, {"fallbacks": [{"mini": ["x"]}]}, {"fallbacks": [BACK, {"big": ["z"]}]}),
        ({"fallbacks": ["z"]}, {}, {"fallbacks": ["big", "z"]}),
        ({"fallbacks": [{"model": "z", "messages": []}]}, {}, {"fallbacks": ["big", {"model": "z", "messages": []}]}),
        ({"fallbacks": "z"}, {}, {"fallbacks": [BACK]}),
        (
            {"disable_fallbacks": True, "fallbacks": ["z"]},
            {"fallbacks": [{"mini": ["x"]}]},
            {"fallbacks": [BACK], "disable_fallbacks": False},
        ),
        (
            {},
            {"context_window_fallbacks": [{"mini": []}], "content_policy_fallbacks": [{"mini": []}]},
            {"fallbacks": [BACK], "context_window_fallbacks": [BACK, {"mini": []}]},
        ),
        ({}, {"content_policy_fallbacks": [{"big": ["x"]}]}, {"fallbacks": [BACK], "content_policy_fallbacks": [BACK, {"big": ["x"]}]}),
    ],
)
def test_the_list_that_holds_stands_behind_the_way_back(data: dict[str, Any], router: dict[str, Any], found: dict[str, Any]) -> None:
    """The group asked for is first, before the list that LiteLLM would take; a group with a list of its own keeps that one."""
    lists = dict.fromkeys(("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"))
    assert way_back(data, "big", "mini", SimpleNamespace(**{**lists, **router})) == found
