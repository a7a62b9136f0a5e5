"""A plan in LiteLLM's own settings, and what of it LiteLLM has no setting for.

In: a plan, the apps that are exported, the model groups with their windows and providers. Out: ``router_settings``,
``litellm_settings``, what every deployment is given, environment variables, and one sentence for each part of the plan that the
gateway does otherwise. Written from the source of LiteLLM 1.108 and tried on a running proxy. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from planner.policies import Plan, RateLimit
from planner.policies.base import FAILURES, Lever
from planner.text.embeddings import METHODS

__all__ = ["GatewaySettings", "falling_back", "gateway_settings"]

#: LiteLLM's retry policy: exception class → kind of failure that it counts as here. DefaultRetries are all other classes: refused
#: connections and bad gateways, but 403 and 422 as well.
_CLASSES = {
    "RateLimitErrorRetries": "rate_limit",
    "ContentPolicyViolationErrorRetries": "content",
    "BadRequestErrorRetries": "validation",
    "AuthenticationErrorRetries": "validation",
    "NotFoundErrorRetries": "validation",
    "InternalServerErrorRetries": "transport",
    "ServiceUnavailableErrorRetries": "transport",
    "DefaultRetries": "transport",
}
_ALWAYS = ("transport", "rate_limit", "cancelled")
_CACHED_CALLS = ["acompletion", "atext_completion", "aresponses", "anthropic_messages"]
_MARKED = ("anthropic", "aws")
#: LiteLLM waits so before a retry [s]: the first pause, the longest, and what chance may add; the factor is 2.
_PAUSES = ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY", "JITTER")
_FACTOR = 2.0


@dataclass(frozen=True)
class GatewaySettings:
    """What goes into LiteLLM's configuration beside the models.

    Parameters
    ----------
    router, litellm: ``router_settings`` and ``litellm_settings``.
    deployment: model group → further ``litellm_params``.
    environment: variables that LiteLLM reads when it starts.
    aside: lines for the file that are commented out, with the reason.
    unsaid: (lever in words, what LiteLLM does otherwise) for each part of the plan that it has no setting for.
    """

    router: Mapping[str, Any] = field(default_factory=dict)
    litellm: Mapping[str, Any] = field(default_factory=dict)
    deployment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    unsaid: tuple[tuple[str, str], ...] = ()

    def beside(self, other: GatewaySettings) -> GatewaySettings:
        """Return the settings of both; a key is only ever set by one."""
        deployment = {group: {**self.deployment.get(group, {}), **params} for group, params in other.deployment.items()}
        return GatewaySettings(
            {**self.router, **other.router},
            {**self.litellm, **other.litellm},
            {**self.deployment, **deployment},
            {**self.environment, **other.environment},
            self.aside + other.aside,
            self.unsaid + other.unsaid,
        )


def gateway_settings(
    plan: Plan,
    apps: Sequence[str],
    providers: Mapping[str, str],
    windows: Mapping[str, int | None] | None = None,
    behind: Mapping[str, str] | None = None,
) -> GatewaySettings:
    """Return the settings of ``plan``, as far as LiteLLM has them.

    Parameters
    ----------
    apps: all that are exported. LiteLLM's settings hold for every request, so a lever of only some of them is left out, and said; and
        nothing but the plan's own fallbacks says where a request that fails may go.
    providers: model group → who serves it. windows: model group → tokens of its context window, None where it is not known.
    behind: model group → its model, where that is called otherwise: a model is never its own fallback.

    Examples
    --------
    >>> from planner.policies import Hedge, Timeout
    >>> found = gateway_settings(Plan((Timeout(20_000), Hedge(800)), "x"), ["chat"], {"a": "openai"})
    >>> found.router["timeout"], found.unsaid[-1]
    (20.0, ('hedge after 800 ms in all apps, with the same model', 'LiteLLM sends no second call after a delay'))
    """
    found = GatewaySettings(router={"disable_cooldowns": True})
    for key in dict.fromkeys(lever.key for lever in plan.levers):
        levers = plan.of_key(key)
        if key in _WRITERS and (lever := _everywhere(levers, apps)) is not None:
            found = found.beside(_WRITERS[key](lever, plan, providers))
            found = found.beside(_windows(lever.models, windows or {})) if key == "fallback" else found
        else:
            found = replace(found, unsaid=(*found.unsaid, *(_left_out(lever) for lever in levers if lever.key != "route")))
    return replace(found, router={k: _but_itself(v, behind or {}) if k in _CHAINS else v for k, v in found.router.items()})


def falling_back(found: GatewaySettings, back: Mapping[str, str]) -> GatewaySettings:
    """Return the settings with a way ``back``, model group → another one, where the plan has no fallbacks: one that has runs as simulated.

    LiteLLM's fallbacks hold for every request of a group, so it must be one that nobody asks for. What fails there must not be an error to
    a client whom the model asked for would have answered.

    >>> falling_back(gateway_settings(Plan(), ["chat"], {}), {"small": "big"}).router["fallbacks"]
    [{'small': ['big']}]
    """
    if not back or found.router.get("fallbacks"):
        return found
    said = "Fallbacks to the apps' model of today are not of the plan: a request that was moved must not fail where it would be answered."
    chains = [{group: [then]} for group, then in back.items()]
    return replace(found, router={**found.router, "fallbacks": chains, "max_fallbacks": 1}, aside=(*found.aside, said))


def _but_itself(chains: Sequence[Mapping[str, Sequence[str]]], behind: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """Return LiteLLM's chains (group → groups) without the group that stands for the same model."""
    return [{group: [m for m in then if behind.get(m, m) != behind.get(group, group)] for group, then in chain.items()} for chain in chains]


def _everywhere(levers: Sequence[Any], apps: Sequence[str]) -> Any | None:
    """Return the one lever that all of ``levers`` amount to in every app; None where they differ or leave an app out."""
    plain = [{k: v for k, v in lever.payload().items() if k != "apps"} for lever in levers]
    named = [lever.apps for lever in levers]
    whole = None in named or {*apps} <= {app for some in named for app in some or ()}
    return levers[0] if whole and all(p == plain[0] for p in plain) else None


def _left_out(lever: Lever) -> tuple[str, str]:
    whole = "LiteLLM's settings hold for every app; for some of them, set it in LiteLLM's own team or key settings"
    return lever.words(), _NO_SETTING.get(lever.key, whole)


def _said(lever: Lever, reasons: Mapping[str, bool]) -> tuple[tuple[str, str], ...]:
    """Return the reasons that hold, with the lever."""
    return tuple((lever.words(), reason) for reason, holds in reasons.items() if holds)


_CHAINS = ("fallbacks", "content_policy_fallbacks")
#: Levers that no setting stands for.
_NO_SETTING = {
    "hedge": "LiteLLM sends no second call after a delay",
    "cascade": "LiteLLM falls back on errors alone, never on what an answer says",
    "micro_batch": "LiteLLM puts no two requests into one call",
    "batch": "LiteLLM gathers no requests; the app sends them to the batch endpoint, or with service_tier flex, itself",
    "compress": "LiteLLM leaves prompts as they come; the app shortens them before it sends them",
    "stream": "the app asks for a stream, not the gateway",
}


def _retry(lever: Any, plan: Plan, _: Mapping[str, str]) -> GatewaySettings:
    counts = {kind: lever.retries.get(kind, 0) for kind in FAILURES}
    late = counts["cancelled" if plan.of_key("timeout") else "transport"]
    policy = {"TimeoutErrorRetries": late, **{name: counts[kind] for name, kind in _CLASSES.items()}}
    pauses = (lever.base_ms / 1000, lever.most_ms / 1000, 0.0 if not lever.jitter else lever.jitter * lever.base_ms / 1000)
    said = {
        "LiteLLM keeps no budget of retries": lever.budget is not None,
        "LiteLLM begins a retry however late it is": lever.deadline_ms is not None,
        "repeated calls carry no idempotency key": lever.idempotency_keys,
        f"LiteLLM's pauses double each time instead of growing {lever.factor:g} times": lever.factor != _FACTOR and lever.most_ms > 0,
        "LiteLLM waits as long as a refusal says, up to 60 s": not lever.retry_after,
        "LiteLLM's jitter lengthens pauses, here it shortened them": lever.jitter > 0,
        "LiteLLM retries 403 as often as transport failures": counts["transport"] != counts["validation"],
        "LiteLLM takes some refused content (code content_filter) for a bad request": counts["content"] != counts["validation"],
    }
    return GatewaySettings(
        router={"num_retries": max(counts.values()), "retry_policy": policy, "retry_after": 0},
        environment={name: f"{value:g}" for name, value in zip(_PAUSES, pauses, strict=True)},
        unsaid=_said(lever, said),
    )


def _timeout(lever: Any, *_: Any) -> GatewaySettings:
    said = {"of a streamed answer LiteLLM limits the wait for the next piece, not for the whole answer": True}
    return GatewaySettings(router={"timeout": lever.ms / 1000, "stream_timeout": lever.ms / 1000}, unsaid=_said(lever, said))


def _fallback(lever: Any, _: Plan, providers: Mapping[str, str]) -> GatewaySettings:
    """Every group's fallbacks in order, also where it has none; refused content has a list of its own, and none where it is empty."""
    chain = [{group: [m for m in lever.models if m != group]} for group in providers]
    refused = chain if "content" in lever.kinds else [{group: []} for group in providers]
    wrong = "validation" in lever.kinds
    said = {
        "LiteLLM falls back after every transport failure, refusal by a rate limit and timeout": not {*_ALWAYS} <= {*lever.kinds},
        "LiteLLM falls back after 401, 403, 404 and 422 too, which cost nothing but time": not wrong,
    }
    router = {"fallbacks": chain, "content_policy_fallbacks": refused, "max_fallbacks": len(lever.models)}
    return GatewaySettings(router={**router, "fallback_on_unsupported_params": wrong}, unsaid=_said(lever, said))


def _windows(models: Sequence[str], windows: Mapping[str, int | None]) -> GatewaySettings:
    """Send what is too long for a group to the fallback with the next larger window; nothing else is tried for it."""
    known = sorted((tokens, model) for model in models if (tokens := windows.get(model)))
    larger = {group: next((m for more, m in known if tokens and more > tokens), None) for group, tokens in windows.items()}
    found = [{group: [then] if then else []} for group, then in larger.items()]
    return GatewaySettings(router={"context_window_fallbacks": found}) if found else GatewaySettings()


def _exact_cache(lever: Any, *_: Any) -> GatewaySettings:
    return _cache(lever, "local")


def _semantic_cache(lever: Any, *_: Any) -> GatewaySettings:
    """Write the part that LiteLLM serves alike, the same question; similar ones only under the embedding that they were tuned with."""
    ours = lever.embedding in METHODS
    found = _cache(lever, "local" if ours else "redis-semantic")
    if not ours:
        own = {"similarity_threshold": lever.threshold, "redis_semantic_cache_embedding_model": lever.embedding}
        return replace(found, litellm={**found.litellm, "cache_params": {**found.litellm["cache_params"], **own}})
    aside = (
        f"The plan's threshold for similar questions, {lever.threshold:g}, was tuned under planner's own embedding ({lever.embedding}). It",
        "means nothing under another one: label pairs under yours and tune it again before you turn this on.",
        "cache_params:",
        "  type: redis-semantic",
        "  redis_semantic_cache_embedding_model: YOUR_EMBEDDING_GROUP",
        f"  similarity_threshold: {lever.threshold:g}",
        f"  ttl: {lever.ttl_s:g}",
    )
    said = {"LiteLLM has no such embedding, so only the same question is served again": True}
    return replace(found, aside=aside, unsaid=_said(lever, said) + found.unsaid)


def _cache(lever: Any, kind: str) -> GatewaySettings:
    params = {"type": kind, "ttl": lever.ttl_s, "mode": "default_on", "supported_call_types": _CACHED_CALLS}
    said = {
        "LiteLLM caches answers to requests with tools as well; send cache: {no-cache: true} with those that act": lever.apps is None,
        "LiteLLM's local cache drops the oldest entry first": lever.eviction == "lru",
        "LiteLLM does not wait for a question under way": getattr(lever, "coalesce", False),
        "every worker has a local cache of its own; set type: redis for one that all share": kind == "local",
        "LiteLLM's cache does not tell apps apart": True,
    }
    return GatewaySettings(
        litellm={"cache": True, "cache_params": params},
        environment={"DEFAULT_MAX_SIZE_IN_MEMORY": str(lever.capacity)} if kind == "local" else {},
        unsaid=_said(lever, said),
    )


def _prompt_cache(lever: Any, _: Plan, providers: Mapping[str, str]) -> GatewaySettings:
    """Mark prompts for the providers that want a mark; the others cache by themselves."""
    control = {"type": "ephemeral"} | ({"ttl": "1h"} if lever.lifetime == "1h" else {})
    points: list[dict[str, Any]] = [{"location": "message", "role": "system", "control": control}]
    points += [{"location": "message", "index": -1, "control": control}] if lever.mark == "shared" else []
    marked = [group for group, provider in providers.items() if provider in _MARKED]
    return GatewaySettings(deployment={group: {"cache_control_injection_points": points} for group in marked})


def _rate_limit(lever: RateLimit, _: Plan, providers: Mapping[str, str]) -> GatewaySettings:
    """State quotas with their deployments, where ``planner preflight`` and LiteLLM's pages look for them."""
    quotas: dict[str, dict[str, Any]] = {}
    for group in providers:
        limits = zip(("rpm", "itpm", "otpm"), lever.limits.get(group, ()), strict=False)
        quotas[group] = {name: int(limit) for name, limit in limits if math.isfinite(limit)}
    others = [name for name in lever.limits if name not in providers]
    said = {f"LiteLLM knows quotas of single deployments, not of {', '.join(others)}": bool(others)}
    return GatewaySettings(deployment={group: quota for group, quota in quotas.items() if quota}, unsaid=_said(lever, said))


_WRITERS: Mapping[str, Callable[[Any, Plan, Mapping[str, str]], GatewaySettings]] = {
    "retry": _retry,
    "timeout": _timeout,
    "fallback": _fallback,
    "exact_cache": _exact_cache,
    "semantic_cache": _semantic_cache,
    "prompt_cache": _prompt_cache,
    "rate_limit": _rate_limit,
}
