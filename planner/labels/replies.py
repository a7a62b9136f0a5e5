"""What came back from a model: the columns of ANSWERS that a reply determines, and what it cost.

In: the body of a completion in OpenAI's or Anthropic's shape, or an error. Out: response, finish reason, exclusive token buckets, the kind
of failure; money by the price book. Knows nothing of connections, journals or batch files.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.prices import PriceBook
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.traffic.failures import CODES, failure_kind
from planner.traffic.shapes import answer_columns, usage_columns
from planner.traffic.values import Rejected, count, dig, text

__all__ = ["answer_of", "cost_pusd", "error_of"]

#: LiteLLM writes the class of an error into its message.
_CLASS = re.compile(r"\b([A-Z]\w+(?:Error|Exception|Timeout))\b")
#: How a refusal of the text is said where the code that says it was lost on the way, as in LiteLLM's proxy.
_REFUSED = re.compile(r"content[ _](management )?(policy|filter)|ContentPolicyViolation|safety system", re.IGNORECASE)
_NOON = dt.time(12)


def answer_of(body: Any) -> dict[str, Any]:
    """Return ``status``, ``error_class``, ``response``, ``finish_reason`` and the token buckets of a completion.

    An answer that the provider withheld is ``content``. The buckets are absent where the body has no usage. Raises Rejected when it is
    no completion.

    >>> row = answer_of({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],
    ...                  "usage": {"prompt_tokens": 7, "completion_tokens": 1}})
    >>> row["status"], row["response"], row["input_tokens"], row["output_tokens"]
    ('ok', '4', 7, 1)
    """
    choices = dig(body, "choices")
    if not (isinstance(choices, list) and choices) and not isinstance(dig(body, "content"), list):
        raise Rejected("no choices and no content: not a completion")
    answer = answer_columns(body)
    withheld = answer.get("finish_reason") == "content_filter"
    return {
        "status": "content" if withheld else "ok",
        "error_class": "content_filter" if withheld else None,
        "response": answer.get("response"),
        "finish_reason": answer.get("finish_reason"),
        **_tokens(dig(body, "usage")),
    }


def _tokens(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    if "prompt_tokens" in usage:
        prompt, completion = count(usage["prompt_tokens"], "prompt_tokens"), count(usage.get("completion_tokens"), "completion_tokens")
    else:  # Anthropic's input tokens hold neither what was read from its cache nor what was written
        parts = [count(usage.get(f"{n}input_tokens"), n) or 0 for n in ("", "cache_read_", "cache_creation_")]
        prompt, completion = sum(parts), count(usage.get("output_tokens"), "output_tokens")
    columns = usage_columns(prompt or 0, completion or 0, usage)
    return {name: columns[name] for name in TOKEN_BUCKETS}


def error_of(body: Any, http: int | None) -> tuple[str, str]:
    """Return the kind of a failure (a status) and the source's own name for it.

    >>> error_of({"error": {"message": "litellm.RateLimitError: slow down", "code": "429"}}, 429)
    ('rate_limit', 'RateLimitError')
    >>> error_of({"type": "error", "error": {"type": "overloaded_error"}}, 529)
    ('transport', 'overloaded_error')
    """
    error = dig(body, "error")
    error = error["error"] if isinstance(error, dict) and isinstance(error.get("error"), dict) else error
    code, kind, said = (text(dig(error, n)) for n in ("code", "type", "message"))
    named = _CLASS.search(said or "")
    name = (
        (named[1] if named else None) or (code if code and not code.isdigit() else None) or kind or (f"HTTP {http}" if http else "unknown")
    )
    if code not in CODES and _REFUSED.search(said or ""):
        return "content", name
    if code in CODES:
        return failure_kind(None, code), name
    return failure_kind(named[1] if named else None, http or _CODES.get(kind or "") or code), name


#: Anthropic's error types → the HTTP status that goes with them: batch results have no status of their own.
_CODES: Mapping[str, int] = {
    "invalid_request_error": 400, "authentication_error": 401, "permission_error": 403, "not_found_error": 404, "request_too_large": 413,
    "rate_limit_error": 429, "api_error": 500, "overloaded_error": 529,
}  # fmt: skip


def cost_pusd(book: PriceBook, provider: str, model: str, tier: str, row: Mapping[str, Any], at: dt.date) -> tuple[int, str] | None:
    """Return what the tokens of ``row`` cost [pUSD] and the evidence of it, None where it has no tokens or they have no price."""
    if TOKEN_BUCKETS[0] not in row:
        return None
    tokens = np.array([[row[name] for name in TOKEN_BUCKETS]], np.int64)
    found = book.price(provider, model, tier, tokens, dt.datetime.combine(at, _NOON))
    return None if found.reason[0] else (int(found.cost_pusd[0]), EVIDENCE[int(found.evidence[0])])
