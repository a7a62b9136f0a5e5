"""The way back of a request that the hook moved: where its new group fails, the group that was asked for answers.

In: a request, the groups it asked for and is moved to, the proxy's router. Out: LiteLLM's fields of the request that say so, which hold
for this one alone; a request that is not moved has none. LiteLLM takes a request's own lists instead of its key's, team's or router's,
so these stay in force behind ours. Knows nothing of rollouts or decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["way_back"]

#: LiteLLM's lists of fallbacks: after any failure, and after two of their own where those lists are set.
_ANY, _CONTENT, _WINDOW = "fallbacks", "content_policy_fallbacks", "context_window_fallbacks"


def way_back(data: Mapping[str, Any], asked: str, group: str, router: Any) -> dict[str, Any]:
    """Return the fields with which a request that asked for ``asked`` comes back from ``group``; {} where nothing is to be set.

    A group that has fallbacks of its own in the lists that hold keeps them, also an empty list: a plan with fallbacks runs as it was
    simulated. What is too long for it has no such plan, so an empty list there keeps nothing. A caller who wants no fallbacks gets the
    model that was asked for, and none beyond.

    >>> way_back({}, "gpt-5", "gpt-5-mini", None)
    {'fallbacks': [{'gpt-5-mini': ['gpt-5']}]}
    >>> way_back({"fallbacks": ["claude"]}, "gpt-5", "gpt-5-mini", None), way_back({"fallbacks": [{"mini": []}]}, "gpt-5", "mini", None)
    ({'fallbacks': ['gpt-5', 'claude']}, {})
    """
    off = data.get("disable_fallbacks") is True
    found: dict[str, Any] = {"disable_fallbacks": False} if off else {}
    for name in (_ANY, _CONTENT, _WINDOW):
        given = _given(data, name, router)
        if given is None and name != _ANY:
            continue  # LiteLLM takes the first list for these failures too
        behind = [] if off else given or []
        chain = next((one[group] for one in behind if isinstance(one, Mapping) and isinstance(one.get(group), list)), None)
        if chain is None or (name == _WINDOW and not chain):
            found[name] = [asked if _plain(behind) else {group: [asked]}, *behind]
    return found


def _given(data: Mapping[str, Any], name: str, router: Any) -> list[Any] | None:
    """Return the list that holds for a request: its own, else that of its key or team, else the router's."""
    override = data.get("router_settings_override")
    lists = (data.get(name), override.get(name) if isinstance(override, Mapping) else None, getattr(router, name, None))
    return next((found for found in lists if isinstance(found, list)), None)


def _plain(given: list[Any]) -> bool:
    """Say whether a list names groups, or requests to them, that are tried whatever failed, as callers write it."""
    named = bool(given) and all(isinstance(one, str) for one in given)
    return named or any(isinstance(one, Mapping) and not all(isinstance(v, list) for v in one.values()) for one in given)
