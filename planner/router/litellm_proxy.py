"""What a hook asks the LiteLLM proxy around it: which groups there are, who may use them how far, which one holds a stored conversation.

In: model groups, the caller's key, ids of answers. Out: yes, no or a name. Outside a running proxy every group is known, and allowed
to a key without limits. Written against LiteLLM's own functions, which are no promised interface: where one is gone, the caller's request
goes as asked. Knows nothing of rollouts or routers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["behind", "filters_tags", "holder", "knows", "limited", "may_call", "metered", "router"]

#: LiteLLM's mark of a stream whose tokens its client did not ask for.
_STRIPPED = "_litellm_strip_stream_usage"
#: How providers date a snapshot of a model.
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")


def router() -> Any:
    """Return the proxy's ``litellm.Router``; None outside a proxy."""
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)


def knows(group: str) -> bool:
    """Say whether the proxy has the model group."""
    found = router()
    return found is None or group in found.model_names or group in (found.model_group_alias or {})


def behind(group: str, known: Collection[str] = ()) -> str:
    """Return the model behind the group, without its provider, as the log has it; the group's own name where that is none or several.

    A deployment goes by the first of its names that is ``known``: its model, its base model (an Azure deployment has a name of its own),
    either without a date; else by its model.
    """
    deployments = getattr(router(), "model_list", None) or ()
    names = {_named(d, known) for d in deployments if d.get("model_name") == group}
    return names.pop() if len(names) == 1 else group


def _named(deployment: Mapping[str, Any], known: Collection[str]) -> str:
    params, info = deployment["litellm_params"], deployment.get("model_info") or {}
    full = [str(name) for name in (params["model"], info.get("base_model"), params.get("base_model")) if name]
    names = [name.partition("/")[2] or name for name in full]
    return next((name for name in (*names, *(_DATE.sub("", n) for n in names)) if name in known), names[0])


async def may_call(auth: Any, group: str) -> bool:
    """Say whether the caller may use the model group: key, team and member, project, end user, agent and, of a key without a team, user.

    A budget for that group alone must not be spent, and no alias of key or team must put another in its place. All else are LiteLLM's own
    checks of a model that was chosen after the caller was let in; what they raise beside a refusal, as without a database, is raised.
    """
    if group in {**(auth.team_model_aliases or {}), **(auth.aliases or {})}:
        return False
    server = sys.modules.get("litellm.proxy.proxy_server")
    if server is None:
        return not (getattr(auth, "models", None) or getattr(auth, "team_models", None))
    from fastapi import HTTPException
    from litellm.proxy import _types as types
    from litellm.proxy.auth import auth_checks as checks
    from litellm.proxy.auth import user_api_key_auth as gate

    kept = {"prisma_client": server.prisma_client, "user_api_key_cache": server.user_api_key_cache}
    kept |= {"proxy_logging_obj": server.proxy_logging_obj}
    try:
        await checks.can_key_call_resolved_model(model=group, llm_model_list=None, valid_token=auth, llm_router=router())
        await checks.can_agent_call_model(model=group, valid_token=auth, llm_router=router(), **kept)
        if auth.team_id is None and auth.user_id is not None:
            user = await _user(checks, auth.user_id, kept)
            aliases = checks.key_model_aliases_for_auth_check(auth)
            await checks.can_user_call_model(model=group, llm_router=router(), user_object=user, key_model_aliases=aliases)
        return bool(await gate._is_within_every_model_budget(auth, server.model_max_budget_limiter, group))
    except (types.ProxyException, HTTPException):
        return False


async def limited(auth: Any, group: str) -> bool:
    """Say whether calls or tokens a minute of the group alone are limited for the caller: of its key, team, project, organization.

    LiteLLM counts after every hook: it would refuse a request, or shorten its answer, that its caller never meant for that group.
    """
    server = sys.modules.get("litellm.proxy.proxy_server")
    limiter = server.proxy_logging_obj.get_proxy_hook("parallel_request_limiter") if server else None
    if limiter is None:
        return False
    found, others = [await limiter._build_request_rate_limit_descriptors(auth, data, None) for data in ({"model": group}, {})]
    return len(found) > len(others)


async def _user(checks: Any, user: str, kept: Mapping[str, Any]) -> Any:
    """Return what the proxy knows of a user; None where it keeps none, for want of a database or of that user."""
    try:
        return await checks.get_user_object(user_id=user, user_id_upsert=False, **kept)
    except Exception as error:
        if kept["prisma_client"] is None or type(error).__name__ == "UserNotFoundError":
            return None
        raise


def filters_tags(data: Mapping[str, Any]) -> bool:
    """Say whether tags of a request choose its deployment here, so that a tag of ours would change where it goes."""
    found = router()
    deployments = getattr(found, "model_list", None) or ()
    own = any((d.get("model_info") or {}).get("enable_tag_filtering") for d in deployments)
    return bool(getattr(found, "enable_tag_filtering", False) or data.get("enable_tag_filtering") or own)


def metered(data: Mapping[str, Any], group: str, team: str | None = None) -> dict[str, Any]:
    """Return what makes a chat stream that is moved to ``group`` say its tokens to the log and not to a client that did not ask for them.

    LiteLLM does so itself before any hook, but by the group that was asked for: of a stream that is moved to another one it would log no
    tokens and no cost, or ask for them where ``group`` takes no ``stream_options`` and refuses the request. The second field is LiteLLM's
    own word for taking the extra piece out again. {} where nothing is to be set.

    >>> metered({"stream": True, "stream_options": {"include_usage": True}}, "gpt-5"), metered({"model": "gpt-5"}, "gpt-5-mini")
    ({}, {})
    >>> metered({"stream": True}, "gpt-5-mini")
    {'stream_options': {'include_usage': True}, '_litellm_strip_stream_usage': True}
    """
    given, server = data.get("stream_options"), sys.modules.get("litellm.proxy.proxy_server")
    options = given if isinstance(given, dict) else {}
    refused = (getattr(server, "general_settings", None) or {}).get("always_include_stream_usage") is False
    if data.get("stream") is not True or refused:
        return {}
    if server is not None and not _streams_usage(group, team):
        return {"stream_options": None, _STRIPPED: False} if data.get(_STRIPPED) else {}
    return {} if options.get("include_usage") is True else {"stream_options": {**options, "include_usage": True}, _STRIPPED: True}


def _streams_usage(group: str, team: str | None) -> bool:
    """Say whether every deployment of a group takes ``stream_options``, as LiteLLM says it."""
    from litellm.proxy.common_request_processing import model_deployments_support_stream_options

    return bool(model_deployments_support_stream_options(group, router(), team))


def holder(data: Mapping[str, Any]) -> str | None:
    """Return the group a conversation is bound to; None where it is bound to none, "" where it is stored nobody knows where.

    It is bound by a stored answer, or by reasoning that only its provider can read, of which LiteLLM notes the deployment where
    ``optional_pre_call_checks`` has ``encrypted_content_affinity``; without it the whole conversation decides, as its first turn did.
    """
    previous, found = data.get("previous_response_id"), router()
    sealed = [item for item in _items(data.get("input")) if item.get("encrypted_content")]
    if not previous and not sealed:
        return "" if data.get("conversation") else None
    unknown = "" if previous else None
    if found is None or not isinstance(previous, (str, type(None))):
        return unknown
    from litellm.proxy.hooks.responses_id_security import decrypted_response_id
    from litellm.responses.utils import ResponsesAPIRequestUtils
    from litellm.router_utils.pre_call_checks.encrypted_content_affinity_check import EncryptedContentAffinityCheck

    if previous:
        model_id = ResponsesAPIRequestUtils.get_model_id_from_response_id(decrypted_response_id(previous))
    else:
        model_id = EncryptedContentAffinityCheck._extract_model_id_from_input(sealed)
    deployment = found.get_deployment(model_id) if model_id else None
    return deployment.model_name if deployment is not None else unknown


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
