"""Tiny calls that show whether a model group answers as the plan needs it: plainly, with tools, in a format, in pieces.

In: a proxy and a model group. Out: what each call found, and what it cost. The prompts are ours and say nothing. Knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.bundle.preflight_checks import Check
from planner.bundle.preflight_proxy import Answered, Proxy
from planner.router import Router

__all__ = ["FEATURES", "Tried", "features_of", "tried"]

#: [tokens] of an answer: the least that every provider takes.
_TOKENS = 16
_SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
_PARAMETERS = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
#: Feature → what a request with it says. JSON must be named in the prompt, as some providers insist.
FEATURES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "tools": {"tools": [{"type": "function", "function": {"name": "look_up", "description": "Look it up.", "parameters": _PARAMETERS}}]},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA}}},
    "stream": {"stream": True},
}


@dataclass(frozen=True)
class Tried:
    """One call: its group and feature, the answer, and what it cost [USD], None where the gateway does not say."""

    group: str
    feature: str
    answer: Answered
    cost_usd: float | None

    def check(self) -> Check:
        """Return what the call shows."""
        subject = f"{self.group}, {self.feature}"
        if not self.answer.ok:
            denied = self.answer.status in (401, 403) and "key" in self.answer.error.lower()
            own = f"allow the key to use {self.group}" if denied else self.answer.key_fix
            return Check("key" if own else "call", subject, False, self.answer.error, own or self._fix())
        other = self.answer.headers.get("x-litellm-model-group", self.group)
        if other != self.group:
            fix = f"look why {self.group} failed: a fallback answered in its place"
            if self.answer.headers.get("x-litellm-attempted-fallbacks") == "0":
                fix = f"look at the key and its team: an alias of {self.group}, or a limit a minute for it, makes another model answer"
            return Check("call", subject, False, f"answered by {other}", fix)
        return Check("call", subject, True, "answered")

    def _fix(self) -> str:
        if self.feature == "plain":
            return f"look at the deployment of {self.group}: its key, its model's name, its quota"
        return f"keep {self.feature} away from {self.group}: state what it can do (capabilities) and train again"


def features_of(router: Router, group: str, used: Mapping[str, float] | None) -> tuple[str, ...]:
    """Return the features to try: of a candidate those that the log used and that the router would send there, else a plain call."""
    known = dict(zip(router.candidates, router.capabilities, strict=True)).get(group)
    able = {"plain"} if known is None else {"plain", "stream", *known.formats, *(("tools",) if known.tools else ())}
    return tuple(f for f in FEATURES if f in able and (f == "plain" or used is None or used.get(f, 0) > 0))


def tried(proxy: Proxy, group: str, features: Iterable[str]) -> Sequence[Tried]:
    """Call ``group`` once with each of ``features``; when it does not answer plainly, no more."""
    found: list[Tried] = []
    for feature in features:
        messages = [{"role": "user", "content": 'Answer with this JSON: {"ok": true}'}]
        answer = proxy.chat({"model": group, "messages": messages, "max_tokens": _TOKENS, **FEATURES[feature]})
        found.append(Tried(group, feature, answer, _cost(answer)))
        if not answer.ok and feature == "plain":
            break
    return found


def _cost(answer: Answered) -> float | None:
    try:
        return float(answer.headers["x-litellm-response-cost"])
    except (KeyError, ValueError):
        return None
