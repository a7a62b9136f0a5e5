"""What a gateway runs beside what was written: who decides, which model each group is, and every setting of the router.

In: what a proxy says of itself, the written configuration, the router and the apps in question. Out: checks, and the differences between
written and running, setting by setting. Changes nothing. Knows nothing of calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.bundle.nocode import AUTO
from planner.bundle.preflight_checks import Check
from planner.bundle.preflight_proxy import Proxy
from planner.prices import PriceBook
from planner.prices.identity import identity
from planner.router import Router

__all__ = ["CLASSIFIER", "HOOK", "NOCODE", "ROLLBACK", "deciding", "differences", "kind_of", "same_models", "settled"]

#: What can decide in a gateway: the hook, LiteLLM's classifier slot with our classifier, or its heuristic without code of ours.
HOOK, CLASSIFIER, NOCODE = "hook", "classifier", "no code"
_BACK = (
    "let the apps ask for their own groups again instead of {auto}, or write their model of today into its entry and restart the gateway."
)
#: How to go back after a rollout, by what decides.
ROLLBACK: Mapping[str, str] = {
    HOOK: "touch STOP in the folder (all apps, within seconds), set an app's mode to off in rollout.json, or take the hook out of "
    "callbacks and restart the gateway.",
    CLASSIFIER: "touch STOP in the folder, or set an app's mode to off in rollout.json: within seconds requests get their app's model of "
    "today, as far as that has a tier. For good, " + _BACK,
    NOCODE: "STOP, rollout.json and callbacks mean nothing to this configuration: " + _BACK,
}
#: What LiteLLM takes where nothing is written.
_UNSET: tuple[Any, ...] = (None, [], {})
_NOT_SET = "not set"


def _automatic(proxy: Proxy) -> tuple[str, Mapping[str, Any]] | None:
    """Return the group that chooses among others, as those of config_classifier.yaml and config_nocode.yaml do, and its settings.

    LiteLLM 1.108 cannot list its deployments (HTTP 500) while one of them holds a classifier: then ours is known by the name of its group.
    """
    if proxy.deployments is None and proxy.usable is not None and AUTO in proxy.usable:
        return AUTO, {"classifier_type": "custom"}
    for deployment in proxy.deployments or ():
        params = deployment.get("litellm_params") or {}
        if str(params.get("model", "")).startswith("auto_router/"):
            config = params.get("complexity_router_config")
            return str(deployment.get("model_name")), config if isinstance(config, dict) else {}
    return None


def kind_of(proxy: Proxy, callback: str) -> tuple[str, str]:
    """Return what decides in the gateway, the hook unless another is there without it, and the group that routes by itself, or ""."""
    found = _automatic(proxy)
    loaded = {str(c.get("name")) for c in (proxy.settings or {}).get("callbacks", ()) if isinstance(c, dict)}
    if found is None or callback in loaded:
        return HOOK, found[0] if found else ""
    return CLASSIFIER if found[1].get("classifier_type") == "custom" else NOCODE, found[0]


def deciding(proxy: Proxy, callback: str, router: Router, apps: Sequence[str], slot: Mapping[str, Any]) -> Iterator[Check]:
    """Check that something of ours decides, and say what the classifier and the configuration without code do otherwise than the hook.

    ``slot`` are the settings of the classifier's group as they were written, for a gateway that does not show its own.
    """
    if proxy.settings is None:
        yield Check("hook", callback, None, "this key may not see the callbacks", "ask with the gateway's master key")
        return
    kind, auto = kind_of(proxy, callback)
    if kind == HOOK:
        loaded = callback in {str(c.get("name")) for c in proxy.settings.get("callbacks", ()) if isinstance(c, dict)}
        fix = "" if loaded else "add it to litellm_settings.callbacks, or use config_classifier.yaml or config_nocode.yaml instead"
        yield Check("hook", callback, loaded, "loaded" if loaded else "not among the callbacks: nothing would be routed", fix)
        return
    lacks = "shadow, holdout, guardrails, " if kind == NOCODE else "guardrails, mirrored answers, "
    found = f"not among the callbacks; {auto} routes by itself ({kind}): only what asks for it is routed, without {lacks}or planner verify"
    yield Check("hook", callback, None, found, "use config.yaml for these, or do without them")
    if kind == CLASSIFIER:
        own = (_automatic(proxy) or ("", {}))[1]
        yield from _tiers(own if own.get("tiers") else slot, router, apps)


def _tiers(config: Mapping[str, Any], router: Router, apps: Sequence[str]) -> Iterator[Check]:
    """Check that every app's model of today has a tier, since what is not routed goes there."""
    tiers = {str(model) for model in (config.get("tiers") or {}).values()}
    for app in apps:
        home = router.candidates[int(router.home([app])[0])]
        if tiers and home not in tiers:
            fix = f"route {app} with the hook, or leave it out"
            found = (
                f"its model of today, {home}, has no tier: shadow, holdout, STOP and off send it to {config.get('default_model')} instead"
            )
            yield Check("tier", app, False, found, fix)


def same_models(written: Mapping[str, Any], proxy: Proxy, book: PriceBook, candidates: Sequence[str]) -> Iterator[Check]:
    """Check that each group is the model that was written; another provider of the same model, or a name nobody knows, is left open."""
    running = _running(proxy)
    for entry in written.get("model_list", ()):
        group, model = entry["model_name"], str(entry["litellm_params"]["model"])
        others = [name for name in dict.fromkeys(running.get(group, ())) if name != model]
        if not others:
            continue
        ours, theirs = identity(book, "", model), [identity(book, "", name) for name in others]
        known = bool(ours[0]) and all(provider for provider, _ in theirs)
        same = known and all(name == ours[1] for _, name in theirs)
        found = f"served by {', '.join(others)}, not by {model}"
        if known and not same and group in candidates:
            fix = f"point {group} at {model}, or train with the model that is there: what it costs and how well it answers is another's"
            yield Check("deployment", group, False, found, fix)
        else:
            what = (
                "the same model elsewhere" if same else "another model than the log showed" if known else "whether that is the same model"
            )
            yield Check("deployment", group, None, found, f"see that {what} is what you mean")


def _running(proxy: Proxy) -> dict[str, list[str]]:
    """Return the models behind each group; the name that LiteLLM prices an own deployment by (``base_model``) counts as its model."""
    now: dict[str, list[str]] = {}
    for deployment in proxy.deployments or ():
        base = (deployment.get("model_info") or {}).get("base_model")
        model = base or (deployment.get("litellm_params") or {}).get("model")
        now.setdefault(str(deployment.get("model_name")), []).append(str(model))
    return now


def settled(diff: Sequence[tuple[str, str, str]], proxy: Proxy) -> Iterator[Check]:
    """Count every setting of the router that runs otherwise, and settings that this key may not see."""
    if proxy.router_settings is None:
        yield Check("setting", "router_settings", None, "this key may not see them", "ask with the gateway's master key")
    for name, written, running in diff:
        if name.startswith("router_settings: "):
            fix = f"take {written} over from config.yaml, or do without: what is expected counts on it"
            yield Check("setting", name.removeprefix("router_settings: "), None, f"{running}, not {written}", fix)


def differences(written: Mapping[str, Any], proxy: Proxy) -> Iterator[tuple[str, str, str]]:
    """Yield (setting, written, running) for what the gateway has otherwise; what this key may not see is not compared."""
    if proxy.deployments is not None:
        now = _running(proxy)
        for entry in written.get("model_list", ()):
            group, model = entry["model_name"], entry["litellm_params"]["model"]
            if group not in now and proxy.settings is None:
                continue  # a key that is no administrator's is shown the groups that it may use
            if set(now.get(group, ())) != {model}:
                yield f"model_list: {group}", model, ", ".join(now.get(group, ())) or "not there"
    if proxy.router_settings is None:
        return
    for name, value in written.get("router_settings", {}).items():
        ours, theirs = _flat(value), _flat(proxy.router_settings.get(name))
        for part in {**ours, **theirs}:
            one, other = ours.get(part), theirs.get(part)
            if one != other and not (one in _UNSET and other in _UNSET):
                yield f"router_settings: {name}{part and f' {part}'}", _shown(one), _shown(other)


def _flat(value: Any) -> dict[str, Any]:
    """Return the parts of a setting by name: of a policy its classes, of fallbacks their groups; anything else is one part without.

    >>> _flat([{"a": ["b"]}, {"c": []}]), _flat(4)
    ({'a': ['b'], 'c': []}, {'': 4})
    """
    if isinstance(value, dict):
        return {str(k): v for k, v in value.items()}
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return {str(k): v for part in value for k, v in part.items()}
    return {} if value in _UNSET else {"": value}


def _shown(value: Any) -> str:
    if value in _UNSET:
        return _NOT_SET
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
