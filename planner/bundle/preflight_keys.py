"""Limits a minute of the key that preflight asks with: those of a single model, which keep its requests away, and those of the whole key.

In: what a proxy says of the key, its team and its deployments, the router, the apps in question, the busiest minutes. Out: checks, each
with the reason and what to do. Changes nothing. Knows nothing of calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.bundle.preflight_checks import UNKNOWN_PEAK, Check, Peaks
from planner.bundle.preflight_proxy import Proxy
from planner.router import Router

__all__ = ["key_limits"]

#: How LiteLLM calls the limits of single models: in the metadata of whoever has them, in a key's budgets, with a deployment.
_METADATA = ("model_rpm_limit", "model_tpm_limit", "model_itpm_limit", "model_otpm_limit")
_BUDGET, _DEPLOYMENT = ("rpm_limit", "tpm_limit"), ("default_api_key_rpm_limit", "default_api_key_tpm_limit")
#: How it calls those of a whole key or team → the need that they limit.
_WHOLE = {"rpm_limit": ("rpm",), "tpm_limit": ("input_tpm", "output_tpm")}


def key_limits(proxy: Proxy, router: Router, apps: Sequence[str], peaks: Peaks, whose: str) -> Iterator[Check]:
    """Check that no limit of the key keeps the hook from a candidate that ``apps`` may be moved to, and set the others against the need.

    ``whose`` says of which log the busiest minutes are.
    """
    if proxy.key is None:
        fix = "look them up: one of a single model keeps requests away from it"
        yield Check("limit", "the key", None, "it may not see its own limits", fix)
    homes = {router.candidates[int(router.home([app])[0])] for app in apps}
    for model in router.candidates:
        for holder, name, limit in _single(proxy, model) if homes != {model} else ():
            found = f"{name} {limit} of the {holder} for it alone: the hook moves no request of this key there"
            yield Check("limit", model, False, found, f"take {name} of {model} off the {holder}, and limit the {holder} as a whole")
    for holder, about in (("key", proxy.key or {}), ("team", proxy.team)):
        for name, parts in _WHOLE.items():
            needs = [(sum(peaks[model][part]["plan"] for part in parts), model) for model in router.candidates if model in peaks]
            if about.get(name) is None:
                continue
            if not needs:
                found = f"{name} {about[name]:,} of the {holder}; {UNKNOWN_PEAK}"
                yield Check("limit", f"the {holder}", None, found, "give one with --log")
                continue
            need, model = max(needs)
            if need > float(about[name]):
                found = f"{name} {about[name]:,} of the {holder}; busiest minute of {model} {whose}: {need:,.0f}"
                yield Check("limit", f"the {holder}", None, found, f"raise {name} above {need:,.0f}, unless other keys carry a part of it")


def _single(proxy: Proxy, model: str) -> Iterator[tuple[str, str, Any]]:
    """Yield (whose, name, limit) for every limit a minute of one model."""
    key = proxy.key or {}
    owners = (("key", key), ("team", proxy.team), ("project", key.get("litellm_project_table")))
    for holder, about in (*owners, ("organization", key.get("litellm_organization_table"))):
        metadata = _mapping(_mapping(about).get("metadata"))
        yield from _stated(holder, _METADATA, {name: _mapping(metadata.get(name)).get(model) for name in _METADATA})
    yield from _stated("key", _BUDGET, _mapping(_mapping(key.get("model_max_budget")).get(model)))
    for deployment in proxy.deployments or ():
        if deployment.get("model_name") == model:
            yield from _stated("deployment", _DEPLOYMENT, _mapping(deployment.get("litellm_params")))


def _stated(holder: str, names: Sequence[str], found: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    return ((holder, name, found[name]) for name in names if found.get(name) is not None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
