"""What a hook asks the LiteLLM proxy around it: which groups there are, who may use them, which one holds a stored conversation.

In: model groups, the caller's key, ids of answers. Out: yes, no or a name. Outside a running proxy every group is known and allowed.
Written against LiteLLM's own functions, which are no promised interface: where one is gone, the caller's request goes as asked.
Knows nothing of rollouts or routers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["behind", "filters_tags", "holder", "knows", "may_call", "router"]


def router() -> Any:
    """Return the proxy's ``litellm.Router``; None outside a proxy."""
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)


def knows(group: str) -> bool:
    """Say whether the proxy has the model group."""
    found = router()
    return found is None or group in found.model_names or group in (found.model_group_alias or {})


def behind(group: str) -> str:
    """Return the model behind the group, without its provider, as the log has it; the group's own name where that is none or several."""
    deployments = getattr(router(), "model_list", None) or ()
    found = {str(d["litellm_params"]["model"]).partition("/") for d in deployments if d.get("model_name") == group}
    names = {model or provider for provider, _, model in found}
    return names.pop() if len(names) == 1 else group


async def may_call(auth: Any, group: str) -> bool:
    """Say whether the caller's key, and its team, may use the model group."""
    if not (getattr(auth, "models", None) or getattr(auth, "team_models", None)):
        return True
    from litellm.proxy._types import ProxyException
    from litellm.proxy.auth.auth_checks import can_key_call_model, can_object_call_model

    try:
        await can_key_call_model(model=group, llm_model_list=None, valid_token=auth, llm_router=router())
        if auth.team_models:
            team: dict[str, Any] = {"team_model_aliases": auth.team_model_aliases, "team_id": auth.team_id, "object_type": "team"}
            can_object_call_model(model=group, llm_router=router(), models=auth.team_models, **team)
    except ProxyException:
        return False
    return True


def filters_tags(data: Mapping[str, Any]) -> bool:
    """Say whether tags of a request choose its deployment here, so that a tag of ours would change where it goes."""
    found = router()
    deployments = getattr(found, "model_list", None) or ()
    own = any((d.get("model_info") or {}).get("enable_tag_filtering") for d in deployments)
    return bool(getattr(found, "enable_tag_filtering", False) or data.get("enable_tag_filtering") or own)


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
