"""What is written beside a request that was steered: which bundle decided, what, why, and with which chances.

In: a request, its decision and where it was assigned. Out: LiteLLM's metadata, of which log readers make arms, actions and propensities.
Knows nothing of gateways or of how anything is decided.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from planner.router.assign import Assignment
from planner.router.litellm_request import Asked, tags_of
from planner.router.router import Decision

__all__ = ["stamped"]


def stamped(
    metadata: Mapping[str, Any],
    request: Asked,
    assignment: Assignment,
    decision: Decision | None = None,
    *,
    digest: str,
    version: str,
    mode: str,
    tagged: bool = True,
) -> dict[str, Any]:
    """Return what becomes of ``metadata``: ``spend_logs_metadata`` and, where ``tagged``, ``tags``; all else in it stays.

    >>> request = Asked("gpt-5", "chat", "s-1", "session", [], {})
    >>> found = stamped({}, request, Assignment("gpt-5", "stopped"), digest="0123456789ab", version="v", mode="active")
    >>> found["tags"], found["spend_logs_metadata"]["action"]
    (['planner:01234567', 'planner-arm:stopped'], 'gpt-5')
    """
    about = {"bundle": digest[:12], "app": request.app, "mode": mode, "arm": assignment.arm, "asked": request.model, "unit": request.unit}
    tags = [f"planner:{digest[:8]}", f"planner-arm:{assignment.arm}"]
    if decision is not None:
        about |= {"decided": decision.model, "reason": decision.reason}
        tags.append(f"planner-decided:{decision.model}")
    before = metadata.get("spend_logs_metadata")
    spend = {**(before if isinstance(before, dict) else {}), "action": assignment.model, "policy_version": version}
    spend["planner"] = about if decision is None else {**about, "score": float(decision.score)}
    spend.pop("action_propensities", None)
    if assignment.propensities is not None:
        spend["action_propensities"] = json.dumps(assignment.propensities)
    return {"spend_logs_metadata": spend, **({"tags": [*tags_of(metadata), *tags]} if tagged else {})}
